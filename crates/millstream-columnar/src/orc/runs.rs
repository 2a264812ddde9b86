//! Runs of bytes and of bits.
//!
//! Source: the ORC specification, version 1, "Byte Run Length Encoding" and "Boolean Run Length
//! Encoding".

use super::stream::Stream;
use crate::batch::Bits;
use crate::compress::Codec;

/// A run has at least this many bytes.
const RUN_MIN: usize = 3;
/// And at most this many.
const RUN_MAX: usize = 130;
const LITERALS_MAX: usize = 128;
/// Bytes that are held back, to find runs among them.
const HELD: usize = 1_024;

/// Bytes, as runs and literals.
#[derive(Debug)]
pub(super) struct ByteRuns {
    stream: Stream,
    held: Vec<u8>,
}

impl ByteRuns {
    pub(super) fn new(codec: Codec) -> Self {
        Self { stream: Stream::new(codec), held: Vec::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.held.push(byte);
        if self.held.len() == HELD {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let held = &self.held[..];
        let mut at = 0;
        let mut literals = 0;
        while at < held.len() {
            let run = held[at..].iter().take(RUN_MAX).take_while(|byte| **byte == held[at]).count();
            if run < RUN_MIN {
                at += run;
                continue;
            }
            write_literals(&mut self.stream, &held[literals..at]);
            let length = u8::try_from(run - RUN_MIN).expect("at most 127");
            self.stream.write(&[length, held[at]]);
            at += run;
            literals = at;
        }
        write_literals(&mut self.stream, &held[literals..]);
        self.held.clear();
    }

    /// The stream's place, and how many bytes behind it are held.
    pub(super) fn position(&self, positions: &mut Vec<u64>) {
        self.stream.position(positions);
        positions.push(self.held.len() as u64);
    }

    pub(super) fn bytes(&self) -> usize {
        self.stream.bytes() + self.held.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.stream.memory_bytes() + self.held.capacity()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.flush();
        self.stream.take()
    }
}

fn write_literals(stream: &mut Stream, bytes: &[u8]) {
    for literals in bytes.chunks(LITERALS_MAX) {
        let count = u8::try_from(literals.len()).expect("at most 128");
        stream.write(&[count.wrapping_neg()]);
        stream.write(literals);
    }
}

/// Bits, highest first in bytes, which are runs.
#[derive(Debug)]
pub(super) struct BitRuns {
    bytes: ByteRuns,
    byte: u8,
    /// Bits in `byte`.
    filled: u32,
}

impl BitRuns {
    pub(super) fn new(codec: Codec) -> Self {
        Self { bytes: ByteRuns::new(codec), byte: 0, filled: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, bit: bool) {
        self.byte |= u8::from(bit) << (7 - self.filled);
        self.filled += 1;
        if self.filled == 8 {
            self.bytes.push(self.byte);
            (self.byte, self.filled) = (0, 0);
        }
    }

    /// Appends bits of `range`; whole bytes of ones go at once.
    pub(super) fn extend(&mut self, bits: &Bits, range: std::ops::Range<usize>) {
        if bits.count(range.clone()) < range.len() {
            range.for_each(|index| self.push(bits.get(index)));
            return;
        }
        let mut left = range.len();
        while left > 0 {
            if self.filled == 0 && left >= 8 {
                self.bytes.push(0xFF);
                left -= 8;
            } else {
                self.push(true);
                left -= 1;
            }
        }
    }

    pub(super) fn position(&self, positions: &mut Vec<u64>) {
        self.bytes.position(positions);
        positions.push(self.filled.into());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.bytes()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.memory_bytes()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.bytes.push(self.byte);
            (self.byte, self.filled) = (0, 0);
        }
        self.bytes.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_runs_and_literals_as_the_specification_shows() {
        let mut runs = ByteRuns::new(Codec::None);
        (0..100).for_each(|_| runs.push(0));
        assert_eq!(runs.take(), [0x61, 0]);
        runs.push(0x44);
        runs.push(0x45);
        assert_eq!(runs.take(), [0xFE, 0x44, 0x45]);
    }

    #[test]
    fn bits_are_highest_first_as_the_specification_shows() {
        let mut runs = BitRuns::new(Codec::None);
        runs.push(true);
        (0..7).for_each(|_| runs.push(false));
        assert_eq!(runs.take(), [0xFF, 0x80]);
        let mut ones = Bits::default();
        (0..29).for_each(|_| ones.push(true));
        runs.extend(&ones, 0..29);
        assert_eq!(runs.take(), [0, 0xFF, 0xFF, 0xF8]);
    }
}
