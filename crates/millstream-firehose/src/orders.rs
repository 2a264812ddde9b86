//! What the delivery is to carry out.
//!
//! Owns the plans in force: each read once from its delivery stream's document and kept until the
//! next version, and the orders made of them for the couriers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_log::LogId;
use tokio::sync::watch;

use crate::configuration::{self, Document, Invalid, Place};
use crate::firehose::Firehose;
use crate::payload::{self, PayloadError};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::state::{DeliveryStream, DeliveryStreamUid, Status};

/// The plans in force, by delivery stream, with their versions.
#[derive(Debug, Default)]
pub(crate) struct Plans(Mutex<BTreeMap<DeliveryStreamUid, (u64, Arc<Plan>)>>);

impl Plans {
    fn of(&self, stream: &DeliveryStream) -> Option<Arc<Plan>> {
        let plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, plan) = plans.get(&stream.uid)?;
        (*version == stream.version).then(|| plan.clone())
    }

    fn keep(&self, stream: &DeliveryStream, plan: &Arc<Plan>) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.insert(stream.uid, (stream.version, plan.clone()));
    }

    /// Forgets a delivery stream that is gone.
    pub(crate) fn forget(&self, stream: DeliveryStreamUid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
    }
}

/// One delivery stream's work, as its courier is to do it now.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) uid: DeliveryStreamUid,
    /// Its name, part of what objects are called.
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created: Timestamp,
    pub(crate) plan: Arc<Plan>,
    /// Where direct puts are stored; `None` for other sources. Trimmed by the courier as it
    /// delivers.
    pub(crate) records: Option<LogId>,
    /// A log of the courier's own, made before the first order and deleted after the last.
    pub(crate) checkpoints: LogId,
}

impl Firehose {
    /// What is to be carried out now: an order for each ACTIVE delivery stream. One whose plan
    /// cannot be read waits, and its records with it.
    pub(crate) fn orders(&self) -> Vec<Order> {
        let streams: Vec<Arc<DeliveryStream>> = self.catalog.read(|registry| {
            let active = registry.streams().filter(|stream| stream.status == Status::Active);
            active.cloned().collect()
        });
        streams.iter().filter_map(|stream| self.order(stream)).collect()
    }

    fn order(&self, stream: &DeliveryStream) -> Option<Order> {
        let plan = self.plan_of(stream).ok()?;
        Some(Order {
            uid: stream.uid,
            name: stream.name.to_string(),
            arn: stream.arn(&self.settings.region),
            created: stream.created,
            plan,
            records: stream.records(),
            checkpoints: stream.checkpoints(),
        })
    }

    /// Changes whenever [`Firehose::orders`] may.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.catalog.changes()
    }

    /// The data of a record in the log of a delivery stream's direct puts.
    pub(crate) fn open_record(
        &self,
        stream: DeliveryStreamUid,
        stored: &Bytes,
    ) -> Result<Bytes, PayloadError> {
        payload::decode(stored, stream, |id| self.opener(stream, id))
    }

    /// The delivery stream's plan. It was read before it was stored, so it reads again, unless
    /// the settings or the master key are others since.
    pub(crate) fn plan_of(&self, stream: &DeliveryStream) -> Result<Arc<Plan>, Refusal> {
        if let Some(plan) = self.plans.of(stream) {
            return Ok(plan);
        }
        let document = self.open_destination(stream)?;
        let place = Place { account: &stream.account, region: &self.settings.region };
        let source = (&stream.source, stream.version);
        let plan = configuration::plan(&document, source, place, &self.settings.world);
        let plan = Arc::new(plan.map_err(|error: Invalid| {
            tracing::error!(%error, stream = %stream.name, "the configuration does not hold now");
            Refusal::Internal
        })?);
        self.plans.keep(stream, &plan);
        Ok(plan)
    }

    /// The destination's configuration in the clear.
    pub(crate) fn open_destination(&self, stream: &DeliveryStream) -> Result<Document, Refusal> {
        self.secrets.open(&stream.destination, &stream.owner()).ok_or_else(|| {
            tracing::error!(stream = %stream.name, "the destination's secrets do not open");
            Refusal::Internal
        })
    }
}
