//! From values to bytes: an encoder that generated code drives.
//!
//! Owns the one output buffer. Base64 is written into it directly; members without a value are
//! left out. CBOR structures are indefinite-length maps, as the service's own are (observed).

use std::collections::BTreeMap;
use std::io::Write;

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_core::Timestamp;

use crate::Codec;

/// A value that can be put on the wire.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, encoder: &mut Encoder);

    /// Whether a structure leaves the member out.
    fn is_absent(&self) -> bool {
        false
    }

    /// About how many bytes the value takes, its blobs counted raw, so that a large body is
    /// allocated once. Only types that hold blobs know better than the default.
    fn bytes_hint(&self) -> usize {
        16
    }
}

/// Encodes a whole body.
pub fn encode_body<T: Encode + ?Sized>(codec: Codec, value: &T) -> Bytes {
    let mut encoder = Encoder::with_capacity(codec, capacity_for(codec, value));
    value.encode(&mut encoder);
    encoder.finish()
}

/// Room for `value`: in JSON, base64 takes four bytes for three.
pub(crate) fn capacity_for<T: Encode + ?Sized>(codec: Codec, value: &T) -> usize {
    let hint = value.bytes_hint();
    if codec.is_json() { hint.saturating_add(hint / 3) } else { hint }
}

/// Writes one body.
#[derive(Debug)]
pub struct Encoder {
    is_json: bool,
    /// In JSON, whether a comma goes before the next item.
    needs_comma: bool,
    out: Vec<u8>,
}

impl Encoder {
    /// An empty body of the form `codec`.
    pub fn new(codec: Codec) -> Self {
        Self::append_to(codec, Vec::new())
    }

    /// As [`Encoder::new`], with room for `bytes` before the first growth.
    pub fn with_capacity(codec: Codec, bytes: usize) -> Self {
        Self::append_to(codec, Vec::with_capacity(bytes))
    }

    /// A body behind what `out` holds already.
    pub(crate) fn append_to(codec: Codec, out: Vec<u8>) -> Self {
        Self { is_json: codec.is_json(), needs_comma: false, out }
    }

    /// The body.
    pub fn finish(self) -> Bytes {
        self.out.into()
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.out
    }

    /// Starts a structure.
    pub fn begin_structure(&mut self) {
        self.before_item();
        if self.is_json {
            self.out.push(b'{');
            self.needs_comma = false;
        } else {
            self.out.push(0xbf);
        }
    }

    /// Writes a member, unless it is absent.
    pub fn member<T: Encode + ?Sized>(&mut self, name: &'static str, value: &T) {
        if !value.is_absent() {
            self.name(name);
            value.encode(self);
        }
    }

    /// Ends a structure.
    pub fn end_structure(&mut self) {
        self.out.push(if self.is_json { b'}' } else { 0xff });
        self.needs_comma = true;
    }

    fn key(&mut self, key: &str) {
        self.string(key);
        if self.is_json {
            self.out.push(b':');
            self.needs_comma = false;
        }
    }

    /// A key that needs no escape: the model's names do not.
    fn name(&mut self, name: &'static str) {
        if !self.is_json {
            return self.string(name);
        }
        self.before_item();
        self.out.reserve(name.len() + 3);
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.needs_comma = false;
    }

