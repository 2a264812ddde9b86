//! What can be set.

use std::time::Duration;

use millstream_catalog::SnapshotPolicy;
use millstream_core::Region;
use millstream_core::limits::{self, LimitsMode};

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region that streams are in.
    pub region: Region,
    /// Whether the throughput quotas of the real service are enforced.
    pub limits: LimitsMode,
    /// How long a new stream, or consumer, is CREATING.
    pub creating: Duration,
    /// How long a change shows as UPDATING.
    pub updating: Duration,
    /// How long a stream, or consumer, is DELETING.
    pub deleting: Duration,
    /// How often expired records are looked for, and on-demand streams scaled.
    pub housekeeping: Duration,
    /// Open shards that one account may have.
    pub shard_limit: u32,
    /// When the catalog writes its whole state anew.
    pub snapshots: SnapshotPolicy,
}

impl Settings {
    /// The defaults, in `region`.
    pub fn new(region: Region) -> Self {
        Self {
            region,
            limits: LimitsMode::Open,
            creating: Duration::from_millis(50),
            updating: Duration::from_millis(50),
            deleting: Duration::from_millis(50),
            housekeeping: Duration::from_secs(10),
            shard_limit: limits::ACCOUNT_SHARDS_MAX,
            snapshots: SnapshotPolicy::default(),
        }
    }
}
