//! A cluster that keeps documents, and refuses some.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millstream_auth::Secret;
use millstream_auth::sigv4::PathForm;
use millstream_destinations::Destination;
use millstream_destinations::opensearch::{Rotation, Search, SearchAuth, SearchConfig};
use serde_json::{Value, json};

use super::fake::{
    Fake, MakeReply, Reply, Seen, assert_signed, clock, credentials, delivery, nobody, outbound,
};

fn config(endpoint: &str) -> SearchConfig {
    SearchConfig {
        endpoint: endpoint.to_owned(),
        index: "logs".to_owned(),
        type_name: None,
        rotation: Rotation::Day,
        id_prefix: Some("u1".to_owned()),
        serverless: false,
        auth: SearchAuth::None,
    }
}

fn search(config: &SearchConfig) -> Search {
    Search::new(config, outbound(), clock()).unwrap()
}

type Kept = Arc<Mutex<BTreeMap<String, Value>>>;

/// A cluster that keeps documents by index and id, and asks `fault` for each what is wrong.
fn cluster(
    kept: Kept,
    fault: impl Fn(&Value) -> Option<Value> + Send,
) -> impl FnMut(&Seen) -> Reply + Send {
    move |seen| {
        assert_eq!(seen.method, "POST");
        assert_eq!(seen.header("content-type"), Some("application/x-ndjson"));
        assert!(seen.text().ends_with('\n'), "a bulk body ends with a line feed");
        let lines: Vec<Value> =
            seen.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut items = Vec::new();
        for pair in lines.chunks(2) {
            let (action, place) = pair[0].as_object().unwrap().iter().next().unwrap();
            let index = place["_index"].as_str().unwrap();
            let id =
                place["_id"].as_str().map_or_else(|| format!("#{}", items.len()), str::to_owned);
            let item = if let Some(fault) = fault(&pair[1]) {
                fault
            } else {
                let name = format!("{index}/{id}");
                let before = kept.lock().unwrap().insert(name, pair[1].clone());
                let status = if before.is_some() { 200 } else { 201 };
                json!({"_index": index, "_id": id, "status": status})
            };
            items.push(json!({ action: item }));
        }
        let errors = items.iter().any(|item| item.to_string().contains("error"));
        Reply::json(200, json!({"took": 1, "errors": errors, "items": items}).to_string())
    }
}

