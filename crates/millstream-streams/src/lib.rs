//! Data Streams: streams, shards, records, consumers.
//!
//! Owns the meaning of the `kinesis` operations. Knows neither sockets nor signatures nor disks:
//! calls come in verified, through the API's trait `Kinesis`; records and the catalog
//! lie in a [`millstream_log::Log`].
//!
//! The map, from the outside in:
//! * `ops`: one file per operation; the only ones that name the API's types.
//! * `resolve`: from what a call names to a stream that the caller may use; nothing else is a way
//!   to a stream. `refusal`: why not, in the service's own words. `token`: iterators, pages.
//! * `append`, `read`, `position`, `subscription`: the path of records. `payload`: their bytes.
//!   `encryption`: the keys they are sealed under. `source`: the same path for other services.
//!   `throttle`, `load`: what is counted of them; `rate`: of calls.
//! * `transition`: carries CREATING, UPDATING, DELETING through, reshards included.
//!   `housekeeping`: expiry and growth.
//! * `state`: what exists; the catalog's machine.
//! * `streams`: what all of them share, opened as [`Streams`].
//!
//! Invariants:
//! * A record acknowledged on a shard is readable on exactly that shard, until it expires.
//! * Record `p` of a shard's log is number `p + 1` of the shard's sequence; a child's numbers are
//!   above its parents'.
//! * What the catalog says is durable before anyone acts on it, and whatever a crash leaves
//!   unfinished is finished after opening.

mod amazon_time;
mod append;
mod encryption;
mod housekeeping;
mod load;
mod ops;
mod payload;
mod position;
mod rate;
mod read;
mod refusal;
mod resolve;
mod settings;
mod source;
mod state;
mod streams;
mod subscription;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
mod transition;

pub use settings::Settings;
pub use streams::{CATALOG_LOG, Streams};
