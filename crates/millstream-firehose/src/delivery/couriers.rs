//! All couriers: one for each delivery stream that is ACTIVE.
//!
//! Owns their lives. A courier is started, told of a new version of its configuration, and taken
//! off as the orders say; one that stops by itself is started again from its checkpoint, after a
//! rest that grows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::source::StreamSource;
use millstream_destinations::{ConfigError, Failure, backoff};
use millstream_log::Log;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::courier::{Courier, Fault, Kit};
use super::error_log::ErrorEntry;
use super::metrics::DeliveryMetrics;
use super::source::{DataStreamSource, DirectSource, Opener, RecordSource};
use super::station::{Commons, PROCESSING, Records, metric_name};
use crate::orders::Order;
use crate::plan::Source;

/// No rest before a courier is started again is longer.
const REST_MAX: Duration = Duration::from_secs(30);
/// A courier that ran so long is not one that fails at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// What is known of the delivery of one delivery stream.
#[derive(Clone, Debug)]
pub struct DeliveryStatus {
    /// The delivery stream's name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// What was counted since the server started.
    pub metrics: DeliveryMetrics,
    /// The log group and log stream that its errors are written to, where that is wanted.
    pub error_log: Option<(String, String)>,
    /// The last errors, oldest first.
    pub errors: Vec<ErrorEntry>,
}

/// Makes openers of stored records, by the delivery stream's uid.
pub(crate) type Openers = Arc<dyn Fn(u64) -> Opener + Send + Sync>;

/// The couriers.
pub(crate) struct Couriers {
    commons: Commons,
    log: Arc<dyn Log>,
    streams: Arc<dyn StreamSource>,
    openers: Openers,
    working: Mutex<BTreeMap<u64, Working>>,
    /// Nobody is sent out any more. Set and asked for with `working` locked.
    is_over: AtomicBool,
}

impl std::fmt::Debug for Couriers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Couriers").finish_non_exhaustive()
    }
}

/// One at work.
struct Working {
    order: Order,
    orders: watch::Sender<Option<Order>>,
    records: Arc<Records>,
    task: JoinHandle<()>,
}

impl Couriers {
    /// Nobody at work.
    pub(crate) fn new(
        commons: Commons,
        log: Arc<dyn Log>,
        streams: Arc<dyn StreamSource>,
        openers: Openers,
    ) -> Self {
        let is_over = AtomicBool::new(false);
        Self { commons, log, streams, openers, working: Mutex::default(), is_over }
    }

    fn working(&self) -> MutexGuard<'_, BTreeMap<u64, Working>> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has exactly these orders carried out: new ones are begun, changed ones go over to their new
    /// version, and who is not among them is taken off at once, whatever is under way.
    pub(crate) fn carry(&self, orders: Vec<Order>) {
        let mut working = self.working();
        // Who hands orders over may be in the middle of it when all of them leave: a second courier
        // beside one that is leaving would work on the same checkpoint.
        if self.is_over.load(Relaxed) {
            return;
        }
        let wanted: BTreeSet<u64> = orders.iter().map(|order| order.uid.0).collect();
        working.retain(|uid, at_work| {
            let stays = wanted.contains(uid);
            if !stays {
                at_work.task.abort();
            }
            stays
        });
        for order in orders {
            match working.get_mut(&order.uid.0) {
                Some(at_work) if at_work.order.plan.version == order.plan.version => {}
                Some(at_work) => {
                    at_work.order = order.clone();
                    at_work.orders.send_replace(Some(order));
                }
                None => {
                    working.insert(order.uid.0, self.start(order));
                }
            }
        }
    }

    fn start(&self, order: Order) -> Working {
        let (orders, receiver) = watch::channel(Some(order.clone()));
        let records: Arc<Records> = Arc::default();
        let shift = Shift {
            commons: self.commons.clone(),
            log: Arc::clone(&self.log),
            streams: Arc::clone(&self.streams),
            opener: (self.openers)(order.uid.0),
            records: Arc::clone(&records),
        };
        let task = tokio::spawn(shift.work(receiver));
        Working { order, orders, records, task }
    }

    /// Lets all of them leave in good order: what is under way comes to its end for a while, and
    /// checkpoints are written. No orders are taken from then on.
    pub(crate) async fn stop(&self) {
        let working = {
            let mut working = self.working();
            self.is_over.store(true, Relaxed);
            std::mem::take(&mut *working)
        };
        for at_work in working.values() {
            at_work.orders.send_replace(None);
        }
        for at_work in working.into_values() {
            // One that panicked has left too.
            let _ = at_work.task.await;
        }
    }

