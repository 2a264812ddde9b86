//! From what a caller names to a stream that the caller may use.
//!
//! Owns the look-up by name, ARN and id, and the authorization that goes with it. There is no
//! other way from a call to a stream, so that neither can be forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_auth::{AuthorizationRequest, Policy, PolicyKind, VerifiedCaller, authorize};
use millstream_core::{AccountId, ConsumerArn, ShardId, StreamArn, StreamName, Timestamp};

use crate::refusal::{Named, Refusal};
use crate::state::{Consumer, Stream, StreamUid};
use crate::streams::{Streams, parse_shard_id};

/// Who asks for what: as much of a call as it takes to judge it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) caller: &'a VerifiedCaller,
    /// `kinesis:PutRecord`: comes with the operation, never from the request.
    pub(crate) action: &'static str,
    /// The socket's other end.
    pub(crate) source_ip: IpAddr,
    pub(crate) received: Timestamp,
}

/// What a call names a stream by. The members are as the caller gave them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) arn: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
}

/// Tags that a call brings, for conditions on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTags<'a> {
    pub(crate) set: &'a BTreeMap<String, String>,
    pub(crate) keys: &'a [String],
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

impl RequestTags<'_> {
    /// No tags.
    pub(crate) const NONE: RequestTags<'static> = RequestTags { set: &NO_TAGS, keys: &[] };
}

/// A stream or one of its consumers, as an ARN names it.
#[derive(Clone, Debug)]
pub(crate) enum Resource {
    Stream(Arc<Stream>),
    Consumer(Arc<Stream>, StreamName),
}

/// Most policies kept parsed; beyond, all are parsed anew.
const POLICIES_MAX: usize = 1_000;

/// Resource policies, parsed once, by their text.
#[derive(Debug, Default)]
pub(crate) struct Policies(Mutex<BTreeMap<String, Policy>>);

impl Policies {
    fn parsed(&self, text: &str) -> Option<Policy> {
        let mut policies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = policies.get(text) {
            return Some(policy.clone());
        }
        let policy = Policy::parse(text, PolicyKind::Resource).ok()?;
        if policies.len() >= POLICIES_MAX {
            policies.clear();
        }
        policies.insert(text.to_owned(), policy.clone());
        Some(policy)
    }
}

impl Streams {
    /// The stream that the call names, once the caller may do to it what is asked.
    pub(crate) fn resolve(
        &self,
        request: &Request<'_>,
        target: Target<'_>,
    ) -> Result<Arc<Stream>, Refusal> {
        self.resolve_with(request, target, RequestTags::NONE)
    }

    /// As [`Streams::resolve`], for calls that bring tags.
    pub(crate) fn resolve_with(
        &self,
        request: &Request<'_>,
        target: Target<'_>,
        tags: RequestTags<'_>,
    ) -> Result<Arc<Stream>, Refusal> {
        let (account, name) = self.locate(request, target)?;
        let found = self.catalog.read(|registry| registry.by_name(&account, &name).cloned());
        let Some(stream) = found else {
            // Whoever may not use the stream does not learn that it is not there.
            let arn = self.arn(&account, &name);
            self.authorize_arn(request, &arn.to_string(), tags)?;
            return Err(Refusal::StreamNotFound(Named { account, stream: name }));
        };
        self.authorize_stream(request, &stream, tags)?;
        Ok(stream)
    }

    /// The stream of that uid, for calls that carry a token; `name` is what refusals call it.
    pub(crate) fn resolve_uid(
        &self,
        request: &Request<'_>,
        uid: StreamUid,
        name: &Named,
    ) -> Result<Arc<Stream>, Refusal> {
        let found = self.catalog.read(|registry| registry.by_uid(uid).cloned());
        let Some(stream) = found else {
            let arn = self.arn(&name.account, &name.stream);
            self.authorize_arn(request, &arn.to_string(), RequestTags::NONE)?;
            return Err(Refusal::StreamNotFound(name.clone()));
        };
        self.authorize_stream(request, &stream, RequestTags::NONE)?;
        Ok(stream)
    }

    /// The stream or consumer that an ARN names, once the caller may do to it what is asked.
    pub(crate) fn resolve_resource(
        &self,
        request: &Request<'_>,
        arn: &str,
        tags: RequestTags<'_>,
    ) -> Result<Resource, Refusal> {
        if arn.contains("/consumer/") {
            let (stream, consumer) = self.resolve_consumer_arn_with(request, arn, tags)?;
            return Ok(Resource::Consumer(stream, consumer.name));
        }
        let target = Target { arn: Some(arn), ..Target::default() };
        self.resolve_with(request, target, tags).map(Resource::Stream)
    }

