//! Diagrams of values by epoch: some lines, a grid, and what there is at the epoch that one points at.

use super::{BODY, Drawing, theme, width_of};

/// Size of a diagram, in units: at the width of a phone it is drawn at its own size.
pub(crate) const WIDTH: f64 = 320.0;
/// See [`WIDTH`].
pub(crate) const HEIGHT: f64 = 236.0;
/// Epochs up to which each is also a dot.
const DOTS: usize = 30;
/// Epochs that can be pointed at; of more, these are spread over all.
const POINTED: usize = 400;

/// One diagram: some lines over the epochs.
pub(crate) struct Panel {
    /// What is drawn.
    pub(crate) title: String,
    /// The lines; those without a single value are left out.
    pub(crate) lines: Vec<Line>,
    /// The epoch whose network is kept, from 1, where there is one for all lines.
    pub(crate) best_epoch: Option<usize>,
    /// Whether the lines' names stand above them.
    pub(crate) legend: bool,
    /// The values between which the axis lies at most.
    pub(crate) bounds: (f64, f64),
}

/// A line of a diagram.
pub(crate) struct Line {
    /// What it is; empty if the title says it.
    pub(crate) name: String,
    /// Which colour it has, from 0; there are more lines than colours, see [`Line::class`].
    pub(crate) series: usize,
    /// By epoch; none where there is no finite value.
    pub(crate) values: Vec<Option<f64>>,
    /// The epoch with a larger dot, from 1.
    pub(crate) best_epoch: usize,
}

impl Line {
    /// A line of the finite ones among `values`.
    pub(crate) fn new(
        name: &str,
        series: usize,
        values: impl Iterator<Item = Option<f64>>,
        best_epoch: usize,
    ) -> Self {
        Self {
            name: name.to_owned(),
            series,
            values: values.map(|x| x.filter(|x| x.is_finite())).collect(),
            best_epoch,
        }
    }

    /// The class of its colour.
    pub(crate) fn class(&self) -> String {
        format!("series-{}", self.series % theme::SERIES + 1)
    }

    /// The classes of its stroke: where the colours begin again it is dashed.
    pub(crate) fn stroke(&self) -> &'static str {
        match (self.series / theme::SERIES).is_multiple_of(2) {
            true => "curve",
            false => "curve dashed",
        }
    }
}

/// Where values are in a drawing.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    /// Epochs at the left and right end.
    epochs: (f64, f64),
    /// Values at the lower and upper end.
    values: (f64, f64),
}

