//! A small model of the service, right unless a fault is planted in it.
//!
//! Owns the proof that a world finds what it should: each [`Plant`] is a mistake that real
//! services made, and a test names the seeds in which it shows. It stands in for the service
//! behind the same door, and knows nothing of it.
//!
//! Invariant: without a plant, only what reached `durable` is acknowledged or read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use millstream_core::{Clock, HashKey, HashKeyRange, SequenceNumber, ShardId};
use tokio::time::sleep;

use crate::clock::SimClock;
use crate::history::{From, ListedShard};
use crate::service::{
    Answer, Described, Fault, Got, GotRecords, Host, Put, PutOutcome, Request, Service, Task,
};

/// A mistake, planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Acknowledges before the record is durable.
    AckEarly,
    /// Shows records before they are durable.
    ReadEarly,
    /// Writes a record again when its first sync was slow.
    WriteTwice,
    /// A put that ran while its shard was closed lands behind the seal.
    ClosedTakes,
    /// A subscription that begins behind a record passes over the next.
    PushSkips,
    /// Ignores the explicit hash key.
    WrongShard,
    /// Gives sequence numbers again after a restart.
    CountsFromMemory,
    /// Acknowledges a split that is not durable.
    SplitForgotten,
    /// Ends a closed shard one record early.
    EndsEarly,
}

#[derive(Clone, Debug)]
struct ToyShard {
    id: ShardId,
    parents: Vec<ShardId>,
    range: HashKeyRange,
    created_seconds: u64,
    closed_seconds: Option<u64>,
    next_index: u64,
    records: Vec<(SequenceNumber, Bytes)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    shards: Vec<ToyShard>,
    consumers: BTreeSet<String>,
    retention_hours: u32,
    encrypted: bool,
}

#[derive(Debug, Default)]
struct Disk {
    durable: Mutex<State>,
    /// Which start of the service may write.
    owner: AtomicU64,
    /// Counted down by syncs; at 0 the sync fails.
    fail_in: Mutex<Option<u64>>,
    /// Counted down by syncs; at 0 the power is off until it is cut for good.
    power_in: Mutex<Option<u64>>,
    full: AtomicBool,
}

/// The machine of a toy.
#[derive(Debug)]
pub struct ToyHost {
    disk: Arc<Disk>,
    clock: Arc<SimClock>,
    plant: Option<Plant>,
}

impl ToyHost {
    /// A machine whose service has this fault, or none.
    pub fn new(clock: Arc<SimClock>, plant: Option<Plant>) -> Self {
        Self { disk: Arc::default(), clock, plant }
    }
}

impl Host for ToyHost {
    fn start(&self) -> Task<Result<Arc<dyn Service>, String>> {
        let owner = self.disk.owner.fetch_add(1, Ordering::SeqCst) + 1;
        let memory = Mutex::new(lock(&self.disk.durable).clone());
        let (disk, clock, plant) = (Arc::clone(&self.disk), Arc::clone(&self.clock), self.plant);
        let stopped = AtomicBool::new(false);
        let toy = Arc::new(Toy { disk, clock, plant, owner, memory, stopped });
        if plant == Some(Plant::CountsFromMemory) {
            for shard in &mut lock(&toy.memory).shards {
                shard.next_index = shard.next_index.saturating_sub(2).max(1);
            }
        }
        Box::pin(async move { Ok(toy as Arc<dyn Service>) })
    }

    fn cut_power(&self, _seed: u64) {
        *lock(&self.disk.power_in) = None;
        self.disk.owner.fetch_add(1, Ordering::SeqCst);
    }

    fn kill(&self) {
        self.cut_power(0);
    }

    fn lose_power_in(&self, nth: u64) {
        *lock(&self.disk.power_in) = Some(nth);
    }

    fn is_powered_off(&self) -> bool {
        *lock(&self.disk.power_in) == Some(0)
    }

    fn fail_sync_in(&self, nth: u64) {
        *lock(&self.disk.fail_in) = Some(nth);
    }

    fn limit_space(&self, free_bytes: Option<u64>) {
        self.disk.full.store(free_bytes.is_some(), Ordering::SeqCst);
    }

    fn heal(&self) {
        *lock(&self.disk.fail_in) = None;
        self.limit_space(None);
    }
}

