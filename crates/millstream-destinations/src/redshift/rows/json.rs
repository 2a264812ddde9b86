//! Rows that are JSON objects, one after another with or without blanks between them.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::End;
use super::writer::RowWriter;

/// An object ends with the brace that closes its first. Only braces and texts are looked at: a
/// row that is no JSON otherwise is found when it is read.
pub(super) fn end_of_row(bytes: &[u8], is_last: bool) -> Result<End, String> {
    let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if blanks > 0 {
        // A row of blanks, which is none.
        return Ok(End::At { row: blanks, bytes: blanks });
    }
    if bytes.first() != Some(&b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match (in_text, *byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(End::At { row: at + 1, bytes: at + 1 });
                }
            }
            _ => {}
        }
    }
    if is_last { Err("its JSON object is cut short".to_owned()) } else { Ok(End::Open) }
}

/// A member for each column, found by its name; none where there is none.
pub(super) fn read(
    row: &[u8],
    ignore_case: bool,
    writer: &mut RowWriter<'_>,
) -> Result<(), String> {
    let members: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(row).map_err(|error| format!("it is no JSON: {error}"))?;
    let members: HashMap<Cow<'_, str>, &RawValue> = if ignore_case {
        let small = |name: Cow<'_, str>| Cow::Owned(name.to_lowercase());
        members.into_iter().map(|(name, value)| (small(name), value)).collect()
    } else {
        members
    };
    for column in writer.columns() {
        let small;
        let name = if ignore_case {
            small = column.name.to_lowercase();
            small.as_str()
        } else {
            column.name.as_str()
        };
        match members.get(name).map(|value| value.get()) {
            None | Some("null") => writer.push(None)?,
            Some(text) if text.starts_with('"') => {
                let text: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
                writer.field(text.as_bytes())?;
            }
            // Numbers keep all their digits; what is nested is its own JSON.
            Some(other) => writer.value(other.as_bytes())?,
        }
    }
    writer.end()
}
