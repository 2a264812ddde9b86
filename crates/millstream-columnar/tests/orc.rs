//! ORC files: what can be said of them without a reader. `conformance/python/columnar.py` reads them.

#![expect(clippy::unwrap_used, reason = "a test")]

use millstream_columnar::{FileFormat, JsonReader, OrcOptions, Schema, SchemaError, Writer};

fn schema(columns: &[(&str, &str)]) -> Schema {
    let owned: Vec<_> = columns.iter().map(|(n, k)| ((*n).to_owned(), (*k).to_owned())).collect();
    Schema::parse(&owned).unwrap()
}

fn writer(schema: &Schema, options: OrcOptions) -> Result<Writer, SchemaError> {
    Writer::new(schema, &JsonReader::default(), &FileFormat::Orc(options))
}

#[test]
fn bloom_filters_are_for_columns_that_can_have_them() {
    let schema = schema(&[("id", "int"), ("list", "array<int>")]);
    let with = |name: &str| {
        let columns = vec![name.to_owned()];
        writer(&schema, OrcOptions { bloom_filter_columns: columns, ..OrcOptions::default() })
    };
    assert!(with("ID").is_ok());
    let message = |name| with(name).unwrap_err().to_string();
    assert_eq!(
        message("gone"),
        "BloomFilterColumns names gone, which is not a column of the table"
    );
    assert_eq!(message("list"), "BloomFilterColumns names list, which is a nested column");
}

#[test]
fn a_file_without_rows_is_whole() {
    let file = writer(&schema(&[("id", "int")]), OrcOptions::default()).unwrap().finish().concat();
    assert!(file.starts_with(b"ORC"));
    let postscript = usize::from(*file.last().unwrap());
    assert!(file[..file.len() - 1].ends_with(b"ORC") && postscript < file.len());
}

#[test]
fn stripes_end_at_their_size_and_memory_is_bounded() {
    let schema = schema(&[("id", "bigint"), ("text", "string")]);
    let options = OrcOptions { stripe_bytes: 1 << 20, ..OrcOptions::default() };
    let mut writer = writer(&schema, options).unwrap();
    let (mut pieces, mut most, mut state) = (Vec::new(), 0, 1_u64);
    for id in 0..60_000 {
        // Text that does not compress well.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let text = format!("{state:016x}{:016x}", state.wrapping_mul(state));
        writer.push(format!("{{\"id\":{id},\"text\":\"{text}\"}}").as_bytes()).unwrap();
        most = most.max(writer.memory_bytes());
        pieces.extend(writer.take());
    }
    let before = pieces.iter().map(bytes::Bytes::len).sum::<usize>();
    assert!(before > 1 << 20, "nothing was ready before the end");
    assert!(most < 6 << 20, "{most} bytes were held for stripes of 1 MiB");
}

#[test]
fn the_same_records_make_the_same_file_wherever_it_is_taken_from() {
    let schema = schema(&[("id", "bigint"), ("text", "string"), ("list", "array<double>")]);
    let made = |every: usize| {
        let options = OrcOptions { stripe_bytes: 1 << 16, ..OrcOptions::default() };
        let mut writer = writer(&schema, options).unwrap();
        let mut pieces = Vec::new();
        for id in 0..20_000 {
            let record = format!("{{\"id\":{id},\"text\":\"t{}\",\"list\":[{id},null]}}", id % 100);
            writer.push(record.as_bytes()).unwrap();
            if id % every == 0 {
                pieces.extend(writer.take());
            }
        }
        pieces.extend(writer.finish());
        pieces.concat()
    };
    assert_eq!(made(1), made(1_000_000));
}
