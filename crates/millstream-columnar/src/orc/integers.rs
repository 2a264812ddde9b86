//! Runs of integers: both of ORC's encodings.
//!
//! Values are held until there are 512, then written as runs, so a place in the stream is where the
//! held ones will begin, and how many of them come before. Of the second encoding's four ways of
//! writing a run three are used; the fourth, which patches outliers, only saves space.
//!
//! Source: the ORC specification, version 1, "Integer Run Length Encoding".

use super::stream::Stream;
use crate::compress::Codec;
use crate::options::OrcVersion;
use crate::varint::{varint, zigzag};

/// Values that are held, and the longest run of the second encoding.
const HELD: usize = 512;

/// Integers, as runs.
#[derive(Debug)]
pub(super) struct Integers {
    stream: Stream,
    held: Vec<i64>,
    signed: bool,
    version: OrcVersion,
    scratch: Vec<u8>,
}

impl Integers {
    pub(super) fn new(codec: Codec, version: OrcVersion, signed: bool) -> Self {
        let (held, scratch) = (Vec::with_capacity(HELD), Vec::new());
        Self { stream: Stream::new(codec), held, signed, version, scratch }
    }

    #[inline]
    pub(super) fn push(&mut self, value: i64) {
        self.held.push(value);
        if self.held.len() == HELD {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.scratch.clear();
        match self.version {
            OrcVersion::V0_11 => runs_v1(&mut self.scratch, &self.held, self.signed),
            OrcVersion::V0_12 => runs_v2(&mut self.scratch, &self.held, self.signed),
        }
        self.stream.write(&self.scratch);
        self.held.clear();
    }

    pub(super) fn position(&self, positions: &mut Vec<u64>) {
        self.stream.position(positions);
        positions.push(self.held.len() as u64);
    }

    pub(super) fn bytes(&self) -> usize {
        self.stream.bytes() + self.held.len() * 2
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.stream.memory_bytes() + self.held.capacity() * 8 + self.scratch.capacity()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.flush();
        self.stream.take()
    }
}

/// A value without its sign, as both encodings store it.
fn unsigned(value: i64, signed: bool) -> u64 {
    if signed { zigzag(value) } else { value.cast_unsigned() }
}

/// How many values from the start are the same.
fn repeats(values: &[i64]) -> usize {
    values.iter().take_while(|value| **value == values[0]).count()
}

/// The first encoding: runs of 3 to 130 with one small step, literals between them.
fn runs_v1(out: &mut Vec<u8>, values: &[i64], signed: bool) {
    const RUN_MIN: usize = 3;
    const RUN_MAX: usize = 130;
    const LITERALS_MAX: usize = 128;
    let literals = |out: &mut Vec<u8>, values: &[i64]| {
        for values in values.chunks(LITERALS_MAX) {
            out.push(u8::try_from(values.len()).expect("at most 128").wrapping_neg());
            for value in values {
                varint(out, unsigned(*value, signed));
            }
        }
    };
    let (mut at, mut first_literal) = (0, 0);
    while at < values.len() {
        let (run, step) = stepped(&values[at..], RUN_MAX);
        let step = i8::try_from(step);
        let (RUN_MIN.., Ok(step)) = (run, step) else {
            at += 1;
            continue;
        };
        literals(out, &values[first_literal..at]);
        out.push(u8::try_from(run - RUN_MIN).expect("at most 127"));
        out.push(step.cast_unsigned());
        varint(out, unsigned(values[at], signed));
        at += run;
        first_literal = at;
    }
    literals(out, &values[first_literal..]);
}

/// How many values from the start, at most `most`, have one step between them; and the step.
fn stepped(values: &[i64], most: usize) -> (usize, i64) {
    let Some(step) = values.get(1).and_then(|second| second.checked_sub(values[0])) else {
        return (1, 0);
    };
    let steps = values.windows(2).take(most - 1);
    let run = steps.take_while(|pair| pair[1].checked_sub(pair[0]) == Some(step)).count();
    (run + 1, step)
}

/// The second encoding.
fn runs_v2(out: &mut Vec<u8>, values: &[i64], signed: bool) {
    /// Shorter repetitions are not worth a run of their own, unless they begin one.
    const REPEAT_MIN: usize = 3;
    const SHORT_REPEAT_MAX: usize = 10;
    let mut rest = values;
    while !rest.is_empty() {
        let same = repeats(rest);
        if same >= REPEAT_MIN {
            let (run, after) = rest.split_at(same);
            if same <= SHORT_REPEAT_MAX {
                short_repeat(out, run, signed);
            } else {
                delta(out, run, signed);
            }
            rest = after;
            continue;
        }
        // Up to the next repetition that is long enough to pay for two headers.
        let mut end = same;
        while end < rest.len() {
            let same = repeats(&rest[end..]);
            if same > SHORT_REPEAT_MAX {
                break;
            }
            end += same;
        }
        let (run, after) = rest.split_at(end);
        if !delta(out, run, signed) {
            direct(out, run, signed);
        }
        rest = after;
    }
}

/// 3 to 10 times one value.
fn short_repeat(out: &mut Vec<u8>, run: &[i64], signed: bool) {
    let value = unsigned(run[0], signed);
    let bytes = (u64::BITS - value.leading_zeros()).div_ceil(8).max(1);
    let header = (bytes - 1) << 3 | u32::try_from(run.len() - 3).expect("at most 7");
    out.push(u8::try_from(header).expect("6 bits"));
    out.extend_from_slice(&value.to_be_bytes()[8 - bytes as usize..]);
}

/// Each value in as many bits as the largest needs.
fn direct(out: &mut Vec<u8>, run: &[i64], signed: bool) {
    let all = run.iter().fold(0, |all, value| all | unsigned(*value, signed));
    let (width, code) = width(u64::BITS - all.leading_zeros());
    header(out, 1, code, run.len());
    pack(out, run.iter().map(|value| unsigned(*value, signed)), width);
}

/// A first value and steps of one direction, where that is shorter than [`direct`]; says whether
/// it was written.
fn delta(out: &mut Vec<u8>, run: &[i64], signed: bool) -> bool {
    if run.len() < 2 {
        return false;
    }
    let mut steps = [0_i64; HELD];
    let steps = &mut steps[..run.len() - 1];
    let (mut up, mut down, mut all) = (true, true, 0_u64);
    for (step, pair) in steps.iter_mut().zip(run.windows(2)) {
        let Some(found) = pair[1].checked_sub(pair[0]) else { return false };
        *step = found;
        up &= found >= 0;
        down &= found <= 0;
    }
    let first = steps[0];
    if steps.iter().all(|step| *step == first) {
        header(out, 3, 0, run.len());
        varint(out, unsigned(run[0], signed));
        varint(out, zigzag(first));
        return true;
    }
    // The sign of the first step is that of all; without one there is none.
    if !(up || down) || first == 0 {
        return false;
    }
    let mut largest = 0_u64;
    for step in &steps[1..] {
        all |= step.unsigned_abs();
    }
    for value in run {
        largest |= unsigned(*value, signed);
    }
    // The code of one bit means steps that are all the same.
    let (width, code) = width((u64::BITS - all.leading_zeros()).max(2));
    if width >= u64::BITS - largest.leading_zeros() {
        return false;
    }
    header(out, 3, code, run.len());
    varint(out, unsigned(run[0], signed));
    varint(out, zigzag(first));
    pack(out, steps[1..].iter().map(|step| step.unsigned_abs()), width);
    true
}

/// Two bits of kind, five of width, nine of length.
fn header(out: &mut Vec<u8>, kind: u8, code: u8, length: usize) {
    let [low, high] = u16::try_from(length - 1).expect("at most 511").to_le_bytes();
    out.push(kind << 6 | code << 1 | high);
    out.push(low);
}

/// The next width that can be written, and its code.
fn width(bits: u32) -> (u32, u8) {
    const WIDE: [u32; 8] = [26, 28, 30, 32, 40, 48, 56, 64];
    match u8::try_from(bits) {
        Ok(0 | 1) => (1, 0),
        Ok(narrow @ 2..=24) => (bits, narrow - 1),
        _ => {
            let found = (24_u8..).zip(WIDE).find(|(_, width)| *width >= bits);
            let (code, width) = found.expect("at most 64 bits");
            (width, code)
        }
    }
}

/// Appends values of `width` bits, the highest bit first; the last byte is filled up with zeros.
fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    let (mut word, mut bits) = (0_u128, 0);
    for value in values {
        word = word << width | u128::from(value);
        bits += width;
        while bits >= 32 {
            bits -= 32;
            let [.., a, b, c, d] = (word >> bits).to_be_bytes();
            out.extend_from_slice(&[a, b, c, d]);
        }
    }
    let [.., a, b, c, d] = (word << (32 - bits)).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d][..bits.div_ceil(8) as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(values: &[i64], version: OrcVersion, signed: bool) -> Vec<u8> {
        let mut integers = Integers::new(Codec::None, version, signed);
        for value in values {
            integers.push(*value);
        }
        integers.take()
    }

    #[test]
    fn runs_are_those_of_the_specification() {
        let v1 = |values: &[i64]| written(values, OrcVersion::V0_11, false);
        assert_eq!(v1(&[7; 100]), [0x61, 0, 7]);
        assert_eq!(v1(&(1..=100).rev().collect::<Vec<_>>()), [0x61, 0xFF, 100]);
        assert_eq!(v1(&[2, 3, 6, 7, 11]), [0xFB, 2, 3, 6, 7, 11]);
        let v2 = |values: &[i64]| written(values, OrcVersion::V0_12, false);
        assert_eq!(v2(&[10_000; 5]), [0x0A, 0x27, 0x10]);
        let direct = [0x5E, 0x03, 0x5C, 0xA1, 0xAB, 0x1E, 0xDE, 0xAD, 0xBE, 0xEF];
        assert_eq!(v2(&[23_713, 43_806, 57_005, 48_879]), direct);
        // As in the specification, but for a width of 3 bits instead of 4.
        let delta = [0xC4, 0x09, 0x02, 0x02, 0x4A, 0x28, 0xA6];
        assert_eq!(v2(&[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]), delta);
    }

    /// Reads both encodings, straight from the specification.
    fn read(bytes: &[u8], version: OrcVersion, signed: bool) -> Vec<i64> {
        let mut input = Input { bytes, at: 0 };
        let mut values = Vec::new();
        while input.at < bytes.len() {
            match version {
                OrcVersion::V0_11 => input.run_v1(signed, &mut values),
                OrcVersion::V0_12 => input.run_v2(signed, &mut values),
            }
        }
        values
    }

    struct Input<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Input<'_> {
        fn byte(&mut self) -> u8 {
            self.at += 1;
            self.bytes[self.at - 1]
        }

        fn varint(&mut self) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = self.byte();
                value |= u64::from(byte & 0x7F) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }

        fn value(&mut self, signed: bool) -> i64 {
            signed_value(self.varint(), signed)
        }

        fn run_v1(&mut self, signed: bool, values: &mut Vec<i64>) {
            let control = self.byte().cast_signed();
            if control < 0 {
                (0..-i32::from(control)).for_each(|_| values.push(self.value(signed)));
            } else {
                let step = i64::from(self.byte().cast_signed());
                let first = self.value(signed);
                values.extend((0..i64::from(control) + 3).map(|index| first + index * step));
            }
        }

        fn run_v2(&mut self, signed: bool, values: &mut Vec<i64>) {
            let first = self.byte();
            if first >> 6 == 0 {
                let width = (first >> 3 & 7) + 1;
                let value = (0..width).fold(0, |value, _| value << 8 | u64::from(self.byte()));
                let count = usize::from(first & 7) + 3;
                values.extend(vec![signed_value(value, signed); count]);
                return;
            }
            let code = usize::from(first >> 1 & 31);
            let length = (usize::from(first & 1) << 8 | usize::from(self.byte())) + 1;
            let width = [26, 28, 30, 32, 40, 48, 56, 64];
            let width = if code < 24 { code + 1 } else { width[code - 24] };
            if first >> 6 == 1 {
                let packed = self.unpack(length, width);
                values.extend(packed.into_iter().map(|value| signed_value(value, signed)));
                return;
            }
            assert_eq!(first >> 6, 3);
            let mut value = self.value(signed);
            let step = signed_value(self.varint(), true);
            values.push(value);
            let mut steps = vec![step; length - 1];
            if code > 0 {
                let packed = self.unpack(length - 2, width);
                for (place, found) in steps[1..].iter_mut().zip(packed) {
                    let found = i64::try_from(found).unwrap();
                    *place = if step < 0 { -found } else { found };
                }
            }
            for step in steps {
                value += step;
                values.push(value);
            }
        }

        fn unpack(&mut self, count: usize, width: usize) -> Vec<u64> {
            let start = self.at;
            self.at += (count * width).div_ceil(8);
            let bit =
                |place: usize| u64::from(self.bytes[start + place / 8] >> (7 - place % 8) & 1);
            let value = |index: usize| {
                (0..width).fold(0, |value, offset| value << 1 | bit(index * width + offset))
            };
            (0..count).map(value).collect()
        }
    }

    fn signed_value(value: u64, signed: bool) -> i64 {
        if signed {
            (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
        } else {
            value.cast_signed()
        }
    }

    fn sequences() -> impl Strategy<Value = Vec<i64>> {
        let piece = (any::<i64>(), 0_u32..64, -20_i64..20, 1_usize..60, 0_u8..4).prop_map(
            |(seed, shift, step, count, kind)| {
                let first = seed >> shift;
                let index = |index: usize| i64::try_from(index).unwrap();
                let value = |i: usize| match kind {
                    0 => first,
                    1 => first.wrapping_add(step * index(i)),
                    2 => first.wrapping_add(index(i * i)),
                    _ => first.wrapping_mul(index(i + 1)) >> (i % 7),
                };
                (0..count).map(value).collect::<Vec<_>>()
            },
        );
        prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn values_come_back(values in sequences()) {
            for version in [OrcVersion::V0_11, OrcVersion::V0_12] {
                prop_assert_eq!(&read(&written(&values, version, true), version, true), &values);
                let positive: Vec<i64> = values.iter().map(|value| value & i64::MAX).collect();
                prop_assert_eq!(&read(&written(&positive, version, false), version, false), &positive);
            }
        }
    }
}
