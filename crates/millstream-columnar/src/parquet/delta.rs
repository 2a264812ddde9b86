//! Delta encodings of the second version: integers, and lengths of text.
//!
//! Source: Encodings.md of Apache Parquet, "Delta Encoding".

use crate::varint::{varint, zigzag};

/// Deltas in a block, which have one smallest delta.
const BLOCK: usize = 128;
/// Deltas in a miniblock, which have one width.
const MINIBLOCK: usize = 32;

/// Appends integers of `bits` (32 or 64) bits; deltas wrap around in as many.
pub(super) fn integers(out: &mut Vec<u8>, values: &[i64], bits: u32) {
    varint(out, BLOCK as u64);
    varint(out, (BLOCK / MINIBLOCK) as u64);
    varint(out, values.len() as u64);
    varint(out, zigzag(values.first().copied().unwrap_or(0)));
    let deltas: Vec<i64> =
        values.windows(2).map(|pair| wrapped(pair[1].wrapping_sub(pair[0]), bits)).collect();
    for block in deltas.chunks(BLOCK) {
        let least = block.iter().copied().min().expect("chunks are not empty");
        varint(out, zigzag(least));
        let mut offsets = [0_u64; BLOCK];
        for (offset, delta) in offsets.iter_mut().zip(block) {
            *offset = delta.wrapping_sub(least).cast_unsigned() & (u64::MAX >> (64 - bits));
        }
        let widths = offsets.chunks(MINIBLOCK).map(|mini| {
            u64::BITS - mini.iter().fold(0, |all, offset| all | offset).leading_zeros()
        });
        let widths: Vec<u32> = widths.collect();
        out.extend(widths.iter().map(|width| u8::try_from(*width).expect("at most 64")));
        // Miniblocks without deltas have no bytes.
        let used = block.len().div_ceil(MINIBLOCK);
        for (mini, width) in offsets.chunks(MINIBLOCK).zip(widths).take(used) {
            pack(out, mini, width);
        }
    }
}

/// The value that the lowest `bits` are, with their sign.
fn wrapped(value: i64, bits: u32) -> i64 {
    value << (64 - bits) >> (64 - bits)
}

fn pack(out: &mut Vec<u8>, values: &[u64], width: u32) {
    let (mut word, mut bits) = (0_u128, 0);
    for value in values {
        word |= u128::from(*value) << bits;
        bits += width;
        while bits >= 8 {
            let [low, ..] = word.to_le_bytes();
            out.push(low);
            word >>= 8;
            bits -= 8;
        }
    }
    debug_assert_eq!(bits, 0, "32 values of any width are whole bytes");
}
