//! The language, element by element, and the one property that must never break.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_core::Timestamp;
use proptest::prelude::*;

use super::{Policy, PolicyError, PolicyKind};
use crate::caller::Identity;
use crate::{AuthorizationRequest, Decision, DenialReason, VerifiedCaller, authorize};

const STREAM: &str = "arn:aws:kinesis:us-east-1:111111111111:stream/orders";

struct World {
    account: &'static str,
    user: Option<&'static str>,
    secure: bool,
    source_ip: &'static str,
    now: &'static str,
    resource_tags: BTreeMap<String, String>,
    request_tags: BTreeMap<String, String>,
    request_tag_keys: Vec<String>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            account: "111111111111",
            user: Some("ada"),
            secure: true,
            source_ip: "203.0.113.7",
            now: "2026-11-24T12:00:00Z",
            resource_tags: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
            request_tags: BTreeMap::new(),
            request_tag_keys: Vec::new(),
        }
    }
}

impl World {
    fn decide(&self, own: &[&str], resource: Option<&str>, action: &str, arn: &str) -> Decision {
        let own = own.iter().map(|text| Policy::parse(text, PolicyKind::Identity).unwrap());
        let account = self.account.parse().unwrap();
        let region = "us-east-1".parse().unwrap();
        let identity = Identity::new("AKIA", account, self.user, region, own.collect());
        let caller = VerifiedCaller::proved(Arc::new(identity), self.secure);
        let resource = resource.map(|text| Policy::parse(text, PolicyKind::Resource).unwrap());
        let format = &time::format_description::well_known::Rfc3339;
        let now = time::OffsetDateTime::parse(self.now, format).unwrap().unix_timestamp();
        let now = Timestamp::from_seconds(u64::try_from(now).unwrap());
        let source_ip: IpAddr = self.source_ip.parse().unwrap();
        let mut request = AuthorizationRequest::new(action, arn, source_ip, now);
        request.resource_tags = &self.resource_tags;
        request.request_tags = &self.request_tags;
        request.request_tag_keys = &self.request_tag_keys;
        request.resource_policy = resource.as_ref();
        authorize(&caller, &request)
    }

    fn allows(&self, own: &[&str]) -> bool {
        self.decide(own, None, "kinesis:PutRecord", STREAM).is_allowed()
    }

    /// Whether an `Allow` under `condition` applies.
    fn holds(&self, condition: &str) -> bool {
        self.allows(&[&with_condition("Allow", condition)])
    }

    /// Whether a `Deny` under `condition` applies.
    fn denies(&self, condition: &str) -> bool {
        !self.allows(&[ALL, &with_condition("Deny", condition)])
    }
}

const ALL: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

fn with_condition(effect: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"kinesis:*","Resource":"*","Condition":{condition}}}]}}"#
    )
}

fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}]}}"#
    )
}

fn resource_policy(effect: &str, principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},"Action":"kinesis:PutRecord","Resource":"{STREAM}"}}]}}"#
    )
}

#[test]
fn without_a_policy_nothing_is_allowed() {
    let world = World::default();
    assert!(!world.allows(&[]));
    assert!(world.allows(&[ALL]));
    assert_eq!(Policy::allow_all().kind(), PolicyKind::Identity);
}

#[test]
fn actions_match_in_any_case_and_by_wildcard() {
    let world = World::default();
    for (action, allowed) in [
        ("kinesis:PutRecord", true),
        ("KINESIS:putrecord", true),
        ("kinesis:Put*", true),
        ("kinesis:P?tRecord", true),
        ("kinesis:PutRecords", false),
        ("kinesis:Get*", false),
        ("firehose:*", false),
        ("*", true),
    ] {
        assert_eq!(world.allows(&[&statement("Allow", action, "*")]), allowed, "{action}");
    }
}

#[test]
fn no_wildcard_of_a_resource_reaches_over_a_colon_into_the_account() {
    let world = World::default();
    for (resource, allowed) in [
        ("*", true),
        (STREAM, true),
        ("arn:aws:kinesis:*:*:stream/*", true),
        ("arn:aws:kinesis:us-east-1:111111111111:*", true),
        ("arn:aws:kinesis:us-east-1:111111111111:stream/ord?rs", true),
        ("arn:*:*:*:*:*", true),
        ("arn:aws:kinesis:us-east-1:222222222222:stream/*", false),
        ("arn:aws:kinesis:us-east-1:*222:stream/orders", false),
        ("arn:aws:kinesis:us-east-1:111111111111:stream/order", false),
        ("arn:aws:kinesis:us-east-1:111111111111:STREAM/orders", false),
    ] {
        assert_eq!(
            world.allows(&[&statement("Allow", "kinesis:*", resource)]),
            allowed,
            "{resource}"
        );
    }
}

