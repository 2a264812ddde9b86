//! The world inside: a log on a simulated disk, couriers, time that passes at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_core::source::StreamSource;
use millstream_core::{Clock, SeededRand, Timestamp};
use millstream_formats::compression::Compression;
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};
use millstream_formats::zone::Zone;
use millstream_log::storage::SimDisk;
use millstream_log::{BatchBuilder, Driver, EmbeddedLog, Log, LogId, Settings};
use tokio::time::Instant;

use super::history::Tally;
use super::outside::{ERRORS, MAIN, Outside};
use super::streams::NoStreams;
use crate::delivery::budget::Budget;
use crate::delivery::compressors::Compressors;
use crate::delivery::couriers::Couriers;
use crate::delivery::metrics::DeliveryMetrics;
use crate::delivery::source::Opener;
use crate::delivery::spill::Spill;
use crate::delivery::station::Commons;
use crate::delivery::{ErrorEntry, fail_point};
use crate::orders::Order;
use crate::plan::{Backup, Buffering, HttpTarget, Objects, Plan, Processing, Source, Target};
use crate::state::DeliveryStreamUid;

pub(crate) const RECORDS: LogId = LogId(1 << 40);
pub(crate) const CHECKPOINTS: LogId = LogId((1 << 40) + 1);
const UID: u64 = 7;

/// A wall clock that goes with the runtime's time.
#[derive(Debug)]
pub(crate) struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        // 2023-11-14T22:13:20Z.
        Timestamp::from_seconds(1_700_000_000).plus(self.0.elapsed())
    }
}

/// Sizes of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) memory_bytes: usize,
    pub(crate) spill_bytes: u64,
    pub(crate) weight_max: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, spill_bytes: 1 << 30, weight_max: 4_096 }
    }
}

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) outside: Outside,
    pub(crate) plan: Plan,
    pub(crate) accepted: Vec<Bytes>,
    pub(crate) streams: Arc<dyn StreamSource>,
    pub(crate) log: EmbeddedLog,
    pub(crate) commons: Commons,
    clock: Arc<RuntimeClock>,
    couriers: Option<Couriers>,
    size: Size,
    crashes: u64,
}

pub(crate) fn objects(bucket: &str, bytes: u64, seconds: u64) -> Objects {
    let prefix = Prefix::parse("", Rules::Objects).unwrap();
    let error_prefix = ErrorPrefix::parse(None, &prefix).unwrap();
    Objects {
        bucket: bucket.to_owned(),
        prefix,
        error_prefix,
        zone: Zone::UTC,
        compression: Compression::None,
        extension: None,
        buffering: Buffering { bytes, interval: Duration::from_secs(seconds) },
        conversion: None,
        partitions_max: None,
        retry: Duration::from_secs(300),
        kms_key: None,
    }
}

/// Direct puts into objects of a KiB or a minute.
pub(crate) fn plan() -> Plan {
    let errors = objects(ERRORS, 1 << 20, 60);
    Plan {
        version: 1,
        source: Source::DirectPut,
        processing: Processing::default(),
        buffering: Buffering { bytes: 1_024, interval: Duration::from_secs(60) },
        target: Target::Objects(objects(MAIN, 1_024, 60)),
        backup: Backup { all: None, errors },
        error_log: None,
    }
}

/// The same, as documents.
pub(crate) fn document_plan(retry_seconds: u64) -> Plan {
    let Target::Http(target) = http_target() else { unreachable!() };
    let retry = Duration::from_secs(retry_seconds);
    Plan { target: Target::Http(HttpTarget { retry, ..target }), ..plan() }
}

pub(crate) fn http_target() -> Target {
    Target::Http(HttpTarget {
        url: "https://example.com".to_owned(),
        name: None,
        access_key: None,
        gzip: false,
        attributes: Vec::new(),
        retry: Duration::from_secs(300),
    })
}

fn open_log(disk: &SimDisk, clock: Arc<RuntimeClock>, seed: u64) -> EmbeddedLog {
    let settings = Settings {
        wal_file_bytes: 1 << 20,
        wal_files_max: 4,
        cache_bytes_max: 1 << 20,
        ..Settings::default()
    };
    let rand = SeededRand::new(seed);
    EmbeddedLog::open(disk.storage(), clock, &rand, settings, Driver::Task).unwrap().0
}

impl World {
    pub(crate) async fn new(plan: Plan) -> Self {
        Self::sized(plan, Outside::new(), Size::default()).await
    }

    pub(crate) async fn sized(plan: Plan, outside: Outside, size: Size) -> Self {
        let world = Self::prepared(plan, outside, size);
        world.make_logs().await;
        world.begun()
    }

    /// A world in which nobody works yet.
    pub(crate) fn prepared(plan: Plan, outside: Outside, size: Size) -> Self {
        let disk = SimDisk::new(1);
        let clock = Arc::new(RuntimeClock(Instant::now()));
        let log = open_log(&disk, clock.clone(), 1);
        let commons = Self::commons(&outside, clock.clone(), size);
        let streams = Arc::new(NoStreams);
        Self {
            disk,
            outside,
            plan,
            accepted: Vec::new(),
            streams,
            log,
            commons,
            clock,
            couriers: None,
            size,
            crashes: 0,
        }
    }

