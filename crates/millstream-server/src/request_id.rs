//! The two ids that every answer carries.

use std::sync::Arc;

use http::HeaderValue;
use millstream_core::Rand;

/// Bytes behind `x-amz-id-2` (observed: base64 of 64 to 80 bytes).
const EXTENDED_LENGTH: usize = 72;

/// `x-amzn-RequestId`, in the form of a UUID, and `x-amz-id-2`.
#[derive(Clone, Debug)]
pub(crate) struct RequestId {
    pub(crate) id: Arc<str>,
    pub(crate) header: HeaderValue,
    pub(crate) extended: HeaderValue,
}

impl RequestId {
    pub(crate) fn new(rand: &dyn Rand) -> Self {
        let mut bytes = [0; 16 + EXTENDED_LENGTH];
        rand.fill(&mut bytes);
        let (id, extended) = bytes.split_at_mut(16);
        // A random UUID (RFC 9562, version 4).
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
        let id = uuid_text(id);
        let header = HeaderValue::from_str(&id).expect("digits and dashes");
        let extended = HeaderValue::from_str(&base64(extended)).expect("base64 is visible");
        Self { id: id.into(), header, extended }
    }
}

fn uuid_text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    text
}

/// Base64 of a multiple of three bytes.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() / 3 * 4);
    for three in bytes.chunks_exact(3) {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for shift in [18, 12, 6, 0] {
            text.push(char::from(LETTERS[(bits >> shift & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;

    #[test]
    fn ids_have_the_form_that_clients_know() {
        let rand = SeededRand::new(1);
        let (one, other) = (RequestId::new(&rand), RequestId::new(&rand));
        assert_eq!(one.id.len(), 36);
        assert_eq!(one.id.as_bytes()[14], b'4');
        assert_eq!(one.header.to_str().unwrap(), &*one.id);
        assert_eq!(one.extended.len(), 96);
        assert_ne!(one.id, other.id);
        assert_eq!(base64(b"Man"), "TWFu");
    }
}
