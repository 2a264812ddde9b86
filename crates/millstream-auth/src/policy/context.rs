//! What is known of a request: the values of condition keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use millstream_core::Timestamp;

use super::pattern::Resolved;
use crate::VerifiedCaller;

/// A request, as conditions and variables see it.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// Who calls.
    pub caller: &'a VerifiedCaller,
    /// `kinesis:PutRecord`.
    pub action: &'a str,
    /// The resource, or `*` for an action on none.
    pub resource_arn: &'a str,
    /// The resource's tags (`aws:ResourceTag/…`).
    pub resource_tags: &'a BTreeMap<String, String>,
    /// The tags that the request wants to set (`aws:RequestTag/…`).
    pub request_tags: &'a BTreeMap<String, String>,
    /// The tag keys that the request names without values, as UntagResource does.
    pub request_tag_keys: &'a [String],
    /// Where the call came from: the socket's other end, never a header.
    pub source_ip: IpAddr,
    /// What time it is.
    pub now: Timestamp,
}

/// The values of a condition key in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Values<'a> {
    /// The key has one value.
    One(Cow<'a, str>),
    /// The key has a set of values.
    Many(Vec<&'a str>),
    /// The key is known, and this request has none.
    Absent,
    /// This server does not know the key.
    Unknown,
}

impl<'a> RequestContext<'a> {
    /// The values of `key`, whose case does not matter but for that of a tag.
    pub(super) fn values(&self, key: &str) -> Values<'a> {
        if let Some((prefix, tag)) = key.split_once('/') {
            return match prefix.to_ascii_lowercase().as_str() {
                "aws:resourcetag" | "kinesis:resourcetag" => tag_value(self.resource_tags, tag),
                "aws:requesttag" => tag_value(self.request_tags, tag),
                _ => Values::Unknown,
            };
        }
        let caller = self.caller;
        let own = |text: String| Values::One(Cow::Owned(text));
        let text = |text: &'a str| Values::One(Cow::Borrowed(text));
        let truth = |truth: bool| text(if truth { "true" } else { "false" });
        match key.to_ascii_lowercase().as_str() {
            "aws:tagkeys" => {
                let named = self.request_tag_keys.iter().map(String::as_str);
                let keys: Vec<&str> =
                    self.request_tags.keys().map(String::as_str).chain(named).collect();
                if keys.is_empty() { Values::Absent } else { Values::Many(keys) }
            }
            "aws:sourceip" => own(self.source_ip.to_canonical().to_string()),
            "aws:securetransport" => truth(caller.secure_transport()),
            "aws:currenttime" | "aws:epochtime" => own(self.now.seconds().to_string()),
            "aws:principalarn" => text(caller.principal_arn()),
            "aws:principalaccount" => text(caller.account().as_str()),
            "aws:principaltype" if caller.user_name().is_some() => text("User"),
            "aws:principaltype" => text("Account"),
            "aws:username" => caller.user_name().map_or(Values::Absent, text),
            "aws:userid" => text(caller.access_key_id()),
            "aws:requestedregion" => text(caller.region().as_str()),
            "aws:resourceaccount" => match resource_account(self.resource_arn) {
                "" => text(caller.account().as_str()),
                account => text(account),
            },
            "aws:principalisawsservice" | "aws:viaawsservice" => truth(false),
            _ => Values::Unknown,
        }
    }

    /// What `${key}` stands for: keys with one value only.
    pub(super) fn variable(&self, key: &str) -> Resolved<'a> {
        match self.values(key) {
            Values::One(value) => Resolved::Value(value),
            Values::Absent => Resolved::Absent,
            Values::Many(_) | Values::Unknown => Resolved::Unknown,
        }
    }
}

fn tag_value<'a>(tags: &'a BTreeMap<String, String>, tag: &str) -> Values<'a> {
    tags.get(tag).map_or(Values::Absent, |value| Values::One(Cow::Borrowed(value)))
}

/// The account in an ARN; empty if it has none.
pub(crate) fn resource_account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}
