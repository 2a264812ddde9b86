//! Why a call did not succeed, and whether it may have been carried out all the same.

use millstream_wire::DecodeError;

/// An error that the service answered with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
pub struct ServiceError {
    /// What was called.
    pub operation: String,
    /// The error's code, such as `ResourceNotFoundException`.
    pub code: String,
    /// What the service says.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Under which the service knows the request.
    pub request_id: String,
}

impl ServiceError {
    /// Whether the caller went too fast: to be tried again, more slowly.
    pub fn is_throttling(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ProvisionedThroughputExceededException"
                | "LimitExceededException"
                | "ThrottlingException"
                | "Throttling"
                | "RequestLimitExceeded"
                | "SlowDown"
                | "KMSThrottlingException"
        )
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        self.status >= 500 || self.status == 429 || self.is_throttling()
    }
}

/// Why a call did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No connection: nothing was done.
    #[error("nothing answers at {endpoint}: {reason}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What the system said.
        reason: String,
    },
    /// No secure connection, since the endpoint's certificate is not trusted: nothing was done.
    #[error("the certificate of {endpoint} is not trusted: {reason}")]
    Untrusted {
        /// Where.
        endpoint: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// No secure connection, since the endpoint does not speak TLS as we do: nothing was done.
    #[error("{endpoint} does not speak TLS: {reason}")]
    NotTls {
        /// Where.
        endpoint: String,
        /// What it said instead.
        reason: String,
    },
    /// What was answered is not HTTP: what was done is unknown, most likely nothing.
    #[error("{endpoint} does not answer in HTTP: {reason}")]
    NotHttp {
        /// Where.
        endpoint: String,
        /// What it said instead.
        reason: String,
    },
    /// The connection broke before a whole answer came: what was done is unknown.
    #[error("{operation}: the connection broke before the answer: {reason}")]
    Broken {
        /// What was called.
        operation: String,
        /// What the connection said.
        reason: String,
    },
    /// No answer in time: what was done is unknown.
    #[error("{operation}: no answer within {timeout_ms} ms")]
    TimedOut {
        /// What was called.
        operation: String,
        /// The time allowed.
        timeout_ms: u128,
    },
    /// The service refused.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The answer is not what the operation answers.
    #[error("{operation}: the answer cannot be read: {reason}")]
    Unreadable {
        /// What was called.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials cannot be put into a header.
    #[error("the request cannot be signed: {0}")]
    Unsigned(#[from] millstream_auth::sigv4::SignError),
}

impl CallError {
    pub(crate) fn unreadable(operation: &str, error: &DecodeError) -> Self {
        Self::Unreadable { operation: operation.to_owned(), reason: error.to_string() }
    }

    /// The code of the service's error, where it was one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service(error) => Some(&error.code),
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NotTls { .. }
            | Self::NotHttp { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::Unreadable { .. }
            | Self::Unsigned(_) => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service(error) => error.is_transient(),
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Untrusted { .. }
            | Self::NotTls { .. }
            | Self::NotHttp { .. }
            | Self::Unreadable { .. }
            | Self::Unsigned(_) => false,
        }
    }

    /// Whether the caller went too fast.
    pub fn is_throttling(&self) -> bool {
        matches!(self, Self::Service(error) if error.is_throttling())
    }
}
