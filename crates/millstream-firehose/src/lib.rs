//! Firehose: delivery streams, from a put to its destination.
//!
//! Owns the meaning of the `firehose` operations and the delivery itself. Knows neither sockets
//! nor signatures nor disks: calls come in through [`millstream_api`], verified; records and the
//! catalog lie in a [`millstream_log::Log`]; objects and documents go out through
//! `millstream_destinations`.

mod plan;
