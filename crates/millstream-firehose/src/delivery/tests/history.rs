//! What must hold of every history: each accepted record is at its destination or in the error
//! output; and how often it is there.

use std::collections::BTreeMap;

use base64_simd::STANDARD as BASE64;
use bytes::Bytes;

use super::outside::{ERRORS, MAIN, Outside};

/// The records of an object whose records are lines.
pub(crate) fn lines(object: &Bytes) -> Vec<Bytes> {
    let mut records = Vec::new();
    let mut start = 0;
    for (at, byte) in object.iter().enumerate() {
        if *byte == b'\n' {
            records.push(object.slice(start..=at));
            start = at + 1;
        }
    }
    assert_eq!(start, object.len(), "an object ends with its last record");
    records
}

/// The one document of an entry of the error output.
pub(in crate::delivery) fn unpack_refused(entry: &Bytes) -> serde_json::Value {
    serde_json::from_slice(entry).unwrap()
}

/// The records in documents of the error output.
pub(crate) fn raw_data(object: &[u8]) -> Vec<Bytes> {
    let text = std::str::from_utf8(object).unwrap();
    let document = |line: &str| {
        let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
        BASE64.decode_to_vec(parsed["rawData"].as_str().unwrap()).unwrap().into()
    };
    text.lines().map(document).collect()
}

/// Where each record came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) delivered: BTreeMap<Bytes, u64>,
    pub(crate) refused: BTreeMap<Bytes, u64>,
}

impl Tally {
    /// Of objects of lines in the main bucket, of documents, of rows, and of the error output.
    pub(crate) fn of(outside: &Outside) -> Self {
        let mut tally = Self::default();
        for object in outside.bucket_objects(MAIN).into_values() {
            for record in lines(&object.into()) {
                *tally.delivered.entry(record).or_default() += 1;
            }
        }
        let world = outside.world();
        let documents = world.documents.iter().map(|(_, data)| data.clone());
        for record in documents.chain(world.rows.iter().cloned()) {
            *tally.delivered.entry(record).or_default() += 1;
        }
        drop(world);
        for object in outside.bucket_objects(ERRORS).into_values() {
            for record in raw_data(&object) {
                *tally.refused.entry(record).or_default() += 1;
            }
        }
        tally
    }

    /// Asserts that every accepted record is somewhere, and nothing is that was not accepted.
    #[track_caller]
    pub(crate) fn nothing_is_lost(&self, accepted: &[Bytes]) {
        for record in accepted {
            let is_there = self.delivered.contains_key(record) || self.refused.contains_key(record);
            assert!(is_there, "lost: {}", String::from_utf8_lossy(record));
        }
        for record in self.delivered.keys().chain(self.refused.keys()) {
            assert!(accepted.contains(record), "invented: {}", String::from_utf8_lossy(record));
        }
    }

    /// Asserts that every accepted record is delivered, once, and none is refused.
    #[track_caller]
    pub(crate) fn exactly_once(&self, accepted: &[Bytes]) {
        self.nothing_is_lost(accepted);
        assert!(self.refused.is_empty(), "{} records are refused", self.refused.len());
        for (record, count) in &self.delivered {
            assert_eq!(*count, 1, "{} is there {count} times", String::from_utf8_lossy(record));
        }
    }

    /// Asserts that every accepted record is in one place, once.
    #[track_caller]
    pub(crate) fn once_somewhere(&self, accepted: &[Bytes]) {
        self.nothing_is_lost(accepted);
        for record in accepted {
            let delivered = self.delivered.get(record).copied().unwrap_or_default();
            let refused = self.refused.get(record).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(record);
            assert_eq!(delivered + refused, 1, "{text}: {delivered} there, {refused} refused");
        }
    }

    /// How many deliveries of records were one too many.
    pub(crate) fn duplicates(&self) -> u64 {
        self.delivered.values().chain(self.refused.values()).map(|count| count - 1).sum()
    }
}
