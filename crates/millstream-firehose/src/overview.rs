//! What there is, at a glance, for whoever watches the delivery.
//!
//! Owns the list of delivery streams with their states, as far as a reader may describe them. The
//! numbers of each are the delivery's own: [`crate::DeliveryStatus`].

use std::net::IpAddr;
use std::sync::Arc;

use millstream_auth::VerifiedCaller;
use millstream_core::Timestamp;

use crate::firehose::Firehose;
use crate::resolve::Request;
use crate::state::{DeliveryStream, SourceKind};

/// Whoever may do this to a delivery stream may watch it.
const ACTION: &str = "firehose:DescribeDeliveryStream";

/// One delivery stream at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its state, as the API spells it: `ACTIVE`.
    pub status: &'static str,
    /// Its type, as the API spells it: `DirectPut`.
    pub source: &'static str,
    /// Whether its configuration can be carried out under the server's present settings.
    pub holds: bool,
}

impl Firehose {
    /// All delivery streams of the reader's account that the reader may describe, by name.
    pub fn overview(
        &self,
        caller: &VerifiedCaller,
        source_ip: IpAddr,
        received: Timestamp,
    ) -> Vec<Overview> {
        let request = Request { caller, action: ACTION, source_ip, received };
        let streams: Vec<Arc<DeliveryStream>> = self.catalog.read(|registry| {
            let account = registry.account(caller.account());
            account.map(|account| account.streams.values().cloned().collect()).unwrap_or_default()
        });
        let may_see =
            |stream: &&Arc<DeliveryStream>| self.resolve(&request, stream.name.as_str()).is_ok();
        let overview = |stream: &Arc<DeliveryStream>| Overview {
            name: stream.name.to_string(),
            arn: stream.arn(&self.settings.region),
            status: stream.status.as_str(),
            source: match stream.source.kind() {
                SourceKind::DirectPut => "DirectPut",
                SourceKind::Kinesis => "KinesisStreamAsSource",
                SourceKind::Kafka => "MSKAsSource",
            },
            holds: self.plan_of(stream).is_ok(),
        };
        streams.iter().filter(may_see).map(overview).collect()
    }
}
