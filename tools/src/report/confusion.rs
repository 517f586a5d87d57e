//! The confusion matrix as a picture: a row for each true class, a column for each predicted one.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::ReportError;
use super::canvas::{
    Area, BODY, TITLE, Theme, draw, font, px, ramp_color, readable_on, shortened, width_of, write,
};

/// Classes up to which each cell has its count written in it.
pub(super) const COUNTED: usize = 24;
/// Longest name beside the matrix, in units; the rest becomes an ellipsis.
const LONGEST_NAME: f64 = 130.0;
const MARGIN: f64 = 14.0;
const HEADER: f64 = 34.0;
/// The word "predicted" or "true", along an edge.
const AXIS: f64 = 24.0;
/// The scale of the colours below the matrix.
const SCALE: f64 = 58.0;

/// Where things are, in units.
struct Layout {
    cell: f64,
    text: f64,
    /// Room for the names beside the rows, and below the columns.
    names: f64,
    below: f64,
    /// Whether the names of the columns are written upwards, since they are wider than a column.
    turned: bool,
    side: f64,
    left: f64,
    top: f64,
}

impl Layout {
    fn new(classes: usize, names: f64) -> Self {
        // Counts of some digits fit into the larger cells; without them a cell is as high as its name.
        let (cell, text) = match classes {
            0..=12 => (44.0, BODY),
            13..=COUNTED => (32.0, 10.0),
            25..=128 => (12.0, 9.0),
            _ => (8.0, 7.0),
        };
        let widest = names * text / BODY;
        let turned = widest > cell - 4.0;
        let names = widest + 8.0;
        Self {
            cell,
            text,
            names,
            below: if turned { names } else { 20.0 },
            turned,
            side: cell * classes as f64,
            left: MARGIN + AXIS + names,
            top: HEADER,
        }
    }

    fn width(&self) -> f64 {
        (self.left + self.side + MARGIN).max(380.0)
    }

    fn height(&self) -> f64 {
        self.top + self.side + self.below + AXIS + SCALE + MARGIN
    }
}

/// Draws the matrix of `counts` of classes named `labels` as a PNG file.
///
/// # Errors
/// [`ReportError::Draw`].
pub(super) fn picture(
    labels: &[String],
    counts: &[Vec<usize>],
    theme: &Theme,
) -> Result<Vec<u8>, ReportError> {
    let mut widest = 0.0;
    draw(1.0, 1.0, theme, |area| {
        let style = font(BODY, theme.ink, HPos::Left, VPos::Center);
        let widths = labels.iter().map(|label| width_of(area, label, &style));
        widest = f64::from(widths.max().unwrap_or(0)) / f64::from(px(1.0));
        Ok(())
    })?;
    let layout = Layout::new(labels.len(), widest.min(LONGEST_NAME));
    draw(layout.width(), layout.height(), theme, |area| {
        paint_cells(area, &layout, counts, theme)?;
        paint_names(area, &layout, labels, theme)?;
        paint_scale(area, &layout, theme)
    })
}

/// The share of a row that `count` is, as a position on the colours: its root, so that rare confusions
/// are seen beside a full diagonal.
fn position(count: usize, row: &[usize]) -> f64 {
    let total: usize = row.iter().sum();
    (count as f64 / total.max(1) as f64).sqrt()
}

fn paint_cells(
    area: &Area<'_>,
    layout: &Layout,
    counts: &[Vec<usize>],
    theme: &Theme,
) -> Result<(), ReportError> {
    let gap = if layout.cell > 20.0 { 1.0 } else { 0.5 };
    for (y, row) in counts.iter().enumerate() {
        for (x, &count) in row.iter().enumerate() {
            let (left, top) = (
                layout.left + layout.cell * x as f64,
                layout.top + layout.cell * y as f64,
            );
            let color = ramp_color(&theme.ramp, position(count, row));
            let corners = [
                (px(left), px(top)),
                (
                    px(left + layout.cell - gap) - 1,
                    px(top + layout.cell - gap) - 1,
                ),
            ];
            area.draw(&Rectangle::new(corners, color.filled()))?;
            if count == 0 || counts.len() > COUNTED {
                continue;
            }
            let text = count.to_string();
            // Five digits and more are written smaller, so that they stay within their cell.
            let size = layout.text * (4.6 / text.len() as f64).min(1.0);
            let style = font(size, readable_on(color), HPos::Center, VPos::Center);
            let middle = layout.cell / 2.0;
            write(area, &text, (px(left + middle), px(top + middle)), &style)?;
        }
    }
    Ok(())
}

fn paint_names(
    area: &Area<'_>,
    layout: &Layout,
    labels: &[String],
    theme: &Theme,
) -> Result<(), ReportError> {
    let title = font(TITLE, theme.ink, HPos::Left, VPos::Center);
    write(
        area,
        "Confusion matrix",
        (px(MARGIN), px(HEADER / 2.0)),
        &title,
    )?;
    let row_style = font(layout.text, theme.ink, HPos::Right, VPos::Center);
    // Turned text is anchored as it is written: its right end is up.
    let column_style = match layout.turned {
        true => row_style.transform(FontTransform::Rotate270),
        false => font(layout.text, theme.ink, HPos::Center, VPos::Center),
    };
    let below = if layout.turned { 6.0 } else { 11.0 };
    let bottom = layout.top + layout.side;
    for (class, label) in labels.iter().enumerate() {
        let label = shortened(area, label, &row_style, px(layout.names - 8.0));
        let middle = layout.cell * (class as f64 + 0.5);
        let row = (px(layout.left - 6.0), px(layout.top + middle));
        write(area, &label, row, &row_style)?;
        let column = (px(layout.left + middle), px(bottom + below));
        write(area, &label, column, &column_style)?;
    }
    let axis = font(BODY, theme.muted, HPos::Center, VPos::Center);
    let middle = layout.side / 2.0;
    let below = (
        px(layout.left + middle),
        px(bottom + layout.below + AXIS / 2.0),
    );
    write(area, "predicted", below, &axis)?;
    let beside = (px(MARGIN + AXIS / 2.0 - 4.0), px(layout.top + middle));
    write(
        area,
        "true",
        beside,
        &axis.transform(FontTransform::Rotate270),
    )
}

fn paint_scale(area: &Area<'_>, layout: &Layout, theme: &Theme) -> Result<(), ReportError> {
    let width = layout.side.clamp(200.0, 320.0);
    let left = layout.left.min(layout.width() - width - MARGIN);
    let top = layout.height() - MARGIN - SCALE + 28.0;
    let steps = px(width);
    for x in 0..steps {
        let color = ramp_color(&theme.ramp, f64::from(x) / f64::from(steps - 1));
        let corners = [(px(left) + x, px(top)), (px(left) + x + 1, px(top + 10.0))];
        area.draw(&Rectangle::new(corners, color.filled()))?;
    }
    for share in [0.0_f64, 0.05, 0.25, 0.5, 1.0] {
        let x = left + width * share.sqrt();
        let horizontal = match share {
            0.0 => HPos::Left,
            1.0 => HPos::Right,
            _ => HPos::Center,
        };
        let style = font(10.0, theme.muted, horizontal, VPos::Top);
        let text = format!("{:.0} %", 100.0 * share);
        write(area, &text, (px(x), px(top + 14.0)), &style)?;
    }
    let style = font(10.0, theme.muted, HPos::Left, VPos::Bottom);
    let at = (px(left), px(top - 4.0));
    write(area, "share of the true class", at, &style)
}
