//! The courier: the one who delivers the records of one delivery stream.
//!
//! Owns the order of everything that happens to them. It is one task; what takes long (an
//! invocation, a delivery, a write of the checkpoint) runs beside it and reports back. `feed`
//! brings records from the source into buffers, `dispatch` sends buffers off and settles what
//! became of them; this file is the loop around both.
//!
//! Invariants:
//! * Nothing is settled before it is where it belongs. Whatever goes wrong, the courier stops and
//!   begins anew from its durable checkpoint: the source is the truth, buffers are not.
//! * Within a lane, deliveries follow one another, and each is known to the checkpoint before the
//!   next begins.
//! * Memory is leased before it is used, and whoever waits for some gives back what it can.

mod dispatch;
mod feed;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::Timestamp;
use millstream_core::limits;
use millstream_destinations::ConfigError;
use millstream_log::Log;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::budget::Lease;
use super::checkpoint::{CheckpointLog, LoadError};
use super::fail_point::{self, FailPoint};
use super::flight::Report;
use super::gauge::Bounds;
use super::lane::Lane;
use super::lanes::{Disorder, LaneBounds, Lanes, Load};
use super::ledger::{Change, Ledger, Written};
use super::naming::Origin;
use super::process::{BadQuery, Processor, Spent};
use super::progress::Part;
use super::source::{Reading, RecordSource, SourceError};
use super::station::{Commons, Ends, PROCESSING, Records, Station};
use super::transform::Staging;
use crate::orders::Order;
use crate::plan::{Function, Plan, Target};
use feed::{Inbox, Ready};

/// How long deliveries under way may go on when a courier leaves for a new configuration, or the
/// server ends.
const GRACE: Duration = Duration::from_secs(30);
/// How often the age of the oldest record is looked at.
const GAUGE_INTERVAL: Duration = Duration::from_millis(500);
/// Documents of one delivery at most, whatever the destination takes: what is kept beside each of
/// them must be bounded too.
const DOCUMENTS_MAX: usize = 100_000;

/// Why a courier stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Checkpoint(#[from] LoadError),
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Destination(#[from] ConfigError),
    #[error("{0}")]
    Query(#[from] BadQuery),
    #[error("the checkpoint cannot be written: {0}")]
    Stopped(String),
    #[error("a delivery ended without its report")]
    Lost,
    #[error("spilled records cannot be read back")]
    Unreadable,
}

/// What a courier is made of, beside its order.
#[derive(Clone)]
pub(super) struct Kit {
    pub(super) commons: Commons,
    pub(super) log: Arc<dyn Log>,
    pub(super) source: Arc<dyn RecordSource>,
    pub(super) records: Arc<Records>,
}

/// A delivery that waits for the checkpoint to know of it.
struct Pledged {
    change: Change,
    load: Load,
}

/// What a courier is waiting for before it can go on.
#[derive(Default)]
struct Waits {
    turn: Option<LeaseFuture>,
    memory: Option<LeaseFuture>,
    stage: Option<LeaseFuture>,
}

type LeaseFuture = std::pin::Pin<Box<dyn Future<Output = Lease> + Send>>;

/// The one who delivers.
pub(super) struct Courier {
    station: Arc<Station>,
    leaving: watch::Sender<bool>,
    ledger: Ledger,
    reading: Reading,
    processor: Arc<Processor>,
    staging: Option<Staging>,
    inbox: Inbox,
    ready: VecDeque<Ready>,
    lanes: Lanes,
    pledged: Vec<Pledged>,
    flights: JoinSet<Report>,
    /// Deliveries under way, with the arrival of the oldest record in each.
    under_way: BTreeMap<Lane, Timestamp>,
    /// Deliveries that are over, and of which the checkpoint does not know yet.
    closing: Vec<(Change, Lane)>,
    waits: Waits,
    /// Held while records are between the source and the buffers.
    turn: Option<Lease>,
    has_used_turn: bool,
    /// The source is gone; what was read of it is not.
    orphaned: Option<SourceError>,
    /// Memory that was waited for.
    reserve: Option<Lease>,
    /// What was read before a restart ends here; `None` once it was read again.
    replay_end: Option<u64>,
    next_gauge: Instant,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").field("origin", &self.station.origin).finish_non_exhaustive()
    }
}

