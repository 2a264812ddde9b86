//! The answer: whether it says, in the form that is asked for, that the records were taken.

use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use serde::Deserialize;

use crate::Failure;
use crate::outbound::Answer;

/// How much of an answer is repeated in a message.
const EXCERPT_CHARS_MAX: usize = 1_024;

/// What an endpoint answers. A field that is not listed makes an answer invalid (documented).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    request_id: Option<String>,
    timestamp: Option<serde_json::Number>,
    #[serde(rename = "errorMessage")]
    _error_message: Option<String>,
}

/// Whether the request `id` was taken.
pub(super) fn check(id: &str, answer: &Answer) -> Result<(), Failure> {
    if answer.status != StatusCode::OK {
        return Err(refused(answer));
    }
    if let Err(reason) = check_form(id, answer) {
        return Err(Failure::retryable(
            "HttpEndpoint.InvalidResponseFromDestination",
            format!(
                "The response received from the specified endpoint is invalid. Contact the owner \
                 of the endpoint to resolve the issue. Response for request {id} {reason}. Raw \
                 response received: {} {}",
                answer.status.as_u16(),
                answer.excerpt(EXCERPT_CHARS_MAX)
            ),
        ));
    }
    Ok(())
}

fn refused(answer: &Answer) -> Failure {
    let message = format!(
        "The following response was received from the endpoint destination. {}: {}",
        answer.status.as_u16(),
        answer.excerpt(EXCERPT_CHARS_MAX)
    );
    let code = "HttpEndpoint.DestinationException";
    // Too large stays too large; everything else may change (documented).
    if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
        return Failure::permanent(code, message);
    }
    Failure::retryable(code, message)
}

/// In the order in which a reader would notice.
fn check_form(id: &str, answer: &Answer) -> Result<(), &'static str> {
    if answer.headers.contains_key(CONTENT_ENCODING) {
        return Err("is content-encoded");
    }
    let media_type = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err("does not have the content type application/json");
    }
    if !answer.headers.contains_key(CONTENT_LENGTH) {
        return Err("does not have a content length");
    }
    let body: Body = serde_json::from_slice(&answer.body)
        .map_err(|_| "is not recognized as valid JSON or has unexpected fields")?;
    match body.request_id {
        None => return Err("does not contain a requestId"),
        Some(answered) if answered != id => return Err("has a requestId that does not match"),
        Some(_) => {}
    }
    if body.timestamp.is_none() {
        return Err("does not contain a timestamp");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, content_type: &'static str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    const JSON: &str = "application/json";

    #[test]
    fn only_a_200_with_the_same_id_and_a_timestamp_takes_the_records() {
        let taken = |content_type, body| check("r", &answer(200, content_type, body)).is_ok();
        assert!(taken(JSON, r#"{"requestId":"r","timestamp":1578090903599}"#));
        assert!(taken("application/json; charset=utf-8", r#"{"requestId":"r","timestamp":1}"#));
        assert!(taken(JSON, r#"{"requestId":"r","timestamp":1,"errorMessage":"partly"}"#));
        for body in [
            "",
            "OK",
            "[]",
            r#"{"requestId":null,"timestamp":1}"#,
            r#"{"requestId":"other","timestamp":1}"#,
            r#"{"requestId":"r"}"#,
            r#"{"requestId":"r","timestamp":"1578090903599"}"#,
            r#"{"requestId":"r","timestamp":null}"#,
            r#"{"requestId":7,"timestamp":1}"#,
            r#"{"timestamp":1}"#,
            r#"{"requestId":"r","timestamp":1,"more":true}"#,
            r#"{"requestId":"r","timestamp":1"#,
        ] {
            let failure = check("r", &answer(200, JSON, body)).unwrap_err();
            assert_eq!(failure.code, "HttpEndpoint.InvalidResponseFromDestination", "{body}");
            assert!(failure.is_retryable);
        }
        let good = r#"{"requestId":"r","timestamp":1}"#;
        assert!(!taken("text/plain", good));
        let mut encoded = answer(200, JSON, good);
        encoded.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        assert!(check("r", &encoded).is_err());
        let mut unsized_answer = answer(200, JSON, good);
        unsized_answer.headers.remove(CONTENT_LENGTH);
        assert!(check("r", &unsized_answer).is_err());
    }

    #[test]
    fn any_other_status_is_tried_again_but_413() {
        let good = r#"{"requestId":"r","timestamp":1}"#;
        for status in [201, 202, 204, 301, 302, 307, 400, 401, 403, 404, 429, 500, 502, 503] {
            let failure = check("r", &answer(status, JSON, good)).unwrap_err();
            assert_eq!(failure.code, "HttpEndpoint.DestinationException", "{status}");
            assert!(failure.is_retryable, "{status}");
        }
        let failure = check("r", &answer(413, JSON, "too much")).unwrap_err();
        assert!(!failure.is_retryable);
        assert!(failure.message.ends_with("endpoint destination. 413: too much"));
    }
}
