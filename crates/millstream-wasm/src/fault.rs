//! Why a record has no outcome.

use std::time::Duration;

/// Why a record goes to the error output instead of on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The module said so.
    #[error("ProcessingFailed status set for record{}", told(.message))]
    ProcessingFailed {
        /// Why, in the module's words, if it said.
        message: String,
    },
    /// The module broke off: it panicked, divided by zero, went beyond its memory or its stack.
    #[error("the module broke off: {reason}{}", told(.message))]
    Trapped {
        /// What happened.
        reason: String,
        /// What the module said before.
        message: String,
    },
    /// The module took more instructions than one record may.
    #[error("the module took more than the {fuel} instructions that one record may")]
    OutOfFuel {
        /// Instructions, about.
        fuel: u64,
    },
    /// The module took longer than one record may.
    #[error("the module took longer than the {} s that one record may", .deadline.as_secs_f64())]
    DeadlineExceeded {
        /// How long one may take.
        deadline: Duration,
    },
    /// The module broke off after it was refused memory.
    #[error("the module broke off when it was refused more than {bytes} bytes of memory")]
    OutOfMemory {
        /// What it may have.
        bytes: usize,
    },
    /// The records of a batch became more than they may together.
    #[error("the records of this batch became more than the {bytes} bytes that they may together")]
    OutputTooLarge {
        /// What they may become.
        bytes: usize,
    },
    /// The module did not keep to the contract.
    #[error("the module does not keep to its contract: {0}")]
    InvalidReturn(String),
}

impl Fault {
    /// The code that the error output has.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProcessingFailed { .. } => "Wasm.ProcessingFailedStatus",
            Self::Trapped { .. } => "Wasm.Trapped",
            Self::OutOfFuel { .. } => "Wasm.OutOfFuel",
            Self::DeadlineExceeded { .. } => "Wasm.DeadlineExceeded",
            Self::OutOfMemory { .. } => "Wasm.OutOfMemory",
            Self::OutputTooLarge { .. } => "Wasm.OutputTooLarge",
            Self::InvalidReturn(_) => "Wasm.InvalidReturn",
        }
    }
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}
