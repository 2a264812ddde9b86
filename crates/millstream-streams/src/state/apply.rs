//! What each command does to the state.
//!
//! Commands were judged against exactly the state they meet, so a stream or shard they name is
//! there; where it is not, the command does nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::{HashKeyRange, ShardId, StreamName, Timestamp, limits};

use super::command::{Command, ConsumerChange, NewStream, StreamChange, TagTarget};
use super::plan::{self, Plan, PlannedShard, Step};
use super::stream::{
    ChildShard, Closed, Consumer, ConsumerStatus, Reshard, Shard, Stream, StreamStatus, StreamUid,
};
use super::{DAY_MS, Registry};

pub(super) fn apply(registry: &mut Registry, command: Command) {
    match command {
        Command::CreateStream(new) => create_stream(registry, new),
        Command::ActivateStream { stream } => on(registry, stream, |stream, _| {
            stream.status = StreamStatus::Active;
            stream.reshard = None;
        }),
        Command::BeginReshard { stream, plan, scaling } => {
            on(registry, stream, |stream, next_log| {
                stream.status = StreamStatus::Updating;
                if let Some(at) = scaling {
                    remember(&mut stream.scalings, at);
                }
                plan_round(stream, next_log, plan, true);
            });
        }
        Command::FinishRound { stream, at, ends } => {
            on(registry, stream, |stream, next_log| finish_round(stream, next_log, at, &ends));
        }
        Command::UpdateStream { stream, change, updating } => on(registry, stream, |stream, _| {
            if updating {
                stream.status = StreamStatus::Updating;
            }
            update(stream, change);
        }),
        Command::AddDataKey { stream, key } => on(registry, stream, |stream, _| {
            stream.next_data_key = key.id + 1;
            stream.data_keys.push(key);
        }),
        Command::ForgetDataKeys { stream, below } => on(registry, stream, |stream, _| {
            stream.data_keys.retain(|key| key.id >= below);
        }),
        Command::ForgetShards { stream, shards } => forget_shards(registry, stream, &shards),
        Command::DeleteStream { stream } => {
            on(registry, stream, |stream, _| stream.status = StreamStatus::Deleting);
        }
        Command::RemoveStream { stream } => remove_stream(registry, stream),
        Command::LogsDeleted { logs } => {
            for log in logs {
                registry.condemned.remove(&log);
            }
        }
        Command::ChangeConsumer { stream, consumer, change } => {
            on(registry, stream, |stream, _| change_consumer(stream, consumer, change));
        }
        Command::SetCommitment { account, commitment } => {
            registry.accounts.entry(account).or_default().commitment = Some(commitment);
        }
    }
}

/// Changes a stream, and keeps `busy` in step. The change may draw log ids from the counter.
fn on(registry: &mut Registry, uid: StreamUid, change: impl FnOnce(&mut Stream, &mut u64)) {
    let Registry { accounts, names, next_log, busy, .. } = registry;
    let found = names.get(&uid.0).and_then(|(account, name)| {
        accounts.get_mut(account).and_then(|account| account.streams.get_mut(name))
    });
    let Some(stream) = found else {
        debug_assert!(false, "a command names a stream that was there when it was judged");
        return;
    };
    let stream = Arc::make_mut(stream);
    change(stream, next_log);
    if stream.is_busy() {
        busy.insert(uid.0);
    } else {
        busy.remove(&uid.0);
    }
}

fn draw(counter: &mut u64) -> u64 {
    let drawn = *counter;
    *counter += 1;
    drawn
}

fn create_stream(registry: &mut Registry, new: NewStream) {
    let uid = StreamUid(draw(&mut registry.next_stream));
    let shards: Vec<Shard> = (0..)
        .zip(HashKeyRange::tile(new.shard_count))
        .map(|(number, range)| {
            Shard::new(ShardId(number), range, draw(&mut registry.next_log), new.created)
        })
        .collect();
    let mut stream = Stream {
        uid,
        account: new.account.clone(),
        name: new.name.clone(),
        created: new.created,
        status: StreamStatus::Creating,
        mode: new.mode,
        retention_hours: limits::RETENTION_HOURS_DEFAULT,
        max_record_kib: new.max_record_kib,
        warm_throughput_mibps: new.warm_throughput_mibps,
        encryption: None,
        data_keys: Vec::new(),
        next_data_key: 1,
        tags: new.tags,
        policy: None,
        monitoring: std::collections::BTreeSet::new(),
        consumers: BTreeMap::new(),
        next_shard: new.shard_count,
        shards,
        open: Vec::new(),
        reshard: None,
        scalings: Vec::new(),
        encryption_starts: Vec::new(),
        encryption_stops: Vec::new(),
        mode_switches: Vec::new(),
    };
    stream.index_open_shards();
    registry.names.insert(uid.0, (new.account.clone(), new.name.clone()));
    registry.busy.insert(uid.0);
    let account = registry.accounts.entry(new.account).or_default();
    let before = account.streams.insert(new.name, Arc::new(stream));
    debug_assert!(before.is_none(), "a name is given to one stream at a time");
}

/// Gives the next round's children their ids.
fn plan_round(stream: &mut Stream, next_log: &mut u64, plan: Plan, first: bool) {
    let sketches = plan::next_round(stream, &plan, first);
    let mut round = Vec::with_capacity(sketches.len());
    for (parents, ranges) in sketches {
        let children = ranges
            .into_iter()
            .map(|range| {
                let id = ShardId(stream.next_shard);
                stream.next_shard += 1;
                PlannedShard { id, range, log: draw(next_log) }
            })
            .collect();
        round.push(Step { parents, children });
    }
    stream.reshard = Some(Reshard { plan, round });
}

