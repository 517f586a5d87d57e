//! Drawings as SVG: real text in the reader's fonts, one drawing for bright and dark screens. A drawing stands in a
//! page, whose style sheet it shares, or alone in a file.

pub(crate) mod chart;
mod text;
mod theme;

use std::fmt::Write;

pub(crate) use text::{escape, shortened, width_of, wrapped};
pub(crate) use theme::{STYLE, variables};

/// Sizes of text, in units: CSS pixels, unless a drawing is scaled.
pub(crate) const BODY: f64 = 12.0;

/// A drawing under way: elements one after the other, the later above the earlier.
pub(crate) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    /// An empty drawing.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    /// How wide it is, in units.
    pub(crate) fn width(&self) -> f64 {
        self.width
    }

    /// Begins a group that says `title` when one points at it.
    pub(crate) fn open_titled(&mut self, class: &str, title: &str) {
        let title = escape(title);
        let _ = write!(self.body, "<g class=\"{class}\"><title>{title}</title>");
    }

    /// Ends the group.
    pub(crate) fn close(&mut self) {
        self.body += "</g>\n";
    }

    /// An element such as `rect`, `line` or `circle` with its numbers.
    pub(crate) fn mark(&mut self, element: &str, class: &str, numbers: &[(&str, f64)]) {
        let _ = write!(self.body, "<{element} class=\"{class}\"");
        for (name, value) in numbers {
            let _ = write!(self.body, " {name}=\"{}\"", number(*value));
        }
        self.body += "/>";
    }

    /// A rectangle.
    pub(crate) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let numbers = [("x", x), ("y", y), ("width", width), ("height", height)];
        self.mark("rect", class, &numbers);
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let numbers = [("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)];
        self.mark("line", class, &numbers);
    }

    /// A path through `points`, straight from each to the next.
    pub(crate) fn polyline(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points
            .map(|(x, y)| format!("{},{}", number(x), number(y)))
            .collect();
        let points = points.join(" ");
        let _ = write!(
            self.body,
            "<polyline class=\"{class}\" points=\"{points}\"/>"
        );
    }

    /// A path in SVG's own letters.
    pub(crate) fn path(&mut self, class: &str, data: &str) {
        let _ = write!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
    }

    /// A line of text whose middle is at the height `y`; classes say which point of it is at `x`.
    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (number(x), number(y), escape(text));
        // Not `dominant-baseline`, which programs other than browsers do not know.
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" dy=\".35em\">{text}</text>"
        );
    }

    /// The same, written upwards around that point.
    pub(crate) fn turned_text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (number(x), number(y), escape(text));
        let _ = write!(
            self.body,
            "<text class=\"{class}\" transform=\"translate({x} {y}) rotate(-90)\" dy=\".35em\">{text}</text>"
        );
    }

    /// The drawing as an element of a page; `label` is for those who cannot see it.
    pub(crate) fn inline(&self, label: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        format!(
            "<svg class=\"drawing\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"{}\">\n{}</svg>",
            escape(label),
            self.body
        )
    }

    /// The drawing as a file.
    pub(crate) fn standalone(&self, label: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"drawing\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n<style>\n{}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            escape(label),
            theme::standalone(),
            self.body
        )
    }
}

/// A number with at most two digits behind the point.
pub(crate) fn number(x: f64) -> String {
    // Adding zero makes a plain zero of a negative one.
    format!("{}", (x * 100.0).round() / 100.0 + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(12.0), "12");
        assert_eq!(number(1.0 / 3.0), "0.33");
        assert_eq!(number(-0.001), "0");
    }

    #[test]
    fn every_text_is_escaped() {
        let mut drawing = Drawing::new(10.0, 10.0);
        drawing.open_titled("a", "<t>");
        drawing.text("b", (1.0, 2.0), "x & y");
        drawing.turned_text("b", (1.0, 2.0), "\u{1}\"");
        drawing.close();
        for text in [drawing.inline("<l>"), drawing.standalone("<l>")] {
            assert!(text.contains("<title>&lt;t&gt;</title>"), "{text}");
            assert!(text.contains(">x &amp; y</text>"), "{text}");
            assert!(text.contains(">\u{fffd}&quot;</text>"), "{text}");
            assert!(text.contains("aria-label=\"&lt;l&gt;\""), "{text}");
        }
    }

    #[test]
    fn a_file_needs_no_variables() {
        let text = Drawing::new(10.0, 10.0).standalone("x");
        assert!(!text.contains("var("), "{text}");
        assert!(text.contains("prefers-color-scheme: dark"));
    }
}
