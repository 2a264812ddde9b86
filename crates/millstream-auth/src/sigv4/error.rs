//! Why a signature is not accepted, in the service's codes and words.

use std::fmt;

use super::Moment;

/// What of a credential's scope does not fit. Several can be wrong at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeFault {
    /// Signed for another region.
    Region {
        /// The region claimed.
        got: String,
    },
    /// Signed for another service.
    Service {
        /// The signing name of the service called.
        want: String,
    },
    /// Not ended by `aws4_request`.
    Terminator {
        /// The ending claimed.
        got: String,
    },
    /// Another day than the request's.
    Date {
        /// The day claimed.
        got: String,
        /// The request's own moment.
        moment: Moment,
    },
}

impl fmt::Display for ScopeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region { got } => {
                write!(f, "Credential should be scoped to a valid region, not '{got}'. ")
            }
            Self::Service { want } => {
                write!(f, "Credential should be scoped to correct service: '{want}'. ")
            }
            Self::Terminator { got } => write!(
                f,
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{got}'. "
            ),
            Self::Date { got, moment } => write!(
                f,
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{got}' != '{}', from '{moment}'. ",
                moment.date()
            ),
        }
    }
}

fn all_faults(faults: &[ScopeFault]) -> String {
    let text: String = faults.iter().map(ToString::to_string).collect();
    text.trim_end().to_owned()
}

fn missing_in_header(missing: &[&str], date_missing: bool, header: &str) -> String {
    let mut text = String::new();
    for name in missing {
        text.extend(["Authorization header requires '", name, "' parameter. "]);
    }
    if date_missing {
        text += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header. ";
    }
    text + "Authorization=" + header
}

fn missing_in_query(missing: &[&str]) -> String {
    let mut text = String::new();
    for name in missing {
        text.extend(["AWS query-string parameters must include '", name, "'. "]);
    }
    text + "Re-examine the query-string parameters."
}

/// Why a request is not who it says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Neither an `Authorization` header nor a presigned query.
    #[error("Missing Authentication Token")]
    Missing,
    /// Both at once: one would be checked and the other believed.
    #[error(
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )]
    BothForms,
    /// Parts of the `Authorization` header are missing.
    #[error("{}", missing_in_header(missing, *date_missing, header))]
    IncompleteHeader {
        /// The parameters that are missing.
        missing: Vec<&'static str>,
        /// Whether there is no date header either.
        date_missing: bool,
        /// The header as sent.
        header: String,
    },
    /// Parameters of the presigned query are missing.
    #[error("{}", missing_in_query(missing))]
    IncompleteQuery {
        /// The parameters that are missing.
        missing: Vec<&'static str>,
    },
    /// A part of the `Authorization` header without `=`.
    #[error(
        "'{part}' not a valid key=value pair (missing equal-sign) in Authorization header: \
         '{header}'."
    )]
    NotKeyValue {
        /// The part.
        part: String,
        /// The header as sent.
        header: String,
    },
    /// Something that must be there once is there twice.
    #[error("'{name}' must not be given more than once.")]
    Duplicate {
        /// The header, or the parameter.
        name: &'static str,
    },
    /// The date is not of the basic form.
    #[error(
        "Date must be in ISO-8601 'basic format'. Got '{got}'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    )]
    DateMalformed {
        /// The date as sent.
        got: String,
    },
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {limit} ({now} - {minutes} min.)")]
    Expired {
        /// When it was signed, or when what was presigned ran out.
        signed: Moment,
        /// The earliest moment that is still taken.
        limit: Moment,
        /// What time it is here.
        now: Moment,
        /// The tolerance.
        minutes: u64,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: {signed} is still later than {limit} ({now} + {minutes} min.)"
    )]
    NotYetCurrent {
        /// When it says it was signed.
        signed: Moment,
        /// The latest moment that is taken.
        limit: Moment,
        /// What time it is here.
        now: Moment,
        /// The tolerance.
        minutes: u64,
    },
    /// `X-Amz-Expires` is not a number from 1 to 604,800.
    #[error("X-Amz-Expires must be a number of seconds from 1 to 604800, not '{got}'.")]
    ExpiresOutOfRange {
        /// The value as sent.
        got: String,
    },
    /// A header that matters is not covered by the signature.
    #[error("{name} must be a 'SignedHeader' in the AWS Authorization.")]
    HeaderNotSigned {
        /// The header, quoted.
        name: String,
    },
    /// The list of signed headers holds what is no header's name.
    #[error("'SignedHeaders' must be a list of header names, not '{got}'.")]
    SignedHeadersMalformed {
        /// The list as sent.
        got: String,
    },
    /// Not `AWS4-HMAC-SHA256`.
    #[error("Unsupported AWS 'algorithm': '{got}' (only AWS4-HMAC-SHA256 for now). ")]
    UnsupportedAlgorithm {
        /// The algorithm named.
        got: String,
    },
    /// The credential has not five parts.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{got}'"
    )]
    CredentialMalformed {
        /// The credential as sent.
        got: String,
    },
    /// The credential is scoped to something else.
    #[error("{}", all_faults(faults))]
    OutOfScope {
        /// All that does not fit.
        faults: Vec<ScopeFault>,
    },
    /// No such key, or a disabled one, or a session token that we did not make.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// A session token that has run out.
    #[error("The security token included in the request is expired")]
    TokenExpired,
    /// The signature does not fit.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n\
         The String-to-Sign should have been\n'{string_to_sign}'\n"
    )]
    Mismatch {
        /// What the caller should have hashed.
        canonical: String,
        /// What the caller should have signed.
        string_to_sign: String,
    },
}

impl SignatureError {
    /// The code under which a JSON service reports it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::IncompleteHeader { .. }
            | Self::IncompleteQuery { .. }
            | Self::NotKeyValue { .. }
            | Self::DateMalformed { .. }
            | Self::UnsupportedAlgorithm { .. }
            | Self::CredentialMalformed { .. } => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::TokenExpired => "ExpiredTokenException",
            Self::BothForms
            | Self::Duplicate { .. }
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::ExpiresOutOfRange { .. }
            | Self::HeaderNotSigned { .. }
            | Self::SignedHeadersMalformed { .. }
            | Self::OutOfScope { .. }
            | Self::Mismatch { .. } => "InvalidSignatureException",
        }
    }
}
