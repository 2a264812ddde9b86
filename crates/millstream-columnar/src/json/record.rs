//! A record: one JSON object or several, each a row, or none of them.

#[cfg(test)]
mod tests;
mod value;

use super::joda::Pattern;
use super::keys::{KeyRules, Target};
use super::node::Members;
use super::scan::Scanner;
use super::{Cause, Fault};
use crate::batch::{Batch, Column};
use crate::error::{ConversionError, SchemaError};
use crate::options::JsonReader;
use crate::schema::Schema;

/// Reads records into the columns of one table.
#[derive(Debug)]
pub(crate) struct Reader {
    columns: Members,
    rules: Rules,
}

/// What differs between the two readers.
#[derive(Debug)]
struct Rules {
    /// OpenX: text becomes numbers, one value an array, and so on.
    lenient: bool,
    /// Keys of maps, and of objects kept as text, are lowered.
    lower_keys: bool,
    timestamps: Vec<Pattern>,
}

/// Where a record is being read.
struct Cursor<'a> {
    scanner: Scanner<'a>,
    rules: &'a Rules,
}

impl Reader {
    /// Fails for a timestamp pattern that cannot be used.
    pub(crate) fn new(schema: &Schema, reader: &JsonReader) -> Result<Self, SchemaError> {
        let keys = KeyRules::new(reader);
        let rules = match reader {
            JsonReader::OpenX { .. } => {
                Rules { lenient: true, lower_keys: keys.case_insensitive, timestamps: Vec::new() }
            }
            JsonReader::Hive { timestamp_formats } => Rules {
                lenient: false,
                lower_keys: false,
                timestamps: timestamp_formats
                    .iter()
                    .map(|format| Pattern::parse(format))
                    .collect::<Result<_, _>>()?,
            },
        };
        Ok(Self { columns: Members::new(schema.fields(), &keys), rules })
    }

    /// Appends a record's rows; on an error the batch is as it was.
    ///
    /// Documented: a record may hold several objects, one behind the other, but not an array.
    pub(crate) fn read(&mut self, record: &[u8], batch: &mut Batch) -> Result<(), ConversionError> {
        if let Err(error) = std::str::from_utf8(record) {
            let what = format!("Invalid UTF-8 at byte {}", error.valid_up_to());
            return Err(ConversionError::parse(&what));
        }
        let rows = batch.rows;
        self.objects(record, batch).map_err(|fault| {
            batch.truncate(rows);
            explain(&fault, record)
        })
    }

    fn objects(&mut self, record: &[u8], batch: &mut Batch) -> Result<(), Fault> {
        let mut cursor = Cursor { scanner: Scanner::new(record), rules: &self.rules };
        cursor.scanner.blanks();
        if cursor.scanner.is_at_end() {
            // Observed on the service.
            return Err(Fault::data("The record was empty or contained only whitespace."));
        }
        while !cursor.scanner.is_at_end() {
            match cursor.scanner.peek() {
                b'{' => cursor.scanner.at += 1,
                first => return Err(cursor.no_object(first)),
            }
            cursor.members(&mut self.columns, &mut batch.columns, batch.rows + 1)?;
            batch.rows += 1;
            cursor.scanner.blanks();
        }
        Ok(())
    }
}

