//! Feeds the door called `sigv4`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_sim::targets::target;

fuzz_target!(|data: &[u8]| (target("sigv4").feed)(data));
