//! What records and objects look like on the way to a destination: names, splits, compression.
//!
//! Owns the forms that Firehose documents: prefix expressions and object names, de-aggregation,
//! CloudWatch Logs extraction, KPL aggregates, compression, jq queries. Pure: bytes and times in,
//! bytes out; no IO, no clock, no entropy.

pub mod cloudwatch;
pub mod compression;
pub mod kpl;
pub mod prefix;
pub mod query;
pub mod split;
pub mod zone;
