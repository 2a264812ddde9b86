//! The engine against a plain model in memory, through random lives with crashes in them.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_core::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{World, batch, payload, payloads, read_all, run};
use crate::embedded::CloseError;
use crate::{AppendError, EmbeddedLog, Log, LogId, Position, ReadError, ReadLimit, SealError};

/// Logs under test. Ids are never reused: a deleted one is followed by another in its slot.
const SLOTS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Create(usize),
    /// Appends made at once, before any is awaited: slot, records, bytes of each.
    Burst(Vec<(usize, u8, u16)>),
    Seal(usize),
    Trim(usize, u8),
    Delete(usize),
    Clock(i32),
    Check(u16, u16),
    Find(usize, i16),
    /// Power goes at once.
    Crash(u64),
    /// Power goes during the nth call of what comes next.
    CrashIn(u64, u64),
    /// The nth sync of what comes next fails, of a file or of the directory; then the machine is
    /// started again, or only the process.
    FailSyncIn(u64, bool, Restart),
    /// The nth write of what comes next finds no space.
    RefuseIn(u64),
    Kill,
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Restart {
    Machine(u64),
    Process,
}

/// What may or may not have happened when the power went, or a commit was refused.
#[derive(Clone, Debug)]
enum Unknown {
    Create,
    Append(Vec<Vec<u8>>),
    Seal,
    Trim(u64),
    Delete,
}

#[derive(Clone, Debug, Default)]
struct Model {
    logs: BTreeMap<u64, ModelLog>,
    unknown: Vec<(u64, Unknown)>,
    slots: [u64; SLOTS],
    /// A crash that is to come: how it tears.
    crash_seed: Option<u64>,
    /// How to start again once a failed sync has stopped the engine.
    restart: Option<Restart>,
    /// Writes were refused in this life: trims may have taken effect in memory only.
    is_forgetful: bool,
}

#[derive(Clone, Debug, Default)]
struct ModelLog {
    /// All that was acknowledged or seen, from position 0.
    records: Vec<Vec<u8>>,
    start: u64,
    sealed: bool,
    deleted: bool,
}

