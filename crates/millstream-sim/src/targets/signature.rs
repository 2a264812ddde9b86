//! Signed requests.
//!
//! The input is a request as text: method, path, query, authority, headers one a line, an empty
//! line, the body. The key is known to the seeds' signer only, so whatever passes must say what
//! one of the seeds says.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use millstream_auth::Secret;
use millstream_auth::sigv4::{
    Claim, Payload, SignedRequest, Signer, SigningCredentials, SigningKey, access_key_id_of,
};
use millstream_core::Timestamp;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);
const REGION: &str = "us-east-1";
const SERVICE: &str = "kinesis";
const BODY: &str = r#"{"StreamName":"orders"}"#;
const HOST: &str = "kinesis.us-east-1.amazonaws.com";
const TARGET: &str = "Kinesis_20131202.DescribeStreamSummary";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Stands for a query or an authority that is not there.
const NONE: &str = "-";

/// A request as text.
struct Parsed<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    authority: Option<&'a str>,
    headers: HeaderMap,
    body: &'a [u8],
}

fn parse(data: &[u8]) -> Option<Parsed<'_>> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let mut lines = head.split('\n');
    let (method, path) = (lines.next()?, lines.next().filter(|path| path.starts_with('/'))?);
    let query = lines.next().filter(|text| *text != NONE);
    let authority = lines.next().filter(|text| *text != NONE);
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        let name: HeaderName = name.parse().ok()?;
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(Parsed { method, path, query, authority, headers, body: &data[end + 2..] })
}

pub(super) fn sigv4(data: &[u8]) {
    let Some(parsed) = parse(data) else { return };
    let request = SignedRequest {
        method: parsed.method,
        path: parsed.path,
        query: parsed.query,
        authority: parsed.authority,
        headers: &parsed.headers,
    };
    let _ = access_key_id_of(&request);
    let Ok(claim) = Claim::read(&request) else { return };
    let Ok(scope) = claim.check(&request, REGION, SERVICE, NOW) else { return };
    let key = SigningKey::derive(&secret(), &scope);
    if claim.verify(&request, &scope, &key, Payload::Bytes(parsed.body)).is_err() {
        return;
    }
    assert_eq!(parsed.method, "POST");
    assert!(means_root(parsed.path), "{} passed for the root", parsed.path);
    assert_eq!(parsed.body, BODY.as_bytes());
    let said = |name: &str| {
        let values: Vec<&[u8]> = parsed
            .headers
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes().trim_ascii())
            .collect();
        values.join(&b","[..])
    };
    assert_eq!(said("x-amz-target"), TARGET.as_bytes());
    assert_eq!(said("content-type"), CONTENT_TYPE.as_bytes());
    let host = parsed.headers.get("host").map(|host| host.as_bytes().trim_ascii());
    assert_eq!(host.or(parsed.authority.map(str::as_bytes)), Some(HOST.as_bytes()));
    for name in parsed.headers.keys().map(HeaderName::as_str) {
        let known = ["x-amz-target", "x-amz-date", "x-amz-security-token"].contains(&name);
        assert!(known || !name.starts_with("x-amz-"), "{name} passed unsigned");
    }
}

/// Whether a path comes to `/` once dots and doubled slashes are resolved, as the signature's
/// canonical form does.
fn means_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    depth == 0
}

fn secret() -> Secret {
    Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned())
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for session_token in [None, Some(Secret::new("a session".to_owned()))] {
        let credentials = SigningCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: secret(),
            session_token,
        };
        let signer = Signer::new(credentials, REGION, SERVICE);
        let payload = Payload::Bytes(BODY.as_bytes());
        let mut signed = unsigned();
        signer.sign(&mut signed, payload, NOW).expect("the request can be signed");
        seeds.push(text_of(&signed, None));
        let mut presigned = unsigned();
        let life = Duration::from_secs(300);
        let target = signer.presign(&mut presigned, payload, life, NOW);
        let target = target.expect("the request can be signed");
        seeds.push(text_of(&presigned, target.query()));
    }
    seeds
}

fn unsigned() -> http::request::Parts {
    let request = Request::builder()
        .method("POST")
        .uri("/")
        .header("host", HOST)
        .header("x-amz-target", TARGET)
        .header("content-type", CONTENT_TYPE)
        .body(())
        .expect("the request is well formed");
    request.into_parts().0
}

fn text_of(parts: &http::request::Parts, query: Option<&str>) -> Vec<u8> {
    let mut text = format!("POST\n/\n{}\n{NONE}", query.unwrap_or(NONE));
    for (name, value) in &parts.headers {
        text = text + "\n" + name.as_str() + ": " + value.to_str().expect("seeds are text");
    }
    text += "\n\n";
    text += BODY;
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_pass_the_verifier() {
        for seed in seeds() {
            let parsed = parse(&seed).unwrap();
            let request = SignedRequest {
                method: parsed.method,
                path: parsed.path,
                query: parsed.query,
                authority: parsed.authority,
                headers: &parsed.headers,
            };
            let claim = Claim::read(&request).unwrap();
            let scope = claim.check(&request, REGION, SERVICE, NOW).unwrap();
            let key = SigningKey::derive(&secret(), &scope);
            claim.verify(&request, &scope, &key, Payload::Bytes(parsed.body)).unwrap();
            sigv4(&seed);
        }
    }
}
