//! Rows in PostgreSQL's text format: fields between tabs, `\N` for no value, a line each.

use super::super::rules::Rules;

/// A column that rows are read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::redshift) struct Column {
    /// Its name.
    pub(in crate::redshift) name: String,
    /// Whether it holds text: an empty field is then an empty text, and otherwise no value.
    pub(in crate::redshift) is_text: bool,
}

/// Takes fields, gives lines.
pub(super) struct RowWriter<'a> {
    rules: &'a Rules,
    columns: &'a [Column],
    out: Vec<u8>,
    /// Fields of the row under way.
    fields: usize,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(rules: &'a Rules, columns: &'a [Column]) -> Self {
        Self { rules, columns, out: Vec::new(), fields: 0 }
    }

    pub(super) fn columns(&self) -> &'a [Column] {
        self.columns
    }

    /// The lines so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The next field, as text that may stand for no value.
    pub(super) fn field(&mut self, text: &[u8]) -> Result<(), String> {
        if text == self.rules.null.as_bytes() {
            return self.push(None);
        }
        self.value(text)
    }

    /// The next field, which is a value, though an empty one may be none.
    pub(super) fn value(&mut self, text: &[u8]) -> Result<(), String> {
        let is_text = self.columns.get(self.fields).is_some_and(|column| column.is_text);
        let is_empty = text.is_empty();
        let is_blank = !is_empty && text.iter().all(u8::is_ascii_whitespace);
        let is_null = match (is_empty, is_blank, is_text) {
            (true, _, true) => self.rules.empty_as_null,
            (true, _, false) => true,
            (_, true, true) => self.rules.blanks_as_null,
            _ => false,
        };
        if is_null {
            return self.push(None);
        }
        let text = if self.rules.trim_blanks && is_text { text.trim_ascii_end() } else { text };
        self.push(Some(text))
    }

    /// The next field.
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), String> {
        if self.fields == self.columns.len() {
            return Err(format!("it has more than {} fields", self.columns.len()));
        }
        if self.fields > 0 {
            self.out.push(b'\t');
        }
        self.fields += 1;
        let Some(value) = value else {
            self.out.extend_from_slice(b"\\N");
            return Ok(());
        };
        if std::str::from_utf8(value).is_err() {
            return Err(format!("its field {} is not UTF-8", self.fields));
        }
        for byte in value {
            match byte {
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                0 => return Err(format!("its field {} holds a zero byte", self.fields)),
                plain => self.out.push(*plain),
            }
        }
        Ok(())
    }

    /// The row is over.
    pub(super) fn end(&mut self) -> Result<(), String> {
        while self.fields < self.columns.len() {
            if !self.rules.fill_record {
                let (has, wants) = (self.fields, self.columns.len());
                return Err(format!("it has {has} fields, and the table takes {wants}"));
            }
            self.push(None)?;
        }
        self.out.push(b'\n');
        self.fields = 0;
        Ok(())
    }
}