impl ModelLog {
    fn end(&self) -> u64 {
        self.records.len() as u64
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let slot = 0..SLOTS;
    let append = (slot.clone(), 0..6_u8, 0..2_500_u16);
    let restart = prop_oneof![any::<u64>().prop_map(Restart::Machine), Just(Restart::Process)];
    let op = prop_oneof![
        2 => slot.clone().prop_map(Op::Create),
        12 => vec(append, 1..12).prop_map(Op::Burst),
        1 => slot.clone().prop_map(Op::Seal),
        2 => (slot.clone(), any::<u8>()).prop_map(|(slot, share)| Op::Trim(slot, share)),
        1 => slot.clone().prop_map(Op::Delete),
        2 => any::<i32>().prop_map(Op::Clock),
        2 => (1..40_u16, any::<u16>()).prop_map(|(records, bytes)| Op::Check(records, bytes)),
        2 => (slot, any::<i16>()).prop_map(|(slot, ms)| Op::Find(slot, ms)),
        2 => any::<u64>().prop_map(Op::Crash),
        2 => (1..40_u64, any::<u64>()).prop_map(|(nth, seed)| Op::CrashIn(nth, seed)),
        1 => (1..30_u64, any::<bool>(), restart)
            .prop_map(|(nth, is_directory, restart)| Op::FailSyncIn(nth, is_directory, restart)),
        2 => (1..10_u64).prop_map(Op::RefuseIn),
        1 => Just(Op::Kill),
        1 => Just(Op::Close),
    ];
    vec(op, 1..50)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_lives_agree_with_the_model(seed in any::<u64>(), ops in ops()) {
        run(live(seed, ops));
    }
}

async fn live(seed: u64, ops: Vec<Op>) {
    let world = World::seeded(seed);
    let mut model = Model::default();
    for (slot, id) in model.slots.iter_mut().enumerate() {
        *id = slot as u64;
    }
    let mut log = world.open();
    let mut tag = 0;
    for op in ops {
        match op {
            Op::Crash(seed) => {
                drop(log);
                world.disk.crash(seed);
                log = reopen(&world, &mut model).await;
            }
            Op::CrashIn(nth, seed) => {
                world.disk.lose_power_in(nth);
                model.crash_seed = Some(seed);
            }
            Op::Kill => {
                drop(log);
                world.disk.kill();
                model.crash_seed = None;
                log = reopen(&world, &mut model).await;
            }
            Op::FailSyncIn(nth, is_directory, restart) => {
                if is_directory {
                    world.disk.fail_directory_sync_in(nth);
                } else {
                    world.disk.fail_sync_in(nth);
                }
                model.restart = Some(restart);
            }
            Op::RefuseIn(nth) => {
                world.disk.refuse_write_in(nth);
                model.is_forgetful = true;
            }
            Op::Close => {
                let closed = log.close().await;
                let may_fail = world.disk.is_powered_off()
                    || matches!(closed, Err(CloseError::NoSpace)) && model.is_forgetful
                    || model.restart.is_some();
                assert!(closed.is_ok() || may_fail, "{closed:?}");
                let dead = world.disk.is_powered_off();
                drop(log);
                if dead {
                    world.disk.crash(model.crash_seed.take().unwrap());
                } else {
                    model.crash_seed = None;
                    world.disk.kill();
                }
                log = reopen(&world, &mut model).await;
            }
            Op::Clock(jump) => {
                use millstream_core::Clock;
                let now = world.clock.now().ms().saturating_add_signed(i64::from(jump % 5_000));
                world.clock.set(Timestamp::from_ms(now));
            }
            Op::Check(records, bytes) => {
                if !world.disk.is_powered_off() {
                    check(&log, &model, ReadLimit { records: records.into(), bytes: bytes.into() })
                        .await;
                }
            }
            Op::Find(slot, ms) => find(&world, &log, &model, model.slots[slot], ms).await,
            op => apply(&log, &mut model, op, &mut tag).await,
        }
        if world.disk.is_powered_off() {
            drop(log);
            world.disk.crash(model.crash_seed.take().expect("the power goes when told"));
            log = reopen(&world, &mut model).await;
        } else if log.stats().latched.is_some() {
            drop(log);
            match model.restart.take().expect("a sync fails when told") {
                Restart::Machine(seed) => world.disk.crash(seed),
                Restart::Process => world.disk.kill(),
            }
            log = reopen(&world, &mut model).await;
        }
    }
    check(&log, &model, ReadLimit { records: 1_000, bytes: 1 << 20 }).await;
}

async fn apply(log: &EmbeddedLog, model: &mut Model, op: Op, tag: &mut u64) {
    match op {
        Op::Create(slot) => {
            let id = model.slots[slot];
            match log.create(LogId(id)).await {
                Ok(()) => drop(model.logs.entry(id).or_default()),
                Err(AppendError::Stopped(_) | AppendError::NoSpace) => {
                    model.unknown.push((id, Unknown::Create));
                }
                Err(error) => panic!("{error}"),
            }
        }
        Op::Burst(appends) => burst(log, model, appends, tag).await,
        Op::Seal(slot) => {
            let id = model.slots[slot];
            let outcome = log.seal(LogId(id)).await;
            if let Some(known) = sure(model, id, &outcome, Unknown::Seal, ModelLog::end) {
                known.sealed = true;
            }
        }
        Op::Trim(slot, share) => {
            let id = model.slots[slot];
            let end = model.logs.get(&id).map_or(0, ModelLog::end);
            // Now and then past the end, where a trim stops.
            let before = (end + 3) * u64::from(share) / 200;
            let outcome = log.trim(LogId(id), Position(before)).await.map(|()| Position(0));
            let start = before.min(end);
            if let Some(known) = sure(model, id, &outcome, Unknown::Trim(start), |_| 0) {
                known.start = known.start.max(start);
            }
        }
        Op::Delete(slot) => {
            let id = model.slots[slot];
            match log.delete(LogId(id)).await {
                Ok(()) => {
                    if let Some(known) = model.logs.get_mut(&id) {
                        known.deleted = true;
                        model.slots[slot] += SLOTS as u64;
                    }
                }
                Err(SealError::Stopped(_) | SealError::NoSpace) => {
                    model.unknown.push((id, Unknown::Delete));
                }
                Err(error) => panic!("{error}"),
            }
        }
        _ => unreachable!("the caller does these"),
    }
}

/// What a seal or trim did to the model's log; notes it where that is unknown.
fn sure<'a>(
    model: &'a mut Model,
    id: u64,
    outcome: &Result<Position, SealError>,
    unknown: Unknown,
    expected: impl Fn(&ModelLog) -> u64,
) -> Option<&'a mut ModelLog> {
    let known = model.logs.get_mut(&id).filter(|known| !known.deleted);
    match outcome {
        Ok(position) => {
            let known = known.expect("only what exists can be sealed or trimmed");
            assert_eq!(position.0, expected(known));
            Some(known)
        }
        Err(SealError::NotFound) => {
            assert!(known.is_none());
            None
        }
        Err(SealError::Stopped(_) | SealError::NoSpace) => {
            model.unknown.push((id, unknown));
            None
        }
    }
}

