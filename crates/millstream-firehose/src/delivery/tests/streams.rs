//! Data Streams as sources: shards that are read side by side, split and merged, and streams that
//! go and come again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use millstream_core::source::{
    SourceError, SourceFuture, SourceLimit, SourcePage, SourcePlace, SourceRecord, SourceShard,
    SourceShards, StreamLife, StreamSource,
};
use millstream_core::{ShardId, StreamArn, Timestamp};
use tokio::sync::watch;

use super::history::lines;
use super::outside::{MAIN, Mood, Outside};
use super::world::{Size, World, document_plan, numbered, plan};
use crate::delivery::fail_point::{self, FailPoint};
use crate::plan::{Plan, Source};

/// No stream anywhere.
#[derive(Debug)]
pub(crate) struct NoStreams;

impl StreamSource for NoStreams {
    fn shards<'a>(&'a self, _: &'a StreamArn) -> SourceFuture<'a, SourceShards> {
        Box::pin(async { Err(SourceError::StreamNotFound) })
    }

    fn position<'a>(
        &'a self,
        _: &'a StreamArn,
        _: SourcePlace,
        _: Option<Timestamp>,
    ) -> SourceFuture<'a, u64> {
        Box::pin(async { Err(SourceError::StreamNotFound) })
    }

    fn read<'a>(
        &'a self,
        _: &'a StreamArn,
        _: SourcePlace,
        _: u64,
        _: SourceLimit,
    ) -> SourceFuture<'a, SourcePage> {
        Box::pin(async { Err(SourceError::StreamNotFound) })
    }

    fn changed<'a>(&'a self, _: &'a StreamArn, _: SourcePlace, _: u64) -> SourceFuture<'a, ()> {
        Box::pin(async { Err(SourceError::StreamNotFound) })
    }
}

#[derive(Debug, Default)]
struct Shard {
    parents: Vec<u32>,
    records: Vec<SourceRecord>,
    /// Records below are gone.
    start: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct State {
    life: u64,
    is_there: bool,
    is_well: bool,
    shards: BTreeMap<u32, Shard>,
}

/// A stream whose shards are told what to do.
#[derive(Debug)]
pub(crate) struct FakeStream {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl FakeStream {
    fn new(shards: u32) -> Arc<Self> {
        let shards = (0..shards).map(|number| (number, Shard::default())).collect();
        let state = State { life: 1, is_there: true, is_well: true, shards };
        Arc::new(Self { state: Mutex::new(state), changes: watch::Sender::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state());
        self.changes.send_modify(|count| *count += 1);
        value
    }

    fn put(&self, shard: u32, data: Bytes, arrived: Timestamp) {
        self.change(|state| {
            let shard = state.shards.get_mut(&shard).unwrap();
            assert!(!shard.is_closed);
            let position = shard.records.len() as u64;
            let sequence_number = format!("49{position:020}");
            let partition_key = "key".to_owned();
            let record = SourceRecord { position, arrived, sequence_number, partition_key, data };
            shard.records.push(record);
        });
    }

    fn reshard(&self, parents: &[u32], children: &[u32]) {
        self.change(|state| {
            for child in children {
                let shard = Shard { parents: parents.to_vec(), ..Shard::default() };
                state.shards.insert(*child, shard);
            }
            for parent in parents {
                state.shards.get_mut(parent).unwrap().is_closed = true;
            }
        });
    }

    fn get(state: &State, place: SourcePlace) -> Result<&Shard, SourceError> {
        if !state.is_well {
            return Err(SourceError::Unavailable("out of sorts".to_owned()));
        }
        if !state.is_there || place.life.0 != state.life {
            return Err(SourceError::StreamNotFound);
        }
        state.shards.get(&place.shard.0).ok_or(SourceError::ShardNotFound(place.shard))
    }
}

impl StreamSource for FakeStream {
    fn shards<'a>(&'a self, _: &'a StreamArn) -> SourceFuture<'a, SourceShards> {
        Box::pin(async {
            let state = self.state();
            if !state.is_well {
                return Err(SourceError::Unavailable("out of sorts".to_owned()));
            }
            if !state.is_there {
                return Err(SourceError::StreamNotFound);
            }
            let shard = |(number, shard): (&u32, &Shard)| SourceShard {
                id: ShardId(*number),
                parents: shard.parents.iter().copied().map(ShardId).collect(),
            };
            let shards = state.shards.iter().map(shard).collect();
            Ok(SourceShards { life: StreamLife(state.life), shards })
        })
    }

