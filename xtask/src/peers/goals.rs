//! What the project set out to reach beside its peers, and whether this run reached it.
//!
//! Owns the list of goals. Pure; a goal whose figures are missing is open, never reached.

use super::report::{digits, line};
use super::results::Results;
use super::roster::{Durability, Peer, ROSTER, Speaks};
use super::workload::{Figure, Workload};

const OURS: &str = "millstream";
/// A subscriber must have the record within one sync and this.
const PUSH_SLACK_MS: f64 = 5.0;

/// One goal: what is compared, what it takes, what it was.
struct Goal {
    words: String,
    needed: f64,
    reached: Option<f64>,
    unit: &'static str,
    /// Whether less is better.
    at_most: bool,
}

/// Appends the table of goals.
pub(super) fn render(text: &mut String, results: &Results) {
    line(text, "\n## Goals\n\n| goal | needed | measured | reached |\n| --- | ---: | ---: | --- |");
    for goal in goals(results) {
        let sign = if goal.at_most { "≤" } else { "≥" };
        let verdict = match goal.reached {
            None => "open",
            Some(value) if (value <= goal.needed) == goal.at_most => "yes",
            Some(_) => "**no**",
        };
        let (words, unit, needed) = (&goal.words, goal.unit, digits(goal.needed));
        let measured = goal.reached.map_or("-".to_owned(), |v| format!("{}{unit}", digits(v)));
        line(text, &format!("| {words} | {sign} {needed}{unit} | {measured} | {verdict} |"));
    }
}

fn goals(results: &Results) -> Vec<Goal> {
    let times = |words: &str, workload: Workload, needed: f64, of: fn(&Peer) -> bool| {
        let best = best_of(results, workload, of);
        let ours = results.figure(OURS, workload).map(|spread| spread.median);
        let reached =
            best.zip(ours).and_then(|((_, value), ours)| workload.figure().ratio(ours, value));
        let name = best.map(|(peer, _)| format!(" ({})", peer.title)).unwrap_or_default();
        Goal { words: format!("{words}{name}"), needed, reached, unit: "×", at_most: false }
    };
    let of_ours = |workload, figure: Figure| {
        results.spread(OURS, workload, |measure| figure.of(measure)).map(|spread| spread.median)
    };
    let sync_ms = results.disk.iter().min_by_key(|rate| rate.write_bytes).map(|rate| rate.p99_ms);
    vec![
        times("PutRecords, against the fastest in memory", Workload::PutBatch, 3.0, in_memory),
        times("PutRecords, against the fastest durable peer", Workload::PutBatch, 50.0, durable),
        times("PutRecords, against Kafka's producer, flushed", Workload::PutBatch, 1.0, kafka),
        times(
            "PutRecord at 64 connections, against the fastest in memory",
            Workload::PutSingle64,
            4.0,
            in_memory,
        ),
        times("GetRecords in JSON, against the fastest peer", Workload::GetJson, 5.0, kinesis),
        Goal {
            words: "PutRecord on one connection, p50".to_owned(),
            needed: 1.0,
            reached: of_ours(Workload::PutIdle, Figure::P50Ms),
            unit: " ms",
            at_most: true,
        },
        Goal {
            words: "put to subscriber, p99, within one sync (p99) and 5 ms".to_owned(),
            needed: sync_ms.unwrap_or(0.0) + PUSH_SLACK_MS,
            reached: of_ours(Workload::FanOut, Figure::P99Ms),
            unit: " ms",
            at_most: true,
        },
        Goal {
            words: "toward: PutRecord at 64 connections".to_owned(),
            needed: 20_000.0,
            reached: of_ours(Workload::PutSingle64, Figure::RecordsPerSecond),
            unit: "/s",
            at_most: false,
        },
        Goal {
            words: "toward: GetRecords in CBOR".to_owned(),
            needed: 500.0,
            reached: of_ours(Workload::GetCbor, Figure::MegabytesPerSecond),
            unit: " MB/s",
            at_most: false,
        },
    ]
}

fn in_memory(peer: &Peer) -> bool {
    kinesis(peer) && peer.durability == Durability::Memory
}

fn durable(peer: &Peer) -> bool {
    kinesis(peer) && peer.durability == Durability::Synced
}

fn kinesis(peer: &Peer) -> bool {
    !peer.is_ours() && peer.speaks != Speaks::Kafka
}

fn kafka(peer: &Peer) -> bool {
    peer.speaks == Speaks::Kafka && peer.durability == Durability::Synced
}

/// The peer that did best among those that `of` names, with its median.
fn best_of(
    results: &Results,
    workload: Workload,
    of: fn(&Peer) -> bool,
) -> Option<(&'static Peer, f64)> {
    let measured = ROSTER
        .iter()
        .filter(|peer| of(peer))
        .filter_map(|peer| results.figure(peer.name, workload).map(|spread| (peer, spread.median)));
    // The best is the one against which anybody else's ratio is smallest.
    measured.reduce(|best, next| {
        let better = workload.figure().ratio(next.1, best.1).is_some_and(|ratio| ratio > 1.0);
        if better { next } else { best }
    })
}

#[cfg(test)]
mod tests {
    use super::super::results::{Measure, Sample};
    use super::*;

    fn results(figures: &[(&str, f64)]) -> Results {
        let sample = |(peer, megabytes): &(&str, f64)| Sample {
            peer: (*peer).to_owned(),
            workload: Workload::PutBatch,
            round: 1,
            outcome: Ok(Measure { bytes_per_second: megabytes * 1e6, ..Measure::default() }),
        };
        Results { samples: figures.iter().map(sample).collect(), ..Results::default() }
    }

    fn verdict(results: &Results, goal: &str) -> String {
        let mut text = String::new();
        render(&mut text, results);
        let row = text.lines().find(|row| row.contains(goal)).expect("the goal is in the table");
        row.to_owned()
    }

    #[test]
    fn a_goal_is_reached_against_the_best_peer_and_not_against_any() {
        let results = results(&[("millstream", 90.0), ("ferrokinesis", 45.0), ("kinesalite", 8.0)]);
        let row = verdict(&results, "the fastest in memory (ferrokinesis)");
        assert!(row.ends_with("| 2.00× | **no** |"), "{row}");
    }

    #[test]
    fn a_goal_without_figures_is_open() {
        let row = verdict(&Results::default(), "PutRecord on one connection, p50");
        assert!(row.ends_with("| - | open |"), "{row}");
    }

    #[test]
    fn kafka_is_no_kinesis_peer() {
        let results = results(&[("millstream", 90.0), ("kafka", 80.0), ("ferrokinesis-wal", 1.0)]);
        let row = verdict(&results, "the fastest durable peer");
        assert!(row.ends_with("| 90.0× | yes |"), "{row}");
        let row = verdict(&results, "Kafka's producer");
        assert!(row.ends_with("| 1.12× | yes |"), "{row}");
    }
}
