//! The server put together: what lies in the data directory, the log, the services, the listener.
//!
//! Owns the order of starting and of stopping. Ports are taken first, so that a taken one is told
//! before anything else is done; nothing is served before the log is recovered. Stopping: no new
//! connection, subscriptions end, requests under way end, then the log closes.

pub(crate) mod data_dir;
mod firehose;
mod firehose_metrics;
#[cfg(feature = "iceberg")]
mod iceberg;
mod kafka_clusters;
pub(crate) mod key_files;
mod metrics;
mod operator;
mod outside;
mod report;
pub(crate) mod tls_files;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::firehose::FirehoseService;
use millstream_api::kinesis::KinesisService;
use millstream_auth::{CreatedAccessKey, DevMode, NewAccessKey, Verifier};
use millstream_client::Endpoint;
use millstream_core::{Clock, Rand, SystemClock, SystemRand};
use millstream_firehose::{Deliveries, Firehose, Ground};
use millstream_log::Log;
use millstream_log::embedded::{Driver, EmbeddedLog, OpenError, RecoveryReport};
use millstream_log::storage::{DirectIo, DiskStorage};
use millstream_server::{Access, Listener, ServeError, Server};
use millstream_streams::Streams;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::exit::{Failure, Outcome};
use crate::settings::{Durability, Effective, Settings};
use data_dir::DataDir;
use firehose_metrics::FirehoseMetrics;
use key_files::{KeyFiles, KeyStamp};
use metrics::{LogMetrics, ProcessMetrics};
use operator::Operator;
use report::FirehoseReport;

/// How often a running server looks whether its access keys have changed.
const KEYS_POLL: Duration = Duration::from_millis(250);

/// Whom a server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Everyone on this machine.
    Dev,
    /// Everyone.
    DevOpen,
    /// Whoever signs with one of the data directory's keys.
    Verified,
}

/// A server that serves.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    /// The key made at the first start.
    pub(crate) minted: Option<CreatedAccessKey>,
    /// What the log found when it was opened.
    pub(crate) recovery: RecoveryReport,
    /// How many streams were there.
    pub(crate) streams_found: usize,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<Outcome<usize>>,
    log: EmbeddedLog,
}

impl Running {
    /// Starts a server; it serves when this returns.
    pub(crate) async fn start(settings: Settings, admission: Admission) -> Outcome<Self> {
        raise_open_files();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let rand: Arc<dyn Rand> = Arc::new(SystemRand::new());
        let data_dir = DataDir::open(&settings.data_dir)?;
        let plain = bind(settings.listen).await?;
        let address = plain.local_address();
        let mut listeners = vec![plain];
        if let Some(at) = settings.tls_listen {
            let identity = tls_files::identity(&settings, &data_dir)?;
            let bound = Listener::bind_tls(at, &identity).await;
            listeners.push(bound.map_err(|error| not_bound(at, &error))?);
        }
        // Made at the first start, so that it can be handed out before anybody needs it.
        tls_files::authority(&data_dir)?;
        let tls_address = listeners.get(1).map(Listener::local_address);
        let keys = KeyFiles::open(&data_dir)?;
        let (access, minted) = access(&settings, admission, &keys)?;
        let (log, recovery) = open_log(&settings, data_dir.log()).await?;
        let mut streams_settings = millstream_streams::Settings::new(settings.region.clone());
        streams_settings.limits = settings.limits;
        let delay = Duration::from_millis(settings.state_delay_ms);
        streams_settings.creating = delay;
        streams_settings.updating = delay;
        streams_settings.deleting = delay;
        let keyring = Arc::new(keys.keyring().clone());
        let shared_log: Arc<dyn Log> = Arc::new(log.clone());
        let streams =
            Streams::open(shared_log.clone(), keyring.clone(), clock.clone(), streams_settings)
                .await
                .map_err(|error| Failure::failed(format!("cannot open the catalog: {error}")))?;
        let ground =
            Ground { log: shared_log, keyring, clock: clock.clone(), streams: streams.clone() };
        let opening = firehose::Opening {
            settings: &settings,
            admission,
            data_dir: &data_dir,
            rand: rand.clone(),
        };
        let (firehose, deliveries) = firehose::open(opening, ground).await?;
        let operator = Operator { streams: &streams, settings: &settings, clock: &*clock };
        let streams_found = operator.count_streams().await?;
        operator.create_missing_streams().await?;
        let report = FirehoseReport {
            firehose: firehose.clone(),
            deliveries: deliveries.clone(),
            clock: clock.clone(),
        };
        let (service, metered) = (firehose.clone(), deliveries.clone());
        let metrics = FirehoseMetrics { firehose: service, deliveries: metered };
        let server = Server::builder(access, clock, rand)
            .service(Arc::new(KinesisService(streams.clone())))
            .service(Arc::new(FirehoseService(firehose.clone())))
            .collector(Arc::new(LogMetrics(log.clone())))
            .collector(Arc::new(ProcessMetrics))
            .collector(Arc::new(metrics))
            .report(Arc::new(report))
            .metrics_for_all(settings.metrics_for_all)
            .build();
        server.readiness().set(true);
        let (shutdown, stopping) = watch::channel(false);
        let drain = Duration::from_secs(settings.drain_seconds);
        let services = Services { streams, firehose, deliveries };
        let serving = tokio::spawn(serve(server, listeners, services, stopping, drain));
        Ok(Self { address, tls_address, minted, recovery, streams_found, shutdown, serving, log })
    }

