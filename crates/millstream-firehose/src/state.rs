//! What exists: accounts and their delivery streams, and the commands that change them.
//!
//! Owns the catalog's state machine and nothing that waits, reads a clock or touches a log: the
//! times and sealed secrets that a command needs are in the command. `delivery_stream` holds the
//! nouns, `command` the commands, `apply` what they do.
//!
//! Invariants:
//! * Uids and log ids only grow and are never reused.
//! * No secret of a configuration is in here but sealed.
//! * Whatever is unfinished is in `busy` or `condemned`, so that it can be finished after a crash.

mod apply;
mod command;
mod delivery_stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_catalog::Machine;
use millstream_core::{AccountId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use command::{Command, NewDeliveryStream, NewSource};
pub(crate) use delivery_stream::{
    DataKeyRecord, DeliveryStream, DeliveryStreamUid, Encryption, EncryptionStatus, Failure,
    KafkaSource, KeyType, KinesisSource, Source, SourceKind, Status, arn,
};

/// The logs of delivery streams are numbered from here, far above those of other services.
pub(crate) const FIRST_LOG: u64 = 1 << 40;

/// Everything that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Registry {
    next_stream: u64,
    next_log: u64,
    accounts: BTreeMap<AccountId, Account>,
    /// Where each delivery stream is, by uid.
    names: BTreeMap<u64, (AccountId, StreamName)>,
    /// Delivery streams with something unfinished: a state of their own or of their encryption.
    busy: BTreeSet<u64>,
    /// Logs that nothing names any more, still to be deleted.
    condemned: BTreeSet<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            next_stream: 1,
            next_log: FIRST_LOG,
            accounts: BTreeMap::new(),
            names: BTreeMap::new(),
            busy: BTreeSet::new(),
            condemned: BTreeSet::new(),
        }
    }
}

/// What one account has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// By name.
    pub(crate) streams: BTreeMap<StreamName, Arc<DeliveryStream>>,
}

impl Registry {
    /// The account, where it ever had anything.
    pub(crate) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// The uid that the next delivery stream gets.
    pub(crate) fn next_uid(&self) -> DeliveryStreamUid {
        DeliveryStreamUid(self.next_stream)
    }

    /// The delivery stream of that name.
    pub(crate) fn by_name(
        &self,
        account: &AccountId,
        name: &StreamName,
    ) -> Option<&Arc<DeliveryStream>> {
        self.accounts.get(account)?.streams.get(name)
    }

    /// The delivery stream of that uid.
    pub(crate) fn by_uid(&self, uid: DeliveryStreamUid) -> Option<&Arc<DeliveryStream>> {
        let (account, name) = self.names.get(&uid.0)?;
        self.by_name(account, name)
    }

    /// Every delivery stream, by account and name.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Arc<DeliveryStream>> {
        self.accounts.values().flat_map(|account| account.streams.values())
    }

    /// Delivery streams with something unfinished.
    pub(crate) fn busy(&self) -> Vec<DeliveryStreamUid> {
        self.busy.iter().copied().map(DeliveryStreamUid).collect()
    }

    /// Logs still to be deleted.
    pub(crate) fn condemned(&self) -> Vec<u64> {
        self.condemned.iter().copied().collect()
    }
}

impl Machine for Registry {
    type Command = Command;

    fn apply(&mut self, command: Command) {
        apply::apply(self, command);
    }
}

/// How many of `times` lie within the 24 hours before `now`.
pub(crate) fn within_a_day(times: &[Timestamp], now: Timestamp) -> usize {
    times.iter().filter(|time| now.ms_since(**time) < DAY_MS).count()
}

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests;
