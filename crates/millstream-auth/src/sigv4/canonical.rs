//! The canonical request: the one text that both sides hash.
//!
//! Written straight into a sink, a hash on the hot path or a buffer for an error's text, so
//! that a request that fits costs no string.

use http::HeaderMap;
use http::header::HeaderName;
use ring::digest;

/// The payload hash of a request whose body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The query parameter that holds the signature, and so is not itself signed.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// How a path is made canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathForm {
    /// Dot segments and empty segments removed, then encoded once more: all services but S3.
    Service,
    /// Dot segments and empty segments removed, encoded once: the published test suite.
    NormalizedOnce,
    /// As sent, encoded once.
    Once,
}

/// Takes the canonical request piece by piece.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for digest::Context {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// What a signature covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canonical<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) path_form: PathForm,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    /// Stands in for a missing `Host` header (HTTP/2 has `:authority` instead).
    pub(super) authority: Option<&'a str>,
    /// Names, joined by `;`.
    pub(super) signed_headers: &'a str,
    /// Hexadecimal, or [`UNSIGNED_PAYLOAD`].
    pub(super) payload_hash: &'a str,
}

impl Canonical<'_> {
    /// The SHA-256 of the canonical request, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        self.write(&mut context);
        hex(context.finish().as_ref())
    }

    /// The canonical request itself, for people.
    pub(super) fn text(&self) -> String {
        let mut text = Vec::with_capacity(512);
        self.write(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.put(self.method.as_bytes());
        sink.put(b"\n");
        write_path(self.path, self.path_form, sink);
        sink.put(b"\n");
        write_query(self.query.unwrap_or_default(), sink);
        sink.put(b"\n");
        for name in self.signed_headers.split(';') {
            self.write_header(name, sink);
        }
        sink.put(b"\n");
        sink.put(self.signed_headers.as_bytes());
        sink.put(b"\n");
        sink.put(self.payload_hash.as_bytes());
    }

    fn write_header(&self, name: &str, sink: &mut impl Sink) {
        sink.put(name.as_bytes());
        sink.put(b":");
        let mut found = false;
        if let Ok(key) = HeaderName::from_bytes(name.as_bytes()) {
            for value in self.headers.get_all(key) {
                if found {
                    sink.put(b",");
                }
                found = true;
                write_value(value.as_bytes(), sink);
            }
        }
        if !found && name.eq_ignore_ascii_case("host") {
            sink.put(self.authority.unwrap_or_default().as_bytes());
        }
        sink.put(b"\n");
    }
}

/// A header's value without blanks at its ends, runs of blanks inside as one.
fn write_value(value: &[u8], sink: &mut impl Sink) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        return sink.put(value);
    }
    let mut words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        sink.put(first);
    }
    for word in words {
        sink.put(b" ");
        sink.put(word);
    }
}

fn write_path(path: &str, form: PathForm, sink: &mut impl Sink) {
    if path == "/" || path.is_empty() {
        return sink.put(b"/");
    }
    let normal = match form {
        PathForm::Service | PathForm::NormalizedOnce => Some(without_dots(path)),
        PathForm::Once => None,
    };
    let path = normal.as_deref().unwrap_or(path);
    if form == PathForm::Service {
        write_encoded(path.as_bytes(), b"/", sink);
    } else {
        write_encoded(&decoded(path, false), b"/", sink);
    }
}

/// Removes empty and dot segments (RFC 3986, 5.2.4); a slash at the end stays.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let mut normal = String::with_capacity(path.len() + 1);
    for name in &kept {
        normal.push('/');
        normal.push_str(name);
    }
    if kept.is_empty() || ends_open {
        normal.push('/');
    }
    normal
}

fn write_query(query: &str, sink: &mut impl Sink) {
    if query.is_empty() {
        return;
    }
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != SIGNATURE_PARAMETER)
        .map(|(name, value)| (reencoded(name), reencoded(value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            sink.put(b"&");
        }
        sink.put(name);
        sink.put(b"=");
        sink.put(value);
    }
}

fn reencoded(text: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(text.len());
    write_encoded(&decoded(text, true), b"", &mut encoded);
    encoded
}

/// Percent-decoded bytes; a malformed escape stands for itself.
/// `plus_is_space`: as in a query.
pub(super) fn decoded(text: &str, plus_is_space: bool) -> Vec<u8> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = match (byte, bytes.get(at + 1), bytes.get(at + 2)) {
            (b'%', Some(&high), Some(&low)) => nibble(high).zip(nibble(low)),
            _ => None,
        };
        if let Some((high, low)) = escape {
            plain.push(high << 4 | low);
            at += 3;
        } else {
            plain.push(if byte == b'+' && plus_is_space { b' ' } else { byte });
            at += 1;
        }
    }
    plain
}

/// Encodes all but the unreserved characters (RFC 3986, 2.3) and those in `also_kept`.
pub(super) fn write_encoded(bytes: &[u8], also_kept: &[u8], sink: &mut impl Sink) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also_kept.contains(&byte)
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
        sink.put(&rest[..plain]);
        if let Some(&byte) = rest.get(plain) {
            let high = DIGITS[usize::from(byte >> 4)];
            let low = DIGITS[usize::from(byte & 0xf)];
            sink.put(&[b'%', high, low]);
        }
        rest = rest.get(plain + 1..).unwrap_or_default();
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    text
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    sha256_hex_of([bytes])
}

/// The same of bytes that lie in pieces.
pub fn sha256_hex_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    pieces.into_iter().for_each(|piece| context.update(piece));
    hex(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str, form: PathForm) -> String {
        let mut out = Vec::new();
        write_path(text, form, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_service_encodes_the_path_once_more_than_it_came() {
        // The two cases that the published suite carries over from its older form.
        assert_eq!(
            path("/test/@connections/JBDvjfGEIAMCERw%3D", PathForm::Service),
            "/test/%40connections/JBDvjfGEIAMCERw%253D"
        );
        assert_eq!(
            path("/2015-03-31/functions/arn%3Aaws%3Alambda", PathForm::Service),
            "/2015-03-31/functions/arn%253Aaws%253Alambda"
        );
        assert_eq!(path("/a/../b/./c//d/", PathForm::Service), "/b/c/d/");
        assert_eq!(path("/../..", PathForm::Service), "/");
    }

    #[test]
    fn a_malformed_escape_stands_for_itself() {
        for text in ["%", "%4", "%zz", "%4z", "a%"] {
            assert_eq!(decoded(text, true), text.as_bytes());
        }
        assert_eq!(decoded("%41+%2b", true), b"A +");
    }

    #[test]
    fn blanks_fold_in_values() {
        let fold = |text: &str| {
            let mut out = Vec::new();
            write_value(text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(fold("  a   b  c "), "a b c");
        assert_eq!(fold("a b"), "a b");
        assert_eq!(fold("   "), "");
    }
}
