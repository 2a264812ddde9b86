//! Feeds the door called `log_files`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_sim::targets::target;

fuzz_target!(|data: &[u8]| (target("log_files").feed)(data));
