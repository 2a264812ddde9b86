//! What all deliveries of one delivery stream share, under one version of its configuration.
//!
//! Owns the plan in force with its ends made ready, the counters and the error log, and the
//! waiting between attempts: patient, spilling under pressure, and over at once when the courier
//! is to leave.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::{Clock, Rand, Timestamp};
use millstream_destinations::{ConfigError, Destination, Failure};
use tokio::sync::watch;
use tokio::time::Instant;

use super::budget::Budget;
use super::compressors::Compressors;
use super::error_log::ErrorLog;
use super::lane::ErrorOutput;
use super::metrics::Counters;
use super::naming::Origin;
use super::object::Packing;
use super::objects::SchemaMemory;
use super::outlets::{ObjectSink, Outlets, Warehouse};
use super::retry::{Next, Patience, Schedule};
use super::spill::Spill;
use crate::plan::{Objects, Plan, Source, Target};

/// Waits between attempts on a bucket: an object is worth another look twice a minute.
const OBJECT_WAIT_MAX: Duration = Duration::from_secs(30);
/// Waits between attempts on a destination of documents (documented).
const DOCUMENT_WAIT_MAX: Duration = Duration::from_secs(120);

/// What couriers share.
#[derive(Clone, Debug)]
pub(crate) struct Commons {
    pub(super) budget: Arc<Budget>,
    pub(super) spill: Arc<Spill>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rand: Arc<dyn Rand>,
    pub(super) outlets: Arc<dyn Outlets>,
    pub(super) compressors: Arc<Compressors>,
    /// What the bookkeeping of one delivery stream may weigh, see [`Progress::weight`], before
    /// buffers are let go early.
    ///
    /// [`Progress::weight`]: super::progress::Progress::weight
    pub(super) weight_max: usize,
}

/// What is kept of a delivery stream as long as it lives.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) counters: Counters,
    pub(super) errors: ErrorLog,
}

/// Where records go.
#[derive(Debug)]
pub(super) enum Ends {
    Objects(Arc<dyn ObjectSink>),
    Documents(Arc<dyn Destination>),
    Warehouse { staging: Arc<dyn ObjectSink>, database: Arc<dyn Warehouse> },
}

/// One delivery stream under one version of its configuration.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) commons: Commons,
    pub(super) origin: Origin,
    pub(super) arn: String,
    pub(super) plan: Arc<Plan>,
    pub(super) records: Arc<Records>,
    pub(super) ends: Ends,
    pub(super) errors: Arc<dyn ObjectSink>,
    pub(super) backup: Option<Arc<dyn ObjectSink>>,
    /// The schema of a conversion.
    pub(super) schema: SchemaMemory,
    /// Says true once no attempt is to begin any more.
    pub(super) leaving: watch::Receiver<bool>,
}

impl Station {
    /// Makes the ends ready that the plan names.
    pub(super) fn open(
        commons: Commons,
        origin: Origin,
        (arn, plan): (String, Arc<Plan>),
        records: Arc<Records>,
        leaving: watch::Receiver<bool>,
    ) -> Result<Self, ConfigError> {
        let outlets = &commons.outlets;
        let ends = match &plan.target {
            Target::Objects(objects) => Ends::Objects(outlets.bucket(objects)?),
            Target::Redshift(target) => Ends::Warehouse {
                staging: outlets.bucket(&target.staging)?,
                database: outlets.warehouse(target)?,
            },
            target @ (Target::Http(_)
            | Target::Search(_)
            | Target::Splunk(_)
            | Target::Iceberg(_)) => Ends::Documents(outlets.destination(target, &arn, &origin)?),
        };
        let errors = outlets.bucket(&plan.backup.errors)?;
        let backup = plan.backup.all.as_ref().map(|all| outlets.bucket(all)).transpose()?;
        let schema = SchemaMemory::default();
        Ok(Self { commons, origin, arn, plan, records, ends, errors, backup, schema, leaving })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.commons.clock.now()
    }

    /// How the objects of a bucket are compressed.
    pub(super) fn packing(&self, objects: &Objects) -> Packing {
        let workers = Arc::clone(&self.commons.compressors);
        Packing { compression: objects.compression, workers }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.records.counters
    }

    /// Takes a failure down where the delivery stream's owner looks for it.
    pub(super) fn log(&self, log: &'static str, failure: &Failure) {
        let named = (self.origin.name.as_str(), self.plan.error_log.as_ref());
        self.records.errors.add(named, log, failure, self.now());
    }

