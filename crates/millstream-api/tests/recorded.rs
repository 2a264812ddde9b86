//! Sentences about bad inputs, as they were recorded against the service.
//!
//! Each row is an operation's input and the whole text of the error. Where the model's bounds
//! have moved since the recording, the row has today's number and the recorded words.

use bytes::Bytes;
use millstream_api::kinesis as k;
use millstream_wire::{Codec, Decode, InputError, decode_input};

const NAME: &str = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
const LONG: &str = "Member must have length greater than or equal to 1";
const NULL: &str = "Member must not be null";

fn refusal<T: Decode>(json: &str) -> InputError {
    match decode_input::<T>(Codec::Json11, &Bytes::copy_from_slice(json.as_bytes())) {
        Ok(_) => panic!("accepted: {json}"),
        Err(error) => error,
    }
}

/// Each violation is (value with its quotes, member, constraint).
fn violates<T: Decode>(json: &str, violations: &[(&str, &str, &str)]) {
    let count = violations.len();
    let plural = if count == 1 { "" } else { "s" };
    let told: Vec<String> = violations
        .iter()
        .map(|(value, member, constraint)| {
            format!("Value {value} at '{member}' failed to satisfy constraint: {constraint}")
        })
        .collect();
    let expected = format!("{count} validation error{plural} detected: {}", told.join("; "));
    assert_eq!(refusal::<T>(json), InputError::Validation(expected), "{json}");
}

#[test]
fn what_is_missing_is_null_in_the_recorded_order() {
    violates::<k::PutRecordInput>("{}", &[("null", "partitionKey", NULL), ("null", "data", NULL)]);
    violates::<k::PutRecordsInput>("{}", &[("null", "records", NULL)]);
    violates::<k::GetShardIteratorInput>(
        r#"{"ShardId":null}"#,
        &[("null", "shardId", NULL), ("null", "shardIteratorType", NULL)],
    );
    violates::<k::MergeShardsInput>(
        "",
        &[("null", "shardToMerge", NULL), ("null", "adjacentShardToMerge", NULL)],
    );
    violates::<k::PutRecordsInput>(
        r#"{"Records":[{"Data":"","PartitionKey":"a"},{"ExplicitHashKey":"0"}, null]}"#,
        &[
            ("null", "records.2.member.partitionKey", NULL),
            ("null", "records.2.member.data", NULL),
            ("null", "records.3.member", NULL),
        ],
    );
}

#[test]
fn empty_texts_violate_pattern_then_length() {
    violates::<k::DescribeStreamInput>(
        r#"{"StreamName":"","Limit":0,"ExclusiveStartShardId":""}"#,
        &[
            ("'0'", "limit", "Member must have value greater than or equal to 1"),
            ("''", "exclusiveStartShardId", NAME),
            ("''", "exclusiveStartShardId", LONG),
            ("''", "streamName", NAME),
            ("''", "streamName", LONG),
        ],
    );
    violates::<k::GetShardIteratorInput>(
        r#"{"StreamName":"","ShardIteratorType":"","ShardId":"","StartingSequenceNumber":""}"#,
        &[
            ("''", "shardId", NAME),
            ("''", "shardId", LONG),
            (
                "''",
                "shardIteratorType",
                "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, \
                 AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
            ),
            (
                "''",
                "startingSequenceNumber",
                r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})",
            ),
            ("''", "streamName", NAME),
            ("''", "streamName", LONG),
        ],
    );
    violates::<k::ListShardsInput>(
        r#"{"StreamName":"","NextToken":"","MaxResults":0,"ExclusiveStartShardId":""}"#,
        &[
            ("'0'", "maxResults", "Member must have value greater than or equal to 1"),
            ("''", "exclusiveStartShardId", NAME),
            ("''", "exclusiveStartShardId", LONG),
            ("''", "streamName", NAME),
            ("''", "streamName", LONG),
            ("''", "nextToken", LONG),
        ],
    );
    violates::<k::SplitShardInput>(
        r#"{"StreamName":"","ShardToSplit":"","NewStartingHashKey":""}"#,
        &[
            (
                "''",
                "newStartingHashKey",
                r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})",
            ),
            ("''", "streamName", NAME),
            ("''", "streamName", LONG),
            ("''", "shardToSplit", NAME),
            ("''", "shardToSplit", LONG),
        ],
    );
}

