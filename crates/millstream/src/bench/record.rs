//! Records that prove themselves: whoever reads one knows who wrote it, and each byte it must have.
//!
//! Layout, little-endian: run (8 bytes), writer (4), number in the writer's order (8), when it was
//! sent in nanoseconds of the run (8), then filler cut from a random block at a place that follows
//! from all of these. So no two records are alike, none compresses, and nothing needs to be
//! remembered to check them.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::{Rand, SeededRand};

/// The least that a record of the benchmark can hold.
pub(crate) const RECORD_BYTES_MIN: usize = 28;
const BLOCK_BYTES: usize = 1 << 20;

/// Who wrote a record, and where in the writer's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// The writer, counted from 0.
    pub(crate) writer: u32,
    /// The record's number in the writer's order, counted from 0.
    pub(crate) number: u64,
}

/// Makes and checks the records of one run.
#[derive(Debug)]
pub(crate) struct RecordForm {
    run: u64,
    record_bytes: usize,
    filler: Vec<u8>,
}

/// What a read record turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// One of ours, whole.
    Whole(Identity),
    /// One of ours with other bytes than it was sent with.
    Corrupt(Identity),
    /// Not of this run.
    Foreign,
}

impl RecordForm {
    /// Records of `record_bytes` each (at least [`RECORD_BYTES_MIN`]) for the run called `run`.
    pub(crate) fn new(run: u64, record_bytes: usize) -> Self {
        assert!(record_bytes >= RECORD_BYTES_MIN, "a record must hold its identity");
        let mut filler = vec![0; BLOCK_BYTES + record_bytes];
        SeededRand::new(run).fill(&mut filler);
        Self { run, record_bytes, filler }
    }

    /// Bytes of each record.
    pub(crate) fn record_bytes(&self) -> usize {
        self.record_bytes
    }

    /// One record, written into `buffer` and split off it.
    pub(crate) fn make(&self, buffer: &mut BytesMut, of: Identity, sent_ns: u64) -> Bytes {
        buffer.reserve(self.record_bytes);
        buffer.put_u64_le(self.run);
        buffer.put_u32_le(of.writer);
        buffer.put_u64_le(of.number);
        buffer.put_u64_le(sent_ns);
        buffer.put_slice(self.filler(of, sent_ns));
        buffer.split().freeze()
    }

    /// Judges a record that was read; `sent_ns` of it where it is ours.
    pub(crate) fn judge(&self, data: &[u8]) -> (Read, u64) {
        let word = |at: usize| {
            let bytes = data.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
        };
        let writer = data.get(8..12).map(|b| u32::from_le_bytes(b.try_into().expect("four bytes")));
        let (Some(run), Some(writer), Some(number), Some(sent)) =
            (word(0), writer, word(12), word(20))
        else {
            return (Read::Foreign, 0);
        };
        if run != self.run {
            return (Read::Foreign, 0);
        }
        let identity = Identity { writer, number };
        let whole = data[RECORD_BYTES_MIN..] == *self.filler(identity, sent);
        (if whole { Read::Whole(identity) } else { Read::Corrupt(identity) }, sent)
    }

    fn filler(&self, of: Identity, sent_ns: u64) -> &[u8] {
        // Any odd constant spreads neighbours over the block (2^64 divided by the golden ratio).
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let identity = of.number ^ (u64::from(of.writer) << 40);
        // In two steps: every bit of either reaches the highest ones.
        let mixed = (identity.wrapping_mul(SPREAD) ^ sent_ns).wrapping_mul(SPREAD);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(SPREAD);
        let at = usize::try_from(mixed >> 44).expect("20 bits");
        &self.filler[at..at + self.record_bytes - RECORD_BYTES_MIN]
    }
}

/// What of a run's records was seen, one bit each.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    writers: Vec<Vec<u64>>,
    /// Records seen for the first time.
    pub(crate) distinct: u64,
    /// Records seen again.
    pub(crate) duplicate: u64,
    /// Records with other bytes than they were sent with.
    pub(crate) corrupt: u64,
    /// Records that are not of this run.
    pub(crate) foreign: u64,
}