fn lane_bounds(plan: &Plan, ends: &Ends) -> LaneBounds {
    let (documents, bytes) = match ends {
        Ends::Objects(_) | Ends::Warehouse { .. } => (usize::MAX, usize::MAX),
        Ends::Documents(destination) => {
            let limits = destination.limits();
            (limits.documents.min(DOCUMENTS_MAX), limits.bytes)
        }
    };
    let (buffering, partitions_max) = match &plan.target {
        Target::Objects(objects) => (objects.buffering, objects.partitions_max),
        Target::Redshift(redshift) => (redshift.staging.buffering, None),
        Target::Http(_) | Target::Search(_) | Target::Splunk(_) => (plan.buffering, None),
        // A table is a partition of its own.
        Target::Iceberg(_) => (plan.buffering, Some(limits::FIREHOSE_PARTITIONS_MAX)),
    };
    let objects = |buffering| Bounds::new(buffering, usize::MAX, usize::MAX);
    let errors = objects(plan.backup.errors.buffering);
    LaneBounds {
        main: Bounds::new(buffering, documents, bytes),
        backup: plan.backup.all.as_ref().map_or(errors, |all| objects(all.buffering)),
        errors,
        partitions_max: partitions_max.unwrap_or(1),
    }
}

impl Courier {
    /// Begins where the last one stopped.
    pub(super) async fn open(order: &Order, kit: Kit) -> Result<Self, Fault> {
        let Kit { commons, log, source, records } = kit;
        let plan = Arc::clone(&order.plan);
        let processor = Arc::new(Processor::new(&plan)?);
        let name = order.name.clone();
        let origin =
            Origin { uid: order.uid.0, name, created: order.created, version: plan.version };
        let (leaving, left) = watch::channel(false);
        let arn = order.arn.clone();
        let station = Station::open(commons.clone(), origin, (arn, plan), records, left)?;
        let station = Arc::new(station);
        let plan = &station.plan;
        let staging = match plan.processing.transform.as_ref() {
            Some(transform) if !matches!(transform.function, Function::Jq { .. }) => {
                let function = commons.outlets.function(&transform.function)?;
                Some(Staging::new(Arc::clone(&station), function, transform))
            }
            _ => None,
        };
        let checkpoints = CheckpointLog::new(log, order.checkpoints);
        let mut checkpoint = checkpoints.load().await?.unwrap_or_default();
        checkpoint.adopt(plan.version);
        let now = Instant::now();
        let reading = Reading::open(Arc::clone(&source), &mut checkpoint, now).await?;
        station.counters().expired.add(reading.expired());
        let launched = checkpoint.progress.launched();
        let disorder = (!source.is_ordered()).then_some(Disorder { launched });
        let lanes = Lanes::new(
            lane_bounds(plan, &station.ends),
            &checkpoint.pledges,
            disorder,
            Arc::clone(&commons.spill),
        );
        let replay_end = checkpoint.progress.part(0).map(Part::next);
        let mut ledger = Ledger::new(checkpoint, checkpoints, now);
        ledger.tell(source);
        Ok(Self {
            station,
            leaving,
            ledger,
            reading,
            processor,
            staging,
            inbox: Inbox::default(),
            ready: VecDeque::new(),
            lanes,
            pledged: Vec::new(),
            flights: JoinSet::new(),
            under_way: BTreeMap::new(),
            closing: Vec::new(),
            waits: Waits::default(),
            turn: None,
            has_used_turn: false,
            orphaned: None,
            reserve: None,
            replay_end,
            next_gauge: now,
        })
    }

    /// Delivers until `over` says that this configuration is over, then leaves in good order.
    pub(super) async fn run(mut self, over: &mut watch::Receiver<bool>) -> Result<(), Fault> {
        let mut pressure = self.station.commons.budget.pressure();
        while !*over.borrow_and_update() {
            let is_busy = self.advance().await?;
            let next = self.next_time();
            tokio::select! {
                biased;
                changed = over.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                report = self.flights.join_next(), if !self.flights.is_empty() => {
                    self.land(report)?;
                }
                written = self.ledger.written(Instant::now) => self.take_written(written)?,
                outcome = next_transformed(&mut self.staging) => {
                    self.take_transformed(outcome.map_err(|_| Fault::Lost)?);
                }
                lease = granted(&mut self.waits.turn) => self.turn = Some(lease),
                lease = granted(&mut self.waits.memory) => self.reserve = Some(lease),
                lease = granted(&mut self.waits.stage) => self.open_batch(lease),
                changed = pressure.changed() => {
                    if changed.is_ok() {
                        self.relieve(usize::MAX).await?;
                    }
                }
                () = self.reading.ready(), if !self.reading.is_ready() => {}
                () = tokio::time::sleep_until(next), if !is_busy => {}
                () = std::future::ready(()), if is_busy => tokio::task::yield_now().await,
            }
        }
        self.leave().await
    }

    /// Does what can be done now; says whether there is more of that.
    async fn advance(&mut self) -> Result<bool, Fault> {
        self.dispatch();
        self.send_due();
        self.list_parts().await;
        let is_busy = self.feed().await?;
        self.dispatch();
        self.ledger.begin_write(Instant::now());
        self.gauge();
        Ok(is_busy)
    }