    fn position<'a>(
        &'a self,
        _: &'a StreamArn,
        place: SourcePlace,
        at: Option<Timestamp>,
    ) -> SourceFuture<'a, u64> {
        Box::pin(async move {
            let state = self.state();
            let shard = Self::get(&state, place)?;
            let at = at.unwrap_or_default();
            let index = shard.records.partition_point(|record| record.arrived < at);
            Ok(index.max(shard.start) as u64)
        })
    }

    fn read<'a>(
        &'a self,
        _: &'a StreamArn,
        place: SourcePlace,
        from: u64,
        limit: SourceLimit,
    ) -> SourceFuture<'a, SourcePage> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let state = self.state();
            let shard = Self::get(&state, place)?;
            let from = usize::try_from(from).unwrap().max(shard.start);
            let end = (from + limit.records.min(10)).min(shard.records.len());
            Ok(SourcePage {
                records: shard.records[from..end].to_vec(),
                next: end as u64,
                next_arrived: shard.records.get(end).map(|record| record.arrived),
                has_ended: shard.is_closed && end == shard.records.len(),
            })
        })
    }

    fn changed<'a>(
        &'a self,
        _: &'a StreamArn,
        place: SourcePlace,
        from: u64,
    ) -> SourceFuture<'a, ()> {
        Box::pin(async move {
            let mut changes = self.changes.subscribe();
            loop {
                changes.mark_unchanged();
                {
                    let state = self.state();
                    let shard = Self::get(&state, place)?;
                    if shard.records.len() as u64 > from || shard.is_closed {
                        return Ok(());
                    }
                }
                let _ = changes.changed().await;
            }
        })
    }
}

fn reading(from: Timestamp) -> Plan {
    let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/events".parse().unwrap();
    Plan { source: Source::KinesisStream { arn, from }, ..plan() }
}

async fn world(stream: &Arc<FakeStream>, plan: Plan) -> World {
    let mut world = World::prepared(plan, Outside::new(), Size::default());
    world.streams = stream.clone();
    world.make_logs().await;
    world.begun()
}

impl World {
    fn put_to(&mut self, stream: &FakeStream, shard: u32, numbers: std::ops::Range<usize>) {
        for number in numbers {
            stream.put(shard, numbered(number), self.commons.clock.now());
            self.accepted.push(numbered(number));
        }
    }

    async fn until_all_are_there(&self, seconds: u64) {
        for _ in 0..seconds {
            let tally = self.tally();
            if self.accepted.iter().all(|record| tally.delivered.contains_key(record)) {
                return;
            }
            self.pass(1).await;
        }
        self.tally().nothing_is_lost(&self.accepted);
    }