/// Numbers above this are no writer's: a corrupt identity must not make us allocate for it.
const NUMBERS_MAX: u64 = 1 << 33;
const WRITERS_MAX: u32 = 1 << 16;

impl Seen {
    /// Takes note of one record.
    pub(crate) fn note(&mut self, read: Read) {
        match read {
            Read::Foreign => self.foreign += 1,
            Read::Corrupt(_) => self.corrupt += 1,
            Read::Whole(Identity { writer, number }) => {
                if number >= NUMBERS_MAX || writer >= WRITERS_MAX {
                    self.corrupt += 1;
                } else if self.mark(writer as usize, number) {
                    self.distinct += 1;
                } else {
                    self.duplicate += 1;
                }
            }
        }
    }

    fn mark(&mut self, writer: usize, number: u64) -> bool {
        let word = usize::try_from(number / 64).expect("bounded above");
        if self.writers.len() <= writer {
            self.writers.resize_with(writer + 1, Vec::new);
        }
        let words = &mut self.writers[writer];
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        let is_new = words[word] & bit == 0;
        words[word] |= bit;
        is_new
    }

    /// Whether the record was seen whole.
    pub(crate) fn contains(&self, of: Identity) -> bool {
        let words = self.writers.get(of.writer as usize);
        let word = usize::try_from(of.number / 64).ok().and_then(|word| words?.get(word));
        word.is_some_and(|word| word & (1 << (of.number % 64)) != 0)
    }

    /// Adds what another part of the read saw.
    pub(crate) fn add(&mut self, other: &Self) {
        for (writer, words) in other.writers.iter().enumerate() {
            for (at, word) in words.iter().enumerate() {
                for bit in (0..64).filter(|bit| word & (1 << bit) != 0) {
                    let number = at as u64 * 64 + bit;
                    let is_new = self.mark(writer, number);
                    self.distinct += u64::from(is_new);
                    self.duplicate += u64::from(!is_new);
                }
            }
        }
        self.duplicate += other.duplicate;
        self.corrupt += other.corrupt;
        self.foreign += other.foreign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_proves_itself_and_every_flipped_bit_shows() {
        let form = RecordForm::new(9, 100);
        let of = Identity { writer: 3, number: 77 };
        let data = form.make(&mut BytesMut::new(), of, 5);
        assert_eq!(data.len(), 100);
        assert_eq!(form.judge(&data), (Read::Whole(of), 5));
        for bit in 0..800 {
            let mut bytes = data.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(form.judge(&bytes).0, Read::Whole(of), "flipped at {bit}");
        }
        for cut in 0..100 {
            assert_ne!(form.judge(&data[..cut]).0, Read::Whole(of), "cut at {cut}");
        }
        assert_eq!(form.judge(b"something else").0, Read::Foreign);
    }

    #[test]
    fn what_was_seen_is_counted_once_and_twice_and_by_its_bytes() {
        let whole = |writer, number| Read::Whole(Identity { writer, number });
        let (mut one, mut two) = <(Seen, Seen)>::default();
        one.note(whole(0, 0));
        one.note(whole(0, 64));
        one.note(whole(0, 64));
        one.note(Read::Foreign);
        two.note(whole(0, 64));
        two.note(whole(5, 1));
        two.note(Read::Corrupt(Identity { writer: 0, number: 0 }));
        two.note(whole(0, u64::MAX));
        one.add(&two);
        assert_eq!((one.distinct, one.duplicate, one.corrupt, one.foreign), (3, 2, 2, 1));
        assert!(one.contains(Identity { writer: 5, number: 1 }));
        assert!(!one.contains(Identity { writer: 5, number: 2 }));
        assert!(!one.contains(Identity { writer: 9, number: 0 }));
    }
}
