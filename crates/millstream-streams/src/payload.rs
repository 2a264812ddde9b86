//! What one record is in its shard's log.
//!
//! Owns the bytes (docs/internals/record-payload.md): a head byte, version in the high nibble,
//! then
//! * plain (`0x10`): key length (u16 LE), partition key, data;
//! * sealed (`0x11`): data key id (u32 LE), then counter, ciphertext and tag of the plain body.
//!
//! Invariant: a sealed body opens only with the data key named, and only on the stream and the
//! shard that it was written to: they are authenticated with it.

use bytes::Bytes;
use millstream_auth::{DataKey, DataKeyOpener};
use millstream_core::ShardId;
use millstream_log::BatchBuilder;

use crate::state::StreamUid;

const PLAIN: u8 = 0x10;
const SEALED: u8 = 0x11;
/// Bytes that a record takes beside key and data, at most: head, key id, counter, tag, length.
pub(crate) const OVERHEAD_BYTES: usize = 1 + 4 + 8 + 16 + 2;

/// Where a record lies, as far as its seal knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) stream: StreamUid,
    pub(crate) shard: ShardId,
}

impl Place {
    fn aad(self, key_id: u32) -> [u8; 16] {
        let mut aad = [0; 16];
        aad[..8].copy_from_slice(&self.stream.0.to_le_bytes());
        aad[8..12].copy_from_slice(&self.shard.0.to_le_bytes());
        aad[12..].copy_from_slice(&key_id.to_le_bytes());
        aad
    }
}

/// A record, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) partition_key: String,
    /// Shares the memory of what was read, unless it was sealed.
    pub(crate) data: Bytes,
    pub(crate) is_sealed: bool,
}

/// Why stored bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("the record is cut short")]
    Short,
    #[error("the record is of unknown form {0:#04x}")]
    UnknownForm(u8),
    #[error("the partition key is not UTF-8")]
    Key,
    #[error("data key {0} is not known")]
    UnknownDataKey(u32),
    #[error("the record does not open under data key {0}")]
    SealBroken(u32),
}

fn key_length(partition_key: &str) -> [u8; 2] {
    let length = u16::try_from(partition_key.len());
    length.expect("a partition key has at most 256 characters").to_le_bytes()
}

/// Adds a record as it is.
pub(crate) fn push_plain(batch: &mut BatchBuilder, partition_key: &str, data: &[u8]) {
    let length = key_length(partition_key);
    batch.push(&[&[PLAIN, length[0], length[1]], partition_key.as_bytes(), data]);
}

/// Adds a record sealed under `key`. `scratch` is room to work in, kept between records.
pub(crate) fn push_sealed(
    batch: &mut BatchBuilder,
    (partition_key, data): (&str, &[u8]),
    place: Place,
    (key_id, key): (u32, &DataKey),
    scratch: &mut Scratch,
) {
    let Scratch { plain, sealed } = scratch;
    plain.clear();
    plain.extend_from_slice(&key_length(partition_key));
    plain.extend_from_slice(partition_key.as_bytes());
    plain.extend_from_slice(data);
    sealed.clear();
    key.seal_into(plain, &place.aad(key_id), sealed);
    batch.push(&[&[SEALED], &key_id.to_le_bytes(), sealed]);
}

/// Room for sealing.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

/// The data key that a stored record is sealed under; `None` where it is not.
pub(crate) fn data_key_id(stored: &[u8]) -> Option<u32> {
    let rest = stored.strip_prefix(&[SEALED])?;
    Some(u32::from_le_bytes(*rest.first_chunk::<4>()?))
}

/// Takes a stored record apart. `opener` is the key that [`data_key_id`] names, where known.
pub(crate) fn decode(
    stored: &Bytes,
    place: Place,
    opener: Option<&DataKeyOpener>,
) -> Result<Payload, PayloadError> {
    match stored.first().copied().ok_or(PayloadError::Short)? {
        PLAIN => body(stored.slice(1..), false),
        SEALED => {
            let key_id = data_key_id(stored).ok_or(PayloadError::Short)?;
            let opener = opener.ok_or(PayloadError::UnknownDataKey(key_id))?;
            let opened = opener.open(&stored[5..], &place.aad(key_id));
            body(Bytes::from(opened.ok_or(PayloadError::SealBroken(key_id))?), true)
        }
        other => Err(PayloadError::UnknownForm(other)),
    }
}

fn body(mut body: Bytes, is_sealed: bool) -> Result<Payload, PayloadError> {
    let length = body.first_chunk::<2>().map(|length| u16::from_le_bytes(*length));
    let key_end = 2 + usize::from(length.ok_or(PayloadError::Short)?);
    if body.len() < key_end {
        return Err(PayloadError::Short);
    }
    let data = body.split_off(key_end);
    let key = std::str::from_utf8(&body[2..]).map_err(|_| PayloadError::Key)?;
    Ok(Payload { partition_key: key.to_owned(), data, is_sealed })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_auth::{Keyring, MasterKey};
    use millstream_core::SeededRand;
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place = Place { stream: StreamUid(3), shard: ShardId(1) };

    fn keyring() -> Keyring {
        let rand = Arc::new(SeededRand::new(1));
        Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand)
    }

    fn stored(build: impl FnOnce(&mut BatchBuilder)) -> Bytes {
        let mut batch = BatchBuilder::default();
        build(&mut batch);
        batch.build().body().slice(4..)
    }

    fn sealed(key: &DataKey, partition_key: &str, data: &[u8]) -> Bytes {
        stored(|batch| {
            push_sealed(batch, (partition_key, data), PLACE, (9, key), &mut Scratch::default());
        })
    }

    #[test]
    fn a_sealed_record_opens_nowhere_else() {
        let (key, _) = keyring().new_data_key();
        let bytes = sealed(&key, "key", b"data");
        assert_eq!(data_key_id(&bytes), Some(9));
        assert!(decode(&bytes, PLACE, Some(&key.opener())).unwrap().is_sealed);
        for place in [Place { stream: StreamUid(4), ..PLACE }, Place { shard: ShardId(2), ..PLACE }]
        {
            let error = decode(&bytes, place, Some(&key.opener())).unwrap_err();
            assert_eq!(error, PayloadError::SealBroken(9));
        }
        let (other, _) = keyring().new_data_key();
        let (other, _) = (keyring().new_data_key(), other);
        assert!(decode(&bytes, PLACE, None).is_err());
        drop(other);
        for index in 1..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[index] ^= 1;
            assert!(decode(&changed.into(), PLACE, Some(&key.opener())).is_err(), "byte {index}");
        }
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read_back(partition_key in ".{1,256}", data: Vec<u8>) {
            let plain = stored(|batch| push_plain(batch, &partition_key, &data));
            let payload = decode(&plain, PLACE, None).unwrap();
            prop_assert_eq!(&payload.partition_key, &partition_key);
            prop_assert_eq!(&payload.data[..], &data[..]);
            let (key, _) = keyring().new_data_key();
            let payload = decode(&sealed(&key, &partition_key, &data), PLACE, Some(&key.opener()));
            let payload = payload.unwrap();
            prop_assert_eq!(&payload.partition_key, &partition_key);
            prop_assert_eq!(&payload.data[..], &data[..]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes.into(), PLACE, None);
        }
    }
}
