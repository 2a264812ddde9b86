//! Rows of a table, out of objects' bytes, in the form that `COPY ... FROM STDIN` takes.
//!
//! Owns the way from bytes to lines of PostgreSQL's text format: unpack, skip the header, find
//! each row's end, read its fields by the rules, write them. Bytes come in pieces of any size;
//! what is held is one unfinished row, bounded.

mod csv;
mod delimited;
mod json;
mod writer;

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::rules::{Format, Rules};

pub(super) use writer::Column;
use writer::RowWriter;

/// One row at most (documented by Redshift: 4 MB; ours, above it).
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why bytes are no rows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowError {
    /// One of the rows, counted from 1.
    #[error("{object}, row {row}: {reason}")]
    Row { object: String, row: u64, reason: String },
    /// The object is not packed as it should be.
    #[error("{object} is not gzip: {reason}")]
    Packing { object: String, reason: String },
}

/// Turns one object's bytes into rows.
pub(super) struct Reader<'a> {
    object: String,
    rules: &'a Rules,
    unpack: Option<MultiGzDecoder<Vec<u8>>>,
    /// Bytes whose row is not over.
    rest: Vec<u8>,
    header_lines: u64,
    row: u64,
    writer: RowWriter<'a>,
}

/// Where a row ends.
enum End {
    /// It takes `bytes` of them, the first `row` of which are the row.
    At { row: usize, bytes: usize },
    /// Not yet.
    Open,
}

impl<'a> Reader<'a> {
    /// A reader of an object that is called `object` in errors.
    pub(super) fn new(object: &str, rules: &'a Rules, columns: &'a [Column]) -> Self {
        Self {
            object: object.to_owned(),
            rules,
            unpack: rules.gzip.then(|| MultiGzDecoder::new(Vec::new())),
            rest: Vec::new(),
            header_lines: rules.header_lines,
            row: 0,
            writer: RowWriter::new(rules, columns),
        }
    }

    /// Takes the object's next bytes: the rows that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, RowError> {
        match &mut self.unpack {
            None => self.rest.extend_from_slice(bytes),
            Some(unpack) => {
                let unpacked = unpack.write_all(bytes);
                self.rest.append(unpack.get_mut());
                unpacked.map_err(|error| self.packing_error(&error))?;
            }
        }
        self.read_rows(false)
    }

    /// The object is over: its last rows.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, RowError> {
        if let Some(mut unpack) = self.unpack.take() {
            let unpacked = unpack.try_finish();
            self.rest.append(unpack.get_mut());
            unpacked.map_err(|error| self.packing_error(&error))?;
        }
        self.read_rows(true)
    }

    fn read_rows(&mut self, is_last: bool) -> Result<Vec<u8>, RowError> {
        let bytes = std::mem::take(&mut self.rest);
        let mut at = 0;
        while self.header_lines > 0 {
            match memchr(b'\n', &bytes[at..]) {
                Some(end) => at += end + 1,
                None if is_last => return Ok(Vec::new()),
                None => break,
            }
            self.header_lines -= 1;
        }
        while self.header_lines == 0 && at < bytes.len() {
            let End::At { row, bytes: taken } = self.end_of_row(&bytes[at..], is_last)? else {
                break;
            };
            self.row += 1;
            let row = &bytes[at..at + row];
            self.read_row(row).map_err(|reason| self.error(&reason))?;
            at += taken;
        }
        self.rest = bytes[at..].to_vec();
        if self.rest.len() > ROW_BYTES_MAX {
            self.row += 1;
            return Err(self.error(&format!("it is above {ROW_BYTES_MAX} bytes")));
        }
        Ok(self.writer.take())
    }

    fn end_of_row(&self, bytes: &[u8], is_last: bool) -> Result<End, RowError> {
        match &self.rules.format {
            Format::Delimited { escape, .. } => Ok(delimited::end_of_row(bytes, *escape, is_last)),
            Format::Csv { quote } => csv::end_of_row(bytes, *quote, is_last)
                .map_err(|reason| self.error_at(self.row + 1, &reason)),
            Format::Json { .. } => json::end_of_row(bytes, is_last)
                .map_err(|reason| self.error_at(self.row + 1, &reason)),
        }
    }

    fn read_row(&mut self, row: &[u8]) -> Result<(), String> {
        let is_blank = row.trim_ascii().is_empty();
        match &self.rules.format {
            // Between objects there may be anything that JSON ignores.
            Format::Json { .. } if is_blank => Ok(()),
            Format::Json { ignore_case } => json::read(row, *ignore_case, &mut self.writer),
            Format::Delimited { .. } | Format::Csv { .. }
                if is_blank && self.rules.ignore_blank_lines =>
            {
                Ok(())
            }
            Format::Delimited { escape, remove_quotes } => {
                let delimiter = self.rules.delimiter;
                delimited::read(row, delimiter, *escape, *remove_quotes, &mut self.writer)
            }
            Format::Csv { quote } => csv::read(row, self.rules.delimiter, *quote, &mut self.writer),
        }
    }

    fn error(&self, reason: &str) -> RowError {
        self.error_at(self.row, reason)
    }

    fn error_at(&self, row: u64, reason: &str) -> RowError {
        RowError::Row { object: self.object.clone(), row, reason: reason.to_owned() }
    }

    fn packing_error(&self, error: &std::io::Error) -> RowError {
        RowError::Packing { object: self.object.clone(), reason: error.to_string() }
    }
}

fn memchr(needle: u8, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == needle)
}

/// A line without the carriage return at its end.
fn without_return(line: &[u8]) -> usize {
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

#[cfg(test)]
mod tests;
