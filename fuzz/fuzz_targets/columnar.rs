//! Feeds the door called `columnar`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_sim::targets::target;

fuzz_target!(|data: &[u8]| (target("columnar").feed)(data));
