//! Data Streams.

#![allow(dead_code)]

mod state;
