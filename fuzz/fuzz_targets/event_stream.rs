//! Feeds the door called `event_stream`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_sim::targets::target;

fuzz_target!(|data: &[u8]| (target("event_stream").feed)(data));
