//! Reading streams: many shards as one, and how they descend from one another.

pub(crate) mod family;
pub(crate) mod merge;
pub(crate) mod stream;
