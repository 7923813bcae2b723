//! Tables of text in columns as wide as what stands in them.

use unicode_width::UnicodeWidthStr;

use crate::text;

/// A table under construction. Cells are made harmless to a terminal as they come in.
#[derive(Debug)]
pub(crate) struct Table {
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// A table with these headings; a heading that begins with `>` is of a column of numbers.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let plain = headings
            .iter()
            .map(|h| h.trim_start_matches('>').to_owned());
        Self {
            right: headings.iter().map(|h| h.starts_with('>')).collect(),
            rows: vec![plain.collect()],
            indent: 0,
        }
    }

    /// The same, further to the right.
    #[must_use]
    pub(crate) fn indent(mut self, columns: usize) -> Self {
        self.indent = columns;
        self
    }

    /// Adds a row.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let tame = |cell: S| text::line(cell.as_ref()).into_owned();
        self.rows.push(cells.into_iter().map(tame).collect());
    }

    /// The table as text, a line a row.
    pub(crate) fn render(&self) -> String {
        let columns = self.right.len();
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row: &Vec<String>| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (column, cell) in row.iter().enumerate().take(columns) {
                let pad = " ".repeat(widths[column].saturating_sub(cell.width()));
                if column > 0 {
                    line.push_str("  ");
                }
                if self.right[column] {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_in_every_script() {
        let mut table = Table::new(&["VM", ">SIZE", "WHY"]).indent(2);
        table.row(["数据", "1.0 GiB", "x"]);
        table.row(["a\nb", "3 B", ""]);
        let text = table.render();
        assert_eq!(
            text,
            "  VM          SIZE  WHY\n  数据     1.0 GiB  x\n  a\\u{a}b      3 B\n"
        );
    }
}
