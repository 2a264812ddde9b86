//! JSON records as columns: schemas, the two JSON readers of Firehose, Parquet and ORC files.
//!
//! Pure: a schema and JSON bytes in, file bytes out; no IO, no clock. Apart from the other formats
//! because Arrow is heavy, and nothing else needs it.
