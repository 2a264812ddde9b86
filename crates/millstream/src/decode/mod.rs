//! What lies inside a record: KPL aggregates, gzip, text or bytes; and the part of a JSON record
//! that is its key.
//!
//! Pure: bytes in, values out. Never fails on foreign bytes: what it does not know, it hands
//! back as it was.

mod expression;
mod gzip;

pub(crate) use expression::Expression;
pub(crate) use gzip::gunzip;
pub(crate) use millstream_formats::kpl::deaggregate;
