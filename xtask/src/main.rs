//! The project's own tasks, in the project's own language.
//!
//! Owns the command line only; each task is a module of its own.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A task talks to the person who runs it.

mod codegen;
mod peers;
mod suite;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask TASK

  codegen [--check]   generate crates/millstream-api/src/generated from models/
                      (--check: fail if what is committed differs)
  tidy                check the rules of the house: layers, sizes, module heads
  test [PART ...]     run every test; parts: see `cargo xtask test --help`
  bench-peers         measure beside the peers and write docs/benchmarks.md
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = arguments.split_first().map_or(("", &[][..]), |(t, r)| (t.as_str(), r));
    let outcome = match task {
        "codegen" => codegen::run(rest),
        "tidy" => tidy::run(rest),
        "test" => suite::run(rest),
        "bench-peers" => peers::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
