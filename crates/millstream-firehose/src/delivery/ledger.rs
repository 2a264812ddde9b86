//! The live checkpoint, and its way to the disk.
//!
//! Owns what the courier knows of its progress, and the one write of it that may be under way.
//! Changes are numbered; whoever has to know that a change is durable compares numbers. Changes
//! that come while a write is under way go out together with the next.
//!
//! Invariants:
//! * The source is trimmed only below a cursor that is durable, or, on a full disk, one that the
//!   trim itself makes durable: everything below it is delivered either way.
//! * A full disk does not stop deliveries: without them it would stay full. What is promised then
//!   is at least once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use millstream_destinations::DocumentId;
use millstream_log::AppendError;
use tokio::time::Instant;

use super::checkpoint::{Checkpoint, CheckpointLog, Pledge};
use super::fail_point::{self, FailPoint};
use super::lane::Lane;
use super::position_set::PositionSet;
use super::progress::{Met, Obligation, Obligations, Part};
use super::source::RecordSource;

/// How long a change that nobody waits for may wait itself.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// How long to rest after a write that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Numbers changes, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change(u64);

type Write = BoxFuture<'static, (CheckpointLog, Result<(), AppendError>)>;

/// The live checkpoint.
pub(super) struct Ledger {
    checkpoint: Checkpoint,
    source: Option<Arc<dyn RecordSource>>,
    /// `None` while a write has it.
    log: Option<CheckpointLog>,
    writing: Option<(Change, Write)>,
    changed: Change,
    /// The last change that someone waits for.
    wanted: Change,
    durable: Change,
    /// The last change that may be acted on, although a full disk keeps it from being durable.
    granted: Change,
    not_before: Instant,
    /// Below which each part was trimmed.
    trimmed: BTreeMap<u64, u64>,
}

/// What a write came to.
#[derive(Debug)]
pub(super) enum Written {
    Durable,
    /// It is tried again, and meanwhile deliveries go on without.
    Delayed(AppendError),
    /// Nothing can be written any more before the log is opened anew.
    Stopped(String),
}

impl Ledger {
    pub(super) fn new(checkpoint: Checkpoint, log: CheckpointLog, now: Instant) -> Self {
        Self {
            checkpoint,
            source: None,
            log: Some(log),
            writing: None,
            changed: Change(0),
            wanted: Change(0),
            durable: Change(0),
            granted: Change(0),
            not_before: now,
            trimmed: BTreeMap::new(),
        }
    }

    /// Whom to tell what is settled for good.
    pub(super) fn tell(&mut self, source: Arc<dyn RecordSource>) {
        self.source = Some(source);
    }

    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub(super) fn checkpoint_mut(&mut self) -> &mut Checkpoint {
        &mut self.checkpoint
    }

    fn change(&mut self) -> Change {
        self.changed.0 += 1;
        self.changed
    }

    fn want(&mut self) -> Change {
        self.wanted = self.change();
        self.wanted
    }

    /// Takes note of a record's obligations; see [`Part::begin`].
    pub(super) fn begin(&mut self, part: u64, position: u64, obligations: Obligations) -> Met {
        let part = self.checkpoint.progress.part_mut(part);
        let cursor = part.cursor();
        let met = part.begin(position, obligations);
        // A record that has to be delivered changes nothing that a replay would not find again.
        if part.cursor() != cursor {
            self.change();
        }
        met
    }

    /// One piece is where it belongs, or is wanted no more.
    pub(super) fn settle(&mut self, lane: &Lane, id: DocumentId) {
        let obligation = match lane {
            Lane::Main(_) | Lane::Errors(_) => Obligation::Piece(id.index),
            Lane::Backup => Obligation::Backup,
        };
        self.change();
        self.checkpoint.progress.part_mut(id.part).settle(id.position, obligation);
    }

    /// A delivery is decided on: to be durable before it begins.
    pub(super) fn pledge(&mut self, lane: &Lane, pledge: Pledge) -> Change {
        if self.checkpoint.pledges.insert(lane.clone(), pledge) == Some(pledge) {
            return self.durable;
        }
        self.want()
    }

