//! The commands, one file each: what it takes, what it does, what it prints.
//!
//! Owns the choice between them and the runtime they run on.

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod firehose;
pub(crate) mod keys;
pub(crate) mod put;
mod render;
pub(crate) mod serve;
pub(crate) mod shards;
pub(crate) mod streams;
pub(crate) mod tail;
pub(crate) mod tls;

use std::future::Future;
use std::time::Duration;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::exit::{Failure, Outcome};

/// Runs what the command line asks for.
pub(crate) fn run(cli: Cli) -> Outcome {
    let command = cli.command.unwrap_or_else(|| Command::Dev(serve::DevArguments::default()));
    match command {
        Command::Dev(arguments) => on_runtime(serve::dev(arguments)),
        Command::Serve(arguments) => on_runtime(serve::serve(arguments)),
        Command::Demo(arguments) => on_runtime(demo::run(arguments)),
        Command::Put(arguments) => on_runtime(put::run(arguments)),
        Command::Tail(arguments) => on_runtime(tail::run(arguments)),
        Command::Streams(arguments) => on_runtime(streams::run(arguments)),
        Command::Firehose(arguments) => on_runtime(firehose::run(arguments)),
        Command::Shards(arguments) => on_runtime(shards::run(arguments)),
        Command::Bench(arguments) => on_runtime(bench::run(arguments)),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Tls(arguments) => tls::run(&arguments),
        Command::Config(arguments) => config::run(arguments),
        Command::Doctor(arguments) => on_runtime(doctor::run(arguments)),
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "millstream",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}

/// How long what is left of a command's tasks may take once its outcome is known.
const LEFTOVERS_MAX: Duration = Duration::from_millis(200);

fn on_runtime(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(command);
    // A read of standard input cannot be called off: do not wait for a person to press a key.
    runtime.shutdown_timeout(LEFTOVERS_MAX);
    outcome
}
