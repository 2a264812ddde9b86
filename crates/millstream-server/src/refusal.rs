//! Errors that the server itself gives, in the form that the request's protocol knows.
//!
//! Owns how an error looks in each protocol, built or not: JSON and CBOR bodies with `__type`,
//! the header and body of REST-JSON, the XML of the query protocol, and the bare XML that the
//! service answers where it cannot tell which protocol was meant (observed: kinesalite's tests,
//! recorded against the service).

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use millstream_api::{ServiceModel, WireError};
use millstream_auth::sigv4::SignatureError;
use millstream_wire::{Codec, Encoder};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A body of this codec.
    Codec(Codec),
    /// What `application/json` is answered with: a code inside `Output`.
    Deprecated,
    /// Smithy RPC v2.
    RpcV2Cbor,
    /// A header names the error.
    RestJson,
    /// XML around `Error`.
    Query,
    /// XML named by the error, without a content type.
    Bare,
}

/// An error to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) form: Form,
    pub(crate) code: Cow<'static, str>,
    /// `None`: the body has no message at all (observed for some).
    pub(crate) message: Option<String>,
    pub(crate) status: StatusCode,
}

impl Refusal {
    pub(crate) fn new(
        form: Form,
        code: &'static str,
        message: impl Into<String>,
        status: StatusCode,
    ) -> Self {
        Self { form, code: code.into(), message: Some(message.into()), status }
    }

    /// A code without a word.
    pub(crate) fn silent(form: Form, code: &'static str, status: StatusCode) -> Self {
        Self { form, code: code.into(), message: None, status }
    }

    pub(crate) fn signature(form: Form, error: &SignatureError) -> Self {
        let (code, status) = match form {
            Form::Codec(_) | Form::RpcV2Cbor | Form::Deprecated => {
                (error.code(), StatusCode::BAD_REQUEST)
            }
            Form::RestJson | Form::Bare => (error.code(), StatusCode::FORBIDDEN),
            Form::Query => (query_code(error.code()), StatusCode::FORBIDDEN),
        };
        Self::new(form, code, error.to_string(), status)
    }

    /// More is under way than the server may hold.
    pub(crate) fn throttled(form: Form) -> Self {
        let message = "Rate exceeded: the server has as much under way as it may hold.";
        Self::new(form, "ThrottlingException", message, StatusCode::BAD_REQUEST)
    }

    pub(crate) fn body_too_large(form: Form, bytes_max: usize) -> Self {
        let message = format!("The request's body has more than {bytes_max} bytes.");
        Self::new(form, "RequestEntityTooLargeException", message, StatusCode::PAYLOAD_TOO_LARGE)
    }

    pub(crate) fn body_too_slow(form: Form) -> Self {
        let message = "The request's body did not arrive in time.";
        Self::new(form, "RequestTimeoutException", message, StatusCode::REQUEST_TIMEOUT)
    }

    /// An operation of the models whose service is not there yet.
    pub(crate) fn not_built(form: Form, service: &ServiceModel, operation: &str) -> Self {
        let message = format!(
            "{} is not built into this Millstream yet, so {operation} cannot be answered. \
             See docs/compatibility.md for what is.",
            service.full_name
        );
        let code = if form == Form::Query { "InvalidAction" } else { "UnknownOperationException" };
        Self::new(form, code, message, StatusCode::BAD_REQUEST)
    }

    /// The answer.
    pub(crate) fn response(&self, request_id: &str) -> Response<Bytes> {
        let message = self.message.as_deref();
        let (content_type, body) = match self.form {
            Form::Codec(codec) => (codec.content_type(), self.body(codec)),
            Form::Deprecated => ("application/json", deprecated_body(&self.code)),
            Form::RpcV2Cbor => ("application/cbor", self.body(Codec::Cbor11)),
            Form::RestJson => ("application/json", json_message(message.unwrap_or_default())),
            Form::Query => ("text/xml", self.query_body(request_id)),
            Form::Bare => ("", bare_body(&self.code, message)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !content_type.is_empty() {
            headers.insert("content-type", HeaderValue::from_static(content_type));
        }
        if self.form == Form::RpcV2Cbor {
            headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        }
        if self.form == Form::RestJson
            && let Ok(code) = HeaderValue::from_str(&self.code)
        {
            headers.insert("x-amzn-errortype", code);
        }
        response
    }

    fn body(&self, codec: Codec) -> Bytes {
        if let Some(message) = &self.message {
            let status = self.status.as_u16();
            return WireError::new(self.code.clone(), message.as_str(), status).encode(codec);
        }
        let mut encoder = Encoder::new(codec);
        encoder.begin_structure();
        encoder.member("__type", self.code.as_ref());
        encoder.end_structure();
        encoder.finish()
    }

    fn query_body(&self, request_id: &str) -> Bytes {
        let kind = if self.status.is_server_error() { "Receiver" } else { "Sender" };
        let message = xml_text(self.message.as_deref().unwrap_or_default());
        let code = xml_text(&self.code);
        format!(
            "<ErrorResponse>\n  <Error>\n    <Type>{kind}</Type>\n    <Code>{code}</Code>\n    \
             <Message>{message}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n\
             </ErrorResponse>\n"
        )
        .into()
    }
}

/// The query protocol's names for the same faults (documented: common errors).
fn query_code(code: &'static str) -> &'static str {
    match code {
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "IncompleteSignatureException" => "IncompleteSignature",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "ExpiredTokenException" => "ExpiredToken",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        other => other,
    }
}

fn deprecated_body(code: &str) -> Bytes {
    format!(r#"{{"Output":{{"__type":"com.amazon.coral.service#{code}"}},"Version":"1.0"}}"#).into()
}

fn json_message(message: &str) -> Bytes {
    let mut encoder = Encoder::new(Codec::Json11);
    encoder.begin_structure();
    encoder.member("message", message);
    encoder.end_structure();
    encoder.finish()
}

fn bare_body(code: &str, message: Option<&str>) -> Bytes {
    match message {
        None => format!("<{code}/>\n").into(),
        Some(message) => {
            format!("<{code}>\n  <Message>{}</Message>\n</{code}>\n", xml_text(message)).into()
        }
    }
}

/// `text` as the content of an element. Quotes stay as they are (observed).
fn xml_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\t' => escaped.push(char),
            char if char.is_control() => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}
