//! The confusion matrix as a drawing: a row for each true class, a column for each predicted one.

use crate::digits::grouped;
use crate::svg::{Drawing, shortened, width_of};

/// Classes up to which each cell has its count written in it.
pub(super) const COUNTED: usize = 24;
/// Size of the text: on a phone the matrix is not made smaller, so it stays readable.
const TEXT: f64 = 11.0;
/// Longest name beside the matrix, in units; the rest becomes an ellipsis.
const LONGEST_NAME: f64 = 110.0;
const MARGIN: f64 = 8.0;
/// The word "predicted" or "true", along an edge.
const AXIS: f64 = 20.0;
/// The scale of the colours below the matrix.
const SCALE: f64 = 56.0;
/// From this position on the colours on, text on them is of the other brightness.
const STRONG: f64 = 0.7;

/// Where things are, in units.
struct Layout {
    cell: f64,
    /// Room for the names beside the rows, and below the columns.
    names: f64,
    side: f64,
    left: f64,
    top: f64,
}

impl Layout {
    fn new(labels: &[String], counts: &[Vec<usize>]) -> Self {
        let largest = counts.iter().flatten().max().copied().unwrap_or(0);
        // Without numbers a cell is as high as its name.
        let cell = match labels.len() {
            0..=COUNTED => (width_of(&largest.to_string(), TEXT) + 8.0).max(28.0),
            _ => 14.0,
        };
        let widths = labels.iter().map(|label| width_of(label, TEXT));
        let names = widths.fold(0.0, f64::max).min(LONGEST_NAME) + 8.0;
        Self {
            cell,
            names,
            side: cell * labels.len() as f64,
            left: MARGIN + AXIS + names,
            top: MARGIN,
        }
    }

    fn width(&self) -> f64 {
        (self.left + self.side + MARGIN).max(300.0)
    }

    fn height(&self) -> f64 {
        self.top + self.side + self.names + AXIS + SCALE
    }
}

/// Draws the matrix of `counts` of classes named `labels`.
pub(super) fn drawing(labels: &[String], counts: &[Vec<usize>]) -> Drawing {
    let layout = Layout::new(labels, counts);
    let mut drawing = Drawing::new(layout.width(), layout.height());
    draw_cells(&mut drawing, &layout, labels, counts);
    draw_names(&mut drawing, &layout, labels);
    draw_scale(&mut drawing, &layout);
    drawing
}

/// The share of a row as a position on the colours: its root, so that rare confusions are seen beside a full
/// diagonal.
fn position(share: f64) -> f64 {
    share.sqrt()
}

fn draw_cells(drawing: &mut Drawing, layout: &Layout, labels: &[String], counts: &[Vec<usize>]) {
    let numbered = labels.len() <= COUNTED;
    let gap = if numbered { 1.5 } else { 0.5 };
    let size = (layout.cell - gap, layout.cell - gap);
    if !numbered {
        let corner = (layout.left, layout.top);
        drawing.rect("empty", corner, (layout.side, layout.side));
        // Something to hold on to for the eye.
        for class in (0..=labels.len()).step_by(10) {
            let at = layout.cell * class as f64 - 0.25;
            let (x, y) = (layout.left + at, layout.top + at);
            drawing.line("grid", (x, corner.1), (x, corner.1 + layout.side));
            drawing.line("grid", (corner.0, y), (corner.0 + layout.side, y));
        }
    }
    for (y, row) in counts.iter().enumerate() {
        let total: usize = row.iter().sum();
        for (x, &count) in row.iter().enumerate() {
            // Of many cells most are empty: leaving them out keeps the page small.
            if count == 0 && !numbered {
                continue;
            }
            let share = count as f64 / total.max(1) as f64;
            let strength = position(share);
            let class = if strength > STRONG {
                "cell full"
            } else {
                "cell"
            };
            let title = format!(
                "true: {}\npredicted: {}\n{} of {} ({:.2} % of the class)",
                labels[y],
                labels[x],
                grouped(count as u64),
                grouped(total as u64),
                100.0 * share
            );
            drawing.open_titled(class, &title);
            let left = layout.left + layout.cell * x as f64;
            let top = layout.top + layout.cell * y as f64;
            if numbered {
                drawing.rect("empty", (left, top), size);
            }
            if count > 0 {
                let numbers = [
                    ("x", left),
                    ("y", top),
                    ("width", size.0),
                    ("height", size.1),
                    ("fill-opacity", strength.max(0.02)),
                ];
                drawing.mark("rect", "share", &numbers);
            }
            if count > 0 && numbered {
                let middle = (left + size.0 / 2.0, top + size.1 / 2.0);
                drawing.text("small middle", middle, &count.to_string());
            }
            drawing.close();
        }
    }
}

