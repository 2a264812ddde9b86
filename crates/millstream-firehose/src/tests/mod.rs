//! Scenarios in the wire's own JSON: each rule of the service, as a caller meets it.

mod deliveries;
mod describe;
mod encryption;
mod life;
mod merge;
mod model;
mod policies;
mod puts;
mod recovery;
mod secrets;
mod validation;
mod world;
