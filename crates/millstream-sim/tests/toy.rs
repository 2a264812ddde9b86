//! Proves the worlds themselves: a seed is a world, a sound service passes, planted faults show.

use std::sync::Arc;

use millstream_sim::toy::{Plant, ToyHost};
use millstream_sim::world::{Outcome, Plan, run};

fn live(seed: u64, plant: Option<Plant>) -> Outcome {
    run(Plan::of_seed(seed), |clock, _| Arc::new(ToyHost::new(clock, plant)))
}

#[test]
fn the_same_seed_twice_is_identical() {
    for seed in 0..5 {
        let (first, second) = (live(seed, None), live(seed, None));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.history, second.history, "seed {seed}");
        assert_ne!(first.trace, live(seed + 100, None).trace, "another seed is another world");
    }
}

#[test]
fn a_sound_service_keeps_all_promises() {
    for seed in 0..20 {
        let outcome = live(seed, None);
        assert!(outcome.is_sound(), "{}", outcome.render());
        assert!(outcome.report.counts.acked > 50, "seed {seed} is tame: {:?}", outcome.report);
    }
}

#[test]
fn every_planted_fault_shows() {
    const SEEDS: u64 = 40;
    for plant in [
        Plant::AckEarly,
        Plant::ReadEarly,
        Plant::WriteTwice,
        Plant::ClosedTakes,
        Plant::PushSkips,
        Plant::WrongShard,
        Plant::CountsFromMemory,
        Plant::SplitForgotten,
        Plant::EndsEarly,
    ] {
        let found = (0..SEEDS).find(|seed| !live(*seed, Some(plant)).is_sound());
        println!("{plant:?} shows in seed {found:?}");
        assert!(found.is_some(), "{plant:?} shows in none of {SEEDS} worlds");
    }
}
