//! The engine in a small world: a log on a disk that crashes, a bucket and a destination that
//! misbehave as told, time that passes at once. `history` checks what must hold of all of it.

mod bounds;
mod crashes;
mod documents;
mod history;
#[cfg(feature = "wasm")]
mod modules;
mod objects;
mod outside;
mod processing;
mod reconfiguring;
mod speed;
mod streams;
mod warehouse;
mod world;

pub(super) use history::unpack_refused;
pub(super) use world::{http_target, plan};