#[tokio::test]
async fn documents_are_kept_once_however_often_they_are_sent() {
    let kept = Kept::default();
    let fake = Fake::start(cluster(Arc::clone(&kept), |_| None)).await;
    let search = search(&config(&fake.url("/base/")));
    for _ in 0..2 {
        assert_eq!(search.attempt(&delivery(&[r#"{"a":1}"#, r#"{"a":2}"#])).await, Ok(Vec::new()));
    }
    assert_eq!(fake.seen()[0].target, "/base/_bulk");
    let kept: Vec<String> = kept.lock().unwrap().keys().cloned().collect();
    assert_eq!(kept, ["logs-2016-02-25/u1.0.0.0", "logs-2016-02-25/u1.0.1.0"]);
}

#[tokio::test]
async fn each_refused_document_is_told_with_its_name() {
    let fault = |document: &Value| match document["a"].as_u64() {
        Some(1) => Some(json!({"status": 400, "error": {"type": "mapper_parsing_exception"}})),
        Some(2) => Some(json!({"status": 429, "error": {"type": "rejected"}})),
        _ => None,
    };
    let fake = Fake::start(cluster(Kept::default(), fault)).await;
    let search = search(&config(&fake.url("")));
    let delivery = delivery(&[r#"{"a":0}"#, r#"{"a":1}"#, r#"{"a":2}"#]);
    let refused = search.attempt(&delivery).await.unwrap();
    let told: Vec<_> = refused
        .iter()
        .map(|(place, failure)| (*place, failure.code.as_str(), failure.is_retryable))
        .collect();
    assert_eq!(told, [(1, "400", false), (2, "429", true)]);
    assert_eq!(refused[0].1.message, r#"{"type":"mapper_parsing_exception"}"#);
    let details = [
        ("esDocumentId", "u1.0.1.0".to_owned()),
        ("esIndexName", "logs-2016-02-25".to_owned()),
        ("esTypeName", String::new()),
    ];
    assert_eq!(refused[0].1.details, details);
    assert_eq!(search.details(&delivery.documents[1]), details);
}

#[tokio::test]
async fn documents_that_are_too_large_together_are_sent_in_smaller_requests() {
    let kept = Kept::default();
    let mut keep = cluster(Arc::clone(&kept), |_| None);
    let limited =
        move |seen: &Seen| if seen.body.len() > 300 { Reply::status(413) } else { keep(seen) };
    let fake = Fake::start(limited).await;
    let search = search(&config(&fake.url("")));
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(400));
    let documents: Vec<&str> =
        (0..20).map(|number| if number == 7 { large.as_str() } else { "{}" }).collect();
    let refused = search.attempt(&delivery(&documents)).await.unwrap();
    let told: Vec<_> = refused
        .iter()
        .map(|(place, failure)| (*place, failure.code.as_str(), failure.is_retryable))
        .collect();
    assert_eq!(told, [(7, "413", false)]);
    assert_eq!(kept.lock().unwrap().len(), 19);
}

#[tokio::test]
async fn serverless_collections_create_without_ids_and_are_signed_for_aoss() {
    let fake = Fake::start(cluster(Kept::default(), |_| None)).await;
    let auth = SearchAuth::SigV4 { credentials: credentials(), region: "eu-west-1".to_owned() };
    let search = search(&SearchConfig { serverless: true, auth, ..config(&fake.url("")) });
    let delivery = delivery(&["{}"]);
    assert_eq!(search.attempt(&delivery).await, Ok(Vec::new()));
    let seen = &fake.seen()[0];
    assert_eq!(seen.target, "/logs/_bulk");
    assert_eq!(seen.text(), "{\"create\":{\"_index\":\"logs\"}}\n{}\n");
    assert_signed(seen, "aoss", PathForm::Service);
    assert!(seen.header("x-amz-content-sha256").is_some());
    let details = [("osDocumentId", String::new()), ("osIndexName", "logs".to_owned())];
    assert_eq!(search.details(&delivery.documents[0]), details);
}

#[tokio::test]
async fn a_caller_shows_who_it_is_in_each_way() {
    let fake = Fake::start(cluster(Kept::default(), |_| None)).await;
    let in_url = fake.url("").replace("http://", "http://me:secret@");
    let user = ("me".to_owned(), Secret::from("secret"));
    let basic = SearchAuth::Basic { user: user.0, password: user.1 };
    let signed = SearchAuth::SigV4 { credentials: credentials(), region: "eu-west-1".to_owned() };
    for (endpoint, auth) in
        [(in_url, SearchAuth::None), (fake.url(""), basic), (fake.url("/b"), signed)]
    {
        let search = search(&SearchConfig { auth, ..config(&endpoint) });
        assert_eq!(search.attempt(&delivery(&["{}"])).await, Ok(Vec::new()));
    }
    let seen = fake.seen();
    assert_eq!(seen[0].header("authorization"), Some("Basic bWU6c2VjcmV0"));
    assert_eq!(seen[1].header("authorization"), Some("Basic bWU6c2VjcmV0"));
    assert_signed(&seen[2], "es", PathForm::Service);
}

#[tokio::test]
async fn what_was_kept_before_a_request_failed_is_not_reported_lost() {
    let mut requests = 0;
    let fake = Fake::start(move |_| {
        requests += 1;
        if requests == 2 {
            return Reply::status(503);
        }
        Reply::json(200, r#"{"errors":false,"items":[{"index":{"status":201}}]}"#)
    })
    .await;
    // Each document needs a request of its own.
    let search = search(&config(&fake.url(""))).bulk_bytes_max(100);
    let refused = search.attempt(&delivery(&["{}", "{}", "{}"])).await.unwrap();
    let told: Vec<_> =
        refused.iter().map(|(place, failure)| (*place, failure.code.as_str())).collect();
    assert_eq!(told, [(1, "503"), (2, "503")]);
    assert_eq!(fake.seen().len(), 2, "what comes behind is not tried");
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_well_has_taken_nothing() {
    let rows: [(MakeReply, &str); 5] = [
        (|| Reply::status(503), "503"),
        (|| Reply::status(302), "302"),
        (|| Reply::json(200, r#"{"errors":false,"items":[]}"#), "500"),
        (|| Reply::Break, "OS.ConnectionReset"),
        (|| Reply::json(429, "busy"), "429"),
    ];
    for (reply, code) in rows {
        let fake = Fake::start(move |_| reply()).await;
        let failure = search(&config(&fake.url(""))).attempt(&delivery(&["{}"])).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.is_retryable), (code, true));
    }
    let gone = search(&config(&format!("http://{}", nobody().await)));
    assert_eq!(gone.attempt(&delivery(&["{}"])).await.unwrap_err().code, "OS.ConnectionFailed");
}