    /// The consumer that an ARN names, once the caller may do to it what is asked.
    pub(crate) fn resolve_consumer_arn(
        &self,
        request: &Request<'_>,
        arn: &str,
    ) -> Result<(Arc<Stream>, Consumer), Refusal> {
        self.resolve_consumer_arn_with(request, arn, RequestTags::NONE)
    }

    fn resolve_consumer_arn_with(
        &self,
        request: &Request<'_>,
        text: &str,
        tags: RequestTags<'_>,
    ) -> Result<(Arc<Stream>, Consumer), Refusal> {
        let region = &self.settings.region;
        let not_an_arn = || Refusal::NotAResourceArn(text.to_owned(), region.clone());
        let arn: ConsumerArn = text.parse().map_err(|_| not_an_arn())?;
        if arn.stream.region != *region {
            return Err(not_an_arn());
        }
        let found = self.catalog.read(|registry| {
            let stream = registry.by_name(&arn.stream.account, &arn.stream.name)?;
            let consumer = stream.consumers.get(&arn.consumer)?;
            let same = consumer.created.seconds() == arn.created.seconds();
            same.then(|| (stream.clone(), consumer.clone()))
        });
        let Some((stream, consumer)) = found else {
            self.authorize_arn(request, text, tags)?;
            let stream = Named { account: arn.stream.account, stream: arn.stream.name };
            return Err(Refusal::ConsumerNotFound { consumer: arn.consumer.to_string(), stream });
        };
        self.authorize_consumer(request, &stream, &consumer, tags)?;
        Ok((stream, consumer))
    }

    /// A consumer by its stream's ARN and its name, once the caller may do what is asked.
    pub(crate) fn resolve_consumer_named(
        &self,
        request: &Request<'_>,
        stream_arn: &str,
        name: &str,
    ) -> Result<(Arc<Stream>, Consumer), Refusal> {
        let target = Target { arn: Some(stream_arn), ..Target::default() };
        let (account, stream_name) = self.locate(request, target)?;
        let found = self.catalog.read(|registry| registry.by_name(&account, &stream_name).cloned());
        let arn = self.arn(&account, &stream_name).to_string();
        let Some(stream) = found else {
            self.authorize_arn(request, &arn, RequestTags::NONE)?;
            return Err(Refusal::StreamNotFound(Named { account, stream: stream_name }));
        };
        let consumer = name.parse().ok().and_then(|name: StreamName| stream.consumers.get(&name));
        let Some(consumer) = consumer.cloned() else {
            self.authorize_arn(request, &format!("{arn}/consumer/{name}:*"), RequestTags::NONE)?;
            let stream = stream.named();
            return Err(Refusal::ConsumerNotFound { consumer: name.to_owned(), stream });
        };
        self.authorize_consumer(request, &stream, &consumer, RequestTags::NONE)?;
        Ok((stream, consumer))
    }

    /// Refused unless the caller may do what is asked to no stream in particular.
    pub(crate) fn authorize_account(&self, request: &Request<'_>) -> Result<(), Refusal> {
        self.authorize_arn(request, "*", RequestTags::NONE)
    }

    /// Refused unless the caller may do what is asked to a stream that is not there yet.
    pub(crate) fn authorize_new(
        &self,
        request: &Request<'_>,
        name: &StreamName,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let arn = self.arn(request.caller.account(), name).to_string();
        self.authorize_arn(request, &arn, RequestTags { set: tags, keys: &[] })
    }

    fn arn(&self, account: &AccountId, name: &StreamName) -> StreamArn {
        let region = self.settings.region.clone();
        StreamArn { region, account: account.clone(), name: name.clone() }
    }

    /// Whose stream, and which.
    fn locate(
        &self,
        request: &Request<'_>,
        target: Target<'_>,
    ) -> Result<(AccountId, StreamName), Refusal> {
        if let Some(arn) = target.arn {
            let region = &self.settings.region;
            let parsed = arn.parse::<StreamArn>().ok().filter(|parsed| parsed.region == *region);
            let parsed =
                parsed.ok_or_else(|| Refusal::NotAStreamArn(arn.to_owned(), region.clone()))?;
            if target.name.is_some_and(|name| name != parsed.name.as_str()) {
                return Err(Refusal::NamesDiffer);
            }
            return Ok((parsed.account, parsed.name));
        }
        if let Some(name) = target.name {
            let name = name.parse().map_err(|_| Refusal::NoStreamNamed)?;
            return Ok((request.caller.account().clone(), name));
        }
        let id = target.id.ok_or(Refusal::NoStreamNamed)?;
        let found = StreamUid::of_stream_id(id).and_then(|uid| {
            self.catalog.read(|registry| {
                let stream = registry.by_uid(uid)?;
                Some((stream.account.clone(), stream.name.clone()))
            })
        });
        found.ok_or_else(|| Refusal::StreamIdNotFound(id.to_owned()))
    }

