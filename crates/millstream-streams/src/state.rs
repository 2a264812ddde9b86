//! What exists: accounts, streams, shards, consumers, and the commands that change them.
//!
//! Owns the catalog's state machine and nothing that waits, reads a clock or touches a log: the
//! times, ends and ids that a command needs are in the command. `stream` holds the nouns,
//! `command` the commands, `apply` what they do, `plan` how shards are to be resharded.
//!
//! Invariants:
//! * Stream uids, log ids and shard ids only grow and are never reused.
//! * The open shards of a stream that is not CREATING tile the ring.
//! * A child is created in a later second than its parents, so its sequence numbers are greater.
//! * Whatever is unfinished is in `busy` or `condemned`, so that it can be finished after a crash.

mod apply;
mod command;
mod plan;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_catalog::Machine;
use millstream_core::{AccountId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use command::{Command, Commitment, ConsumerChange, NewStream, StreamChange, TagTarget};
pub(crate) use plan::Plan;
pub(crate) use stream::{
    ChildShard, Consumer, ConsumerStatus, DataKeyRecord, Encryption, Mode, Shard, Stream,
    StreamStatus, StreamUid,
};

/// Log ids below this are the server's own; shards' logs are numbered from here.
const FIRST_SHARD_LOG: u64 = 1_000;

/// Everything that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Registry {
    next_stream: u64,
    next_log: u64,
    accounts: BTreeMap<AccountId, Account>,
    /// Where each stream is, by uid.
    names: BTreeMap<u64, (AccountId, StreamName)>,
    /// Streams with something unfinished: a transition of their own or of a consumer.
    busy: BTreeSet<u64>,
    /// Logs that nothing names any more, still to be deleted.
    condemned: BTreeSet<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            next_stream: 1,
            next_log: FIRST_SHARD_LOG,
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
    pub(crate) streams: BTreeMap<StreamName, Arc<Stream>>,
    /// The account's throughput commitment, where it was ever enabled.
    #[serde(default)]
    pub(crate) commitment: Option<Commitment>,
}

impl Account {
    /// Open shards of all its provisioned streams, as quotas count them (documented: the shard quota
    /// is that of provisioned mode; on-demand streams have one of their own).
    pub(crate) fn open_provisioned_shards(&self) -> usize {
        self.in_mode(Mode::Provisioned).map(|stream| stream.open_shard_count()).sum()
    }

    /// How many on-demand streams it has.
    pub(crate) fn on_demand_streams(&self) -> usize {
        self.in_mode(Mode::OnDemand).count()
    }

    fn in_mode(&self, mode: Mode) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.values().filter(move |stream| stream.mode == mode)
    }
}

impl Registry {
    /// The account, where it ever had anything.
    pub(crate) fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// The stream of that name.
    pub(crate) fn by_name(&self, account: &AccountId, name: &StreamName) -> Option<&Arc<Stream>> {
        self.accounts.get(account)?.streams.get(name)
    }

    /// The stream of that uid.
    pub(crate) fn by_uid(&self, uid: StreamUid) -> Option<&Arc<Stream>> {
        let (account, name) = self.names.get(&uid.0)?;
        self.by_name(account, name)
    }

    /// Every stream, by account and name.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.accounts.values().flat_map(|account| account.streams.values())
    }

    /// Streams with something unfinished.
    pub(crate) fn busy(&self) -> Vec<StreamUid> {
        self.busy.iter().copied().map(StreamUid).collect()
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
pub(crate) const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[cfg(test)]
mod tests;
