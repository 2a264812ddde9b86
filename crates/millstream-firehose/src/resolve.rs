//! From what a caller names to a delivery stream that the caller may use.
//!
//! Owns the look-up by name and the authorization that goes with it. There is no other way from a
//! call to a delivery stream, so that neither can be forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use millstream_auth::{AuthorizationRequest, VerifiedCaller, authorize};
use millstream_core::{StreamName, Timestamp};

use crate::firehose::Firehose;
use crate::refusal::{Named, Refusal};
use crate::state::{DeliveryStream, arn};

/// Who asks for what: as much of a call as it takes to judge it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) caller: &'a VerifiedCaller,
    /// `firehose:PutRecord`: comes with the operation, never from the request.
    pub(crate) action: &'static str,
    /// The socket's other end.
    pub(crate) source_ip: IpAddr,
    pub(crate) received: Timestamp,
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

impl Firehose {
    /// The delivery stream that the call names, once the caller may do to it what is asked.
    pub(crate) fn resolve(
        &self,
        request: &Request<'_>,
        name: &str,
    ) -> Result<Arc<DeliveryStream>, Refusal> {
        self.resolve_with(request, name, RequestTags::NONE)
    }

    /// As [`Firehose::resolve`], for calls that bring tags.
    pub(crate) fn resolve_with(
        &self,
        request: &Request<'_>,
        name: &str,
        tags: RequestTags<'_>,
    ) -> Result<Arc<DeliveryStream>, Refusal> {
        let name = parse_name(name)?;
        let account = request.caller.account();
        let found = self.catalog.read(|registry| registry.by_name(account, &name).cloned());
        let resource_tags = found.as_ref().map_or(&NO_TAGS, |stream| &stream.tags);
        // Whoever may not use the delivery stream does not learn whether it is there.
        self.judge(request, Some(&name), resource_tags, tags)?;
        found.ok_or_else(|| Refusal::NotFound(Named { account: account.clone(), stream: name }))
    }

    /// The name of a delivery stream that is not there yet, once the caller may make it.
    pub(crate) fn resolve_new(
        &self,
        request: &Request<'_>,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<StreamName, Refusal> {
        let name = parse_name(name)?;
        self.judge(request, Some(&name), &NO_TAGS, RequestTags { set: tags, keys: &[] })?;
        Ok(name)
    }

    /// Refused unless the caller may do what is asked to no delivery stream in particular.
    pub(crate) fn authorize_account(&self, request: &Request<'_>) -> Result<(), Refusal> {
        self.judge(request, None, &NO_TAGS, RequestTags::NONE)
    }

    fn judge(
        &self,
        request: &Request<'_>,
        name: Option<&StreamName>,
        resource_tags: &BTreeMap<String, String>,
        tags: RequestTags<'_>,
    ) -> Result<(), Refusal> {
        if request.caller.is_unrestricted() {
            return self.admit_call(request);
        }
        let Request { caller, action, source_ip, received } = *request;
        let arn = name.map_or_else(
            || "*".to_owned(),
            |name| arn(&self.settings.region, caller.account(), name),
        );
        let mut question = AuthorizationRequest::new(action, &arn, source_ip, received);
        question.resource_tags = resource_tags;
        question.request_tags = tags.set;
        question.request_tag_keys = tags.keys;
        authorize(caller, &question)
            .into_result()
            .map_err(|denial| Refusal::AccessDenied(denial.to_string()))?;
        self.admit_call(request)
    }

    /// Refused where what is asked has been asked too often. Whoever may not ask does not count.
    fn admit_call(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let admits = || self.rates.admits(request.action, request.caller.account());
        if !self.enforces_quotas() || admits() { Ok(()) } else { Err(Refusal::CallRateExceeded) }
    }
}

/// The name. The model has checked its characters and its length.
fn parse_name(name: &str) -> Result<StreamName, Refusal> {
    name.parse().map_err(|error: millstream_core::NameError| Refusal::Shape(error.to_string()))
}
