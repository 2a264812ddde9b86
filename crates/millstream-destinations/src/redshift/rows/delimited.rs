//! Rows of fields between delimiters, a line each.

use super::writer::RowWriter;
use super::{End, without_return};

pub(super) fn end_of_row(bytes: &[u8], escape: bool, is_last: bool) -> End {
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' && !is_escaped {
            return End::At { row: without_return(&bytes[..at]), bytes: at + 1 };
        }
        is_escaped = escape && *byte == b'\\' && !is_escaped;
    }
    if is_last { End::At { row: without_return(bytes), bytes: bytes.len() } } else { End::Open }
}

pub(super) fn read(
    row: &[u8],
    delimiter: u8,
    escape: bool,
    remove_quotes: bool,
    writer: &mut RowWriter<'_>,
) -> Result<(), String> {
    let mut rest = row;
    loop {
        let end = end_of_field(rest, delimiter, escape);
        let raw = &rest[..end];
        let text = if remove_quotes { unquoted(raw) } else { raw };
        // What stands for no value is told apart before escapes are resolved: `\N`.
        if escape && text != b"\\N" && text.contains(&b'\\') {
            writer.field(&unescaped(text))?;
        } else {
            writer.field(text)?;
        }
        match rest.get(end + 1..) {
            Some(behind) => rest = behind,
            None => return writer.end(),
        }
    }
}

fn end_of_field(bytes: &[u8], delimiter: u8, escape: bool) -> usize {
    let mut is_escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == delimiter && !is_escaped {
            return at;
        }
        is_escaped = escape && *byte == b'\\' && !is_escaped;
    }
    bytes.len()
}

/// Without a pair of quotes around it, single or double.
fn unquoted(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        plain => plain,
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        // A backslash at the very end stands for itself.
        plain.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    plain
}
