//! The machine that runs the real service on the simulated disk.
//!
//! Owns what a start is made of: the embedded log on what the disk holds, then the streams on the
//! log. The master key outlives restarts, as the file does that holds it; everything else that
//! is in memory dies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_api::kinesis::KinesisService;
use millstream_auth::{Keyring, MasterKey};
use millstream_catalog::SnapshotPolicy;
use millstream_core::{Rand, SeededRand};
use millstream_log::storage::SimDisk;
use millstream_log::{Driver, EmbeddedLog, Settings as LogSettings};
use millstream_streams::{Settings, Streams};

use crate::clock::SimClock;
use crate::dice::Dice;
use crate::network::lock;
use crate::ordered_log::OrderedLog;
use crate::service::{Answer, Fault, Host, Request, Service, Task};
use crate::wire_client::WireClient;

/// A machine with the real service.
pub struct Node {
    disk: SimDisk,
    clock: Arc<SimClock>,
    dice: Dice,
    master_key: String,
    settings: LogSettings,
    stream_settings: Settings,
    /// What recovery said at each start.
    reports: Mutex<Vec<String>>,
}

impl Node {
    /// A machine with an empty disk, whose misfortunes and settings follow from `seed`.
    pub fn new(clock: Arc<SimClock>, seed: u64) -> Self {
        let dice = Dice::new(seed, "node");
        let disk = SimDisk::new(dice.seed());
        disk.set_sync_delay(Some(Duration::from_micros(dice.between(100, 20_000))));
        let rand = SeededRand::new(dice.seed());
        let master_key = MasterKey::generate(&rand).to_hex().to_string();
        let mut stream_settings = Settings::new("us-east-1".parse().expect("it is a region"));
        stream_settings.creating = Duration::from_millis(dice.below(300));
        stream_settings.updating = Duration::from_millis(dice.below(3_000));
        stream_settings.housekeeping = Duration::from_millis(dice.between(500, 10_000));
        // Small, so that snapshots and the trimming behind them are met often.
        stream_settings.snapshots = SnapshotPolicy { commands: dice.between(3, 40), bytes: 20_000 };
        let settings = log_settings(&dice);
        let reports = Mutex::default();
        Self { disk, clock, dice, master_key, settings, stream_settings, reports }
    }

    /// What recovery found at the starts so far.
    pub fn reports(&self) -> Vec<String> {
        lock(&self.reports).clone()
    }
}

/// Small files and caches, so that every border is met.
fn log_settings(dice: &Dice) -> LogSettings {
    let size =
        |low: u64, high: u64| usize::try_from(dice.between(low, high)).expect("sizes are small");
    LogSettings {
        wal_file_bytes: dice.between(128 << 10, 512 << 10),
        wal_files_max: size(2, 4),
        queue_bytes_max: size(64 << 10, 1 << 20),
        commit_bytes_max: size(4 << 10, 128 << 10),
        cache_bytes_max: size(4 << 10, 256 << 10),
        own_segment_bytes_min: size(1 << 10, 64 << 10),
        index_interval_bytes: size(1 << 10, 16 << 10),
        open_files_max: size(1, 8),
        ..LogSettings::default()
    }
}

impl Host for Node {
    fn start(&self) -> Task<Result<Arc<dyn Service>, String>> {
        let storage = self.disk.storage();
        let clock = Arc::clone(&self.clock);
        let rand: Arc<dyn Rand> = Arc::new(SeededRand::new(self.dice.seed()));
        let seed = self.dice.seed();
        let opened =
            EmbeddedLog::open(storage, clock.clone(), &*rand, self.settings.clone(), Driver::Task);
        let opened = opened.map(|(log, report)| {
            lock(&self.reports).push(format!("{report:?}"));
            log
        });
        let master = MasterKey::from_hex(&self.master_key).expect("it was made by a master key");
        let keyring = Arc::new(Keyring::new(master, Vec::new(), Arc::clone(&rand)));
        let settings = self.stream_settings.clone();
        Box::pin(async move {
            let log = opened.map_err(|error| error.to_string())?;
            let followed = Arc::new(OrderedLog::new(log.clone()));
            let streams = Streams::open(followed, keyring, clock.clone(), settings)
                .await
                .map_err(|error| error.to_string())?;
            let api = Arc::new(KinesisService(Arc::clone(&streams)));
            let client = WireClient::new(api, clock, seed);
            Ok(Arc::new(Run { client, streams, log }) as Arc<dyn Service>)
        })
    }

    fn cut_power(&self, seed: u64) {
        self.disk.crash(seed);
    }

    fn kill(&self) {
        self.disk.kill();
    }

    fn lose_power_in(&self, nth: u64) {
        self.disk.lose_power_in(nth);
    }

    fn is_powered_off(&self) -> bool {
        self.disk.is_powered_off()
    }

    fn fail_sync_in(&self, nth: u64) {
        self.disk.fail_sync_in(nth);
    }

    fn limit_space(&self, free_bytes: Option<u64>) {
        self.disk.set_capacity(free_bytes.map(|free| self.disk.used_bytes() + free));
    }

    fn heal(&self) {
        self.disk.set_capacity(None);
    }
}

/// One run of the service.
struct Run {
    client: WireClient,
    streams: Arc<Streams>,
    log: EmbeddedLog,
}

impl Service for Run {
    fn call(self: Arc<Self>, request: Request) -> Task<Result<Answer, Fault>> {
        Box::pin(async move { self.client.call(request).await })
    }

    fn stop(self: Arc<Self>) -> Task<()> {
        Box::pin(async move {
            self.streams.stop();
            // A log that has latched cannot close well; the next start recovers it.
            let _ = self.log.close().await;
        })
    }
}
