//! The report as one HTML page that needs nothing beside itself.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};

use super::confusion::COUNTED;
use super::files::{Pictures, Themed};
use super::{Report, ReportError, curves};
use crate::inspect::grouped;

const TEMPLATE: &str = include_str!("report.html");

/// Side of the square that a mistake's picture has on the page, in widths of a letter (`rem`).
const FRAME: f64 = 7.0;

/// Fills the template. Every text is escaped: names of classes come from data sets.
///
/// # Errors
/// [`ReportError::Page`] with what the template engine said.
pub(super) fn page(report: &Report, pictures: &Pictures) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let mut filter = |name: &'static str, format: fn(f64) -> String| {
        environment.add_filter(name, move |x: Value| number(&x, format));
    };
    filter("percent", |x| format!("{:.2} %", 100.0 * x));
    filter("share", |x| format!("{:.1}", 100.0 * x));
    filter("fixed", |x| format!("{x:.4}"));
    filter("two", |x| format!("{x:.2}"));
    filter("tenths", |x| format!("{x:.1}"));
    filter("whole", |x| grouped(x.round() as u64));
    filter("short", curves::shortest);
    environment.add_filter("grouped", grouped);
    let inline = |png: &[u8]| {
        let data = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
        Value::from_safe_string(data)
    };
    let both = |picture: &Themed| context! { light => inline(&picture.light), dark => inline(&picture.dark) };
    let panels = pictures.panels.iter();
    let panels: Vec<Value> = panels
        .map(|(title, picture)| context! { title => *title, picture => both(picture) })
        .collect();
    let mistakes = report.mistakes.iter().zip(&pictures.mistakes);
    let mistakes: Vec<Value> = mistakes
        .map(|(tile, png)| {
            let (width, height) = tile.fitted(FRAME);
            context! { data => inline(png), width, height }
        })
        .collect();
    let page = environment.render_str(
        TEMPLATE,
        context! {
            report => Value::from(Serde(report)),
            panels,
            confusion => both(&pictures.confusion),
            large => report.findings.classes.len() > COUNTED,
            mistakes,
            weights => pictures.weights.as_ref().map(both),
        },
    );
    page.map_err(ReportError::Page)
}

/// A number as `format` has it; a dash where there is none.
fn number(value: &Value, format: fn(f64) -> String) -> String {
    match f64::try_from(value.clone()) {
        Ok(x) if x.is_finite() => format(x),
        _ => "–".to_owned(),
    }
}
