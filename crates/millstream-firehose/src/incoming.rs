//! What comes in by direct puts, counted.
//!
//! Owns the counts of each delivery stream since the server started, under the names that
//! CloudWatch has for them. What becomes of records then is counted by the delivery.
//! Source: the guide's "Monitoring with CloudWatch metrics", data ingestion.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::firehose::Firehose;
use crate::state::DeliveryStreamUid;

/// Direct puts to one delivery stream since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// `IncomingPutRequests`: calls of which something was stored.
    pub requests: u64,
    /// `IncomingRecords`.
    pub records: u64,
    /// `IncomingBytes`, of data.
    pub bytes: u64,
    /// `ThrottledRecords`: beyond the quotas.
    pub throttled: u64,
}

/// The counts of all delivery streams.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<DeliveryStreamUid, Incoming>>);

impl Counts {
    /// Counts what one call brought.
    pub(crate) fn add(&self, stream: DeliveryStreamUid, more: Incoming) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(stream).or_default();
        count.requests += more.requests;
        count.records += more.records;
        count.bytes += more.bytes;
        count.throttled += more.throttled;
    }

    fn of(&self, stream: DeliveryStreamUid) -> Incoming {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&stream).copied().unwrap_or_default()
    }

    /// Forgets a delivery stream that is gone.
    pub(crate) fn forget(&self, stream: DeliveryStreamUid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
    }
}

impl Firehose {
    /// What was put to each delivery stream that takes direct puts, by ARN.
    pub fn incoming(&self) -> Vec<(String, Incoming)> {
        let region = &self.settings.region;
        self.catalog.read(|registry| {
            let direct = registry.streams().filter(|stream| stream.records().is_some());
            direct.map(|stream| (stream.arn(region), self.incoming.of(stream.uid))).collect()
        })
    }

    /// The quotas of direct puts: requests, records and bytes a second (`PutRequestsPerSecondLimit`,
    /// `RecordsPerSecondLimit`, `BytesPerSecondLimit`); `None` where there are none.
    pub fn put_quotas(&self) -> Option<[u64; 3]> {
        self.enforces_quotas().then(|| self.throttle.quotas())
    }
}
