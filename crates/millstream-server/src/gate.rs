//! One request from head to answer: the only way to a service.
//!
//! In order: probes; the head's checks; the route; the signature's head; the body; the
//! signature; the call. Nothing of a body is held for a caller that nobody knows, and no service
//! sees a request whose signature did not fit.

use std::borrow::Cow;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::header::{CONTENT_TYPE, EXPECT, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use millstream_api::{Call, Operation, Reply, SERVICES, Service, WireError};
use millstream_auth::sigv4::{Payload, SignedRequest, access_key_id_of, sha256_hex};
use millstream_auth::{DevMode, VerifiedCaller, Verifier};
use millstream_core::{Clock, Rand, Timestamp};
use millstream_wire::Codec;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::body::{BodyError, Budget, Share, discard, receive};
use crate::guard::{DevGuard, check_head};
use crate::limits::{FORM_BYTES_MAX, HASH_ELSEWHERE_BYTES, ServerLimits};
use crate::metrics::{Collector, MetricsText, ServerMetrics};
use crate::refusal::{Form, Refusal};
use crate::reply::ReplyBody;
use crate::report::Report;
use crate::request_id::RequestId;
use crate::route::{Route, form_route, likely_form, route};
use crate::untaken::Untaken;

/// Whom the server lets in.
pub(crate) enum Admission {
    Verified(Arc<Verifier>),
    Dev { mode: DevMode, guard: DevGuard },
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    pub(crate) is_secure: bool,
}

/// All that requests share.
pub(crate) struct Gate {
    pub(crate) admission: Admission,
    /// By place in [`SERVICES`]; `None` where a service is not built.
    pub(crate) services: Vec<Option<Arc<dyn Service>>>,
    pub(crate) limits: ServerLimits,
    pub(crate) budget: Arc<Budget>,
    pub(crate) metrics: ServerMetrics,
    pub(crate) collectors: Vec<Arc<dyn Collector>>,
    pub(crate) reports: Vec<Arc<dyn Report>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rand: Arc<dyn Rand>,
    pub(crate) is_ready: Arc<AtomicBool>,
    pub(crate) metrics_for_all: bool,
    /// Turns true when the server starts to drain.
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) connections_open: Box<dyn Fn() -> usize + Send + Sync>,
}

/// No room for anything but an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has more under way than it can even refuse")]
pub(crate) struct Overloaded;

/// An operation, and the place of its service in [`SERVICES`].
pub(crate) type Place = (usize, &'static Operation);

/// A body on its way in, and the share of the budget that holds it.
pub(crate) struct Incoming<'b, B> {
    pub(crate) body: &'b mut B,
    pub(crate) share: &'b mut Share,
    pub(crate) received: Option<Bytes>,
}

/// How a request ended, for the counters and the log.
pub(crate) struct Outcome {
    pub(crate) response: Response<ReplyBody>,
    pub(crate) operation: Option<Place>,
    pub(crate) code: Option<Cow<'static, str>>,
    pub(crate) caller: Option<VerifiedCaller>,
}

impl Outcome {
    pub(crate) fn refused(refusal: &Refusal, id: &RequestId) -> Self {
        Self {
            response: refusal.response(&id.id).map(ReplyBody::Bytes),
            operation: None,
            code: Some(refusal.code.clone()),
            caller: None,
        }
    }
}

/// What is known of a request once its head was read.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) peer: Peer,
    pub(crate) id: &'a RequestId,
    pub(crate) received: Timestamp,
}

