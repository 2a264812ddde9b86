//! Records that wait to be delivered together.
//!
//! Owns their bytes, in memory or in a spill file, and their [`Gauge`]. Memory is taken from the
//! shared [`Budget`] chunk by chunk before it is used; when the budget is spent, whatever waits
//! is spilled and the memory given back.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::budget::{Budget, Lease};
use super::frame::{Entries, Entry, Neighbour};
use super::gauge::Gauge;
use super::spill::{Extent, Spill, SpillFile};

/// Bytes of a buffer's first chunk; each is twice the one before, up to the largest.
const CHUNK_BYTES_MIN: usize = 4 << 10;
const CHUNK_BYTES_MAX: usize = 256 << 10;
/// Bytes of a record's head at most, beside its sequence number.
const HEAD_BYTES_MAX: usize = 64;

/// Records, one after another.
#[derive(Debug)]
pub(super) struct Buffer {
    gauge: Gauge,
    chunks: Vec<Chunk>,
    /// The chunk being filled; its capacity is leased.
    tail: Vec<u8>,
    tail_lease: Option<Lease>,
    neighbour: Neighbour,
    file: Option<SpillFile>,
}

#[derive(Debug)]
enum Chunk {
    Memory(Bytes, #[expect(dead_code, reason = "held for its drop")] Lease),
    Spilled(Extent),
}

/// A record that found no memory.
#[derive(Debug)]
pub(super) struct NoRoom {
    pub(super) entry: Entry,
    /// Bytes that it needs.
    pub(super) bytes: usize,
}

fn room(entry: &Entry) -> usize {
    entry.data.len() + entry.sequence.as_ref().map_or(0, Bytes::len) + HEAD_BYTES_MAX
}

impl Buffer {
    /// A buffer whose first record is `entry`.
    pub(super) fn open(entry: Entry, now: Instant, budget: &Budget) -> Result<Self, NoRoom> {
        let mut buffer = Self {
            gauge: Gauge::of(&entry, now),
            chunks: Vec::new(),
            tail: Vec::new(),
            tail_lease: None,
            neighbour: Neighbour::default(),
            file: None,
        };
        buffer.write(entry, budget)?;
        Ok(buffer)
    }

    /// Adds a record.
    pub(super) fn push(&mut self, entry: Entry, budget: &Budget) -> Result<(), NoRoom> {
        let mut gauge = self.gauge;
        gauge.add(&entry);
        self.write(entry, budget)?;
        self.gauge = gauge;
        Ok(())
    }

    fn write(&mut self, entry: Entry, budget: &Budget) -> Result<(), NoRoom> {
        let needed = room(&entry);
        if self.tail.capacity() - self.tail.len() < needed {
            let grown = (self.tail.capacity() * 2).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
            let bytes = grown.max(needed);
            let Some(lease) = budget.try_buffer(bytes) else {
                return Err(NoRoom { entry, bytes });
            };
            self.close_tail();
            self.tail = Vec::with_capacity(bytes);
            self.tail_lease = Some(lease);
        }
        self.neighbour.head(&entry, &mut self.tail);
        self.tail.extend_from_slice(&entry.data);
        Ok(())
    }

    fn close_tail(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        if let Some(lease) = self.tail_lease.take()
            && !tail.is_empty()
        {
            self.chunks.push(Chunk::Memory(tail.into(), lease));
        }
    }

