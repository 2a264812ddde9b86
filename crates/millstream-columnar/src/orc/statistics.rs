//! What a column holds in some rows: counts, bounds and sums.
//!
//! A reader may leave rows out that cannot match by these, so where a bound cannot be told (NaN,
//! text too long, a sum that overflows) it is left out, never approximated.

use std::ops::Range;

use super::proto::Message;
use super::text_of_decimal;
use crate::batch::{Bits, ByteValues, Stamp, Values};
use crate::schema::Type;

/// Bounds of text longer than this are left out, as ORC's own writer leaves them out.
const TEXT_BYTES_MAX: usize = 1_024;

/// Statistics of a column.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    /// Values that are not null.
    count: u64,
    has_null: bool,
    detail: Detail,
}

#[derive(Clone, Debug)]
enum Detail {
    /// Nested types.
    None,
    Boolean {
        trues: u64,
    },
    Integer {
        bounds: Option<(i64, i64)>,
        sum: Option<i64>,
    },
    Double {
        bounds: Option<(f64, f64)>,
        sum: f64,
        has_nan: bool,
    },
    Text {
        bounds: Option<(Vec<u8>, Vec<u8>)>,
        bytes: u64,
    },
    Binary {
        bytes: u64,
    },
    Decimal {
        bounds: Option<(i128, i128)>,
        sum: Option<i128>,
        scale: u8,
    },
    Date {
        bounds: Option<(i32, i32)>,
    },
    Timestamp {
        bounds: Option<(Stamp, Stamp)>,
    },
}

impl Statistics {
    pub(super) fn new(kind: &Type) -> Self {
        let detail = match kind {
            Type::Boolean => Detail::Boolean { trues: 0 },
            Type::TinyInt | Type::SmallInt | Type::Int | Type::BigInt => {
                Detail::Integer { bounds: None, sum: Some(0) }
            }
            Type::Float | Type::Double => Detail::Double { bounds: None, sum: 0.0, has_nan: false },
            Type::String | Type::Char(_) | Type::Varchar(_) => {
                Detail::Text { bounds: None, bytes: 0 }
            }
            Type::Binary => Detail::Binary { bytes: 0 },
            Type::Decimal { scale, .. } => {
                Detail::Decimal { bounds: None, sum: Some(0), scale: *scale }
            }
            Type::Date => Detail::Date { bounds: None },
            Type::Timestamp => Detail::Timestamp { bounds: None },
            Type::Array(_) | Type::Map(..) | Type::Struct(_) => Detail::None,
        };
        Self { count: 0, has_null: false, detail }
    }

    /// The same kind without values.
    pub(super) fn empty(&self) -> Self {
        let detail = match &self.detail {
            Detail::None => Detail::None,
            Detail::Boolean { .. } => Detail::Boolean { trues: 0 },
            Detail::Integer { .. } => Detail::Integer { bounds: None, sum: Some(0) },
            Detail::Double { .. } => Detail::Double { bounds: None, sum: 0.0, has_nan: false },
            Detail::Text { .. } => Detail::Text { bounds: None, bytes: 0 },
            Detail::Binary { .. } => Detail::Binary { bytes: 0 },
            Detail::Decimal { scale, .. } => {
                Detail::Decimal { bounds: None, sum: Some(0), scale: *scale }
            }
            Detail::Date { .. } => Detail::Date { bounds: None },
            Detail::Timestamp { .. } => Detail::Timestamp { bounds: None },
        };
        Self { count: 0, has_null: false, detail }
    }

    /// Counts slots, of which `values` are not null.
    pub(super) fn count(&mut self, slots: usize, values: usize) {
        self.count += values as u64;
        self.has_null |= values < slots;
    }

    /// Takes in the values of `range`.
    pub(super) fn extend(&mut self, values: &Values, range: Range<usize>) {
        match (&mut self.detail, values) {
            (Detail::Boolean { trues }, Values::Boolean(bits)) => *trues += ones(bits, range),
            (Detail::Integer { bounds, sum }, Values::Int(values)) => {
                integers(bounds, sum, values[range].iter().map(|value| i64::from(*value)));
            }
            (Detail::Integer { bounds, sum }, Values::BigInt(values)) => {
                integers(bounds, sum, values[range].iter().copied());
            }
            (Detail::Double { bounds, sum, has_nan }, Values::Float(values)) => {
                let values = values[range].iter().map(|value| f64::from(*value));
                doubles(bounds, sum, has_nan, values);
            }
            (Detail::Double { bounds, sum, has_nan }, Values::Double(values)) => {
                doubles(bounds, sum, has_nan, values[range].iter().copied());
            }
            (Detail::Text { bounds, bytes }, Values::Bytes(values)) => {
                *bytes += length(values, range.clone());
                texts(bounds, values, range);
            }
            (Detail::Binary { bytes }, Values::Bytes(values)) => *bytes += length(values, range),
            (Detail::Decimal { bounds, sum, .. }, Values::Decimal(values)) => {
                for value in &values[range] {
                    widen(bounds, *value, *value);
                    *sum = sum.and_then(|sum| sum.checked_add(*value));
                }
            }
            (Detail::Date { bounds }, Values::Int(values)) => {
                values[range].iter().for_each(|value| widen(bounds, *value, *value));
            }
            (Detail::Timestamp { bounds }, Values::Timestamp(values)) => {
                values[range].iter().for_each(|value| widen(bounds, *value, *value));
            }
            _ => {}
        }
    }

