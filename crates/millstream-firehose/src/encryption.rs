//! Data keys: which one seals records now, and how sealed records open.
//!
//! Owns the rotation, as Data Streams has it: records are sealed under a data key that only this
//! process seals with, for five minutes or 2^32 records, whichever comes first. The key, wrapped
//! by the keyring, is durable in the catalog before its first use, so that what was acknowledged
//! always opens; it is forgotten once everything sealed under it is delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use millstream_auth::{DataKey, DataKeyOpener, Keyring};
use millstream_log::{Bounds, Position};
use tokio::time::Instant;

use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::state::{Command, DataKeyRecord, DeliveryStream, DeliveryStreamUid};

/// How long one data key seals.
const DATA_KEY_LIFE: Duration = Duration::from_secs(300);
/// How many records one data key seals.
const DATA_KEY_RECORDS_MAX: u64 = 1 << 32;
/// How long an append may still land after whoever waited for it went away.
const LANDING_SLACK: Duration = Duration::from_secs(60);
/// Openers kept at hand; beyond, all are unwrapped anew.
const OPENERS_MAX: usize = 10_000;

/// A key that seals now.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) id: u32,
    pub(crate) key: DataKey,
    since: Instant,
}

/// How far a key that seals no more is from being forgotten.
#[derive(Debug)]
enum Retirement {
    /// Somebody may hold it still.
    Held(Weak<Sealing>),
    /// Nobody has held it since; what was sealed last may still be landing.
    Since(Instant),
    /// All that it sealed lies below.
    Below(Position),
}

/// The data keys in use.
#[derive(Debug, Default)]
pub(crate) struct DataKeys {
    sealing: Mutex<BTreeMap<DeliveryStreamUid, Arc<Sealing>>>,
    retirement: Mutex<BTreeMap<(DeliveryStreamUid, u32), Retirement>>,
    openers: Mutex<BTreeMap<(DeliveryStreamUid, u32), DataKeyOpener>>,
    rotation: tokio::sync::Mutex<()>,
}

impl DataKeys {
    fn current(&self, stream: DeliveryStreamUid) -> Option<Arc<Sealing>> {
        let sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = sealing.get(&stream)?;
        let is_fresh = current.since.elapsed() < DATA_KEY_LIFE
            && current.key.sealed_count() < DATA_KEY_RECORDS_MAX;
        is_fresh.then(|| current.clone())
    }

    /// The opener of a delivery stream's key, unwrapped once.
    fn opener(&self, keyring: &Keyring, stream: &DeliveryStream, id: u32) -> Option<DataKeyOpener> {
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

    fn begin(&self, stream: DeliveryStreamUid, sealing: &Arc<Sealing>) {
        let mut retirement = self.retirement.lock().unwrap_or_else(PoisonError::into_inner);
        retirement.insert((stream, sealing.id), Retirement::Held(Arc::downgrade(sealing)));
        drop(retirement);
        let mut current = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        current.insert(stream, sealing.clone());
    }

    /// Whether everything that the key sealed lies below the start of its log. Goes by positions
    /// and by time that passed, never by a clock that may jump.
    fn is_spent(&self, stream: DeliveryStreamUid, id: u32, bounds: Bounds) -> bool {
        let mut all = self.retirement.lock().unwrap_or_else(PoisonError::into_inner);
        // A key from before the last start is held by nobody.
        let stage = all.entry((stream, id)).or_insert_with(|| Retirement::Since(Instant::now()));
        match stage {
            Retirement::Held(sealing) => {
                if sealing.strong_count() == 0 {
                    *stage = Retirement::Since(Instant::now());
                }
                false
            }
            Retirement::Since(since) => {
                if since.elapsed() >= LANDING_SLACK {
                    *stage = Retirement::Below(bounds.end);
                }
                false
            }
            Retirement::Below(end) => bounds.start >= *end,
        }
    }

    /// Forgets a delivery stream that is gone.
    pub(crate) fn forget(&self, stream: DeliveryStreamUid) {
        let mut retirement = self.retirement.lock().unwrap_or_else(PoisonError::into_inner);
        retirement.retain(|(uid, _), _| *uid != stream);
        drop(retirement);
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        openers.retain(|(uid, _), _| *uid != stream);
    }
}

impl Firehose {
    /// The key to seal the delivery stream's records with now; `None` where encryption is off.
    pub(crate) async fn sealing_key(
        &self,
        stream: &DeliveryStream,
    ) -> Result<Option<Arc<Sealing>>, Refusal> {
        if !stream.encryption.is_on() {
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
        let (uid, made) = (stream.uid, self.clock.now());
        let id = self
            .propose(|registry| {
                let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
                let id = stream.next_data_key;
                let key = DataKeyRecord { id, wrapped, made };
                Ok((Some(Command::AddDataKey { stream: uid, key }), id))
            })
            .await?;
        let current = Arc::new(Sealing { id, key, since: Instant::now() });
        self.data_keys.begin(uid, &current);
        Ok(Some(current))
    }

    /// The opener of the delivery stream's data key `id`; `None` where it is not known, or does
    /// not unwrap.
    pub(crate) fn opener(&self, stream: DeliveryStreamUid, id: u32) -> Option<DataKeyOpener> {
        let stream = self.catalog.read(|registry| registry.by_uid(stream).cloned())?;
        self.data_keys.opener(&self.keyring, &stream, id)
    }

    /// Forgets the data keys that nothing stored is sealed under any more.
    pub(crate) async fn forget_data_keys(&self, stream: &DeliveryStream) -> Result<(), Refusal> {
        let Some(log) = stream.records().filter(|_| !stream.data_keys.is_empty()) else {
            return Ok(());
        };
        let bounds = self.log.bounds(log).map_err(|error| {
            tracing::warn!(%error, stream = %stream.name, "data keys are kept for longer");
            Refusal::Internal
        })?;
        let is_spent = |key: &DataKeyRecord| self.data_keys.is_spent(stream.uid, key.id, bounds);
        // All are looked at, so that they come to their ends side by side.
        let spent: Vec<bool> = stream.data_keys.iter().map(is_spent).collect();
        let count = spent.iter().take_while(|is_spent| **is_spent).count();
        let Some(last) = stream.data_keys[..count].last() else { return Ok(()) };
        let command = Command::ForgetDataKeys { stream: stream.uid, below: last.id + 1 };
        self.propose(|_| Ok((Some(command), ()))).await
    }
}
