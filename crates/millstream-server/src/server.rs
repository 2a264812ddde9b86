//! The server: what it is built of, and its life from the first accept to the drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use millstream_api::{SERVICES, Service};
use millstream_auth::{DevMode, Verifier};
use millstream_core::{Clock, Rand};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::body::Budget;
use crate::connection::{Protocols, serve_connection};
use crate::gate::{Admission, Gate, Peer};
use crate::guard::DevGuard;
use crate::limits::ServerLimits;
use crate::listener::Listener;
use crate::metrics::{Collector, ServerMetrics};
use crate::report::Report;

/// How long to wait after an accept failed, as when the process has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whom a server lets in.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever signs with a key that the verifier knows.
    Verified(Arc<Verifier>),
    /// Everyone, on loopback only.
    Dev(DevMode),
    /// Everyone, from everywhere: someone said twice that this is meant.
    DevOpenToNetwork(DevMode),
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Dev mode on an address that others reach.
    #[error(
        "dev mode takes any credentials, so it does not listen on {address}, which others can \
         reach; use a loopback address, or say that the network may come in"
    )]
    DevModeOffLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// No listener at all.
    #[error("a server needs a port to listen on")]
    NoListener,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections whose requests did not end in time, and were cut.
    pub connections_cut: usize,
}

/// Says whether the server is ready, for `/readyz`.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Ready from now on, or no longer.
    pub fn set(&self, is_ready: bool) {
        self.0.store(is_ready, Ordering::Release);
    }
}

/// Puts a server together.
pub struct ServerBuilder {
    access: Access,
    clock: Arc<dyn Clock>,
    rand: Arc<dyn Rand>,
    services: Vec<Arc<dyn Service>>,
    limits: ServerLimits,
    collectors: Vec<Arc<dyn Collector>>,
    reports: Vec<Arc<dyn Report>>,
    host_names: Vec<String>,
    metrics_for_all: bool,
}

impl ServerBuilder {
    /// Adds a service.
    pub fn service(mut self, service: Arc<dyn Service>) -> Self {
        self.services.push(service);
        self
    }

    /// Sets caps and deadlines.
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds to what `/metrics` says.
    pub fn collector(mut self, collector: Arc<dyn Collector>) -> Self {
        self.collectors.push(collector);
        self
    }

    /// Adds a report of the server's own.
    pub fn report(mut self, report: Arc<dyn Report>) -> Self {
        self.reports.push(report);
        self
    }

    /// A host name under which dev mode may be called, beside loopback's.
    pub fn dev_host_name(mut self, name: &str) -> Self {
        self.host_names.push(name.to_ascii_lowercase());
        self
    }

    /// Whether others than this machine may read `/metrics`.
    pub fn metrics_for_all(mut self, metrics_for_all: bool) -> Self {
        self.metrics_for_all = metrics_for_all;
        self
    }

    /// The server.
    pub fn build(self) -> Server {
        let host_names = self.host_names;
        let (admission, is_bound_to_loopback) = match self.access {
            Access::Verified(verifier) => (Admission::Verified(verifier), false),
            Access::Dev(mode) => {
                (Admission::Dev { mode, guard: DevGuard { is_open: false, host_names } }, true)
            }
            Access::DevOpenToNetwork(mode) => {
                (Admission::Dev { mode, guard: DevGuard { is_open: true, host_names } }, false)
            }
        };
        let built = |id: &str| self.services.iter().find(|it| it.model().id == id).cloned();
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        let (drain, draining) = watch::channel(false);
        let (free, connections_max) = (places.clone(), self.limits.connections_max);
        let is_ready = Arc::new(AtomicBool::new(false));
        let gate = Gate {
            admission,
            services: SERVICES.iter().map(|model| built(model.id)).collect(),
            budget: Budget::new(self.limits.in_flight_bytes_max),
            limits: self.limits,
            metrics: ServerMetrics::new(),
            collectors: self.collectors,
            reports: self.reports,
            clock: self.clock,
            rand: self.rand,
            is_ready: is_ready.clone(),
            metrics_for_all: self.metrics_for_all,
            draining,
            connections_open: Box::new(move || connections_max - free.available_permits()),
        };
        let readiness = Readiness(is_ready);
        Server { gate: Arc::new(gate), places, drain, readiness, is_bound_to_loopback }
    }
}

