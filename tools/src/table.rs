//! Tables on a terminal: a rule below the header, and no other lines.

use comfy_table::{CellAlignment, LineStyle, Row, Table, TableStyle};

/// A table without rows.
pub(crate) fn new(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('-').junction('-');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_header(header);
    table
}

/// Aligns columns of numbers, which are those from number `first` on.
pub(crate) fn align_numbers(table: &mut Table, first: usize) {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
