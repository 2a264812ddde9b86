//! Kafka's primitive types.
//!
//! Owns their reading and writing, in the plain form and in the compact one of flexible requests.
//! Whatever the bytes are, reading ends in a value or in an error, and never asks for more memory
//! than there are bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::KafkaError;

const SHORT: KafkaError = KafkaError::Malformed("it ends too early");

/// Reads from the front of an answer.
#[derive(Debug)]
pub(super) struct Reader {
    rest: Bytes,
    /// Whether texts and lists are in the compact form, and tagged fields follow each structure.
    is_flexible: bool,
}

impl Reader {
    pub(super) fn new(rest: Bytes, is_flexible: bool) -> Self {
        Self { rest, is_flexible }
    }

    pub(super) fn i8(&mut self) -> Result<i8, KafkaError> {
        self.rest.try_get_i8().map_err(|_| SHORT)
    }

    pub(super) fn i16(&mut self) -> Result<i16, KafkaError> {
        self.rest.try_get_i16().map_err(|_| SHORT)
    }

    pub(super) fn i32(&mut self) -> Result<i32, KafkaError> {
        self.rest.try_get_i32().map_err(|_| SHORT)
    }

    pub(super) fn i64(&mut self) -> Result<i64, KafkaError> {
        self.rest.try_get_i64().map_err(|_| SHORT)
    }

    pub(super) fn uuid(&mut self) -> Result<u128, KafkaError> {
        self.rest.try_get_u128().map_err(|_| SHORT)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<Bytes, KafkaError> {
        if count > self.rest.len() {
            return Err(SHORT);
        }
        Ok(self.rest.split_to(count))
    }

    /// All that is left.
    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    fn unsigned_varint(&mut self) -> Result<u32, KafkaError> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| SHORT)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let too_large = |_| KafkaError::Malformed("a number is too large");
                return u32::try_from(value).map_err(too_large);
            }
        }
        Err(KafkaError::Malformed("a number does not end"))
    }

    /// The length of what follows; `None` where nothing does.
    fn length(&mut self, plain: impl Fn(&mut Self) -> Result<i32, KafkaError>) -> Length {
        if self.is_flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        Ok(usize::try_from(plain(self)?).ok())
    }

    /// A text that may be null.
    pub(super) fn text(&mut self) -> Result<Option<String>, KafkaError> {
        let Some(length) = self.length(|reader| reader.i16().map(i32::from))? else {
            return Ok(None);
        };
        let bytes = self.take(length)?;
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| KafkaError::Malformed("a text is not UTF-8"))
    }

    /// Bytes that may be null.
    pub(super) fn bytes(&mut self) -> Result<Bytes, KafkaError> {
        let length = self.length(Self::i32)?.unwrap_or_default();
        self.take(length)
    }

    /// A list, each element by `element`.
    pub(super) fn list<T>(
        &mut self,
        element: impl Fn(&mut Self) -> Result<T, KafkaError>,
    ) -> Result<Vec<T>, KafkaError> {
        let count = self.length(Self::i32)?.unwrap_or_default();
        // Not reserved: the count is the sender's word alone.
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// Skips the tagged fields that end a structure.
    pub(super) fn tags(&mut self) -> Result<(), KafkaError> {
        if self.is_flexible {
            for _ in 0..self.unsigned_varint()? {
                self.unsigned_varint()?;
                let length = self.unsigned_varint()? as usize;
                self.take(length)?;
            }
        }
        Ok(())
    }
}

type Length = Result<Option<usize>, KafkaError>;

/// Writes a request.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) out: BytesMut,
    is_flexible: bool,
}

impl Writer {
    /// A request with its header. Its length goes in front in the end.
    pub(super) fn request(key: i16, version: i16, correlation: i32, is_flexible: bool) -> Self {
        let mut out = BytesMut::with_capacity(128);
        out.put_i32(0);
        out.put_i16(key);
        out.put_i16(version);
        out.put_i32(correlation);
        // The client's id is in the plain form in both versions of the header.
        out.put_i16(i16::try_from(CLIENT.len()).expect("it is short"));
        out.put_slice(CLIENT.as_bytes());
        let mut writer = Self { out, is_flexible };
        writer.tags();
        writer
    }

    fn length(&mut self, length: usize) {
        let mut value = u32::try_from(length + 1).expect("requests are small");
        while value >= 0x80 {
            self.out.put_u8(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.out.put_u8(u8::try_from(value).expect("seven bits"));
    }

    pub(super) fn text(&mut self, text: &str) {
        if self.is_flexible {
            self.length(text.len());
        } else {
            self.out.put_i16(i16::try_from(text.len()).expect("the API bounds names"));
        }
        self.out.put_slice(text.as_bytes());
    }

    pub(super) fn count(&mut self, count: usize) {
        if self.is_flexible {
            self.length(count);
        } else {
            self.out.put_i32(i32::try_from(count).expect("requests are small"));
        }
    }

    /// No tagged fields.
    pub(super) fn tags(&mut self) {
        if self.is_flexible {
            self.out.put_u8(0);
        }
    }

    /// The frame, with its length in front.
    pub(super) fn frame(mut self) -> Bytes {
        let length = i32::try_from(self.out.len() - 4).expect("requests are small");
        self.out[..4].copy_from_slice(&length.to_be_bytes());
        self.out.freeze()
    }
}

/// As who we are in the brokers' logs and quotas.
const CLIENT: &str = "millstream-firehose";
