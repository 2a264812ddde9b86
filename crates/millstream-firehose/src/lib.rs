//! Firehose: delivery streams, from a put to its destination.
//!
//! Owns the meaning of the `firehose` operations and the delivery itself. Knows neither sockets
//! nor signatures nor disks: calls come in verified, in the types of the API's model; records and
//! the catalog lie in a [`millstream_log::Log`]; objects and documents go out through
//! `millstream_destinations`.
//!
//! The map, from the outside in:
//! * `ops`: one file per operation or family; the only ones that name the API's types.
//! * `resolve`: from what a call names to a delivery stream that the caller may use; nothing else
//!   is a way to one. `refusal`: why not, in the service's own words.
//! * `configuration`: the document that a destination is configured by, and its reading into a
//!   `plan`, the contract with the delivery. `orders`: the plans in force, for the delivery.
//! * `delivery`: the engine, which carries plans out. `kafka`: a reader of topics, for it.
//! * `intake`: puts. `incoming`: their counts. `payload`: the bytes of a stored record.
//!   `encryption`: the keys they are sealed under. `throttle`: quotas of puts; `rate`: of calls.
//! * `overview`: what there is, for whoever watches.
//! * `transition`: carries CREATING, DELETING and encryption's states through. `housekeeping`:
//!   what is forgotten by and by.
//! * `state`: what exists; the catalog's machine.
//! * `firehose`: what all of them share, opened as [`Firehose`].
//!
//! Invariants:
//! * A put that is acknowledged is durable, and stays until it is delivered or its delivery
//!   stream is deleted.
//! * What a caller configured is what is described, to the member; secrets are at rest sealed
//!   only, and are never shown.
//! * A configuration is accepted only if it reads into a plan.

mod configuration;
mod delivery;
mod encryption;
mod firehose;
mod housekeeping;
mod incoming;
mod intake;
#[cfg(feature = "kafka")]
mod kafka;
mod ops;
mod orders;
mod overview;
mod payload;
mod plan;
mod rate;
mod refusal;
mod resolve;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod throttle;
mod transition;

#[cfg(feature = "wasm")]
pub use delivery::Modules;
pub use delivery::{
    Connections, Deliveries, DeliveryMetrics, DeliverySettings, DeliveryStatus, ErrorEntry,
    LambdaSettings,
};
pub use firehose::{CATALOG_LOG, Firehose, Ground};
pub use incoming::Incoming;
#[cfg(all(feature = "fuzz", feature = "kafka"))]
#[doc(hidden)]
pub use kafka::{KINDS as KAFKA_KINDS, feed as feed_kafka};
#[cfg(feature = "wasm")]
pub use millstream_wasm::ModuleError;
pub use overview::Overview;
pub use settings::{
    FunctionSetting, KafkaCluster, KafkaLogin, KafkaTls, SaslMechanism, Settings, World,
};