impl Gate {
    /// Answers one request; the error says that not even a refusal has room, and that the
    /// request is to be reset.
    pub(crate) async fn handle<B>(
        &self,
        request: Request<B>,
        peer: Peer,
        untaken: &Arc<Untaken>,
    ) -> Result<Response<ReplyBody>, Overloaded>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let probed = self.probe(&parts, peer);
        let Some(mut share) = self.budget.share() else {
            return self.without_room(probed, peer);
        };
        if let Some(response) = probed {
            return Ok(response.map(|body| body.held(share, untaken)));
        }
        let id = RequestId::new(self.rand.as_ref());
        let arrival = Arrival { parts: &parts, peer, id: &id, received: self.clock.now() };
        let mut outcome = match preflight(&parts) {
            Some(response) if self.check_head(&parts).is_ok() => {
                Outcome { response, operation: None, code: None, caller: None }
            }
            _ => self.answer(arrival, body, &mut share).await,
        };
        self.finish(&mut outcome, arrival);
        let took = started.elapsed();
        self.metrics.observe(outcome.operation, outcome.code.as_ref(), took);
        log(&outcome, arrival, took);
        Ok(outcome.response.map(|body| body.held(share, untaken)))
    }

    /// What can be said where nothing more may be held: whoever looks after the server learns how
    /// it is all the same, others without a body that would have to wait for them.
    fn without_room(
        &self,
        probed: Option<Response<ReplyBody>>,
        peer: Peer,
    ) -> Result<Response<ReplyBody>, Overloaded> {
        match probed {
            Some(response) if peer.ip.is_loopback() => Ok(response),
            Some(response) => Ok(response.map(|_| ReplyBody::Bytes(Bytes::new()))),
            None => {
                self.metrics.requests_reset.fetch_add(1, Ordering::Relaxed);
                Err(Overloaded)
            }
        }
    }

    /// The checks before any route.
    fn check_head(&self, parts: &Parts) -> Result<(), Refusal> {
        check_head(parts)?;
        match &self.admission {
            Admission::Verified(_) => Ok(()),
            Admission::Dev { guard, .. } => guard.check(parts),
        }
    }

    async fn answer<B>(&self, arrival: Arrival<'_>, mut body: B, share: &mut Share) -> Outcome
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let is_empty = body.is_end_stream() || body.size_hint().exact() == Some(0);
        let checked = self.check_head(arrival.parts).map_err(|refusal| Refusal {
            form: likely_form(arrival.parts).unwrap_or(refusal.form),
            ..refusal
        });
        if checked.is_ok()
            && let Some(report) = self.report_at(arrival.parts)
        {
            return self.report(arrival, report, body, share).await;
        }
        let routed = checked.and_then(|()| route(arrival.parts, is_empty));
        let refusal = match routed {
            Err(refusal) => refusal,
            Ok(route) => match self.call(arrival, route, &mut body, share).await {
                Ok(outcome) => return outcome,
                Err((operation, refusal)) => {
                    share.turn_to_answer(0);
                    let mut outcome = Outcome::refused(&refusal, arrival.id);
                    outcome.operation = operation;
                    self.discard(arrival.parts, body).await;
                    return outcome;
                }
            },
        };
        self.discard(arrival.parts, body).await;
        Outcome::refused(&refusal, arrival.id)
    }

    /// Lets a client that is still sending come to read its answer.
    pub(crate) async fn discard<B: Body<Data = Bytes> + Unpin>(&self, parts: &Parts, body: B) {
        // One that asked first has not begun to send.
        if !parts.headers.contains_key(EXPECT) {
            discard(body, &self.limits).await;
        }
    }

    async fn call<B>(
        &self,
        arrival: Arrival<'_>,
        route: Route,
        body: &mut B,
        share: &mut Share,
    ) -> Result<Outcome, (Option<Place>, Refusal)>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut incoming = Incoming { body, share, received: None };
        let (operation, form) = match route {
            Route::Operation { operation, form } => (operation, form),
            Route::FormBody => {
                self.form_operation(&mut incoming).await.map_err(|refusal| (None, refusal))?
            }
        };
        let model = operation.service;
        let place = SERVICES.iter().position(|service| service.id == model.id).unwrap_or_default();
        let place = (place, operation);
        let refuse = |refusal| (Some(place), refusal);
        let admitted = self.admit(arrival, model.signing_name, form, &mut incoming).await;
        let caller = admitted.map_err(refuse)?;
        let body = incoming.received.take().unwrap_or_default();
        let service = self.services.get(place.0).and_then(Option::as_ref);
        let (Some(service), Form::Codec(codec)) = (service, form) else {
            return Err(refuse(Refusal::not_built(form, model, operation.name)));
        };
        if body.is_empty() && model.takes_cbor {
            let status = StatusCode::BAD_REQUEST;
            return Err(refuse(Refusal::silent(form, "SerializationException", status)));
        }
        let call = Call {
            caller: caller.clone(),
            operation,
            request_id: arrival.id.id.clone(),
            source_ip: arrival.peer.ip,
            is_secure: arrival.peer.is_secure,
            received: arrival.received,
            codec,
        };
        let reply = self.call_service(service.as_ref(), call, body).await;
        let (response, code) = self.reply(reply, codec, incoming.share).map_err(refuse)?;
        Ok(Outcome { response, operation: Some(place), code, caller: Some(caller) })
    }

    /// The operation that the body's `Action=` names.
    async fn form_operation<B>(
        &self,
        incoming: &mut Incoming<'_, B>,
    ) -> Result<(&'static Operation, Form), Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.receive(incoming, FORM_BYTES_MAX, Form::Query).await?;
        let text = String::from_utf8_lossy(incoming.received.as_deref().unwrap_or_default());
        match form_route(&text)? {
            Route::Operation { operation, form } => Ok((operation, form)),
            Route::FormBody => unreachable!("a form names an operation or is refused"),
        }
    }

    /// Finds out who calls, and receives the body where it is not yet there.
    pub(crate) async fn admit<B>(
        &self,
        arrival: Arrival<'_>,
        signing_name: &str,
        form: Form,
        incoming: &mut Incoming<'_, B>,
    ) -> Result<VerifiedCaller, Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let signed = SignedRequest::of(arrival.parts);
        let is_secure = arrival.peer.is_secure;
        match &self.admission {
            Admission::Dev { mode, .. } => {
                self.receive(incoming, self.limits.body_bytes_max, form).await?;
                Ok(mode.caller(access_key_id_of(&signed).as_deref(), is_secure))
            }
            Admission::Verified(verifier) => {
                let refuse = |error| Refusal::signature(form, &error);
                let begun = verifier.begin(&signed, signing_name, arrival.received);
                let pending = begun.map_err(refuse)?;
                self.receive(incoming, self.limits.body_bytes_max, form).await?;
                let body = incoming.received.clone().unwrap_or_default();
                let hash = payload_hash(&body).await;
                pending.finish(&signed, Payload::Hash(&hash), is_secure).map_err(refuse)
            }
        }
    }

    async fn receive<B>(
        &self,
        incoming: &mut Incoming<'_, B>,
        bytes_max: usize,
        form: Form,
    ) -> Result<(), Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if incoming.received.is_some() {
            return Ok(());
        }
        let Incoming { body, share, .. } = incoming;
        let received = receive(&mut **body, bytes_max, &self.limits, share).await;
        let body = received.map_err(|error| match error {
            BodyError::TooLarge => Refusal::body_too_large(form, bytes_max),
            BodyError::TooSlow => Refusal::body_too_slow(form),
            BodyError::NoRoom => Refusal::throttled(form),
            BodyError::Broken => {
                let message = "The request's body broke off.";
                Refusal::new(form, "BadRequestException", message, StatusCode::BAD_REQUEST)
            }
        })?;
        self.metrics.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        incoming.received = Some(body);
        Ok(())
    }

    async fn call_service(&self, service: &dyn Service, call: Call, body: Bytes) -> Reply {
        let request_id = call.request_id.clone();
        let action = call.operation.action;
        let answered = AssertUnwindSafe(async { service.call(call, body).await }).catch_unwind();
        answered.await.unwrap_or_else(|_| {
            // The panic itself was reported where it happened.
            tracing::error!(%request_id, action, "the service panicked: this is a bug");
            self.metrics.panics.fetch_add(1, Ordering::Relaxed);
            Reply::Error(WireError::internal_failure())
        })
    }

    fn reply(
        &self,
        reply: Reply,
        codec: Codec,
        share: &mut Share,
    ) -> Result<(Response<ReplyBody>, Option<Cow<'static, str>>), Refusal> {
        let content_type = HeaderValue::from_static(codec.content_type());
        match reply {
            Reply::Body(body) => {
                // The request's bytes are done with.
                if !share.turn_to_answer(body.len()) {
                    return Err(Refusal::throttled(Form::Codec(codec)));
                }
                let mut response = Response::new(ReplyBody::Bytes(body));
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                Ok((response, None))
            }
            Reply::Error(error) => {
                share.turn_to_answer(0);
                let mut response = Response::new(ReplyBody::Bytes(error.encode(codec)));
                *response.status_mut() =
                    StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                Ok((response, Some(error.code)))
            }
            Reply::Events(frames) => {
                share.turn_to_answer(0);
                let mut draining = self.draining.clone();
                // At a drain streams end where a frame ends, and clients subscribe again.
                let drained = async move {
                    let _ = draining.wait_for(|draining| *draining).await;
                };
                let frames = frames.take_until(Box::pin(drained)).boxed();
                let body = ReplyBody::frames(frames, self.budget.clone());
                let mut response = Response::new(body);
                let content_type = millstream_wire::event_stream::CONTENT_TYPE;
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                Ok((response, None))
            }
        }
    }

    /// The headers that every answer has.
    fn finish(&self, outcome: &mut Outcome, arrival: Arrival<'_>) {
        let is_preflight = arrival.parts.method == Method::OPTIONS && outcome.code.is_none();
        let headers = outcome.response.headers_mut();
        headers.insert(HeaderName::from_static("x-amzn-requestid"), arrival.id.header.clone());
        if !is_preflight {
            headers.insert(HeaderName::from_static("x-amz-id-2"), arrival.id.extended.clone());
        }
        if arrival.parts.headers.contains_key(ORIGIN) && self.check_head(arrival.parts).is_ok() {
            headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
            if !is_preflight {
                let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
                headers.insert("access-control-expose-headers", exposed);
            }
        }
        self.mark_mode(headers);
    }

    fn mark_mode(&self, headers: &mut HeaderMap) {
        if matches!(self.admission, Admission::Dev { .. }) {
            let name = HeaderName::from_static("x-millstream-mode");
            headers.insert(name, HeaderValue::from_static("dev"));
        }
    }

    /// `/healthz`, `/readyz` and `/metrics`.
    fn probe(&self, parts: &Parts, peer: Peer) -> Option<Response<ReplyBody>> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return None;
        }
        let (status, text) = match parts.uri.path() {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.is_ready.load(Ordering::Acquire) && !*self.draining.borrow() => {
                (StatusCode::OK, "ready\n".to_owned())
            }
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            "/metrics" => {
                let may = self.metrics_for_all || peer.ip.to_canonical().is_loopback();
                if !may || self.check_head(parts).is_err() {
                    return None;
                }
                (StatusCode::OK, self.metrics_text())
            }
            _ => return None,
        };
        let mut response = Response::new(ReplyBody::Bytes(text.into()));
        *response.status_mut() = status;
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        self.mark_mode(response.headers_mut());
        Some(response)
    }

    fn metrics_text(&self) -> String {
        let mut text = MetricsText::default();
        self.metrics.collect(&mut text);
        text.gauge("millstream_connections_open", "Connections open now.")
            .sample(&[], (self.connections_open)());
        text.gauge("millstream_in_flight_bytes", "Bytes of requests received or worked on now.")
            .sample(&[], self.budget.used());
        for collector in &self.collectors {
            collector.collect(&mut text);
        }
        text.into_string()
    }
}

