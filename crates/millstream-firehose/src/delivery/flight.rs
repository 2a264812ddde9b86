//! One delivery, from a closed buffer to the report that it is over.
//!
//! Owns what becomes of a buffer of each lane, and the error output of a delivery: what a
//! destination does not take is written there in the same flight, so that one checkpoint settles
//! all of it. Objects are tried for ever (delivery stands still meanwhile, and nothing is lost),
//! documents as long as was configured.

use std::sync::Arc;

use millstream_destinations::Failure;
use millstream_destinations::objects::{Chunks, PutOptions};
use millstream_formats::compression::Workers as _;
use millstream_formats::prefix::PartitionKeys;

use super::buffer::Buffer;
use super::fail_point::{self, FailPoint};
use super::gauge::Gauge;
use super::ids::Ids;
use super::lane::{ErrorOutput, Lane};
use super::lanes::Load;
use super::metrics::{Deliveries, Purpose};
use super::naming::{self, Draw};
use super::object::{self, Contents, DocumentStyle, Reason, Shape, Slip};
use super::outlets::ObjectSink;
use super::retry::Patience;
use super::station::{After, Ends, Station, Tries, Waited, error_output};
use super::{documents, objects, warehouse};
use crate::plan::{Objects, Target};

/// No attempt takes longer, whatever a destination does: longer than any has bounds for itself.
pub(super) const ATTEMPT_MAX: std::time::Duration = std::time::Duration::from_secs(65 * 60);
/// Memory that putting an object takes beside its own bytes.
const PUT_BYTES: usize = 1 << 20;
/// Bytes of an object that are in memory at most while it is put: two parts of an upload.
const PUT_BYTES_MAX: usize = 34 << 20;

/// What became of a delivery.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lane: Lane,
    /// The records that are where they belong; `None` where the courier is to leave before.
    pub(super) settled: Option<Ids>,
}

/// A delivery under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) station: Arc<Station>,
    pub(super) lane: Lane,
    pub(super) keys: Arc<PartitionKeys>,
    pub(super) gauge: Gauge,
    /// Away only while it is spilled.
    buffer: Option<Arc<Buffer>>,
}

/// Delivers a load. Never fails: it is over when all records are where they belong, or when the
/// courier is to leave.
pub(super) async fn fly(station: Arc<Station>, load: Load) -> Report {
    let Load { lane, keys, buffer, is_repeat, repeats, .. } = load;
    let gauge = *buffer.gauge();
    // A table tells repeats itself.
    let tells = matches!(station.plan.target, Target::Iceberg(_));
    let is_documents = matches!((&lane, &station.ends), (Lane::Main(_), Ends::Documents(_)));
    if is_repeat && is_documents && !tells {
        station.counters().duplicates.add(gauge.count);
    }
    // Of a delivery that has another name than before, no destination can tell what it repeats.
    station.counters().duplicates.add(repeats);
    let buffer = Some(Arc::new(buffer));
    let mut flight = Flight { station, lane, keys, gauge, buffer };
    fail_point::reached(FailPoint::AfterPledge).await;
    let settled = flight.deliver().await;
    if settled.is_some() {
        fail_point::reached(FailPoint::AfterDelivery).await;
    }
    Report { lane: flight.lane, settled }
}

/// The object is put, and this is in it; or it was given up; or the courier leaves.
pub(super) enum Outcome {
    Put(Contents),
    GaveUp(Failure, u32),
    Left,
}

impl Flight {
    /// The records.
    pub(super) fn buffer(&self) -> &Arc<Buffer> {
        self.buffer.as_ref().expect("it is away only while it is spilled")
    }

    async fn deliver(&mut self) -> Option<Ids> {
        let station = Arc::clone(&self.station);
        match &self.lane {
            Lane::Main(_) => match &station.ends {
                Ends::Objects(sink) => match &station.plan.target {
                    Target::Objects(target) => objects::deliver(self, &**sink, target).await,
                    other => unreachable!("{other:?} has no objects"),
                },
                Ends::Documents(destination) => documents::deliver(self, destination).await,
                Ends::Warehouse { staging, database } => {
                    warehouse::deliver(self, &**staging, &**database).await
                }
            },
            Lane::Backup => {
                let all = station.plan.backup.all.as_ref().zip(station.backup.as_ref());
                let (all, sink) = all.expect("only a plan with a backup has records for it");
                self.back_up(&**sink, all).await
            }
            Lane::Errors(output) => self.put_documents(*output).await,
        }
    }

