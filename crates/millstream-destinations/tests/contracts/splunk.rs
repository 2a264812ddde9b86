//! A collector with channels and acknowledgements, and each way in which it may refuse.

use std::time::Duration;

use millstream_auth::Secret;
use millstream_core::SeededRand;
use millstream_destinations::splunk::{EventKind, Splunk, SplunkConfig};
use millstream_destinations::{Destination, Failure};
use serde_json::json;

use super::fake::{Fake, Reply, Seen, delivery, nobody, outbound};

fn splunk(endpoint: &str, kind: EventKind, timeout: Duration) -> Splunk {
    let config = SplunkConfig {
        endpoint: endpoint.to_owned(),
        kind,
        token: Secret::from("B5A79AAD-D822-46CC-80D1-819F80D7BFB0"),
        acknowledgement_timeout: timeout,
    };
    Splunk::new(&config, outbound(), &SeededRand::new(1))
        .unwrap()
        .poll_first(Duration::from_millis(1))
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

/// A collector that indexes events after `polls` questions; panics at what HEC would refuse.
fn collector(polls: u32) -> impl FnMut(&Seen) -> Reply + Send {
    let mut events = 0_u64;
    let mut asked = 0;
    move |seen| {
        assert_eq!(seen.method, "POST");
        let token = seen.header("authorization");
        assert_eq!(token, Some("Splunk B5A79AAD-D822-46CC-80D1-819F80D7BFB0"));
        let channel = seen.header("x-splunk-request-channel").expect("a channel").to_owned();
        assert_eq!(channel.len(), 36);
        if seen.target.starts_with("/services/collector/ack") {
            assert_eq!(seen.target, format!("/services/collector/ack?channel={channel}"));
            assert_eq!(seen.json(), json!({"acks": [events - 1]}));
            asked += 1;
            let acks = json!({ (events - 1).to_string(): asked >= polls });
            return Reply::json(200, json!({ "acks": acks }).to_string());
        }
        events += 1;
        let answer = json!({"text": "Success", "code": 0, "ackId": events - 1});
        Reply::json(200, answer.to_string())
    }
}

#[tokio::test]
async fn events_are_taken_once_they_are_acknowledged() {
    for (kind, path) in [
        (EventKind::Raw, "/services/collector/raw"),
        (EventKind::Event, "/services/collector/event"),
    ] {
        let fake = Fake::start(collector(3)).await;
        let splunk = splunk(&fake.url(""), kind, LONG);
        assert_eq!(splunk.attempt(&delivery(&["a\n", "b"])).await, Ok(Vec::new()));
        let seen = fake.seen();
        assert_eq!(seen.len(), 4, "one request with events, three questions");
        assert_eq!(seen[0].target, path);
        assert_eq!(seen[0].text(), "a\nb");
        let channels: Vec<_> =
            seen.iter().map(|seen| seen.header("x-splunk-request-channel").unwrap()).collect();
        assert!(channels.iter().all(|channel| *channel == channels[0]));
    }
}

#[tokio::test]
async fn an_endpoint_may_name_the_collector_s_path() {
    for path in
        ["/", "/services/collector", "/services/collector/event", "/services/collector/raw/"]
    {
        let fake = Fake::start(collector(1)).await;
        let splunk = splunk(&fake.url(path), EventKind::Raw, LONG);
        assert_eq!(splunk.attempt(&delivery(&["a"])).await, Ok(Vec::new()), "{path}");
        assert_eq!(fake.seen()[0].target, "/services/collector/raw");
    }
}

#[tokio::test]
async fn events_that_are_never_acknowledged_are_not_taken() {
    let fake = Fake::start(collector(u32::MAX)).await;
    let failure = splunk(&fake.url(""), EventKind::Raw, SHORT).attempt(&delivery(&["a"])).await;
    let failure = failure.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Splunk.AckTimeout", true));
    assert!(fake.seen().len() > 2, "it was asked again");
}

/// What becomes of events when questions for the acknowledgement are answered so.
async fn with_acknowledgement(
    reply: impl Fn(u32) -> Reply + Send + 'static,
) -> Result<(), Failure> {
    let mut asked = 0;
    let fake = Fake::start(move |seen| {
        if seen.target.starts_with("/services/collector/ack") {
            asked += 1;
            return reply(asked);
        }
        Reply::json(200, r#"{"text":"Success","code":0,"ackId":7}"#)
    })
    .await;
    let splunk = splunk(&fake.url(""), EventKind::Raw, SHORT);
    splunk.attempt(&delivery(&["a"])).await.map(drop)
}

#[tokio::test]
async fn a_question_that_fails_is_asked_again() {
    let done = r#"{"acks":{"7":true}}"#;
    for trouble in [
        || Reply::status(503),
        || Reply::Break,
        || Reply::json(200, "{}"),
        || Reply::json(200, r#"{"acks":{"6":true}}"#),
    ] {
        let outcome =
            with_acknowledgement(
                move |asked| if asked == 1 { trouble() } else { Reply::json(200, done) },
            );
        assert_eq!(outcome.await, Ok(()));
    }
    let failure = with_acknowledgement(|_| Reply::status(503)).await.unwrap_err();
    assert_eq!(failure.code, "Splunk.AckTimeout");
    assert!(failure.message.contains("the last question failed: Splunk.ServerError"));
    let failure = with_acknowledgement(|_| Reply::Silence).await.unwrap_err();
    assert_eq!(failure.code, "Splunk.AckTimeout");
}

#[tokio::test]
async fn a_collector_without_acknowledgements_is_told() {
    let disabled = r#"{"text":"ACK is disabled","code":14}"#;
    let failure = with_acknowledgement(move |_| Reply::json(400, disabled)).await.unwrap_err();
    assert_eq!(failure.code, "Splunk.DisabledAck");
    let unknown = r#"{"text":"Invalid data channel","code":11}"#;
    let failure = with_acknowledgement(move |_| Reply::json(400, unknown)).await.unwrap_err();
    assert_eq!(failure.code, "Splunk.ProxyWithoutStickySessions");
}

#[tokio::test]
async fn a_load_balancer_s_cookie_leads_back_to_the_same_collector() {
    let fake = Fake::start(|seen| {
        if seen.target.starts_with("/services/collector/ack") {
            let is_sticky = seen.header("cookie") == Some("AWSALB=node-2");
            let code = if is_sticky { r#"{"acks":{"7":true}}"# } else { r#"{"code":11}"# };
            return Reply::json(200, code);
        }
        Reply::json(200, r#"{"code":0,"ackId":7}"#).with("set-cookie", "AWSALB=node-2; Path=/")
    })
    .await;
    let splunk = splunk(&fake.url(""), EventKind::Raw, LONG);
    assert_eq!(splunk.attempt(&delivery(&["a"])).await, Ok(Vec::new()));
}

#[tokio::test]
async fn each_refusal_has_its_code_and_is_worth_another_try() {
    let rows = [
        (403, 1, "Splunk.DisabledToken"),
        (403, 4, "Splunk.InvalidToken"),
        (400, 6, "Splunk.InvalidDataFormat"),
        (400, 7, "Splunk.InvalidIndex"),
        (503, 9, "Splunk.ServerError"),
    ];
    for (status, code, expected) in rows {
        let fake =
            Fake::start(move |_| Reply::json(status, json!({"code": code}).to_string())).await;
        let failure = splunk(&fake.url(""), EventKind::Raw, SHORT).attempt(&delivery(&["a"])).await;
        let failure = failure.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.is_retryable), (expected, true));
        assert_eq!(fake.seen().len(), 1, "nothing to ask for");
    }
}

#[tokio::test]
async fn no_answer_has_the_code_of_its_reason() {
    let fake = Fake::start(|_| Reply::Break).await;
    let closed = splunk(&fake.url(""), EventKind::Raw, SHORT);
    let code = async |splunk: Splunk| splunk.attempt(&delivery(&["a"])).await.unwrap_err().code;
    assert_eq!(code(closed).await, "Splunk.ConnectionClosed");
    let gone = splunk(&format!("http://{}", nobody().await), EventKind::Raw, SHORT);
    assert_eq!(code(gone).await, "Splunk.InvalidEndpoint");
    let plain = Fake::start(|_| Reply::status(200)).await;
    let url = plain.url("").replace("http:", "https:");
    assert_eq!(code(splunk(&url, EventKind::Raw, SHORT)).await, "Splunk.SSLHandshake");
}
