//! Thrift's compact protocol, as far as Parquet's metadata needs it: writing only.
//!
//! Source: thrift-compact-protocol.md of Apache Thrift, parquet.thrift of Apache Parquet.

use crate::varint::{varint, zigzag};

/// Codes of types.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I8: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A struct being written: fields in ascending order of their ids.
#[derive(Debug, Default)]
pub(super) struct Struct {
    out: Vec<u8>,
    last: u8,
}

impl Struct {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The struct's bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }

    fn field(&mut self, id: u8, kind: u8) {
        debug_assert!(id > self.last && id - self.last <= 15, "fields come in order");
        self.out.push((id - self.last) << 4 | kind);
        self.last = id;
    }

    pub(super) fn bool(mut self, id: u8, value: bool) -> Self {
        self.field(id, if value { TRUE } else { FALSE });
        self
    }

    pub(super) fn i8(mut self, id: u8, value: u8) -> Self {
        self.field(id, I8);
        self.out.push(value);
        self
    }

    pub(super) fn i16(mut self, id: u8, value: i16) -> Self {
        self.field(id, I16);
        varint(&mut self.out, zigzag(value.into()));
        self
    }

    pub(super) fn i32(mut self, id: u8, value: i32) -> Self {
        self.field(id, I32);
        varint(&mut self.out, zigzag(value.into()));
        self
    }

    pub(super) fn i64(mut self, id: u8, value: i64) -> Self {
        self.field(id, I64);
        varint(&mut self.out, zigzag(value));
        self
    }

    pub(super) fn binary(mut self, id: u8, value: &[u8]) -> Self {
        self.field(id, BINARY);
        binary(&mut self.out, value);
        self
    }

    pub(super) fn nested(mut self, id: u8, value: Self) -> Self {
        self.field(id, STRUCT);
        self.out.extend_from_slice(&value.finish());
        self
    }

    pub(super) fn structs(self, id: u8, values: impl ExactSizeIterator<Item = Self>) -> Self {
        self.list(id, STRUCT, values, |out, value| out.extend_from_slice(&value.finish()))
    }

    pub(super) fn i32s(self, id: u8, values: impl ExactSizeIterator<Item = i32>) -> Self {
        self.list(id, I32, values, |out, value| varint(out, zigzag(value.into())))
    }

    pub(super) fn i64s(self, id: u8, values: impl ExactSizeIterator<Item = i64>) -> Self {
        self.list(id, I64, values, |out, value| varint(out, zigzag(value)))
    }

    pub(super) fn bools(self, id: u8, values: impl ExactSizeIterator<Item = bool>) -> Self {
        self.list(id, TRUE, values, |out, value| out.push(if value { TRUE } else { FALSE }))
    }

    pub(super) fn binaries<'a>(
        self,
        id: u8,
        values: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Self {
        self.list(id, BINARY, values, binary)
    }

    fn list<T>(
        mut self,
        id: u8,
        kind: u8,
        values: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Vec<u8>, T),
    ) -> Self {
        self.field(id, LIST);
        if let Ok(short @ 0..15) = u8::try_from(values.len()) {
            self.out.push(short << 4 | kind);
        } else {
            self.out.push(0xF0 | kind);
            varint(&mut self.out, values.len() as u64);
        }
        for value in values {
            write(&mut self.out, value);
        }
        self
    }
}

fn binary(out: &mut Vec<u8>, value: &[u8]) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_written_as_the_protocol_says() {
        let inner = Struct::new().bool(1, true).bool(3, false).finish();
        assert_eq!(inner, [0x11, 0x22, 0]);
        let outer = Struct::new()
            .i32(1, -1)
            .i64(2, 300)
            .binary(4, b"ab")
            .i32s(5, [1, 2].into_iter())
            .structs(6, (0..15).map(|_| Struct::new()))
            .i8(7, 64)
            .nested(9, Struct::new())
            .finish();
        let start = [0x15, 1, 0x16, 0xD8, 4, 0x28, 2, b'a', b'b', 0x19, 0x25, 2, 4, 0x19, 0xFC, 15];
        assert_eq!(outer[..16], start);
        assert_eq!(outer[16..31], [0; 15]);
        assert_eq!(outer[31..], [0x13, 64, 0x2C, 0, 0]);
    }
}