    /// Puts source records as they came.
    async fn back_up(&mut self, sink: &dyn ObjectSink, all: &Objects) -> Option<Ids> {
        let draw = Draw::new(&self.station.origin, &self.lane, &self.gauge, "backup");
        let origin = &self.station.origin;
        let key = naming::object_key(origin, all, &self.keys, &self.gauge, draw);
        // Keys of a backup have no partition keys in them, so only their length can be wrong.
        let key = key.unwrap_or_else(|_| self.plain_key("backup"));
        let (packing, name) = (self.station.packing(all), key.clone());
        let make = move |buffer: &Arc<Buffer>| object::plain(buffer, &packing, &name);
        match self.put(sink, &key, all, (Patience::Forever, Purpose::Backup), make).await {
            Outcome::Put(contents) => {
                self.count(&self.station.counters().backup);
                Some(contents.ids)
            }
            Outcome::GaveUp(..) | Outcome::Left => None,
        }
    }

    /// Puts documents that processing has written.
    async fn put_documents(&mut self, output: ErrorOutput) -> Option<Ids> {
        let station = Arc::clone(&self.station);
        let errors = &station.plan.backup.errors;
        let key = self.error_key(output, &self.gauge);
        let (packing, name) = (station.packing(errors), key.clone());
        let make = move |buffer: &Arc<Buffer>| object::plain(buffer, &packing, &name);
        let forever = (Patience::Forever, Purpose::Errors);
        match self.put(&*station.errors, &key, errors, forever, make).await {
            Outcome::Put(contents) => {
                station.counters().add_errors(output.as_str(), self.gauge.count);
                fail_point::reached(FailPoint::AfterErrorOutput).await;
                Some(contents.ids)
            }
            Outcome::GaveUp(..) | Outcome::Left => None,
        }
    }

    /// Puts the error output of this delivery: documents of the records that `reason` has a
    /// reason for, which `failed` sums up. `reason` makes reasons anew for each attempt. False
    /// where the courier leaves.
    pub(super) async fn refuse(
        &mut self,
        output: ErrorOutput,
        shape: Shape,
        failed: Gauge,
        mut reason: impl FnMut() -> Reason + Send,
    ) -> bool {
        let station = Arc::clone(&self.station);
        let errors = &station.plan.backup.errors;
        let key = self.error_key(output, &failed);
        let style = DocumentStyle { packing: station.packing(errors), shape, ended: station.now() };
        let name = key.clone();
        let make = move |buffer: &Arc<Buffer>| object::documents(buffer, &style, reason(), &name);
        let forever = (Patience::Forever, Purpose::Errors);
        if cfg!(feature = "mutant-no-error-output") {
            return true;
        }
        let outcome = self.put(&*station.errors, &key, errors, forever, make).await;
        if !matches!(outcome, Outcome::Put(_)) {
            return false;
        }
        station.counters().add_errors(output.as_str(), failed.count);
        fail_point::reached(FailPoint::AfterErrorOutput).await;
        true
    }

    /// Gives all records of this delivery to the error output.
    pub(super) async fn refuse_all(
        &mut self,
        output: ErrorOutput,
        shape: Shape,
        (failure, attempts): (Failure, u32),
    ) -> Option<Ids> {
        let gauge = self.gauge;
        let reason = move || object::same_reason(failure.clone(), attempts);
        if self.refuse(output, shape, gauge, reason).await { self.ids().await } else { None }
    }

    /// Gives all records to the error output that stands for the target as a whole.
    pub(super) async fn refuse_as_target(
        &mut self,
        failure: Failure,
        attempts: u32,
    ) -> Option<Ids> {
        let target = &self.station.plan.target;
        let (output, shape) = (error_output(target), shape(target));
        self.refuse_all(output, shape, (failure, attempts)).await
    }

    /// The ids of all records of this delivery.
    pub(super) async fn ids(&self) -> Option<Ids> {
        let buffer = Arc::clone(self.buffer());
        let read = tokio::task::spawn_blocking(move || {
            let mut cursor = super::buffer::Cursor::new(buffer);
            let mut ids = Ids::default();
            while let Some(entry) = cursor.next()? {
                ids.push(entry.id);
            }
            Ok::<_, std::io::Error>(ids)
        });
        match read.await.expect("reading a buffer does not panic") {
            Ok(ids) => Some(ids),
            Err(error) => self.unreadable(&error),
        }
    }

    /// A spill file that cannot be read back: the courier begins anew from the source.
    pub(super) fn unreadable<T>(&self, error: &std::io::Error) -> Option<T> {
        tracing::error!(%error, stream = self.station.origin.name, "a spill file is unreadable");
        None
    }

    fn error_key(&self, output: ErrorOutput, gauge: &Gauge) -> String {
        let station = &self.station;
        let draw = Draw::new(&station.origin, &self.lane, gauge, output.as_str());
        let errors = &station.plan.backup.errors;
        let key = naming::error_key(&station.origin, errors, output.as_str(), gauge, draw);
        let key = key.unwrap_or_else(|_| self.plain_key(output.as_str()));
        match (output, &self.lane, &station.plan.target) {
            // Documented: what is configured for one table stands before all that failed for it.
            (ErrorOutput::Iceberg, Lane::Main(partition), Target::Iceberg(target)) => {
                let table = target.table(partition);
                let prefix = table.and_then(|table| table.error_prefix.as_deref());
                format!("{}{key}", prefix.unwrap_or_default())
            }
            _ => key,
        }
    }

