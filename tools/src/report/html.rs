//! The report as one HTML page that needs nothing beside itself.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::files::CONFUSION;
use super::tiles::Tile;
use super::{Report, ReportError, confusion, curves};
use crate::page;
use crate::svg::Drawing;
use crate::train::Origin;

const TEMPLATE: &str = include_str!("report.html");

/// Side of the square that a mistake's picture has on the page, in widths of a letter (`rem`).
const FRAME: f64 = 7.0;

/// Fills the template.
///
/// # Errors
/// [`ReportError::Draw`], or [`ReportError::Page`] with what the template engine said.
pub(super) fn page(report: &Report) -> Result<String, ReportError> {
    let inline = |drawing: &Drawing, label: &str| Value::from_safe_string(drawing.inline(label));
    let panels = curves::panels(&report.history, report.best_epoch);
    let panels: Vec<Value> = panels
        .iter()
        .map(|panel| inline(&panel.drawing(), &format!("{} by epoch", panel.title)))
        .collect();
    let findings = report.findings.as_ref();
    let matrix =
        findings.map(|findings| confusion::drawing(&findings.labels(), &findings.confusion));
    let picture = |tile: &Tile, side| {
        let (width, height) = tile.fitted(side);
        let data = format!(
            "data:image/png;base64,{}",
            BASE64_STANDARD.encode(tile.png()?)
        );
        Ok(context! { data => Value::from_safe_string(data), width, height })
    };
    let pictures = |tiles: &[Tile], side| -> Result<Vec<Value>, ReportError> {
        tiles.iter().map(|tile| picture(tile, side)).collect()
    };
    let weights = report.first_layer.as_ref();
    let weights = weights.map(|weights| pictures(&weights.tiles, weights.side()));
    let origin = report.origin.as_ref();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let values = context! {
        report => Value::from(Serde(report)),
        noun => report.noun,
        date => or_dash(origin.map(|origin| origin.date.clone())),
        machine => or_dash(origin.map(Origin::machine)),
        kinglet => or_dash(origin.map(|origin| origin.kinglet.clone())),
        panels,
        confusion => matrix.as_ref().map(|matrix| inline(matrix, CONFUSION)),
        confusion_width => matrix.as_ref().map(Drawing::width),
        mistakes => pictures(&report.mistakes, FRAME)?,
        weights => weights.transpose()?,
    };
    page::render(TEMPLATE, values).map_err(ReportError::Page)
}
