//! What a delivery stream's records, functions, brokers and configurations may say.
//!
//! Besides never panicking: what is cut apart is all there and in order, and a record that a file
//! refuses leaves no trace in it.

use std::ops::Range;

use bytes::Bytes;
use md5::{Digest, Md5};
use millstream_columnar::{
    FileFormat, JsonReader, OrcCompression, OrcOptions, OrcVersion, ParquetCompression,
    ParquetOptions, ParquetTimestamp, ParquetVersion, Schema, Writer,
};
use millstream_core::Timestamp;
use millstream_destinations::lambda::{SourceRecord, Verdict, read_answer};
use millstream_formats::compression::{Compression, Compressor};
use millstream_formats::prefix::{
    EVALUATED_CHARACTERS_MAX, ErrorPrefix, Moment, PartitionKeys, Prefix, Rules,
};
use millstream_formats::query::{Query, QueryError};
use millstream_formats::zone::Zone;
use millstream_formats::{cloudwatch, kpl, split};

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);
/// What envelopes may unpack to.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// The text up to the first such byte, and what is behind it.
fn cut(data: &[u8], byte: u8) -> Option<(&str, &[u8])> {
    let at = data.iter().position(|it| *it == byte)?;
    Some((std::str::from_utf8(&data[..at]).ok()?, &data[at + 1..]))
}

/// A program, a zero byte, a record.
pub(super) fn query(data: &[u8]) {
    let Some((text, record)) = cut(data, 0) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let keys = query.partition_keys(record, NOW);
    let outputs = query.transform(record, NOW);
    assert_ne!(keys, Err(QueryError::Internal));
    assert_ne!(outputs, Err(QueryError::Internal));
    if let (Ok(keys), Some(names)) = (&keys, query.keys()) {
        assert!(keys.keys().all(|key| names.contains(key)), "{keys:?} where {names:?} are said");
    }
    // A replay must find the same.
    assert_eq!(query.transform(record, NOW), outputs);
    assert_eq!(query.partition_keys(record, NOW), keys);
}

pub(super) fn query_seeds() -> Vec<Vec<u8>> {
    let record = r#"{"id":7,"at":"2026-01-01T00:00:00Z","tags":["a","b"],"user":{"name":"\u00e9","n":-1.5e3}}"#;
    let programs = [
        "{customer: .user.name, year: .at[0:4]}",
        ".user.name |= ascii_upcase",
        "if .id > 5 then .tags[] else empty end",
        "[.tags[] | {(.): length}] | add",
        "reduce range(10) as $i (.; .n += $i)",
        "to_entries | map(select(.value | type == \"string\")) | from_entries",
        ".. | numbers",
        "def f(x): x | x; f(.user) | @base64",
        "try error(\"x\") catch . | test(\"^x+$\"; \"g\")",
        ".at | fromdate | strftime(\"%Y/%j\")",
        "[limit(3; repeat(1))] | tojson | fromjson | .[-1:]",
        "path(..) | tostring | ascii",
    ];
    programs.iter().map(|program| format!("{program}\0{record}").into_bytes()).collect()
}

fn schema(number: u8) -> Schema {
    let columns: &[(&str, &str)] = match number % 4 {
        0 => &[
            ("id", "bigint"),
            ("name", "string"),
            ("ok", "boolean"),
            ("at", "timestamp"),
            ("day", "date"),
        ],
        1 => &[
            ("a", "tinyint"),
            ("b", "smallint"),
            ("c", "int"),
            ("f", "float"),
            ("d", "double"),
            ("n", "decimal(38,10)"),
            ("s", "decimal(5,0)"),
        ],
        2 => &[
            ("list", "array<array<int>>"),
            ("map", "map<string,struct<x:int,y:array<string>>>"),
            ("deep", "struct<a:struct<b:struct<c:map<int,double>>>>"),
        ],
        _ => &[
            ("c", "char(3)"),
            ("v", "varchar(2)"),
            ("bin", "binary"),
            ("t", "array<timestamp>"),
            ("m", "map<date,decimal(20,2)>"),
        ],
    };
    let owned: Vec<(String, String)> =
        columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    Schema::parse(&owned).expect("the schema is well formed")
}

