//! Types, tables and traits of the services, generated from the public models, and the small
//! runtime in which they meet the server.
//!
//! Owns what stands between bytes and an operation: a [`Call`] in, a [`Reply`] out, errors on the
//! wire, event streams as frames. Knows no transport and no service's meaning.
//!
//! Invariant: a trait's method is reached only with a [`Call`], which only a verified caller's
//! request can make, and with an input that violates no constraint of the model.

mod call;
mod error;
#[rustfmt::skip] // Formatted by its generator, by the same rules.
#[allow(clippy::all, clippy::pedantic, unused_qualifications)] // Nobody edits it.
mod generated;
mod model;
mod service;
mod stream;

pub use call::Call;
pub use error::{OperationError, WireError};
pub use generated::*;
pub use model::{Operation, Protocol, ServiceModel};
pub use service::{Reply, Service};
pub use stream::{Event, EventStream, StreamFault, read_events};
