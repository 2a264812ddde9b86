//! Prefixes, by the guide's rows and the service's sentences.

use proptest::prelude::*;

use super::*;

/// 10:30 on 27 August 2018, as in the guide's examples.
const AT: Timestamp = Timestamp::from_seconds(1_535_365_800);
const MOMENT: Moment<'static> = Moment { at: AT, zone: &Zone::UTC };

fn random() -> [u8; 8] {
    [0x5a, 0xbf, 0x82, 0xda, 0xaa, 0x5f, 0xff, 0xff]
}

fn evaluate(prefix: &str) -> String {
    let prefix = Prefix::parse(prefix, Rules::Objects).unwrap();
    prefix.evaluate(&MOMENT, &PartitionKeys::default(), &mut random).unwrap()
}

fn evaluate_error(prefix: &str, error_prefix: Option<&str>) -> String {
    let prefix = Prefix::parse(prefix, Rules::Objects).unwrap();
    let error_prefix = ErrorPrefix::parse(error_prefix, &prefix).unwrap();
    error_prefix.evaluate(&MOMENT, "processing-failed", &mut random).unwrap()
}

/// The table "Example prefixes" of the guide, evaluated at the instant its heading names (its
/// cells name others here and there; the last row lacks the hour that its rules promise).
#[test]
fn the_guides_examples_evaluate_as_it_says() {
    let rows = [
        (
            "",
            Some("myFirehoseFailures/!{firehose:error-output-type}/"),
            "2018/08/27/10/",
            "myFirehoseFailures/processing-failed/",
        ),
        (
            "myFirehose/DeliveredYear=!{timestamp:yyyy}/anyMonth/rand=!{firehose:random-string}",
            Some(
                "myFirehoseFailures/!{firehose:error-output-type}/!{timestamp:yyyy}/anyMonth/!{timestamp:dd}",
            ),
            "myFirehose/DeliveredYear=2018/anyMonth/rand=5abf82daaa5",
            "myFirehoseFailures/processing-failed/2018/anyMonth/27",
        ),
        (
            "myPrefix/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/",
            Some(
                "myErrorPrefix/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/!{firehose:error-output-type}",
            ),
            "myPrefix/year=2018/month=08/day=27/hour=10/",
            "myErrorPrefix/year=2018/month=08/day=27/hour=10/processing-failed",
        ),
        (
            "",
            Some(
                "myErrorPrefix/!{timestamp:'year='yyyy'/month='MM'/day='dd'/hour='HH}/!{firehose:error-output-type}",
            ),
            "2018/08/27/10/",
            "myErrorPrefix/year=2018/month=08/day=27/hour=10/processing-failed",
        ),
        (
            "myFirehosePrefix/",
            None,
            "myFirehosePrefix/2018/08/27/10/",
            "myFirehosePrefix/processing-failed/2018/08/27/10/",
        ),
        (
            "myPrefix/!{firehose:random-string}/",
            Some("myPrefix/result=!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}"),
            "myPrefix/5abf82daaa5/2018/08/27/10/",
            "myPrefix/result=processing-failed/2018/08/27",
        ),
    ];
    for (prefix, error_prefix, expected, expected_error) in rows {
        assert_eq!(evaluate(prefix), expected);
        assert_eq!(evaluate_error(prefix, error_prefix), expected_error);
    }
}

#[test]
fn a_prefix_without_expressions_is_taken_as_it_is() {
    assert_eq!(evaluate("logs"), "logs2018/08/27/10/");
    assert_eq!(evaluate_error("logs", Some("bad")), "bad");
    assert_eq!(evaluate("50% {off} !/"), "50% {off} !/2018/08/27/10/");
}

#[test]
fn each_random_string_is_a_new_one() {
    let prefix = Prefix::parse(
        "!{firehose:random-string}-!{firehose:random-string}!{timestamp:yyyy}",
        Rules::Objects,
    );
    let mut next = 0_u8;
    let mut random = || {
        next += 1;
        [next; 8]
    };
    let value = prefix.unwrap().evaluate(&MOMENT, &PartitionKeys::default(), &mut random).unwrap();
    assert_eq!(value, "01010101010-020202020202018");
}

