//! Columns that line up, for people and for `awk`.

use super::Style;

/// Which edge of a column its cells touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// The whole table, a line each, no line ending in spaces.
    pub(crate) fn render(&self, style: Style) -> String {
        let widths: Vec<usize> = (0..self.columns.len()).map(|at| self.width(at)).collect();
        let headings: Vec<String> =
            self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut text = style.bold(&self.line(&headings, &widths));
        for row in &self.rows {
            text.push('\n');
            text.push_str(&self.line(row, &widths));
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let heading = self.columns[column].0.chars().count();
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading]).max().unwrap_or(0)
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = cells.iter().zip(widths).zip(&self.columns).map(|((cell, width), column)| {
            let fill = " ".repeat(width - cell.chars().count());
            match column.1 {
                Align::Left => format!("{cell}{fill}"),
                Align::Right => format!("{fill}{cell}"),
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_alphabet() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SHARDS", Align::Right)]);
        table.row(vec!["größe".to_owned(), "4".to_owned()]);
        table.row(vec!["a".to_owned(), "1000".to_owned()]);
        let expected = "NAME   SHARDS\ngröße       4\na        1000";
        assert_eq!(table.render(Style::plain()), expected);
    }
}
