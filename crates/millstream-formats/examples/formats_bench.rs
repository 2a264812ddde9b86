//! How fast this crate's work is on one thread: `cargo run --release --example formats_bench`.
//!
//! Records are JSON lines of 263 bytes, synthetic: ratios flatter, and so does the fast path's
//! short way to its fields. Time is the thread's own, so that a busy machine does not count, and a
//! figure is the best of five passes over 32 MiB.

#![allow(clippy::cast_precision_loss)] // Figures are rounded anyway.

use std::hint::black_box;
use std::io::Write;

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_formats::compression::{Compression, Compressor};
use millstream_formats::prefix::{Moment, PartitionKeys, Prefix, Rules};
use millstream_formats::query::Query;
use millstream_formats::zone::Zone;
use millstream_formats::{cloudwatch, split};
use rustix::time::{ClockId, clock_gettime};

const RECORD_BYTES: usize = 263;
const INPUT_BYTES: usize = 32 * 1024 * 1024;
const PASSES: usize = 5;

fn main() {
    let records = records();
    let bytes: usize = records.iter().map(Bytes::len).sum();
    println!("{} records of {RECORD_BYTES} bytes", records.len());
    compression(&records, bytes);
    splits(&records, bytes);
    queries(&records, bytes);
    names(&records);
}

fn records() -> Vec<Bytes> {
    let mut state = 0x9E37_79B9_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..INPUT_BYTES / RECORD_BYTES)
        .map(|number| {
            let mut record = format!(
                r#"{{"type":{{"device":"{}","event":"user_clicked_submit_button"}},"customer_id":"{:010}","event_timestamp":{},"region":"eu-west-{}","price":{}.{:02},"ok":{},"trace":"{:016x}","text":""#,
                ["mobile", "desktop", "tablet"][number % 3],
                next() % 10_000_000_000,
                1_565_382_027 + number,
                number % 4,
                next() % 1_000,
                next() % 100,
                number % 2 == 0,
                next(),
            );
            let padding = RECORD_BYTES - record.len() - 3;
            record.extend("the quick brown fox jumps over the lazy dog ".chars().cycle().take(padding));
            record.push_str("\"}\n");
            Bytes::from(record)
        })
        .collect()
}

/// Seconds that this thread has worked.
fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Prints the best speed of `pass`, which returns something that says it was done.
fn measure<T>(what: &str, bytes: usize, records: usize, mut pass: impl FnMut() -> T) {
    let seconds = (0..PASSES).map(|_| {
        let start = worked();
        black_box(pass());
        worked() - start
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    println!(
        "{what:<44} {:>7.0} MB/s {:>9.0} ns/record",
        bytes as f64 / best / 1e6,
        best / records as f64 * 1e9
    );
}

fn compression(records: &[Bytes], bytes: usize) {
    for (name, compression) in [
        ("GZIP (level 6)", Compression::Gzip),
        ("ZIP (level 6)", Compression::Zip),
        ("Snappy", Compression::Snappy),
        ("Hadoop Snappy", Compression::HadoopSnappy),
    ] {
        let pass = || {
            let mut compressor = Compressor::new(compression, "entry");
            let mut packed = 0;
            for record in records {
                compressor.write(record);
                if compressor.ready_bytes() > 1024 * 1024 {
                    packed += compressor.take().len();
                }
            }
            packed + compressor.finish().len()
        };
        println!("{name}: {:.1} % of its size", pass() as f64 / bytes as f64 * 100.0);
        measure(name, bytes, records.len(), pass);
    }
    let whole = records.concat();
    measure("the codec alone: gzip -6 in one write", bytes, records.len(), || {
        let level = flate2::Compression::new(6);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(&whole).expect("memory");
        encoder.finish().expect("memory").len()
    });
    measure("the codec alone: raw Snappy in blocks", bytes, records.len(), || {
        let mut encoder = snap::raw::Encoder::new();
        whole
            .chunks(65_536)
            .map(|block| encoder.compress_vec(block).expect("short").len())
            .sum::<usize>()
    });
    let mut compressor = Compressor::new(Compression::Gzip, "");
    records.iter().take(4_000).for_each(|record| compressor.write(record));
    let packed = compressor.finish();
    let unpacked = RECORD_BYTES * 4_000;
    measure("gunzip, 1 MB at a time", unpacked * 64, 4_000 * 64, || {
        (0..64)
            .map(|_| cloudwatch::decompress(&packed, 1 << 21).expect("sound").len())
            .sum::<usize>()
    });
}

fn splits(records: &[Bytes], bytes: usize) {
    let blobs: Vec<Bytes> = records.chunks(100).map(|chunk| chunk.concat().into()).collect();
    measure("split JSON, 100 a record", bytes, records.len(), || {
        blobs.iter().map(|blob| split::json(blob).expect("objects").len()).sum::<usize>()
    });
    measure("split at line feeds, 100 a record", bytes, records.len(), || {
        blobs.iter().map(|blob| split::delimited(blob, b"\n").len()).sum::<usize>()
    });
}

fn queries(records: &[Bytes], bytes: usize) {
    let start = worked();
    let fields =
        Query::parse("{customer_id: .customer_id, device: .type.device}").expect("a query");
    println!("compiling a query: {:.1} ms", (worked() - start) * 1e3);
    for (what, text) in [
        ("keys by the fast path (2 fields)", fields.text()),
        (
            "keys by the interpreter (2 fields)",
            "{customer_id: .customer_id, device: .type.device} | .",
        ),
        (
            "keys with dates (6, as in the guide)",
            r#"{customer_id: .customer_id, device: .type.device, year: .event_timestamp | strftime("%Y"),
                month: .event_timestamp | strftime("%m"), day: .event_timestamp | strftime("%d"),
                hour: .event_timestamp | strftime("%H")}"#,
        ),
        ("keys with a regular expression", r#"{region: (.region | sub("-[0-9]+$"; ""))}"#),
    ] {
        let query = Query::parse(text).expect("a query");
        measure(what, bytes, records.len(), || {
            let keys = |record| query.partition_keys(record, Timestamp::default());
            records.iter().map(|record| keys(record).expect("keys").len()).sum::<usize>()
        });
    }
    for (what, text) in [
        ("transform: identity", "."),
        ("transform: drop and add fields", "del(.text) | .seen = now | .price *= 2"),
    ] {
        let query = Query::parse(text).expect("a query");
        measure(what, bytes, records.len(), || {
            let output = |record| query.transform(record, Timestamp::default());
            records.iter().map(|record| output(record).expect("output").len()).sum::<usize>()
        });
    }
}

fn names(records: &[Bytes]) {
    let text = "customer_id=!{partitionKeyFromQuery:customer_id}/dt=!{timestamp:yyyy-MM-dd}/";
    let prefix = Prefix::parse(text, Rules::Partitioned).expect("a prefix");
    let keys = [("customer_id".to_owned(), "1234567890".to_owned())];
    let keys = PartitionKeys { from_query: keys.into(), ..PartitionKeys::default() };
    let zone = Zone::parse("America/New_York").expect("a zone");
    let moment = Moment { at: Timestamp::from_seconds(1_565_382_027), zone: &zone };
    measure("a record's partition", 0, records.len(), || {
        records
            .iter()
            .map(|_| prefix.partition(black_box(&keys)).expect("keys").len())
            .sum::<usize>()
    });
    measure("a prefix", 0, records.len(), || {
        let evaluate = || prefix.evaluate(black_box(&moment), &keys, &mut || [0; 8]);
        records.iter().map(|_| evaluate().expect("keys").len()).sum::<usize>()
    });
}
