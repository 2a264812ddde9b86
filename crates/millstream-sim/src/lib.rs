//! Seeded simulation of the service, and the checker that judges what its clients saw.
//!
//! Owns no part of the product. [`history`] is what clients saw, [`checker`] says what is wrong
//! with it.

pub mod checker;
pub mod history;
