//! Tables on a terminal.

use comfy_table::{LineStyle, Table, TableStyle};

/// A table without rows: plain text, a rule below the header.
pub(crate) fn with_header<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('-').junction('-');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_header(header);
    table
}
