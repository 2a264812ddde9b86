//! The report of deliveries: what there is, joined with how its delivery goes.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::Clock;
use millstream_firehose::{Deliveries, Firehose};
use millstream_server::{Reader, Report};

use crate::deliveries::{self, Delivery};

/// What `GET /_millstream/firehose` says.
pub(super) struct FirehoseReport {
    pub(super) firehose: Arc<Firehose>,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Report for FirehoseReport {
    fn path(&self) -> &'static str {
        deliveries::PATH
    }

    fn signing_name(&self) -> &'static str {
        deliveries::SIGNING_NAME
    }

    fn report(&self, reader: Reader<'_>) -> Bytes {
        let seen = self.firehose.overview(reader.caller, reader.source_ip, reader.received);
        let at_work = self.deliveries.status();
        let (buffered_bytes, spilled_bytes) = self.deliveries.buffered_bytes();
        let of_stream = |overview: millstream_firehose::Overview| {
            let delivery = at_work.iter().find(|delivery| delivery.arn == overview.arn);
            Delivery::of(overview, delivery)
        };
        let report = deliveries::Report {
            at_ms: self.clock.now().ms(),
            buffered_bytes,
            spilled_bytes,
            delivery_streams: seen.into_iter().map(of_stream).collect(),
        };
        serde_json::to_vec(&report).expect("numbers and texts can be written").into()
    }
}
