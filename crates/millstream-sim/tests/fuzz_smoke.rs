//! Feeds every door with seeds, mutated by chance that follows from a number: what a fuzzer does,
//! without coverage, on the stable toolchain and in seconds. The long runs are in `fuzz/`.
//!
//! `MILLSTREAM_FUZZ_ROUNDS` multiplies the rounds.

mod allocation;

use std::path::Path;

use allocation::{LargestAllocation, largest_during};
use millstream_sim::dice::Dice;
use millstream_sim::targets::{ALL, Target, made_seeds, target};

#[global_allocator]
static ALLOCATOR: LargestAllocation = LargestAllocation;

/// No single allocation may be larger than this many times the input, and a constant.
const ALLOCATION_PER_BYTE: usize = 64;
const ALLOCATION_BYTES: usize = 4 << 20;
const INPUT_BYTES_MAX: usize = 1 << 14;

fn seeds_of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .map(|entries| entries.map(|entry| entry.expect("the folder can be read").path()).collect())
        .unwrap_or_default();
    paths.sort();
    #[allow(clippy::disallowed_methods)] // A test reads its own data.
    let read = |path: &std::path::PathBuf| std::fs::read(path).expect("the seed can be read");
    let mut seeds: Vec<Vec<u8>> = paths.iter().map(read).collect();
    seeds.extend(made_seeds(name));
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds
}

/// Numbers that parsers fear.
const FEARED: [&[u8]; 12] = [
    &[0],
    &[0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff; 8],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    b"\"\\ud800\"",
    b"1e999",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"%2e%2e/",
];

fn mutated(dice: &Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = dice.pick(seeds).clone();
    for _ in 0..dice.between(1, 4) {
        let at = dice.index(input.len() + 1);
        let end = (at + dice.index(20)).min(input.len());
        match dice.below(8) {
            0 if at < input.len() => input[at] ^= 1 << dice.below(8),
            1 if at < input.len() => input[at] = dice.seed().to_le_bytes()[0],
            2 => input.truncate(at),
            3 => drop(input.splice(at..at, dice.pick(&FEARED).iter().copied())),
            4 => drop(input.splice(at..end, dice.pick(&FEARED).iter().copied())),
            5 => drop(input.drain(at..end)),
            6 => {
                let repeated = input[at..end].repeat(dice.index(50));
                drop(input.splice(at..at, repeated));
            }
            _ => {
                let other = dice.pick(seeds);
                let from = dice.index(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Feeds one input; a panic names it.
fn feed(target: &Target, input: &[u8]) {
    let fed = std::panic::catch_unwind(|| largest_during(|| (target.feed)(input)));
    let Ok(largest) = fed else {
        panic!("{} panics on {} bytes: {}", target.name, input.len(), input.escape_ascii());
    };
    let allowed = ALLOCATION_BYTES + ALLOCATION_PER_BYTE * input.len();
    assert!(
        largest <= allowed,
        "{} allocates {largest} bytes at once for {} bytes: {}",
        target.name,
        input.len(),
        input.escape_ascii()
    );
}

fn smoke(name: &str) {
    let target = target(name);
    let seeds = seeds_of(name);
    for seed in &seeds {
        feed(target, seed);
    }
    let times = std::env::var("MILLSTREAM_FUZZ_ROUNDS")
        .ok()
        .map_or(1, |text| text.parse().expect("a number"));
    let dice = Dice::new(times, name);
    for _ in 0..target.smoke_rounds * times {
        feed(target, &mutated(&dice, &seeds));
    }
}

#[test]
fn no_cbor_body_breaks_the_decoder() {
    smoke("cbor");
}

#[test]
fn no_json_body_breaks_the_decoder() {
    smoke("json");
}

#[test]
fn no_frame_breaks_the_reader() {
    smoke("event_stream");
}

#[test]
fn no_request_passes_the_verifier_unless_it_was_signed() {
    smoke("sigv4");
}

#[test]
fn no_token_opens_unless_the_service_made_it() {
    smoke("tokens");
}

#[test]
fn no_damage_to_its_files_breaks_the_log() {
    smoke("log_files");
}

#[test]
fn no_query_and_no_record_breaks_the_interpreter() {
    smoke("query");
}

#[test]
fn no_record_breaks_a_file_of_columns_and_one_that_is_refused_leaves_no_trace() {
    smoke("columnar");
}

#[test]
fn no_broker_breaks_the_reader_of_topics() {
    smoke("kafka");
}

#[test]
fn no_aggregate_breaks_the_one_who_takes_it_apart() {
    smoke("kpl");
}

#[test]
fn no_log_message_breaks_its_unpacking() {
    smoke("cloudwatch");
}

#[test]
fn whatever_is_cut_apart_is_all_there_and_in_order() {
    smoke("split");
}

#[test]
fn whatever_a_function_answers_is_a_verdict_for_each_record() {
    smoke("lambda");
}

#[test]
fn no_prefix_breaks_the_naming_of_objects() {
    smoke("prefix");
}

#[test]
fn every_door_has_its_smoke() {
    let smoked = [
        "cbor",
        "json",
        "event_stream",
        "sigv4",
        "tokens",
        "log_files",
        "query",
        "columnar",
        "kafka",
        "kpl",
        "cloudwatch",
        "split",
        "lambda",
        "prefix",
    ];
    let all: Vec<&str> = ALL.iter().map(|target| target.name).collect();
    assert_eq!(all, smoked);
}

#[test]
fn bodies_made_to_exhaust_are_refused_cheaply() {
    const LENGTH: usize = 1 << 20;
    let filled = |head: &[u8], byte: u8| {
        let mut body = head.to_vec();
        body.resize(LENGTH, byte);
        body
    };
    for kind in 0..9 {
        for (head, byte) in [
            (&[][..], 0x81),
            (&[], 0xc1),
            (&[], 0x9f),
            (&[], 0xbf),
            (&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0xf6),
            (&[0xbb, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], 0x60),
            (&[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 0),
            (&[0x7f], 0x60),
        ] {
            feed(target("cbor"), &filled(&[&[kind], head].concat(), byte));
        }
        for (head, byte) in [
            (&b"["[..], b'['),
            (b"{\"a\":", b'{'),
            (b"\"", b'\\'),
            (b"{\"StreamName\":\"", b'a'),
            (b"{\"Limit\":", b'9'),
            (b"{\"Records\":[", b' '),
        ] {
            feed(target("json"), &filled(&[&[kind], head].concat(), byte));
        }
    }
    feed(target("event_stream"), &filled(&[1], 0));
    feed(target("event_stream"), &filled(&[255], 0xff));
}