    /// Where it serves in clear text.
    pub(crate) fn endpoint(&self) -> Endpoint {
        endpoint(self.address, false)
    }

    /// Where it serves over TLS.
    pub(crate) fn tls_endpoint(&self) -> Option<Endpoint> {
        self.tls_address.map(|address| endpoint(address, true))
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> Failure {
        match (&mut self.serving).await {
            Ok(Err(failure)) => failure,
            Ok(Ok(_)) => Failure::failed("the server ended"),
            Err(error) => Failure::failed(format!("the server failed: {error}")),
        }
    }

    /// Lets requests under way end, then closes the log. Gives how many connections were cut.
    pub(crate) async fn stop(self) -> Outcome<usize> {
        self.shutdown.send_replace(true);
        let drained = match self.serving.await {
            Ok(outcome) => outcome?,
            Err(error) => return Err(Failure::failed(format!("the server failed: {error}"))),
        };
        self.log
            .close()
            .await
            .map_err(|error| Failure::failed(format!("the log did not close cleanly: {error}")))?;
        Ok(drained)
    }
}

/// What runs behind the listeners.
struct Services {
    streams: Arc<Streams>,
    firehose: Arc<Firehose>,
    deliveries: Arc<Deliveries>,
}

async fn serve(
    server: Server,
    listeners: Vec<Listener>,
    services: Services,
    mut stopping: watch::Receiver<bool>,
    drain: Duration,
) -> Outcome<usize> {
    let Services { streams, firehose, deliveries } = services;
    let shutdown = async move {
        // The sender lives as long as the server is wanted.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        streams.stop();
    };
    let served = server.serve(listeners, shutdown, drain).await;
    // Only now: puts are acknowledged until the last request has ended.
    deliveries.stop().await;
    firehose.stop();
    match served {
        Ok(drained) => Ok(drained.connections_cut),
        Err(error @ ServeError::DevModeOffLoopback { .. }) => Err(Failure::usage(error)
            .advise("`millstream serve` verifies signatures; or add --i-know-this-is-open")),
        Err(error @ ServeError::NoListener) => Err(Failure::usage(error)),
    }
}

fn endpoint(address: SocketAddr, is_tls: bool) -> Endpoint {
    // Nobody can call an unspecified address; this machine is reached on loopback.
    let host = if address.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST).to_string()
    } else {
        address.ip().to_string()
    };
    Endpoint { is_tls, host, port: address.port() }
}

/// Takes as many open files as the system grants: shells commonly start programs with 1,024, and
/// each connection is one.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
}

async fn bind(address: SocketAddr) -> Outcome<Listener> {
    Listener::bind(address).await.map_err(|error| not_bound(address, &error))
}

fn not_bound(address: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::failed(format!("cannot listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => failure.advise(format!(
            "another program has port {}, perhaps another millstream: stop it, or choose another \
             port with --listen {}:0 (0 takes any free one)",
            address.port(),
            address.ip()
        )),
        std::io::ErrorKind::PermissionDenied => {
            failure.advise("ports below 1024 are for root: choose a higher one")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            failure.advise("this machine has no such address: 127.0.0.1 or 0.0.0.0 always work")
        }
        _ => failure,
    }
}

