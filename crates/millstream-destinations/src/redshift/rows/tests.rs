//! Rows by each set of options, whatever the sizes of the pieces they come in.

use std::io::Write as _;

use super::super::options::CopyOptions;
use super::*;

fn columns() -> Vec<Column> {
    let column = |name: &str, is_text| Column { name: name.to_owned(), is_text };
    vec![column("id", false), column("name", true)]
}

/// The rows of `bytes`, read in pieces of each size from one byte up.
fn read(options: &str, bytes: &[u8]) -> Result<String, RowError> {
    let rules = Rules::of(&CopyOptions::parse(options).unwrap()).unwrap();
    let columns = columns();
    let mut outcomes = Vec::new();
    for size in [1, 2, 3, 7, bytes.len().max(1)] {
        let mut reader = Reader::new("o", &rules, &columns);
        let mut rows = Vec::new();
        let mut outcome = Ok(());
        for piece in bytes.chunks(size) {
            match reader.push(piece) {
                Ok(more) => rows.extend(more),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        let outcome = outcome.and_then(|()| {
            rows.extend(reader.finish()?);
            Ok(String::from_utf8(rows).unwrap())
        });
        outcomes.push(outcome);
    }
    let last = outcomes.pop().unwrap();
    for other in outcomes {
        assert_eq!(other, last, "the pieces' sizes do not matter");
    }
    last
}

#[test]
fn delimited_rows_end_with_their_line() {
    assert_eq!(read("", b"1|a\n2|b").unwrap(), "1\ta\n2\tb\n");
    assert_eq!(read("", b"1|a\r\n2|b\r\n").unwrap(), "1\ta\n2\tb\n");
    assert_eq!(read("", b"").unwrap(), "");
    assert_eq!(read("delimiter '\\t'", b"1\ta\\b\n").unwrap(), "1\ta\\\\b\n");
    assert_eq!(read("removequotes", b"1|\"a\"\n2|'b'\n3|\"c\n").unwrap(), "1\ta\n2\tb\n3\t\"c\n");
    assert_eq!(
        read("escape", b"1|a\\|b\n2|c\\\nd\n3|e\\\\\n").unwrap(),
        "1\ta|b\n2\tc\\nd\n3\te\\\\\n"
    );
    assert_eq!(read("escape", b"1|\\N\n").unwrap(), "1\t\\N\n");
}

#[test]
fn what_is_no_value_depends_on_the_column_and_the_options() {
    assert_eq!(read("", b"\\N|\\N\n|\n").unwrap(), "\\N\t\\N\n\\N\t\n");
    assert_eq!(read("emptyasnull", b"1|\n").unwrap(), "1\t\\N\n");
    assert_eq!(read("", b"1|  \n").unwrap(), "1\t  \n");
    assert_eq!(read("blanksasnull", b"1|  \n").unwrap(), "1\t\\N\n");
    assert_eq!(read("trimblanks", b"1|a  \n").unwrap(), "1\ta\n");
    assert_eq!(read("null as 'none'", b"1|none\n2|\\N\n").unwrap(), "1\t\\N\n2\t\\\\N\n");
    assert_eq!(read("fillrecord", b"1\n").unwrap(), "1\t\\N\n");
}

#[test]
fn headers_and_blank_lines_are_skipped_where_that_is_asked() {
    assert_eq!(read("ignoreheader 2", b"a|b\nx\n1|a\n").unwrap(), "1\ta\n");
    assert_eq!(read("ignoreheader 2", b"a|b").unwrap(), "");
    assert_eq!(read("ignoreblanklines", b"\n1|a\n \n").unwrap(), "1\ta\n");
    assert!(read("", b"\n1|a\n").is_err());
}

#[test]
fn csv_fields_may_hold_anything_in_quotes() {
    let text = b"1,\"a,\"\"b\"\"\nc\"\r\n2,d\n3,\"\"\n4,\n";
    assert_eq!(read("csv", text).unwrap(), "1\ta,\"b\"\\nc\n2\td\n3\t\n4\t\n");
    assert_eq!(read("csv quote '%' delimiter ';'", b"1;%a;b%\n").unwrap(), "1\ta;b\n");
    assert_eq!(read("csv null as 'x'", b"1,x\n2,\"x\"\n").unwrap(), "1\t\\N\n2\tx\n");
    for text in [&b"1,\"a\n"[..], b"1,\"a\"b\n", b"1,a,b\n", b"1\n"] {
        assert!(read("csv", text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn json_objects_are_rows_however_they_are_set() {
    let text = br#"{"id":1,"name":"a"}{"name":"b","id":2,"more":{"x":[1,"}"]}}
 { "id" : 12345678901234567890123456789.5 }
{"id":null,"name":"q\"}\t\u00e9\\"}  "#;
    assert_eq!(
        read("json 'auto'", text).unwrap(),
        "1\ta\n2\tb\n12345678901234567890123456789.5\t\\N\n\\N\tq\"}\\t\u{e9}\\\\\n"
    );
    assert_eq!(read("json", br#"{"id":true,"name":{"a": [1]}}"#).unwrap(), "true\t{\"a\": [1]}\n");
    assert_eq!(read("json 'auto'", br#"{"ID":1,"Name":"a"}"#).unwrap(), "\\N\t\\N\n");
    assert_eq!(read("json 'auto ignorecase'", br#"{"ID":1,"Name":"a"}"#).unwrap(), "1\ta\n");
    for text in [&b"[1]"[..], b"7", br#"{"id":1"#, br#"{"id":1,}"#, br#"{"name":"\u0000"}"#] {
        assert!(read("json", text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn compressed_objects_are_unpacked_and_must_be_whole() {
    let pack = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    // Two members, as when two files were joined.
    let packed = [pack(b"1|a\n2"), pack(b"|b\n")].concat();
    assert_eq!(read("gzip", &packed).unwrap(), "1\ta\n2\tb\n");
    assert!(read("gzip", &packed[..packed.len() - 1]).is_err());
    assert!(read("gzip", b"1|a\n").is_err());
}

#[test]
fn an_error_names_the_object_and_the_row() {
    let error = read("", b"1|a\n2\n").unwrap_err();
    assert_eq!(error.to_string(), "o, row 2: it has 1 fields, and the table takes 2");
    let error = read("", b"1|a\xff\n").unwrap_err();
    assert_eq!(error.to_string(), "o, row 1: its field 2 is not UTF-8");
}