    /// A delivery of these records begins that nobody can make again as it was: to be durable
    /// before it does, so that after a crash it is known which records may be delivered twice.
    pub(super) fn launch(&mut self, launched: &BTreeMap<u64, PositionSet>) -> Change {
        for (number, positions) in launched {
            let part = self.checkpoint.progress.part_mut(*number);
            positions.iter().for_each(|position| part.launch(position));
        }
        self.want()
    }

    /// A delivery is over, and all of it settled: to be durable before the lane's next begins.
    pub(super) fn close(&mut self, lane: &Lane) -> Change {
        self.checkpoint.pledges.remove(lane);
        self.want()
    }

    /// Has what changed written without delay.
    pub(super) fn hurry(&mut self) {
        self.wanted = self.changed;
    }

    /// Whether a change may be acted on.
    pub(super) fn has(&self, change: Change) -> bool {
        change <= self.durable.max(self.granted)
    }

    /// When the next write is to begin; `None` where one is under way or nothing changed.
    pub(super) fn next_write(&self) -> Option<Instant> {
        if self.writing.is_some() || self.changed <= self.durable {
            return None;
        }
        let is_wanted = self.wanted > self.durable;
        Some(if is_wanted { self.not_before } else { self.not_before + IDLE_INTERVAL })
    }

    /// Whether a write is under way.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Begins the write that is due.
    pub(super) fn begin_write(&mut self, now: Instant) {
        if self.next_write().is_none_or(|due| due > now) {
            return;
        }
        let Some(mut log) = self.log.take() else { return };
        let encoded = self.checkpoint.encode();
        let parts = self.checkpoint.progress.parts();
        let cursor = |part: &Part| {
            if cfg!(feature = "mutant-trim-early") { part.next() } else { part.cursor() }
        };
        let mut cursors: BTreeMap<u64, u64> = parts.map(|(part, it)| (part, cursor(it))).collect();
        std::mem::swap(&mut self.trimmed, &mut cursors);
        let old = cursors;
        let moved = self.trimmed.iter().filter(|(part, cursor)| old.get(part) != Some(cursor));
        let cursors: Vec<(u64, u64)> = moved.map(|(part, cursor)| (*part, *cursor)).collect();
        let source = self.source.clone();
        let write: Write = Box::pin(async move {
            let outcome = log.write(encoded).await;
            let may_trim = matches!(outcome, Ok(()) | Err(AppendError::NoSpace));
            if outcome.is_ok() {
                fail_point::reached(FailPoint::AfterCheckpoint).await;
            }
            if let Some(source) = source.filter(|_| may_trim) {
                for (part, cursor) in cursors {
                    source.settled(part, cursor).await;
                }
            }
            fail_point::reached(FailPoint::AfterTrim).await;
            (log, outcome)
        });
        self.writing = Some((self.changed, write));
        self.not_before = now;
    }