    pub(crate) async fn make_logs(&self) {
        for id in [RECORDS, CHECKPOINTS] {
            self.log.create(id).await.unwrap();
        }
    }

    pub(crate) fn begun(mut self) -> Self {
        self.start();
        self
    }

    fn commons(outside: &Outside, clock: Arc<RuntimeClock>, size: Size) -> Commons {
        Commons {
            budget: Arc::new(Budget::new(size.memory_bytes)),
            spill: Spill::in_memory(size.spill_bytes),
            clock,
            rand: Arc::new(SeededRand::new(11)),
            outlets: Arc::new(outside.clone()),
            compressors: Arc::new(Compressors::new(1)),
            weight_max: size.weight_max,
        }
    }

    pub(crate) fn order(&self) -> Order {
        let is_direct = matches!(self.plan.source, Source::DirectPut);
        Order {
            uid: DeliveryStreamUid(UID),
            name: "orders".to_owned(),
            arn: "arn:aws:firehose:us-east-1:123456789012:deliverystream/orders".to_owned(),
            created: Timestamp::default(),
            plan: Arc::new(self.plan.clone()),
            records: is_direct.then_some(RECORDS),
            checkpoints: CHECKPOINTS,
        }
    }

    fn start(&mut self) {
        let open: Opener = Arc::new(|stored| Ok(stored.clone()));
        let couriers = Couriers::new(
            self.commons.clone(),
            Arc::new(self.log.clone()),
            Arc::clone(&self.streams),
            Arc::new(move |_| open.clone()),
        );
        couriers.carry(vec![self.order()]);
        self.couriers = Some(couriers);
    }

    /// Has the plan, as it is now, carried out.
    pub(crate) fn reconfigure(&self) {
        self.couriers().carry(vec![self.order()]);
    }

    pub(crate) fn couriers(&self) -> &Couriers {
        self.couriers.as_ref().expect("someone is at work")
    }

    /// Puts records, and returns once they are acknowledged.
    pub(crate) async fn put(&mut self, records: impl IntoIterator<Item = Bytes>) {
        let mut batch = BatchBuilder::default();
        let records: Vec<Bytes> = records.into_iter().collect();
        for record in &records {
            batch.push(&[record]);
        }
        self.log.append(RECORDS, batch.build()).await.unwrap();
        self.accepted.extend(records);
    }

    /// Puts numbered records, each a line of JSON.
    pub(crate) async fn put_numbered(&mut self, numbers: std::ops::Range<usize>) {
        self.put(numbers.map(numbered)).await;
    }

    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Waits until all that was put is delivered, for so long at most.
    pub(crate) async fn until_delivered(&self, seconds: u64) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while self.undelivered() > 0 {
            assert!(Instant::now() < deadline, "{} are not delivered", self.undelivered());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Records that the source still keeps: what is settled durably is forgotten.
    pub(crate) fn undelivered(&self) -> u64 {
        let bounds = self.log.bounds(RECORDS).unwrap();
        bounds.end.0 - bounds.start.0
    }

    pub(crate) fn metrics(&self) -> DeliveryMetrics {
        self.couriers().status()[0].metrics.clone()
    }

    pub(crate) fn errors(&self) -> Vec<ErrorEntry> {
        self.couriers().status()[0].errors.clone()
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally::of(&self.outside)
    }

    /// The power goes and comes back; the server starts again.
    pub(crate) async fn crash(self) -> Self {
        let seed = self.crashes + 100;
        self.crash_with(|disk| disk.crash(seed)).await
    }

    /// The process is killed, and the server starts again.
    pub(crate) async fn kill(self) -> Self {
        self.crash_with(SimDisk::kill).await
    }

    async fn crash_with(mut self, fall: impl FnOnce(&SimDisk)) -> Self {
        drop(self.couriers.take());
        fail_point::disarm();
        self.crashes += 1;
        // Whoever was aborted is gone once the runtime has had a turn.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        fall(&self.disk);
        let Self { disk, outside, plan, accepted, streams, clock, size, crashes, .. } = self;
        let log = open_log(&disk, clock.clone(), crashes + 1);
        let commons = Self::commons(&outside, clock.clone(), size);
        let couriers = None;
        Self {
            disk,
            outside,
            plan,
            accepted,
            streams,
            log,
            commons,
            clock,
            couriers,
            size,
            crashes,
        }
        .begun()
    }

    /// The server ends in good order and starts again.
    pub(crate) async fn restart(mut self) -> Self {
        let couriers = self.couriers.take().expect("someone is at work");
        couriers.stop().await;
        drop(couriers);
        self.log.close().await.unwrap();
        self.couriers = None;
        self.crash_with(SimDisk::kill).await
    }
}

pub(crate) fn numbered(number: usize) -> Bytes {
    format!("{{\"id\":{number},\"text\":\"record number {number}\"}}\n").into()
}
