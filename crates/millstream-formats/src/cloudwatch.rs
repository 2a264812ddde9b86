//! What CloudWatch Logs sends: gzipped envelopes of log events.
//!
//! Owns `Decompression` and the message extraction of `CloudWatchLogProcessing`. Output is
//! bounded: a small record can unpack to gigabytes.
//! Source: the guide's "Send CloudWatch Logs to Firehose" and "Extract message after
//! decompression"; `SubscriptionFilters` of the CloudWatch Logs guide for the envelope.

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

/// Bytes that are unpacked at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Why a record was not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// It is not gzip, or it is broken.
    #[error("the record is not valid gzip")]
    NotGzip,
    /// It unpacks to more than it may.
    #[error("the record unpacks to more than {bytes_max} bytes")]
    TooLarge {
        /// What it may unpack to.
        bytes_max: usize,
    },
}

/// Why a record has no messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is no envelope.
    #[error("the record is not a CloudWatch Logs envelope: {reason}")]
    NotAnEnvelope {
        /// What the reader of JSON says.
        reason: String,
    },
}

/// Unpacks a record of one or more gzip members, to `bytes_max` bytes at most.
pub fn decompress(record: &Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
    let mut decoder = MultiGzDecoder::new(&record[..]);
    let mut unpacked = Vec::new();
    loop {
        let filled = unpacked.len();
        unpacked.resize(filled + CHUNK_BYTES, 0);
        match decoder.read(&mut unpacked[filled..]) {
            Ok(0) => {
                unpacked.truncate(filled);
                return Ok(unpacked.into());
            }
            Ok(read) => unpacked.truncate(filled + read),
            Err(_) => return Err(DecompressError::NotGzip),
        }
        if unpacked.len() > bytes_max {
            return Err(DecompressError::TooLarge { bytes_max });
        }
    }
}

/// The messages in an unpacked envelope, in order; none where it is the message by which
/// CloudWatch Logs checks that the destination is there.
pub fn messages(envelope: &Bytes) -> Result<Vec<Bytes>, EnvelopeError> {
    let envelope: Envelope<'_> = serde_json::from_slice(envelope)
        .map_err(|error| EnvelopeError::NotAnEnvelope { reason: error.to_string() })?;
    match envelope.message_type {
        MessageType::Control => Ok(Vec::new()),
        MessageType::Data => Ok(envelope
            .log_events
            .into_iter()
            .map(|event| Bytes::from(event.message.into_owned()))
            .collect()),
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "messageType")]
    message_type: MessageType,
    #[serde(rename = "logEvents", borrow)]
    log_events: Vec<LogEvent<'a>>,
}

#[derive(Deserialize)]
enum MessageType {
    #[serde(rename = "DATA_MESSAGE")]
    Data,
    #[serde(rename = "CONTROL_MESSAGE")]
    Control,
}

#[derive(Deserialize)]
struct LogEvent<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The guide's example, "without message extraction".
    const ENVELOPE: &str = r#"{
        "owner": "111111111111",
        "logGroup": "CloudTrail/logs",
        "logStream": "111111111111_CloudTrail/logs_us-east-1",
        "subscriptionFilters": ["Destination"],
        "messageType": "DATA_MESSAGE",
        "logEvents": [
            {"id": "31953106606966983378809025079804211143289615424298221568",
             "timestamp": 1432826855000,
             "message": "{\"eventVersion\":\"1.03\",\"userIdentity\":{\"type\":\"Root1\"}"},
            {"id": "31953106606966983378809025079804211143289615424298221569",
             "timestamp": 1432826855000, "message": "plain \u00e9"}
        ]
    }"#;

    fn pack(data: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn messages_leave_their_envelope_in_order() {
        let unpacked = decompress(&pack(ENVELOPE.as_bytes()), 10_000).unwrap();
        assert_eq!(unpacked, ENVELOPE);
        let expected =
            [r#"{"eventVersion":"1.03","userIdentity":{"type":"Root1"}"#, "plain \u{e9}"];
        assert_eq!(messages(&unpacked).unwrap(), expected);
    }

    #[test]
    fn the_message_that_checks_the_destination_has_none() {
        let control = ENVELOPE.replace("DATA_MESSAGE", "CONTROL_MESSAGE");
        assert!(messages(&control.into()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        let rows = [
            "",
            "[]",
            "{}",
            "plain",
            r#"{"messageType":"DATA_MESSAGE"}"#,
            r#"{"messageType":"OTHER","logEvents":[]}"#,
            r#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":1}]}"#,
        ];
        for row in rows {
            assert!(messages(&Bytes::from_static(row.as_bytes())).is_err(), "{row}");
        }
    }

    #[test]
    fn members_one_after_another_are_one_record() {
        let both = Bytes::from([pack(b"hello "), pack(b"world")].concat());
        assert_eq!(decompress(&both, 11).unwrap(), "hello world");
        assert_eq!(decompress(&both, 10), Err(DecompressError::TooLarge { bytes_max: 10 }));
    }

    #[test]
    fn what_is_not_gzip_or_is_cut_is_refused() {
        let packed = pack(b"hello");
        for cut in 0..packed.len() {
            assert_eq!(
                decompress(&packed.slice(..cut), 99),
                Err(DecompressError::NotGzip),
                "{cut}"
            );
        }
        assert_eq!(decompress(&Bytes::from_static(b"hello"), 99), Err(DecompressError::NotGzip));
    }

    #[test]
    fn a_bomb_stops_where_it_may_go_no_further() {
        let bomb = pack(&vec![0; 5_000_000]);
        assert!(bomb.len() < 50_000);
        assert_eq!(
            decompress(&bomb, 100_000),
            Err(DecompressError::TooLarge { bytes_max: 100_000 })
        );
        assert_eq!(decompress(&bomb, 5_000_000).unwrap().len(), 5_000_000);
    }
}
