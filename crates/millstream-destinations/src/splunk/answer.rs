//! What the collector's answers mean.
//!
//! Every delivery error may be tried again (documented: "any data delivery error triggers the
//! retry logic").

use http::StatusCode;
use serde::Deserialize;

use crate::Failure;
use crate::outbound::Answer;

/// How much of an answer is repeated in a message.
const EXCERPT_CHARS_MAX: usize = 512;

#[derive(Deserialize)]
struct Body {
    code: u32,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
}

fn body(answer: &Answer) -> Option<Body> {
    serde_json::from_slice(&answer.body).ok()
}

/// The number to ask for, where the events were received.
pub(super) fn acknowledgement_of(answer: &Answer) -> Result<u64, Failure> {
    let body = body(answer);
    let code = body.as_ref().map(|body| body.code);
    if answer.status != StatusCode::OK || code != Some(0) {
        return Err(refused(answer, code));
    }
    body.and_then(|body| body.ack_id).ok_or_else(|| disabled_ack(answer))
}

/// What a refusal means, by HEC's own code (documented by Splunk).
fn refused(answer: &Answer, code: Option<u32>) -> Failure {
    let (code, sentence) = match code {
        Some(1) => (
            "Splunk.DisabledToken",
            "The HEC token is disabled. Enable the token to allow data delivery to Splunk.",
        ),
        Some(2..=4 | 16) => (
            "Splunk.InvalidToken",
            "The HEC token is invalid. Update the delivery stream with a valid HEC token.",
        ),
        Some(5 | 6 | 12 | 13 | 15) => (
            "Splunk.InvalidDataFormat",
            "The data is not formatted correctly for the Raw or Event HEC endpoint.",
        ),
        Some(7) => (
            "Splunk.InvalidIndex",
            "The HEC token or input is configured with an invalid index. Check your index \
             configuration and try again.",
        ),
        Some(14) => return disabled_ack(answer),
        Some(10 | 11) => return unsticky(answer),
        _ => return server_error(answer),
    };
    with_answer(code, sentence, answer)
}

/// A failure of a question for an acknowledgement that no further question will mend.
pub(super) fn acknowledgement_fault(answer: &Answer) -> Option<Failure> {
    match body(answer)?.code {
        14 => Some(disabled_ack(answer)),
        // Another collector answers than the one that the events went to.
        10 | 11 => Some(unsticky(answer)),
        _ => None,
    }
}

fn disabled_ack(answer: &Answer) -> Failure {
    let sentence = "Indexer acknowledgement is disabled for the HEC token. Enable indexer \
                    acknowledgement and try again.";
    with_answer("Splunk.DisabledAck", sentence, answer)
}

fn unsticky(answer: &Answer) -> Failure {
    let sentence = "If you have a proxy (ELB or other) between the delivery stream and the HEC \
                    node, you must enable sticky sessions to support HEC ACKs.";
    with_answer("Splunk.ProxyWithoutStickySessions", sentence, answer)
}

/// The collector has a trouble of its own, or something before it does.
pub(super) fn server_error(answer: &Answer) -> Failure {
    let sentence = "Data delivery to Splunk failed due to a server error from the HEC node.";
    with_answer("Splunk.ServerError", sentence, answer)
}

fn with_answer(code: &str, sentence: &str, answer: &Answer) -> Failure {
    let status = answer.status.as_u16();
    let excerpt = answer.excerpt(EXCERPT_CHARS_MAX);
    Failure::retryable(code, format!("{sentence} ({status}: {excerpt})"))
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
    fn each_answer_of_the_collector_has_its_code() {
        let rows = [
            (403, r#"{"text":"Token disabled","code":1}"#, "Splunk.DisabledToken"),
            (401, r#"{"text":"Token is required","code":2}"#, "Splunk.InvalidToken"),
            (401, r#"{"text":"Invalid authorization","code":3}"#, "Splunk.InvalidToken"),
            (403, r#"{"text":"Invalid token","code":4}"#, "Splunk.InvalidToken"),
            (400, r#"{"text":"No data","code":5}"#, "Splunk.InvalidDataFormat"),
            (
                400,
                r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#,
                "Splunk.InvalidDataFormat",
            ),
            (400, r#"{"text":"Incorrect index","code":7}"#, "Splunk.InvalidIndex"),
            (500, r#"{"text":"Internal server error","code":8}"#, "Splunk.ServerError"),
            (503, r#"{"text":"Server is busy","code":9}"#, "Splunk.ServerError"),
            (
                400,
                r#"{"text":"Data channel is missing","code":10}"#,
                "Splunk.ProxyWithoutStickySessions",
            ),
            (400, r#"{"text":"Event field is required","code":12}"#, "Splunk.InvalidDataFormat"),
            (400, r#"{"text":"ACK is disabled","code":14}"#, "Splunk.DisabledAck"),
            (502, "<html>Bad gateway</html>", "Splunk.ServerError"),
            (200, "not json", "Splunk.ServerError"),
            (200, r#"{"text":"Success","code":0}"#, "Splunk.DisabledAck"),
            (201, r#"{"text":"Success","code":0,"ackId":1}"#, "Splunk.ServerError"),
        ];
        for (status, body, code) in rows {
            let failure = acknowledgement_of(&answer(status, body)).unwrap_err();
            assert_eq!(failure.code, code, "{body}");
            assert!(failure.is_retryable);
            assert!(failure.message.contains(body), "the answer is told: {}", failure.message);
        }
        let taken = answer(200, r#"{"text":"Success","code":0,"ackId":7}"#);
        assert_eq!(acknowledgement_of(&taken), Ok(7));
    }
}
