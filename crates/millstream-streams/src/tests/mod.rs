//! Scenarios through the `Kinesis` trait: each rule of the service, as a caller meets it.

mod consumers;
mod encryption;
mod policies;
mod quotas;
mod records;
mod recovery;
mod reshards;
mod settings;
mod source;
mod streams;
mod world;