    /// Takes in the statistics of other rows of the same column.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.has_null |= other.has_null;
        match (&mut self.detail, &other.detail) {
            (Detail::Boolean { trues }, Detail::Boolean { trues: more }) => *trues += more,
            (Detail::Integer { bounds, sum }, Detail::Integer { bounds: other, sum: more }) => {
                *sum = sum.zip(*more).and_then(|(sum, more)| sum.checked_add(more));
                if let Some((low, high)) = other {
                    widen(bounds, *low, *high);
                }
            }
            (
                Detail::Double { bounds, sum, has_nan },
                Detail::Double { bounds: other, sum: more, has_nan: nan },
            ) => {
                *sum += more;
                *has_nan |= nan;
                if let Some((low, high)) = other {
                    widen(bounds, *low, *high);
                }
            }
            (Detail::Text { bounds, bytes }, Detail::Text { bounds: other, bytes: more }) => {
                *bytes += more;
                if let Some((low, high)) = other {
                    widen_text(bounds, low, high);
                }
            }
            (Detail::Binary { bytes }, Detail::Binary { bytes: more }) => *bytes += more,
            (
                Detail::Decimal { bounds, sum, .. },
                Detail::Decimal { bounds: other, sum: more, .. },
            ) => {
                *sum = sum.zip(*more).and_then(|(sum, more)| sum.checked_add(more));
                if let Some((low, high)) = other {
                    widen(bounds, *low, *high);
                }
            }
            (Detail::Date { bounds }, Detail::Date { bounds: Some((low, high)) }) => {
                widen(bounds, *low, *high);
            }
            (Detail::Timestamp { bounds }, Detail::Timestamp { bounds: Some((low, high)) }) => {
                widen(bounds, *low, *high);
            }
            _ => {}
        }
    }

    /// As the file holds them.
    pub(super) fn message(&self) -> Message {
        let message = Message::new().uint(1, self.count).uint(10, self.has_null.into());
        match &self.detail {
            Detail::Boolean { trues } => message.message(5, &Message::new().packed(1, [*trues])),
            Detail::Integer { bounds: Some((low, high)), sum } => {
                let detail = Message::new().sint(1, *low).sint(2, *high);
                message.message(2, &sum.iter().fold(detail, |detail, sum| detail.sint(3, *sum)))
            }
            Detail::Double { bounds: Some((low, high)), sum, has_nan: false } => {
                message.message(3, &Message::new().double(1, *low).double(2, *high).double(3, *sum))
            }
            Detail::Text { bounds: Some((low, high)), bytes } => {
                let detail = if low.len().max(high.len()) <= TEXT_BYTES_MAX {
                    Message::new().bytes(1, low).bytes(2, high)
                } else {
                    Message::new()
                };
                message.message(4, &detail.sint(3, bytes.cast_signed()))
            }
            Detail::Binary { bytes } => {
                message.message(8, &Message::new().sint(1, bytes.cast_signed()))
            }
            Detail::Decimal { bounds: Some((low, high)), sum, scale } => {
                let text = |value: i128| text_of_decimal(value, *scale).into_bytes();
                let detail = Message::new().bytes(1, &text(*low)).bytes(2, &text(*high));
                let detail = sum.iter().fold(detail, |detail, sum| detail.bytes(3, &text(*sum)));
                message.message(6, &detail)
            }
            Detail::Date { bounds: Some((low, high)) } => {
                message.message(7, &Message::new().sint(1, (*low).into()).sint(2, (*high).into()))
            }
            Detail::Timestamp { bounds: Some((low, high)) } => {
                let detail = Message::new().sint(3, millis(*low)).sint(4, millis(*high));
                message.message(9, &detail)
            }
            _ => message,
        }
    }
}

/// Milliseconds since 1970. Readers take up to a millisecond more for the upper bound.
pub(super) fn millis(stamp: Stamp) -> i64 {
    stamp.seconds * 1_000 + i64::from(stamp.nanos / 1_000_000)
}

fn ones(bits: &Bits, range: Range<usize>) -> u64 {
    range.map(|index| u64::from(bits.get(index))).sum()
}

/// Bytes of the values of `range`.
fn length(values: &ByteValues, range: Range<usize>) -> u64 {
    values.slices(range).map(|value| value.len() as u64).sum()
}

fn widen<T: PartialOrd>(bounds: &mut Option<(T, T)>, low: T, high: T) {
    match bounds {
        None => *bounds = Some((low, high)),
        Some((min, max)) => {
            if low < *min {
                *min = low;
            }
            if high > *max {
                *max = high;
            }
        }
    }
}

fn integers(
    bounds: &mut Option<(i64, i64)>,
    sum: &mut Option<i64>,
    values: impl Iterator<Item = i64>,
) {
    let mut total = 0_i128;
    for value in values {
        widen(bounds, value, value);
        total += i128::from(value);
    }
    *sum = sum.and_then(|sum| i64::try_from(i128::from(sum) + total).ok());
}

fn doubles(
    bounds: &mut Option<(f64, f64)>,
    sum: &mut f64,
    has_nan: &mut bool,
    values: impl Iterator<Item = f64>,
) {
    for value in values {
        *has_nan |= value.is_nan();
        widen(bounds, value, value);
        *sum += value;
    }
}

fn texts(bounds: &mut Option<(Vec<u8>, Vec<u8>)>, values: &ByteValues, range: Range<usize>) {
    let Some(first) = values.slices(range.clone()).next() else { return };
    let (low, high) = values
        .slices(range)
        .fold((first, first), |(low, high), value| (low.min(value), high.max(value)));
    widen_text(bounds, low, high);
}

fn widen_text(bounds: &mut Option<(Vec<u8>, Vec<u8>)>, low: &[u8], high: &[u8]) {
    match bounds {
        None => *bounds = Some((low.to_vec(), high.to_vec())),
        Some((min, max)) => {
            if low < min.as_slice() {
                *min = low.to_vec();
            }
            if high > max.as_slice() {
                *max = high.to_vec();
            }
        }
    }
}