const EXPOSED_HEADERS: &str =
    "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date";
/// How long a browser may remember a preflight, in seconds (observed).
const PREFLIGHT_AGE_SECONDS: u32 = 172_800;

/// The answer to a browser that asks what it may send (observed).
fn preflight(parts: &Parts) -> Option<Response<ReplyBody>> {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(ORIGIN) {
        return None;
    }
    let mut response = Response::new(ReplyBody::Bytes(Bytes::new()));
    let headers = response.headers_mut();
    for (asked, granted) in [
        ("access-control-request-headers", "access-control-allow-headers"),
        ("access-control-request-method", "access-control-allow-methods"),
    ] {
        if let Some(value) = parts.headers.get(asked) {
            headers.insert(HeaderName::from_static(granted), value.clone());
        }
    }
    headers.insert("access-control-max-age", HeaderValue::from(PREFLIGHT_AGE_SECONDS));
    Some(response)
}

/// The SHA-256 of a body; a large one is hashed where it does not hold up others.
async fn payload_hash(body: &Bytes) -> String {
    if body.len() < HASH_ELSEWHERE_BYTES {
        return sha256_hex(body);
    }
    let shared = body.clone();
    let elsewhere = tokio::task::spawn_blocking(move || sha256_hex(&shared));
    // The runtime is shutting down: no matter where, then.
    elsewhere.await.unwrap_or_else(|_| sha256_hex(body))
}

fn log(outcome: &Outcome, arrival: Arrival<'_>, took: std::time::Duration) {
    let request_id = &*arrival.id.id;
    let action = outcome.operation.map_or("", |(_, operation)| operation.action);
    let status = outcome.response.status().as_u16();
    let code = outcome.code.as_deref().unwrap_or("ok");
    let access_key_id = outcome.caller.as_ref().map_or("", VerifiedCaller::access_key_id);
    let source_ip = arrival.peer.ip;
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::error!(request_id, action, status, code, access_key_id, %source_ip, took_us, "answered");
    } else {
        tracing::debug!(request_id, action, status, code, access_key_id, %source_ip, took_us, "answered");
    }
}
