//! Why a call is refused, with the service's own words.
//!
//! Owns every sentence that a caller can read, but for what is wrong with a configuration, which
//! [`Invalid`] says. One fact is one variant; [`Refusal::kind`] says which modelled error it is,
//! exhaustively, and `ops` turns that into the operation's own error.
//!
//! Source: texts marked (recorded) were recorded against the service by the tests of other
//! implementations or quoted by users; the rest say the same facts in our words.

use millstream_core::{AccountId, StreamName};

use crate::configuration::Invalid;
use crate::state::SourceKind;

/// Which modelled error a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AccessDenied,
    ConcurrentModification,
    InternalFailure,
    InvalidArgument,
    InvalidSource,
    LimitExceeded,
    ResourceInUse,
    ResourceNotFound,
    ServiceUnavailable,
    Throttling,
    Validation,
}

impl Kind {
    /// The error's name on the wire.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::ConcurrentModification => "ConcurrentModificationException",
            Self::InternalFailure => "InternalFailure",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::InvalidSource => "InvalidSourceException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ServiceUnavailable => "ServiceUnavailableException",
            Self::Throttling => "ThrottlingException",
            Self::Validation => "ValidationException",
        }
    }
}

/// Whose delivery stream, by name: what most sentences speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) account: AccountId,
    pub(crate) stream: StreamName,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    // --- Which delivery stream, and its state ---
    #[error("Firehose {} under account {} not found.", .0.stream, .0.account)] // (recorded)
    NotFound(Named),
    #[error("Firehose {} under accountId {} already exists", .0.stream, .0.account)] // (recorded)
    Exists(Named),
    #[error("Firehose {} under account {} is not in ACTIVE state, instead in state {status}.", .stream.stream, .stream.account)]
    NotActive { stream: Named, status: &'static str },
    #[error("Encryption of Firehose {} under account {} is {status}: try again when that is over.", .stream.stream, .stream.account)]
    EncryptionBusy { stream: Named, status: &'static str },
    // (recorded)
    #[error("You have already consumed your firehose quota of {0} hoses.")]
    TooManyStreams(usize),
    #[error("Firehose {} under account {} cannot have more than {} tags.", .0.stream, .0.account, millstream_core::limits::TAGS_MAX)]
    TooManyTags(Named),
    #[error("{operation} was called {} times for Firehose {} in a rolling 24 hour period, which is the limit.", millstream_core::limits::FIREHOSE_ENCRYPTION_CALLS_PER_DAY, .stream.stream)]
    DailyLimit { operation: &'static str, stream: Named },

    // --- Its configuration ---
    #[error("{0}")]
    Configuration(#[from] Invalid),
    /// With the sentence of the model's rules.
    #[error("{0}")]
    Shape(String),
    // (recorded)
    #[error(
        "Cannot update firehose: {stream} since the current version id: {current} and specified version id: {given} do not match"
    )]
    VersionDiffers { stream: StreamName, current: u64, given: String },
    #[error("Destination Id {0} not found")] // (recorded)
    DestinationNotFound(String),
    #[error("KeyARN must be given with KeyType CUSTOMER_MANAGED_CMK.")]
    KeyMissing,
    #[error("KeyARN can be given with KeyType CUSTOMER_MANAGED_CMK only.")]
    KeyUnwanted,

    // --- Records ---
    // (recorded)
    #[error("This operation is not permitted on {} delivery stream type.", .0.as_str())]
    NotDirectPut(SourceKind),
    // (documented: InvalidSourceException)
    #[error(
        "Only requests from CloudWatch Logs are supported when CloudWatch Logs decompression is enabled."
    )]
    NotCloudWatchLogs,
    #[error("Records size exceeds 4 MB limit")] // (recorded)
    BatchTooLarge,
    /// Quotas, an overloaded log or a full disk.
    #[error("Slow down.")] // (recorded)
    SlowDown,
    /// Too many calls of one operation.
    #[error("Rate exceeded")] // (recorded)
    CallRateExceeded,

    // --- Permission and trouble ---
    /// With the sentence of whoever decided.
    #[error("{0}")]
    AccessDenied(String),
    #[error("Internal service failure.")]
    Internal,
}

impl Refusal {
    /// Which modelled error this is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::ResourceNotFound,
            Self::Exists(_) | Self::NotActive { .. } | Self::EncryptionBusy { .. } => {
                Kind::ResourceInUse
            }
            Self::TooManyStreams(_) | Self::TooManyTags(_) | Self::DailyLimit { .. } => {
                Kind::LimitExceeded
            }
            Self::Configuration(_)
            | Self::DestinationNotFound(_)
            | Self::KeyMissing
            | Self::KeyUnwanted
            | Self::NotDirectPut(_)
            | Self::BatchTooLarge => Kind::InvalidArgument,
            Self::Shape(_) => Kind::Validation,
            Self::VersionDiffers { .. } => Kind::ConcurrentModification,
            Self::NotCloudWatchLogs => Kind::InvalidSource,
            Self::SlowDown => Kind::ServiceUnavailable,
            Self::CallRateExceeded => Kind::Throttling,
            Self::AccessDenied(_) => Kind::AccessDenied,
            Self::Internal => Kind::InternalFailure,
        }
    }
}
