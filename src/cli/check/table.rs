//! Tables that fit a terminal of a hundred columns: a heading, a line under it, no other lines.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

/// Columns of the terminal that the output is made for.
pub(super) const WIDTH: usize = 100;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table as text. Cells that are too wide for it are wrapped.
pub(in crate::cli) fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).force_no_tty().set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(WIDTH).unwrap_or(u16::MAX)).set_header(heading).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((1, 0));
    }
    // Names are broken where they have a hyphen, if they must be.
    if let Some(names) = table.column_mut(0) {
        names.set_delimiter('-');
    }
    table.trim_fmt() + "\n"
}

/// A paragraph behind `margin`, wrapped at blanks.
pub(super) fn paragraph(text: &str, margin: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from(margin);
    for word in text.split_whitespace() {
        let full = line.chars().count() + word.chars().count() > WIDTH;
        if full && line.len() > margin.len() {
            lines.push_str(line.trim_end());
            lines.push('\n');
            // What follows the first line is set in, so that one sees where the next paragraph begins.
            line = format!("{margin}  ");
        }
        line.push_str(word);
        line.push(' ');
    }
    lines + line.trim_end() + "\n"
}