#[derive(Debug)]
struct Toy {
    disk: Arc<Disk>,
    clock: Arc<SimClock>,
    plant: Option<Plant>,
    owner: u64,
    memory: Mutex<State>,
    stopped: AtomicBool,
}

impl Service for Toy {
    fn call(self: Arc<Self>, request: Request) -> Task<Result<Answer, Fault>> {
        Box::pin(async move {
            match request {
                Request::PutRecord(put) => {
                    let mut outcomes = self.put(vec![put]).await;
                    match outcomes.pop() {
                        Some(PutOutcome::Failed(fault)) => Err(fault),
                        Some(acked) => Ok(Answer::Put(vec![acked])),
                        None => Err(fault("InternalFailure")),
                    }
                }
                Request::PutRecords(puts) => Ok(Answer::Put(self.put(puts).await)),
                Request::GetShardIterator { shard, from } => self.position(&shard, &from),
                Request::GetRecords { iterator, limit } => self.get_records(&iterator, limit),
                Request::Subscribe { shard, from, .. } => self.subscribe(&shard, &from),
                Request::Describe => Ok(Answer::Described(self.described())),
                Request::ListShards => Ok(Answer::Shards(self.listed())),
                other => self.change(other).await,
            }
        })
    }

    fn stop(self: Arc<Self>) -> Task<()> {
        Box::pin(async move {})
    }
}

impl Toy {
    /// Makes memory durable.
    async fn sync(&self) -> Result<(), Fault> {
        sleep(Duration::from_millis(2)).await;
        if self.stopped.load(Ordering::SeqCst) || self.disk.full.load(Ordering::SeqCst) {
            return Err(fault("InternalFailure"));
        }
        if counted_down(&self.disk.fail_in) {
            *lock(&self.disk.fail_in) = None;
            self.stopped.store(true, Ordering::SeqCst);
            return Err(fault("InternalFailure"));
        }
        if counted_down(&self.disk.power_in) {
            return Err(fault("InternalFailure"));
        }
        if self.disk.owner.load(Ordering::SeqCst) != self.owner {
            return Err(fault("InternalFailure"));
        }
        *lock(&self.disk.durable) = lock(&self.memory).clone();
        Ok(())
    }

    async fn put(self: &Arc<Self>, puts: Vec<Put>) -> Vec<PutOutcome> {
        let late = self.plant == Some(Plant::ClosedTakes);
        let routed: Vec<usize> = puts.iter().map(|put| self.route(put)).collect();
        if late {
            sleep(Duration::from_millis(300)).await;
        }
        let mut acked = Vec::new();
        for (put, index) in puts.iter().zip(routed) {
            let mut memory = lock(&self.memory);
            let index = if late { index } else { route(&memory, self.point(put)) };
            let shard = &mut memory.shards[index];
            let sequence = append(shard, &self.clock, put.data.clone());
            acked.push(PutOutcome::Acked {
                shard: shard.id.to_string(),
                sequence: sequence.to_string(),
            });
            if self.plant == Some(Plant::WriteTwice) && sequence.index.is_multiple_of(97) {
                append(shard, &self.clock, put.data.clone());
            }
        }
        if self.plant == Some(Plant::AckEarly) {
            let toy = Arc::clone(self);
            tokio::spawn(async move { toy.sync().await });
            return acked;
        }
        match self.sync().await {
            Ok(()) => acked,
            Err(fault) => puts.iter().map(|_| PutOutcome::Failed(fault.clone())).collect(),
        }
    }

    fn point(&self, put: &Put) -> HashKey {
        let explicit = put.explicit_hash_key.filter(|_| self.plant != Some(Plant::WrongShard));
        explicit.unwrap_or_else(|| HashKey::of_partition_key(&put.partition_key))
    }

    fn route(&self, put: &Put) -> usize {
        route(&lock(&self.memory), self.point(put))
    }

