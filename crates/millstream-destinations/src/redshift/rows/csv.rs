//! Rows of fields that may stand in quotes, within which a quote is written twice.

use super::writer::RowWriter;
use super::{End, without_return};

pub(super) fn end_of_row(bytes: &[u8], quote: u8, is_last: bool) -> Result<End, String> {
    let mut is_quoted = false;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == quote {
            is_quoted = !is_quoted;
        } else if *byte == b'\n' && !is_quoted {
            return Ok(End::At { row: without_return(&bytes[..at]), bytes: at + 1 });
        }
    }
    match (is_last, is_quoted) {
        (true, true) => Err("its last field has no closing quote".to_owned()),
        (true, false) => Ok(End::At { row: without_return(bytes), bytes: bytes.len() }),
        (false, _) => Ok(End::Open),
    }
}

pub(super) fn read(
    row: &[u8],
    delimiter: u8,
    quote: u8,
    writer: &mut RowWriter<'_>,
) -> Result<(), String> {
    let mut rest = row;
    loop {
        let behind = if rest.first() == Some(&quote) {
            let (text, behind) = quoted(&rest[1..], quote)?;
            // In quotes everything is a value.
            writer.value(&text)?;
            behind
        } else {
            let end = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
            writer.field(&rest[..end])?;
            &rest[end..]
        };
        match behind.split_first() {
            Some((byte, after)) if *byte == delimiter => rest = after,
            Some(_) => return Err("text stands behind a closing quote".to_owned()),
            None => return writer.end(),
        }
    }
}

/// A field whose opening quote is gone already, and what is behind its closing one.
fn quoted(inner: &[u8], quote: u8) -> Result<(Vec<u8>, &[u8]), String> {
    let mut text = Vec::new();
    let mut rest = inner;
    loop {
        let end = rest
            .iter()
            .position(|byte| *byte == quote)
            .ok_or_else(|| "a field has no closing quote".to_owned())?;
        text.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        if rest.first() != Some(&quote) {
            return Ok((text, rest));
        }
        text.push(quote);
        rest = &rest[1..];
    }
}