    /// When something is to be done although nothing happens.
    fn next_time(&self) -> Instant {
        let staging = self.staging.as_ref().and_then(Staging::next_due);
        [self.lanes.next_due(), self.ledger.next_write(), staging]
            .into_iter()
            .flatten()
            .chain([self.reading.next_list(), self.next_gauge])
            .min()
            .expect("two of them are always there")
    }

    /// Looks at the list of parts when it is time.
    async fn list_parts(&mut self) {
        let now = Instant::now();
        if self.reading.next_list() > now {
            return;
        }
        if let Err(error) = self.reading.list(self.ledger.checkpoint_mut(), now).await {
            self.take_source_error(error);
        }
    }

    /// The source does not answer: it is asked again, unless it is gone.
    fn take_source_error(&mut self, error: SourceError) {
        let code = match &error {
            SourceError::StreamNotFound => "Source.StreamNotFound",
            SourceError::ShardNotFound(_) => "Source.ShardNotFound",
            SourceError::Unavailable(_) => "Source.Unavailable",
            SourceError::Damaged(_) => "Source.Damaged",
        };
        let failure = millstream_destinations::Failure::retryable(code, error.to_string());
        self.station.log(PROCESSING, &failure);
        if error == SourceError::StreamNotFound {
            self.orphaned = Some(error);
        }
    }

    /// Says how old the oldest record is that is not where it belongs.
    fn gauge(&mut self) {
        let now = Instant::now();
        if now < self.next_gauge {
            return;
        }
        self.next_gauge = now + GAUGE_INTERVAL;
        let (buffered, waiting) = self.lanes.waiting();
        let under_way = self.under_way.values().copied();
        let unread = self.reading.oldest_unread();
        let staged = self.staging.as_ref().and_then(Staging::oldest);
        let oldest =
            under_way.chain(waiting).chain(unread).chain(staged).chain(self.inbox.oldest());
        let counters = self.station.counters();
        counters.oldest_ms.set(oldest.min().map_or(0, Timestamp::ms));
        // Of what is to be kept besides; what is not yet read is counted above.
        let to_back_up = self.under_way.get(&Lane::Backup).copied();
        let to_back_up = to_back_up.into_iter().chain(self.lanes.oldest_of(&Lane::Backup));
        counters.oldest_backup_ms.set(to_back_up.min().map_or(0, Timestamp::ms));
        counters.buffered_bytes.set(buffered);
        counters.partitions.set(self.lanes.partitions() as u64);
        counters.partitions_max.set(self.lanes.partitions_max() as u64);
        let Spent { queries, us } = self.processor.spent();
        counters.queries.add(queries);
        counters.query_us.add(us);
        counters.outstanding.set(self.ledger.checkpoint().progress.outstanding());
        let behind = unread.map_or(0, |at| self.station.now().ms_since(at));
        counters.behind_ms.set(behind);
    }

    fn take_written(&mut self, written: Written) -> Result<(), Fault> {
        match written {
            Written::Durable => {
                self.station.counters().checkpoints.add(1);
                Ok(())
            }
            Written::Delayed(error) => {
                tracing::warn!(%error, stream = self.station.origin.name, "a checkpoint waits");
                Ok(())
            }
            Written::Stopped(reason) => Err(Fault::Stopped(reason)),
        }
    }

    /// Lets deliveries under way come to their ends, for a while, and writes the last checkpoint.
    async fn leave(mut self) -> Result<(), Fault> {
        self.leaving.send_replace(true);
        fail_point::reached(FailPoint::WhileReconfiguring).await;
        self.pledged.clear();
        self.ledger.hurry();
        let deadline = Instant::now() + GRACE;
        loop {
            self.ledger.begin_write(Instant::now());
            let is_over = self.flights.is_empty() && self.ledger.next_write().is_none();
            if is_over && !self.ledger.is_writing() {
                return Ok(());
            }
            let next = self.ledger.next_write().map_or(deadline, |next| next.min(deadline));
            tokio::select! {
                biased;
                report = self.flights.join_next(), if !self.flights.is_empty() => {
                    self.settle(report)?;
                }
                written = self.ledger.written(Instant::now) => self.take_written(written)?,
                () = tokio::time::sleep_until(next) => {
                    if Instant::now() >= deadline {
                        return Ok(());
                    }
                }
            }
        }
    }
}

async fn granted(wait: &mut Option<LeaseFuture>) -> Lease {
    match wait {
        Some(future) => {
            let lease = future.await;
            *wait = None;
            lease
        }
        None => std::future::pending().await,
    }
}

async fn next_transformed(
    staging: &mut Option<Staging>,
) -> Result<super::transform::Transformed, tokio::task::JoinError> {
    match staging {
        Some(staging) => staging.next().await,
        None => std::future::pending().await,
    }
}
