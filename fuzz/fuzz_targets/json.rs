//! Feeds the door called `json`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_sim::targets::target;

fuzz_target!(|data: &[u8]| (target("json").feed)(data));