fn reader(bits: u8) -> JsonReader {
    if bits & 1 == 0 {
        JsonReader::OpenX {
            case_insensitive: bits & 2 == 0,
            dots_to_underscores: bits & 4 != 0,
            mappings: [("id".to_owned(), "name".to_owned())].into(),
        }
    } else {
        let timestamp_formats = ["millis", "yyyy-MM-dd'T'HH:mm:ss.SSSZ"];
        JsonReader::Hive { timestamp_formats: timestamp_formats.map(str::to_owned).into() }
    }
}

fn format(bits: u8) -> FileFormat {
    let is_new = bits & 2 != 0;
    if bits & 1 == 0 {
        FileFormat::Parquet(ParquetOptions {
            compression: [ParquetCompression::Snappy, ParquetCompression::Uncompressed]
                [usize::from(bits & 4 != 0)],
            page_bytes: 256,
            block_bytes: 4_096,
            dictionary: bits & 8 != 0,
            version: if is_new { ParquetVersion::V2 } else { ParquetVersion::V1 },
            timestamp: if bits & 16 == 0 {
                ParquetTimestamp::Int96
            } else {
                ParquetTimestamp::Micros
            },
        })
    } else {
        FileFormat::Orc(OrcOptions {
            compression: [OrcCompression::Snappy, OrcCompression::None][usize::from(bits & 4 != 0)],
            stripe_bytes: 4_096,
            row_index_stride: 1_000,
            dictionary_key_threshold: if bits & 8 == 0 { 0.0 } else { 1.0 },
            version: if is_new { OrcVersion::V0_12 } else { OrcVersion::V0_11 },
            ..OrcOptions::default()
        })
    }
}

/// Three bytes that say the schema, the reader and the file; then records, a line each.
pub(super) fn columnar(data: &[u8]) {
    let [kind, reading, writing, records @ ..] = data else { return };
    let begin = || {
        let format = format(*writing);
        Writer::new(&schema(*kind), &reader(*reading), &format).expect("the options are sound")
    };
    let mut writer = begin();
    let mut accepted = Vec::new();
    for record in records.split(|byte| *byte == b'\n') {
        let before = writer.rows();
        match writer.push(record) {
            Ok(()) => accepted.push(record),
            Err(_) => assert_eq!(writer.rows(), before, "a refused record counts"),
        }
    }
    let mut alone = begin();
    for record in accepted {
        alone.push(record).expect("what was taken once is taken again");
    }
    assert_eq!(writer.rows(), alone.rows());
    let (with, without) = (writer.finish().concat(), alone.finish().concat());
    assert!(with == without, "a refused record leaves a trace");
}

pub(super) fn columnar_seeds() -> Vec<Vec<u8>> {
    let records = [
        r#"{"id":1,"name":"a","ok":true,"at":"2026-01-01 00:00:00.5","day":"2026-01-01"}
{"id":"x"}
{"id":null,"name":null,"at":1767225600.123}
{"id":2,"name":"\ud83d\ude00"}{"id":3}"#,
        r#"{"a":127,"b":-32768,"c":2147483647,"f":1.5,"d":1e308,"n":1234567890.0123456789,"s":12345}
{"a":128,"b":1,"c":2}
{"f":"NaN","d":"Infinity","s":"1e2"}"#,
        r#"{"list":[[1,2],[],null,[3]],"map":{"k":{"x":1,"y":["a",null]}},"deep":{"a":{"b":{"c":{"1":2.5}}}}}
{"list":[[1,{}]],"map":{"k":1}}
{"deep":{"a":{"b":{"c":{"x":2.5}}}}}"#,
        r#"{"c":"abcd ","v":"\u00e9xy","bin":"AQID","t":["2026-01-01 00:00:00",null],"m":{"2026-01-01":1.25}}
{"m":{"no":1}}
[{"c":"a"},{"v":"b"}]"#,
    ];
    let mut seeds = Vec::new();
    for (kind, text) in (0_u8..).zip(records) {
        for (reading, writing) in [(0, 0), (1, 2), (6, 8), (0, 1), (1, 3), (3, 25)] {
            seeds.push([&[kind, reading, writing][..], text.as_bytes()].concat());
        }
    }
    seeds
}

