//! A small, fast client of the Kinesis protocol, for the command line and the benchmark.
//!
//! Owns connections, signing, retries and the two encodings; works against the real service and
//! its peers. Knows nothing of how a server is built.
//!
//! Invariant: a call answers with what the service said, or with an error that says whether the
//! request may have been carried out.

mod backoff;
mod client;
mod connection;
mod credentials;
mod endpoint;
mod error;
mod operations;
mod pool;
mod profile;
mod subscription;
#[cfg(test)]
mod tests;
mod tls;

pub use client::{Client, ClientSettings, Probe};
pub use credentials::{
    Credentials, CredentialsError, Process, Surroundings, find_endpoint, find_region,
};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{CallError, ServiceError};
pub use operations::{Capacity, ReadFrom};
pub use subscription::Subscription;
pub use tls::{HttpVersion, Trust, TrustError};
