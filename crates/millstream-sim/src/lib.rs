//! Seeded simulation of the service, and the checker that judges what its clients saw.
//!
//! Owns no part of the product. [`world`] makes a machine, a network, clients and chaos from one
//! seed and lives through them in simulated time; [`history`] is what the clients saw and
//! [`checker`] says what is wrong with it. [`toy`] is a model of the service with planted faults,
//! which proves that worlds find them.
//!
//! Invariant: a seed is a world. The same seed gives the same trace, byte for byte.

pub mod actors;
mod audit;
pub mod checker;
pub mod clock;
pub mod dice;
pub mod history;
pub mod ledger;
pub mod network;
pub mod node;
mod ordered_log;
pub mod payload;
pub mod service;
pub mod targets;
pub mod toy;
pub mod wire_client;
pub mod world;
