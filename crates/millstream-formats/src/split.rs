//! De-aggregation: one record that a producer packed several into, cut apart.
//!
//! Owns both forms of `RecordDeAggregation`. Pieces share the record's memory and stay in order;
//! nothing is lost but what lies between them. A record of more than [`PIECES_MAX`] pieces goes on
//! whole, as the service's does. Time is linear in the record.
//! Source: the guide's "Apply dynamic partitioning to aggregated data", and `PutRecordBatch` of
//! the API reference for the limit.

use bytes::Bytes;
use memchr::{memchr2, memmem};

/// Pieces of one record at most (documented).
pub const PIECES_MAX: usize = 500;

/// Why a record cannot be cut at JSON objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Something else than an object begins there, an array for example.
    #[error("expected a JSON object at byte {at}")]
    NotAnObject {
        /// Bytes before it.
        at: usize,
    },
    /// The last object does not end.
    #[error("the JSON object at byte {at} has no end")]
    Unfinished {
        /// Bytes before it.
        at: usize,
    },
    /// There is nothing but white space.
    #[error("there is no JSON object")]
    Empty,
}

/// The objects of `record`, which stand one after another, with white space or nothing between
/// them. Their braces and strings are minded; whether they are valid is for those who read them.
pub fn json(record: &Bytes) -> Result<Vec<Bytes>, SplitError> {
    let mut pieces = Vec::new();
    let mut at = skip_white_space(record, 0);
    if at == record.len() {
        return Err(SplitError::Empty);
    }
    while at < record.len() {
        if record[at] != b'{' {
            return Err(SplitError::NotAnObject { at });
        }
        let end = object_end(record, at).ok_or(SplitError::Unfinished { at })?;
        if pieces.len() <= PIECES_MAX {
            pieces.push(record.slice(at..end));
        }
        at = skip_white_space(record, end);
    }
    Ok(whole_beyond_limit(pieces, record))
}

/// The bytes of `record` between occurrences of `delimiter`, which must not be empty. Where there
/// are none between two, there is no piece: a record of delimiters alone has none at all.
pub fn delimited(record: &Bytes, delimiter: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let ends = memmem::find_iter(record, delimiter).chain([record.len()]);
    for end in ends.take_while(|_| !delimiter.is_empty()) {
        if end > from {
            pieces.push(record.slice(from..end));
        }
        if pieces.len() > PIECES_MAX {
            break;
        }
        from = end + delimiter.len();
    }
    debug_assert!(!delimiter.is_empty(), "the configuration refuses an empty delimiter");
    whole_beyond_limit(pieces, record)
}

fn whole_beyond_limit(pieces: Vec<Bytes>, record: &Bytes) -> Vec<Bytes> {
    if pieces.len() > PIECES_MAX { vec![record.clone()] } else { pieces }
}

fn skip_white_space(record: &[u8], from: usize) -> usize {
    let rest = &record[from..];
    let count = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    from + count
}

/// Where the object that begins at `start` ends, the closing brace included.
fn object_end(record: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    while at < record.len() {
        match record[at] {
            b'"' => at = string_end(record, at)?,
            b'{' => {
                depth += 1;
                at += 1;
            }
            b'}' => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Where the string that begins at `start` ends, the closing quote included.
fn string_end(record: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr2(b'"', b'\\', record.get(at..)?)?;
        if record[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json_of(text: &str) -> Result<Vec<String>, SplitError> {
        let pieces = json(&Bytes::copy_from_slice(text.as_bytes()))?;
        Ok(pieces.iter().map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect())
    }

    #[test]
    fn the_guides_examples_are_cut_and_refused_as_it_says() {
        assert_eq!(json_of(r#"{"a":1}{"a":2}"#).unwrap(), [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(json_of("{\"a\":1}\n{\"a\":2}").unwrap(), [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(json_of(r#"[{"a":1}, {"a":2}]"#), Err(SplitError::NotAnObject { at: 0 }));
        let record = Bytes::from_static(b"one####two####");
        assert_eq!(delimited(&record, b"####"), ["one", "two"]);
    }

    #[test]
    fn braces_count_only_outside_of_strings() {
        let nested = r#"{"a":{"b":["}{",{}]},"c":"\"}","d":"\\"}"#;
        assert_eq!(json_of(&format!(" {nested}\r\n\t{nested} ")).unwrap(), [nested, nested]);
    }

    #[test]
    fn what_is_no_row_of_objects_says_where() {
        let rows = [
            ("", SplitError::Empty),
            (" \n", SplitError::Empty),
            ("{}x", SplitError::NotAnObject { at: 2 }),
            ("{} 1", SplitError::NotAnObject { at: 3 }),
            ("{},{}", SplitError::NotAnObject { at: 2 }),
            ("{}{", SplitError::Unfinished { at: 2 }),
            ("{\"", SplitError::Unfinished { at: 0 }),
            ("{\"\\", SplitError::Unfinished { at: 0 }),
            ("{\"}", SplitError::Unfinished { at: 0 }),
        ];
        for (text, error) in rows {
            assert_eq!(json_of(text), Err(error), "{text}");
        }
    }

    #[test]
    fn beyond_five_hundred_pieces_the_record_goes_on_whole() {
        let record = |pieces: usize| Bytes::from("{}\n".repeat(pieces));
        assert_eq!(json(&record(500)).unwrap().len(), 500);
        assert_eq!(json(&record(501)).unwrap(), [record(501)]);
        assert_eq!(delimited(&record(500), b"\n").len(), 500);
        assert_eq!(delimited(&record(501), b"\n"), [record(501)]);
        let broken = Bytes::from("{}".repeat(501) + "x");
        assert_eq!(json(&broken), Err(SplitError::NotAnObject { at: 1_002 }));
    }

    #[test]
    fn a_record_without_the_delimiter_is_one_piece_and_of_delimiters_none() {
        assert_eq!(delimited(&Bytes::from_static(b"abc"), b"\n"), ["abc"]);
        assert!(delimited(&Bytes::from_static(b"\n\n"), b"\n").is_empty());
        assert!(delimited(&Bytes::new(), b"\n").is_empty());
        assert_eq!(delimited(&Bytes::from_static(b"aaa"), b"aa"), ["a"]);
    }

    proptest! {
        #[test]
        fn joined_pieces_are_the_record_again(
            pieces in proptest::collection::vec(proptest::collection::vec(0_u8..4, 1..9), 0..40),
            delimiter in proptest::collection::vec(4_u8..6, 1..4),
        ) {
            let record = Bytes::from(pieces.join(&delimiter[..]));
            let cut = delimited(&record, &delimiter);
            prop_assert_eq!(cut.join(&delimiter[..]), record);
            prop_assert_eq!(cut, pieces);
        }

        #[test]
        fn joined_objects_are_cut_again(
            texts in proptest::collection::vec("[a-z{}\"\\\\\n\u{e9}]{0,9}", 1..20),
            between in "[ \t\n\r]{0,3}",
        ) {
            let objects: Vec<String> = texts
                .iter()
                .map(|text| format!("{{\"k\":[{},{{}}]}}", serde_json::Value::from(text.as_str())))
                .collect();
            prop_assert_eq!(json_of(&objects.join(&between)).unwrap(), objects);
        }

        #[test]
        fn no_bytes_break_it(record in proptest::collection::vec(prop_oneof![Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), any::<u8>()], 0..60)) {
            let record = Bytes::from(record);
            if let Ok(pieces) = json(&record) {
                let whole = pieces.iter().all(|piece| piece[0] == b'{' && piece.last() == Some(&b'}'));
                prop_assert!(whole);
            }
        }
    }
}