    /// A key for what has to be put although its prefix has no value.
    fn plain_key(&self, purpose: &str) -> String {
        let draw = Draw::new(&self.station.origin, &self.lane, &self.gauge, purpose);
        naming::plain_key(&self.station.origin, purpose, &self.gauge, draw)
    }

    /// Counts this delivery as made.
    pub(super) fn count(&self, deliveries: &Deliveries) {
        deliveries.bytes.add(self.gauge.bytes);
        deliveries.records.add(self.gauge.count);
    }

    /// Puts an object until it is there, or patience ends.
    pub(super) async fn put(
        &mut self,
        sink: &dyn ObjectSink,
        key: &str,
        objects: &Objects,
        (patience, purpose): (Patience, Purpose),
        mut make: impl FnMut(&Arc<Buffer>) -> (Chunks, Slip) + Send,
    ) -> Outcome {
        let station = Arc::clone(&self.station);
        let mut tries = station.object_tries(patience, purpose.log());
        let deliveries = station.counters().puts(purpose);
        let options = PutOptions { kms_key: objects.kms_key.clone(), ..PutOptions::default() };
        loop {
            if tries.is_leaving() {
                return Outcome::Left;
            }
            let lease = station.commons.budget.work(self.work_bytes(objects)).await;
            let (chunks, slip) = make(self.buffer());
            let begun = deliveries.begin(self.gauge.count, self.gauge.bytes);
            let put = tokio::time::timeout(ATTEMPT_MAX, sink.put(key, chunks, &options)).await;
            drop(lease);
            deliveries.end(begun, matches!(put, Ok(Ok(()))));
            let failure = match (put, slip.take()) {
                (Ok(Ok(())), Some(contents)) => return Outcome::Put(contents),
                // No record was left to put: there is no object, and all is told.
                (Ok(Err(_)), Some(contents)) if contents.failed.count() == self.gauge.count => {
                    return Outcome::Put(contents);
                }
                (Ok(Ok(())), None) => {
                    Failure::retryable("InternalError", "the bucket took an object without its end")
                }
                (Ok(Err(failure)), _) => failure,
                (Err(_), _) => Failure::retryable("S3.Timeout", "the bucket does not answer"),
            };
            match self.wait(&mut tries, &failure).await {
                After::Again => {}
                After::GiveUp => return Outcome::GaveUp(failure, tries.failures()),
                After::Leave => return Outcome::Left,
            }
        }
    }

    /// Waits after a failed attempt, giving memory back where others need it.
    pub(super) async fn wait(&mut self, tries: &mut Tries<'_>, failure: &Failure) -> After {
        let Some(until) = tries.failed(failure) else { return After::GiveUp };
        // Who began to wait before this wait would not be heard.
        if self.station.commons.budget.is_short() {
            self.spill().await;
        }
        loop {
            match tries.wait(until).await {
                Waited::Over => return After::Again,
                Waited::Left => return After::Leave,
                Waited::Pressed => self.spill().await,
            }
        }
    }

    /// Moves the records out of memory, unless a put that was given up still reads them.
    async fn spill(&mut self) {
        let Some(mut buffer) = self.buffer.take() else { return };
        let spill = Arc::clone(&self.station.commons.spill);
        let spilling = tokio::task::spawn_blocking(move || {
            if let Some(buffer) = Arc::get_mut(&mut buffer)
                && let Err(error) = buffer.spill(&spill)
            {
                tracing::debug!(%error, "a delivery that waits was not spilled");
            }
            buffer
        });
        self.buffer = Some(spilling.await.expect("spilling does not panic"));
    }

    fn work_bytes(&self, objects: &Objects) -> usize {
        let bytes = usize::try_from(self.gauge.bytes).unwrap_or(usize::MAX);
        if objects.conversion.is_some() {
            return bytes.saturating_mul(2).saturating_add(PUT_BYTES);
        }
        let packing = self.station.packing(objects);
        let working = packing.compression.working_bytes(bytes, packing.workers.count());
        bytes.saturating_add(PUT_BYTES).min(PUT_BYTES_MAX) + working
    }
}

/// How a target's refusals are written.
pub(super) fn shape(target: &Target) -> Shape {
    match target {
        Target::Objects(_) => Shape::Processing,
        Target::Http(_) => Shape::HttpEndpoint,
        Target::Splunk(_) => Shape::Splunk,
        Target::Search(_) | Target::Redshift(_) | Target::Iceberg(_) => Shape::Destination,
    }
}
