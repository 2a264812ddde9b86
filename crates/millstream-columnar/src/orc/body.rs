//! The streams of one column that hold its values, by its type.

use std::ops::Range;

use super::integers::Integers;
use super::runs::{BitRuns, ByteRuns};
use super::stream::Stream;
use super::text::Text;
use crate::batch::{Stamp, Values};
use crate::compress::Codec;
use crate::options::{OrcOptions, OrcVersion};
use crate::schema::Type;
use crate::varint::{varint_128, zigzag_128};

/// Kinds of streams.
pub(super) const PRESENT: u64 = 0;
pub(super) const DATA: u64 = 1;
pub(super) const LENGTH: u64 = 2;
pub(super) const DICTIONARY_DATA: u64 = 3;
const SECONDARY: u64 = 5;
pub(super) const ROW_INDEX: u64 = 6;
pub(super) const BLOOM_FILTER_UTF8: u64 = 8;

/// 2015-01-01, from which timestamps count, in seconds since 1970.
const TIMESTAMP_EPOCH: i64 = 1_420_070_400;

/// The values of a column that is not nested, or the lengths of one that is.
#[derive(Debug)]
pub(super) enum Body {
    /// A struct has nothing of its own.
    Nothing,
    Boolean(BitRuns),
    Byte(ByteRuns),
    Integer(Integers),
    Float(Stream),
    Double(Stream),
    Text(Box<Text>),
    Decimal {
        unscaled: Stream,
        scales: Integers,
        scale: u8,
        scratch: Vec<u8>,
    },
    Timestamp {
        seconds: Integers,
        nanos: Integers,
    },
    Lengths(Integers),
}

/// How a column is encoded: what a stripe's footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) kind: u64,
    pub(super) dictionary_size: Option<usize>,
}

impl Body {
    pub(super) fn new(kind: &Type, codec: Codec, options: &OrcOptions) -> Self {
        let integers = |signed| Integers::new(codec, options.version, signed);
        match kind {
            Type::Boolean => Self::Boolean(BitRuns::new(codec)),
            Type::TinyInt => Self::Byte(ByteRuns::new(codec)),
            Type::SmallInt | Type::Int | Type::BigInt | Type::Date => Self::Integer(integers(true)),
            Type::Float => Self::Float(Stream::new(codec)),
            Type::Double => Self::Double(Stream::new(codec)),
            Type::Decimal { scale, .. } => Self::Decimal {
                unscaled: Stream::new(codec),
                scales: integers(true),
                scale: *scale,
                scratch: Vec::new(),
            },
            Type::String | Type::Varchar(_) => {
                Self::Text(Box::new(Text::new(codec, options, None)))
            }
            Type::Char(length) => Self::Text(Box::new(Text::new(codec, options, Some(*length)))),
            Type::Binary => Self::Text(Box::new(Text::direct(codec, options))),
            Type::Timestamp => Self::Timestamp { seconds: integers(true), nanos: integers(false) },
            Type::Array(_) | Type::Map(..) => Self::Lengths(integers(false)),
            Type::Struct(_) => Self::Nothing,
        }
    }

    /// Writes the values of `range`.
    pub(super) fn extend(&mut self, values: &Values, range: Range<usize>) {
        match (self, values) {
            (Self::Boolean(out), Values::Boolean(bits)) => out.extend(bits, range),
            (Self::Byte(out), Values::Int(values)) => {
                for value in &values[range] {
                    let [low, ..] = value.to_le_bytes();
                    out.push(low);
                }
            }
            (Self::Integer(out), Values::Int(values)) => {
                values[range].iter().for_each(|value| out.push(i64::from(*value)));
            }
            (Self::Integer(out), Values::BigInt(values)) => {
                values[range].iter().for_each(|value| out.push(*value));
            }
            (Self::Float(out), Values::Float(values)) => {
                values[range].iter().for_each(|value| out.write(&value.to_le_bytes()));
            }
            (Self::Double(out), Values::Double(values)) => {
                values[range].iter().for_each(|value| out.write(&value.to_le_bytes()));
            }
            (Self::Text(out), Values::Bytes(values)) => out.extend(values.slices(range)),
            (Self::Decimal { unscaled, scales, scale, scratch }, Values::Decimal(values)) => {
                for value in &values[range] {
                    scratch.clear();
                    varint_128(scratch, zigzag_128(*value));
                    unscaled.write(scratch);
                    scales.push(i64::from(*scale));
                }
            }
            (Self::Timestamp { seconds, nanos }, Values::Timestamp(values)) => {
                for stamp in &values[range] {
                    seconds.push(written_seconds(*stamp) - TIMESTAMP_EPOCH);
                    nanos.push(written_nanos(stamp.nanos));
                }
            }
            (Self::Lengths(out), Values::Array(lengths, _) | Values::Map(lengths, _)) => {
                lengths.counts[range].iter().for_each(|count| out.push(i64::from(*count)));
            }
            (Self::Nothing, _) => {}
            _ => unreachable!("bodies and columns are made from one schema"),
        }
    }