    fn before_item(&mut self) {
        if self.is_json && std::mem::replace(&mut self.needs_comma, true) {
            self.out.push(b',');
        }
    }

    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        if argument < 24 {
            self.out.push(major | argument.to_le_bytes()[0]);
        } else if let Ok(value) = u8::try_from(argument) {
            self.out.extend([major | 0x18, value]);
        } else if let Ok(value) = u16::try_from(argument) {
            self.out.push(major | 0x19);
            self.out.extend(value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(argument) {
            self.out.push(major | 0x1a);
            self.out.extend(value.to_be_bytes());
        } else {
            self.out.push(major | 0x1b);
            self.out.extend(argument.to_be_bytes());
        }
    }

    fn string(&mut self, text: &str) {
        self.before_item();
        if !self.is_json {
            self.head(3, text.len() as u64);
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        self.out.push(b'"');
        let must_escape = |byte: &u8| matches!(byte, 0..=0x1f | b'"' | b'\\');
        let mut rest = text.as_bytes();
        // Without an early way out the look is vectorised; most texts have nothing to escape.
        if !rest.iter().fold(false, |found, byte| found | must_escape(byte)) {
            self.out.extend_from_slice(rest);
            self.out.push(b'"');
            return;
        }
        while let Some(length) = rest.iter().position(must_escape) {
            self.out.extend_from_slice(&rest[..length]);
            self.escape(rest[length]);
            rest = &rest[length + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let _ = write!(self.out, "\\u{byte:04x}");
                return;
            }
        };
        self.out.extend([b'\\', short]);
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.before_item();
        if self.is_json {
            // The quotes and the base64 in one growth.
            self.out.reserve(STANDARD.encoded_length(bytes.len()) + 2);
            self.out.push(b'"');
            STANDARD.encode_append(bytes, &mut self.out);
            self.out.push(b'"');
        } else {
            self.head(2, bytes.len() as u64);
            self.out.extend_from_slice(bytes);
        }
    }

    fn long(&mut self, value: i64) {
        self.before_item();
        if self.is_json {
            if value < 0 {
                self.out.push(b'-');
            }
            self.digits(value.unsigned_abs());
        } else if value >= 0 {
            self.head(0, value.unsigned_abs());
        } else {
            self.head(1, (-1 - value).unsigned_abs());
        }
    }

    /// A number in decimal.
    fn digits(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (value % 10).to_le_bytes()[0];
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[start..]);
    }

    fn double(&mut self, value: f64) {
        self.before_item();
        if !self.is_json {
            self.out.push(0xfb);
            self.out.extend(value.to_be_bytes());
        } else if value.is_finite() {
            let _ = write!(self.out, "{value}");
        } else {
            let name = if value.is_nan() {
                "\"NaN\""
            } else if value > 0.0 {
                "\"Infinity\""
            } else {
                "\"-Infinity\""
            };
            self.out.extend_from_slice(name.as_bytes());
        }
    }

    fn boolean(&mut self, value: bool) {
        self.before_item();
        if self.is_json {
            self.out.extend_from_slice(if value { b"true" } else { b"false" });
        } else {
            self.out.push(if value { 0xf5 } else { 0xf4 });
        }
    }

    fn timestamp(&mut self, value: Timestamp) {
        self.before_item();
        if self.is_json {
            // Never an exponent: some clients cannot read one.
            let (seconds, ms) = (value.seconds(), value.ms() % 1_000);
            self.digits(seconds);
            if ms > 0 {
                // A leading 1 keeps the zeros; the point takes its place.
                let point = self.out.len();
                self.digits(1_000 + ms);
                self.out[point] = b'.';
            }
        } else {
            self.head(6, 1);
            self.head(0, value.ms());
        }
    }

    fn begin_list(&mut self, count: usize) {
        self.before_item();
        if self.is_json {
            self.out.push(b'[');
            self.needs_comma = false;
        } else {
            self.head(4, count as u64);
        }
    }

    fn end_list(&mut self) {
        if self.is_json {
            self.out.push(b']');
            self.needs_comma = true;
        }
    }

    fn begin_map(&mut self, count: usize) {
        self.before_item();
        if self.is_json {
            self.out.push(b'{');
            self.needs_comma = false;
        } else {
            self.head(5, count as u64);
        }
    }

    fn end_map(&mut self) {
        if self.is_json {
            self.out.push(b'}');
            self.needs_comma = true;
        }
    }
}

impl Encode for str {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.string(self);
    }
}

impl Encode for String {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.string(self);
    }

    fn bytes_hint(&self) -> usize {
        self.len() + 8
    }
}

impl Encode for Bytes {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.blob(self);
    }

    fn bytes_hint(&self) -> usize {
        self.len() + 8
    }
}

impl Encode for i32 {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.long(i64::from(*self));
    }
}

impl Encode for i64 {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.long(*self);
    }
}

impl Encode for f64 {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.double(*self);
    }
}

impl Encode for bool {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.boolean(*self);
    }
}

impl Encode for Timestamp {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.timestamp(*self);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, encoder: &mut Encoder) {
        if let Some(value) = self {
            value.encode(encoder);
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn bytes_hint(&self) -> usize {
        self.as_ref().map_or(0, Encode::bytes_hint)
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, encoder: &mut Encoder) {
        self.as_ref().encode(encoder);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.begin_list(self.len());
        for item in self {
            item.encode(encoder);
        }
        encoder.end_list();
    }

    fn bytes_hint(&self) -> usize {
        self.iter().map(Encode::bytes_hint).fold(16, usize::saturating_add)
    }
}

impl<T: Encode> Encode for BTreeMap<String, T> {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.begin_map(self.len());
        for (key, value) in self {
            encoder.key(key);
            value.encode(encoder);
        }
        encoder.end_map();
    }
}
