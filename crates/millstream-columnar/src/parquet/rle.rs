//! Runs and bit packing: levels, indices of dictionaries, booleans of the second version.
//!
//! Source: Encodings.md of Apache Parquet, "Run Length Encoding / Bit-Packing Hybrid".

use crate::varint::varint;

/// Bits that `value` needs.
pub(super) fn width(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}

/// Appends `values`, each of `width` bits, as runs and groups of eight.
pub(super) fn encode<T: Copy + Into<u32> + PartialEq>(out: &mut Vec<u8>, values: &[T], width: u32) {
    let mut at = 0;
    // What was not written yet because it is no run; a multiple of eight whenever a run begins.
    let mut packed = 0;
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        // A packed group has eight values: a run first fills the group before it.
        let missing = (8 - (at - packed) % 8) % 8;
        if run >= missing + 8 {
            pack(out, &values[packed..at + missing], width);
            at += missing;
            repeat(out, run - missing, values[at].into(), width);
            at += run - missing;
            packed = at;
        } else {
            at += run;
        }
    }
    pack(out, &values[packed..], width);
}

/// Appends a run of one value.
pub(super) fn repeat(out: &mut Vec<u8>, count: usize, value: u32, width: u32) {
    varint(out, (count as u64) << 1);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Appends values as groups of eight; the last group is filled up with zeros.
fn pack<T: Copy + Into<u32>>(out: &mut Vec<u8>, values: &[T], width: u32) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint(out, (groups as u64) << 1 | 1);
    let end = out.len() + groups * width as usize;
    out.reserve(groups * width as usize + 8);
    let (mut word, mut bits) = (0_u64, 0_u32);
    for value in values {
        word |= u64::from((*value).into()) << bits;
        bits += width;
        if bits >= 32 {
            out.extend_from_slice(&word.to_le_bytes()[..4]);
            word >>= 32;
            bits -= 32;
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..bits.div_ceil(8) as usize]);
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads what [`encode`] writes, straight from the specification.
    fn decode(mut bytes: &[u8], count: usize, width: u32) -> Vec<u32> {
        let mut values = Vec::new();
        let size = width.div_ceil(8) as usize;
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7F) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let mut value = [0; 4];
                value[..size].copy_from_slice(&bytes[..size]);
                bytes = &bytes[size..];
                values
                    .extend(vec![u32::from_le_bytes(value); usize::try_from(header >> 1).unwrap()]);
            } else {
                let groups = usize::try_from(header >> 1).unwrap();
                for index in 0..groups * 8 {
                    let mut value = 0;
                    for bit in 0..width as usize {
                        let place = index * width as usize + bit;
                        value |= u32::from(bytes[place / 8] >> (place % 8) & 1) << bit;
                    }
                    values.push(value);
                }
                bytes = &bytes[groups * width as usize..];
            }
        }
        assert!(bytes.is_empty() && values.len() < count + 8);
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn values_come_back(
            runs in prop::collection::vec((any::<u32>(), 1_usize..40), 0..20),
            width in 0_u32..=32,
        ) {
            let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            let values: Vec<u32> =
                runs.iter().flat_map(|(value, count)| vec![value & mask; *count]).collect();
            let mut out = Vec::new();
            encode(&mut out, &values, width);
            prop_assert_eq!(decode(&out, values.len(), width), values);
        }
    }

    #[test]
    fn a_long_run_takes_two_bytes() {
        let mut out = Vec::new();
        encode(&mut out, &[1_u8; 50], 1);
        assert_eq!(out, [100, 1]);
    }
}
