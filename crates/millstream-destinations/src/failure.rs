//! Why something was not taken, in the words that Firehose logs.

/// Why a document, or a whole delivery, was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// The code that Firehose logs, such as `HttpEndpoint.RequestTimeout`.
    pub code: String,
    /// For a person.
    pub message: String,
    /// Whether another attempt may succeed.
    pub is_retryable: bool,
    /// What the destination calls the document, where the failure is one document's: what
    /// [`Destination::details`](crate::Destination::details) says of it.
    pub details: Vec<(&'static str, String)>,
}

/// What became of an attempt: the documents that were not taken, by their place in the delivery.
/// None: all were taken.
pub type Outcome = Result<Vec<(usize, Failure)>, Failure>;

impl Failure {
    /// A failure after which another attempt may succeed.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { code, message, is_retryable: true, details: Vec::new() }
    }

    /// A failure that will be the same each time.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { is_retryable: false, ..Self::retryable(code, message) }
    }
}

/// Why a destination cannot be set up as its configuration says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The URL.
    #[error("{0}")]
    Url(#[from] crate::outbound::UrlError),
    /// The guard refuses the URL as it stands.
    #[error("{0}")]
    Refused(#[from] crate::outbound::Refusal),
    /// Something that becomes a header has characters that no header may hold.
    #[error("{0} has characters that a header cannot carry")]
    Header(&'static str),
    /// Something else.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    /// `field` is wrong because of `reason`.
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}
