//! The project's one test command: everything that has to hold before a change lands.
//!
//! Owns the order of the parts and the closing lines. A part that cannot run is told loudly, and
//! fails under `CI=true`; nothing is skipped in silence.

mod clients;
mod compatibility;
mod mutants;
mod process;
mod server;
mod toolchains;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use process::{Step, Tally};
use toolchains::Missing;

use crate::tidy::workspace_root;

const USAGE: &str = "\
cargo xtask test [PART ...] [--endpoint URL]

  lint          cargo fmt, clippy, tidy, and whether the generated code is fresh
  unit          cargo test --workspace: unit, property, simulation, fault, fuzz smoke
  build         the release binary that the parts below judge
  python        boto3, the AWS CLI and the bare wire
  javascript    AWS SDK for JavaScript v3: HTTP/2 in clear
  java          AWS SDK for Java v2: CBOR and JSON, HTTP/1.1 and HTTP/2
  go            AWS SDK for Go v2
  rust          AWS SDK for Rust
  durability    kill -9 in a loop, and a failing disk
  firehose      boto3 against S3, Glue, PostgreSQL and other destinations, and kill -9
  terraform     Terraform and its AWS provider: a plan after apply is empty
  mutants       builds that break one promise each, which unit tests have to notice

Without a part: all of them but the last two. Mutants are for whoever changes what they break; Terraform's provider
comes from no package registry. Whenever python to firehose run, docs/compatibility.md is written anew.
  --endpoint URL    judge a server that runs already, instead of starting ours
  CONFORMANCE_ONLY=TEXT      only cases whose sentence or operation has TEXT in it
  CONFORMANCE_BINARY=PATH    judge this binary, instead of building one";

/// Every part, in order.
const PARTS: [&str; 12] = [
    "lint",
    "unit",
    "build",
    "python",
    "javascript",
    "java",
    "go",
    "rust",
    "durability",
    "firehose",
    "terraform",
    MUTANTS,
];

/// It builds a crate anew for each of them.
const MUTANTS: &str = "mutants";

/// Run when they are asked for only.
const ON_REQUEST: [&str; 2] = ["terraform", MUTANTS];

/// The parts that judge a running server.
const CLIENTS: [&str; 5] = ["python", "javascript", "java", "go", "rust"];

/// The parts whose results docs/compatibility.md is made of.
const JUDGES: [&str; 7] = ["python", "javascript", "java", "go", "rust", "durability", "firehose"];

/// The judges that start and kill their servers themselves.
const ALONE: [&str; 3] = ["durability", "firehose", "terraform"];

/// The features that are judged beside the default ones: a build for the suites has them all.
const FEATURES: &str = "wasm,iceberg";

/// What was asked for, and what it works with.
pub(crate) struct Plan {
    root: PathBuf,
    /// Where everything built goes; the clients' things in a folder of their own.
    target: PathBuf,
    parts: Vec<&'static str>,
    endpoint: Option<String>,
    in_ci: bool,
    /// Whether no suite and no case was left out, so that the results are the whole truth.
    is_whole: bool,
}

impl Plan {
    fn of(arguments: &[String]) -> Result<Self, String> {
        let root = workspace_root();
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
        let mut parts = Vec::new();
        let mut endpoint = None;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--endpoint" {
                endpoint = Some(rest.next().ok_or(USAGE)?.clone());
            } else if let Some(part) = PARTS.iter().find(|part| *part == argument) {
                parts.push(*part);
            } else {
                return Err(USAGE.to_owned());
            }
        }
        if parts.is_empty() {
            parts = PARTS.into_iter().filter(|part| !ON_REQUEST.contains(part)).collect();
        }
        let is_whole = JUDGES.iter().all(|part| parts.contains(part))
            && endpoint.is_none()
            && std::env::var_os("CONFORMANCE_ONLY").is_none();
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        Ok(Self { root, target, parts, endpoint, in_ci, is_whole })
    }

    fn has(&self, part: &str) -> bool {
        self.parts.contains(&part)
    }

    fn binary(&self) -> PathBuf {
        std::env::var_os("CONFORMANCE_BINARY")
            .map_or_else(|| self.target.join("release/millstream"), PathBuf::from)
    }

    /// Where a client's downloads and builds go.
    fn workshop(&self) -> PathBuf {
        self.target.join("conformance")
    }

    /// Where the suites write what each case proved.
    fn results(&self) -> PathBuf {
        self.workshop().join("results.jsonl")
    }
}

/// What became of a part.
struct Account {
    part: &'static str,
    tally: Tally,
    time: Duration,
}

