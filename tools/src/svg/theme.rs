//! The colours and the style sheet that drawings and pages share.

use std::fmt::Write;

/// What drawings look like, in the colours of [`COLOURS`].
pub(crate) const STYLE: &str = include_str!("style.css");

/// The name of each colour, for bright screens and paper, and for dark screens. Those of lines and kinds can be told
/// apart with any kind of colour vision (Okabe and Ito's, darker or brighter where the ground asks for it).
const COLOURS: [(&str, &str, &str); 20] = [
    ("page", "#f6f8fa", "#0d1117"),
    ("card", "#ffffff", "#161b22"),
    ("ink", "#1f2328", "#e6edf3"),
    ("muted", "#59636e", "#9da7b3"),
    ("line", "#d8dee4", "#30363d"),
    ("bar", "#9ecae1", "#3a7fb8"),
    ("wrong", "#b54a00", "#e69f00"),
    ("cell", "#0b4f94", "#58a6ff"),
    ("on-cell", "#ffffff", "#0d1117"),
    ("empty", "#f3f5f7", "#1e242c"),
    ("series-1", "#0072b2", "#56b4e9"),
    ("series-2", "#d55e00", "#e69f00"),
    ("series-3", "#008060", "#2fc79a"),
    ("series-4", "#b04a86", "#e08fbf"),
    ("series-5", "#8a6d00", "#f0e442"),
    ("series-6", "#1a86c8", "#8ab8ff"),
    ("series-7", "#7a4a2a", "#d0996c"),
    ("series-8", "#5f6670", "#b6bec8"),
    ("edge", "#8c959f", "#6e7681"),
    ("quantized", "#f0f7f2", "#14241d"),
];

/// Lines of a diagram that have a colour of their own.
pub(crate) const SERIES: usize = 8;

/// The colours as variables of a page's style sheet.
pub(crate) fn variables() -> String {
    let of = |colour: fn(&(&str, &'static str, &'static str)) -> &'static str| {
        let mut text = String::new();
        for entry in &COLOURS {
            let _ = write!(text, " --{}: {};", entry.0, colour(entry));
        }
        text
    };
    format!(
        ":root {{ color-scheme: light dark;{} }}\n@media screen and (prefers-color-scheme: dark) {{\n:root {{{} }}\n}}\n",
        of(|entry| entry.1),
        of(|entry| entry.2)
    )
}

/// The style sheet of a drawing that stands alone, without variables: programs for slides and papers do not know them.
pub(super) fn standalone() -> String {
    let (mut light, mut dark) = (STYLE.to_owned(), STYLE.to_owned());
    for (name, on_light, on_dark) in &COLOURS {
        let variable = format!("var(--{name})");
        light = light.replace(&variable, on_light);
        dark = dark.replace(&variable, on_dark);
    }
    format!("{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n")
}
