//! Parquet files, read back by a reader that is not ours.

#![expect(clippy::unwrap_used, reason = "a test")]

use millstream_columnar::{
    FileFormat, JsonReader, ParquetCompression, ParquetOptions, ParquetTimestamp, ParquetVersion,
    Schema, Writer,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use proptest::prelude::*;

fn schema(columns: &[(&str, &str)]) -> Schema {
    let owned: Vec<_> = columns.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect();
    Schema::parse(&owned).unwrap()
}

/// A file of records, those that fail left out, and how many failed.
fn file(schema: &Schema, options: ParquetOptions, records: &[String]) -> (bytes::Bytes, usize) {
    let format = FileFormat::Parquet(options);
    let mut writer = Writer::new(schema, &JsonReader::default(), &format).unwrap();
    let failed = records.iter().filter(|record| writer.push(record.as_bytes()).is_err()).count();
    assert_eq!(writer.rows(), (records.len() - failed) as u64);
    // What was taken before the end is a part of the file like the rest.
    let mut pieces = writer.take();
    pieces.extend(writer.finish());
    (pieces.concat().into(), failed)
}

fn rows(file: bytes::Bytes) -> Vec<Row> {
    let reader = SerializedFileReader::new(file).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

/// A field as JSON text, or nearly so.
fn text(field: &Field) -> String {
    match field {
        Field::Null => "null".to_owned(),
        Field::Group(row) => group(row),
        Field::ListInternal(list) => {
            format!("[{}]", list.elements().iter().map(text).collect::<Vec<_>>().join(","))
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(k, v)| format!("{}:{}", text(k), text(v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Field::Str(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

fn group(row: &Row) -> String {
    let columns = row.get_column_iter().map(|(name, field)| format!("{name:?}:{}", text(field)));
    format!("{{{}}}", columns.collect::<Vec<_>>().join(","))
}

#[test]
fn a_file_without_rows_is_whole() {
    let (file, _) =
        file(&schema(&[("a", "int"), ("b", "array<string>")]), ParquetOptions::default(), &[]);
    let reader = SerializedFileReader::new(file).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    assert_eq!(reader.metadata().file_metadata().schema_descr().num_columns(), 2);
}

#[test]
fn every_type_is_what_readers_take_it_for() {
    let schema = schema(&[
        ("a", "tinyint"),
        ("b", "smallint"),
        ("c", "int"),
        ("d", "bigint"),
        ("e", "float"),
        ("f", "double"),
        ("g", "decimal(9,3)"),
        ("h", "string"),
        ("i", "boolean"),
        ("j", "date"),
        ("k", "timestamp"),
        ("l", "map<string,array<struct<x:int,y:varchar(3)>>>"),
    ]);
    let record = r#"{"a":-1,"b":-2,"c":-3,"d":-4,"e":0.5,"f":-1e-300,"g":-12.3456,"h":"é","i":false,
        "j":"1969-12-31","k":"2024-01-01 00:00:00.123456789","l":{"k":[{"x":1,"y":"abcd"},null],"n":null,"o":[]}}"#;
    let (file, failed) = file(&schema, ParquetOptions::default(), &[record.to_owned()]);
    assert_eq!(failed, 0);
    let expected = concat!(
        r#"{"a":-1,"b":-2,"c":-3,"d":-4,"e":0.5,"f":-1E-300,"g":-12.346,"h":"é","i":false,"#,
        r#""j":1969-12-31,"k":2024-01-01 00:00:00.123 +00:00,"#,
        r#""l":{"k":[{"x":1,"y":"abc"},null],"n":null,"o":[]}}"#
    );
    assert_eq!(rows(file).iter().map(group).collect::<Vec<_>>(), [expected]);
}

#[test]
fn row_groups_end_at_the_blocks_size_and_memory_is_bounded() {
    let schema = schema(&[("id", "bigint"), ("text", "string")]);
    let options = ParquetOptions {
        compression: ParquetCompression::Uncompressed,
        page_bytes: 64 << 10,
        block_bytes: 1 << 20,
        ..ParquetOptions::default()
    };
    let mut writer =
        Writer::new(&schema, &JsonReader::default(), &FileFormat::Parquet(options)).unwrap();
    let (mut pieces, mut most) = (Vec::new(), 0);
    for id in 0..60_000 {
        writer.push(format!("{{\"id\":{id},\"text\":\"{id:090}\"}}").as_bytes()).unwrap();
        most = most.max(writer.memory_bytes());
        pieces.extend(writer.take());
    }
    pieces.extend(writer.finish());
    assert!(most < 3 << 20, "{most} bytes were held for a block of 1 MiB");
    let reader = SerializedFileReader::new(bytes::Bytes::from(pieces.concat())).unwrap();
    let groups = reader.metadata().row_groups();
    assert!((5..=7).contains(&groups.len()), "{} row groups", groups.len());
    for group in &groups[..groups.len() - 1] {
        assert!(
            (1 << 20..5 << 18).contains(&group.compressed_size()),
            "{}",
            group.compressed_size()
        );
    }
}

#[test]
fn statistics_hold_of_each_row_group() {
    let schema = schema(&[("n", "int"), ("s", "string"), ("t", "timestamp"), ("none", "double")]);
    let records: Vec<String> =
        (0..100).map(|n| format!("{{\"n\":{},\"s\":\"s{n:03}\",\"t\":{n}}}", n - 50)).collect();
    let (file, _) = file(&schema, ParquetOptions::default(), &records);
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    let bounds = |column: usize| {
        let statistics = columns[column].statistics().unwrap();
        (statistics.min_bytes_opt(), statistics.max_bytes_opt(), statistics.null_count_opt())
    };
    assert_eq!(
        bounds(0),
        (Some(&(-50_i32).to_le_bytes()[..]), Some(&49_i32.to_le_bytes()[..]), Some(0))
    );
    assert_eq!(bounds(1), (Some(&b"s000"[..]), Some(&b"s099"[..]), Some(0)));
    assert_eq!(bounds(3), (None, None, Some(100)));
}

/// One row of the table that the property below is about, as JSON and as it is read back.
#[derive(Clone, Debug)]
struct Drawn {
    n: Option<i64>,
    s: Option<String>,
    l: Option<Vec<Option<i32>>>,
    g: Option<Inner>,
    bad: bool,
}

/// The members of `g`.
type Inner = (Option<bool>, Option<Vec<Option<String>>>);

fn list<T>(items: Option<&Vec<Option<T>>>, show: impl Fn(&T) -> String) -> String {
    items.map_or("null".to_owned(), |items| {
        let items = items.iter().map(|item| item.as_ref().map_or("null".to_owned(), &show));
        format!("[{}]", items.collect::<Vec<_>>().join(","))
    })
}

impl Drawn {
    fn text(&self) -> String {
        let show = |value: Option<String>| value.unwrap_or("null".to_owned());
        let quoted = |text: &String| format!("{text:?}");
        let g = self.g.as_ref().map(|(b, c)| {
            format!(
                "{{\"b\":{},\"c\":{}}}",
                show(b.map(|b| b.to_string())),
                list(c.as_ref(), quoted)
            )
        });
        format!(
            "{{\"n\":{},\"s\":{},\"l\":{},\"g\":{}}}",
            show(self.n.map(|n| n.to_string())),
            show(self.s.as_ref().map(quoted)),
            list(self.l.as_ref(), ToString::to_string),
            show(g)
        )
    }

    /// A record that fails at its end has its wrong value behind all others.
    fn record(&self) -> String {
        let text = self.text();
        if self.bad { format!("{text}{{\"n\":\"x\"}}") } else { text }
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let word = || prop::sample::select(vec!["", "a", "bb", "ccc", "dddddddddddddddddddddddd"]);
    let word = move || word().prop_map(str::to_owned);
    let number = prop_oneof![any::<i64>(), -3_i64..3, Just(i64::MIN), Just(i64::MAX)];
    let items = prop::collection::vec(prop::option::of(any::<i32>()), 0..5);
    let texts = prop::collection::vec(prop::option::of(word()), 0..4);
    let inner = (prop::option::of(any::<bool>()), prop::option::of(texts));
    (
        prop::option::of(number),
        prop::option::of(word()),
        prop::option::of(items),
        prop::option::of(inner),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(n, s, l, g, bad)| Drawn { n, s, l, g, bad })
}

fn options() -> impl Strategy<Value = ParquetOptions> {
    let compression = prop::sample::select(vec![
        ParquetCompression::Uncompressed,
        ParquetCompression::Gzip,
        ParquetCompression::Snappy,
    ]);
    let version = prop::sample::select(vec![ParquetVersion::V1, ParquetVersion::V2]);
    (compression, version, any::<bool>(), 1_usize..2_000, 1_usize..8_000).prop_map(
        |(compression, version, dictionary, page_bytes, block_bytes)| ParquetOptions {
            compression,
            page_bytes,
            block_bytes,
            dictionary,
            version,
            timestamp: ParquetTimestamp::Int96,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn values_come_back_whatever_the_options(
        table in prop::collection::vec(drawn(), 0..400),
        repeat in 1_usize..20,
        options in options(),
    ) {
        let kind = "struct<b:boolean,c:array<string>>";
        let schema = schema(&[("n", "bigint"), ("s", "string"), ("l", "array<int>"), ("g", kind)]);
        let table: Vec<&Drawn> = table.iter().cycle().take(table.len() * repeat).collect();
        let records: Vec<String> = table.iter().map(|row| row.record()).collect();
        let (file, failed) = file(&schema, options, &records);
        prop_assert_eq!(failed, table.iter().filter(|row| row.bad).count());
        let found: Vec<String> = rows(file).iter().map(group).collect();
        let wanted: Vec<String> =
            table.iter().filter(|row| !row.bad).map(|row| row.text()).collect();
        prop_assert_eq!(found, wanted);
    }
}
