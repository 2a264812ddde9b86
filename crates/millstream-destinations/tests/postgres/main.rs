//! Loads into a real PostgreSQL server, which the tests start themselves.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod loads;
mod proxy;
mod server;
