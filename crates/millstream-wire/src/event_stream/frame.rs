//! One frame: headers, payload, checksums.

use bytes::{Buf, Bytes};

use crate::cut::cut;

/// Bytes before the headers: two lengths and their checksum.
pub(super) const PRELUDE_BYTES: usize = 12;
/// Bytes after the payload: the frame's checksum.
const TRAILER_BYTES: usize = 4;
/// The smallest frame there is.
pub(super) const FRAME_BYTES_MIN: usize = PRELUDE_BYTES + TRAILER_BYTES;
/// The largest frame read: the specification's 24 MiB, 16 MiB of payload and room for headers.
const FRAME_BYTES_MAX: usize = 24 * 1024 * 1024;
/// The largest headers read (the specification's).
const HEADERS_BYTES_MAX: usize = 128 * 1024;

/// A message: typed headers and an opaque payload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// In order; names are at most 255 bytes.
    pub headers: Vec<(String, HeaderValue)>,
    /// What the frame carries.
    pub payload: Bytes,
}

/// A header's value.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderValue {
    /// True or false; the type says which, and no bytes follow.
    Boolean(bool),
    /// 8 bits.
    Byte(i8),
    /// 16 bits.
    Short(i16),
    /// 32 bits.
    Integer(i32),
    /// 64 bits.
    Long(i64),
    /// At most 65,535 bytes.
    Bytes(Bytes),
    /// At most 65,535 bytes of UTF-8.
    Text(String),
    /// Milliseconds since the epoch.
    Timestamp(i64),
    /// 16 bytes.
    Uuid([u8; 16]),
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The lengths' own checksum does not fit: nothing in the frame can be believed.
    #[error("the checksum of a frame's lengths is wrong")]
    PreludeChecksum,
    /// The frame's checksum does not fit.
    #[error("the checksum of a frame is wrong")]
    FrameChecksum,
    /// Shorter than the smallest frame, or longer than the largest.
    #[error("a frame of {0} bytes")]
    Length(u32),
    /// Headers longer than their frame or than allowed, or cut in a value.
    #[error("a frame's headers do not fit")]
    Headers,
    /// A header of a type that does not exist.
    #[error("a header of type {0}")]
    HeaderType(u8),
}

impl Frame {
    /// The text of the header called `name`.
    pub fn text_header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(found, value)| match value {
            HeaderValue::Text(text) if found == name => Some(text.as_str()),
            _ => None,
        })
    }

    /// The frame as bytes.
    ///
    /// Cost: one allocation and one copy of the payload. Names beyond 255 bytes and values
    /// beyond 65,535 are cut: they cannot be framed, and none of ours is that long.
    pub fn encode(&self) -> Bytes {
        let mut begun = begin(self.payload.len(), &self.headers);
        begun.bytes.extend_from_slice(&self.payload);
        seal(begun)
    }

    /// Reads `frame`, which [`length`] measured.
    pub(super) fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let (checked, checksum) = frame.split_at(frame.len() - TRAILER_BYTES);
        if crc32fast::hash(checked).to_be_bytes() != checksum {
            return Err(FrameError::FrameChecksum);
        }
        let headers_bytes = (&frame[4..8]).get_u32() as usize;
        let headers_end = PRELUDE_BYTES + headers_bytes;
        if headers_end > checked.len() || headers_bytes > HEADERS_BYTES_MAX {
            return Err(FrameError::Headers);
        }
        let mut rest = frame.slice(PRELUDE_BYTES..headers_end);
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let length = usize::from(take(&mut rest, 1)?.get_u8());
            headers.push((text(&take(&mut rest, length)?)?, HeaderValue::decode(&mut rest)?));
        }
        Ok(Self { headers, payload: frame.slice(headers_end..checked.len()) })
    }
}

/// A frame whose payload is still to be appended.
pub(super) struct Begun {
    pub(super) bytes: Vec<u8>,
    pub(super) headers_bytes: usize,
}