impl Cursor<'_> {
    fn no_object(&self, first: u8) -> Fault {
        let mut ahead = self.scanner;
        if let Err(fault) = ahead.skip() {
            return fault;
        }
        match first {
            b'[' if self.rules.lenient => super::mismatch("A JSON object is required."),
            // The words of Hive's SerDe.
            b'[' => super::mismatch("java.io.IOException: Start token not found where expected"),
            _ => Fault::data(
                "The input JSON contained a primitive at the top level. The top level must be an \
                 object or array.",
            ),
        }
    }

    /// Reads an object, whose opening brace is behind, into columns that have `slots` slots
    /// afterwards: members that are not there are null, and of those that are there twice the
    /// last one counts.
    fn members(
        &mut self,
        members: &mut Members,
        columns: &mut [Column],
        slots: usize,
    ) -> Result<(), Fault> {
        self.scanner.blanks();
        if self.scanner.peek() == b'}' {
            self.scanner.at += 1;
        } else {
            let mut position = 0;
            loop {
                let target = self.key(members, position)?;
                position += 1;
                self.member(target, members, columns, slots)?;
                if !self.scanner.more(b'}')? {
                    break;
                }
            }
        }
        for column in columns {
            if column.len() < slots {
                column.push_null();
            }
        }
        Ok(())
    }

    /// Steps over a key, its colon and blanks.
    #[inline]
    fn key(&mut self, members: &mut Members, position: usize) -> Result<Target, Fault> {
        let start = self.scanner.at;
        if let Some((target, bytes, colon)) =
            members.keys.recall(position, &self.scanner.text[start..])
        {
            self.scanner.at += bytes;
            if colon {
                self.scanner.blanks();
            } else {
                self.scanner.colon()?;
            }
            return Ok(target);
        }
        if self.scanner.peek() != b'"' {
            return Err(self.scanner.fault("was expecting double-quote to start field name"));
        }
        let quoted = self.scanner.string()?;
        let end = self.scanner.at + usize::from(self.scanner.peek() == b':');
        self.scanner.colon()?;
        let mut key = Vec::new();
        quoted.unescape(&mut key);
        Ok(members.keys.look_up(position, &self.scanner.text[start..end], key))
    }

    #[inline]
    fn member(
        &mut self,
        target: Target,
        members: &mut Members,
        columns: &mut [Column],
        slots: usize,
    ) -> Result<(), Fault> {
        let mut index = match target {
            Target::Nothing => return self.scanner.skip(),
            Target::Dotted(index) if columns[index].len() == slots => return self.scanner.skip(),
            Target::Field(index) | Target::Dotted(index) => index,
        };
        let start = self.scanner.at;
        loop {
            let column = &mut columns[index];
            if column.len() == slots {
                column.truncate(slots - 1);
            }
            self.value(&mut members.nodes[index], column)?;
            match members.keys.next[index] {
                Some(next) => {
                    index = next;
                    self.scanner.at = start;
                }
                None => return Ok(()),
            }
        }
    }
}

/// Firehose's code and words for a fault.
#[cold]
fn explain(fault: &Fault, record: &[u8]) -> ConversionError {
    // A record that is not JSON to its end is a parse error, whatever came before.
    match (&*fault.0, broken(record)) {
        (Cause::Syntax { at, what }, _) => ConversionError::parse(&unexpected(record, *at, what)),
        (Cause::Data(_), Some((at, what))) => ConversionError::parse(&unexpected(record, at, what)),
        (Cause::Data(what), None) => ConversionError::malformed(what.clone()),
    }
}

/// Where a record stops being JSON.
fn broken(record: &[u8]) -> Option<(usize, &'static str)> {
    let mut scanner = Scanner::new(record);
    loop {
        scanner.blanks();
        if scanner.is_at_end() {
            return None;
        }
        if let Err(fault) = scanner.skip()
            && let Cause::Syntax { at, what } = *fault.0
        {
            return Some((at, what));
        }
    }
}

/// In Jackson's way: what was found, what was expected, and where.
fn unexpected(record: &[u8], at: usize, what: &str) -> String {
    let before = &record[..at.min(record.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let found =
        std::str::from_utf8(&record[before.len()..]).ok().and_then(|rest| rest.chars().next());
    match found {
        None => format!("Unexpected end-of-input: {what} (line: {line}, column: {column})"),
        Some(c) => {
            let code = u32::from(c);
            format!(
                "Unexpected character ('{c}' (code {code})): {what} (line: {line}, column: {column})"
            )
        }
    }
}
