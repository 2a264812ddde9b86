//! Data keys: which one seals records now, and how sealed records open.
//!
//! Owns the rotation. A stream's records are sealed under a data key that only this process
//! seals with, for five minutes or 2^32 records, whichever comes first (observed cadence of the
//! real service). The key, wrapped by the keyring, is durable in the catalog before its first
//! use, so that what was acknowledged always opens; it is forgotten once every record sealed
//! under it has expired.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_auth::{DataKey, DataKeyOpener, Keyring};
use millstream_core::Timestamp;

use crate::refusal::Refusal;
use crate::state::{Command, DataKeyRecord, Stream, StreamUid};
use crate::streams::Streams;

/// How long one data key seals.
const DATA_KEY_LIFE: Duration = Duration::from_secs(300);
/// How many records one data key seals.
const DATA_KEY_RECORDS_MAX: u64 = 1 << 32;
/// How long a record may be under way between its sealing and its arrival.
pub(crate) const SEALING_SLACK: Duration = Duration::from_secs(3_600);
/// Openers kept at hand; beyond, all are unwrapped anew.
const OPENERS_MAX: usize = 10_000;

/// A key that seals now.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) id: u32,
    pub(crate) key: DataKey,
    since: tokio::time::Instant,
}

/// The data keys in use.
#[derive(Debug, Default)]
pub(crate) struct DataKeys {
    sealing: Mutex<BTreeMap<StreamUid, Arc<Sealing>>>,
    openers: Mutex<BTreeMap<(StreamUid, u32), DataKeyOpener>>,
    rotation: tokio::sync::Mutex<()>,
}

impl DataKeys {
    fn current(&self, stream: StreamUid) -> Option<Arc<Sealing>> {
        let sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = sealing.get(&stream)?;
        let is_fresh = current.since.elapsed() < DATA_KEY_LIFE
            && current.key.sealed_count() < DATA_KEY_RECORDS_MAX;
        is_fresh.then(|| current.clone())
    }

    /// The opener of a stream's key, unwrapped once.
    pub(crate) fn opener(
        &self,
        keyring: &Keyring,
        stream: &Stream,
        id: u32,
    ) -> Option<DataKeyOpener> {
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opener) = openers.get(&(stream.uid, id)) {
            return Some(opener.clone());
        }
        let index = stream.data_keys.binary_search_by_key(&id, |key| key.id).ok()?;
        let wrapped = &stream.data_keys[index].wrapped;
        let wrapped = base64_simd::STANDARD.decode_to_vec(wrapped).ok()?;
        let opener = keyring.unwrap_data_key(&wrapped)?;
        if openers.len() >= OPENERS_MAX {
            openers.clear();
        }
        openers.insert((stream.uid, id), opener.clone());
        Some(opener)
    }

    /// Forgets a stream that is gone.
    pub(crate) fn forget(&self, stream: StreamUid) {
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        openers.retain(|(uid, _), _| *uid != stream);
    }
}

impl Streams {
    /// The key to seal the stream's records with now; `None` where encryption is off.
    pub(crate) async fn sealing_key(
        &self,
        stream: &Stream,
    ) -> Result<Option<Arc<Sealing>>, Refusal> {
        if stream.encryption.is_none() {
            return Ok(None);
        }
        if let Some(current) = self.data_keys.current(stream.uid) {
            return Ok(Some(current));
        }
        let _one_at_a_time = self.data_keys.rotation.lock().await;
        if let Some(current) = self.data_keys.current(stream.uid) {
            return Ok(Some(current));
        }
        let (key, wrapped) = self.keyring.new_data_key();
        let wrapped = base64_simd::STANDARD.encode_to_string(wrapped);
        let (uid, made) = (stream.uid, self.steady_now(stream));
        let id = self
            .propose(|registry| {
                let stream = registry.by_uid(uid).ok_or_else(|| self.gone(stream))?;
                let id = stream.next_data_key;
                let key = DataKeyRecord { id, wrapped, made };
                Ok((Some(Command::AddDataKey { stream: uid, key }), id))
            })
            .await?;
        let current = Arc::new(Sealing { id, key, since: tokio::time::Instant::now() });
        let mut sealing = self.data_keys.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        sealing.insert(uid, current.clone());
        Ok(Some(current))
    }
}

/// The first key that stored records may still be sealed under: those before it sealed only
/// records that have expired. A key seals until the next is made, and `SEALING_SLACK` beyond.
pub(crate) fn first_key_needed(stream: &Stream, now: Timestamp) -> Option<u32> {
    let horizon = stream.horizon(now).minus(SEALING_SLACK);
    let superseded_before = |pair: &&[DataKeyRecord]| pair[1].made < horizon;
    let expired = stream.data_keys.windows(2).take_while(superseded_before).count();
    stream.data_keys.get(expired).map(|key| key.id).filter(|_| expired > 0)
}