/// Starts a frame with room for a payload of `payload_bytes`.
pub(super) fn begin(payload_bytes: usize, headers: &[(String, HeaderValue)]) -> Begun {
    let mut bytes = Vec::with_capacity(FRAME_BYTES_MIN + 160 + payload_bytes);
    bytes.extend([0; PRELUDE_BYTES]);
    for (name, value) in headers {
        let name = cut(name, usize::from(u8::MAX));
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name.as_bytes());
        value.encode(&mut bytes);
    }
    let headers_bytes = bytes.len() - PRELUDE_BYTES;
    Begun { bytes, headers_bytes }
}

/// Fills in the lengths and both checksums.
pub(super) fn seal(Begun { mut bytes, headers_bytes }: Begun) -> Bytes {
    let length = |bytes: usize| u32::try_from(bytes).expect("a frame is shorter than 4 GiB");
    let total = length(bytes.len() + TRAILER_BYTES);
    bytes[..4].copy_from_slice(&total.to_be_bytes());
    bytes[4..8].copy_from_slice(&length(headers_bytes).to_be_bytes());
    let prelude = crc32fast::hash(&bytes[..8]);
    bytes[8..12].copy_from_slice(&prelude.to_be_bytes());
    let whole = crc32fast::hash(&bytes);
    bytes.extend(whole.to_be_bytes());
    bytes.into()
}

impl HeaderValue {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(true) => out.push(0),
            Self::Boolean(false) => out.push(1),
            Self::Byte(value) => tagged(out, 2, &value.to_be_bytes()),
            Self::Short(value) => tagged(out, 3, &value.to_be_bytes()),
            Self::Integer(value) => tagged(out, 4, &value.to_be_bytes()),
            Self::Long(value) => tagged(out, 5, &value.to_be_bytes()),
            Self::Bytes(value) => {
                counted(out, 6, &value[..value.len().min(usize::from(u16::MAX))]);
            }
            Self::Text(value) => {
                counted(out, 7, cut(value, usize::from(u16::MAX)).as_bytes());
            }
            Self::Timestamp(value) => tagged(out, 8, &value.to_be_bytes()),
            Self::Uuid(value) => tagged(out, 9, value),
        }
    }

    fn decode(rest: &mut Bytes) -> Result<Self, FrameError> {
        Ok(match take(rest, 1)?.get_u8() {
            0 => Self::Boolean(true),
            1 => Self::Boolean(false),
            2 => Self::Byte(take(rest, 1)?.get_i8()),
            3 => Self::Short(take(rest, 2)?.get_i16()),
            4 => Self::Integer(take(rest, 4)?.get_i32()),
            5 => Self::Long(take(rest, 8)?.get_i64()),
            kind @ (6 | 7) => {
                let length = usize::from(take(rest, 2)?.get_u16());
                let bytes = take(rest, length)?;
                if kind == 6 { Self::Bytes(bytes) } else { Self::Text(text(&bytes)?) }
            }
            8 => Self::Timestamp(take(rest, 8)?.get_i64()),
            9 => {
                let mut value = [0; 16];
                value.copy_from_slice(&take(rest, 16)?);
                Self::Uuid(value)
            }
            kind => return Err(FrameError::HeaderType(kind)),
        })
    }
}

fn tagged(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn counted(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend(u16::try_from(bytes.len()).expect("cut to 65,535 bytes").to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take(rest: &mut Bytes, count: usize) -> Result<Bytes, FrameError> {
    if rest.len() < count { Err(FrameError::Headers) } else { Ok(rest.split_to(count)) }
}

fn text(bytes: &[u8]) -> Result<String, FrameError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| FrameError::Headers)
}

/// The length of the frame that starts with `prelude`, which is believed only once its checksum
/// fits.
pub(super) fn length(prelude: &[u8; PRELUDE_BYTES]) -> Result<usize, FrameError> {
    let (lengths, checksum) = prelude.split_at(8);
    if crc32fast::hash(lengths).to_be_bytes() != checksum {
        return Err(FrameError::PreludeChecksum);
    }
    let total = (&lengths[..4]).get_u32();
    let bytes = total as usize;
    if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&bytes) {
        return Err(FrameError::Length(total));
    }
    Ok(bytes)
}