fn finish_round(stream: &mut Stream, next_log: &mut u64, at: Timestamp, ends: &[(ShardId, u64)]) {
    let Some(reshard) = stream.reshard.take() else { return };
    let ends: BTreeMap<ShardId, u64> = ends.iter().copied().collect();
    for step in reshard.round {
        let created_seconds = step
            .parents
            .iter()
            .filter_map(|id| stream.shard(*id))
            .map(|parent| parent.created_seconds + 1)
            .fold(at.seconds(), u64::max);
        let children: Vec<ChildShard> = step
            .children
            .iter()
            .map(|child| ChildShard {
                id: child.id,
                parents: step.parents.clone(),
                range: child.range,
            })
            .collect();
        for id in &step.parents {
            let found = stream.shards.binary_search_by_key(id, |shard| shard.id);
            if let (Ok(index), Some(end)) = (found, ends.get(id)) {
                let closed = Closed { end: *end, at, children: children.clone() };
                stream.shards[index].closed = Some(closed);
            }
        }
        for child in step.children {
            let mut shard = Shard::new(child.id, child.range, child.log, at);
            shard.parents.clone_from(&step.parents);
            shard.created_seconds = created_seconds;
            stream.shards.push(shard);
        }
    }
    stream.index_open_shards();
    plan_round(stream, next_log, reshard.plan, false);
}

fn update(stream: &mut Stream, change: StreamChange) {
    match change {
        StreamChange::RetentionHours(hours) => stream.retention_hours = hours,
        StreamChange::MaxRecordKib(kib) => stream.max_record_kib = kib,
        StreamChange::WarmThroughput(mibps) => stream.warm_throughput_mibps = mibps,
        StreamChange::Monitoring(metrics) => stream.monitoring = metrics,
        StreamChange::Mode { mode, warm_throughput_mibps, at } => {
            stream.mode = mode;
            stream.warm_throughput_mibps = warm_throughput_mibps.unwrap_or(0);
            remember(&mut stream.mode_switches, at);
        }
        StreamChange::Encryption { encryption, at } => {
            let calls = match encryption {
                Some(_) => &mut stream.encryption_starts,
                None => &mut stream.encryption_stops,
            };
            remember(calls, at);
            stream.encryption = encryption;
        }
        StreamChange::Tags { target, set, remove } => {
            let Some(tags) = tags_of(stream, &target) else { return };
            tags.retain(|key, _| !remove.contains(key));
            tags.extend(set);
        }
        StreamChange::Policy { target: TagTarget::Stream, policy } => stream.policy = policy,
        StreamChange::Policy { target: TagTarget::Consumer(name), policy } => {
            if let Some(consumer) = stream.consumers.get_mut(&name) {
                consumer.policy = policy;
            }
        }
    }
}

fn tags_of<'a>(
    stream: &'a mut Stream,
    target: &TagTarget,
) -> Option<&'a mut BTreeMap<String, String>> {
    match target {
        TagTarget::Stream => Some(&mut stream.tags),
        TagTarget::Consumer(name) => Some(&mut stream.consumers.get_mut(name)?.tags),
    }
}

/// Adds `at`, and forgets what is a day older.
fn remember(times: &mut Vec<Timestamp>, at: Timestamp) {
    times.retain(|time| at.ms_since(*time) < DAY_MS);
    times.push(at);
}

fn change_consumer(stream: &mut Stream, name: StreamName, change: ConsumerChange) {
    match change {
        ConsumerChange::Register { created, tags } => {
            let status = ConsumerStatus::Creating;
            let consumer = Consumer { name: name.clone(), created, status, tags, policy: None };
            stream.consumers.insert(name, consumer);
        }
        ConsumerChange::Activate => {
            if let Some(consumer) = stream.consumers.get_mut(&name) {
                consumer.status = ConsumerStatus::Active;
            }
        }
        ConsumerChange::Deregister => {
            if let Some(consumer) = stream.consumers.get_mut(&name) {
                consumer.status = ConsumerStatus::Deleting;
            }
        }
        ConsumerChange::Remove => {
            stream.consumers.remove(&name);
        }
    }
}

fn forget_shards(registry: &mut Registry, uid: StreamUid, shards: &[ShardId]) {
    let mut logs = Vec::new();
    on(registry, uid, |stream, _| {
        stream.shards.retain(|shard| {
            let forgotten = shard.closed.is_some() && shards.contains(&shard.id);
            if forgotten {
                logs.push(shard.log().0);
            }
            !forgotten
        });
        stream.index_open_shards();
    });
    registry.condemned.extend(logs);
}

fn remove_stream(registry: &mut Registry, uid: StreamUid) {
    let Some((account, name)) = registry.names.remove(&uid.0) else { return };
    registry.busy.remove(&uid.0);
    let Some(account) = registry.accounts.get_mut(&account) else { return };
    let Some(stream) = account.streams.remove(&name) else { return };
    let planned = stream.reshard.iter().flat_map(|reshard| &reshard.round);
    registry.condemned.extend(planned.flat_map(|step| step.children.iter().map(|c| c.log)));
    registry.condemned.extend(stream.shards.iter().map(|shard| shard.log().0));
}
