//! HTML pages that need nothing beside themselves: no scripts, no fonts, no address of anything else.

use minijinja::{AutoEscape, Environment, Value};

use crate::digits::grouped;
use crate::svg;

/// What pages have in common.
const FRAME: &str = include_str!("frame.html");
const STYLE: &str = include_str!("style.css");

/// Fills `template`, which extends `frame.html`. Every text is escaped: names come from data sets and folders.
///
/// # Errors
/// What the template engine says.
pub(crate) fn render(template: &str, values: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let mut filter = |name: &'static str, format: fn(f64) -> String| {
        environment.add_filter(name, move |x: Value| number(&x, format));
    };
    filter("percent", percent);
    filter("share", |x| format!("{:.1}", 100.0 * x));
    filter("fixed", fixed);
    filter("two", |x| format!("{x:.2}"));
    filter("tenths", |x| format!("{x:.1}"));
    filter("whole", |x| grouped(x.round() as u64));
    filter("short", svg::chart::shortest);
    filter("duration", duration);
    environment.add_filter("grouped", grouped);
    let style = format!("{}{}{STYLE}", svg::variables(), svg::STYLE);
    environment.add_global("style", Value::from_safe_string(style));
    environment.add_template("frame.html", FRAME)?;
    environment.render_str(template, values)
}

/// A share as a percentage.
pub(crate) fn percent(x: f64) -> String {
    format!("{:.2} %", 100.0 * x)
}

/// A loss.
pub(crate) fn fixed(x: f64) -> String {
    format!("{x:.4}")
}

/// Seconds as people say them.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number as `format` has it; a dash where there is none.
fn number(value: &Value, format: fn(f64) -> String) -> String {
    match f64::try_from(value.clone()) {
        Ok(x) if x.is_finite() => format(x),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        assert_eq!(duration(0.04), "0.0 s");
        assert_eq!(duration(59.4), "59.4 s");
        assert_eq!(duration(59.6), "1 min 00 s");
        assert_eq!(duration(725.0), "12 min 05 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
    }
}
