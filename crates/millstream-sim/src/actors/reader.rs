//! A client that reads by shard iterators, parents before children, across all failures.
//!
//! Owns the position on each shard: after a lost answer it asks again with the same iterator,
//! after an expired one it takes a new one behind the last record it saw, as the service's own
//! libraries do.

use std::collections::{BTreeMap, BTreeSet};

use super::Client;
use crate::history::{Event, From, Via};
use crate::network::CallError;
use crate::payload;
use crate::service::{Answer, GotRecords, Request};

/// One reader on one shard.
#[derive(Debug)]
pub struct Cursor {
    /// Its name in the history.
    pub name: String,
    /// Which shard.
    pub shard: String,
    from: From,
    last: Option<String>,
    iterator: Option<String>,
}

/// What one step of a cursor came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more.
    More,
    /// All that is there was read.
    Tip,
    /// The shard ended, and these follow.
    Ended(Vec<String>),
    /// The call failed; ask again.
    Failed(CallError),
}

impl Cursor {
    /// A cursor that begins at `from` once it has its iterator.
    pub fn new(name: String, shard: String, from: From) -> Self {
        Self { name, shard, from, last: None, iterator: None }
    }

    /// Notes that this cursor begins, with an iterator in hand.
    async fn begin(&mut self, client: &Client, audit: bool) -> Result<String, CallError> {
        let from = self.last.clone().map_or_else(|| self.from.clone(), From::After);
        let request = Request::GetShardIterator { shard: self.shard.clone(), from };
        let iterator = client.call_for_text(request).await?;
        // At LATEST with nothing read, a new iterator is a new beginning.
        if self.last.is_none() {
            let (reader, shard) = (self.name.clone(), self.shard.clone());
            let (via, from) = (Via::GetRecords, self.from.clone());
            client.note(Event::Began { reader, via, shard, from, audit });
        }
        Ok(iterator)
    }

    /// Reads once.
    pub async fn step(&mut self, client: &Client, limit: u32, audit: bool) -> Step {
        let iterator = match self.iterator.clone() {
            Some(iterator) => iterator,
            None => match self.begin(client, audit).await {
                Ok(iterator) => iterator,
                Err(error) => return Step::Failed(error),
            },
        };
        self.iterator = Some(iterator.clone());
        client.note(Event::Asked { reader: self.name.clone() });
        match client.call(Request::GetRecords { iterator, limit }).await {
            Ok(Answer::Records(got)) => self.take(client, got),
            Ok(other) => panic!("not an answer to GetRecords: {other:?}"),
            Err(error) => {
                // Expired, most likely; a lost answer is asked for again with the same iterator.
                if matches!(error, CallError::Fault(_)) {
                    self.iterator = None;
                }
                Step::Failed(error)
            }
        }
    }

    fn take(&mut self, client: &Client, got: GotRecords) -> Step {
        let empty = got.records.is_empty();
        for record in got.records {
            let name = payload::name_of(&record.data);
            self.last = Some(record.sequence.clone());
            let reader = self.name.clone();
            client.note(Event::Read { reader, sequence: record.sequence, record: name });
        }
        self.iterator = got.next;
        if self.iterator.is_none() {
            let (reader, children) = (self.name.clone(), got.children.clone());
            client.note(Event::ShardEnd { reader, children });
            return Step::Ended(got.children);
        }
        if empty && got.behind_ms == 0 {
            client.note(Event::Tip { reader: self.name.clone() });
            return Step::Tip;
        }
        Step::More
    }
}

/// Reads all shards until the world is over.
pub async fn run(client: Client, think_ms_max: u64) {
    let mut count = 0_u64;
    let mut cursors: Vec<Cursor> = Vec::new();
    let mut ended = BTreeSet::new();
    let mut started = BTreeSet::new();
    let mut parents = BTreeMap::<String, Vec<String>>::new();
    while !client.is_over() {
        client.think(think_ms_max).await;
        if cursors.is_empty() || client.dice.chance(30) {
            let Ok(shards) = client.list_shards().await else { continue };
            for shard in shards {
                parents.insert(shard.shard, shard.parents);
            }
        }
        for (shard, its_parents) in &parents {
            let ready = its_parents.iter().all(|parent| ended.contains(parent));
            if ready && started.insert(shard.clone()) {
                count += 1;
                cursors.push(fresh(&client, count, shard, From::TrimHorizon));
            }
        }
        if cursors.is_empty() {
            continue;
        }
        let chosen = client.dice.index(cursors.len());
        let limit = u32::try_from(client.dice.between(1, 60)).expect("it is small");
        match cursors[chosen].step(&client, limit, false).await {
            Step::Ended(_) => {
                client.ledger.count(|tally| tally.shard_ends += 1);
                let cursor = cursors.swap_remove(chosen);
                ended.insert(cursor.shard);
                if let Ok(shards) = client.list_shards().await {
                    parents.extend(shards.into_iter().map(|shard| (shard.shard, shard.parents)));
                }
            }
            Step::More | Step::Tip | Step::Failed(_) => {
                if client.dice.chance(15) {
                    count += 1;
                    let cursor = &mut cursors[chosen];
                    *cursor = begin_elsewhere(&client, count, cursor);
                }
            }
        }
    }
}

fn fresh(client: &Client, count: u64, shard: &str, from: From) -> Cursor {
    Cursor::new(format!("{}.{count}", client.name), shard.to_owned(), from)
}

/// The same shard from another position: what it read before counts for itself.
fn begin_elsewhere(client: &Client, count: u64, cursor: &Cursor) -> Cursor {
    let from = match (client.dice.below(4), cursor.last.clone()) {
        (0, Some(last)) => From::At(last),
        (1, Some(last)) => From::After(last),
        (2, _) => From::Latest,
        _ => From::TrimHorizon,
    };
    fresh(client, count, &cursor.shard, from)
}
