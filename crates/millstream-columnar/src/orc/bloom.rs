//! Bloom filters: whether a value can be among some rows.
//!
//! Bit for bit those of ORC's own writers, since readers hash what they look for the same way:
//! Murmur3 over text, Thomas Wang's hash over numbers, and two hashes combined for all others.
//! Source: the ORC specification, version 1, "Bloom Filter Index".

use std::ops::Range;

use super::proto::Message;
use super::statistics::millis;
use super::text_of_decimal;
use crate::batch::Values;

/// The seed of ORC's hash.
const SEED: u64 = 104_729;

/// A filter for the rows of one entry of the row index.
#[derive(Debug)]
pub(super) struct Bloom {
    words: Vec<u64>,
    hashes: u32,
}

impl Bloom {
    /// A filter for `rows` values that answers wrongly with yes at this rate.
    pub(super) fn new(rows: usize, false_positives: f64) -> Self {
        let ln2 = std::f64::consts::LN_2;
        #[expect(clippy::cast_precision_loss, reason = "a row index has far fewer rows")]
        let rows = rows as f64;
        // As ORC's own writer computes it, truncation included.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and small"
        )]
        let bits = (-rows * false_positives.ln() / (ln2 * ln2)) as u32;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and small"
        )]
        let hashes = ((f64::from(bits) / rows * ln2).round() as u32).max(1);
        Self { words: vec![0; (bits as usize).div_ceil(64).max(1)], hashes }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Takes in the values of `range`; decimals have `scale` digits behind the point.
    pub(super) fn extend(&mut self, values: &Values, range: Range<usize>, scale: u8) {
        match values {
            Values::Boolean(bits) => {
                range.for_each(|index| self.add(long(i64::from(bits.get(index)))));
            }
            Values::Int(values) => {
                values[range].iter().for_each(|value| self.add(long(i64::from(*value))));
            }
            Values::BigInt(values) => values[range].iter().for_each(|value| self.add(long(*value))),
            Values::Float(values) => {
                values[range].iter().for_each(|value| self.add(double(f64::from(*value))));
            }
            Values::Double(values) => {
                values[range].iter().for_each(|value| self.add(double(*value)));
            }
            Values::Decimal(values) => values[range].iter().for_each(|value| {
                self.add(murmur(text_of_decimal(*value, scale).as_bytes()));
            }),
            Values::Bytes(values) => values.slices(range).for_each(|value| self.add(murmur(value))),
            Values::Timestamp(values) => {
                values[range].iter().for_each(|value| self.add(long(millis(*value))));
            }
            Values::Array(..) | Values::Map(..) | Values::Struct(_) => {}
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of a hash, wrapping as Java's"
    )]
    fn add(&mut self, hash: u64) {
        let (first, second) = (hash as i32, (hash >> 32) as i32);
        let bits = self.words.len() * 64;
        for index in 1..=self.hashes.cast_signed() {
            let combined = first.wrapping_add(second.wrapping_mul(index));
            let combined = if combined < 0 { !combined } else { combined };
            let place = combined.unsigned_abs() as usize % bits;
            self.words[place / 64] |= 1 << (place % 64);
        }
    }

    /// As the file holds it.
    pub(super) fn message(&self) -> Message {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Message::new().uint(1, self.hashes.into()).bytes(3, &bytes)
    }
}

/// Thomas Wang's hash of 64 bits; its shifts keep the sign, as Java's do.
fn long(value: i64) -> u64 {
    let mut key = value;
    key = (!key).wrapping_add(key << 21);
    key ^= key >> 24;
    key = key.wrapping_add(key << 3).wrapping_add(key << 8);
    key ^= key >> 14;
    key = key.wrapping_add(key << 2).wrapping_add(key << 4);
    key ^= key >> 28;
    key = key.wrapping_add(key << 31);
    key.cast_unsigned()
}

fn double(value: f64) -> u64 {
    // All kinds of NaN are one in Java.
    let value = if value.is_nan() { f64::from_bits(0x7FF8_0000_0000_0000) } else { value };
    long(value.to_bits().cast_signed())
}

/// Murmur3 of 64 bits, as Hive has it.
fn murmur(value: &[u8]) -> u64 {
    const C1: u64 = 0x87C3_7B91_1142_53D5;
    const C2: u64 = 0x4CF5_AD43_2745_937F;
    let mixed = |word: u64| word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mut hash = SEED;
    let mut blocks = value.chunks_exact(8);
    for block in &mut blocks {
        hash ^= mixed(u64::from_le_bytes(block.try_into().expect("8 bytes")));
        hash = hash.rotate_left(27).wrapping_mul(5).wrapping_add(0x52DC_E729);
    }
    let tail = blocks.remainder();
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash ^= mixed(u64::from_le_bytes(word));
    }
    hash ^= value.len() as u64;
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ hash >> 33
}
