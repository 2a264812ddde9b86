//! The `millstream` binary: command line, settings, wiring, shutdown.
//!
//! Owns what joins the other crates, and nothing that one of them could own: it is the only
//! crate that knows all of them. One file under `commands/` for each command.
//!
//! Invariant: every way out of a command is an [`exit::Exit`] with a message that says what to
//! do next; standard output carries results only, standard error all else.

mod bench;
mod cli;
mod commands;
mod decode;
mod deliveries;
mod demo;
mod endpoint;
mod exit;
mod interrupt;
mod lines;
mod reading;
mod serving;
mod settings;
mod terminal;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;

/// The system's allocator costs a third of a small put's CPU time; this one takes most of it back
/// at the same resident memory (measured: docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = commands::run(cli::Cli::parse());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
