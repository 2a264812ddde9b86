//! Lives through worlds with the real service and judges what their clients saw.
//!
//! `MILLSTREAM_SIM_SEEDS=N` lives through N worlds, `MILLSTREAM_SIM_SEED=S` through one, for
//! replays; `MILLSTREAM_SIM_TRACE=FILE` writes its trace. Long runs: `--example sim`.

use std::sync::Arc;

use millstream_sim::ledger::Tally;
use millstream_sim::node::Node;
use millstream_sim::world::{Outcome, Plan, run};

/// Worlds of one ordinary run of the tests.
const SEEDS: u64 = 200;

fn live(seed: u64) -> Outcome {
    run(Plan::of_seed(seed), |clock, seed| Arc::new(Node::new(clock, seed)))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The meta test comes first: without it no seed could be replayed, and no failure be trusted.
fn same_seed_twice_is_identical() {
    for seed in [1, 2, 3] {
        let (first, second) = (live(seed), live(seed));
        let pairs = first.trace.lines().zip(second.trace.lines());
        for (number, (left, right)) in pairs.enumerate() {
            assert_eq!(left, right, "seed {seed} differs from itself at line {number}");
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
        assert_eq!(first.history, second.history, "seed {seed}");
        assert_ne!(first.trace, live(seed + 1_000).trace, "another seed is another world");
    }
}

fn judge(outcome: &Outcome) {
    if let Ok(path) = std::env::var("MILLSTREAM_SIM_TRACE") {
        #[allow(clippy::disallowed_methods)] // A test writes what it was asked for.
        std::fs::write(&path, &outcome.trace).expect("the trace can be written");
    }
    assert!(outcome.is_sound(), "{}", outcome.render());
}

#[test]
fn the_service_keeps_its_promises_in_every_world() {
    if let Some(seed) = number("MILLSTREAM_SIM_SEED") {
        judge(&live(seed));
        return;
    }
    same_seed_twice_is_identical();
    let mut all = Tally::default();
    for seed in 0..number("MILLSTREAM_SIM_SEEDS").unwrap_or(SEEDS) {
        let outcome = live(seed);
        judge(&outcome);
        assert!(outcome.report.counts.acked > 0, "seed {seed} is tame");
        all.add(&outcome.tally);
    }
    println!("{all:?}");
    all.assert_wild();
}