/// Runs the task; the error is what to tell the person.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let plan = Plan::of(arguments)?;
    let missing = toolchains::missing(&plan.parts);
    for one in &missing {
        println!("MISSING {one}");
    }
    if plan.in_ci && !missing.is_empty() {
        println!("0 passed, {} failed, 0 skipped", missing.len());
        return Err("a toolchain is missing, and CI has to have it".to_owned());
    }
    #[allow(clippy::disallowed_methods)] // A task, not the product.
    std::fs::create_dir_all(plan.workshop()).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_file(plan.results());
    let mut accounts = Vec::new();
    for part in PARTS.iter().filter(|part| wanted(&plan, part)) {
        accounts.push(account(&plan, part, &missing));
    }
    close(&plan, &accounts)
}

/// A part that was asked for, or the build that such a part needs.
fn wanted(plan: &Plan, part: &str) -> bool {
    let needs_binary = plan.endpoint.is_none()
        && std::env::var_os("CONFORMANCE_BINARY").is_none()
        && JUDGES.iter().chain(&ALONE).any(|judge| plan.has(judge));
    let has_binary = plan.endpoint.is_some() || std::env::var_os("CONFORMANCE_BINARY").is_some();
    match part {
        "build" => needs_binary || (plan.has("build") && !has_binary),
        _ if ALONE.contains(&part) => plan.has(part) && plan.endpoint.is_none(),
        _ => plan.has(part),
    }
}

#[allow(clippy::disallowed_methods)] // A task, not the product.
fn account(plan: &Plan, part: &'static str, missing: &[Missing]) -> Account {
    println!("\n=== {part}");
    let started = Instant::now();
    let tally = if let Some(one) = missing.iter().find(|one| one.part == part) {
        println!("SKIPPED {part}: {one}");
        Tally { skipped: 1, ..Tally::default() }
    } else {
        let outcome = match part {
            "lint" => lint(plan),
            "unit" => unit(plan),
            "build" => build(plan),
            MUTANTS => Ok(mutants::run(plan)),
            _ => clients::run(plan, part),
        };
        outcome.unwrap_or_else(|message| {
            println!("FAILED {part}: {message}");
            Tally { failed: 1, ..Tally::default() }
        })
    };
    let time = started.elapsed();
    println!("=== {part}: {tally} in {:.0} s", time.as_secs_f64());
    Account { part, tally, time }
}

fn lint(plan: &Plan) -> Result<Tally, String> {
    let warnings = ["--", "-D", "warnings"];
    let whole = ["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--quiet"];
    // What is there only where a feature is not.
    let plain = ["clippy", "--package", "millstream", "--quiet"];
    let clippy = [&whole[..], &plain[..]].map(|arguments| [arguments, &warnings[..]].concat());
    let mut tally = Tally::default();
    for arguments in [&["fmt", "--check"][..], &clippy[0], &clippy[1]] {
        let name = format!("cargo {}", arguments[0]);
        tally += Step::new(&name, "cargo").in_folder(&plan.root).arguments(arguments).check()?;
    }
    for (name, outcome) in [
        ("tidy", crate::tidy::run(&[])),
        ("codegen --check", crate::codegen::run(&["--check".to_owned()])),
    ] {
        tally += Tally::of(&outcome);
        if let Err(message) = outcome {
            println!("FAILED {name}: {message}");
        }
    }
    Ok(tally)
}

fn unit(plan: &Plan) -> Result<Tally, String> {
    Step::new("cargo test", "cargo")
        .in_folder(&plan.root)
        .arguments(&["test", "--workspace", "--features", FEATURES])
        .arguments(&["--quiet", "--no-fail-fast"])
        .minutes(25)
        .count()
}

fn build(plan: &Plan) -> Result<Tally, String> {
    Step::new("cargo build", "cargo")
        .in_folder(&plan.root)
        .arguments(&["build", "--release", "--quiet", "--package", "millstream"])
        .arguments(&["--features", FEATURES])
        .minutes(25)
        .check()
}

/// The summary; the last line is the one that says it all.
fn close(plan: &Plan, accounts: &[Account]) -> Result<(), String> {
    println!("\n=== summary");
    let mut total = Tally::default();
    for Account { part, tally, time } in accounts {
        println!("{part:>12}  {:>5.0} s  {tally}", time.as_secs_f64());
        total += *tally;
    }
    let was_run = |part| accounts.iter().any(|a| a.part == part && a.tally.skipped == 0);
    if plan.is_whole && JUDGES.into_iter().all(was_run) {
        let path = compatibility::write(&plan.root, &plan.results())?;
        println!("wrote {path}");
    } else if CLIENTS.iter().any(|client| plan.has(client)) {
        println!("docs/compatibility.md was left as it is: not everything ran");
    }
    println!("{total}");
    if total.failed > 0 || total.passed == 0 {
        return Err(format!("{} failed", total.failed));
    }
    Ok(())
}
