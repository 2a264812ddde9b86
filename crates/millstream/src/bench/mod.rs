//! The benchmark: load, measure, verify.

pub(crate) mod histogram;
pub(crate) mod record;
