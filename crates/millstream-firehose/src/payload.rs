//! What one directly put record is in its delivery stream's log.
//!
//! Owns the bytes: a head byte, version in the high nibble, then
//! * plain (`0x10`): the data;
//! * sealed (`0x11`): data key id (u32 LE), then counter, ciphertext and tag of the data.
//!
//! Invariant: sealed data opens only with the data key named, and only in the delivery stream that
//! it was put to: both are authenticated with it.

use bytes::Bytes;
use millstream_auth::{DataKey, DataKeyOpener};
use millstream_log::BatchBuilder;

use crate::state::DeliveryStreamUid;

const PLAIN: u8 = 0x10;
const SEALED: u8 = 0x11;
/// Bytes that a record takes beside its data, at most: head, key id, counter, tag.
pub(crate) const OVERHEAD_BYTES: usize = 1 + 4 + 8 + 16;

fn aad(stream: DeliveryStreamUid, key_id: u32) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(&stream.0.to_le_bytes());
    aad[8..].copy_from_slice(&key_id.to_le_bytes());
    aad
}

/// Why stored bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("the record is cut short")]
    Short,
    #[error("the record is of unknown form {0:#04x}")]
    UnknownForm(u8),
    #[error("data key {0} is not known")]
    UnknownDataKey(u32),
    #[error("the record does not open under data key {0}")]
    SealBroken(u32),
}

/// Adds a record as it is.
pub(crate) fn push_plain(batch: &mut BatchBuilder, data: &[u8]) {
    batch.push(&[&[PLAIN], data]);
}

/// Adds a record sealed under `key`. `scratch` is room to work in, kept between records.
pub(crate) fn push_sealed(
    batch: &mut BatchBuilder,
    data: &[u8],
    stream: DeliveryStreamUid,
    (key_id, key): (u32, &DataKey),
    scratch: &mut Vec<u8>,
) {
    scratch.clear();
    key.seal_into(data, &aad(stream, key_id), scratch);
    batch.push(&[&[SEALED], &key_id.to_le_bytes(), scratch]);
}

/// The data of a stored record, sharing its memory unless it was sealed. `opener` finds the
/// opener of a data key.
pub(crate) fn decode(
    stored: &Bytes,
    stream: DeliveryStreamUid,
    opener: impl FnOnce(u32) -> Option<DataKeyOpener>,
) -> Result<Bytes, PayloadError> {
    match stored.first().copied().ok_or(PayloadError::Short)? {
        PLAIN => Ok(stored.slice(1..)),
        SEALED => {
            let (key_id, sealed) =
                stored[1..].split_first_chunk::<4>().ok_or(PayloadError::Short)?;
            let key_id = u32::from_le_bytes(*key_id);
            let opener = opener(key_id).ok_or(PayloadError::UnknownDataKey(key_id))?;
            let opened = opener.open(sealed, &aad(stream, key_id));
            opened.map(Bytes::from).ok_or(PayloadError::SealBroken(key_id))
        }
        other => Err(PayloadError::UnknownForm(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_auth::{Keyring, MasterKey};
    use millstream_core::SeededRand;
    use proptest::prelude::*;

    use super::*;

    const STREAM: DeliveryStreamUid = DeliveryStreamUid(3);

    fn data_key() -> DataKey {
        let rand = Arc::new(SeededRand::new(1));
        Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand).new_data_key().0
    }

    fn stored(build: impl FnOnce(&mut BatchBuilder)) -> Bytes {
        let mut batch = BatchBuilder::default();
        build(&mut batch);
        batch.build().body().slice(4..)
    }

    fn sealed(key: &DataKey, data: &[u8]) -> Bytes {
        stored(|batch| push_sealed(batch, data, STREAM, (9, key), &mut Vec::new()))
    }

    #[test]
    fn a_sealed_record_opens_nowhere_else() {
        let key = data_key();
        let bytes = sealed(&key, b"data");
        let open = |bytes: &Bytes, stream| decode(bytes, stream, |_| Some(key.opener()));
        assert_eq!(open(&bytes, STREAM).unwrap(), b"data"[..]);
        assert_eq!(open(&bytes, DeliveryStreamUid(4)), Err(PayloadError::SealBroken(9)));
        assert_eq!(decode(&bytes, STREAM, |_| None), Err(PayloadError::UnknownDataKey(9)));
        for index in 1..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[index] ^= 1;
            assert!(open(&changed.into(), STREAM).is_err(), "byte {index}");
        }
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read_back(data: Vec<u8>) {
            let plain = stored(|batch| push_plain(batch, &data));
            prop_assert_eq!(&decode(&plain, STREAM, |_| None).unwrap()[..], &data[..]);
            let key = data_key();
            let sealed = sealed(&key, &data);
            let opened = decode(&sealed, STREAM, |id| (id == 9).then(|| key.opener())).unwrap();
            prop_assert_eq!(&opened[..], &data[..]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let key = data_key();
            let _ = decode(&bytes.into(), STREAM, |_| Some(key.opener()));
        }
    }
}
