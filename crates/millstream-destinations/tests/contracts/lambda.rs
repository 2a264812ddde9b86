//! A function behind a URL and behind a Lambda API.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use millstream_auth::sigv4::PathForm;
use millstream_destinations::Failure;
use millstream_destinations::lambda::{
    Function, FunctionEndpoint, Invocation, PAYLOAD_BYTES_MAX, SourceRecord, Verdict, event_bytes,
};
use serde_json::{Value, json};

use super::fake::{
    Fake, MakeReply, NOW, Reply, Seen, assert_signed, clock, credentials, nobody, outbound,
};

fn records(data: &[&str]) -> Vec<SourceRecord> {
    let record = |(data, index): (&&str, usize)| SourceRecord {
        id: format!("r{index}"),
        arrived: NOW,
        data: Bytes::copy_from_slice(data.as_bytes()),
        stream: None,
    };
    data.iter().zip(0..).map(record).collect()
}

async fn invoke(function: &Function, records: &[SourceRecord]) -> Result<Vec<Verdict>, Failure> {
    let invocation = Invocation {
        id: "11111111-2222-4333-8444-555555555555",
        delivery_stream_arn: "arn:aws:firehose:eu-west-1:1:deliverystream/d",
        source_stream_arn: None,
        region: "eu-west-1",
        records,
    };
    function.invoke(&invocation).await
}

/// Capitals for small letters; `drop` and `fail` do what they say.
fn upper(seen: &Seen) -> Reply {
    assert_eq!(seen.method, "POST");
    let rework = |record: &Value| {
        let data = base64_simd::STANDARD.decode_to_vec(record["data"].as_str().unwrap()).unwrap();
        let text = String::from_utf8(data).unwrap();
        let result = match text.as_str() {
            "drop" => "Dropped",
            "fail" => "ProcessingFailed",
            _ => "Ok",
        };
        let data = base64_simd::STANDARD.encode_to_string(text.to_uppercase());
        json!({"recordId": record["recordId"], "result": result, "data": data})
    };
    let records: Vec<Value> =
        seen.json()["records"].as_array().unwrap().iter().map(rework).collect();
    Reply::json(200, json!({ "records": records }).to_string())
}

fn url(url: String) -> Function {
    Function::new(&FunctionEndpoint::Url(url), outbound(), clock()).unwrap()
}

#[tokio::test]
async fn a_function_behind_a_url_reworks_records() {
    let fake = Fake::start(upper).await;
    let verdicts = invoke(&url(fake.url("/f?x=1")), &records(&["a", "drop", "fail", "b"])).await;
    let verdicts = verdicts.unwrap();
    let ok = |text: &'static str| Verdict::Ok {
        data: Bytes::from_static(text.as_bytes()),
        partition_keys: BTreeMap::default(),
    };
    assert_eq!((&verdicts[0], &verdicts[1], &verdicts[3]), (&ok("A"), &Verdict::Dropped, &ok("B")));
    let Verdict::Failed(failure) = &verdicts[2] else { panic!("{verdicts:?}") };
    assert_eq!(failure.code, "Lambda.ProcessingFailedStatus");
    assert_eq!(fake.seen()[0].target, "/f?x=1");
}

#[tokio::test]
async fn a_lambda_api_is_called_by_its_protocol_and_signed() {
    let fake = Fake::start(upper).await;
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:upper:$LATEST";
    for (function, path) in [
        ("upper", "/2015-03-31/functions/upper/invocations"),
        (
            arn,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aupper%3A%24LATEST/invocations",
        ),
    ] {
        let endpoint = FunctionEndpoint::Api {
            endpoint: Some(fake.url("")),
            region: "eu-west-1".to_owned(),
            function: function.to_owned(),
            credentials: Some(credentials()),
        };
        let function = Function::new(&endpoint, outbound(), clock()).unwrap();
        assert_eq!(invoke(&function, &records(&["a"])).await.unwrap().len(), 1);
        let seen = fake.seen().pop().unwrap();
        assert_eq!(seen.target, path);
        assert_eq!(seen.header("x-amz-invocation-type"), Some("RequestResponse"));
        assert_signed(&seen, "lambda", PathForm::Service);
    }
}

#[tokio::test]
async fn an_invocation_that_failed_is_told_and_worth_another_try() {
    let rows: [(MakeReply, &str); 8] = [
        (
            || {
                Reply::json(200, r#"{"errorMessage":"boom"}"#)
                    .with("x-amz-function-error", "Unhandled")
            },
            "Lambda.FunctionError",
        ),
        (|| Reply::json(200, r#"{"errorMessage":"boom"}"#), "Lambda.FunctionError"),
        (
            || Reply::json(404, "{}").with("x-amzn-errortype", "ResourceNotFoundException"),
            "Lambda.ResourceNotFound",
        ),
        (
            || Reply::json(403, "{}").with("x-amzn-errortype", "AccessDeniedException"),
            "Lambda.InvokeAccessDenied",
        ),
        (
            || Reply::json(429, "{}").with("x-amzn-errortype", "TooManyRequestsException"),
            "Lambda.InvokeLimitExceeded",
        ),
        (|| Reply::status(502), "Lambda.FunctionError"),
        (|| Reply::Silence, "Lambda.FunctionTimedOut"),
        (|| Reply::Break, "Lambda.ConnectionFailed"),
    ];
    for (reply, code) in rows {
        let fake = Fake::start(move |_| reply()).await;
        let function = url(fake.url("/")).wait_max(Duration::from_millis(300));
        let failure = invoke(&function, &records(&["a"])).await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.is_retryable), (code, true));
    }
    let gone = url(format!("http://{}/", nobody().await));
    let failure = invoke(&gone, &records(&["a"])).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Lambda.ConnectionFailed", true));
}

#[tokio::test]
async fn an_answer_that_was_given_is_final_however_it_is_shaped() {
    let rows = [
        ("", "Lambda.JsonProcessingException"),
        ("{}", "Lambda.MissingRecordId"),
        (r#"{"records":[{"recordId":"r0","result":"Ok"}]}"#, "Lambda.InvalidReturnFormat"),
    ];
    for (body, code) in rows {
        let fake = Fake::start(move |_| Reply::json(200, body)).await;
        let verdicts = invoke(&url(fake.url("/")), &records(&["a"])).await.unwrap();
        let [Verdict::Failed(failure)] = verdicts.as_slice() else { panic!("{verdicts:?}") };
        assert_eq!((failure.code.as_str(), failure.is_retryable), (code, false));
    }
}

#[tokio::test]
async fn six_megabytes_are_the_most_each_way() {
    let fake = Fake::start(upper).await;
    let large = "x".repeat(PAYLOAD_BYTES_MAX / 4 * 3);
    let too_much = records(&[&large]);
    assert!(event_bytes(&too_much) > PAYLOAD_BYTES_MAX);
    let failure = invoke(&url(fake.url("/")), &too_much).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Lambda.RequestTooLarge", false));
    assert!(fake.seen().is_empty(), "nothing was sent");
    let fits = records(&[&large[..large.len() - 4_096]]);
    assert!(event_bytes(&fits) <= PAYLOAD_BYTES_MAX);
    assert_eq!(invoke(&url(fake.url("/")), &fits).await.unwrap().len(), 1);
    let endless = Fake::start(|_| Reply::body(200, vec![b' '; PAYLOAD_BYTES_MAX + 1])).await;
    let failure = invoke(&url(endless.url("/")), &records(&["a"])).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("Lambda.ResponseTooLarge", false));
}
