//! The listener: HTTP/1.1 and HTTP/2, in clear text and TLS, on their way to a service.
//!
//! Owns connections, routing, the verification of each request, the limits that hold them all
//! back, errors in the request's own encoding, probes and metrics. Knows no service's meaning:
//! it hands a verified [`Call`](millstream_api::Call) and a body to a
//! [`Service`](millstream_api::Service) and sends what comes back.
//!
//! Invariant: a service is reached through `gate::Gate` alone, after the signature fitted (or in
//! dev mode, on loopback); memory is bounded by connections × buffers + the budget of bodies.

mod body;
mod connection;
mod gate;
mod guard;
mod limits;
mod listener;
mod metrics;
mod refusal;
mod reply;
mod report;
mod request_id;
mod route;
mod server;
mod tls;
mod transport;
mod untaken;

pub use limits::ServerLimits;
pub use listener::Listener;
pub use metrics::{Collector, Durations, MetricsText, Samples};
pub use report::{Reader, Report};
pub use server::{Access, Drained, Readiness, ServeError, Server, ServerBuilder};
pub use tls::{CERTIFICATE_DAYS, CertificateError, LocalAuthority, PemPair, TlsIdentity};
