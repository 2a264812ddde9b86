//! What each reader makes of each pair of a type and a value, and that failures leave no trace.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Reader;
use crate::batch::{Batch, Column, Values};
use crate::error::ConversionError;
use crate::options::JsonReader;
use crate::schema::Schema;

fn schema(columns: &[(&str, &str)]) -> Schema {
    let owned: Vec<_> = columns.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect();
    Schema::parse(&owned).unwrap()
}

fn hive(formats: &[&str]) -> JsonReader {
    JsonReader::Hive { timestamp_formats: formats.iter().map(|f| (*f).to_owned()).collect() }
}

/// The rows that a record becomes, one a line, columns with blanks between them.
fn rows(
    columns: &[(&str, &str)],
    reader: &JsonReader,
    record: &str,
) -> Result<String, ConversionError> {
    let schema = schema(columns);
    let mut batch = Batch::new(&schema);
    Reader::new(&schema, reader).unwrap().read(record.as_bytes(), &mut batch)?;
    Ok(shown(&batch).join("\n"))
}

fn shown(batch: &Batch) -> Vec<String> {
    let columns: Vec<Vec<String>> = batch.columns.iter().map(slots).collect();
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>();
    (0..batch.rows).map(|index| row(index).join(" ")).collect()
}

/// Each slot of a column as text.
fn slots(column: &Column) -> Vec<String> {
    let mut values = values(&column.values).into_iter();
    let slot = |valid: bool| if valid { values.next().unwrap() } else { "null".to_owned() };
    let slots = column.valid.iter().map(slot).collect();
    assert_eq!(values.next(), None, "no value without a slot");
    slots
}

fn values(values: &Values) -> Vec<String> {
    fn all<T: ToString>(values: &[T]) -> Vec<String> {
        values.iter().map(T::to_string).collect()
    }
    let cut = |counts: &[u32], elements: Vec<String>| {
        let mut elements = elements.into_iter();
        let lists = counts.iter().map(|count| {
            let list: Vec<String> = elements.by_ref().take(*count as usize).collect();
            format!("[{}]", list.join(","))
        });
        let lists = lists.collect::<Vec<_>>();
        assert_eq!(elements.next(), None, "no element without a list");
        lists
    };
    match values {
        Values::Boolean(bits) => bits.iter().map(|bit| bit.to_string()).collect(),
        Values::Int(values) => all(values),
        Values::BigInt(values) => all(values),
        Values::Float(values) => all(values),
        Values::Double(values) => all(values),
        Values::Decimal(values) => all(values),
        Values::Bytes(values) => values
            .slices(0..values.len())
            .map(|value| format!("'{}'", String::from_utf8_lossy(value)))
            .collect(),
        Values::Timestamp(values) => {
            values.iter().map(|stamp| format!("{}.{:09}", stamp.seconds, stamp.nanos)).collect()
        }
        Values::Array(lengths, element) => cut(&lengths.counts, slots(element)),
        Values::Map(lengths, entries) => {
            let pairs = slots(&entries.0).into_iter().zip(slots(&entries.1));
            cut(&lengths.counts, pairs.map(|(key, value)| format!("{key}:{value}")).collect())
        }
        Values::Struct(columns) => {
            let columns: Vec<Vec<String>> = columns.iter().map(slots).collect();
            (0..values.len())
                .map(|row| {
                    let row: Vec<&str> =
                        columns.iter().map(|column| column[row].as_str()).collect();
                    format!("({})", row.join(","))
                })
                .collect()
        }
    }
}

/// A row of a table: type, value, and the column's text or the error's message.
type Case = (&'static str, &'static str, Result<&'static str, &'static str>);

fn check(reader: &JsonReader, cases: &[Case]) {
    for (kind, value, expected) in cases {
        let found = rows(&[("c", kind)], reader, &format!("{{\"c\":{value}}}"));
        let expected = expected.map(str::to_owned).map_err(|what| ConversionError {
            code: "DataFormatConversion.MalformedData",
            message: match what.strip_prefix('!') {
                Some(whole) => whole.to_owned(),
                None => format!("Data does not match the schema. {what}"),
            },
        });
        assert_eq!(found, expected, "{value} as {kind}");
    }
}

