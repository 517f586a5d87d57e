//! Loss, accuracy and learning rate by epoch.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::ReportError;
use super::canvas::{Area, BODY, TITLE, Theme, font, px, shortened, width_of, write};
use crate::train::EpochMetrics;

/// Size of a panel, in units.
pub(super) const WIDTH: f64 = 460.0;
pub(super) const HEIGHT: f64 = 300.0;
/// The line with the title and the names of the lines.
const HEADER: f64 = 34.0;
/// Epochs up to which each is also a dot.
const DOTS: usize = 30;

/// One diagram: some lines over the epochs.
pub(super) struct Panel {
    pub(super) title: &'static str,
    lines: Vec<Line>,
    /// The epoch whose network is kept, from 1.
    best_epoch: usize,
    format: fn(f64) -> String,
    /// The values between which the axis lies at most.
    bounds: (f64, f64),
}

struct Line {
    name: &'static str,
    color: fn(&Theme) -> RGBColor,
    /// By epoch; none where there is no finite value.
    values: Vec<Option<f64>>,
}

impl Line {
    fn new(
        name: &'static str,
        color: fn(&Theme) -> RGBColor,
        history: &[EpochMetrics],
        value: impl Fn(&EpochMetrics) -> Option<f64>,
    ) -> Self {
        let finite = |metrics| value(metrics).filter(|x| x.is_finite());
        Self {
            name,
            color,
            values: history.iter().map(finite).collect(),
        }
    }
}

/// The diagrams of a run: loss and accuracy, and the learning rate where epochs have one of their own.
pub(super) fn panels(history: &[EpochMetrics], best_epoch: usize) -> Vec<Panel> {
    let panel = |title, lines: Vec<Line>, format: fn(f64) -> String, bounds| Panel {
        title,
        lines: lines
            .into_iter()
            .filter(|line| line.values.iter().any(Option::is_some))
            .collect(),
        best_epoch,
        format,
        bounds,
    };
    let training = |value: fn(&EpochMetrics) -> Option<f64>| {
        Line::new("training", |theme| theme.training, history, value)
    };
    let validation = |value: fn(&EpochMetrics) -> Option<f64>| {
        Line::new("validation", |theme| theme.validation, history, value)
    };
    let loss = vec![
        training(|m| Some(m.train_loss)),
        validation(|m| m.validation_loss),
    ];
    let accuracy = vec![
        training(|m| Some(100.0 * m.train_accuracy)),
        validation(|m| m.validation_accuracy.map(|x| 100.0 * x)),
    ];
    let mut panels = vec![
        panel("Loss", loss, shortest, (0.0, f64::INFINITY)),
        panel("Accuracy, %", accuracy, shortest, (0.0, 100.0)),
    ];
    let rate = |metrics: &EpochMetrics| Some(metrics.learning_rate);
    let rate = Line::new("", |theme| theme.training, history, rate);
    let bounds = (0.0, f64::INFINITY);
    panels.push(panel("Learning rate", vec![rate], shortest, bounds));
    panels
}

/// A number of any size, as short as it goes.
pub(super) fn shortest(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-3 {
        format!("{x:.1e}")
    } else {
        format!("{}", (x * 1e6).round() / 1e6)
    }
}

