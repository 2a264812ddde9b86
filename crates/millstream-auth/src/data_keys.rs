//! Data keys in use: which one seals now, and how what was sealed opens.
//!
//! Owns the rotation: an owner's records are sealed under a data key that only this process seals
//! with, for five minutes or 2^32 records, whichever comes first (observed cadence of the real
//! service). Whoever begins a key has made it durable, wrapped, before: what was acknowledged then
//! always opens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{DataKey, DataKeyOpener, Keyring};

/// How long one data key seals.
const LIFE: Duration = Duration::from_secs(300);
/// How many records one data key seals.
const RECORDS_MAX: u64 = 1 << 32;
/// Openers kept at hand; beyond, all are unwrapped anew.
const OPENERS_MAX: usize = 10_000;

/// A key that seals now.
#[derive(Debug)]
pub struct SealingKey {
    /// Its number among its owner's keys, stored with each record that it seals.
    pub id: u32,
    /// The key itself.
    pub key: DataKey,
    since: Instant,
}

/// The data keys in use, by their owners, such as streams.
#[derive(Debug)]
pub struct DataKeys<Owner> {
    sealing: Mutex<BTreeMap<Owner, Arc<SealingKey>>>,
    openers: Mutex<BTreeMap<(Owner, u32), DataKeyOpener>>,
}

impl<Owner> Default for DataKeys<Owner> {
    fn default() -> Self {
        Self { sealing: Mutex::default(), openers: Mutex::default() }
    }
}

impl<Owner: Copy + Ord> DataKeys<Owner> {
    /// The key that the owner's records are sealed under at `now`; `None` where one is to be made.
    pub fn current(&self, owner: Owner, now: Instant) -> Option<Arc<SealingKey>> {
        let sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = sealing.get(&owner)?;
        let is_fresh = now.saturating_duration_since(current.since) < LIFE
            && current.key.sealed_count() < RECORDS_MAX;
        is_fresh.then(|| current.clone())
    }

    /// Seals with `key`, which is durable under `id`, from `now` on.
    pub fn begin(&self, owner: Owner, id: u32, key: DataKey, now: Instant) -> Arc<SealingKey> {
        let begun = Arc::new(SealingKey { id, key, since: now });
        let mut sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        sealing.insert(owner, begun.clone());
        begun
    }

    /// The opener of the owner's key `id`, unwrapped once from what `wrapped` gives; `None` where
    /// that is nothing, or does not unwrap.
    pub fn opener(
        &self,
        keyring: &Keyring,
        (owner, id): (Owner, u32),
        wrapped: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<DataKeyOpener> {
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opener) = openers.get(&(owner, id)) {
            return Some(opener.clone());
        }
        let opener = keyring.unwrap_data_key(&wrapped()?)?;
        if openers.len() >= OPENERS_MAX {
            openers.clear();
        }
        openers.insert((owner, id), opener.clone());
        Some(opener)
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: Owner) {
        self.sealing.lock().unwrap_or_else(PoisonError::into_inner).remove(&owner);
        let mut openers = self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        openers.retain(|(of, _), _| *of != owner);
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;
    use crate::MasterKey;

    fn keyring() -> Keyring {
        let rand = Arc::new(SeededRand::new(7));
        Keyring::new(MasterKey::generate(&SeededRand::new(1)), Vec::new(), rand)
    }

    #[allow(clippy::disallowed_methods)] // Any moment will do.
    fn begun() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_key_seals_for_its_life_and_its_owner_alone() {
        let (keys, keyring, begun) = (DataKeys::<u64>::default(), keyring(), begun());
        assert!(keys.current(1, begun).is_none());
        keys.begin(1, 5, keyring.new_data_key().0, begun);
        let last = begun + LIFE.saturating_sub(Duration::from_nanos(1));
        assert_eq!(keys.current(1, last).map(|key| key.id), Some(5));
        assert!(keys.current(1, begun + LIFE).is_none());
        assert!(keys.current(2, begun).is_none());
        keys.begin(1, 6, keyring.new_data_key().0, begun + LIFE);
        assert_eq!(keys.current(1, begun + LIFE).map(|key| key.id), Some(6));
    }

    #[test]
    fn an_opener_is_unwrapped_once_and_forgotten_with_its_owner() {
        let (keys, keyring) = (DataKeys::<u64>::default(), keyring());
        let (_, wrapped) = keyring.new_data_key();
        assert!(keys.opener(&keyring, (1, 0), || None).is_none());
        assert!(keys.opener(&keyring, (1, 0), || Some(b"no key".to_vec())).is_none());
        assert!(keys.opener(&keyring, (1, 0), || Some(wrapped.clone())).is_some());
        let kept = keys.opener(&keyring, (1, 0), || unreachable!("it is at hand"));
        assert!(kept.is_some());
        keys.forget(1);
        assert!(keys.opener(&keyring, (1, 0), || None).is_none());
    }
}
