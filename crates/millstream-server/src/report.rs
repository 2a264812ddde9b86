//! What the server tells of itself to whoever signs for it, below `/_millstream/`.
//!
//! Owns the way of a report's request: the same admission as an operation's, errors as the JSON
//! protocol has them. What a report says, and to whom, is its own matter.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use http_body::Body;
use millstream_auth::VerifiedCaller;
use millstream_core::Timestamp;
use millstream_wire::Codec;

use crate::body::Share;
use crate::gate::{Arrival, Gate, Incoming, Outcome};
use crate::refusal::{Form, Refusal};
use crate::reply::ReplyBody;

/// Who reads a report.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Whose signature fitted.
    pub caller: &'a VerifiedCaller,
    /// The socket's other end.
    pub source_ip: IpAddr,
    /// When the request arrived.
    pub received: Timestamp,
}

/// A report beside the operations of the models.
pub trait Report: Send + Sync {
    /// Where it is, such as `/_millstream/firehose`.
    fn path(&self) -> &'static str;

    /// The name of the service that its signatures are made for, such as `firehose`.
    fn signing_name(&self) -> &'static str;

    /// JSON: as much as this reader may see. Must not block.
    fn report(&self, reader: Reader<'_>) -> Bytes;
}

impl Gate {
    /// The report that a request is for.
    pub(crate) fn report_at(&self, parts: &Parts) -> Option<&dyn Report> {
        let found = self.reports.iter().find(|report| report.path() == parts.uri.path());
        found.filter(|_| parts.method == Method::GET).map(AsRef::as_ref)
    }

    /// Answers with a report.
    pub(crate) async fn report<B>(
        &self,
        arrival: Arrival<'_>,
        report: &dyn Report,
        mut body: B,
        share: &mut Share,
    ) -> Outcome
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let form = Form::Codec(Codec::Json11);
        let mut incoming = Incoming { body: &mut body, share: &mut *share, received: None };
        let admitted = self.admit(arrival, report.signing_name(), form, &mut incoming).await;
        let answered = admitted.and_then(|caller| {
            let (source_ip, received) = (arrival.peer.ip, arrival.received);
            let text = report.report(Reader { caller: &caller, source_ip, received });
            if share.turn_to_answer(text.len()) {
                Ok((caller, text))
            } else {
                Err(Refusal::throttled(form))
            }
        });
        match answered {
            Ok((caller, text)) => {
                let mut response = Response::new(ReplyBody::Bytes(text));
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                Outcome { response, operation: None, code: None, caller: Some(caller) }
            }
            Err(refusal) => {
                share.turn_to_answer(0);
                let outcome = Outcome::refused(&refusal, arrival.id);
                self.discard(arrival.parts, body).await;
                outcome
            }
        }
    }
}