async fn burst(
    log: &EmbeddedLog,
    model: &mut Model,
    appends: Vec<(usize, u8, u16)>,
    tag: &mut u64,
) {
    let mut waiting = Vec::new();
    for (slot, count, bytes) in appends {
        let records: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                *tag += 1;
                payload(*tag, bytes.into())
            })
            .collect();
        let id = model.slots[slot];
        waiting.push((id, log.append(LogId(id), batch(&records)), records));
    }
    for (id, append, records) in waiting {
        let outcome = append.await;
        let known = model.logs.get_mut(&id).filter(|known| !known.deleted);
        match outcome {
            Ok(appended) => {
                let known = known.expect("only what exists takes records");
                assert!(!known.sealed);
                assert_eq!(appended.first.0, known.end());
                if !records.is_empty() {
                    // In the place of whatever was refused before.
                    model.unknown.clear();
                }
                known.records.extend(records);
            }
            Err(AppendError::NotFound) => assert!(known.is_none()),
            Err(AppendError::Sealed) => assert!(known.is_some_and(|known| known.sealed)),
            Err(AppendError::Stopped(_) | AppendError::NoSpace) => {
                model.unknown.push((id, Unknown::Append(records)));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Opens after a crash and settles what was unknown by what is there.
async fn reopen(world: &World, model: &mut Model) -> EmbeddedLog {
    model.crash_seed = None;
    model.restart = None;
    world.clock.advance(Duration::from_millis(1));
    let (log, _) = world.try_open().unwrap_or_else(|error| panic!("{error}"));
    for (id, unknown) in std::mem::take(&mut model.unknown) {
        let bounds = log.bounds(LogId(id));
        match unknown {
            Unknown::Create => {
                if bounds.is_ok() {
                    model.logs.entry(id).or_default();
                }
            }
            Unknown::Append(records) => {
                // Whole and next, or absent.
                let Ok(bounds) = bounds else { continue };
                let Some(known) = model.logs.get_mut(&id) else { continue };
                let from = usize::try_from(known.end().saturating_sub(bounds.start.0)).unwrap();
                let all = ReadLimit { records: 1_000, bytes: 1 << 20 };
                let found = payloads(&read_all(&log, id, all).await.unwrap());
                if found.get(from..).is_some_and(|found| found.starts_with(&records)) {
                    assert!(!known.sealed || records.is_empty());
                    known.records.extend(records);
                }
            }
            Unknown::Seal => {
                let known = model.logs.get_mut(&id);
                if let (Ok(bounds), Some(known)) = (bounds, known) {
                    known.sealed |= bounds.sealed;
                }
            }
            Unknown::Trim(start) => {
                let known = model.logs.get_mut(&id);
                if let (Ok(bounds), Some(known)) = (bounds, known)
                    && bounds.start.0 == start
                {
                    known.start = start;
                }
            }
            Unknown::Delete => {
                if let Some(known) = model.logs.get_mut(&id)
                    && bounds == Err(ReadError::NotFound)
                    && !known.deleted
                {
                    known.deleted = true;
                    model.slots[usize::try_from(id).unwrap() % SLOTS] += SLOTS as u64;
                }
            }
        }
    }
    if std::mem::take(&mut model.is_forgetful) {
        for (id, known) in &mut model.logs {
            if let Ok(bounds) = log.bounds(LogId(*id)) {
                known.start = known.start.min(bounds.start.0);
            }
        }
    }
    check(&log, model, ReadLimit { records: 100, bytes: 1 << 20 }).await;
    log
}

/// Everything in the model is in the log, and nothing else.
async fn check(log: &EmbeddedLog, model: &Model, limit: ReadLimit) {
    let alive: Vec<LogId> =
        model.logs.iter().filter(|(_, known)| !known.deleted).map(|(id, _)| LogId(*id)).collect();
    assert_eq!(log.log_ids(), alive);
    for (id, known) in model.logs.iter().filter(|(_, known)| !known.deleted) {
        let bounds = log.bounds(LogId(*id)).unwrap();
        let seen = (bounds.start.0, bounds.end.0, bounds.sealed);
        assert_eq!(seen, (known.start, known.end(), known.sealed), "log {id}");
        let found = payloads(&read_all(log, *id, limit).await.unwrap());
        let start = usize::try_from(known.start).unwrap();
        assert!(found == known.records[start..], "log {id}: {} records", found.len());
    }
}

async fn find(world: &World, log: &EmbeddedLog, model: &Model, id: u64, ms: i16) {
    use millstream_core::Clock;
    if world.disk.is_powered_off() || model.logs.get(&id).is_none_or(|known| known.deleted) {
        return;
    }
    let at = Timestamp::from_ms(world.clock.now().ms().saturating_add_signed(ms.into()));
    let records = read_all(log, id, ReadLimit { records: 1_000, bytes: 1 << 20 }).await.unwrap();
    let bounds = log.bounds(LogId(id)).unwrap();
    let first = records.iter().find(|record| record.arrived >= at);
    let expected = first.map_or(bounds.end, |record| record.position);
    assert_eq!(log.position_at(LogId(id), at).await.unwrap(), expected);
}
