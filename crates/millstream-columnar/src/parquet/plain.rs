//! The plain encoding: little-endian numbers, text behind its length.

use std::ops::Range;

use super::leaf::Physical;
use crate::batch::{Stamp, Values};

/// The Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;
const DAY_SECONDS: i64 = 86_400;

/// Appends the values of `range`; booleans are not appended this way.
pub(super) fn append(out: &mut Vec<u8>, physical: Physical, values: &Values, range: Range<usize>) {
    match values {
        Values::Int(values) => fixed(out, &values[range], |value| value.to_le_bytes()),
        Values::BigInt(values) => fixed(out, &values[range], |value| value.to_le_bytes()),
        Values::Float(values) => fixed(out, &values[range], |value| value.to_le_bytes()),
        Values::Double(values) => fixed(out, &values[range], |value| value.to_le_bytes()),
        Values::Timestamp(values) if physical == Physical::Micros => {
            fixed(out, &values[range], |stamp| micros(*stamp).to_le_bytes());
        }
        Values::Timestamp(values) => fixed(out, &values[range], |stamp| int96(*stamp)),
        Values::Decimal(values) => {
            let Physical::Fixed(bytes) = physical else {
                unreachable!("decimals are stored as bytes")
            };
            for value in &values[range] {
                out.extend_from_slice(&value.to_be_bytes()[16 - bytes..]);
            }
        }
        Values::Bytes(values) => {
            for value in values.slices(range) {
                match physical {
                    Physical::FixedBytes(_) => out.extend_from_slice(value),
                    _ => text(out, value),
                }
            }
        }
        Values::Boolean(_) | Values::Array(..) | Values::Map(..) | Values::Struct(_) => {
            unreachable!("packed elsewhere, or no leaf")
        }
    }
}

/// Text behind its length.
pub(super) fn text(out: &mut Vec<u8>, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("a batch is cut far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
}

/// Grows once and fills in place, which the compiler makes a copy of.
fn fixed<T, const N: usize>(out: &mut Vec<u8>, values: &[T], bytes: impl Fn(&T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    for (place, value) in out[start..].chunks_exact_mut(N).zip(values) {
        place.copy_from_slice(&bytes(value));
    }
}

/// About how many bytes the plain values of `range` take.
pub(super) fn size(physical: Physical, values: &Values, range: Range<usize>) -> usize {
    match (physical, values) {
        (Physical::Boolean, _) => range.len() / 8,
        (Physical::Int32 | Physical::Float, _) => range.len() * 4,
        (Physical::Int64 | Physical::Micros | Physical::Double, _) => range.len() * 8,
        (Physical::Int96, _) => range.len() * 12,
        (Physical::Fixed(bytes) | Physical::FixedBytes(bytes), _) => range.len() * bytes,
        (Physical::Bytes, Values::Bytes(values)) => {
            if range.is_empty() {
                return 0;
            }
            let start = if range.start == 0 { 0 } else { values.ends[range.start - 1] };
            (values.ends[range.end - 1] - start) as usize + range.len() * 4
        }
        (Physical::Bytes, _) => unreachable!("text is stored as bytes"),
    }
}

/// Microseconds since 1970; what is finer is cut off.
pub(super) fn micros(stamp: Stamp) -> i64 {
    stamp.seconds * 1_000_000 + i64::from(stamp.nanos / 1_000)
}

/// Nanoseconds of the day, and the Julian day.
fn int96(stamp: Stamp) -> [u8; 12] {
    let day = stamp.seconds.div_euclid(DAY_SECONDS) + JULIAN_EPOCH;
    let of_day = stamp.seconds.rem_euclid(DAY_SECONDS) * 1_000_000_000 + i64::from(stamp.nanos);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&of_day.to_le_bytes());
    let day = i32::try_from(day).expect("stamps reach no further than microseconds in 64 bits");
    bytes[8..].copy_from_slice(&day.to_le_bytes());
    bytes
}