#[test]
fn an_explicit_deny_outweighs_every_allow() {
    let world = World::default();
    let deny = statement("Deny", "kinesis:PutRecord", STREAM);
    for order in [[ALL, &deny], [&deny, ALL]] {
        let decision = world.decide(&order, None, "kinesis:PutRecord", STREAM);
        let Decision::Denied(denial) = decision else { panic!("allowed") };
        assert_eq!(denial.reason, DenialReason::ExplicitIdentity);
    }
    let everyone = resource_policy("Allow", r#""*""#);
    let decision = world.decide(&[&deny], Some(&everyone), "kinesis:PutRecord", STREAM);
    assert!(!decision.is_allowed());
    let nobody = resource_policy("Deny", r#""*""#);
    let decision = world.decide(&[ALL], Some(&nobody), "kinesis:PutRecord", STREAM);
    assert_eq!(
        decision.into_result().unwrap_err().to_string(),
        format!(
            "User: arn:aws:iam::111111111111:user/ada is not authorized to perform: \
             kinesis:PutRecord on resource: {STREAM} with an explicit deny in a resource-based \
             policy"
        )
    );
}

#[test]
fn the_not_elements_select_the_rest() {
    let world = World::default();
    let not_action =
        r#"{"Statement":{"Effect":"Allow","NotAction":"kinesis:Get*","Resource":"*"}}"#;
    assert!(world.allows(&[not_action]));
    let not_action =
        r#"{"Statement":{"Effect":"Allow","NotAction":["kinesis:Put*"],"Resource":"*"}}"#;
    assert!(!world.allows(&[not_action]));
    let not_resource =
        format!(r#"{{"Statement":{{"Effect":"Deny","Action":"*","NotResource":"{STREAM}"}}}}"#);
    assert!(world.allows(&[ALL, &not_resource]));
    let other = "arn:aws:kinesis:us-east-1:111111111111:stream/other";
    let decision = world.decide(&[ALL, &not_resource], None, "kinesis:PutRecord", other);
    assert!(!decision.is_allowed());
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let stranger = World { account: "222222222222", ..World::default() };
    let own = statement("Allow", "kinesis:*", STREAM);
    let by_account = resource_policy("Allow", r#"{"AWS":"222222222222"}"#);
    let by_root = resource_policy("Allow", r#"{"AWS":["arn:aws:iam::222222222222:root"]}"#);
    let by_user = resource_policy("Allow", r#"{"AWS":"arn:aws:iam::222222222222:user/ada"}"#);
    let other_user = resource_policy("Allow", r#"{"AWS":"arn:aws:iam::222222222222:user/bob"}"#);
    let decide = |own: &[&str], resource: Option<&str>| {
        stranger.decide(own, resource, "kinesis:PutRecord", STREAM)
    };
    for resource in [&by_account, &by_root, &by_user] {
        assert!(decide(&[&own], Some(resource)).is_allowed(), "{resource}");
        let denial = decide(&[], Some(resource)).into_result().unwrap_err();
        assert_eq!(denial.reason, DenialReason::ImplicitIdentity);
    }
    for resource in [None, Some(other_user.as_str())] {
        let denial = decide(&[&own], resource).into_result().unwrap_err();
        assert_eq!(denial.reason, DenialReason::ImplicitResource);
    }
}

#[test]
fn within_an_account_a_resource_may_admit_a_user_but_not_by_naming_the_account() {
    let world = World::default();
    let decide = |principal: &str| {
        let policy = resource_policy("Allow", principal);
        world.decide(&[], Some(&policy), "kinesis:PutRecord", STREAM).is_allowed()
    };
    assert!(decide(r#"{"AWS":"arn:aws:iam::111111111111:user/ada"}"#));
    assert!(decide(r#""*""#));
    assert!(decide(r#"{"AWS":"*"}"#));
    assert!(!decide(r#"{"AWS":"111111111111"}"#));
    assert!(!decide(r#"{"Service":"firehose.amazonaws.com"}"#));
}

#[test]
fn not_principal_spares_those_it_names() {
    let world = World::default();
    let policy = |names: &str| {
        format!(
            r#"{{"Statement":{{"Effect":"Deny","NotPrincipal":{{"AWS":{names}}},"Action":"*","Resource":"*"}}}}"#
        )
    };
    let decide = |names: &str| {
        world.decide(&[ALL], Some(&policy(names)), "kinesis:PutRecord", STREAM).is_allowed()
    };
    assert!(decide(r#""arn:aws:iam::111111111111:user/ada""#));
    assert!(!decide(r#""arn:aws:iam::111111111111:user/bob""#));
}

#[test]
fn conditions_compare_as_documented() {
    let mut world = World::default();
    world.request_tags.insert("cost".to_owned(), "7".to_owned());
    for (condition, expected) in [
        (r#"{"StringEquals":{"aws:ResourceTag/team":"red"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/team":["blue","red"]}}"#, true),
        (r#"{"StringEquals":{"aws:resourcetag/team":"red"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/Team":"red"}}"#, false),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"r*"}}"#, false),
        (r#"{"StringNotEquals":{"aws:ResourceTag/team":"red"}}"#, false),
        (r#"{"StringNotEquals":{"aws:ResourceTag/team":["blue","green"]}}"#, true),
        (r#"{"StringNotEquals":{"aws:ResourceTag/none":"red"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/none":"red"}}"#, false),
        (r#"{"StringEqualsIfExists":{"aws:ResourceTag/none":"red"}}"#, true),
        (r#"{"StringEqualsIfExists":{"aws:ResourceTag/team":"blue"}}"#, false),
        (r#"{"StringEqualsIgnoreCase":{"aws:ResourceTag/team":"RED"}}"#, true),
        (r#"{"StringLike":{"aws:ResourceTag/team":"r?d"}}"#, true),
        (r#"{"StringNotLike":{"aws:ResourceTag/team":"b*"}}"#, true),
        (r#"{"NumericLessThan":{"aws:RequestTag/cost":"10"}}"#, true),
        (r#"{"NumericLessThan":{"aws:RequestTag/cost":7}}"#, false),
        (r#"{"NumericGreaterThanEquals":{"aws:RequestTag/cost":7}}"#, true),
        (r#"{"NumericEquals":{"aws:ResourceTag/team":7}}"#, false),
        (r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-11-24"}}"#, true),
        (r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-24T11:59:59Z"}}"#, false),
        (r#"{"DateEquals":{"aws:EpochTime":"1795521600"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":"true"}}"#, true),
        (r#"{"Bool":{"aws:SecureTransport":false}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.7"]}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":"::/0"}}"#, false),
        (r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
        (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a*"}}"#, true),
        (r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/bob"}}"#, false),
        (r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/b*"}}"#, true),
        (r#"{"Null":{"aws:ResourceTag/none":"true"}}"#, true),
        (r#"{"Null":{"aws:ResourceTag/team":"false"}}"#, true),
        (r#"{"Null":{"aws:ResourceTag/team":true}}"#, false),
        (r#"{"StringEquals":{"aws:username":"ada","aws:ResourceTag/team":"red"}}"#, true),
        (
            r#"{"StringEquals":{"aws:username":"ada"},"Bool":{"aws:SecureTransport":"false"}}"#,
            false,
        ),
        (r#"{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceAccount":"111111111111"}}"#, true),
    ] {
        assert_eq!(world.holds(condition), expected, "{condition}");
        assert_eq!(world.denies(condition), expected, "deny {condition}");
    }
}

#[test]
fn set_operators_ask_for_each_or_for_one_of_the_values() {
    let keys = |keys: &[&str]| World {
        request_tag_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..World::default()
    };
    let (none, a, ab, bc) = (keys(&[]), keys(&["a"]), keys(&["a", "b"]), keys(&["b", "c"]));
    // Columns: no keys, {a}, {a, b}, {b, c}; rows: the operator against ["a"].
    for (operator, expected) in [
        ("ForAllValues:StringEquals", [true, true, false, false]),
        ("ForAnyValue:StringEquals", [false, true, true, false]),
        ("ForAllValues:StringNotEquals", [true, false, false, true]),
        ("ForAnyValue:StringNotEquals", [false, false, true, true]),
        ("ForAllValues:StringLike", [true, true, false, false]),
        ("ForAnyValue:StringEqualsIfExists", [true, true, true, false]),
    ] {
        let condition = format!(r#"{{"{operator}":{{"aws:TagKeys":["a"]}}}}"#);
        for (world, expected) in [&none, &a, &ab, &bc].into_iter().zip(expected) {
            assert_eq!(
                world.holds(&condition),
                expected,
                "{operator} {:?}",
                world.request_tag_keys
            );
        }
    }
}

#[test]
fn an_unknown_key_never_allows_and_always_denies() {
    let world = World::default();
    for condition in [
        r#"{"StringNotEquals":{"aws:PrincipalTag/team":"red"}}"#,
        r#"{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#,
        r#"{"StringEqualsIfExists":{"aws:FutureKey":"x"}}"#,
        r#"{"Null":{"aws:MultiFactorAuthPresent":"true"}}"#,
        r#"{"StringLike":{"aws:username":"${aws:PrincipalTag/x}"}}"#,
    ] {
        assert!(!world.holds(condition), "{condition}");
        assert!(world.denies(condition), "{condition}");
    }
    // Unknown, but another condition fails in any case: the deny does not apply.
    let sure = r#"{"StringEquals":{"aws:SourceVpc":"x","aws:ResourceTag/team":"blue"}}"#;
    assert!(!world.denies(sure));
}

#[test]
fn variables_stand_for_their_value_and_never_for_a_wildcard() {
    let resource = "arn:aws:kinesis:us-east-1:111111111111:stream/${aws:username}-*";
    let policy = statement("Allow", "kinesis:PutRecord", resource);
    let decide = |world: &World, name: &str| {
        let arn = format!("arn:aws:kinesis:us-east-1:111111111111:stream/{name}");
        world.decide(&[&policy], None, "kinesis:PutRecord", &arn).is_allowed()
    };
    let ada = World::default();
    assert!(decide(&ada, "ada-orders"));
    assert!(!decide(&ada, "bob-orders"));
    let star = World { user: Some("*"), ..World::default() };
    assert!(!decide(&star, "bob-orders"));
    assert!(decide(&star, "*-orders"));
    let root = World { user: None, ..World::default() };
    assert!(!decide(&root, "ada-orders"), "the account itself has no user name");
    for (condition, expected) in [
        (r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:ResourceTag/team}"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:ResourceTag/none, 'red'}"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:ResourceTag/none}"}}"#, false),
        (r#"{"StringLike":{"aws:ResourceTag/team":"${*}"}}"#, false),
    ] {
        assert_eq!(ada.holds(condition), expected, "{condition}");
    }
    // The older version of the language has none.
    let old = policy.replace("2012-10-17", "2008-10-17");
    let arn = "arn:aws:kinesis:us-east-1:111111111111:stream/ada-orders";
    assert!(!ada.decide(&[&old], None, "kinesis:PutRecord", arn).is_allowed());
}

#[test]
fn what_is_not_understood_is_refused_when_it_is_read() {
    let identity = |text: &str| Policy::parse(text, PolicyKind::Identity).unwrap_err();
    for text in [
        "",
        "[]",
        "{}",
        r#"{"Statement":[]}"#,
        r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Extra":1}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a":"true","a":"false"}}}}"#,
    ] {
        let error = identity(text);
        assert!(
            matches!(error, PolicyError::Syntax { .. } | PolicyError::Empty { .. }),
            "{text}: {error}"
        );
    }
    for (text, wanted) in [
        (
            r#"{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
            "version",
        ),
        (r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, "either Action or NotAction"),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}}"#,
            "either Action",
        ),
        (r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#, "either Resource or NotResource"),
        (
            r#"{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}"#,
            "Action must not be empty",
        ),
        (r#"{"Statement":{"Effect":"Allow","Action":"PutRecord","Resource":"*"}}"#, "SERVICE:NAME"),
        (r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"stream/a"}}"#, "an ARN or *"),
        (
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#,
            "no Principal",
        ),
        (&with_condition("Allow", r#"{"StringEqual":{"a":"b"}}"#), "no condition operator"),
        (
            &with_condition("Allow", r#"{"ForSomeValues:StringEquals":{"a":"b"}}"#),
            "no condition operator",
        ),
        (&with_condition("Allow", r#"{"NullIfExists":{"a":"true"}}"#), "no condition operator"),
        (&with_condition("Allow", r#"{"NumericEquals":{"a":"x"}}"#), "no value"),
        (&with_condition("Allow", r#"{"IpAddress":{"a":"10.0.0.0/33"}}"#), "no value"),
        (&with_condition("Allow", r#"{"DateEquals":{"a":"yesterday"}}"#), "no value"),
        (&with_condition("Allow", r#"{"StringEquals":{"a":[]}}"#), "must not be empty"),
        (&with_condition("Allow", r#"{"StringEquals":{"a":"${b"}}"#), "not a policy variable"),
    ] {
        let error = identity(text).to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
    for principal in [
        r#""ada""#,
        r#"{"AWS":"ada"}"#,
        r#"{"Who":"*"}"#,
        r#"{"AWS":"arn:aws:iam::*:user/ada"}"#,
        "{}",
    ] {
        let text = resource_policy("Allow", principal);
        assert!(Policy::parse(&text, PolicyKind::Resource).is_err(), "{principal}");
    }
    let long = " ".repeat(super::POLICY_BYTES_MAX + 1);
    assert_eq!(identity(&long), PolicyError::TooLong { bytes: long.len() });
}

#[test]
fn a_pattern_of_many_wildcards_is_matched_at_once() {
    let world = World::default();
    let pattern = "*a".repeat(3_000) + "b";
    let arn = format!("arn:aws:kinesis:us-east-1:111111111111:stream/{}", "a".repeat(2_000));
    let policy = statement("Allow", "*", &format!("arn:aws:kinesis:*:*:{pattern}"));
    let policies: [&str; 1] = [&policy];
    #[allow(clippy::disallowed_methods)] // A bound on work, generous by a factor of 100.
    let start = Instant::now();
    assert!(!world.decide(&policies, None, "kinesis:PutRecord", &arn).is_allowed());
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn effect() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("Allow"), Just("Deny")]
}

fn statement_json(effect: &str) -> impl Strategy<Value = String> + use<> {
    let effect = effect.to_owned();
    let action = prop_oneof![
        Just(r#""Action":"*""#),
        Just(r#""Action":"kinesis:Put*""#),
        Just(r#""Action":["kinesis:GetRecords","kinesis:PutRecord"]"#),
        Just(r#""NotAction":"kinesis:GetRecords""#),
    ];
    let resource = prop_oneof![
        Just(r#""Resource":"*""#),
        Just(r#""Resource":"arn:aws:kinesis:*:*:stream/o*""#),
        Just(r#""NotResource":"arn:aws:kinesis:*:*:stream/orders""#),
    ];
    let condition = prop_oneof![
        Just(""),
        Just(r#","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}"#),
        Just(r#","Condition":{"StringNotEquals":{"aws:ResourceTag/team":"red"}}"#),
        Just(r#","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}"#),
        Just(r#","Condition":{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}}"#),
        Just(r#","Condition":{"StringEquals":{"aws:Future":"a"}}"#),
        Just(r#","Condition":{"Null":{"aws:TagKeys":"true"}}"#),
        Just(r#","Condition":{"StringLike":{"aws:username":"${aws:userid}"}}"#),
    ];
    (action, resource, condition).prop_map(move |(action, resource, condition)| {
        format!(r#"{{"Effect":"{effect}",{action},{resource}{condition}}}"#)
    })
}

fn any_statement() -> impl Strategy<Value = String> {
    effect().prop_flat_map(statement_json)
}

proptest! {
    #[test]
    fn adding_a_deny_never_widens(
        statements in prop::collection::vec(any_statement(), 0..4),
        deny in statement_json("Deny"),
        at in 0..4_usize,
        action in prop_oneof![Just("kinesis:PutRecord"), Just("kinesis:GetRecords")],
        name in prop_oneof![Just("orders"), Just("other")],
        keys in prop::collection::vec(prop_oneof![Just("a".to_owned()), Just("b".to_owned())], 0..3),
        user in prop_oneof![Just(None), Just(Some("ada"))],
    ) {
        let world = World { request_tag_keys: keys, user, ..World::default() };
        let arn = format!("arn:aws:kinesis:us-east-1:111111111111:stream/{name}");
        let decide = |statements: &[String]| {
            if statements.is_empty() {
                return false;
            }
            let joined = statements.join(",");
            let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{joined}]}}"#);
            world.decide(&[&policy], None, action, &arn).is_allowed()
        };
        let mut more = statements.clone();
        more.insert(at.min(statements.len()), deny);
        prop_assert!(!decide(&more) || decide(&statements));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = Policy::parse(&text, PolicyKind::Identity);
        let _ = Policy::parse(&with_condition("Allow", &text), PolicyKind::Resource);
    }
}

#[test]
fn what_is_wrong_in_a_statement_is_told_and_where() {
    let reason = |text: &str| Policy::parse(text, PolicyKind::Identity).unwrap_err().to_string();
    let statement = r#"{"Efect":"Allow","Action":"kinesis:*","Resource":"*"}"#;
    for text in
        [format!(r#"{{"Statement":{statement}}}"#), format!(r#"{{"Statement":[{statement}]}}"#)]
    {
        assert!(reason(&text).contains("unknown field `Efect`"), "{}", reason(&text));
    }
    let text = reason(r#"{"Statement":"x"}"#);
    assert!(text.contains("invalid type: string \"x\""), "{text}");
    let text = reason(r#"{"Statement":[{"Effect":"Allow","Action":7,"Resource":"*"}]}"#);
    assert!(text.contains("invalid type: integer `7`, expected a string"), "{text}");
}