#[test]
fn openx_makes_what_it_can_of_a_value() {
    check(
        &JsonReader::default(),
        &[
            ("int", "7", Ok("7")),
            ("int", "\"-7\"", Ok("-7")),
            ("int", "\"0x1F\"", Ok("31")),
            ("int", "\"oops\"", Err("For input string: \"oops\"")),
            ("int", "\"\"", Err("For input string: \"\"")),
            ("int", "1.5", Err("For input string: \"1.5\"")),
            ("int", "2147483648", Err("For input string: \"2147483648\"")),
            ("int", "true", Err("java.lang.Boolean cannot be cast to java.lang.Number")),
            (
                "int",
                "[1]",
                Err("org.openx.data.jsonserde.json.JSONArray cannot be cast to java.lang.Number"),
            ),
            ("tinyint", "-128", Ok("-128")),
            ("tinyint", "128", Err("For input string: \"128\"")),
            ("smallint", "\"32768\"", Err("For input string: \"32768\"")),
            ("bigint", "9223372036854775807", Ok("9223372036854775807")),
            ("bigint", "9223372036854775808", Err("For input string: \"9223372036854775808\"")),
            ("double", "1", Ok("1")),
            ("double", "\" 2.5e3 \"", Ok("2500")),
            ("double", "1e400", Err("For input string: \"1e400\"")),
            ("float", "0.1", Ok("0.1")),
            ("float", "1e39", Err("For input string: \"1e39\"")),
            ("boolean", "true", Ok("true")),
            ("boolean", "\"FALSE\"", Ok("false")),
            ("boolean", "\"maybe\"", Err("For input string: \"maybe\"")),
            ("boolean", "1", Err("java.lang.Long cannot be cast to java.lang.Boolean")),
            ("decimal(4,2)", "12.345", Ok("1235")),
            ("decimal(4,2)", "\"-1\"", Ok("-100")),
            ("decimal(4,2)", "12345.67", Err("Value 12345.67 does not fit decimal(4,2)")),
            ("string", "\"a\\u00e9\\n\"", Ok("'a\u{e9}\n'")),
            ("string", "1.50", Ok("'1.50'")),
            ("string", "true", Ok("'true'")),
            ("string", "{\"A\" : [1, {\"B\":null}]}", Ok("'{\"a\":[1,{\"b\":null}]}'")),
            ("varchar(3)", "\"äöüß\"", Ok("'äöü'")),
            ("char(4)", "\"ab  \"", Ok("'ab'")),
            ("binary", "\"abc\"", Ok("'abc'")),
            ("binary", "1", Err("java.lang.Long cannot be cast to byte[]")),
            ("date", "\"2024-2-29\"", Ok("19782")),
            ("date", "\"2023-02-29\"", Err("For input string: \"2023-02-29\"")),
            ("date", "5", Err("java.lang.Long cannot be cast to java.sql.Date")),
            ("timestamp", "1518033528123", Ok("1518033528.123000000")),
            ("timestamp", "\"2018-02-07T19:58:48.5Z\"", Ok("1518033528.500000000")),
            ("timestamp", "\"soon\"", Err("For input string: \"soon\"")),
            ("timestamp", "false", Err("java.lang.Boolean cannot be cast to java.sql.Timestamp")),
        ],
    );
}

