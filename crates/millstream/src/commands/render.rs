//! How a record looks in a terminal: unfolded, then as text, as JSON, or as it is.

use std::io::{self, Write};

use bytes::Bytes;
use clap::ValueEnum;
use millstream_api::kinesis::Record;
use millstream_core::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::decode::{deaggregate, gunzip};
use crate::terminal::Style;

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Time, shard, key and data on a line
    Text,
    /// An object on a line: arrived, shard, sequence_number, key, data (JSON as it was put, other
    /// text as a string; bytes as data_base64)
    Json,
    /// The data and a line break
    Raw,
}

/// One record, or one part of an aggregate, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Its shard.
    pub(crate) shard: String,
    /// Its record's sequence number.
    pub(crate) sequence_number: String,
    /// Where it stands in its aggregate, where it was in one.
    pub(crate) part: Option<usize>,
    /// When its record arrived.
    pub(crate) arrived: Timestamp,
    /// Its own partition key.
    pub(crate) key: String,
    /// Its data, unfolded.
    pub(crate) data: Bytes,
}

/// Takes apart what a record holds.
pub(crate) fn unfold(shard: &str, record: &Record, kpl: bool, gzip: bool) -> Vec<Shown> {
    let arrived = record.approximate_arrival_timestamp.unwrap_or_default();
    let shown = |part, key, data| Shown {
        shard: shard.to_owned(),
        sequence_number: record.sequence_number.clone(),
        part,
        arrived,
        key,
        data,
    };
    let open = |data: Bytes| match gunzip(&data) {
        Some(unpacked) if gzip => Bytes::from(unpacked),
        _ => data,
    };
    match deaggregate(&record.data) {
        Some(parts) if kpl => parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| shown(Some(at), part.partition_key.to_string(), open(part.data)))
            .collect(),
        _ => vec![shown(None, record.partition_key.clone(), open(record.data.clone()))],
    }
}

impl Shown {
    /// Writes it, with a line break.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        output: Output,
        style: Style,
    ) -> io::Result<()> {
        match output {
            Output::Raw => {
                out.write_all(&self.data)?;
                out.write_all(b"\n")
            }
            Output::Json => self.write_json(out),
            Output::Text => {
                let shard = self.shard.strip_prefix("shardId-").unwrap_or(&self.shard);
                let shard = shard.trim_start_matches('0');
                let shard = if shard.is_empty() { "0" } else { shard };
                writeln!(
                    out,
                    "{} {} {} {}",
                    style.dim(&clock_text(self.arrived)),
                    style.yellow(&format!("{shard:>3}")),
                    style.cyan(&printable(self.key.as_bytes())),
                    printable(&self.data),
                )
            }
        }
    }

    /// Records that are JSON stand in it as they are, so that `jq .data.user` works and no digit
    /// of a large number, no second key of the same name and no order is lost on the way.
    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let arrived = crate::commands::streams::moment_ms(self.arrived);
        let quoted = |text: &str| Value::from(text).to_string();
        write!(
            out,
            "{{\"arrived\":\"{arrived}\",\"shard\":{},\"sequence_number\":{},\"key\":{}",
            quoted(&self.shard),
            quoted(&self.sequence_number),
            quoted(&self.key)
        )?;
        if let Some(part) = self.part {
            write!(out, ",\"part\":{part}")?;
        }
        match std::str::from_utf8(&self.data) {
            Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
                // Outside of texts, where they cannot stand, line breaks are mere space.
                writeln!(out, ",\"data\":{}}}", text.trim().replace(['\n', '\r'], " "))
            }
            Ok(text) => writeln!(out, ",\"data\":{}}}", quoted(text)),
            Err(_) => {
                let encoded = base64_simd::STANDARD.encode_to_string(&self.data);
                writeln!(out, ",\"data_base64\":\"{encoded}\"}}")
            }
        }
    }
}

/// Text as it is but for control characters, which could move the cursor or worse; bytes that
/// are no text as base64.
fn printable(data: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(data) else {
        return format!("base64:{}", base64_simd::STANDARD.encode_to_string(data));
    };
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => safe.push('\t'),
            control if control.is_control() => safe.extend(control.escape_default()),
            other => safe.push(other),
        }
    }
    safe
}

/// The time of day in UTC, to the millisecond.
fn clock_text(at: Timestamp) -> String {
    let format = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.ms()) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(format).ok())
        .unwrap_or_else(|| at.ms().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: &'static [u8]) -> Record {
        Record {
            sequence_number: "495".to_owned(),
            approximate_arrival_timestamp: Some(Timestamp::from_ms(3_723_004)),
            data: Bytes::from_static(data),
            partition_key: "k".to_owned(),
            encryption_type: None,
        }
    }

    fn written(data: &'static [u8], output: Output) -> String {
        let shown = unfold("shardId-000000000012", &record(data), true, true);
        let mut out = Vec::new();
        shown[0].write(&mut out, output, Style::plain()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_says_when_where_whose_and_what() {
        assert_eq!(written(b"hello", Output::Text), "01:02:03.004  12 k hello\n");
    }

    #[test]
    fn a_record_cannot_steer_the_terminal() {
        assert_eq!(written(b"a\x1b[2Jb", Output::Text), "01:02:03.004  12 k a\\u{1b}[2Jb\n");
        assert_eq!(written(b"\xff\x00", Output::Text), "01:02:03.004  12 k base64:/wA=\n");
    }

    #[test]
    fn json_shows_json_as_json_and_bytes_as_base64() {
        let value = |data| serde_json::from_str::<Value>(&written(data, Output::Json)).unwrap();
        assert_eq!(value(br#"{"a":1}"#)["data"]["a"], 1);
        assert_eq!(value(b"plain")["data"], "plain");
        assert_eq!(value(b"\xff")["data_base64"], "/w==");
        assert_eq!(value(b"x")["arrived"], "1970-01-01T01:02:03.004Z");
    }

    #[test]
    fn json_inside_json_is_not_written_anew() {
        let data = b"{ \"n\": 12345678901234567890123,\r\n \"a\": 1.10, \"a\": \"\\n\" }\n";
        let line = written(data, Output::Json);
        let kept = r#","data":{ "n": 12345678901234567890123,   "a": 1.10, "a": "\n" }}"#;
        assert!(line.ends_with(&format!("{kept}\n")), "{line}");
        assert_eq!(line.lines().count(), 1);
        let line = written(b"{\"a\":", Output::Json);
        assert!(line.ends_with(",\"data\":\"{\\\"a\\\":\"}\n"), "{line}");
    }
}
