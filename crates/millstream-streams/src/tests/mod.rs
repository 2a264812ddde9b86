//! Scenarios through the `Kinesis` trait: each rule of the service, as a caller meets it.

mod consumers;
mod encryption;
mod records;
mod reshards;
mod streams;
mod world;