/// A byte that says the kind of answer, and the answer.
pub(super) fn kafka(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    millstream_firehose::feed_kafka(*kind, &Bytes::copy_from_slice(body));
}

pub(super) fn kafka_seeds() -> Vec<Vec<u8>> {
    // A batch of two records, with nothing, a key, a value; its length and checksum are set by
    // the door.
    let records = [&[16, 0, 0, 0, 1, 4, b'a', b'b', 0][..], &[14, 0, 2, 2, 2, b'k', 1, 0]].concat();
    let batch = |attributes: u8, records: &[u8]| {
        let head: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
        let rest: &[&[u8]] = &[
            &[0, attributes, 0, 0, 0, 1],
            &1_700_000_000_000_u64.to_be_bytes(),
            &1_700_000_000_001_u64.to_be_bytes(),
            &7_u64.to_be_bytes(),
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            records,
        ];
        [&[8], head, &rest.concat()].concat()
    };
    let mut gzip = Compressor::new(Compression::Gzip, "");
    gzip.write(&records);
    let mut seeds = vec![
        batch(0, &records),
        batch(0x10, &records),
        batch(0x30, &[20, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0]),
        batch(1, &gzip.finish()),
        batch(2, &records),
        batch(3, &records),
        batch(4, &records),
    ];
    // Answers of nothing but zeros and small numbers are well formed in many ways.
    for kind in 0..millstream_firehose::KAFKA_KINDS {
        seeds.push([&[kind][..], &[0; 60]].concat());
        let ones: Vec<u8> = [0, 0, 0, 1].repeat(20);
        seeds.push([&[kind][..], &ones].concat());
        seeds.push([&[kind, 0, 0][..], &ones].concat());
    }
    seeds
}

/// An aggregate's message: the magic and the checksum are put around it.
pub(super) fn kpl(data: &[u8]) {
    let _ = kpl::deaggregate(&Bytes::copy_from_slice(data));
    let aggregate = [&[0xf3, 0x89, 0x9a, 0xc2][..], data, &Md5::digest(data)[..]].concat();
    let aggregate = Bytes::from(aggregate);
    let Some(records) = kpl::deaggregate(&aggregate) else { return };
    let data = records.iter().map(|record| &record.data).filter(|data| !data.is_empty());
    let places: Vec<Range<usize>> = data.map(|data| place(&aggregate, data)).collect();
    assert!(places.is_sorted_by_key(|place| place.start), "{places:?}");
}

/// Where a slice lies in what it was cut from.
fn place(whole: &Bytes, part: &Bytes) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    assert!(start + part.len() <= whole.len(), "a piece is not of its record");
    start..start + part.len()
}

pub(super) fn kpl_seeds() -> Vec<Vec<u8>> {
    let record = |key: u8, hash: Option<u8>, data: &[u8]| {
        let mut message = vec![8, key];
        message.extend(hash.iter().flat_map(|hash| [16, *hash]));
        message.extend([26, u8::try_from(data.len()).expect("seeds are small")]);
        message.extend_from_slice(data);
        [&[26, u8::try_from(message.len()).expect("seeds are small")][..], &message].concat()
    };
    let tables = b"\x0a\x01a\x0a\x02bc\x12\x03123";
    vec![
        [&tables[..], &record(0, None, b"one"), &record(1, Some(0), b"two")].concat(),
        [&tables[..], &record(9, None, b"one")].concat(),
        record(0, None, b""),
        Vec::new(),
    ]
}

