//! What happens between two steps of a thread, by stopping it there.
//!
//! Owns a storage whose calls can be made to stand still until they are told to go on. The engine
//! runs on its threads; every wait is for an event, and a time only ends a test that failed.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use millstream_core::SeededRand;

use super::{ALL, World, append, payload, read_all, run, small};
use crate::storage::{FileKind, SimStorage, Storage, StorageFile, StorageLock};
use crate::{Driver, EmbeddedLog, Log, LogId, Position, ReadError, Settings};

/// How long a call may take to come, on the slowest of machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// A kind of call on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Sync,
}

/// Where a call stands still, and whether it fails when it goes on.
#[derive(Clone, Copy, Debug)]
struct Stop {
    call: Call,
    prefix: &'static str,
    fails: bool,
}

#[derive(Debug, Default)]
struct Gates {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    /// Each stops one call.
    armed: Vec<Stop>,
    reached: Vec<&'static str>,
    opened: Vec<&'static str>,
}

impl Gates {
    /// The next such call stands still until it is let go.
    fn arm(&self, call: Call, prefix: &'static str, fails: bool) {
        self.state.lock().unwrap().armed.push(Stop { call, prefix, fails });
    }

    fn pass(&self, call: Call, name: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let stops = |stop: &Stop| stop.call == call && name.starts_with(stop.prefix);
        let Some(place) = state.armed.iter().position(stops) else { return Ok(()) };
        let stop = state.armed.remove(place);
        state.reached.push(stop.prefix);
        self.changed.notify_all();
        while !state.opened.contains(&stop.prefix) {
            state = self.wait(state);
        }
        if stop.fails { Err(io::Error::other("told to fail")) } else { Ok(()) }
    }

    /// Waits until a call stands still there.
    fn wait_for(&self, prefix: &'static str) {
        let mut state = self.state.lock().unwrap();
        while !state.reached.contains(&prefix) {
            state = self.wait(state);
        }
    }

    /// Waits for a change; a test that would wait for ever fails instead.
    fn wait<'a>(&self, state: MutexGuard<'a, GateState>) -> MutexGuard<'a, GateState> {
        let (state, timeout) = self.changed.wait_timeout(state, PATIENCE).unwrap();
        assert!(!timeout.timed_out(), "no call came to where it was to stand still");
        state
    }

    fn open(&self, prefix: &'static str) {
        self.state.lock().unwrap().opened.push(prefix);
        self.changed.notify_all();
    }
}

#[derive(Debug)]
struct Gated {
    inner: Arc<SimStorage>,
    gates: Arc<Gates>,
}

#[derive(Debug)]
struct GatedFile {
    name: String,
    inner: Arc<dyn StorageFile>,
    gates: Arc<Gates>,
}

impl Gated {
    fn wrap(&self, name: &str, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        let gates = Arc::clone(&self.gates);
        Arc::new(GatedFile { name: name.to_owned(), inner, gates })
    }
}

impl Storage for Gated {
    fn create(&self, name: &str, kind: FileKind) -> io::Result<Arc<dyn StorageFile>> {
        Ok(self.wrap(name, self.inner.create(name, kind)?))
    }

    fn open(&self, name: &str, kind: FileKind) -> io::Result<Arc<dyn StorageFile>> {
        Ok(self.wrap(name, self.inner.open(name, kind)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }

    fn lock(&self) -> io::Result<StorageLock> {
        self.inner.lock()
    }

    fn describe(&self, name: &str) -> String {
        self.inner.describe(name)
    }

    fn blocks(&self) -> bool {
        false
    }
}

impl StorageFile for GatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.gates.pass(Call::Read, &self.name)?;
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.gates.pass(Call::Write, &self.name)?;
        self.inner.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.gates.pass(Call::Sync, &self.name)?;
        self.inner.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}

/// A store on threads, and its gates. `arm` is called before it is opened.
fn open(world: &World, settings: Settings, arm: impl FnOnce(&Gates)) -> (EmbeddedLog, Arc<Gates>) {
    let gates = Arc::new(Gates::default());
    arm(&gates);
    let storage = Arc::new(Gated { inner: world.disk.storage(), gates: Arc::clone(&gates) });
    let clock = Arc::clone(&world.clock);
    let rand = SeededRand::new(7);
    let (log, _) = EmbeddedLog::open(storage, clock, &rand, settings, Driver::Thread).unwrap();
    (log, gates)
}

const LARGE: u64 = 7;

#[test]
fn what_is_appended_while_older_records_move_and_go_is_not_taken_for_moved() {
    // Goal: a record that lies in a write-ahead file only stays in memory, and goes to a segment
    // when its turn comes, whatever was trimmed while the records before it were on their way.
    let world = World::seeded(1);
    let settings = Settings {
        wal_file_bytes: 4 << 20,
        commit_bytes_max: 2 << 20,
        batch_bytes_max: 2 << 20,
        cache_bytes_max: 0,
        ..small()
    };
    let (log, gates) = open(&world, settings, |_| ());
    run(async {
        log.create(LogId(1)).await.unwrap();
        log.create(LogId(2)).await.unwrap();
        append(&log, 1, &[payload(1, 100)]).await.unwrap();
        gates.arm(Call::Sync, "segment-", false);
        // Fills the first file, so that its records are on their way to segments.
        for tag in 0..3 {
            append(&log, 2, &[payload(tag, 1 << 20)]).await.unwrap();
        }
        append(&log, 1, &[payload(LARGE, 3 << 19)]).await.unwrap();
        gates.wait_for("segment-");
        log.trim(LogId(1), Position(1)).await.unwrap();
        gates.open("segment-");
        // Another file's turn, for which the one before must be done.
        for tag in 3..9 {
            append(&log, 2, &[payload(tag, 1 << 20)]).await.unwrap();
        }
        log.close().await.unwrap();
        let stats = log.stats();
        assert_eq!((stats.cached_bytes, stats.undestaged_bytes), (0, 0), "all is accounted for");
        let found = read_all(&log, 1, ALL).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].payload, payload(LARGE, 3 << 19));
    });
    drop(log);
    world.disk.crash(1);
    run(async {
        let (log, _) = open(&world, small(), |_| ());
        let found = read_all(&log, 1, ALL).await.unwrap();
        assert_eq!(found[0].payload, payload(LARGE, 3 << 19));
    });
}

