//! `bench-peers`: the same load on ours and on the peers, interleaved, on this machine alone.
//!
//! Owns the order of things: install, start, load, stop, report. What fails is a row in the
//! report, never the end of the run. Everything is bounded in time and talks to loopback only.

#![allow(clippy::disallowed_methods)] // A task measures the real clock and writes real files.

mod disk;
mod floor;
mod goals;
mod install;
mod kafka;
mod load;
mod machine;
mod process;
mod report;
mod results;
mod roster;
mod site;
mod workload;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::tidy::workspace_root;
use install::Cache;
use load::Timing;
use machine::Machine;
use results::{Failure, Memory, Results, Sample};
use roster::{Peer, ROSTER, Source};
use site::Site;
use workload::Workload;

const USAGE: &str = "\
cargo xtask bench-peers [OPTIONS]

  --only NAME,...   only these servers (the names: see --list); leaves docs/ alone
  --rounds N        interleaved rounds, 3 by default; fewer leave docs/ alone
  --seconds N       for each load, 5 by default
  --quick           one round of two seconds; leaves docs/ alone
  --install         install and start each server once, say what works, measure nothing
  --report          write docs/benchmarks.md again from the last full run
  --list            the servers' names";

const ROUNDS_MIN: u32 = 3;
const DISK_TIME: Duration = Duration::from_secs(3);

/// What to do, from the command line.
struct Plan {
    peers: Vec<&'static Peer>,
    rounds: u32,
    seconds: u32,
    install_only: bool,
    report_only: bool,
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let all = ROSTER.iter().collect();
        let mut plan = Self {
            peers: all,
            rounds: ROUNDS_MIN,
            seconds: 5,
            install_only: false,
            report_only: false,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value =
                || rest.next().ok_or_else(|| format!("{argument} takes a value\n\n{USAGE}"));
            match argument.as_str() {
                "--only" => plan.peers = named(value()?)?,
                "--rounds" => plan.rounds = count(value()?, 20)?,
                "--seconds" => plan.seconds = count(value()?, 120)?,
                "--quick" => (plan.rounds, plan.seconds) = (1, 2),
                "--install" => plan.install_only = true,
                "--report" => plan.report_only = true,
                _ => return Err(format!("unknown argument {argument}\n\n{USAGE}")),
            }
        }
        Ok(plan)
    }

    /// Whether this run may stand in the documents: everybody, often enough to have a median.
    fn is_full(&self) -> bool {
        self.peers.len() == ROSTER.len() && self.rounds >= ROUNDS_MIN
    }
}

fn named(list: &str) -> Result<Vec<&'static Peer>, String> {
    let find = |name: &str| {
        ROSTER.iter().find(|peer| peer.name == name).ok_or_else(|| format!("no server {name}"))
    };
    list.split(',').map(find).collect()
}

fn count(text: &str, max: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|count| (1..=max).contains(count))
        .ok_or_else(|| format!("{text} is not a number from 1 to {max}"))
}

/// Runs the task; the error is what to tell the person.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return Ok(());
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for peer in ROSTER {
            println!("{:20} {}", peer.name, peer.title);
        }
        return Ok(());
    }
    let plan = Plan::parse(arguments)?;
    let cache = Cache::of(&workspace_root());
    fs::create_dir_all(cache.peers()).map_err(|error| error.to_string())?;
    if plan.report_only {
        return report_again(&cache);
    }
    if plan.install_only {
        try_each(&cache, &plan);
        return Ok(());
    }
    if cfg!(not(feature = "floor")) {
        return hand_over(&cache, arguments);
    }
    measure(&cache, &plan)
}

/// Starts the same task again as a release build: a debug build measures no floor.
fn hand_over(cache: &Cache, arguments: &[String]) -> Result<(), String> {
    println!("building this task for release, with the floor's crates");
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--release", "--package", "xtask", "--features", "floor", "--"])
        .arg("bench-peers")
        .args(arguments)
        .current_dir(&cache.root)
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err("the release build of this task failed".to_owned()) }
}

/// Installs and starts each server once.
fn try_each(cache: &Cache, plan: &Plan) {
    for peer in &plan.peers {
        let begun = Instant::now();
        let outcome = install::install(cache, peer.source).and_then(|_| {
            let site = Site::start(cache, peer)?;
            let words = format!(
                "ready after {:.1} s, {} MiB at rest",
                site.ready_seconds,
                site.at_rest_bytes / 1_048_576
            );
            site.stop().map(|()| words)
        });
        let words = outcome.unwrap_or_else(|why| format!("NO: {why}"));
        println!("{:20} {words} ({:.0} s in all)", peer.name, begun.elapsed().as_secs_f64());
    }
}

