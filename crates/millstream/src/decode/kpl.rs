//! The Kinesis Producer Library's aggregate: many user records inside one record of the stream.
//!
//! Layout: `F3 89 9A C2`, a protobuf 2 `AggregatedRecord` (partition_key_table = 1,
//! explicit_hash_key_table = 2, records = 3 { partition_key_index = 1,
//! explicit_hash_key_index = 2, data = 3, tags = 4 }), and the MD5 of that message.
//! Source: aggregation-format.md of the amazon-kinesis-producer project (documented).

use bytes::Bytes;
use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;

/// A record as its producer meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRecord {
    /// Its own partition key.
    pub(crate) partition_key: String,
    /// Its data, sharing the aggregate's memory.
    pub(crate) data: Bytes,
}

/// The user records in `data`, or `None` where it is no whole and sound aggregate.
pub(crate) fn deaggregate(data: &Bytes) -> Option<Vec<UserRecord>> {
    if !data.starts_with(&MAGIC) || data.len() < MAGIC.len() + DIGEST_BYTES {
        return None;
    }
    let message = data.slice(MAGIC.len()..data.len() - DIGEST_BYTES);
    if Md5::digest(&message)[..] != data[data.len() - DIGEST_BYTES..] {
        return None;
    }
    let mut keys = Vec::new();
    let mut records = Vec::new();
    let mut fields = Fields { rest: message };
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(key)) => keys.push(String::from_utf8(key.to_vec()).ok()?),
            (3, Value::Bytes(record)) => records.push(user_record(record, &keys)?),
            _ => {}
        }
    }
    Some(records)
}

/// One `Record`; the format has the whole key table before the first record.
fn user_record(message: Bytes, keys: &[String]) -> Option<UserRecord> {
    let mut key_index = None;
    let mut data = None;
    let mut fields = Fields { rest: message };
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Number(index)) => key_index = usize::try_from(index).ok(),
            (3, Value::Bytes(bytes)) => data = Some(bytes),
            _ => {}
        }
    }
    Some(UserRecord { partition_key: keys.get(key_index?)?.clone(), data: data? })
}

enum Value {
    Number(u64),
    Bytes(Bytes),
    Skipped,
}

/// Walks the fields of a protobuf message.
struct Fields {
    rest: Bytes,
}

impl Fields {
    /// The next field; `Some(None)` at the end, `None` where the message is broken.
    #[allow(clippy::option_option)] // Broken, ended, or a field: private to this file.
    fn next(&mut self) -> Option<Option<(u64, Value)>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Skipped)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Skipped)?,
            _ => return None,
        };
        Some(Some((tag >> 3, value)))
    }

    fn take(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.rest.len()).then(|| self.rest.split_to(count))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![(number << 3) | 2, u8::try_from(content.len()).unwrap()];
        bytes.extend_from_slice(content);
        bytes
    }

    fn aggregate(records: &[(u8, &[u8])], keys: &[&str]) -> Bytes {
        let mut message: Vec<u8> = keys.iter().flat_map(|key| field(1, key.as_bytes())).collect();
        for (key, data) in records {
            let mut record = vec![1 << 3, *key];
            record.extend(field(3, data));
            message.extend(field(3, &record));
        }
        let digest = Md5::digest(&message);
        Bytes::from([&MAGIC[..], &message, &digest[..]].concat())
    }

    #[test]
    fn an_aggregate_gives_its_records_in_order_with_their_own_keys() {
        let data = aggregate(&[(0, b"one"), (1, b"two"), (0, b"")], &["a", "b"]);
        let records = deaggregate(&data).expect("an aggregate");
        let seen: Vec<(&str, &[u8])> =
            records.iter().map(|r| (r.partition_key.as_str(), &r.data[..])).collect();
        assert_eq!(seen, [("a", &b"one"[..]), ("b", b"two"), ("a", b"")]);
    }

    #[test]
    fn what_is_not_a_sound_aggregate_is_left_alone() {
        let sound = aggregate(&[(0, b"one")], &["a"]);
        for cut in 0..sound.len() {
            assert_eq!(deaggregate(&sound.slice(..cut)), None, "cut at {cut}");
        }
        for at in 0..sound.len() {
            let mut bytes = sound.to_vec();
            bytes[at] ^= 0x40;
            assert_eq!(deaggregate(&bytes.into()), None, "flipped at {at}");
        }
        assert_eq!(deaggregate(&aggregate(&[(7, b"one")], &["a"])), None, "no such key");
        assert_eq!(deaggregate(&Bytes::from_static(b"plain text")), None);
    }
}
