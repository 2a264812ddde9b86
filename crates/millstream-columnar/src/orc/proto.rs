//! Protocol buffers, as far as ORC's metadata needs them: writing only.
//!
//! Field numbers are those of orc_proto.proto of Apache ORC.

use crate::varint::{varint, zigzag};

/// A message being written. Fields may come in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    out: Vec<u8>,
}

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn key(&mut self, field: u32, wire: u32) {
        varint(&mut self.out, u64::from(field << 3 | wire));
    }

    pub(super) fn uint(mut self, field: u32, value: u64) -> Self {
        self.key(field, 0);
        varint(&mut self.out, value);
        self
    }

    pub(super) fn count(self, field: u32, value: usize) -> Self {
        self.uint(field, value as u64)
    }

    pub(super) fn sint(self, field: u32, value: i64) -> Self {
        self.uint(field, zigzag(value))
    }

    pub(super) fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        varint(&mut self.out, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    pub(super) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.out)
    }

    pub(super) fn messages(self, field: u32, values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, &value))
    }

    pub(super) fn packed(self, field: u32, values: impl IntoIterator<Item = u64>) -> Self {
        let mut packed = Vec::new();
        values.into_iter().for_each(|value| varint(&mut packed, value));
        if packed.is_empty() { self } else { self.bytes(field, &packed) }
    }
}
