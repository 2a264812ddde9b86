//! The command line: which commands there are, what they take, and the help that teaches them.

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, config, demo, doctor, firehose, keys, put, serve, shards, streams, tail, tls,
};

const EXAMPLES: &str = "\
Examples:
  millstream                                   a server for development on 127.0.0.1:4566
  millstream demo                              the whole thing in one command, nothing needed
  millstream streams create orders --shards 4  a stream on that server
  seq 1000 | millstream put orders             a record for each line
  millstream tail orders -f                    all shards, merged, live
  millstream firehose status -f                how deliveries go, live
  aws --endpoint-url http://127.0.0.1:4566 kinesis list-streams

Exit codes:
  0 done   1 the operation failed   2 bad command line or settings
  3 nothing answers at the endpoint   4 data read back differs, or a check failed
  130 interrupted before it was done";

/// Amazon Kinesis in one binary: durable, ordered, fast; unmodified clients take it for the
/// real thing. Without a command it is `millstream dev`.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve for development: loopback only, any credentials
    Dev(serve::DevArguments),
    /// Serve for real: every signature is verified
    Serve(serve::ServeArguments),
    /// Show the main job end to end: create, put, follow live, read back, verify
    Demo(demo::Arguments),
    /// Put records into a stream: lines, NDJSON, a file or standard input
    Put(put::Arguments),
    /// Read a stream, all shards merged; -f follows it
    Tail(tail::Arguments),
    /// List, create, describe and delete streams
    Streams(streams::Arguments),
    /// Draw the family tree of a stream's shards
    Shards(shards::Arguments),
    /// Watch delivery streams: what is delivered, what waits, what goes wrong
    Firehose(firehose::Arguments),
    /// Load an endpoint and measure it: throughput, latency, and that nothing was lost
    Bench(bench::Arguments),
    /// Create, list and delete access keys
    Keys(keys::Arguments),
    /// The local certificate authority
    Tls(tls::Arguments),
    /// Check and explain settings
    Config(config::Arguments),
    /// Check this machine and an endpoint: clock, TLS, HTTP/2, credentials, disk
    Doctor(doctor::Arguments),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  millstream completion bash > ~/.local/share/bash-completion/completions/millstream"
    )]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_is_dev() {
        assert!(Cli::parse_from(["millstream"]).command.is_none());
    }

    #[test]
    fn every_command_with_arguments_shows_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} shows no example", command.get_name());
        }
    }
}
