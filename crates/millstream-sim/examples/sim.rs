//! Lives through many worlds: `cargo run -p millstream-sim --example sim -- [FIRST] [COUNT]`.
//!
//! With a third argument, `twice`, each world is lived through twice, and must be identical.
//! Goes on after a failure, and ends with the seeds that failed and what they broke.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use millstream_sim::ledger::Tally;
use millstream_sim::node::Node;
use millstream_sim::world::{Outcome, Plan, run};

fn live(seed: u64) -> Outcome {
    run(Plan::of_seed(seed), |clock, seed| Arc::new(Node::new(clock, seed)))
}

/// One line for each kind of failure, so that a thousand seeds with one flaw read as one.
fn kind(outcome: &Outcome) -> String {
    let failure = outcome.failure.as_deref().unwrap_or_default();
    let mut kind: String =
        failure.chars().filter(|letter| !letter.is_ascii_digit()).take(160).collect();
    for finding in &outcome.report.findings {
        let rule = format!(" {:?}", finding.rule);
        if !kind.contains(&rule) {
            kind += &rule;
        }
    }
    kind
}

fn main() -> ExitCode {
    // What the service logs, where RUST_LOG asks for it.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a number"))
    };
    let (first, count) = (number(0, 0), number(1, 1_000));
    let twice = arguments.get(2).is_some_and(|text| text == "twice");
    let style = "{bar:40} {pos}/{len} worlds, {msg} failed, {elapsed} (left {eta})";
    let style = ProgressStyle::with_template(style).expect("the template is well formed");
    let bar = ProgressBar::new(count).with_style(style).with_message("0");
    let mut failed = BTreeMap::<String, Vec<u64>>::new();
    let (mut all, mut acked, mut reads) = (Tally::default(), 0, 0);
    for seed in first..first + count {
        let outcome = live(seed);
        all.add(&outcome.tally);
        acked += outcome.report.counts.acked;
        reads += outcome.report.counts.reads;
        if twice && live(seed).trace != outcome.trace {
            failed.entry("differs from itself".to_owned()).or_default().push(seed);
        }
        if !outcome.is_sound() {
            failed.entry(kind(&outcome)).or_default().push(seed);
            bar.set_message(failed.values().map(Vec::len).sum::<usize>().to_string());
        }
        bar.inc(1);
    }
    bar.finish();
    println!(
        "{count} worlds from seed {first}: {acked} records acknowledged, {reads} read\n{all:?}"
    );
    for (kind, seeds) in &failed {
        println!("{} worlds: {kind}\n    seeds {:?}", seeds.len(), &seeds[..seeds.len().min(12)]);
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