/// Who is let in, and the key made for it where this is the first start.
fn access(
    settings: &Settings,
    admission: Admission,
    files: &KeyFiles,
) -> Outcome<(Access, Option<CreatedAccessKey>)> {
    let dev = || DevMode::new(settings.account.clone(), settings.region.clone());
    match admission {
        Admission::Dev => return Ok((Access::Dev(dev()), None)),
        Admission::DevOpen => return Ok((Access::DevOpenToNetwork(dev()), None)),
        Admission::Verified => {}
    }
    let minted = if files.read()?.is_empty() {
        let account = settings.account.clone();
        Some(files.create(NewAccessKey { account, user_name: None, policies: Vec::new() })?)
    } else {
        None
    };
    // Before they are read: a change in between is taken up once more instead of missed.
    let stamp = files.stamp();
    let verifier =
        Arc::new(Verifier::new(settings.region.clone(), &files.read()?, files.keyring()));
    tokio::spawn(follow_keys(files.clone(), stamp, Arc::downgrade(&verifier)));
    Ok((Access::Verified(verifier), minted))
}

/// Takes up what `millstream keys` changes, as long as the verifier lives.
async fn follow_keys(
    files: KeyFiles,
    mut last: Option<KeyStamp>,
    verifier: std::sync::Weak<Verifier>,
) {
    let mut told = String::new();
    loop {
        tokio::time::sleep(KEYS_POLL).await;
        let Some(verifier) = verifier.upgrade() else { return };
        let now = files.stamp();
        if now == last {
            continue;
        }
        match files.read() {
            Ok(keys) => {
                verifier.replace_keys(&keys);
                tracing::info!(keys = keys.list().count(), "access keys have changed");
                last = now;
            }
            // Told once, and tried again until it is mended.
            Err(failure) if failure.message != told => {
                tracing::error!(reason = failure.message, "access keys not taken up");
                told = failure.message;
            }
            Err(_) => {}
        }
    }
}

async fn open_log(settings: &Settings, path: PathBuf) -> Outcome<(EmbeddedLog, RecoveryReport)> {
    let log_settings = millstream_log::embedded::Settings {
        durability: match settings.durability {
            Durability::Fsync => millstream_log::embedded::Durability::Fsync,
            Durability::Buffered => millstream_log::embedded::Durability::Buffered,
        },
        ..Default::default()
    };
    let at = path.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let storage = DiskStorage::open(&path, DirectIo::Try).map_err(|error| OpenError::Io {
            file: path.display().to_string(),
            error: error.to_string(),
        })?;
        let clock = Arc::new(SystemClock);
        let rand = SystemRand::new();
        EmbeddedLog::open(Arc::new(storage), clock, &rand, log_settings, Driver::Thread)
    });
    let opened = opening.await.map_err(|error| Failure::failed(format!("the log: {error}")))?;
    opened.map_err(|error| log_failure(&error, &at))
}

fn log_failure(error: &OpenError, path: &Path) -> Failure {
    let failure = Failure::failed(error);
    match error {
        OpenError::InUse { .. } => failure.advise(
            "another millstream uses this data directory: stop it, or choose another with \
             --data-dir",
        ),
        OpenError::Corrupt { .. } => failure.advise(format!(
            "nothing was changed; copy {} away before trying anything, and restore a backup",
            path.display()
        )),
        OpenError::Io { .. } => failure
            .advise(format!("check who owns {} and whether its disk is full", path.display())),
    }
}

/// A data directory that goes away at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing of worth is in it; the system clears what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Settings of a server for a moment: any free port, and a directory that goes away.
pub(crate) fn scratch() -> (Settings, Scratch) {
    let name = format!("millstream-{:016x}", SystemRand::new().next_u64());
    let place = Scratch(std::env::temp_dir().join(name));
    let defaults = Settings::check(&Effective::of([])).expect("the defaults are good");
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let settings = Settings { listen, data_dir: place.0.clone(), ..defaults };
    (settings, place)
}