    fn authorize_stream(
        &self,
        request: &Request<'_>,
        stream: &Stream,
        tags: RequestTags<'_>,
    ) -> Result<(), Refusal> {
        if !request.caller.is_unrestricted() {
            let arn = stream.arn(&self.settings.region).to_string();
            self.judge(request, &arn, (&stream.tags, stream.policy.as_deref()), tags)?;
        }
        self.admit(request, Some(stream))
    }

    fn authorize_consumer(
        &self,
        request: &Request<'_>,
        stream: &Stream,
        consumer: &Consumer,
        tags: RequestTags<'_>,
    ) -> Result<(), Refusal> {
        if !request.caller.is_unrestricted() {
            let arn = stream.consumer_arn(&self.settings.region, consumer).to_string();
            self.judge(request, &arn, (&consumer.tags, consumer.policy.as_deref()), tags)?;
        }
        self.admit(request, Some(stream))
    }

    fn authorize_arn(
        &self,
        request: &Request<'_>,
        arn: &str,
        tags: RequestTags<'_>,
    ) -> Result<(), Refusal> {
        if !request.caller.is_unrestricted() {
            self.judge(request, arn, (&NO_TAGS, None), tags)?;
        }
        self.admit(request, None)
    }

    /// Refused where what is asked has been asked too often. Whoever may not ask does not count.
    fn admit(&self, request: &Request<'_>, stream: Option<&Stream>) -> Result<(), Refusal> {
        let (action, account) = (request.action, request.caller.account());
        let uid = stream.map(|stream| stream.uid);
        if !self.enforces_quotas() || self.rates.admits(action, account, uid) {
            return Ok(());
        }
        let what = stream.map_or(action.to_owned(), |stream| format!("stream {}", stream.name));
        let account = stream.map_or(account, |stream| &stream.account).clone();
        Err(Refusal::CallRateExceeded { what, account })
    }

    fn judge(
        &self,
        request: &Request<'_>,
        arn: &str,
        (resource_tags, policy): (&BTreeMap<String, String>, Option<&str>),
        tags: RequestTags<'_>,
    ) -> Result<(), Refusal> {
        let Request { action, source_ip, received, .. } = *request;
        let mut question = AuthorizationRequest::new(action, arn, source_ip, received);
        // A policy was read when it was put, so it reads again; were it not to, it would allow
        // nothing, but could not deny either: hence the refusal.
        let parsed = match policy {
            None => None,
            Some(text) => Some(self.policies.parsed(text).ok_or(Refusal::Internal)?),
        };
        question.resource_tags = resource_tags;
        question.request_tags = tags.set;
        question.request_tag_keys = tags.keys;
        question.resource_policy = parsed.as_ref();
        authorize(request.caller, &question)
            .into_result()
            .map_err(|denial| Refusal::AccessDenied(denial.to_string()))
    }
}

impl StreamUid {
    /// The uid behind a stream id: 20 digits and `-mst`, in the form that the API wants ids.
    ///
    /// No answer shows ids: the API reserves them, and clients that see one send it everywhere.
    pub(crate) fn of_stream_id(text: &str) -> Option<Self> {
        text.strip_suffix("-mst")?.parse().ok().map(Self)
    }
}

/// The shard id that a caller gives, in any of the forms taken.
pub(crate) fn shard_id(text: &str, stream: &Named) -> Result<ShardId, Refusal> {
    let unknown = || Refusal::ShardUnknown { shard: text.to_owned(), stream: stream.clone() };
    parse_shard_id(text).ok_or_else(unknown)
}

impl Streams {
    /// What refusals call the stream that is named, before it is looked up.
    pub(crate) fn name_of(
        &self,
        request: &Request<'_>,
        target: Target<'_>,
    ) -> Result<Named, Refusal> {
        let (account, stream) = self.locate(request, target)?;
        Ok(Named { account, stream })
    }
}
