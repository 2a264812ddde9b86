//! The delivery as the server starts and ends it.
//!
//! Owns the task that hands the service's orders to the couriers whenever they change.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use millstream_core::{Clock, Rand};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::budget::Budget;
use super::compressors::Compressors;
use super::connections::Connections;
use super::couriers::{Couriers, DeliveryStatus, Openers};
use super::source::Opener;
use super::spill::Spill;
use super::station::Commons;
use crate::firehose::Firehose;
use crate::state::DeliveryStreamUid;

/// What the bookkeeping of outstanding records may weigh: a checkpoint is then 2 MiB at most.
const WEIGHT_MAX: usize = 4_096;

/// Bounds of the delivery, for all delivery streams together.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// Memory for records on their way.
    pub memory_bytes: usize,
    /// Where records go that memory does not hold; emptied at start.
    pub spill_directory: PathBuf,
    /// How much may lie there; beyond, buffers are delivered before they are full.
    pub spill_bytes_max: u64,
}

impl DeliverySettings {
    /// The defaults, with spill files in `spill_directory`.
    pub fn new(spill_directory: PathBuf) -> Self {
        Self { memory_bytes: 256 << 20, spill_directory, spill_bytes_max: 64 << 30 }
    }
}

/// The delivery of all delivery streams of one service.
#[derive(Debug)]
pub struct Deliveries {
    couriers: Arc<Couriers>,
    follower: JoinHandle<()>,
}

impl Deliveries {
    /// Starts to deliver on the present runtime. Blocks for a moment, to empty the spill
    /// directory, and fails where that cannot be done.
    pub fn start(
        firehose: &Arc<Firehose>,
        settings: &DeliverySettings,
        connections: Connections,
    ) -> io::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::clone(&connections.clock);
        let rand: Arc<dyn Rand> = Arc::clone(&connections.rand);
        let directory = settings.spill_directory.clone();
        let spill = Spill::open(directory, settings.spill_bytes_max, &*rand)?;
        let commons = Commons {
            budget: Arc::new(Budget::new(settings.memory_bytes)),
            spill: Arc::new(spill),
            clock,
            rand,
            outlets: Arc::new(connections),
            compressors: Arc::new(Compressors::of_this_machine()),
            weight_max: WEIGHT_MAX,
        };
        Ok(Self::start_with(firehose, commons))
    }

    pub(crate) fn start_with(firehose: &Arc<Firehose>, commons: Commons) -> Self {
        let (log, streams) = (Arc::clone(&firehose.log), Arc::clone(&firehose.streams));
        let service = Arc::downgrade(firehose);
        let couriers = Couriers::new(commons, log, streams, openers(service.clone()));
        let couriers = Arc::new(couriers);
        let follower = tokio::spawn(follow(service, firehose.changes(), Arc::clone(&couriers)));
        Self { couriers, follower }
    }

    /// Lets deliveries under way come to their ends for a while, writes the last checkpoints, and
    /// ends. What is not delivered by then is delivered after the next start.
    pub async fn stop(&self) {
        self.follower.abort();
        self.couriers.stop().await;
    }

    /// What is known of each delivery stream's delivery.
    pub fn status(&self) -> Vec<DeliveryStatus> {
        self.couriers.status()
    }

    /// Bytes of records that wait, of all delivery streams: in memory, and in spill files.
    pub fn buffered_bytes(&self) -> (u64, u64) {
        self.couriers.buffered_bytes()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

fn openers(service: Weak<Firehose>) -> Openers {
    Arc::new(move |uid| {
        let service = service.clone();
        let open: Opener = Arc::new(move |stored| {
            let service = service.upgrade().ok_or("the server is ending")?;
            service.open_record(DeliveryStreamUid(uid), stored).map_err(|error| error.to_string())
        });
        open
    })
}

async fn follow(
    service: Weak<Firehose>,
    mut changes: watch::Receiver<u64>,
    couriers: Arc<Couriers>,
) {
    loop {
        changes.mark_unchanged();
        let Some(orders) = service.upgrade().map(|service| service.orders()) else { return };
        couriers.carry(orders);
        if changes.changed().await.is_err() {
            return;
        }
    }
}