    /// What readers may see.
    fn visible(&self) -> MutexGuard<'_, State> {
        if self.plant == Some(Plant::ReadEarly) {
            lock(&self.memory)
        } else {
            lock(&self.disk.durable)
        }
    }

    fn position(&self, shard: &str, from: &From) -> Result<Answer, Fault> {
        let next = self.next_of(shard, from)?;
        Ok(Answer::Text(format!("{shard}:{next}")))
    }

    fn next_of(&self, shard: &str, from: &From) -> Result<usize, Fault> {
        let visible = self.visible();
        let shard = find(&visible, shard)?;
        let behind = |text: &str, inclusive: bool| {
            let number: SequenceNumber =
                text.parse().map_err(|_| fault("InvalidArgumentException"))?;
            Ok(shard.records.partition_point(|(sequence, _)| {
                *sequence < number || (inclusive && *sequence == number)
            }))
        };
        match from {
            From::TrimHorizon => Ok(0),
            From::Latest => Ok(shard.records.len()),
            From::At(text) => behind(text, false),
            From::After(text) => behind(text, true),
        }
    }

    fn get_records(&self, iterator: &str, limit: u32) -> Result<Answer, Fault> {
        let invalid = || fault("InvalidArgumentException");
        let (shard, next) = iterator.split_once(':').ok_or_else(invalid)?;
        let next = next.parse().map_err(|_| invalid())?;
        Ok(Answer::Records(self.read(shard, next, limit as usize)?.0))
    }

    fn read(&self, name: &str, next: usize, limit: usize) -> Result<(GotRecords, usize), Fault> {
        let visible = self.visible();
        let shard = find(&visible, name)?;
        let early = usize::from(self.plant == Some(Plant::EndsEarly) && shard.records.len() > 3);
        let closed = shard.closed_seconds.is_some();
        let end = if closed { shard.records.len() - early } else { shard.records.len() };
        let stop = end.min(next + limit);
        let records: Vec<Got> =
            shard.records.get(next..stop).unwrap_or(&[]).iter().map(got).collect();
        let ended = closed && stop >= end;
        let children =
            visible.shards.iter().filter(|child| ended && child.parents.contains(&shard.id));
        let children = children.map(|child| child.id.to_string()).collect();
        let behind_ms = u64::from(stop < end) * 1_000;
        let next = (!ended).then(|| format!("{name}:{stop}"));
        Ok((GotRecords { records, next, behind_ms, children }, stop))
    }

    fn subscribe(self: &Arc<Self>, shard: &str, from: &From) -> Result<Answer, Fault> {
        let mut next = self.next_of(shard, from)?;
        if self.plant == Some(Plant::PushSkips) && matches!(from, From::After(_)) {
            next += 1;
        }
        let (toy, shard) = (Arc::clone(self), shard.to_owned());
        let events = unfold(Some((next, 0_u64)), move |state| {
            let (toy, shard) = (Arc::clone(&toy), shard.clone());
            async move {
                let (next, idle) = state?;
                for waited in idle.. {
                    let (mut got, stop) = toy.read(&shard, next, 10).ok()?;
                    if stop == next && got.next.is_some() && waited % 10 != 9 {
                        sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                    let ended = got.next.is_none();
                    let last = got.records.last().map(|got| got.sequence.clone());
                    got.next = last.filter(|_| !ended);
                    return Some((Ok(got), (!ended).then_some((stop, 0))));
                }
                None
            }
        });
        Ok(Answer::Subscribed(Box::pin(events)))
    }

    fn described(&self) -> Described {
        let durable = lock(&self.disk.durable);
        Described {
            status: "ACTIVE".to_owned(),
            retention_hours: durable.retention_hours,
            encrypted: durable.encrypted,
            arn: String::new(),
        }
    }

    fn listed(&self) -> Vec<ListedShard> {
        let durable = lock(&self.disk.durable);
        let listed = durable.shards.iter().map(|shard| ListedShard {
            shard: shard.id.to_string(),
            parents: shard.parents.iter().map(ToString::to_string).collect(),
            range: shard.range,
            start: SequenceNumber::start_of(shard.id, shard.created_seconds).to_string(),
            end: shard.closed_seconds.map(|closed| {
                SequenceNumber::end_of(shard.id, shard.created_seconds, closed).to_string()
            }),
        });
        listed.collect()
    }

    async fn change(self: &Arc<Self>, request: Request) -> Result<Answer, Fault> {
        let mut answer = Answer::Done;
        let split = matches!(request, Request::SplitShard { .. });
        {
            let mut memory = lock(&self.memory);
            let now = self.clock.now().seconds();
            match request {
                Request::CreateStream { shards } => {
                    for range in HashKeyRange::tile(shards) {
                        open(&mut memory, vec![], range, now);
                    }
                    memory.retention_hours = 24;
                }
                Request::IncreaseRetention { hours } | Request::DecreaseRetention { hours } => {
                    memory.retention_hours = hours;
                }
                Request::SetEncryption { on } => memory.encrypted = on,
                Request::RegisterConsumer { name } => {
                    memory.consumers.insert(name.clone());
                    answer = Answer::Text(name);
                }
                Request::SplitShard { shard, at } => split_shard(&mut memory, &shard, at, now)?,
                Request::MergeShards { shard, adjacent } => {
                    merge_shards(&mut memory, &shard, &adjacent, now)?;
                }
                _ => return Err(fault("LimitExceededException")),
            }
        }
        if split && self.plant == Some(Plant::SplitForgotten) {
            let toy = Arc::clone(self);
            tokio::spawn(async move {
                sleep(Duration::from_millis(50)).await;
                toy.sync().await
            });
            return Ok(answer);
        }
        self.sync().await.map(|()| answer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts down to 0 and says whether it is there.
fn counted_down(fault: &Mutex<Option<u64>>) -> bool {
    let mut fault = lock(fault);
    *fault = fault.map(|left| left.saturating_sub(1));
    *fault == Some(0)
}

fn fault(code: &str) -> Fault {
    Fault { code: code.to_owned(), message: String::new() }
}

fn got((sequence, data): &(SequenceNumber, Bytes)) -> Got {
    Got { sequence: sequence.to_string(), data: data.clone() }
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a ToyShard, Fault> {
    let found = state.shards.iter().find(|shard| shard.id.to_string() == name);
    found.ok_or_else(|| fault("ResourceNotFoundException"))
}

fn route(state: &State, point: HashKey) -> usize {
    let covers = |shard: &ToyShard| shard.closed_seconds.is_none() && shard.range.contains(point);
    state.shards.iter().position(covers).expect("the open shards tile the ring")
}

fn append(shard: &mut ToyShard, clock: &SimClock, data: Bytes) -> SequenceNumber {
    let last = shard.records.last().map_or(shard.created_seconds, |(last, _)| last.arrived_seconds);
    let sequence = SequenceNumber {
        shard_created_seconds: shard.created_seconds,
        shard: shard.id,
        index: shard.next_index,
        arrived_seconds: clock.now().seconds().max(last),
    };
    shard.next_index += 1;
    shard.records.push((sequence, data));
    sequence
}

fn open(state: &mut State, parents: Vec<ShardId>, range: HashKeyRange, now: u64) {
    let parent = |id: &ShardId| state.shards[id.0 as usize].created_seconds + 1;
    let created_seconds = parents.iter().map(parent).max().unwrap_or(0).max(now);
    let id = ShardId(u32::try_from(state.shards.len()).expect("shards are few"));
    let (closed_seconds, next_index, records) = (None, 1, Vec::new());
    let shard =
        ToyShard { id, parents, range, created_seconds, closed_seconds, next_index, records };
    state.shards.push(shard);
}

fn close(state: &mut State, id: ShardId, now: u64) {
    state.shards[id.0 as usize].closed_seconds = Some(now);
}

fn split_shard(state: &mut State, name: &str, at: HashKey, now: u64) -> Result<(), Fault> {
    let shard = find(state, name)?;
    let (id, parts) = (shard.id, shard.range.split_at(at));
    let open_yet = shard.closed_seconds.is_none();
    let parts = parts.filter(|_| open_yet).ok_or_else(|| fault("InvalidArgumentException"))?;
    close(state, id, now);
    for range in [parts.0, parts.1] {
        open(state, vec![id], range, now);
    }
    Ok(())
}

fn merge_shards(state: &mut State, one: &str, other: &str, now: u64) -> Result<(), Fault> {
    let pair = [find(state, one)?, find(state, other)?];
    let open_yet = pair.iter().all(|shard| shard.closed_seconds.is_none());
    if !open_yet || !pair[0].range.is_adjacent(&pair[1].range) {
        return Err(fault("InvalidArgumentException"));
    }
    let start = pair[0].range.start.min(pair[1].range.start);
    let end = pair[0].range.end.max(pair[1].range.end);
    let parents = vec![pair[0].id, pair[1].id];
    for id in parents.clone() {
        close(state, id, now);
    }
    open(state, parents, HashKeyRange { start, end }, now);
    Ok(())
}
