//! The smallest and the largest value of a page or a chunk.
//!
//! NaN is left out, and zeros get the sign that keeps either zero within the bounds, as
//! parquet.thrift asks. Long text is cut, with the upper bound raised so that it stays one.

use std::ops::Range;

use super::leaf::Physical;
use crate::batch::{Bits, ByteValues, Values};

/// Bounds of text are cut to this, as parquet-mr cuts those of its column index.
const TEXT_BYTES_MAX: usize = 64;

/// Smallest and largest, if there were any.
#[derive(Clone, Debug)]
pub(crate) enum Bounds {
    /// Values that have no order.
    Unordered,
    Boolean(Option<(bool, bool)>),
    Int(Option<(i32, i32)>),
    BigInt(Option<(i64, i64)>),
    Float(Option<(f32, f32)>),
    Double(Option<(f64, f64)>),
    Decimal(Option<(i128, i128)>, usize),
    Bytes(Option<(Vec<u8>, Vec<u8>)>),
}

/// Bounds as the file holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) min: Vec<u8>,
    pub(crate) max: Vec<u8>,
    pub(super) min_exact: bool,
    pub(super) max_exact: bool,
}

impl Bounds {
    pub(super) fn new(physical: Physical) -> Self {
        match physical {
            Physical::Boolean => Self::Boolean(None),
            Physical::Int32 => Self::Int(None),
            Physical::Int64 | Physical::Micros => Self::BigInt(None),
            Physical::Int96 | Physical::FixedBytes(_) => Self::Unordered,
            Physical::Float => Self::Float(None),
            Physical::Double => Self::Double(None),
            Physical::Fixed(bytes) => Self::Decimal(None, bytes),
            Physical::Bytes => Self::Bytes(None),
        }
    }

    /// The same kind without values.
    pub(super) fn empty(&self) -> Self {
        match self {
            Self::Unordered => Self::Unordered,
            Self::Boolean(_) => Self::Boolean(None),
            Self::Int(_) => Self::Int(None),
            Self::BigInt(_) => Self::BigInt(None),
            Self::Float(_) => Self::Float(None),
            Self::Double(_) => Self::Double(None),
            Self::Decimal(_, bytes) => Self::Decimal(None, *bytes),
            Self::Bytes(_) => Self::Bytes(None),
        }
    }

    /// Takes in values of a column, those of `range`.
    pub(super) fn extend(&mut self, values: &Values, range: Range<usize>) {
        match (self, values) {
            (Self::Boolean(bounds), Values::Boolean(bits)) => booleans(bounds, bits, range),
            (Self::Int(bounds), Values::Int(values)) => {
                integers(bounds, values[range].iter().copied());
            }
            (Self::BigInt(bounds), Values::BigInt(values)) => {
                integers(bounds, values[range].iter().copied());
            }
            (Self::BigInt(bounds), Values::Timestamp(values)) => {
                integers(bounds, values[range].iter().map(|stamp| super::plain::micros(*stamp)));
            }
            (Self::Float(bounds), Values::Float(values)) => floats(bounds, &values[range]),
            (Self::Double(bounds), Values::Double(values)) => floats(bounds, &values[range]),
            (Self::Decimal(bounds, _), Values::Decimal(values)) => {
                integers(bounds, values[range].iter().copied());
            }
            (Self::Bytes(bounds), Values::Bytes(values)) => texts(bounds, values, range),
            _ => {}
        }
    }

    /// Takes in the bounds of another page of the same chunk.
    pub(super) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(Some((low, high)))) => widen(a, *low, *high),
            (Self::Int(a), Self::Int(Some((low, high)))) => widen(a, *low, *high),
            (Self::BigInt(a), Self::BigInt(Some((low, high)))) => widen(a, *low, *high),
            (Self::Float(a), Self::Float(Some((low, high)))) => widen(a, *low, *high),
            (Self::Double(a), Self::Double(Some((low, high)))) => widen(a, *low, *high),
            (Self::Decimal(a, _), Self::Decimal(Some((low, high)), _)) => widen(a, *low, *high),
            (Self::Bytes(a), Self::Bytes(Some((low, high)))) => {
                widen(a, low.clone(), high.clone());
            }
            _ => {}
        }
    }

    /// The bounds as bytes; `None` where there are none.
    pub(crate) fn encoded(&self) -> Option<Encoded> {
        let exact = |min: &[u8], max: &[u8]| Encoded {
            min: min.to_vec(),
            max: max.to_vec(),
            min_exact: true,
            max_exact: true,
        };
        match self {
            Self::Unordered => None,
            Self::Boolean(bounds) => {
                bounds.map(|(low, high)| exact(&[u8::from(low)], &[u8::from(high)]))
            }
            Self::Int(bounds) => {
                bounds.map(|(low, high)| exact(&low.to_le_bytes(), &high.to_le_bytes()))
            }
            Self::BigInt(bounds) => {
                bounds.map(|(low, high)| exact(&low.to_le_bytes(), &high.to_le_bytes()))
            }
            Self::Float(bounds) => bounds.map(|(low, high)| {
                let (low, high) = (negative_zero(low), if high == 0.0 { 0.0 } else { high });
                exact(&low.to_le_bytes(), &high.to_le_bytes())
            }),
            Self::Double(bounds) => bounds.map(|(low, high)| {
                let (low, high) = (negative_zero(low), if high == 0.0 { 0.0 } else { high });
                exact(&low.to_le_bytes(), &high.to_le_bytes())
            }),
            Self::Decimal(bounds, bytes) => bounds.map(|(low, high)| {
                let skip = 16 - bytes;
                exact(&low.to_be_bytes()[skip..], &high.to_be_bytes()[skip..])
            }),
            Self::Bytes(bounds) => bounds.as_ref().and_then(|(low, high)| {
                let min = &low[..cut(low, TEXT_BYTES_MAX)];
                let max = raised(high)?;
                let (min_exact, max_exact) = (min.len() == low.len(), max == *high);
                Some(Encoded { min: min.to_vec(), max, min_exact, max_exact })
            }),
        }
    }
}