    /// The stream that records come from, where they come from one.
    pub(super) fn source_stream(&self) -> Option<String> {
        match &self.plan.source {
            Source::KinesisStream { arn, .. } => Some(arn.to_string()),
            Source::DirectPut | Source::Kafka { .. } => None,
        }
    }

    /// The region that the delivery stream's ARN names.
    pub(super) fn region(&self) -> &str {
        self.arn.split(':').nth(3).unwrap_or_default()
    }

    /// Attempts on a bucket.
    pub(super) fn object_tries(&self, patience: Patience, log: &'static str) -> Tries<'_> {
        Tries { station: self, schedule: Schedule::new(patience, OBJECT_WAIT_MAX), log }
    }

    /// Attempts on the destination of documents, or the database.
    pub(super) fn document_tries(&self, retry: Duration) -> Tries<'_> {
        let schedule = Schedule::new(Patience::For(retry), DOCUMENT_WAIT_MAX);
        Tries { station: self, schedule, log: DESTINATION }
    }
}

/// The logs that errors are taken down in, as the service names its log streams.
pub(super) const DESTINATION: &str = "DestinationDelivery";
pub(super) const BACKUP: &str = "BackupDelivery";
pub(super) const PROCESSING: &str = "Processing";

/// The attempts of one delivery.
#[derive(Debug)]
pub(super) struct Tries<'a> {
    station: &'a Station,
    schedule: Schedule,
    log: &'static str,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Over,
    /// The courier leaves.
    Left,
    /// Others need memory.
    Pressed,
}

/// What is to be done after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Again,
    GiveUp,
    /// The courier leaves: nothing more is tried, and nothing is settled.
    Leave,
}

impl Tries<'_> {
    /// Attempts that failed so far.
    pub(super) fn failures(&self) -> u32 {
        self.schedule.failures()
    }

    /// Whether no attempt is to begin.
    pub(super) fn is_leaving(&self) -> bool {
        *self.station.leaving.borrow()
    }

    /// Takes a failure down; says until when to wait before another attempt, if there is one.
    pub(super) fn failed(&mut self, failure: &Failure) -> Option<Instant> {
        self.station.log(self.log, failure);
        let random = self.station.commons.rand.next_u64();
        let now = Instant::now();
        match self.schedule.failed(now, random) {
            Next::GiveUp => None,
            // What is the same each time is not tried again, but where nothing else is left.
            Next::After(_) if !failure.is_retryable && self.has_end() => None,
            Next::After(wait) => Some(now + wait),
        }
    }

    /// Waits until then, or until something comes between.
    pub(super) async fn wait(&self, until: Instant) -> Waited {
        let mut leaving = self.station.leaving.clone();
        let mut pressure = self.station.commons.budget.pressure();
        tokio::select! {
            biased;
            () = left(&mut leaving) => Waited::Left,
            () = tokio::time::sleep_until(until) => Waited::Over,
            _ = pressure.changed() => Waited::Pressed,
        }
    }

    /// Whether the attempts end some time.
    fn has_end(&self) -> bool {
        self.schedule.patience() != Patience::Forever
    }
}

/// Returns once no attempt is to begin, or whoever would say so is gone.
async fn left(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// The error output of a target's own refusals.
pub(super) fn error_output(target: &Target) -> ErrorOutput {
    match target {
        Target::Objects(_) => ErrorOutput::Partitioning,
        Target::Http(_) => ErrorOutput::HttpEndpoint,
        Target::Search(_) => ErrorOutput::OpenSearch,
        Target::Splunk(_) => ErrorOutput::Splunk,
        Target::Redshift(_) => ErrorOutput::Redshift,
        Target::Iceberg(_) => ErrorOutput::Iceberg,
    }
}

/// The word that CloudWatch's names have for a target, as in `DeliveryToS3.Bytes`.
pub(super) fn metric_name(target: &Target) -> &'static str {
    match target {
        Target::Objects(_) => "S3",
        Target::Http(_) => "HttpEndpoint",
        Target::Search(search) if search.serverless => "AmazonOpenSearchServerless",
        Target::Search(_) => "AmazonOpenSearchService",
        Target::Splunk(_) => "Splunk",
        Target::Redshift(_) => "Redshift",
        Target::Iceberg(_) => "Iceberg",
    }
}
