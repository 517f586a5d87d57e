//! Text in drawings: made harmless, and short enough.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Width of a column of text as a share of the size of letters: Latin letters in usual fonts have a little less on
/// average, Chinese ones, of two columns, a little less too.
const COLUMN: f64 = 0.58;

/// `text` within XML or HTML, between tags or within quotes. What XML cannot say at all becomes U+FFFD.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || !is_xml(c);
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c if is_xml(c) => escaped.push(c),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(escaped)
}

/// XML 1.0's `Char`.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// About how wide `text` is at a size of letters. The reader's fonts are not known here.
pub(crate) fn width_of(text: &str, size: f64) -> f64 {
    text.width() as f64 * COLUMN * size
}

/// `text`, or as much of its beginning as fits into `width`, with an ellipsis.
pub(crate) fn shortened(text: &str, size: f64, width: f64) -> Cow<'_, str> {
    if width_of(text, size) <= width {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut columns = 1;
    for c in text.chars() {
        columns += c.width().unwrap_or(0);
        if columns as f64 * COLUMN * size > width {
            break;
        }
        kept.push(c);
    }
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// The words of `text` in lines of at most `width`; a longer word has a line of its own, shortened. Spaces that do not
/// break are part of words.
pub(crate) fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if let Some(line) = lines.last_mut()
            && width_of(line, size) + width_of(word, size) + COLUMN * size <= width
        {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(shortened(word, size, width).into_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_xml_is_escaped() {
        assert_eq!(escape("日本 Öl"), "日本 Öl");
        assert_eq!(escape("<a b='c'>&\""), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;");
        assert_eq!(escape("a\u{0}b\u{ffff}\tc"), "a\u{fffd}b\u{fffd}\tc");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis_within_its_width() {
        let text = shortened("Großes Ungeheuer im Wald", 12.0, 60.0);
        assert!(text.starts_with("Große") && text.ends_with('…'), "{text}");
        assert!(width_of(&text, 12.0) <= 60.0);
        assert_eq!(shortened("ab", 12.0, 60.0), "ab");
        assert_eq!(shortened("ab", 12.0, 0.0), "…");
        assert_eq!(shortened("日本語", 10.0, 20.0), "日…");
    }

    #[test]
    fn words_stay_whole_where_they_can() {
        let lines = wrapped("Conv2d 3x3 stride 2 padding 1", 10.0, 70.0);
        assert_eq!(lines, ["Conv2d 3x3", "stride 2", "padding 1"]);
        let long = wrapped("a bbbbbbbbbbbbbbbbbbbb", 10.0, 40.0);
        assert_eq!(long, ["a", "bbbbb…"]);
        assert_eq!(wrapped("", 10.0, 40.0), Vec::<String>::new());
    }
}