#[test]
fn openx_makes_nested_values_of_what_is_not() {
    let no_object = "org.openx.data.jsonserde.json.JSONArray cannot be cast to org.openx.data.jsonserde.json.JSONObject";
    check(
        &JsonReader::default(),
        &[
            ("array<int>", "[1,null,\"3\"]", Ok("[1,null,3]")),
            ("array<int>", "[]", Ok("[]")),
            ("array<string>", "\"one\"", Ok("['one']")),
            ("array<string>", "\"\"", Ok("null")),
            ("array<struct<a:int>>", "{\"A\":1}", Ok("[(1)]")),
            ("array<int>", "[1,\"x\"]", Err("For input string: \"x\"")),
            ("struct<a:string,b:int>", "{\"b\":2,\"x\":{},\"A\":\"y\"}", Ok("('y',2)")),
            ("struct<a:string,b:int>", "{}", Ok("(null,null)")),
            ("struct<a:string,b:int>", "[\"z\",9,\"more\"]", Ok("('z',9)")),
            ("struct<a:string,b:int>", "[\"z\"]", Ok("('z',null)")),
            ("struct<a:string,b:int>", "[]", Ok("(null,null)")),
            ("struct<a:int>", "\"  \"", Ok("null")),
            (
                "struct<a:int>",
                "42",
                Err("Data is not JSONObject  but java.lang.Long with value 42"),
            ),
            (
                "struct<a:int>",
                "\"x\"",
                Err("Data is not JSONObject  but java.lang.String with value x"),
            ),
            ("map<string,int>", "{\"Key\":1,\"b\":null}", Ok("['key':1,'b':null]")),
            ("map<string,int>", "{\"a\":1,\"A\":2,\"b\":3}", Ok("['a':2,'b':3]")),
            ("map<int,string>", "{\"1\":\"x\"}", Ok("[1:'x']")),
            ("map<int,string>", "{\"one\":\"x\"}", Err("For input string: \"one\"")),
            ("map<string,int>", "[1]", Err(no_object)),
            (
                "map<date,map<boolean,double>>",
                "{\"2024-01-01\":{\"TRUE\":1}}",
                Ok("[19723:[true:1]]"),
            ),
        ],
    );
}

#[test]
fn hive_takes_values_as_they_are_typed() {
    let not_numeric =
        "Current token (VALUE_STRING) not numeric, can not use numeric value accessors";
    let field = "!One or more fields have incorrect format. Exception when validating field (root)";
    check(
        &hive(&[]),
        &[
            ("int", "7", Ok("7")),
            ("int", "7.9", Ok("7")),
            ("int", "\"7\"", Err(not_numeric)),
            ("double", "\"7\"", Err(not_numeric)),
            ("string", "1.50", Ok("'1.50'")),
            ("string", "{\"a\":1}", Err(field)),
            ("array<string>", "[1,2]", Ok("['1','2']")),
            ("array<string>", "\"solo\"", Err("java.io.IOException: Start of Array expected")),
            ("array<string>", "[{\"K\":1}]", Err(field)),
            ("struct<a:int>", "[1]", Err("java.io.IOException: Start of Object expected")),
            ("struct<a:int>", "42", Err("java.io.IOException: Start of Object expected")),
            ("struct<a:int>", "{\"A\":1}", Ok("(1)")),
            ("map<string,array<int>>", "{\"Key\":[1]}", Ok("['Key':[1]]")),
            ("map<string,int>", "[1]", Err("java.io.IOException: Start of Object expected")),
            ("decimal(4,2)", "\"1.5\"", Ok("150")),
            ("timestamp", "\"2018-2-7 19:58:48.5\"", Ok("1518033528.500000000")),
            (
                "timestamp",
                "\"2018-02-07T19:58:48Z\"",
                Err("For input string: \"2018-02-07T19:58:48Z\""),
            ),
            ("timestamp", "1518033528123", Err("For input string: \"1518033528123\"")),
        ],
    );
    check(
        &hive(&["millis", "yyyy-MM-dd'T'HH:mm:ss'Z'"]),
        &[
            ("timestamp", "1518033528123", Ok("1518033528.123000000")),
            ("timestamp", "\"2018-02-07T19:58:48Z\"", Ok("1518033528.000000000")),
            ("timestamp", "\"2018-2-7 19:58:48.5\"", Ok("1518033528.500000000")),
        ],
    );
}