/// A diagram under way.
type Chart<'a, 'b> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws a panel over the whole of `area`.
pub(super) fn paint(panel: &Panel, area: &Area<'_>, theme: &Theme) -> Result<(), ReportError> {
    let (header, body) = area.split_vertically(px(HEADER));
    paint_header(panel, &header, theme)?;

    let epochs = panel.lines.first().map_or(1, |line| line.values.len());
    let values = panel.lines.iter().flat_map(|line| &line.values).flatten();
    let y_ticks = ticks(values.copied(), panel.bounds);
    let x_ticks = epoch_ticks(epochs);
    // A lone epoch stands in the middle of its axis; many begin and end with it.
    let margin = if epochs == 1 {
        0.5
    } else {
        0.02 * (epochs - 1) as f64
    };
    let (left, right) = (1.0 - margin, epochs as f64 + margin);
    let (bottom, top) = (y_ticks[0], y_ticks[y_ticks.len() - 1]);
    let thin = px(1.0) as u32;

    let y_style = font(BODY, theme.muted, HPos::Right, VPos::Center);
    let x_style = font(BODY, theme.muted, HPos::Center, VPos::Center);
    let y_widths = y_ticks
        .iter()
        .map(|y| width_of(&body, &(panel.format)(*y), &y_style));
    let mut chart = ChartBuilder::on(&body)
        .margin_right(px(18.0))
        .margin_left(px(14.0))
        .margin_top(px(8.0))
        .set_label_area_size(
            LabelAreaPosition::Left,
            y_widths.max().unwrap_or(0) + px(8.0),
        )
        .set_label_area_size(LabelAreaPosition::Bottom, px(46.0))
        .build_cartesian_2d(left..right, bottom..top)?;

    // Grid and labels are drawn one by one, so that each label is in line with its tick.
    let (columns, rows) = body.get_pixel_range();
    let corner = (columns.start, rows.start);
    let place = |chart: &Chart<'_, '_>, x, y| {
        let (column, row) = chart.plotting_area().map_coordinate(&(x, y));
        (column - corner.0, row - corner.1)
    };
    for y in y_ticks {
        let line = PathElement::new([(left, y), (right, y)], theme.grid.stroke_width(thin));
        chart.draw_series([line])?;
        let (column, row) = place(&chart, left, y);
        let at = (column - px(8.0), row);
        write(&body, &(panel.format)(y), at, &y_style)?;
    }
    for x in x_ticks {
        let (column, row) = place(&chart, x, bottom);
        let at = (column, row + px(14.0));
        write(&body, &format!("{x:.0}"), at, &x_style)?;
    }
    let (column, row) = place(&chart, (left + right) / 2.0, bottom);
    write(&body, "epoch", (column, row + px(33.0)), &x_style)?;

    let best = panel.best_epoch as f64;
    let dashes = DashedLineSeries::new(
        [(best, bottom), (best, top)],
        px(4.0) as u32,
        px(4.0) as u32,
        theme.muted.stroke_width(thin),
    );
    chart.draw_series(dashes)?;
    for line in &panel.lines {
        let color = (line.color)(theme);
        let points = || {
            let values = line.values.iter().enumerate();
            values.filter_map(|(at, y)| y.map(|y| ((at + 1) as f64, y.clamp(bottom, top))))
        };
        chart.draw_series(LineSeries::new(
            points(),
            color.stroke_width(px(2.0) as u32),
        ))?;
        let marked = points().filter(|(x, _)| epochs <= DOTS || *x == best);
        chart.draw_series(marked.map(|(x, y)| {
            let radius = if x == best { 4.5 } else { 2.5 };
            Circle::new((x, y), px(radius), color.filled())
        }))?;
    }
    Ok(())
}

/// The title, and the name of each line beside a piece of it.
fn paint_header(panel: &Panel, area: &Area<'_>, theme: &Theme) -> Result<(), ReportError> {
    let middle = px(HEADER / 2.0 + 4.0);
    let title = font(TITLE, theme.ink, HPos::Left, VPos::Center);
    write(area, panel.title, (px(14.0), middle), &title)?;
    let style = font(BODY, theme.muted, HPos::Left, VPos::Center);
    let mut right = area.dim_in_pixel().0 as i32 - px(18.0);
    let best = format!("best epoch {}", panel.best_epoch);
    let entries = panel.lines.iter().filter(|line| !line.name.is_empty());
    let mut entries: Vec<(&str, RGBColor)> = entries
        .map(|line| (line.name, (line.color)(theme)))
        .collect();
    entries.push((&best, theme.muted));
    for (name, color) in entries.into_iter().rev() {
        let name = shortened(area, name, &style, right);
        let start = right - width_of(area, &name, &style);
        write(area, &name, (start, middle), &style)?;
        let (from, to) = (start - px(24.0), start - px(6.0));
        let stroke = color.stroke_width(px(2.0) as u32);
        if color == theme.muted {
            for dash in [from, from + px(7.0), from + px(14.0)] {
                let piece = [(dash, middle), (dash + px(4.0), middle)];
                area.draw(&PathElement::new(piece, color.stroke_width(px(1.0) as u32)))?;
            }
        } else {
            area.draw(&PathElement::new([(from, middle), (to, middle)], stroke))?;
        }
        right = from - px(14.0);
    }
    Ok(())
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
    let step = step(epochs as f64, 10.0).max(1.0) as usize;
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
        assert_eq!(epoch_ticks(20).len(), 11);
        for epochs in [12, 99, 1000, 12345] {
            let ticks = epoch_ticks(epochs);
            assert!(ticks.len() <= 12 && ticks.iter().all(|x| x.fract() == 0.0));
        }
    }
}