fn negative_zero<F: PartialEq + From<f32>>(value: F) -> F {
    if value == F::from(0.0) { F::from(-0.0) } else { value }
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

fn booleans(bounds: &mut Option<(bool, bool)>, bits: &Bits, range: Range<usize>) {
    let ones = bits.count(range.clone());
    if !range.is_empty() {
        widen(bounds, ones == range.len(), ones > 0);
    }
}

fn integers<T: Ord + Copy>(bounds: &mut Option<(T, T)>, values: impl Iterator<Item = T> + Clone) {
    let Some(first) = values.clone().next() else { return };
    let (low, high) =
        values.fold((first, first), |(low, high), value| (low.min(value), high.max(value)));
    widen(bounds, low, high);
}

fn floats<F: PartialOrd + Copy>(bounds: &mut Option<(F, F)>, values: &[F]) {
    for value in values {
        // NaN is not even equal to itself.
        #[expect(clippy::eq_op, reason = "finds NaN")]
        if value == value {
            widen(bounds, *value, *value);
        }
    }
}

fn texts(bounds: &mut Option<(Vec<u8>, Vec<u8>)>, values: &ByteValues, range: Range<usize>) {
    let Some(first) = values.slices(range.clone()).next() else { return };
    let (low, high) = values
        .slices(range)
        .fold((first, first), |(low, high), value| (low.min(value), high.max(value)));
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

/// Where to cut text to at most `most` bytes, between characters if it is UTF-8.
fn cut(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let boundary = (0..=most).rev().find(|at| text[*at] & 0xC0 != 0x80);
    boundary.filter(|at| *at + 4 > most).unwrap_or(most)
}

/// An upper bound of at most the length allowed; `None` if there is none that short.
fn raised(text: &[u8]) -> Option<Vec<u8>> {
    let at = cut(text, TEXT_BYTES_MAX);
    if at == text.len() {
        return Some(text.to_vec());
    }
    if let Ok(prefix) = std::str::from_utf8(&text[..at]) {
        // The next character of the same length, so that the bound stays UTF-8 and in order.
        for (start, last) in prefix.char_indices().rev() {
            let next = u32::from(last) + 1;
            if let Some(next) = char::from_u32(next).filter(|c| c.len_utf8() == last.len_utf8()) {
                return Some(format!("{}{next}", &prefix[..start]).into_bytes());
            }
        }
        return None;
    }
    let last = text[..at].iter().rposition(|byte| *byte < 0xFF)?;
    let mut bound = text[..=last].to_vec();
    bound[last] += 1;
    Some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_nan_do_not_narrow_bounds() {
        let mut bounds = Bounds::Double(None);
        bounds.extend(&Values::Double(vec![f64::NAN, 0.0, f64::NAN]), 0..3);
        let encoded = bounds.encoded().unwrap();
        assert_eq!(encoded.min, (-0.0_f64).to_le_bytes());
        assert_eq!(encoded.max, 0.0_f64.to_le_bytes());
        let mut bounds = Bounds::Double(None);
        bounds.extend(&Values::Double(vec![f64::NAN]), 0..1);
        assert_eq!(bounds.encoded(), None);
    }

    #[test]
    fn long_text_is_cut_between_characters_and_raised() {
        let long = |character: &str| character.repeat(64 / character.len() + 3).into_bytes();
        for text in [long("a"), long("é"), long("€"), long("😀"), vec![0x80; 80]] {
            let bound = raised(&text).unwrap();
            assert!(bound.len() <= TEXT_BYTES_MAX && bound > text);
            assert!(text[..cut(&text, TEXT_BYTES_MAX)] <= text[..]);
        }
        assert_eq!(raised(&[0xFF; 65]), None);
        assert_eq!(raised("\u{10FFFF}".repeat(20).as_bytes()), None);
        let mixed = format!("{}\u{7f}{}", "b".repeat(63), "c".repeat(10)).into_bytes();
        assert_eq!(raised(&mixed).unwrap(), format!("{}c", "b".repeat(62)).into_bytes());
    }
}
