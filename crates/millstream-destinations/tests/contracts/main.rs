//! Each destination's contract, against strict fakes on loopback: every documented answer, and
//! the faults that real services will not give on demand.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod directory;
mod fake;
mod glue;
mod http_endpoint;
#[cfg(feature = "iceberg")]
mod iceberg;
mod lambda;
mod opensearch;
mod outbound;
mod redshift;
mod s3;
mod splunk;