    /// Where the next value will be.
    pub(super) fn position(&self, positions: &mut Vec<u64>) {
        match self {
            Self::Nothing => {}
            Self::Boolean(out) => out.position(positions),
            Self::Byte(out) => out.position(positions),
            Self::Integer(out) | Self::Lengths(out) => out.position(positions),
            Self::Float(out) | Self::Double(out) => out.position(positions),
            Self::Text(out) => out.position(positions),
            Self::Decimal { unscaled, scales, .. } => {
                unscaled.position(positions);
                scales.position(positions);
            }
            Self::Timestamp { seconds, nanos } => {
                seconds.position(positions);
                nanos.position(positions);
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Boolean(out) => out.bytes(),
            Self::Byte(out) => out.bytes(),
            Self::Integer(out) | Self::Lengths(out) => out.bytes(),
            Self::Float(out) | Self::Double(out) => out.bytes(),
            Self::Text(out) => out.bytes(),
            Self::Decimal { unscaled, scales, .. } => unscaled.bytes() + scales.bytes(),
            Self::Timestamp { seconds, nanos } => seconds.bytes() + nanos.bytes(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Boolean(out) => out.memory_bytes(),
            Self::Byte(out) => out.memory_bytes(),
            Self::Integer(out) | Self::Lengths(out) => out.memory_bytes(),
            Self::Float(out) | Self::Double(out) => out.memory_bytes(),
            Self::Text(out) => out.memory_bytes(),
            Self::Decimal { unscaled, scales, .. } => {
                unscaled.memory_bytes() + scales.memory_bytes()
            }
            Self::Timestamp { seconds, nanos } => seconds.memory_bytes() + nanos.memory_bytes(),
        }
    }

    /// Decides what was left open until the first entry of the row index, or the stripe's end.
    pub(super) fn settle(&mut self) {
        if let Self::Text(out) = self {
            out.settle();
        }
    }

    /// The stripe's streams, each with its kind, and how they are encoded.
    pub(super) fn take(&mut self, version: OrcVersion) -> (Vec<(u64, Vec<u8>)>, Encoding) {
        let runs = match version {
            OrcVersion::V0_11 => 0,
            OrcVersion::V0_12 => 2,
        };
        let direct = |kind| Encoding { kind, dictionary_size: None };
        match self {
            Self::Nothing => (Vec::new(), direct(0)),
            Self::Boolean(out) => (vec![(DATA, out.take())], direct(0)),
            Self::Byte(out) => (vec![(DATA, out.take())], direct(0)),
            Self::Integer(out) => (vec![(DATA, out.take())], direct(runs)),
            Self::Float(out) | Self::Double(out) => (vec![(DATA, out.take())], direct(0)),
            Self::Text(out) => out.take(runs),
            Self::Decimal { unscaled, scales, .. } => {
                (vec![(DATA, unscaled.take()), (SECONDARY, scales.take())], direct(runs))
            }
            Self::Timestamp { seconds, nanos } => {
                (vec![(DATA, seconds.take()), (SECONDARY, nanos.take())], direct(runs))
            }
            Self::Lengths(out) => (vec![(LENGTH, out.take())], direct(runs)),
        }
    }
}

/// Seconds as they are written. Before 1970 readers take one second off a moment with more than
/// a millisecond's fraction, because ORC's first writer cut towards zero; so one is put on. For
/// the last second before 1970 there is nothing that would be read back right (ORC-763).
fn written_seconds(stamp: Stamp) -> i64 {
    stamp.seconds + i64::from(stamp.seconds < 0 && stamp.nanos > 999_999)
}

/// Nanoseconds without the zeros at their end: the lowest three bits say how many were left off,
/// less one; one zero alone stays.
fn written_nanos(nanos: u32) -> i64 {
    let nanos = i64::from(nanos);
    if nanos == 0 || nanos % 100 != 0 {
        return nanos << 3;
    }
    let (mut rest, mut zeros) = (nanos / 100, 1);
    while rest % 10 == 0 && zeros < 7 {
        rest /= 10;
        zeros += 1;
    }
    rest << 3 | zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_lose_their_zeros_as_the_specification_shows() {
        assert_eq!(written_nanos(0), 0);
        assert_eq!(written_nanos(1_000), 0x0A);
        assert_eq!(written_nanos(100_000), 0x0C);
        assert_eq!(written_nanos(10), 10 << 3);
        assert_eq!(written_nanos(123_456_789), 123_456_789 << 3);
        assert_eq!(written_nanos(500_000_000), 5 << 3 | 7);
    }
}