#[test]
fn what_the_rules_forbid_is_refused_in_the_services_words() {
    let refused = |prefix, rules| Prefix::parse(prefix, rules).unwrap_err().to_string();
    let rows = [
        ("a!{", Rules::Objects, "Invalid expression usage"),
        ("a!{timestamp", Rules::Objects, "Invalid expression usage"),
        ("a!{timestamp}", Rules::Objects, "Invalid expression usage"),
        ("a!{:yyyy}", Rules::Objects, "Invalid expression usage"),
        ("!{timestamp:!{timestamp:yyyy}}", Rules::Objects, "Invalid expression usage"),
        ("!{partitionKeyFromQuery:}", Rules::Partitioned, "Invalid expression usage"),
        ("!{rand-int:1}", Rules::Objects, "Invalid expression usage"),
        (
            "!{Timestamp:yyyy}",
            Rules::Objects,
            "Namespace to the left of colon (Timestamp) is an invalid keyword!",
        ),
        (
            "!{timestamp:yyyy-T}",
            Rules::Objects,
            "Invalid conversion character used in the value of the expression in Prefix",
        ),
        (
            "!{firehose:rand-int}",
            Rules::Objects,
            "Invalid conversion character used in the value of the expression in Prefix",
        ),
        (
            "!{firehose:error-output-type}/",
            Rules::Objects,
            "Prefix must not contain any occurrence of !{firehose:error-output-type}",
        ),
        (
            "!{partitionKeyFromQuery:a}/",
            Rules::Objects,
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled.",
        ),
        (
            "a/",
            Rules::Partitioned,
            "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning is enabled",
        ),
        (
            "!{timestamp:yyyy}/",
            Rules::Redshift,
            "Prefix must not contain expressions when the destination is Amazon Redshift",
        ),
    ];
    for (prefix, rules, sentence) in rows {
        assert_eq!(refused(prefix, rules), sentence, "{prefix}");
    }
    assert_eq!(
        refused(&"x".repeat(499), Rules::Objects),
        "Length of evaluated prefix cannot be greater than 512"
    );
    assert!(Prefix::parse(&"x".repeat(498), Rules::Objects).is_ok());
}

#[test]
fn what_the_rules_forbid_errors_is_refused_in_the_services_words() {
    let plain = Prefix::default();
    let dated = Prefix::parse("!{timestamp:yyyy}/", Rules::Objects).unwrap();
    let rows = [
        (
            None,
            &dated,
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            Some(""),
            &dated,
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions",
        ),
        (
            Some("!{timestamp:yyyy}"),
            &plain,
            "ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}",
        ),
        (
            Some("!{partitionKeyFromQuery:a}!{firehose:error-output-type}"),
            &plain,
            "Dynamic Partitioning Namespaces can't be part of an error prefix expression",
        ),
        (
            Some("!{timestamp:C}!{firehose:error-output-type}"),
            &plain,
            "Invalid conversion character used in the value of the expression in ErrorOutputPrefix",
        ),
    ];
    for (text, prefix, sentence) in rows {
        assert_eq!(ErrorPrefix::parse(text, prefix).unwrap_err().to_string(), sentence);
    }
    assert_eq!(
        ErrorPrefix::parse(Some(&"x".repeat(513)), &plain).unwrap_err().to_string(),
        "Length of evaluated ErrorOutputPrefix cannot be greater than 512"
    );
    let redshift = ErrorPrefix::parse_by(Some("a"), &plain, Rules::Redshift);
    assert_eq!(redshift.unwrap_err(), PrefixError::RedshiftErrorOutputPrefix);
    assert!(ErrorPrefix::parse_by(None, &plain, Rules::Redshift).is_ok());
}

fn keys(query: &[(&str, &str)], lambda: &[(&str, &str)]) -> PartitionKeys {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    PartitionKeys { from_query: map(query), from_lambda: map(lambda) }
}

#[test]
fn keys_are_filled_in_from_where_they_come() {
    let text =
        "customer_id=!{partitionKeyFromQuery:customer_id}/device=!{partitionKeyFromLambda:device}/";
    let prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    assert_eq!(prefix.query_keys().collect::<Vec<_>>(), ["customer_id"]);
    assert_eq!(prefix.lambda_keys().collect::<Vec<_>>(), ["device"]);
    let keys = keys(&[("customer_id", "1234567890"), ("device", "x")], &[("device", "mobile")]);
    assert_eq!(
        prefix.evaluate(&MOMENT, &keys, &mut random).unwrap(),
        "customer_id=1234567890/device=mobile/2018/08/27/10/"
    );
}

