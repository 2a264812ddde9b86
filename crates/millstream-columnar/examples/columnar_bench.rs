//! How fast JSON becomes Parquet and ORC, on one core: MiB of JSON a second, best of several runs.
//!
//! `columnar_bench [RECORDS] [RUNS]`. The records are synthetic: 8 columns, 263 bytes on average,
//! one JSON object each, as a web server's log has them. They are made once and held in memory.

#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::fmt::Write as _;
use std::time::Instant;

use millstream_columnar::{
    FileFormat, JsonReader, OrcCompression, OrcOptions, ParquetCompression, ParquetOptions, Schema,
    Writer,
};

const COLUMNS: [(&str, &str); 8] = [
    ("event_time", "timestamp"),
    ("request_id", "string"),
    ("user_id", "bigint"),
    ("path", "string"),
    ("status", "int"),
    ("latency_ms", "double"),
    ("cached", "boolean"),
    ("user_agent", "string"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let records = arguments.next().map_or(Ok(400_000), |text| text.parse())?;
    let runs = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let only = arguments.next();
    let columns = COLUMNS.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let schema = Schema::parse(&columns)?;
    let (text, ends) = made(records);
    let total = mib(text.len());
    println!("{records} records, {} bytes each, {total:.1} MiB", text.len() / records.max(1));
    for (name, format) in formats() {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let mut best = f64::INFINITY;
        let mut size = 0;
        let mut memory = 0;
        for _ in 0..runs {
            let start = Instant::now();
            let mut writer = Writer::new(&schema, &JsonReader::default(), &format)?;
            let mut from = 0;
            for (index, end) in ends.iter().enumerate() {
                writer.push(&text[from..*end])?;
                from = *end;
                if index % 4_096 == 0 {
                    memory = memory.max(writer.memory_bytes());
                }
            }
            size = writer.finish().iter().map(bytes::Bytes::len).sum();
            best = best.min(start.elapsed().as_secs_f64());
        }
        let (size, memory) = (mib(size), mib(memory));
        println!(
            "{name:28} {:6.1} MiB/s   file {size:6.1} MiB   memory {memory:6.1} MiB",
            total / best
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn formats() -> Vec<(&'static str, FileFormat)> {
    let parquet = |compression, dictionary| {
        FileFormat::Parquet(ParquetOptions { compression, dictionary, ..ParquetOptions::default() })
    };
    let orc = |compression, dictionary_key_threshold| {
        FileFormat::Orc(OrcOptions {
            compression,
            dictionary_key_threshold,
            ..OrcOptions::default()
        })
    };
    vec![
        ("parquet none", parquet(ParquetCompression::Uncompressed, false)),
        ("parquet snappy", parquet(ParquetCompression::Snappy, false)),
        ("parquet snappy dictionary", parquet(ParquetCompression::Snappy, true)),
        ("parquet gzip", parquet(ParquetCompression::Gzip, false)),
        ("parquet gzip dictionary", parquet(ParquetCompression::Gzip, true)),
        ("orc none", orc(OrcCompression::None, 0.0)),
        ("orc snappy", orc(OrcCompression::Snappy, 0.0)),
        ("orc snappy dictionary", orc(OrcCompression::Snappy, 0.8)),
        ("orc zlib", orc(OrcCompression::Zlib, 0.0)),
    ]
}

/// Records, one behind the other, and where each ends.
fn made(records: usize) -> (Vec<u8>, Vec<usize>) {
    const AGENTS: [&str; 4] = [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) AppleWebKit/605.1 Safari",
        "curl/8.5.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut text = String::new();
    let mut ends = Vec::with_capacity(records);
    for index in 0..records {
        let millis = index % 1_000;
        let (minute, second) = (index / 60_000 % 60, index / 1_000 % 60);
        let agent = usize::try_from(random() % 4).unwrap_or(0);
        let micros = random() % 2_000_000;
        writeln!(
            text,
            "{{\"event_time\":\"2024-05-17T10:{minute:02}:{second:02}.{millis:03}Z\",\
             \"request_id\":\"{:016x}{:08x}\",\"user_id\":{},\"path\":\"/api/v1/items/{}/detail\",\
             \"status\":{},\"latency_ms\":{}.{:03},\"cached\":{},\"user_agent\":\"{}\"}}",
            random(),
            random() >> 32,
            1_000_000_000 + random() % 50_000_000,
            random() % 10_000,
            [200, 200, 200, 204, 304, 404, 500][usize::try_from(random() % 7).unwrap_or(0)],
            micros / 1_000,
            micros % 1_000,
            random() % 3 == 0,
            AGENTS[agent],
        )
        .expect("text takes every write");
        ends.push(text.len());
    }
    (text.into_bytes(), ends)
}