#[test]
fn a_log_made_while_the_engine_stops_lets_its_followers_go() {
    let world = World::seeded(1);
    let (log, gates) = open(&world, small(), |gates| gates.arm(Call::Write, "reserve", true));
    gates.wait_for("reserve");
    gates.arm(Call::Sync, "wal-", false);
    let created = log.create(LogId(1));
    gates.wait_for("wal-");
    gates.open("reserve");
    while log.stats().latched.is_none() {
        std::thread::yield_now();
    }
    gates.open("wal-");
    run(async {
        // It was durable before the stop was known to the lane.
        created.await.unwrap();
        let mut tail = log.tail(LogId(1)).unwrap();
        let told = tokio::time::timeout(PATIENCE, tail.changed()).await;
        assert!(told.expect("nobody waits for ever").is_err());
    });
}

/// A store in which log 1 lies in segments only, and its gates.
fn at_rest(world: &World) -> (EmbeddedLog, Arc<Gates>) {
    run(async {
        let (log, _) = open(world, small(), |_| ());
        log.create(LogId(1)).await.unwrap();
        for tag in 0..100 {
            append(&log, 1, &[payload(tag, 3_000)]).await.unwrap();
        }
        log.close().await.unwrap();
    });
    open(world, small(), |_| ())
}

#[test]
fn a_read_that_a_trim_overtakes_returns_what_is_left() {
    let world = World::seeded(1);
    let (log, gates) = at_rest(&world);
    gates.arm(Call::Read, "segment-", false);
    let reader = std::thread::spawn({
        let log = log.clone();
        move || run(log.read(LogId(1), Position(0), ALL))
    });
    gates.wait_for("segment-");
    run(log.trim(LogId(1), Position(90))).unwrap();
    gates.open("segment-");
    let read = reader.join().unwrap().unwrap();
    let first = read.records.first().expect("there is one");
    // Either what stood there when it began, or the first that was left.
    assert!(first.position == Position(0) || first.position == Position(90), "{first:?}");
    assert!(read.next > first.position);
}

#[test]
fn a_read_that_a_trim_overtakes_before_it_begins_returns_what_is_left() {
    let world = World::seeded(1);
    let (log, gates) = at_rest(&world);
    // The second read of the file is the one of the records behind the first piece.
    gates.arm(Call::Read, "segment-", false);
    let reader = std::thread::spawn({
        let log = log.clone();
        move || run(read_all(&log, 1, crate::ReadLimit { records: 7, bytes: 1 << 20 }))
    });
    gates.wait_for("segment-");
    run(log.trim(LogId(1), Position(97))).unwrap();
    gates.open("segment-");
    let found = reader.join().unwrap().unwrap();
    assert_eq!(found.last().unwrap().position, Position(99));
}

#[test]
fn a_read_that_a_delete_overtakes_says_so_or_returns_what_was_there() {
    let world = World::seeded(1);
    let (log, gates) = at_rest(&world);
    gates.arm(Call::Read, "segment-", false);
    let reader = std::thread::spawn({
        let log = log.clone();
        move || run(log.read(LogId(1), Position(50), ALL))
    });
    gates.wait_for("segment-");
    run(log.delete(LogId(1))).unwrap();
    gates.open("segment-");
    match reader.join().unwrap() {
        Ok(read) => {
            assert_eq!(read.records[0].position, Position(50));
            assert_eq!(read.next.0, 50 + read.records.len() as u64);
            assert!(!read.at_sealed_end);
        }
        Err(error) => assert_eq!(error, ReadError::NotFound),
    }
}