#[test]
fn a_record_without_a_key_has_no_prefix() {
    let prefix = Prefix::parse("!{partitionKeyFromQuery:a}/", Rules::Partitioned).unwrap();
    for keys in [keys(&[], &[("a", "1")]), keys(&[("a", "")], &[])] {
        let error = prefix.evaluate(&MOMENT, &keys, &mut random).unwrap_err();
        assert_eq!(error, EvaluationError::PartitionKey { name: "a".into() });
        assert_eq!(error.to_string(), "partitionKeys values must not be null or empty");
        assert_eq!(prefix.partition(&keys), Err(error));
    }
    let long = keys(&[("a", &"x".repeat(500))], &[]);
    let error = prefix.evaluate(&MOMENT, &long, &mut random).unwrap_err();
    assert_eq!(error, EvaluationError::Length);
    assert!(prefix.evaluate(&MOMENT, &keys(&[("a", &"x".repeat(497))], &[]), &mut random).is_ok());
}

#[test]
fn what_tells_partitions_apart_is_never_longer_than_a_prefix() {
    let text = "!{partitionKeyFromQuery:a}/!{partitionKeyFromLambda:b}/";
    let prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let partition = |a: usize, b: usize| {
        prefix.partition(&keys(&[("a", &"\u{e9}".repeat(a))], &[("b", &"x".repeat(b))]))
    };
    assert!(partition(500, 12).is_ok());
    assert_eq!(partition(500, 13), Err(EvaluationError::Length));
    assert_eq!(partition(1, 1 << 20), Err(EvaluationError::Length));
    let mut all = keys(&[("a", "1"), ("b", "2")], &[("a", "3"), ("b", "4")]);
    prefix.keep_own(&mut all);
    assert_eq!(all, keys(&[("a", "1")], &[("b", "4")]));
}

#[test]
fn partitions_differ_where_any_key_does() {
    let text = "!{partitionKeyFromQuery:a}!{partitionKeyFromQuery:b}/";
    let prefix = Prefix::parse(text, Rules::Partitioned).unwrap();
    let partition = |a, b| prefix.partition(&keys(&[("a", a), ("b", b), ("c", a)], &[])).unwrap();
    assert_eq!(partition("1", "2"), partition("1", "2"));
    assert_ne!(partition("1", "23"), partition("12", "3"));
    assert_ne!(partition("1:", "2"), partition("1", ":2"));
    assert_eq!(Prefix::default().partition(&keys(&[("a", "1")], &[])).unwrap(), "");
}

#[test]
fn the_clock_of_the_zone_counts() {
    let tokyo = Zone::parse("Asia/Tokyo").unwrap();
    let moment = Moment { at: AT, zone: &tokyo };
    let prefix = Prefix::default().evaluate(&moment, &PartitionKeys::default(), &mut random);
    assert_eq!(prefix.unwrap(), "2018/08/27/19/");
    let name = object_name("orders", 3, &moment, [0xff; 16], ".gz");
    assert_eq!(name, "orders-3-2018-08-27-19-30-00-ffffffff-ffff-4fff-bfff-ffffffffffff.gz");
}

#[test]
fn an_object_is_named_by_stream_version_time_and_uuid() {
    let name = object_name("a.b_c-d", 12, &MOMENT, [0; 16], "");
    assert_eq!(name, "a.b_c-d-12-2018-08-27-10-30-00-00000000-0000-4000-8000-000000000000");
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "(!\\{|\\}|:|timestamp|firehose|'|[a-zA-Z]{1,4}|.){0,12}") {
        for rules in [Rules::Objects, Rules::Partitioned, Rules::Redshift] {
            if let Ok(prefix) = Prefix::parse(&text, rules) {
                let _ = prefix.evaluate(&MOMENT, &PartitionKeys::default(), &mut random);
                let _ = ErrorPrefix::parse(Some(&text), &prefix);
            }
        }
    }

    #[test]
    fn text_without_expressions_stays(text in "[^!]{0,200}") {
        prop_assert_eq!(evaluate(&text), format!("{text}2018/08/27/10/"));
    }
}