    /// All records in the main bucket, in the order in which they came there.
    fn in_order(&self) -> Vec<Bytes> {
        let world = self.outside.world();
        let objects = world.order.iter().filter(|(bucket, _)| bucket == MAIN);
        objects.flat_map(|place| lines(&world.objects[place].clone().into())).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn all_shards_are_read_from_the_moment_asked_for() {
    let stream = FakeStream::new(3);
    stream.put(0, numbered(900), Timestamp::from_seconds(1_000));
    stream.put(1, numbered(901), Timestamp::from_seconds(1_999));
    let mut world = world(&stream, reading(Timestamp::from_seconds(2_000))).await;
    for shard in 0..3 {
        let start = shard as usize * 100;
        world.put_to(&stream, shard, start..start + 50);
    }
    world.pass(100).await;
    world.tally().exactly_once(&world.accepted);
    assert_eq!(world.metrics().read_records, 150);
}

#[tokio::test(start_paused = true)]
async fn parents_are_drained_before_their_children_across_splits_and_merges() {
    let stream = FakeStream::new(1);
    let mut world = world(&stream, reading(Timestamp::default())).await;
    // The same keys, put one after another on the shard that has them at the time.
    world.put_to(&stream, 0, 0..95);
    stream.reshard(&[0], &[1, 2]);
    world.put_to(&stream, 1, 100..160);
    world.put_to(&stream, 2, 200..260);
    stream.reshard(&[1, 2], &[3]);
    world.put_to(&stream, 3, 300..400);
    world.pass(100).await;
    world.tally().exactly_once(&world.accepted);
    let order = world.in_order();
    let place = |number| order.iter().position(|record| *record == numbered(number)).unwrap();
    let last = |range: std::ops::Range<usize>| range.map(place).max().unwrap();
    let first = |range: std::ops::Range<usize>| range.map(place).min().unwrap();
    assert!(last(0..95) < first(100..160).min(first(200..260)));
    assert!(last(100..160).max(last(200..260)) < first(300..400));
    stream.reshard(&[3], &[4]);
    world.put_to(&stream, 4, 500..520);
    world.pass(100).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn crashes_during_reshards_lose_nothing_and_repeat_one_delivery_at_most() {
    for crash_after in [0, 1, 2, 3, 5, 61, 63] {
        let stream = FakeStream::new(2);
        let mut world = world(&stream, reading(Timestamp::default())).await;
        world.put_to(&stream, 0, 0..130);
        world.put_to(&stream, 1, 200..330);
        world.pass(2).await;
        stream.reshard(&[0], &[2, 3]);
        world.put_to(&stream, 2, 400..470);
        world.pass(crash_after).await;
        let mut world = world.crash().await;
        world.put_to(&stream, 3, 500..570);
        stream.reshard(&[1, 2], &[4]);
        world.put_to(&stream, 4, 600..670);
        world.pass(crash_after).await;
        let world = world.kill().await;
        world.until_all_are_there(300).await;
        world.pass(70).await;
        let tally = world.tally();
        tally.nothing_is_lost(&world.accepted);
        let duplicates = tally.duplicates();
        assert!(duplicates <= 2 * 30, "{duplicates} after {crash_after} s");
        // Of the last life; what the one before it has repeated was counted there.
        let counted = world.metrics().duplicates;
        assert!(counted <= 2 * 30, "{counted} are counted after {crash_after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_has_a_stream_repeat_is_counted() {
    let documents = || Plan { source: reading(Timestamp::default()).source, ..document_plan(60) };
    for nth in 1..=3 {
        let (repeated, counted) = dying(documents(), (FailPoint::AfterDelivery, nth)).await;
        assert!(repeated > 0 && repeated == counted, "{repeated} of {counted}, {nth}");
        for point in [FailPoint::AfterPledge, FailPoint::AfterCheckpoint] {
            let (repeated, counted) = dying(documents(), (point, nth)).await;
            assert!(repeated <= counted, "{repeated} of {counted} at {point:?} {nth}");
        }
        // An object that begins with the same record may replace its own, and is counted too.
        let objects = reading(Timestamp::default());
        let (repeated, counted) = dying(objects, (FailPoint::AfterDelivery, nth)).await;
        assert!(counted > 0 && repeated <= counted, "{repeated} of {counted}, {nth}");
    }
}

/// Dies, begins again and delivers all; gives how many records were delivered more than once, and
/// how many are said to be.
async fn dying(plan: Plan, (point, nth): (FailPoint, u32)) -> (u64, u64) {
    let stream = FakeStream::new(2);
    let mut world = world(&stream, plan).await;
    fail_point::arm(point, nth);
    for round in 0..3 {
        world.put_to(&stream, 0, round * 100..round * 100 + 20);
        world.put_to(&stream, 1, round * 100 + 50..round * 100 + 70);
        world.pass(70).await;
    }
    assert!(fail_point::has_died(), "{point:?} {nth}");
    let mut world = if nth % 2 == 0 { world.crash().await } else { world.kill().await };
    world.put_to(&stream, 0, 400..420);
    world.until_all_are_there(300).await;
    world.pass(70).await;
    let tally = world.tally();
    tally.nothing_is_lost(&world.accepted);
    (tally.duplicates(), world.metrics().duplicates)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_answer_is_asked_again() {
    let stream = FakeStream::new(2);
    let mut world = world(&stream, reading(Timestamp::default())).await;
    world.put_to(&stream, 0, 0..10);
    world.pass(1).await;
    stream.change(|state| state.is_well = false);
    world.put_to(&stream, 1, 10..50);
    world.pass(600).await;
    assert!(world.errors().iter().any(|entry| entry.code == "Source.Unavailable"));
    stream.change(|state| state.is_well = true);
    world.until_all_are_there(200).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_of_a_stream_that_is_deleted_is_delivered_and_its_successor_read() {
    let stream = FakeStream::new(2);
    let mut world = world(&stream, reading(Timestamp::default())).await;
    world.put_to(&stream, 0, 0..10);
    world.put_to(&stream, 1, 20..30);
    world.pass(1).await;
    stream.change(|state| {
        state.is_there = false;
        state.shards.clear();
    });
    world.pass(100).await;
    world.tally().exactly_once(&world.accepted);
    stream.change(|state| {
        (state.life, state.is_there) = (2, true);
        state.shards.insert(0, Shard::default());
    });
    world.put_to(&stream, 0, 40..60);
    world.until_all_are_there(300).await;
    world.tally().exactly_once(&world.accepted);
}

#[tokio::test(start_paused = true)]
async fn records_that_expire_before_they_are_delivered_are_counted() {
    let stream = FakeStream::new(1);
    let mut world = world(&stream, reading(Timestamp::default())).await;
    world.outside.set(MAIN, Mood::Down);
    world.put_to(&stream, 0, 0..60);
    world.pass(30).await;
    let world = world.crash().await;
    // The checkpoint knows of none of them; had it, they would be counted as expired.
    stream.change(|state| state.shards.get_mut(&0).unwrap().start = 20);
    world.outside.set(MAIN, Mood::Well);
    world.pass(200).await;
    let tally = world.tally();
    assert!(tally.delivered.len() >= 40);
    assert_eq!(tally.duplicates(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_shards_are_read_side_by_side() {
    let stream = FakeStream::new(1_000);
    let mut world = world(&stream, reading(Timestamp::default())).await;
    for shard in 0..1_000_u32 {
        let start = shard as usize * 3;
        world.put_to(&stream, shard, start..start + 3);
    }
    world.pass(70).await;
    world.tally().exactly_once(&world.accepted);
}

/// `one`, `two` and `three`, each a line, as the KPL packs them.
const AGGREGATE: &[u8] = b"\xf3\x89\x9a\xc2\x0a\x01\x61\x0a\x01\x62\x1a\x08\x08\x00\x1a\x04\x6f\x6e\x65\x0a\x1a\x08\x08\x01\x1a\x04\x74\x77\x6f\x0a\x1a\x0a\x08\x00\x1a\x06\x74\x68\x72\x65\x65\x0a\x45\xc2\xe7\xca\x38\x0b\x6e\xa2\x0e\xfc\x32\xa9\x5e\xee\x48\xee";

#[tokio::test(start_paused = true)]
async fn aggregates_are_taken_apart_and_kept_so_in_the_backup() {
    let stream = FakeStream::new(1);
    let mut plan = reading(Timestamp::default());
    plan.backup.all = Some(super::world::objects(super::outside::BACKUP, 1_024, 60));
    let world = world(&stream, plan).await;
    stream.put(0, Bytes::from_static(AGGREGATE), world.commons.clock.now());
    stream.put(0, Bytes::from_static(b"four\n"), world.commons.clock.now());
    world.pass(70).await;
    for bucket in [MAIN, super::outside::BACKUP] {
        let bytes: Vec<u8> = world.outside.bucket_objects(bucket).into_values().flatten().collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), "one\ntwo\nthree\nfour\n");
    }
    let metrics = world.metrics();
    assert_eq!((metrics.read_records, metrics.delivery_records), (2, 4));
    assert_eq!(metrics.outstanding, 0);
}
