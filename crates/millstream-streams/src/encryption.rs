//! Data keys: which one seals records now, and how sealed records open.
//!
//! Owns the way of a key: wrapped by the keyring, it is durable in the catalog before its first use,
//! so that what was acknowledged always opens; it is forgotten once every record sealed under it has
//! expired. How long one seals is `millstream_auth`'s.

use std::sync::Arc;
use std::time::Duration;

use millstream_auth::{DataKeyOpener, DataKeys, Keyring, SealingKey};
use millstream_core::Timestamp;
use tokio::time::Instant;

use crate::refusal::Refusal;
use crate::state::{Command, DataKeyRecord, Stream, StreamUid};
use crate::streams::Streams;

/// How long a record may be under way between its sealing and its arrival.
pub(crate) const SEALING_SLACK: Duration = Duration::from_secs(3_600);
/// The data keys of streams.
#[derive(Debug, Default)]
pub(crate) struct StreamKeys {
    keys: DataKeys<StreamUid>,
    rotation: tokio::sync::Mutex<()>,
}

impl StreamKeys {
    fn current(&self, stream: StreamUid) -> Option<Arc<SealingKey>> {
        self.keys.current(stream, Instant::now().into_std())
    }

    /// The opener of a stream's key, unwrapped once.
    pub(crate) fn opener(
        &self,
        keyring: &Keyring,
        stream: &Stream,
        id: u32,
    ) -> Option<DataKeyOpener> {
        self.keys.opener(keyring, (stream.uid, id), || {
            let index = stream.data_keys.binary_search_by_key(&id, |key| key.id).ok()?;
            base64_simd::STANDARD.decode_to_vec(&stream.data_keys[index].wrapped).ok()
        })
    }

    /// Forgets a stream that is gone.
    pub(crate) fn forget(&self, stream: StreamUid) {
        self.keys.forget(stream);
    }
}

impl Streams {
    /// The key to seal the stream's records with now; `None` where encryption is off.
    pub(crate) async fn sealing_key(
        &self,
        stream: &Stream,
    ) -> Result<Option<Arc<SealingKey>>, Refusal> {
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
        let now = Instant::now().into_std();
        Ok(Some(self.data_keys.keys.begin(uid, id, key, now)))
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