    /// Waits for the write that is under way. Dropping it loses nothing.
    pub(super) async fn written(&mut self, now: impl Fn() -> Instant) -> Written {
        let Some((change, write)) = &mut self.writing else {
            return std::future::pending().await;
        };
        let change = *change;
        let (log, outcome) = write.await;
        (self.log, self.writing) = (Some(log), None);
        match outcome {
            Ok(()) => {
                self.durable = change;
                Written::Durable
            }
            Err(error @ (AppendError::NoSpace | AppendError::Overloaded)) => {
                if error == AppendError::NoSpace {
                    self.granted = self.granted.max(change);
                }
                self.not_before = now() + RETRY_AFTER;
                Written::Delayed(error)
            }
            Err(error @ (AppendError::NotFound | AppendError::Sealed | AppendError::TooLarge)) => {
                Written::Stopped(error.to_string())
            }
            Err(AppendError::Stopped(reason)) => Written::Stopped(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::memory::{AppendFault, MemoryLog};
    use millstream_core::{ManualClock, Timestamp};
    use millstream_log::{Batch, Log, LogId};

    use super::super::source::DirectSource;
    use super::*;

    const RECORDS: LogId = LogId(5);
    const CHECKPOINTS: LogId = LogId(6);
    const MAIN: DocumentId = DocumentId { part: 0, position: 0, index: 0 };

    async fn ledger() -> (Arc<MemoryLog>, Ledger) {
        let log = MemoryLog::new(Arc::new(ManualClock::new(Timestamp::from_seconds(1))));
        for id in [RECORDS, CHECKPOINTS] {
            log.create(id).await.unwrap();
        }
        for _ in 0..4 {
            log.append(RECORDS, Batch::of(b"record")).await.unwrap();
        }
        let mut checkpoint = Checkpoint::default();
        let part = checkpoint.progress.part_or(0, Default::default);
        for position in 0..4 {
            assert!(part.take(position));
        }
        let checkpoints = CheckpointLog::new(log.clone(), CHECKPOINTS);
        let mut ledger = Ledger::new(checkpoint, checkpoints, Instant::now());
        let open = Arc::new(|stored: &bytes::Bytes| Ok(stored.clone()));
        ledger.tell(Arc::new(DirectSource::new(log.clone(), RECORDS, open)));
        (log, ledger)
    }

    fn id(position: u64) -> DocumentId {
        DocumentId { position, ..MAIN }
    }

    async fn write(ledger: &mut Ledger) -> Written {
        ledger.begin_write(Instant::now() + RETRY_AFTER + IDLE_INTERVAL);
        ledger.written(Instant::now).await
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_come_during_a_write_wait_for_the_next() {
        let (log, mut ledger) = ledger().await;
        let pledged = ledger.pledge(&Lane::main(), Pledge { first: id(0), last: id(1) });
        ledger.begin_write(Instant::now());
        ledger.settle(&Lane::main(), id(0));
        let closed = ledger.close(&Lane::main());
        assert!(matches!(ledger.written(Instant::now).await, Written::Durable));
        assert!(ledger.has(pledged) && !ledger.has(closed));
        assert_eq!(log.bounds(RECORDS).unwrap().start.0, 0, "nothing is trimmed yet");
        assert!(matches!(write(&mut ledger).await, Written::Durable));
        assert!(ledger.has(closed));
        assert_eq!(log.bounds(RECORDS).unwrap().start.0, 1);
        assert_eq!(ledger.next_write(), None);
        let loaded = CheckpointLog::new(log.crashed(), CHECKPOINTS).load().await.unwrap().unwrap();
        assert_eq!(loaded.progress.part(0).unwrap().cursor(), 1);
        assert!(loaded.pledges.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_lets_deliveries_go_on_and_delivered_records_be_forgotten() {
        let (log, mut ledger) = ledger().await;
        log.order(AppendFault::Refused(AppendError::NoSpace));
        ledger.settle(&Lane::main(), id(0));
        ledger.settle(&Lane::main(), id(1));
        let closed = ledger.close(&Lane::main());
        assert!(matches!(write(&mut ledger).await, Written::Delayed(AppendError::NoSpace)));
        assert!(ledger.has(closed));
        assert_eq!(log.bounds(RECORDS).unwrap().start.0, 2);
        assert!(ledger.next_write().is_some_and(|due| due > Instant::now()));
        assert!(matches!(write(&mut ledger).await, Written::Durable));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pledge_that_is_made_again_needs_no_write() {
        let (_, mut ledger) = ledger().await;
        let pledge = Pledge { first: id(0), last: id(2) };
        let change = ledger.pledge(&Lane::main(), pledge);
        assert!(!ledger.has(change));
        write(&mut ledger).await;
        let again = ledger.pledge(&Lane::main(), pledge);
        assert!(ledger.has(again));
        assert_eq!(ledger.next_write(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_stopped_stops_the_ledger() {
        let (log, mut ledger) = ledger().await;
        log.order(AppendFault::Refused(AppendError::Stopped("a sync failed".to_owned())));
        let closed = ledger.close(&Lane::main());
        assert!(matches!(write(&mut ledger).await, Written::Stopped(_)));
        assert!(!ledger.has(closed));
    }
}
