//! What a function's answer means for each record.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{SourceRecord, Verdict};
use crate::Failure;
use crate::outbound::Answer;

/// How much of an answer is repeated in a message.
const EXCERPT_CHARS_MAX: usize = 512;

/// Whether the function ran and ended well.
pub(super) fn check(answer: &Answer) -> Result<(), Failure> {
    if answer.status == StatusCode::OK {
        if answer.headers.contains_key("x-amz-function-error") || tells_an_error(answer) {
            let excerpt = answer.excerpt(EXCERPT_CHARS_MAX);
            return Err(Failure::retryable(
                "Lambda.FunctionError",
                format!(
                    "The Lambda function was successfully invoked but it returned an error \
                     result. ({excerpt})"
                ),
            ));
        }
        return Ok(());
    }
    Err(refused(answer))
}

/// Whether an answer is what runtimes say for a function that threw: some, behind a plain URL,
/// leave out the header.
fn tells_an_error(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        error_message: Option<IgnoredAny>,
        records: Option<IgnoredAny>,
    }
    let told = serde_json::from_slice::<Told>(&answer.body);
    told.is_ok_and(|told| told.error_message.is_some() && told.records.is_none())
}

/// What a Lambda API's errors mean (documented: each code and its sentence).
fn refused(answer: &Answer) -> Failure {
    let kind = answer.header("x-amzn-errortype").unwrap_or_default();
    // As `TooManyRequestsException:http://internal.amazon.com/coral/...`.
    let kind = kind.split(':').next().unwrap_or_default();
    let status = answer.status.as_u16();
    let (code, sentence) = match (kind, status) {
        ("ResourceNotFoundException", _) | ("", 404) => (
            "Lambda.ResourceNotFound",
            "The specified Lambda function does not exist. Use a different function that does \
             exist.",
        ),
        ("TooManyRequestsException", _) | ("", 429) => (
            "Lambda.InvokeLimitExceeded",
            "The Lambda concurrent execution limit is exceeded. Increase the concurrent execution \
             limit.",
        ),
        ("AccessDeniedException", _) | ("", 401 | 403) => (
            "Lambda.InvokeAccessDenied",
            "Access was denied. Ensure that the access policy allows access to the Lambda \
             function.",
        ),
        ("InvalidSubnetIDException", _) => (
            "Lambda.InvalidSubnetIDException",
            "The specified subnet ID in the Lambda function VPC configuration is invalid. Ensure \
             that the subnet ID is valid.",
        ),
        ("InvalidSecurityGroupIDException", _) => (
            "Lambda.InvalidSecurityGroupIDException",
            "The specified security group ID in the Lambda function VPC configuration is invalid. \
             Ensure that the security group ID is valid.",
        ),
        ("SubnetIPAddressLimitReachedException", _) => (
            "Lambda.SubnetIPAddressLimitReachedException",
            "AWS Lambda was not able to set up the VPC access for the Lambda function because one \
             or more configured subnets have no available IP addresses. Increase the IP address \
             limit.",
        ),
        ("ENILimitReachedException", _) => (
            "Lambda.ENILimitReachedException",
            "AWS Lambda was not able to create an Elastic Network Interface (ENI) in the VPC, \
             specified as part of the Lambda function configuration, because the limit for \
             network interfaces has been reached. Increase the network interface limit.",
        ),
        ("", _) => ("Lambda.FunctionError", "The function could not be invoked."),
        (kind, _) => {
            let message = format!("{status}: {}", answer.excerpt(EXCERPT_CHARS_MAX));
            return Failure::retryable(format!("Lambda.{kind}"), message);
        }
    };
    let excerpt = answer.excerpt(EXCERPT_CHARS_MAX);
    Failure::retryable(code, format!("{sentence} ({status}: {excerpt})"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reworked {
    result: Option<String>,
    data: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    partition_keys: Option<BTreeMap<String, Value>>,
    /// Which table the record is for, and what is to be done with it there.
    otf_metadata: Option<BTreeMap<String, Value>>,
}

/// A verdict for each record, in order. Records of the answer that were never sent are ignored.
pub(super) fn verdicts(answer: &Answer, records: &[SourceRecord]) -> Vec<Verdict> {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
        return vec![Verdict::Failed(unparsable()); records.len()];
    };
    let mut by_id: HashMap<String, Vec<Value>> = HashMap::with_capacity(records.len());
    if let Some(Value::Array(reworked)) = body.get_mut("records").map(Value::take) {
        for record in reworked {
            let id = record.get("recordId").and_then(Value::as_str).map(str::to_owned);
            if let Some(id) = id {
                by_id.entry(id).or_default().push(record);
            }
        }
    }
    let verdict = |record: &SourceRecord| match by_id.remove(&record.id) {
        None => Verdict::Failed(missing()),
        Some(mut found) => match (found.pop(), found.is_empty()) {
            (Some(only), true) => verdict_of(only),
            _ => Verdict::Failed(duplicated()),
        },
    };
    records.iter().map(verdict).collect()
}

fn verdict_of(record: Value) -> Verdict {
    let Ok(record) = serde_json::from_value::<Reworked>(record) else {
        return Verdict::Failed(unparsable());
    };
    match record.result.as_deref() {
        Some("Dropped") => Verdict::Dropped,
        Some("ProcessingFailed") => Verdict::Failed(Failure::permanent(
            "Lambda.ProcessingFailedStatus",
            "ProcessingFailed status set for record",
        )),
        Some("Ok") => ok(record.data, record.metadata).unwrap_or_else(Verdict::Failed),
        _ => Verdict::Failed(invalid_form(
            "The result field must be one of Ok, Dropped or ProcessingFailed.",
        )),
    }
}

fn ok(data: Option<String>, metadata: Option<Metadata>) -> Result<Verdict, Failure> {
    let data = data.ok_or_else(|| {
        invalid_form(
            "The data field cannot be null when the SourceType is DirectPut or \
             KinesisStreamAsSource and processing result is Ok. The value field cannot be null \
             when the SourceType is MSKAsSource and processing result is Ok.",
        )
    })?;
    let data = base64_simd::STANDARD
        .decode_to_vec(data.as_bytes())
        .map_err(|_| invalid_form("The data field must be base64 encoded."))?;
    let Metadata { partition_keys: keys, otf_metadata } = metadata.unwrap_or_default();
    // What names a table is as good as a key: both say where the record goes. What is null is not
    // said.
    let tables = otf_metadata.into_iter().flatten().filter(|(_, value)| !value.is_null());
    let mut partition_keys = BTreeMap::new();
    for (name, value) in keys.into_iter().flatten().chain(tables) {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(unparsable()),
        };
        partition_keys.insert(name, value);
    }
    Ok(Verdict::Ok { data: Bytes::from(data), partition_keys })
}

fn invalid_form(message: &str) -> Failure {
    Failure::permanent("Lambda.InvalidReturnFormat", message)
}

fn unparsable() -> Failure {
    Failure::permanent(
        "Lambda.JsonProcessingException",
        "There was an error parsing returned records from the Lambda function. Ensure that the \
         returned records follow the status model required by Firehose.",
    )
}

fn missing() -> Failure {
    Failure::permanent(
        "Lambda.MissingRecordId",
        "One or more record Ids were not returned. Ensure that the Lambda function returns all \
         received record Ids.",
    )
}

fn duplicated() -> Failure {
    Failure::permanent(
        "Lambda.DuplicatedRecordId",
        "Multiple records were returned with the same record Id. Ensure that the Lambda function \
         returns a unique record Id for each record.",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::HeaderValue;
    use millstream_core::Timestamp;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status, headers: HeaderMap::new(), body }
    }

    fn records(ids: &[&str]) -> Vec<SourceRecord> {
        let record = |id: &&str| SourceRecord {
            id: (*id).to_owned(),
            arrived: Timestamp::from_ms(0),
            data: Bytes::new(),
            stream: None,
        };
        ids.iter().map(record).collect()
    }

    fn codes(body: &str, ids: &[&str]) -> Vec<String> {
        let name = |verdict: &Verdict| match verdict {
            Verdict::Ok { data, .. } => format!("Ok {}", String::from_utf8_lossy(data)),
            Verdict::Dropped => "Dropped".to_owned(),
            Verdict::Failed(failure) => {
                assert!(!failure.is_retryable, "an answer is final");
                failure.code.clone()
            }
        };
        verdicts(&answer(200, body), &records(ids)).iter().map(name).collect()
    }

    #[test]
    fn each_record_has_its_own_verdict_whatever_the_order() {
        let body = r#"{"records":[
            {"recordId":"c","result":"ProcessingFailed","data":"eA=="},
            {"recordId":"a","result":"Ok","data":"QQ=="},
            {"recordId":"b","result":"Dropped"},
            {"recordId":"stranger","result":"Ok","data":"eA=="},
            {"recordId":"e","result":"Ok","data":"eA=="},
            {"recordId":"e","result":"Ok","data":"eA=="},
            {"recordId":"f","result":"ok","data":"eA=="},
            {"recordId":"g","result":"Ok"},
            {"recordId":"h","result":"Ok","data":"?"},
            {"recordId":"i","result":"Ok","data":""},
            {"recordId":"j","result":7},
            {"result":"Ok","data":"eA=="}, 7]}"#;
        assert_eq!(
            codes(body, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]),
            [
                "Ok A",
                "Dropped",
                "Lambda.ProcessingFailedStatus",
                "Lambda.MissingRecordId",
                "Lambda.DuplicatedRecordId",
                "Lambda.InvalidReturnFormat",
                "Lambda.InvalidReturnFormat",
                "Lambda.InvalidReturnFormat",
                "Ok ",
                "Lambda.JsonProcessingException",
            ]
        );
    }

    #[test]
    fn an_answer_without_records_leaves_them_all_missing() {
        for body in ["{}", "[]", "null", r#"{"records":null}"#, r#"{"records":{}}"#, "7"] {
            assert_eq!(codes(body, &["a"]), ["Lambda.MissingRecordId"], "{body}");
        }
        for body in ["", "{", "<html>"] {
            assert_eq!(codes(body, &["a"]), ["Lambda.JsonProcessingException"], "{body}");
        }
    }

    #[test]
    fn partition_keys_come_along() {
        let body = r#"{"records":[{"recordId":"a","result":"Ok","data":"eA==",
            "metadata":{"partitionKeys":{"customer":"7","year":2026,"vip":true}}}]}"#;
        let verdicts = verdicts(&answer(200, body), &records(&["a"]));
        let Verdict::Ok { partition_keys, .. } = &verdicts[0] else { panic!("{verdicts:?}") };
        let keys: Vec<_> = partition_keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(keys, ["customer=7", "vip=true", "year=2026"]);
        let body = r#"{"records":[{"recordId":"a","result":"Ok","data":"eA==",
            "metadata":{"partitionKeys":{"customer":null}}}]}"#;
        assert_eq!(codes(body, &["a"]), ["Lambda.JsonProcessingException"]);
    }

    #[test]
    fn the_names_of_a_table_are_keys_too() {
        let body = r#"{"records":[{"recordId":"a","result":"Ok","data":"eA==","metadata":{"otfMetadata":
            {"destinationDatabaseName":"d","destinationTableName":"t","operation":null}}}]}"#;
        let verdicts = verdicts(&answer(200, body), &records(&["a"]));
        let Verdict::Ok { partition_keys, .. } = &verdicts[0] else { panic!("{verdicts:?}") };
        let keys: Vec<_> = partition_keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(keys, ["destinationDatabaseName=d", "destinationTableName=t"]);
    }

    #[test]
    fn an_invocation_that_failed_is_worth_another_try() {
        let mut error = answer(200, r#"{"errorMessage":"boom"}"#);
        error.headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
        let failure = check(&error).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.is_retryable), ("Lambda.FunctionError", true));
        let unsaid = answer(200, r#"{"errorMessage":"boom","errorType":"Error"}"#);
        assert_eq!(check(&unsaid).unwrap_err().code, "Lambda.FunctionError");
        assert!(check(&answer(200, r#"{"errorMessage":"","records":[]}"#)).is_ok());
        assert!(check(&answer(200, "{}")).is_ok());
        let rows = [
            (404, "ResourceNotFoundException", "Lambda.ResourceNotFound"),
            (403, "AccessDeniedException", "Lambda.InvokeAccessDenied"),
            (429, "TooManyRequestsException:http://x/", "Lambda.InvokeLimitExceeded"),
            (502, "ENILimitReachedException", "Lambda.ENILimitReachedException"),
            (500, "ServiceException", "Lambda.ServiceException"),
            (404, "", "Lambda.ResourceNotFound"),
            (429, "", "Lambda.InvokeLimitExceeded"),
            (500, "", "Lambda.FunctionError"),
            (302, "", "Lambda.FunctionError"),
        ];
        for (status, kind, code) in rows {
            let mut answer = answer(status, "why");
            if !kind.is_empty() {
                answer.headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
            }
            let failure = check(&answer).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.is_retryable), (code, true));
        }
    }
}
