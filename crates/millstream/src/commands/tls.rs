//! `tls`: to come.
use clap::Args;

use crate::exit::{Failure, Outcome};

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  to come")]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: Arguments) -> Outcome {
    Err(Failure::failed("not wired yet"))
}