impl Frame {
    fn x(&self, epoch: f64) -> f64 {
        let share = (epoch - self.epochs.0) / (self.epochs.1 - self.epochs.0);
        self.left + share * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

impl Panel {
    /// The diagram by itself.
    pub(crate) fn drawing(&self) -> Drawing {
        let mut drawing = Drawing::new(WIDTH, HEIGHT);
        self.draw(&mut drawing, 0.0);
        drawing
    }

    /// Draws the diagram, `left` units from the left edge.
    pub(crate) fn draw(&self, drawing: &mut Drawing, left: f64) {
        let lines: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| line.values.iter().any(Option::is_some))
            .collect();
        let values = lines.iter().flat_map(|line| &line.values).flatten();
        let y_ticks = ticks(values.copied(), self.bounds);
        let lengths = lines.iter().map(|line| line.values.len());
        let epochs = lengths.max().unwrap_or(1).max(1);
        let widths = y_ticks.iter().map(|y| width_of(&shortest(*y), BODY));
        // A lone epoch stands in the middle of its axis; many begin and end with it.
        let margin = match epochs {
            1 => 0.5,
            _ => 0.02 * (epochs - 1) as f64,
        };
        let frame = Frame {
            left: left + 16.0 + widths.fold(0.0, f64::max),
            right: left + WIDTH - 10.0,
            top: if self.legend { 56.0 } else { 34.0 },
            bottom: HEIGHT - 42.0,
            epochs: (1.0 - margin, epochs as f64 + margin),
            values: (y_ticks[0], y_ticks[y_ticks.len() - 1]),
        };
        drawing.text("title", (left + 8.0, 16.0), &self.title);
        if self.legend {
            self.draw_legend(drawing, &lines, left + 8.0);
        }
        draw_axes(drawing, &frame, &y_ticks, epochs);
        if let Some(best) = self.best_epoch {
            let x = frame.x(best as f64);
            drawing.line("best", (x, frame.bottom), (x, frame.top));
        }
        for line in &lines {
            let points = line.values.iter().enumerate();
            let points =
                points.filter_map(|(at, y)| y.map(|y| (frame.x((at + 1) as f64), frame.y(y))));
            drawing.polyline(&format!("{} {}", line.stroke(), line.class()), points);
        }
        self.draw_epochs(drawing, &frame, &lines, epochs);
    }

    /// The name of each line behind a piece of it, and the best epoch.
    fn draw_legend(&self, drawing: &mut Drawing, lines: &[&Line], left: f64) {
        let y = 38.0;
        let mut x = left;
        let best = self.best_epoch.map(|best| format!("best epoch {best}"));
        let named = lines.iter().filter(|line| !line.name.is_empty());
        let entries = named.map(|line| {
            let class = format!("{} {}", line.stroke(), line.class());
            (line.name.as_str(), class)
        });
        let best = best.as_deref().map(|best| (best, "best".to_owned()));
        for (name, class) in entries.chain(best) {
            drawing.line(&class, (x, y), (x + 18.0, y));
            drawing.text("muted", (x + 23.0, y), name);
            x += 23.0 + width_of(name, BODY) + 10.0;
        }
    }

    /// The dots, and for each epoch all that there is at it, shown when one points at it.
    fn draw_epochs(&self, drawing: &mut Drawing, frame: &Frame, lines: &[&Line], epochs: usize) {
        let every = epochs.div_ceil(POINTED);
        let half = (frame.x(every as f64) - frame.x(0.0)) / 2.0;
        for epoch in 1..=epochs {
            let any_best = lines.iter().any(|line| line.best_epoch == epoch);
            if !any_best && !epoch.is_multiple_of(every) {
                continue;
            }
            let mut title = format!("epoch {epoch}");
            if self.best_epoch == Some(epoch) {
                title += " (best)";
            }
            let at = |line: &Line| line.values.get(epoch - 1).copied().flatten();
            for line in lines {
                if let Some(value) = at(line) {
                    let name = if line.name.is_empty() {
                        &self.title
                    } else {
                        &line.name
                    };
                    title += &format!("\n{name}: {}", four_digits(value));
                }
            }
            let x = frame.x(epoch as f64);
            drawing.open_titled("epoch", &title);
            let (low, high) = ((x - half).max(frame.left), (x + half).min(frame.right));
            let size = (high - low, frame.bottom - frame.top);
            drawing.rect("hit", (low, frame.top), size);
            drawing.line("guide", (x, frame.bottom), (x, frame.top));
            for line in lines {
                let Some(value) = at(line) else { continue };
                let best = line.best_epoch == epoch;
                let seen = match best || epochs <= DOTS {
                    true => "dot",
                    false => "dot hidden",
                };
                let radius = if best { 4.5 } else { 2.5 };
                let numbers = [("cx", x), ("cy", frame.y(value)), ("r", radius)];
                drawing.mark("circle", &format!("{seen} {}", line.class()), &numbers);
            }
            drawing.close();
        }
    }
}

fn draw_axes(drawing: &mut Drawing, frame: &Frame, y_ticks: &[f64], epochs: usize) {
    for y in y_ticks {
        let (at, text) = (frame.y(*y), shortest(*y));
        drawing.line("grid", (frame.left, at), (frame.right, at));
        drawing.text("muted end", (frame.left - 7.0, at), &text);
    }
    for x in epoch_ticks(epochs) {
        let at = (frame.x(x), frame.bottom + 14.0);
        drawing.text("muted middle", at, &format!("{x:.0}"));
    }
    let middle = (frame.left + frame.right) / 2.0;
    drawing.text("muted middle", (middle, frame.bottom + 31.0), "epoch");
}

/// A number of any size, as short as it goes.
pub(crate) fn shortest(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-4 {
        format!("{x:.1e}")
    } else {
        format!("{}", (x * 1e6).round() / 1e6)
    }
}

/// A number of any size with four digits that count.
pub(crate) fn four_digits(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-3 {
        format!("{x:.3e}")
    } else if x.abs() < 10.0 {
        format!("{x:.4}")
    } else {
        format!("{x:.2}")
    }
}

/// Steps of 1, 2 or 5 times a power of ten, about `count` of them over `span`.
fn step(span: f64, count: f64) -> f64 {
    let raw = span / count;
    let power = 10.0_f64.powf(raw.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors
        .iter()
        .find(|factor| **factor * power >= raw * (1.0 - 1e-9));
    factor.unwrap_or(&10.0) * power
}

/// Round numbers that enclose `values`, within `bounds`; at least two.
fn ticks(values: impl Iterator<Item = f64>, bounds: (f64, f64)) -> Vec<f64> {
    let (lowest, highest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let (low, high) = match lowest <= highest {
        true => (lowest.max(bounds.0), highest.min(bounds.1)),
        // There was not a single finite value.
        false => (0.0, 1.0),
    };
    // Equal values still need an axis around them: a tenth of their size, or anything around 0.
    let room = if high - low > 0.02 * high.abs() {
        0.0
    } else {
        (0.1 * high.abs()).max(1e-3)
    };
    let (low, high) = ((low - room).max(bounds.0), (high + room).min(bounds.1));
    let step = step(high - low, 5.0);
    // What a division leaves over must not become a tick.
    let first = (low / step + 1e-6).floor();
    let last = (high / step - 1e-6).ceil().max(first + 1.0);
    let count = (last - first) as usize;
    (0..=count).map(|i| (first + i as f64) * step).collect()
}

/// Whole epochs, few enough to be read.
fn epoch_ticks(epochs: usize) -> Vec<f64> {
    let step = step(epochs as f64, 6.0).max(1.0) as usize;
    let multiples = (1..=epochs).filter(|epoch| epoch % step == 0);
    let first = (step > 1).then_some(1);
    first
        .into_iter()
        .chain(multiples)
        .map(|x| x as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let close = |values: &[f64], right: &[f64]| {
            let found = ticks(values.iter().copied(), (0.0, 100.0));
            let near = found.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(near && found.len() == right.len(), "{values:?}: {found:?}");
        };
        close(&[0.31, 0.92], &[0.2, 0.4, 0.6, 0.8, 1.0]);
        close(&[71.0, 99.5], &[70.0, 80.0, 90.0, 100.0]);
        close(&[0.5], &[0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56]);
        close(&[], &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        close(&[0.0, 0.0], &[0.0, 2e-4, 4e-4, 6e-4, 8e-4, 1e-3]);
        close(&[100.0], &[90.0, 92.0, 94.0, 96.0, 98.0, 100.0]);
    }

    #[test]
    fn epochs_are_whole_and_few() {
        assert_eq!(epoch_ticks(1), [1.0]);
        assert_eq!(epoch_ticks(3), [1.0, 2.0, 3.0]);
        assert_eq!(epoch_ticks(20), [1.0, 5.0, 10.0, 15.0, 20.0]);
        for epochs in [12, 99, 1000, 12345] {
            let ticks = epoch_ticks(epochs);
            assert!(ticks.len() <= 8 && ticks.iter().all(|x| x.fract() == 0.0));
        }
    }
}
