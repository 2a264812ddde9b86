//! Text of columns: lengths, and JSON that is kept as text.

use super::Fault;
use super::keys::fold;
use super::scan::Scanner;

/// Cuts the text from `start` on to a column's length, in characters; blanks at its end go where
/// the type pads with them.
pub(super) fn limit(data: &mut Vec<u8>, start: usize, characters_max: Option<u32>, trimmed: bool) {
    if let Some(most) = characters_max.map(|most| most as usize) {
        // Fewer bytes than characters are allowed: nothing to count.
        if data.len() - start > most {
            let text = std::str::from_utf8(&data[start..]).unwrap_or("");
            if let Some((at, _)) = text.char_indices().nth(most) {
                data.truncate(start + at);
            }
        }
    }
    if trimmed {
        while data.len() > start && data.last() == Some(&b' ') {
            data.pop();
        }
    }
}

/// Appends the value that comes next as JSON without blanks, with its keys lowered where `lower`
/// says so: what OpenX leaves in a text column (observed).
pub(super) fn compact(
    scanner: &mut Scanner<'_>,
    lower: bool,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let start = scanner.at;
    // The end first: then what follows knows that the text is JSON, and how deep it is.
    scanner.skip()?;
    let mut inner = Scanner { text: &scanner.text[..scanner.at], at: start };
    append(&mut inner, lower, out)
}

fn append(scanner: &mut Scanner<'_>, lower: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
    match scanner.peek() {
        b'{' => {
            out.push(b'{');
            scanner.at += 1;
            let mut first = true;
            scanner.each(b'}', |scanner| {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                let mut key = scanner.string()?.raw.to_vec();
                if lower {
                    // Escapes survive: their letters are lower case, and digits have no case.
                    fold(&mut key);
                }
                out.push(b'"');
                out.extend_from_slice(&key);
                out.extend_from_slice(b"\":");
                scanner.colon()?;
                append(scanner, lower, out)
            })?;
            out.push(b'}');
        }
        b'[' => {
            out.push(b'[');
            scanner.at += 1;
            let mut first = true;
            scanner.each(b']', |scanner| {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                append(scanner, lower, out)
            })?;
            out.push(b']');
        }
        _ => {
            let start = scanner.at;
            scanner.skip()?;
            out.extend_from_slice(&scanner.text[start..scanner.at]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_characters_not_bytes() {
        let rows = [
            ("abc", Some(3), false, "abc"),
            ("abcd", Some(3), false, "abc"),
            ("äöüß", Some(3), false, "äöü"),
            ("ab  ", Some(3), false, "ab "),
            ("ab  ", Some(3), true, "ab"),
            ("a  ", Some(9), true, "a"),
            ("   ", Some(2), true, ""),
            ("ab ", None, false, "ab "),
        ];
        for (given, most, trimmed, expected) in rows {
            let mut data = format!("before {given}").into_bytes();
            limit(&mut data, 7, most, trimmed);
            assert_eq!(&data[7..], expected.as_bytes(), "{given:?}");
        }
    }

    #[test]
    fn json_as_text_loses_blanks_and_the_case_of_keys() {
        let text =
            r#" { "Outer" : { "In\u00E9\"r" : [ 1.50 , "A b" , null ] } , "ÄB":{}, "e":[ ] } "#;
        let rows = [
            (true, r#"{"outer":{"in\u00e9\"r":[1.50,"A b",null]},"äb":{},"e":[]}"#),
            (false, r#"{"Outer":{"In\u00E9\"r":[1.50,"A b",null]},"ÄB":{},"e":[]}"#),
        ];
        for (lower, expected) in rows {
            let mut scanner = Scanner { text: text.as_bytes(), at: 1 };
            let mut out = Vec::new();
            compact(&mut scanner, lower, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
            assert_eq!(scanner.at, text.len() - 1);
        }
    }
}
