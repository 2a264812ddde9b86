//! What is fed with hostile bytes: one function for each door that strangers can knock at.
//!
//! Owns the properties: no input makes a door panic, and what it lets in it would have made
//! itself. The same functions are run by the coverage-guided fuzzers in `fuzz/` and, with seeded
//! mutations, by `tests/fuzz_smoke.rs`.

mod firehose;
mod log_files;
mod signature;
mod tokens;
mod wire;

/// One door.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder of seeds.
    pub name: &'static str,
    /// Feeds it; panics where a property does not hold.
    pub feed: fn(&[u8]),
    /// How often the smoke test feeds it, by what one time costs.
    pub smoke_rounds: u64,
}

/// All doors.
pub const ALL: &[Target] = &[
    Target { name: "cbor", feed: wire::cbor, smoke_rounds: 40_000 },
    Target { name: "json", feed: wire::json, smoke_rounds: 40_000 },
    Target { name: "event_stream", feed: wire::event_stream, smoke_rounds: 40_000 },
    Target { name: "sigv4", feed: signature::sigv4, smoke_rounds: 20_000 },
    Target { name: "tokens", feed: tokens::tokens, smoke_rounds: 4_000 },
    Target { name: "log_files", feed: log_files::log_files, smoke_rounds: 3_000 },
    Target { name: "query", feed: firehose::query, smoke_rounds: 1_500 },
    Target { name: "columnar", feed: firehose::columnar, smoke_rounds: 10_000 },
    Target { name: "kafka", feed: firehose::kafka, smoke_rounds: 40_000 },
    Target { name: "kpl", feed: firehose::kpl, smoke_rounds: 40_000 },
    Target { name: "cloudwatch", feed: firehose::cloudwatch, smoke_rounds: 20_000 },
    Target { name: "split", feed: firehose::split, smoke_rounds: 40_000 },
    Target { name: "lambda", feed: firehose::lambda, smoke_rounds: 40_000 },
    Target { name: "prefix", feed: firehose::prefix, smoke_rounds: 20_000 },
];

/// The door called `name`.
pub fn target(name: &str) -> &'static Target {
    ALL.iter().find(|target| target.name == name).expect("the target exists")
}

/// Inputs that are well formed and deep inside, from which mutations start: those that only code
/// can make (signed requests, frames with checksums). Others lie in `fuzz/seeds`.
pub fn made_seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "cbor" => wire::cbor_seeds(),
        "json" => wire::json_seeds(),
        "event_stream" => wire::event_stream_seeds(),
        "sigv4" => signature::seeds(),
        "tokens" => tokens::seeds(),
        "log_files" => log_files::seeds(),
        "query" => firehose::query_seeds(),
        "columnar" => firehose::columnar_seeds(),
        "kafka" => firehose::kafka_seeds(),
        "kpl" => firehose::kpl_seeds(),
        "cloudwatch" => firehose::cloudwatch_seeds(),
        "split" => firehose::split_seeds(),
        "lambda" => firehose::lambda_seeds(),
        "prefix" => firehose::prefix_seeds(),
        _ => Vec::new(),
    }
}
