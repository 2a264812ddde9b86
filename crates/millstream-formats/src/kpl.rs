//! The Kinesis Producer Library's aggregate: many user records inside one record of the stream.
//!
//! Layout: `F3 89 9A C2`, a protobuf 2 `AggregatedRecord` (partition_key_table = 1,
//! explicit_hash_key_table = 2, records = 3 { partition_key_index = 1,
//! explicit_hash_key_index = 2, data = 3, tags = 4 }), and the MD5 of that message. User records
//! share the aggregate's memory; a broken aggregate is none, and goes on as it is.
//! Source: aggregation-format.md of the amazon-kinesis-producer project (documented).

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;

/// A record as its producer meant it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// Its own partition key, shared with all of the aggregate that have it: an aggregate may
    /// name one long key a hundred thousand times.
    pub partition_key: Arc<str>,
    /// The hash key that its producer chose instead of the partition key's, in decimal.
    pub explicit_hash_key: Option<Arc<str>>,
    /// Its data, sharing the aggregate's memory.
    pub data: Bytes,
}

/// The user records in `data`, in order, or `None` where it is no whole and sound aggregate.
pub fn deaggregate(data: &Bytes) -> Option<Vec<UserRecord>> {
    if !data.starts_with(&MAGIC) || data.len() < MAGIC.len() + DIGEST_BYTES {
        return None;
    }
    let message = data.slice(MAGIC.len()..data.len() - DIGEST_BYTES);
    if Md5::digest(&message)[..] != data[data.len() - DIGEST_BYTES..] {
        return None;
    }
    let mut tables = Tables::default();
    let mut records = Vec::new();
    let mut fields = Fields { rest: message };
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(key)) => tables.partition_keys.push(text(&key)?),
            (2, Value::Bytes(key)) => tables.explicit_hash_keys.push(text(&key)?),
            (3, Value::Bytes(record)) => records.push(tables.user_record(record)?),
            _ => {}
        }
    }
    Some(records)
}

/// What records refer to by index; the format has the whole tables before the first record.
#[derive(Default)]
struct Tables {
    partition_keys: Vec<Arc<str>>,
    explicit_hash_keys: Vec<Arc<str>>,
}

impl Tables {
    fn user_record(&self, message: Bytes) -> Option<UserRecord> {
        let mut partition_key_index = None;
        let mut explicit_hash_key_index = None;
        let mut data = None;
        let mut fields = Fields { rest: message };
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Number(index)) => partition_key_index = Some(index),
                (2, Value::Number(index)) => explicit_hash_key_index = Some(index),
                (3, Value::Bytes(bytes)) => data = Some(bytes),
                _ => {}
            }
        }
        let explicit_hash_key = match explicit_hash_key_index {
            Some(index) => Some(entry(&self.explicit_hash_keys, index)?),
            None => None,
        };
        let partition_key = entry(&self.partition_keys, partition_key_index?)?;
        Some(UserRecord { partition_key, explicit_hash_key, data: data? })
    }
}

fn entry(table: &[Arc<str>], index: u64) -> Option<Arc<str>> {
    table.get(usize::try_from(index).ok()?).cloned()
}

fn text(bytes: &[u8]) -> Option<Arc<str>> {
    Some(std::str::from_utf8(bytes).ok()?.into())
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

    /// Records of key index, hash key index and data.
    fn aggregate(records: &[(u8, Option<u8>, &[u8])], keys: &[&str], hash_keys: &[&str]) -> Bytes {
        let mut message: Vec<u8> = keys.iter().flat_map(|key| field(1, key.as_bytes())).collect();
        message.extend(hash_keys.iter().flat_map(|key| field(2, key.as_bytes())));
        for (key, hash_key, data) in records {
            let mut record = vec![1 << 3, *key];
            record.extend(hash_key.iter().flat_map(|index| [2 << 3, *index]));
            record.extend(field(3, data));
            record.extend(field(4, b"a tag"));
            message.extend(field(3, &record));
        }
        let digest = Md5::digest(&message);
        Bytes::from([&MAGIC[..], &message, &digest[..]].concat())
    }

    #[test]
    fn an_aggregate_gives_its_records_in_order_with_their_own_keys() {
        let records: [(u8, Option<u8>, &[u8]); 3] =
            [(0, None, b"one"), (1, Some(1), b"two"), (0, Some(0), b"")];
        let data = aggregate(&records, &["a", "b"], &["0", "340282366920938463463"]);
        let records = deaggregate(&data).expect("an aggregate");
        let seen: Vec<(&str, Option<&str>, &[u8])> = records
            .iter()
            .map(|r| (&*r.partition_key, r.explicit_hash_key.as_deref(), &r.data[..]))
            .collect();
        let expected: [(&str, Option<&str>, &[u8]); 3] = [
            ("a", None, b"one"),
            ("b", Some("340282366920938463463"), b"two"),
            ("a", Some("0"), b""),
        ];
        assert_eq!(seen, expected);
    }

    /// Or an aggregate of a megabyte could take gigabytes of memory.
    #[test]
    fn records_of_one_key_share_it() {
        let data = aggregate(&[(0, None, b"one"), (0, None, b"two")], &["a"], &[]);
        let records = deaggregate(&data).expect("an aggregate");
        assert!(Arc::ptr_eq(&records[0].partition_key, &records[1].partition_key));
    }

    #[test]
    fn what_is_not_a_sound_aggregate_is_left_alone() {
        let sound = aggregate(&[(0, Some(0), b"one")], &["a"], &["7"]);
        assert!(deaggregate(&sound).is_some());
        for cut in 0..sound.len() {
            assert_eq!(deaggregate(&sound.slice(..cut)), None, "cut at {cut}");
        }
        for at in 0..sound.len() {
            let mut bytes = sound.to_vec();
            bytes[at] ^= 0x40;
            assert_eq!(deaggregate(&bytes.into()), None, "flipped at {at}");
        }
        let no_key = aggregate(&[(7, None, b"one")], &["a"], &[]);
        assert_eq!(deaggregate(&no_key), None, "no such key");
        let no_hash_key = aggregate(&[(0, Some(0), b"one")], &["a"], &[]);
        assert_eq!(deaggregate(&no_hash_key), None, "no such hash key");
        assert_eq!(deaggregate(&Bytes::from_static(b"plain text")), None);
    }
}
