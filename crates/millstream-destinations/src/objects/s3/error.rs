//! What S3's refusals mean, in the codes and sentences that Firehose documents.
//!
//! All may be tried again: Firehose tries for a day, and here delivery waits.

use http::StatusCode;

use super::super::xml;
use crate::Failure;
use crate::outbound::{Answer, OutboundError};

const INTERNAL: &str = "An internal error occurred while attempting to deliver data. Delivery \
                        will be retried.";

/// Whether an answer has one of the statuses that mean success.
pub(super) fn answered(answer: &Answer, good: &[StatusCode]) -> Result<(), Failure> {
    if good.contains(&answer.status) { Ok(()) } else { Err(failure(answer)) }
}

/// What an answer that is no success means.
pub(super) fn failure(answer: &Answer) -> Failure {
    let body = String::from_utf8_lossy(&answer.body);
    let code = xml::text(&body, "Code").unwrap_or_default();
    let said = xml::text(&body, "Message").unwrap_or_else(|| answer.excerpt(256));
    let status = answer.status.as_u16();
    let Some((code, sentence)) = documented(&code, answer.status) else {
        let message = format!("{INTERNAL} ({status} {code}: {said})");
        // Other codes of S3 are told as they are: a person can look them up.
        let code = if code.is_empty() { "InternalError".to_owned() } else { format!("S3.{code}") };
        return Failure::retryable(code, message);
    };
    Failure::retryable(code, format!("{sentence} ({status}: {said})"))
}

/// Codes and sentences of the guide.
fn documented(code: &str, status: StatusCode) -> Option<(&'static str, &'static str)> {
    let found = match code {
        "KMS.NotFoundException" => (
            "S3.KMS.NotFoundException",
            "The provided AWS KMS key was not found. If you are using what you believe to be a \
             valid AWS KMS key with the correct role, check if there is a problem with the \
             account to which the AWS KMS key is attached.",
        ),
        "KMS.RequestLimitExceeded" | "KMS.ThrottlingException" => (
            "S3.KMS.RequestLimitExceeded",
            "The KMS request per second limit was exceeded while attempting to encrypt S3 \
             objects. Increase the request per second limit.",
        ),
        "AccessDenied" => ACCESS_DENIED,
        "AccountProblem" => (
            "S3.AccountProblem",
            "There is a problem with your AWS account that prevents the operation from completing \
             successfully. Contact AWS Support.",
        ),
        "AllAccessDisabled" => (
            "S3.AllAccessDisabled",
            "Access to the account provided has been disabled. Contact AWS Support.",
        ),
        "InvalidPayer" => (
            "S3.InvalidPayer",
            "Access to the account provided has been disabled. Contact AWS Support.",
        ),
        "NotSignedUp" => (
            "S3.NotSignedUp",
            "The account is not signed up for Amazon S3. Sign the account up or use a different \
             account.",
        ),
        "NoSuchBucket" => (
            "S3.NoSuchBucket",
            "The specified bucket does not exist. Create the bucket or use a different bucket \
             that does exist.",
        ),
        "MethodNotAllowed" => (
            "S3.MethodNotAllowed",
            "The specified method is not allowed against this resource. Modify the bucket's \
             policy to allow the correct Amazon S3 operation permissions.",
        ),
        // Nothing in the body, as for HEAD or from a proxy.
        "" if status == StatusCode::FORBIDDEN => ACCESS_DENIED,
        _ => return None,
    };
    Some(found)
}

const ACCESS_DENIED: (&str, &str) = (
    "S3.AccessDenied",
    "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose to \
     assume the role, and the access policy allows access to the S3 bucket.",
);

/// What no answer at all means.
pub(super) fn transport_failure(error: &OutboundError) -> Failure {
    Failure::retryable("InternalError", format!("{INTERNAL} ({error})"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    #[test]
    fn each_refusal_has_its_documented_code() {
        let rows = [
            (403, "AccessDenied", "S3.AccessDenied"),
            (404, "NoSuchBucket", "S3.NoSuchBucket"),
            (405, "MethodNotAllowed", "S3.MethodNotAllowed"),
            (400, "KMS.NotFoundException", "S3.KMS.NotFoundException"),
            (400, "KMS.ThrottlingException", "S3.KMS.RequestLimitExceeded"),
            (403, "AllAccessDisabled", "S3.AllAccessDisabled"),
            (403, "InvalidPayer", "S3.InvalidPayer"),
            (403, "NotSignedUp", "S3.NotSignedUp"),
            (403, "AccountProblem", "S3.AccountProblem"),
            (503, "SlowDown", "S3.SlowDown"),
            (301, "PermanentRedirect", "S3.PermanentRedirect"),
        ];
        for (status, code, expected) in rows {
            let body =
                format!("<Error><Code>{code}</Code><Message>why &amp; how</Message></Error>");
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::from(body) };
            let failure = failure(&answer);
            assert_eq!(failure.code, expected);
            assert!(failure.is_retryable);
            assert!(failure.message.contains("why & how"), "{}", failure.message);
        }
        let bare = |status| Answer { status, headers: HeaderMap::new(), body: Bytes::new() };
        assert_eq!(failure(&bare(StatusCode::FORBIDDEN)).code, "S3.AccessDenied");
        assert_eq!(failure(&bare(StatusCode::BAD_GATEWAY)).code, "InternalError");
    }
}