/// An even byte and an envelope, or an odd one and a record as CloudWatch Logs sends it.
pub(super) fn cloudwatch(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    let envelope = if kind % 2 == 0 {
        body
    } else {
        match cloudwatch::decompress(&body, UNPACKED_BYTES_MAX) {
            Ok(unpacked) => unpacked,
            Err(_) => return,
        }
    };
    assert!(envelope.len() <= UNPACKED_BYTES_MAX.max(data.len()));
    if let Ok(messages) = cloudwatch::messages(&envelope) {
        let bytes: usize = messages.iter().map(Bytes::len).sum();
        assert!(bytes <= envelope.len(), "messages are larger than their envelope");
    }
}

pub(super) fn cloudwatch_seeds() -> Vec<Vec<u8>> {
    let envelope = br#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":1,"message":"one"},{"id":"2","timestamp":2,"message":"\u00e9\n\"two\""}]}"#;
    let mut gzip = Compressor::new(Compression::Gzip, "");
    gzip.write(envelope);
    let packed = gzip.finish();
    let mut bomb = Compressor::new(Compression::Gzip, "");
    bomb.write(&vec![b' '; UNPACKED_BYTES_MAX + 1]);
    vec![
        [&[0][..], envelope].concat(),
        [&[1][..], &packed].concat(),
        [&[1][..], &packed, &packed].concat(),
        [&[1][..], &bomb.finish()].concat(),
    ]
}

/// A byte that says how long the delimiter is, the delimiter, a record.
pub(super) fn split(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let length = usize::from(*length % 8) + 1;
    let Some((delimiter, record)) = rest.split_at_checked(length) else { return };
    let record = Bytes::copy_from_slice(record);
    let is_whole = |pieces: &[Bytes]| pieces.len() == 1 && pieces[0] == record;
    if let Ok(pieces) = split::json(&record) {
        assert!(!pieces.is_empty() && pieces.len() <= split::PIECES_MAX);
        if !is_whole(&pieces) {
            assert!(pieces.iter().all(|it| it.starts_with(b"{") && it.ends_with(b"}")));
            let gaps = gaps(&record, &pieces);
            assert!(gaps.concat().iter().all(|byte| b" \t\r\n".contains(byte)), "{gaps:?}");
        }
    }
    let pieces = split::delimited(&record, delimiter);
    assert!(pieces.len() <= split::PIECES_MAX);
    if !is_whole(&pieces) {
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
        for gap in gaps(&record, &pieces) {
            assert_eq!(gap, delimiter.repeat(gap.len() / length), "something is lost");
        }
    }
}

/// What lies between the pieces, which must be in order.
fn gaps(record: &Bytes, pieces: &[Bytes]) -> Vec<Vec<u8>> {
    let mut from = 0;
    let mut gaps = Vec::new();
    for piece in pieces {
        let place = place(record, piece);
        gaps.push(record[from..place.start].to_vec());
        from = place.end;
    }
    gaps.push(record[from..].to_vec());
    gaps
}

pub(super) fn split_seeds() -> Vec<Vec<u8>> {
    let many = [b"\x00\n".to_vec(), b"{}\n".repeat(501)].concat();
    vec![
        b"\x00\n{\"a\":1}\n{\"b\":\"}{\\\"\"} {}\n".to_vec(),
        b"\x02###a###bc######d".to_vec(),
        b"\x01aaaaabaaac".to_vec(),
        b"\x00\n[{}]".to_vec(),
        b"\x00\n{\"a\":{".to_vec(),
        many,
    ]
}

/// What a function answered for three records.
pub(super) fn lambda(data: &[u8]) {
    let records = ["a", "b", "c"].map(|id| SourceRecord {
        id: id.to_owned(),
        arrived: NOW,
        data: Bytes::from_static(b"data"),
        stream: None,
    });
    // An answer that says that the function failed is the invocation's, and no record's.
    let Ok(verdicts) = read_answer(&Bytes::copy_from_slice(data), &records) else { return };
    assert_eq!(verdicts.len(), records.len());
    for verdict in verdicts {
        match verdict {
            Verdict::Ok { data: reworked, .. } => assert!(reworked.len() <= data.len()),
            Verdict::Failed(failure) => assert!(!failure.is_retryable, "an answer is final"),
            Verdict::Dropped => {}
        }
    }
}