    /// What is in it.
    pub(super) fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| match chunk {
            Chunk::Memory(bytes, _) => bytes.len(),
            Chunk::Spilled(_) => 0,
        });
        chunks.sum::<usize>() + self.tail.capacity()
    }

    /// Moves what is in memory to a file. Blocks. What could not be moved stays where it is.
    pub(super) fn spill(&mut self, spill: &Arc<Spill>) -> io::Result<()> {
        self.close_tail();
        let file = self.file.get_or_insert_with(|| spill.file());
        for chunk in &mut self.chunks {
            if let Chunk::Memory(bytes, _) = chunk {
                *chunk = Chunk::Spilled(file.append(bytes)?);
            }
        }
        Ok(())
    }

    /// The same, off the runtime's threads.
    pub(super) async fn spilled(mut self, spill: Arc<Spill>) -> (Self, io::Result<()>) {
        let moved = tokio::task::spawn_blocking(move || {
            let outcome = self.spill(&spill);
            (self, outcome)
        });
        moved.await.expect("spilling does not panic")
    }

    /// Visits all records in order. Blocks where they were spilled.
    pub(super) fn visit(&self, mut visit: impl FnMut(Entry)) -> io::Result<()> {
        let mut entries = Entries::default();
        let tail = Bytes::copy_from_slice(&self.tail);
        for chunk in &self.chunks {
            let mut bytes = match chunk {
                Chunk::Memory(bytes, _) => bytes.clone(),
                Chunk::Spilled(extent) => {
                    self.file.as_ref().expect("what spilled has a file").read(*extent)?
                }
            };
            while let Some(entry) = entries.next(&mut bytes) {
                visit(entry);
            }
        }
        let mut bytes = tail;
        while let Some(entry) = entries.next(&mut bytes) {
            visit(entry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::Timestamp;
    use millstream_destinations::DocumentId;
    use proptest::prelude::*;

    use super::*;

    fn entry(position: u64, data: Vec<u8>) -> Entry {
        Entry {
            id: DocumentId { part: 0, position, index: 0 },
            arrived: Timestamp::from_ms(position),
            sequence: None,
            data: data.into(),
        }
    }

    fn read(buffer: &Buffer) -> Vec<Entry> {
        let mut entries = Vec::new();
        buffer.visit(|entry| entries.push(entry)).unwrap();
        entries
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn spilling_at_any_time_changes_nothing_but_memory(
            records in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..6_000), any::<bool>()), 1..60,
            ),
        ) {
            let budget = Budget::new(64 << 20);
            let spill = Spill::in_memory(1 << 30);
            let mut expected = Vec::new();
            let mut buffer: Option<Buffer> = None;
            for (position, (data, spills)) in records.into_iter().enumerate() {
                let entry = entry(position as u64, data);
                expected.push(entry.clone());
                match &mut buffer {
                    Some(buffer) => buffer.push(entry, &budget).unwrap(),
                    None => buffer = Some(Buffer::open(entry, Instant::now(), &budget).unwrap()),
                }
                let buffer = buffer.as_mut().unwrap();
                if spills {
                    buffer.spill(&spill).unwrap();
                    prop_assert_eq!(buffer.memory_bytes(), 0);
                    prop_assert_eq!(budget.buffered_bytes(), 0);
                }
                prop_assert!(buffer.memory_bytes() <= budget.buffered_bytes());
            }
            let buffer = buffer.unwrap();
            prop_assert_eq!(buffer.gauge().count, expected.len() as u64);
            prop_assert_eq!(read(&buffer), expected);
            drop(buffer);
            prop_assert_eq!((budget.buffered_bytes(), spill.used_bytes()), (0, 0));
        }
    }

    #[test]
    fn a_record_without_room_is_given_back_and_the_buffer_is_as_before() {
        let budget = Budget::new(64 << 20);
        let mut buffer =
            Buffer::open(entry(0, vec![1; 100]), Instant::now(), &budget).unwrap();
        let all = budget.try_buffer((64 << 20) / 16 * 7).is_none();
        assert!(all, "some is in use");
        let mut held = Vec::new();
        while let Some(lease) = budget.try_buffer(CHUNK_BYTES_MIN) {
            held.push(lease);
        }
        let refused = buffer.push(entry(1, vec![2; 9_000]), &budget).unwrap_err();
        assert_eq!(refused.entry, entry(1, vec![2; 9_000]));
        assert_eq!(buffer.gauge().count, 1);
        // A full disk leaves everything in memory.
        let full = Spill::in_memory(10);
        assert!(buffer.spill(&full).is_err());
        held.clear();
        buffer.push(refused.entry, &budget).unwrap();
        assert_eq!(read(&buffer), [entry(0, vec![1; 100]), entry(1, vec![2; 9_000])]);
    }
}