    /// What is known of each, by name.
    pub(crate) fn status(&self) -> Vec<DeliveryStatus> {
        let now = self.commons.clock.now();
        let working = self.working();
        let status = |at_work: &Working| DeliveryStatus {
            name: at_work.order.name.clone(),
            arn: at_work.order.arn.clone(),
            metrics: at_work
                .records
                .counters
                .snapshot(metric_name(&at_work.order.plan.target), now),
            error_log: error_log(&at_work.order),
            errors: at_work.records.errors.entries(),
        };
        let mut all: Vec<DeliveryStatus> = working.values().map(status).collect();
        all.sort_by(|one, other| one.arn.cmp(&other.arn));
        all
    }

    /// Bytes of records that wait in memory and in spill files, of all delivery streams.
    pub(crate) fn buffered_bytes(&self) -> (u64, u64) {
        (self.commons.budget.buffered_bytes() as u64, self.commons.spill.used_bytes())
    }
}

fn error_log(order: &Order) -> Option<(String, String)> {
    order.plan.error_log.as_ref().map(|log| (log.group.clone(), log.stream.clone()))
}

impl Drop for Couriers {
    fn drop(&mut self) {
        for at_work in self.working().values() {
            at_work.task.abort();
        }
    }
}

/// The work of one delivery stream, courier after courier.
struct Shift {
    commons: Commons,
    log: Arc<dyn Log>,
    streams: Arc<dyn StreamSource>,
    opener: Opener,
    records: Arc<Records>,
}

impl Shift {
    async fn work(self, mut orders: watch::Receiver<Option<Order>>) {
        let mut failures = 0;
        loop {
            let Some(order) = orders.borrow_and_update().clone() else { return };
            let begun = Instant::now();
            match self.carry_out(&order, &mut orders).await {
                Ok(()) => failures = 0,
                Err(fault) => {
                    if begun.elapsed() > HEALTHY_AFTER {
                        failures = 0;
                    }
                    let failure = Failure::retryable("InternalError", fault.to_string());
                    let now = self.commons.clock.now();
                    let named = (order.name.as_str(), order.plan.error_log.as_ref());
                    self.records.errors.add(named, PROCESSING, &failure, now);
                    let random = self.commons.rand.next_u64();
                    let rest = backoff::wait(failures, random).min(REST_MAX);
                    failures += 1;
                    tokio::select! {
                        changed = orders.changed() => {
                            if changed.is_err() {
                                return;
                            }
                        }
                        () = tokio::time::sleep(rest) => {}
                    }
                }
            }
            self.records.counters.restarts.add(1);
        }
    }

    /// Carries an order out until there is another, in a task of its own, so that a panic ends
    /// that courier and nothing else.
    async fn carry_out(
        &self,
        order: &Order,
        orders: &mut watch::Receiver<Option<Order>>,
    ) -> Result<(), Fault> {
        let kit = Kit {
            commons: self.commons.clone(),
            log: Arc::clone(&self.log),
            source: self.source(order)?,
            records: Arc::clone(&self.records),
        };
        let (over, mut is_over) = watch::channel(false);
        let order = order.clone();
        let mut courier = Task(tokio::spawn(async move {
            let courier = Courier::open(&order, kit).await?;
            courier.run(&mut is_over).await
        }));
        let outcome = tokio::select! {
            outcome = &mut courier.0 => outcome,
            _ = orders.changed() => {
                over.send_replace(true);
                (&mut courier.0).await
            }
        };
        outcome.unwrap_or_else(|error| {
            tracing::error!(%error, "a courier failed");
            Err(Fault::Lost)
        })
    }

    fn source(&self, order: &Order) -> Result<Arc<dyn RecordSource>, ConfigError> {
        Ok(match (&order.plan.source, order.records) {
            (Source::DirectPut, Some(records)) => {
                let open = Arc::clone(&self.opener);
                Arc::new(DirectSource::new(Arc::clone(&self.log), records, open))
            }
            (Source::KinesisStream { arn, from }, _) => {
                Arc::new(DataStreamSource::new(Arc::clone(&self.streams), arn.clone(), *from))
            }
            (source @ (Source::Kafka { .. } | Source::DirectPut), _) => {
                self.commons.outlets.source(source)?
            }
        })
    }
}

/// A courier that goes with whoever has sent it.
struct Task(JoinHandle<Result<(), Fault>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