pub(super) fn lambda_seeds() -> Vec<Vec<u8>> {
    let answers = [
        r#"{"records":[{"recordId":"a","result":"Ok","data":"eA=="},{"recordId":"b","result":"Dropped"},{"recordId":"c","result":"ProcessingFailed","data":""}]}"#,
        r#"{"records":[{"recordId":"a","result":"Ok","data":"eHl6","metadata":{"partitionKeys":{"k":"v","n":7,"t":true},"otfMetadata":{"destinationTableName":"t","operation":"insert"}}},{"recordId":"a","result":"Ok","data":"eA=="}]}"#,
        r#"{"records":[{"recordId":"c","result":7,"data":[]},{"recordId":"b","result":"Ok","data":"?"},null,7]}"#,
        r#"{"errorMessage":"boom","errorType":"Error"}"#,
        "{}",
    ];
    answers.iter().map(|answer| answer.as_bytes().to_vec()).collect()
}

/// A byte that says which rules hold and eight that say when; a prefix, an error prefix, a zone
/// and a key's value, a line each.
pub(super) fn prefix(data: &[u8]) {
    let Some((head, text)) = data.split_at_checked(9) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (main, errors, zone, value) = (line(), line(), line(), line());
    let rules = [Rules::Objects, Rules::Partitioned, Rules::Redshift][usize::from(head[0] % 3)];
    let Ok(prefix) = Prefix::parse(main, rules) else { return };
    assert_eq!(prefix.text(), main);
    let zone = Zone::parse(zone).unwrap_or(Zone::UTC);
    let ms = u64::from_le_bytes(head[1..].try_into().expect("they are eight"));
    let moment = Moment { at: Timestamp::from_ms(ms), zone: &zone };
    let keys = PartitionKeys {
        from_query: prefix.query_keys().map(|key| (key.to_owned(), value.to_owned())).collect(),
        from_lambda: prefix.lambda_keys().map(|key| (key.to_owned(), value.to_owned())).collect(),
    };
    let evaluate = || prefix.evaluate(&moment, &keys, &mut || *b"01234567");
    if let Ok(name) = evaluate() {
        assert!(name.chars().count() <= EVALUATED_CHARACTERS_MAX, "{name}");
        assert!(prefix.partition(&keys).is_ok(), "what has a name has a partition");
    }
    assert_eq!(evaluate(), evaluate());
    let Ok(errors) = ErrorPrefix::parse_by(Some(errors), &prefix, rules) else { return };
    if let Ok(name) = errors.evaluate(&moment, "processing-failed", &mut || *b"01234567") {
        assert!(name.chars().count() <= EVALUATED_CHARACTERS_MAX, "{name}");
    }
}

pub(super) fn prefix_seeds() -> Vec<Vec<u8>> {
    let now = NOW.ms().to_le_bytes();
    let seed = |rules: u8, text: &str| [&[rules][..], &now, text.as_bytes()].concat();
    vec![
        seed(
            0,
            "a/!{timestamp:yyyy/MM/dd}/!{firehose:random-string}/\n!{firehose:error-output-type}/\nEurope/Berlin\nx",
        ),
        seed(
            1,
            "c=!{partitionKeyFromQuery:c}/!{partitionKeyFromLambda:d}/\nbad/!{firehose:error-output-type}/!{timestamp:HH}\nUTC\nvalue",
        ),
        seed(0, "!{timestamp:'y='yyyy DDD EEE w u n a h:mm:ss.SSS VV XXX z}\n\nAsia/Kolkata\n"),
        seed(2, "plain/\n\nUTC\n"),
        seed(0, "\n\n\n"),
    ]
}
