//! Data keys: which one seals records now, and how sealed records open.
//!
//! Owns the way of a key: wrapped by the keyring, it is durable in the catalog before its first use,
//! so that what was acknowledged always opens; it is forgotten once everything sealed under it is
//! delivered. How long one seals is `millstream_auth`'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use millstream_auth::{DataKey, DataKeyOpener, DataKeys, Keyring, SealingKey};
use millstream_log::{Bounds, Position};
use tokio::time::Instant;

use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::state::{Command, DataKeyRecord, DeliveryStream, DeliveryStreamUid};

/// How long an append may still land after whoever waited for it went away.
const LANDING_SLACK: Duration = Duration::from_secs(60);
/// How far a key that seals no more is from being forgotten.
#[derive(Debug)]
enum Retirement {
    /// Somebody may hold it still.
    Held(Weak<SealingKey>),
    /// Nobody has held it since; what was sealed last may still be landing.
    Since(Instant),
    /// All that it sealed lies below.
    Below(Position),
}

/// The data keys of delivery streams.
#[derive(Debug, Default)]
pub(crate) struct StreamKeys {
    keys: DataKeys<DeliveryStreamUid>,
    retirement: Mutex<BTreeMap<(DeliveryStreamUid, u32), Retirement>>,
    rotation: tokio::sync::Mutex<()>,
}

impl StreamKeys {
    fn current(&self, stream: DeliveryStreamUid) -> Option<Arc<SealingKey>> {
        self.keys.current(stream, Instant::now().into_std())
    }

    /// The opener of a delivery stream's key, unwrapped once.
    fn opener(&self, keyring: &Keyring, stream: &DeliveryStream, id: u32) -> Option<DataKeyOpener> {
        self.keys.opener(keyring, (stream.uid, id), || {
            let index = stream.data_keys.binary_search_by_key(&id, |key| key.id).ok()?;
            base64_simd::STANDARD.decode_to_vec(&stream.data_keys[index].wrapped).ok()
        })
    }

    fn begin(&self, stream: DeliveryStreamUid, id: u32, key: DataKey) -> Arc<SealingKey> {
        let begun = self.keys.begin(stream, id, key, Instant::now().into_std());
        let mut retirement = self.retirement.lock().unwrap_or_else(PoisonError::into_inner);
        retirement.insert((stream, id), Retirement::Held(Arc::downgrade(&begun)));
        begun
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
        self.keys.forget(stream);
    }
}

impl Firehose {
    /// The key to seal the delivery stream's records with now; `None` where encryption is off.
    pub(crate) async fn sealing_key(
        &self,
        stream: &DeliveryStream,
    ) -> Result<Option<Arc<SealingKey>>, Refusal> {
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
        Ok(Some(self.data_keys.begin(uid, id, key)))
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
