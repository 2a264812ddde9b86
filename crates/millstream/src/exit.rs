//! How a command ends when it does not succeed: one exit code, one message, one piece of advice.

use std::fmt;
use std::process::ExitCode;

use crate::terminal::Style;

/// Exit codes, as the help prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The operation failed: the service refused it, or the machine did.
    Failed = 1,
    /// The command line or the settings make no sense.
    Usage = 2,
    /// Nothing answers at the endpoint.
    Unreachable = 3,
    /// What was read back is not what was written, or a check of `doctor` failed.
    Mismatch = 4,
    /// Told to stop before it was done; as shells write a Ctrl-C.
    Interrupted = 130,
}

/// A failure to tell a person of.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub(crate) exit: Exit,
    /// What happened.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) advice: Option<String>,
}

impl Failure {
    /// The operation failed.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, message: message.to_string(), advice: None }
    }

    /// The command line or the settings make no sense.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string(), advice: None }
    }

    /// What was read is not what was written.
    pub(crate) fn mismatch(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Mismatch, message: message.to_string(), advice: None }
    }

    /// Adds what to do about it.
    pub(crate) fn advise(self, advice: impl fmt::Display) -> Self {
        Self { advice: Some(advice.to_string()), ..self }
    }

    /// Tells standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let style = Style::of_stderr();
        eprintln!("{} {}", style.red("error:"), self.message);
        if let Some(advice) = &self.advice {
            eprintln!("{} {advice}", style.bold(" help:"));
        }
        ExitCode::from(self.exit as u8)
    }
}

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;