fn draw_names(drawing: &mut Drawing, layout: &Layout, labels: &[String]) {
    let bottom = layout.top + layout.side;
    for (class, label) in labels.iter().enumerate() {
        let short = shortened(label, TEXT, layout.names - 7.0);
        let middle = layout.cell * (class as f64 + 0.5) - 0.5;
        drawing.open_titled("name", label);
        drawing.text(
            "small end",
            (layout.left - 5.0, layout.top + middle),
            &short,
        );
        drawing.turned_text("small end", (layout.left + middle, bottom + 5.0), &short);
        drawing.close();
    }
    let middle = layout.side / 2.0;
    let below = bottom + layout.names + AXIS / 2.0;
    drawing.text(
        "muted middle",
        (layout.left + middle, below),
        "predicted class",
    );
    let beside = (MARGIN + AXIS / 2.0 - 4.0, layout.top + middle);
    drawing.turned_text("muted middle", beside, "true class");
}

fn draw_scale(drawing: &mut Drawing, layout: &Layout) {
    const STEPS: usize = 40;
    let width = layout.side.clamp(180.0, 300.0);
    let left = layout.left.min(layout.width() - width - MARGIN);
    let top = layout.height() - SCALE + 24.0;
    drawing.text("small muted", (left, top - 9.0), "share of the true class");
    drawing.rect("empty", (left, top), (width, 9.0));
    for step in 0..STEPS {
        let numbers = [
            ("x", left + width * step as f64 / STEPS as f64),
            ("y", top),
            ("width", width / STEPS as f64),
            ("height", 9.0),
            ("fill-opacity", (step as f64 + 0.5) / STEPS as f64),
        ];
        drawing.mark("rect", "share step", &numbers);
    }
    for share in [0.0, 0.05, 0.25, 0.5, 1.0] {
        let anchor = match share {
            0.0 => "small muted",
            1.0 => "small muted end",
            _ => "small muted middle",
        };
        let at = (left + width * position(share), top + 18.0);
        drawing.text(anchor, at, &format!("{:.0} %", 100.0 * share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_it_counts() {
        let labels = ["cat", "a very long name of a class of dogs"].map(str::to_owned);
        let text = drawing(&labels, &[vec![3, 1], vec![0, 2000]]).inline("x");
        let title = "<title>true: cat\npredicted: a very long name of a class of dogs\n1 of 4 (25.00 % of the class)";
        assert!(text.contains(title), "{text}");
        assert!(text.contains(">2000</text>"));
        assert!(text.contains("<title>a very long name of a class of dogs</title>"));
        assert!(text.contains(">a very long name…</text>"), "{text}");
    }

    #[test]
    fn of_many_classes_empty_cells_are_left_out() {
        let labels: Vec<String> = (0..200).map(|class| class.to_string()).collect();
        let mut counts = vec![vec![0; 200]; 200];
        counts[7][9] = 5;
        let text = drawing(&labels, &counts).inline("x");
        assert_eq!(text.matches("class=\"cell").count(), 1);
        assert!(text.contains("5 of 5 (100.00 % of the class)"));
        assert!(!text.contains(">5</text></g>\n<g class=\"cell"));
    }
}
