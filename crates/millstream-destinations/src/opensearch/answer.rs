//! What a bulk request's answer means, item by item.
//!
//! Errors are reported as the cluster returns them: the code is the HTTP status, the message is
//! the error's JSON (documented). Where there was no answer at all the code says which product.

use std::collections::BTreeMap;
use std::ops::Range;

use http::StatusCode;
use serde::Deserialize;

use crate::outbound::{Answer, OutboundError};
use crate::{Failure, Outcome};

/// How much of an answer is repeated in a message.
const EXCERPT_CHARS_MAX: usize = 1_024;

#[derive(Deserialize)]
struct Body {
    errors: bool,
    items: Vec<BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<serde_json::Value>,
}

/// Which of the documents in `places` were refused.
pub(super) fn read(answer: &Answer, places: Range<usize>) -> Outcome {
    if answer.status != StatusCode::OK {
        let (status, excerpt) = (answer.status.as_u16(), answer.excerpt(EXCERPT_CHARS_MAX));
        return Err(failure(status, excerpt));
    }
    let unreadable = |reason: String| {
        let excerpt = answer.excerpt(EXCERPT_CHARS_MAX);
        // What became of the documents is unknown, so it is not known that they were taken.
        Failure::retryable("500", format!("the bulk answer {reason}: {excerpt}"))
    };
    let body: Body = serde_json::from_slice(&answer.body)
        .map_err(|error| unreadable(format!("cannot be read ({error})")))?;
    if body.items.len() != places.len() {
        let (items, sent) = (body.items.len(), places.len());
        return Err(unreadable(format!("has {items} items for {sent} documents")));
    }
    if !body.errors && body.items.iter().all(|item| item.values().all(Item::is_taken)) {
        return Ok(Vec::new());
    }
    let mut refused = Vec::new();
    for (place, item) in places.zip(body.items) {
        let Some(item) = item.into_values().next() else {
            refused.push((place, unreadable("has an empty item".to_owned())));
            continue;
        };
        if !item.is_taken() {
            let message = item.error.map(|error| error.to_string()).unwrap_or_default();
            refused.push((place, failure(item.status, message)));
        }
    }
    Ok(refused)
}

impl Item {
    fn is_taken(&self) -> bool {
        self.error.is_none() && (200..300).contains(&self.status)
    }
}

/// Whether a request was refused for its size alone.
pub(super) fn is_too_large(failure: &Failure) -> bool {
    failure.code == TOO_LARGE
}

const TOO_LARGE: &str = "413";

/// A document that does not fit its mapping never will, nor will one that is too large. All else
/// may change: rights, indices, blocks, load.
fn failure(status: u16, message: String) -> Failure {
    let code = status.to_string();
    if matches!(status, 400 | 413) {
        return Failure::permanent(code, message);
    }
    Failure::retryable(code, message)
}

/// What no answer at all means.
pub(super) fn transport_failure(error: &OutboundError) -> Failure {
    let code = match error {
        OutboundError::TimedOut { .. } | OutboundError::ConnectTimedOut { .. } => {
            "OS.RequestTimeout"
        }
        OutboundError::AnswerTooLarge { .. } => "OS.ResponseTooLarge",
        OutboundError::Broken { .. } => "OS.ConnectionReset",
        OutboundError::Tls { .. } => "OS.SSLHandshakeFailure",
        OutboundError::Refused(_)
        | OutboundError::Unresolved { .. }
        | OutboundError::Unreachable { .. }
        | OutboundError::Request { .. } => "OS.ConnectionFailed",
    };
    Failure::retryable(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status, headers: HeaderMap::new(), body }
    }

    #[test]
    fn each_item_has_its_own_fate() {
        let body = r#"{"took":3,"errors":true,"items":[
            {"index":{"_index":"a","_id":"1","status":201}},
            {"index":{"_index":"a","_id":"2","status":400,
                      "error":{"type":"mapper_parsing_exception","reason":"no number"}}},
            {"index":{"_index":"a","_id":"3","status":429,
                      "error":{"type":"es_rejected_execution_exception","reason":"full"}}},
            {"index":{"_index":"a","_id":"4","status":503,"error":{"type":"unavailable"}}},
            {"index":{"_index":"a","_id":"5","status":200}}]}"#;
        let refused = read(&answer(200, body), 10..15).unwrap();
        let seen: Vec<_> = refused
            .iter()
            .map(|(place, failure)| (*place, failure.code.as_str(), failure.is_retryable))
            .collect();
        assert_eq!(seen, [(11, "400", false), (12, "429", true), (13, "503", true)]);
        // As a value: whether members keep their order depends on how the workspace is built.
        let message: serde_json::Value = serde_json::from_str(&refused[0].1.message).unwrap();
        let reason = serde_json::json!({"type": "mapper_parsing_exception", "reason": "no number"});
        assert_eq!(message, reason);
    }

    #[test]
    fn a_success_that_does_not_account_for_every_document_is_none() {
        let short = r#"{"errors":false,"items":[{"index":{"status":201}}]}"#;
        for body in [short, r#"{"errors":false}"#, "", "<html>", r#"{"errors":false,"items":[]}"#] {
            let failure = read(&answer(200, body), 0..2).unwrap_err();
            assert!(failure.is_retryable, "{body}");
        }
        // The flag alone is not believed.
        let hidden = r#"{"errors":false,"items":[{"index":{"status":400,"error":{}}}]}"#;
        assert_eq!(read(&answer(200, hidden), 0..1).unwrap().len(), 1);
        let unsaid = r#"{"errors":true,"items":[{"index":{"status":201}}]}"#;
        assert_eq!(read(&answer(200, unsaid), 0..1).unwrap(), []);
    }

    #[test]
    fn a_refused_request_is_retried_unless_it_is_the_data_s_fault() {
        for (status, is_retryable) in [
            (401, true),
            (403, true),
            (404, true),
            (429, true),
            (503, true),
            (413, false),
            (400, false),
        ] {
            let failure = read(&answer(status, "no"), 0..1).unwrap_err();
            assert_eq!((failure.code, failure.is_retryable), (status.to_string(), is_retryable));
        }
    }
}
