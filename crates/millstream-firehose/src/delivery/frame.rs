//! Records in a buffer: one after another, each behind a few bytes of head.
//!
//! Owns the form that buffered records have in memory and in spill files. Neighbours tend to
//! follow one another in the same part and to have arrived together, so the head says how a
//! record differs from the one before: two or three bytes for most.

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_destinations::DocumentId;

use super::varint::{self, Reader};

const OTHER_PART: u8 = 1;
const OTHER_POSITION: u8 = 2;
const HAS_INDEX: u8 = 4;
const OTHER_ARRIVAL: u8 = 8;
const HAS_SEQUENCE: u8 = 16;

/// A record as it lies in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: DocumentId,
    pub(super) arrived: Timestamp,
    /// What the source calls it, kept where an error would have to say it; of a row of a table,
    /// what is to be done with it.
    pub(super) sequence: Option<Bytes>,
    pub(super) data: Bytes,
}

/// What the next head is relative to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Neighbour {
    part: u64,
    /// Where a record that follows the last one would be.
    position: u64,
    arrived: u64,
}

impl Neighbour {
    fn after(entry: &Entry) -> Self {
        let DocumentId { part, position, .. } = entry.id;
        Self { part, position: position.wrapping_add(1), arrived: entry.arrived.ms() }
    }

    /// The head of `entry`, which the data follows, and what comes next is relative to it.
    pub(super) fn head(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let DocumentId { part, position, index } = entry.id;
        let arrived = entry.arrived.ms();
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(part != self.part, OTHER_PART)
            | flag(position != self.position, OTHER_POSITION)
            | flag(index != 0, HAS_INDEX)
            | flag(arrived != self.arrived, OTHER_ARRIVAL)
            | flag(entry.sequence.is_some(), HAS_SEQUENCE);
        out.push(flags);
        if flags & OTHER_PART != 0 {
            varint::put(out, part);
        }
        if flags & OTHER_POSITION != 0 {
            varint::put_step(out, self.position, position);
        }
        if flags & HAS_INDEX != 0 {
            varint::put(out, u64::from(index));
        }
        if flags & OTHER_ARRIVAL != 0 {
            varint::put_step(out, self.arrived, arrived);
        }
        if let Some(sequence) = &entry.sequence {
            varint::put_bytes(out, sequence);
        }
        varint::put(out, entry.data.len() as u64);
        *self = Self::after(entry);
    }
}

/// Reads the entries of a buffer, chunk by chunk; heads reach across chunks, entries do not.
#[derive(Debug, Default)]
pub(super) struct Entries {
    neighbour: Neighbour,
}

impl Entries {
    /// The entry at the front of `chunk`, which is shortened by it; `None` at its end.
    ///
    /// Chunks are what this process wrote, read back whole: one that makes no sense is a bug.
    pub(super) fn next(&mut self, chunk: &mut Bytes) -> Option<Entry> {
        if chunk.is_empty() {
            return None;
        }
        let mut reader = Reader::new(chunk);
        let entry = self.read(&mut reader, chunk).expect("a buffer holds what was put into it");
        let left = reader.rest().len();
        let _ = chunk.split_to(chunk.len() - left);
        self.neighbour = Neighbour::after(&entry);
        Some(entry)
    }

    fn read(&self, reader: &mut Reader<'_>, chunk: &Bytes) -> Option<Entry> {
        let Neighbour { part, position, arrived } = self.neighbour;
        let flags = reader.byte()?;
        let has = |flag: u8| flags & flag != 0;
        let part = if has(OTHER_PART) { reader.number()? } else { part };
        let position = if has(OTHER_POSITION) { reader.step(position)? } else { position };
        let index = if has(HAS_INDEX) { reader.number_u32()? } else { 0 };
        let arrived = if has(OTHER_ARRIVAL) { reader.step(arrived)? } else { arrived };
        let sequence =
            if has(HAS_SEQUENCE) { Some(chunk.slice_ref(reader.bytes()?)) } else { None };
        let data = chunk.slice_ref(reader.bytes()?);
        let id = DocumentId { part, position, index };
        Some(Entry { id, arrived: Timestamp::from_ms(arrived), sequence, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let id = (0..3_u64, any::<u64>(), 0..600_u32);
        let sequence = proptest::option::of(any::<Vec<u8>>());
        (id, 0..1_u64 << 45, sequence, any::<Vec<u8>>()).prop_map(|(id, ms, sequence, data)| {
            Entry {
                id: DocumentId { part: id.0, position: id.1, index: id.2 },
                arrived: Timestamp::from_ms(ms),
                sequence: sequence.map(Bytes::from),
                data: data.into(),
            }
        })
    }

    fn chunk(neighbour: &mut Neighbour, entries: &[Entry]) -> Bytes {
        let mut bytes = Vec::new();
        for entry in entries {
            neighbour.head(entry, &mut bytes);
            bytes.extend_from_slice(&entry.data);
        }
        bytes.into()
    }

    proptest! {
        #[test]
        fn what_was_put_is_read_across_chunks(
            chunks in proptest::collection::vec(proptest::collection::vec(entry(), 0..6), 0..6),
        ) {
            let mut neighbour = Neighbour::default();
            let stored: Vec<Bytes> =
                chunks.iter().map(|entries| chunk(&mut neighbour, entries)).collect();
            let mut entries = Entries::default();
            let mut read = Vec::new();
            for mut chunk in stored {
                while let Some(entry) = entries.next(&mut chunk) {
                    read.push(entry);
                }
            }
            prop_assert_eq!(read, chunks.concat());
        }
    }

    #[test]
    fn a_run_of_records_costs_two_bytes_each() {
        let entries: Vec<Entry> = (100..200)
            .map(|position| Entry {
                id: DocumentId { part: 0, position, index: 0 },
                arrived: Timestamp::from_seconds(1),
                sequence: None,
                data: Bytes::from_static(b"0123456789"),
            })
            .collect();
        let bytes = chunk(&mut Neighbour::default(), &entries).len();
        assert!(bytes < 100 * 12 + 16, "{bytes}");
    }
}