/// A server that is put together, and not yet listening.
pub struct Server {
    gate: Arc<Gate>,
    places: Arc<Semaphore>,
    drain: watch::Sender<bool>,
    readiness: Readiness,
    is_bound_to_loopback: bool,
}

impl Server {
    /// Starts to put a server together.
    pub fn builder(access: Access, clock: Arc<dyn Clock>, rand: Arc<dyn Rand>) -> ServerBuilder {
        ServerBuilder {
            access,
            clock,
            rand,
            services: Vec::new(),
            limits: ServerLimits::default(),
            collectors: Vec::new(),
            reports: Vec::new(),
            host_names: Vec::new(),
            metrics_for_all: false,
        }
    }

    /// The handle that makes `/readyz` answer 200; it does not until then.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until `shutdown` resolves, then lets requests under way end for up to
    /// `drain_deadline`. Runs inside a Tokio runtime with IO and time.
    pub async fn serve(
        self,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()>,
        drain_deadline: Duration,
    ) -> Result<Drained, ServeError> {
        if listeners.is_empty() {
            return Err(ServeError::NoListener);
        }
        for listener in &listeners {
            let address = listener.local_address();
            if self.is_bound_to_loopback && !address.ip().to_canonical().is_loopback() {
                return Err(ServeError::DevModeOffLoopback { address });
            }
            let verified = matches!(self.gate.admission, Admission::Verified(_));
            if verified && !listener.is_tls() && !address.ip().to_canonical().is_loopback() {
                tracing::warn!(%address, "clear text beyond this machine: records can be read on the way");
            }
        }
        let graceful = Arc::new(GracefulShutdown::new());
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let accept = accept(listener, self.gate.clone(), self.places.clone(), graceful.clone());
            accepting.spawn(accept);
        }
        shutdown.await;
        let _ = self.drain.send(true);
        // The accept loops have ended, or end now: what they hold are the open connections.
        let drained = async {
            let mut open = JoinSet::new();
            while let Some(connections) = accepting.join_next().await {
                if let Ok(mut connections) = connections {
                    open.spawn(async move { while connections.join_next().await.is_some() {} });
                }
            }
            if let Ok(graceful) = Arc::try_unwrap(graceful) {
                let ended = async { while open.join_next().await.is_some() {} };
                tokio::join!(graceful.shutdown(), ended);
            }
        };
        let in_time = tokio::time::timeout(drain_deadline, drained).await.is_ok();
        let connections_cut = if in_time { 0 } else { (self.gate.connections_open)() };
        Ok(Drained { connections_cut })
    }
}

/// Accepts until the drain; gives back the connections that are still open.
async fn accept(
    listener: Listener,
    gate: Arc<Gate>,
    places: Arc<Semaphore>,
    graceful: Arc<GracefulShutdown>,
) -> JoinSet<()> {
    let protocols = Protocols::new(&gate.limits);
    let mut draining = gate.draining.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = draining.wait_for(|draining| *draining) => return connections,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.tcp.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            gate.metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        gate.metrics.connections_accepted.fetch_add(1, Ordering::Relaxed);
        let peer = Peer { ip: address.ip().to_canonical(), is_secure: listener.is_tls() };
        let (tls, watcher) = (listener.tls.clone(), graceful.watcher());
        let served = serve_connection(stream, tls, peer, gate.clone(), protocols.clone(), watcher);
        connections.spawn(async move {
            served.await;
            drop(place);
        });
    }
}

async fn pause_after(error: &io::Error) {
    // The other side went away before it was accepted: nothing is wrong here.
    let theirs = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !theirs.contains(&error.kind()) {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