fn measure(cache: &Cache, plan: &Plan) -> Result<(), String> {
    let mut results = Results {
        machine: Machine::read(&cache.peers()),
        commit: machine::commit(&cache.root),
        rounds: plan.rounds,
        seconds: plan.seconds,
        ..Results::default()
    };
    println!("load average before: {}", results.machine.load_average);
    let peers = install_all(cache, plan, &mut results);
    println!("the machine's own limits");
    results.floor = floor::measure();
    results.disk = disk::measure(&cache.peers(), DISK_TIME)?;
    for round in 1..=plan.rounds {
        for peer in &peers {
            one(cache, peer, round, plan, &mut results);
        }
        results.load_average_end = machine::load_average();
        // After each round, so that a run that is cut short has not been for nothing.
        save(cache, plan, &results)?;
    }
    Ok(())
}

/// Those that could be installed; the others become failures.
fn install_all(cache: &Cache, plan: &Plan, results: &mut Results) -> Vec<&'static Peer> {
    // The load tool is part of our binary, so it is built even when ours is not measured.
    println!("build millstream");
    if let Err(why) = install::install(cache, Source::Workspace) {
        println!("the load tool could not be built: {why}");
    }
    let mut ready = Vec::new();
    for peer in &plan.peers {
        println!("install {}", peer.name);
        match install::install(cache, peer.source) {
            Ok(_) => ready.push(*peer),
            Err(why) => fail(results, peer, why),
        }
    }
    ready
}

/// One server in one round: start, every load, stop.
fn one(cache: &Cache, peer: &'static Peer, round: u32, plan: &Plan, results: &mut Results) {
    let site = match Site::start(cache, peer) {
        Ok(site) => site,
        Err(why) => return fail(results, peer, why),
    };
    // Once is enough to know whether it keeps its word, and later rounds measure the load alone.
    let timing = Timing { seconds: plan.seconds, reads_back: round == 1 };
    for workload in Workload::ALL {
        if load::is_possible(peer, workload).is_err() {
            continue;
        }
        let outcome = load::run(cache, peer, &site, workload, timing);
        println!("round {round}/{} {:20} {}", plan.rounds, peer.name, words(workload, &outcome));
        let name = peer.name.to_owned();
        results.samples.push(Sample { peer: name, workload, round, outcome });
    }
    results.memory.push(Memory {
        peer: peer.name.to_owned(),
        at_rest_bytes: site.at_rest_bytes,
        peak_bytes: site.cost().resident_peak_bytes,
        ready_seconds: site.ready_seconds,
    });
    if let Err(why) = site.stop() {
        eprintln!("{}: {why}", peer.name);
    }
    // Gigabytes of a round's files are of no use to the next, and would only fill the disk.
    let _ = fs::remove_dir_all(cache.run_folder(peer).join("data"));
}

fn words(workload: Workload, outcome: &Result<results::Measure, String>) -> String {
    let figure = workload.figure();
    match outcome {
        Ok(measure) => {
            let value = figure.of(measure).map_or("-".to_owned(), report::digits);
            format!("{}: {value} ({}), {} errors", workload.title(), figure.unit(), measure.errors)
        }
        Err(why) => format!("{}: {why}", workload.title()),
    }
}

fn fail(results: &mut Results, peer: &Peer, why: String) {
    println!("{}: {why}", peer.name);
    results.failures.push(Failure { peer: peer.name.to_owned(), why });
}

/// Keeps the results, and writes the report where it belongs.
fn save(cache: &Cache, plan: &Plan, results: &Results) -> Result<(), String> {
    let name = if plan.is_full() { "results.json" } else { "results-partial.json" };
    let json = serde_json::to_vec_pretty(results).map_err(|error| error.to_string())?;
    fs::write(cache.peers().join(name), json).map_err(|error| error.to_string())?;
    if plan.is_full() {
        return write_report(&cache.root.join("docs/benchmarks.md"), results);
    }
    let path = cache.peers().join("benchmarks-partial.md");
    println!("{}", path.display());
    write_report(&path, results)
}

fn report_again(cache: &Cache) -> Result<(), String> {
    let results = match fs::read(cache.peers().join("results.json")) {
        Ok(json) => serde_json::from_slice(&json).map_err(|error| error.to_string())?,
        Err(_) => Results::default(),
    };
    write_report(&cache.root.join("docs/benchmarks.md"), &results)
}

fn write_report(path: &Path, results: &Results) -> Result<(), String> {
    let previous = fs::read_to_string(path).unwrap_or_default();
    fs::write(path, report::render(results, &previous)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Plan, String> {
        Plan::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn only_a_run_of_everybody_with_three_rounds_may_stand_in_the_documents() {
        assert!(parse("").expect("the default").is_full());
        assert!(!parse("--quick").expect("known").is_full());
        assert!(!parse("--only millstream,moto").expect("known").is_full());
        assert!(!parse("--rounds 2").expect("known").is_full());
    }

    #[test]
    fn a_wrong_word_is_refused() {
        assert!(parse("--only nobody").is_err());
        assert!(parse("--rounds 0").is_err());
        assert!(parse("--rounds").is_err());
        assert!(parse("--fast").is_err());
    }
}