#[test]
fn what_is_too_long_is_shown_whole() {
    let name = "a".repeat(129);
    let key = "a".repeat(257);
    let data = base64_of_zeros(10_485_761);
    violates::<k::PutRecordsInput>(
        &format!(
            r#"{{"StreamName":"{name}","Records":[{{"PartitionKey":"{key}","Data":"{data}","ExplicitHashKey":""}}]}}"#
        ),
        &[
            (
                &format!("'{key}'"),
                "records.1.member.partitionKey",
                "Member must have length less than or equal to 256",
            ),
            (
                "''",
                "records.1.member.explicitHashKey",
                r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})",
            ),
            (
                "'java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]'",
                "records.1.member.data",
                "Member must have length less than or equal to 10485760",
            ),
            (
                &format!("'{name}'"),
                "streamName",
                "Member must have length less than or equal to 128",
            ),
        ],
    );
    violates::<k::CreateStreamInput>(
        &format!(r#"{{"StreamName":"{name}"}}"#),
        &[(
            &format!("'{name}'"),
            "streamName",
            "Member must have length less than or equal to 128",
        )],
    );
}

#[test]
fn a_partition_key_is_counted_in_characters() {
    let key = "\u{1F600}".repeat(256);
    let json = format!(r#"{{"StreamName":"a","Data":"","PartitionKey":"{key}"}}"#);
    let body = Bytes::from(json);
    let input: k::PutRecordInput = decode_input(Codec::Json11, &body).unwrap();
    assert_eq!(input.partition_key, key);
}

#[test]
fn only_the_first_ten_violations_are_told() {
    let record = r#"{"PartitionKey":"","Data":""}"#;
    let records = vec![record; 501].join(",");
    let InputError::Validation(text) =
        refusal::<k::PutRecordsInput>(&format!(r#"{{"StreamName":"","Records":[{records}]}}"#))
    else {
        panic!("a type error");
    };
    assert!(text.starts_with("10 validation errors detected: Value '[com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry@"), "{text}");
    assert_eq!(text.matches("PutRecordsRequestEntry@").count(), 501);
    assert!(text.contains("at 'records' failed to satisfy constraint: Member must have length less than or equal to 500; Value '' at 'records.1.member.partitionKey'"));
    assert!(text.ends_with(&format!(
        "at 'records.9.member.partitionKey' failed to satisfy constraint: {LONG}"
    )));
}

#[test]
fn items_of_lists_and_maps_are_told_in_one_sentence() {
    let name = "a".repeat(129);
    violates::<k::RemoveTagsFromStreamInput>(
        &format!(r#"{{"StreamName":"s","TagKeys":["a","{name}","b"]}}"#),
        &[(
            &format!("'[a, {name}, b]'"),
            "tagKeys",
            "Member must satisfy constraint: [Member must have length less than or equal to 128, \
             Member must have length greater than or equal to 1]",
        )],
    );
    violates::<k::AddTagsToStreamInput>(
        &format!(r#"{{"StreamName":"s","Tags":{{"a":"1","{name}":"3"}}}}"#),
        &[(
            &format!("'{{a=1, {name}=3}}'"),
            "tags",
            "Map keys must satisfy constraint: [Member must have length less than or equal to \
             128, Member must have length greater than or equal to 1]",
        )],
    );
    let value = "a".repeat(257);
    violates::<k::AddTagsToStreamInput>(
        &format!(r#"{{"StreamName":"s","Tags":{{"c":"{value}"}}}}"#),
        &[(
            &format!("'{{c={value}}}'"),
            "tags",
            "Map value must satisfy constraint: [Member must have length less than or equal to \
             256, Member must have length greater than or equal to 0]",
        )],
    );
    violates::<k::AddTagsToStreamInput>(
        r#"{"StreamName":"","Tags":{}}"#,
        &[("'{}'", "tags", LONG), ("''", "streamName", NAME), ("''", "streamName", LONG)],
    );
    violates::<k::EnableEnhancedMonitoringInput>(
        r#"{"StreamName":"s","ShardLevelMetrics":["IncomingBytes","x"]}"#,
        &[(
            "'[IncomingBytes, x]'",
            "shardLevelMetrics",
            "Member must satisfy constraint: [Member must satisfy enum value set: \
             [IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, \
             WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, \
             IteratorAgeMilliseconds, ALL]]",
        )],
    );
}

#[test]
fn numbers_are_cut_to_their_type_before_they_are_judged() {
    violates::<k::ListStreamsInput>(
        r#"{"Limit":100000000000}"#,
        &[("'2147483647'", "limit", "Member must have value less than or equal to 10000")],
    );
    violates::<k::ListStreamsInput>(
        r#"{"Limit":1e999}"#,
        &[("'2147483647'", "limit", "Member must have value less than or equal to 10000")],
    );
    let body = Bytes::from_static(br#"{"Limit":7.9}"#);
    let input: k::ListStreamsInput = decode_input(Codec::Json11, &body).unwrap();
    assert_eq!(input.limit, Some(7));
    violates::<k::IncreaseStreamRetentionPeriodInput>(
        r#"{"StreamName":"","RetentionPeriodHours":-1}"#,
        &[
            ("'-1'", "retentionPeriodHours", "Member must have value greater than or equal to 1"),
            ("''", "streamName", NAME),
            ("''", "streamName", LONG),
        ],
    );
}

const LIST: &str = "Start of list found where not expected";
const MAP: &str = "Start of structure or map found where not expected.";
const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";

/// Puts each value where `template` has `$` and compares the error's text.
fn mistypes<T: Decode>(template: &str, rows: &[(&str, &str)]) {
    for (value, expected) in rows {
        let json = template.replace('$', value);
        let expected = InputError::Serialization((*expected).to_owned());
        assert_eq!(refusal::<T>(&json), expected, "{json}");
    }
}

#[test]
fn values_of_the_wrong_type_are_told_as_recorded() {
    let no_string = format!("{NUMBER} can not be converted to an String");
    mistypes::<k::DescribeStreamInput>(
        r#"{"StreamName":$}"#,
        &[
            ("true", "class java.lang.Boolean can not be converted to an String"),
            ("23", &no_string),
            ("-2147483648", &no_string),
            ("34.56", &no_string),
            ("[]", LIST),
            ("{}", MAP),
        ],
    );
    mistypes::<k::DescribeStreamInput>(
        r#"{"Limit":$}"#,
        &[
            (r#""23""#, "class java.lang.String can not be converted to an Integer"),
            ("true", "class java.lang.Boolean can not be converted to an Integer"),
            ("[]", LIST),
            ("{}", MAP),
        ],
    );
    let no_blob = format!("{NUMBER} can not be converted to a Blob");
    mistypes::<k::PutRecordsInput>(
        r#"{"Records":[{"Data":$}]}"#,
        &[
            ("true", "class java.lang.Boolean can not be converted to a Blob"),
            ("23", &no_blob),
            ("34.56", &no_blob),
            ("[]", LIST),
            ("{}", MAP),
            (
                r#""23456""#,
                "'23456' can not be converted to a Blob: Base64 encoded length is expected a \
                 multiple of 4 bytes but found: 5",
            ),
            (r#""=+/=""#, "'=+/=' can not be converted to a Blob: Invalid Base64 character: '='"),
            (
                r#""+/+=""#,
                "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character \
                 dectected",
            ),
        ],
    );
    mistypes::<k::GetShardIteratorInput>(
        r#"{"Timestamp":$}"#,
        &[
            (r#""23""#, "class java.lang.String can not be converted to milliseconds since epoch"),
            ("true", "class java.lang.Boolean can not be converted to milliseconds since epoch"),
            ("[]", LIST),
            ("{}", MAP),
        ],
    );
    mistypes::<k::DeleteStreamInput>(
        r#"{"EnforceConsumerDeletion":$}"#,
        &[
            (r#""23""#, "'23' can not be converted to an Boolean"),
            ("23", &format!("{NUMBER} can not be converted to an Boolean")),
            ("[]", LIST),
            ("{}", MAP),
        ],
    );
}

#[test]
fn containers_of_the_wrong_type_are_told_as_recorded() {
    let scalars = [r#""23""#, "true", "23", "-2147483648", "34.56"];
    for scalar in scalars {
        mistypes::<k::PutRecordsInput>(r#"{"Records":$}"#, &[(scalar, "Expected list or null")]);
        mistypes::<k::PutRecordsInput>(r#"{"Records":[$]}"#, &[(scalar, "Expected null")]);
        mistypes::<k::AddTagsToStreamInput>(r#"{"Tags":$}"#, &[(scalar, "Expected map or null")]);
        mistypes::<k::ListStreamsInput>("$", &[(scalar, "Expected null")]);
    }
    mistypes::<k::PutRecordsInput>(r#"{"Records":$}"#, &[("{}", MAP)]);
    mistypes::<k::PutRecordsInput>(r#"{"Records":[$]}"#, &[("[]", LIST)]);
    mistypes::<k::AddTagsToStreamInput>(r#"{"Tags":$}"#, &[("[]", LIST)]);
}

#[test]
fn a_type_error_wins_over_violations() {
    mistypes::<k::DescribeStreamInput>(
        r#"{"StreamName":"","Limit":$}"#,
        &[("true", "class java.lang.Boolean can not be converted to an Integer")],
    );
}

fn base64_of_zeros(bytes: usize) -> String {
    let padding = (3 - bytes % 3) % 3;
    let mut text = "A".repeat(bytes.div_ceil(3) * 4 - padding);
    text.push_str(&"=".repeat(padding));
    text
}
