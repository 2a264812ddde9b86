//! The delivery: from a source to a destination, through every failure.
//!
//! The map, from the outside in:
//! * `deliveries`: the whole, as the server starts and ends it.
//! * `couriers`: one courier for each delivery stream, and their lives. `courier`: the one task
//!   that owns the order of everything. `station`: what its deliveries share. `outlets`: what the
//!   engine needs of the world, as ports; `connections`: the world.
//! * `source`: where records come from. `process`, `transform`: what is done to them; `modules`:
//!   by WebAssembly.
//! * `lanes`, `buffer`, `frame`, `spill`, `budget`: records that wait, in bounded memory.
//! * `flight`: one delivery; of `objects`, of `documents`, to a `warehouse`. `object`: the bytes
//!   of an object while it is put; `compressors`: threads that help to make them. `refused`: the
//!   error output.
//! * `ledger`, `checkpoint`, `progress`, `position_set`: how far it has come, durably.
//! * `gauge`, `retry`, `naming`, `lane`, `ids`, `varint`: pure pieces. `metrics`, `error_log`:
//!   what can be seen. `fail_point`: where tests let it die.
//!
//! What is promised:
//! * Every record that was accepted ends at the destination or in the error output, at least
//!   once, whatever fails and wherever the process is killed. If neither takes it, delivery stands
//!   still, and the source keeps it.
//! * From direct puts to objects it is exactly once, as long as processing is a function of the
//!   record: names are functions of what is delivered, a delivery is decided on durably before it
//!   begins, and a replay makes the same one again. It is at least once where a function may answer
//!   otherwise the second time, where the configuration changed between the two, and where the
//!   disk was too full to decide durably.
//! * Elsewhere at least once, with the same ids: what a destination may tell repeats by. What was
//!   in a delivery when the process died, and is delivered again, is counted as repeated.

mod budget;
mod buffer;
mod checkpoint;
mod compressors;
mod connections;
mod courier;
mod couriers;
mod deliveries;
mod documents;
mod error_log;
pub(crate) mod fail_point;
mod flight;
mod frame;
mod gauge;
mod ids;
mod lane;
mod lanes;
mod ledger;
mod metrics;
#[cfg(feature = "wasm")]
mod modules;
mod naming;
mod object;
mod objects;
mod outlets;
mod position_set;
mod process;
mod progress;
mod refused;
mod retry;
mod source;
mod spill;
mod station;
#[cfg(feature = "iceberg")]
mod tables;
#[cfg(test)]
mod tests;
mod transform;
mod varint;
mod warehouse;

pub use connections::{Connections, LambdaSettings};
pub use couriers::DeliveryStatus;
pub use deliveries::{Deliveries, DeliverySettings};
pub use error_log::ErrorEntry;
pub use metrics::DeliveryMetrics;
#[cfg(feature = "wasm")]
pub use modules::Modules;
