//! Avro's binary form, and the container around it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::{MAGIC, MARKER_BYTES};

/// Appends values in Avro's binary form.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) out: Vec<u8>,
}

impl Encoder {
    /// An int or a long.
    pub(crate) fn long(&mut self, value: i64) -> &mut Self {
        let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
        while rest >= 0x80 {
            self.out.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.out.push(rest.to_le_bytes()[0]);
        self
    }

    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.long(i64::try_from(count).expect("what is in memory is countable"))
    }

    pub(crate) fn unsigned(&mut self, value: u64) -> &mut Self {
        self.long(i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.out.push(u8::from(value));
        self
    }

    /// Bytes or text.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// A fixed, or what is encoded already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// The branch of a union of null and something else.
    pub(crate) fn maybe<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T),
    ) -> &mut Self {
        match value {
            None => self.long(0),
            Some(value) => {
                self.long(1);
                write(self, value);
                self
            }
        }
    }

    /// An array, all in one block.
    pub(crate) fn array<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        if values.len() > 0 {
            self.count(values.len());
            values.for_each(|value| write(self, value));
        }
        self.long(0)
    }
}

/// A file of `count` records of `schema`, with more metadata beside it.
pub(crate) fn container(
    schema: &str,
    metadata: &[(&str, String)],
    count: usize,
    records: &[u8],
) -> Vec<u8> {
    let mut file = Encoder::default();
    file.raw(MAGIC);
    let own = [("avro.schema", schema), ("avro.codec", "deflate")];
    let all = own.into_iter().chain(metadata.iter().map(|(name, value)| (*name, value.as_str())));
    let all: Vec<(&str, &str)> = all.collect();
    file.array(all.into_iter(), |file, (name, value)| {
        file.bytes(name.as_bytes()).bytes(value.as_bytes());
    });
    let marker = marker(records);
    file.raw(&marker);
    if count > 0 {
        let mut body = DeflateEncoder::new(Vec::new(), Compression::default());
        body.write_all(records).expect("memory takes all that is written");
        let body = body.finish().expect("memory takes all that is written");
        file.count(count).bytes(&body).raw(&marker);
    }
    file.out
}

/// What parts blocks: not random, since there is one block, and nobody looks for it elsewhere.
fn marker(records: &[u8]) -> [u8; MARKER_BYTES] {
    let mut marker = *b"millstream-00000";
    let hash = crate::murmur::hash(records);
    marker[12..].copy_from_slice(&hash.to_le_bytes());
    marker
}