#[test]
fn keys_are_found_by_the_options() {
    let columns = [("id", "int"), ("a_b", "int"), ("MiXed", "int")];
    let openx =
        |case_insensitive, dots_to_underscores, mappings: &[(&str, &str)]| JsonReader::OpenX {
            case_insensitive,
            dots_to_underscores,
            mappings: mappings.iter().map(|(c, k)| ((*c).to_owned(), (*k).to_owned())).collect(),
        };
    let cases = [
        (openx(true, false, &[]), r#"{"ID":1,"A_b":2,"mixed":3}"#, "1 2 3"),
        (openx(false, false, &[]), r#"{"ID":1,"a_b":2,"mixed":3}"#, "null 2 null"),
        (openx(false, false, &[]), r#"{"id":1,"MiXed":3}"#, "1 null 3"),
        (openx(true, false, &[]), r#"{"a.b":2}"#, "null null null"),
        (openx(true, true, &[]), r#"{"A.b":2}"#, "null 2 null"),
        // The key that is exactly the column's goes before one with dots, wherever it stands.
        (openx(true, true, &[]), r#"{"a.b":2,"a_b":5}"#, "null 5 null"),
        (openx(true, true, &[]), r#"{"a_b":5,"a.b":2}"#, "null 5 null"),
        (openx(true, false, &[("id", "Key"), ("mixed", "KEY")]), r#"{"kEy":4,"id":9}"#, "4 null 4"),
        (openx(true, false, &[]), r#"{"i\u0064":8}"#, "8 null null"),
        (openx(true, false, &[]), r#"{"id":1,"id":"2","ID":null}"#, "null null null"),
        (hive(&[]), r#"{"Id":1,"a.b":2}"#, "1 null null"),
    ];
    for (reader, record, expected) in cases {
        assert_eq!(
            rows(&columns, &reader, record),
            Ok(expected.to_owned()),
            "{record} by {reader:?}"
        );
    }
}

#[test]
fn keys_that_are_remembered_are_not_mistaken_for_others() {
    let columns = [("a", "int"), ("b", "int"), ("abc", "int")];
    let schema = schema(&columns);
    let mut reader = Reader::new(&schema, &JsonReader::default()).unwrap();
    let mut batch = Batch::new(&schema);
    let records = [
        r#"{"a":1,"b":2}"#,
        r#"{"a":1,"b":2,"abc":3}"#,
        r#"{"abc":3,"a":1}"#,
        r#"{ "b" : 2 , "x" : [{}] , "abc" : 3 }"#,
        r#"{"a" :1,"b":2}"#,
        r#"{"A":1,"B":2}"#,
        "{}",
    ];
    for record in records {
        reader.read(record.as_bytes(), &mut batch).unwrap();
    }
    let expected =
        ["1 2 null", "1 2 3", "1 null 3", "null 2 3", "1 2 null", "1 2 null", "null null null"];
    assert_eq!(shown(&batch), expected);
}

#[test]
fn a_record_may_be_several_objects_and_is_one_fate() {
    let columns = [("a", "int")];
    let read = |record| rows(&columns, &JsonReader::default(), record);
    assert_eq!(read("{\"a\":1}{\"a\":2}\n {\"b\":3} "), Ok("1\n2\nnull".to_owned()));
    assert!(read("{\"a\":1}{\"a\":\"x\"}").is_err());
    assert!(read("{\"a\":1},{\"a\":2}").is_err());
}

#[test]
fn what_is_no_object_is_refused_in_firehoses_words() {
    let malformed = "DataFormatConversion.MalformedData";
    let parse = "DataFormatConversion.ParseError";
    let primitive = "The input JSON contained a primitive at the top level. The top level must be an object or array.";
    let empty = "The record was empty or contained only whitespace.";
    let broken = |what: &str| format!("Encountered malformed JSON. {what}");
    let cases = [
        ("", malformed, empty.to_owned()),
        (" \n ", malformed, empty.to_owned()),
        ("17", malformed, primitive.to_owned()),
        ("\"text\"", malformed, primitive.to_owned()),
        (
            "[{\"a\":1}]",
            malformed,
            "Data does not match the schema. A JSON object is required.".to_owned(),
        ),
        (
            "[{\"a\":1}",
            parse,
            broken(
                "Unexpected end-of-input: was expecting comma to separate entries (line: 1, column: 9)",
            ),
        ),
        (
            "{\"a\":1",
            parse,
            broken(
                "Unexpected end-of-input: was expecting comma to separate entries (line: 1, column: 7)",
            ),
        ),
        (
            "{\"a\":\n 1 é}",
            parse,
            broken(
                "Unexpected character ('é' (code 233)): was expecting comma to separate entries (line: 2, column: 4)",
            ),
        ),
        // Not JSON to its end: that counts more than what came before.
        (
            "{\"a\":\"oops\",",
            parse,
            broken("Unexpected end-of-input: was expecting a string (line: 1, column: 13)"),
        ),
        (
            "{\"a\":1} tail",
            parse,
            broken(
                "Unexpected character ('t' (code 116)): was expecting 'true', 'false' or 'null' (line: 1, column: 9)",
            ),
        ),
    ];
    for (record, code, message) in cases {
        let found = rows(&[("a", "int")], &JsonReader::default(), record);
        assert_eq!(found, Err(ConversionError { code, message }), "{record}");
    }
    let schema = schema(&[("a", "int")]);
    let mut reader = Reader::new(&schema, &JsonReader::default()).unwrap();
    let error = reader.read(b"{\"a\":\"\xFF\"}", &mut Batch::new(&schema)).unwrap_err();
    assert_eq!(error.message, "Encountered malformed JSON. Invalid UTF-8 at byte 6");
}

#[test]
fn maps_with_many_entries_keep_the_last_of_each_key() {
    let entries: Vec<String> =
        (0..100).map(|index| format!("\"k{}\":{index}", index % 30)).collect();
    let record = format!("{{\"c\":{{{}}}}}", entries.join(","));
    let found = rows(&[("c", "map<string,int>")], &hive(&[]), &record).unwrap();
    let expected: Vec<String> =
        (70..100).map(|index| format!("'k{}':{index}", index % 30)).collect();
    assert_eq!(found, format!("[{}]", expected.join(",")));
}

/// A schema with everything in it.
fn wide() -> Schema {
    schema(&[
        ("a", "int"),
        ("s", "string"),
        ("l", "array<array<string>>"),
        ("m", "map<string,array<decimal(5,1)>>"),
        ("t", "struct<x:double,y:struct<z:timestamp,w:array<boolean>>>"),
        ("v", "array<struct<n:bigint,o:map<int,varchar(2)>>>"),
    ])
}

const WHOLE: &str = r#"{"a":1,"s":"te\"xt","l":[["a",null],[],null,["b"]],"m":{"k":[1.5,2],"j":null},
    "t":{"x":1e3,"y":{"z":"2024-01-01 00:00:00","w":[true,"false"]}},"v":[{"n":5,"o":{"1":"abc"}},null,{}]}"#;

proptest! {
    /// Cutting or changing a record anywhere either gives rows or leaves everything as it was.
    #[test]
    fn a_record_that_fails_leaves_no_trace(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..40),
    ) {
        let schema = wide();
        let mut reader = Reader::new(&schema, &JsonReader::default()).unwrap();
        let mut batch = Batch::new(&schema);
        let mut good = Batch::new(&schema);
        for (place, byte, how) in edits {
            let mut record = WHOLE.as_bytes().to_vec();
            let at = place.index(record.len());
            match how {
                0 => record.truncate(at),
                1 => record[at] = b"\"{}[],:1xn"[usize::from(byte) % 10],
                _ => record.splice(at..at, [byte]).for_each(drop),
            }
            let before = shown(&batch);
            if reader.read(&record, &mut batch).is_ok() {
                reader.read(&record, &mut good).unwrap();
                prop_assert!(batch.rows > before.len());
            } else {
                prop_assert_eq!(shown(&batch), before);
            }
            reader.read(WHOLE.as_bytes(), &mut batch).unwrap();
            reader.read(WHOLE.as_bytes(), &mut good).unwrap();
        }
        prop_assert_eq!(format!("{batch:?}"), format!("{good:?}"));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(record in prop::collection::vec(any::<u8>(), 0..60)) {
        let schema = wide();
        for options in [JsonReader::default(), hive(&["millis"])] {
            let _ = Reader::new(&schema, &options).unwrap().read(&record, &mut Batch::new(&schema));
        }
    }
}

#[test]
fn a_pattern_that_is_none_is_refused_at_once() {
    let error = Reader::new(&wide(), &hive(&["yyyy", "QQ"])).unwrap_err();
    assert_eq!(error.to_string(), "timestamp format \"QQ\": letter Q is not supported");
    let fine = JsonReader::OpenX {
        case_insensitive: true,
        dots_to_underscores: true,
        mappings: BTreeMap::new(),
    };
    assert!(Reader::new(&wide(), &fine).is_ok());
}
