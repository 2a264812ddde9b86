//! The request: its headers and its body.

use std::fmt::Write as _;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use millstream_core::Timestamp;

use super::HttpEndpointConfig;
use crate::outbound::Url;
use crate::{ConfigError, Delivery, Failure};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("x-amz-firehose-protocol-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-firehose-request-id");
const SOURCE_ARN: HeaderName = HeaderName::from_static("x-amz-firehose-source-arn");
const ACCESS_KEY: HeaderName = HeaderName::from_static("x-amz-firehose-access-key");
const COMMON_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amz-firehose-common-attributes");
const AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));

/// What stands around a record's data in the body, the comma included.
const RECORD_FRAME_BYTES: usize = r#"{"data":""},"#.len();
/// What stands around all records, with the longest id and timestamp, generously.
const BODY_FRAME_BYTES: usize = 512;
/// Bodies above this are encoded away from the threads that serve connections.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The headers that all requests to an endpoint share.
pub(super) fn headers(config: &HttpEndpointConfig, url: &Url) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("1.0"));
    let value =
        |text: &str, what| HeaderValue::from_str(text).map_err(|_| ConfigError::Header(what));
    headers.insert(SOURCE_ARN, value(&config.source_arn, "the delivery stream's ARN")?);
    if let Some(access_key) = &config.access_key {
        let mut access_key = value(access_key.expose(), "the access key")?;
        access_key.set_sensitive(true);
        headers.insert(ACCESS_KEY, access_key);
    }
    if !config.common_attributes.is_empty() {
        let attributes = common_attributes(&config.common_attributes);
        headers.insert(COMMON_ATTRIBUTES, value(&attributes, "a common attribute")?);
    }
    if config.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(userinfo) = &url.userinfo {
        let mut authorization = value(&userinfo.basic(), "the URL's user")?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
    }
    Ok(headers)
}

/// `{"commonAttributes":{...}}` in the order given, and in ASCII, as a header must be.
fn common_attributes(attributes: &[(String, String)]) -> String {
    let mut text = String::from(r#"{"commonAttributes":{"#);
    for (index, (name, value)) in attributes.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_ascii_json(&mut text, name);
        text.push(':');
        push_ascii_json(&mut text, value);
    }
    text.push_str("}}");
    text
}

fn push_ascii_json(out: &mut String, text: &str) {
    let json = serde_json::Value::from(text).to_string();
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}").expect("a string takes what is written");
            }
        }
    }
}

/// How much data fits a body of `body_bytes` in however many records up to `records`.
pub(super) const fn data_bytes_max(body_bytes: usize, records: usize) -> usize {
    // Base64 writes four bytes for three, and up to two more at each record's end.
    let frames = BODY_FRAME_BYTES + records * (RECORD_FRAME_BYTES + 4);
    (body_bytes - frames) / 4 * 3
}

/// The body, compressed where that is asked for.
pub(super) async fn body(delivery: &Delivery, now: Timestamp, gzip: bool) -> Bytes {
    let bytes: usize = delivery.documents.iter().map(|document| document.data.len()).sum();
    if bytes <= INLINE_BYTES_MAX {
        return encode(delivery, now, gzip);
    }
    // Cheap: data is shared, not copied.
    let delivery = delivery.clone();
    tokio::task::spawn_blocking(move || encode(&delivery, now, gzip))
        .await
        .expect("encoding does not panic, and nobody cancels it")
}

fn encode(delivery: &Delivery, now: Timestamp, gzip: bool) -> Bytes {
    let plain = plain_body(delivery, now);
    if !gzip {
        return Bytes::from(plain);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2), Compression::default());
    encoder.write_all(&plain).expect("memory takes what is written");
    Bytes::from(encoder.finish().expect("memory takes what is written"))
}

fn plain_body(delivery: &Delivery, now: Timestamp) -> Vec<u8> {
    let records: usize = delivery
        .documents
        .iter()
        .map(|document| document.data.len().div_ceil(3) * 4 + RECORD_FRAME_BYTES)
        .sum();
    let mut body = Vec::with_capacity(records + BODY_FRAME_BYTES);
    let id = serde_json::Value::from(delivery.id.as_str());
    let head = format!(r#"{{"requestId":{id},"timestamp":{},"records":["#, now.ms());
    body.extend_from_slice(head.as_bytes());
    for (index, document) in delivery.documents.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(br#"{"data":""#);
        base64_simd::STANDARD.encode_append(&document.data, &mut body);
        body.extend_from_slice(br#""}"#);
    }
    body.extend_from_slice(b"]}");
    body
}

/// The whole request.
pub(super) fn assemble(
    target: &Uri,
    headers: &HeaderMap,
    id: &str,
    body: Bytes,
) -> Result<Request<Bytes>, Failure> {
    let id = HeaderValue::from_str(id).map_err(|_| {
        Failure::permanent("InternalError", "the delivery's id cannot be sent in a header")
    })?;
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.clone();
    *request.headers_mut() = headers.clone();
    request.headers_mut().insert(REQUEST_ID, id);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, DocumentId};

    fn delivery(data: &[&[u8]]) -> Delivery {
        let documents = data.iter().zip(0..).map(|(data, position)| Document {
            id: DocumentId { part: 0, position, index: 0 },
            arrived: Timestamp::from_ms(1),
            operation: crate::Operation::Insert,
            data: Bytes::copy_from_slice(data),
        });
        Delivery {
            id: "ed4acda5".to_owned(),
            partition: String::new(),
            documents: documents.collect(),
        }
    }

    #[test]
    fn a_body_is_as_the_guide_shows_it() {
        let delivery = delivery(&[b"hello", b"hello world", b""]);
        let body = plain_body(&delivery, Timestamp::from_ms(1_578_090_901_599));
        let expected = r#"{"requestId":"ed4acda5","timestamp":1578090901599,"records":[{"data":"aGVsbG8="},{"data":"aGVsbG8gd29ybGQ="},{"data":""}]}"#;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn what_the_limits_allow_fits_the_body() {
        let records = 100;
        let limit = 4_096;
        let data_max = data_bytes_max(limit, records);
        for size in [data_max / records, 1, 2, 3] {
            let each = vec![7; size];
            let all: Vec<&[u8]> = (0..records).map(|_| each.as_slice()).collect();
            assert!(plain_body(&delivery(&all), Timestamp::from_ms(u64::MAX)).len() <= limit);
        }
        assert!(plain_body(&delivery(&[&vec![7; data_max]]), Timestamp::from_ms(1)).len() <= limit);
    }

    #[test]
    fn attributes_keep_their_order_and_are_ascii() {
        let attributes = [("b", "\u{e9}\"\u{1f600}"), ("a", "")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            common_attributes(&attributes),
            r#"{"commonAttributes":{"b":"\u00e9\"\ud83d\ude00","a":""}}"#
        );
    }
}
