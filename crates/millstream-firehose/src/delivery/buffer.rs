//! Records that wait to be delivered together.
//!
//! Owns their bytes, in memory or in a spill file, and their [`Gauge`]. Memory is taken from the
//! shared [`Budget`] chunk by chunk before it is used; when the budget is spent, whatever waits
//! is spilled and the memory given back.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::budget::{Lease, Room};
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

/// Bytes that a record takes in a chunk, at most.
fn entry_bytes(entry: &Entry) -> usize {
    entry.data.len() + entry.sequence.as_ref().map_or(0, Bytes::len) + HEAD_BYTES_MAX
}

impl Buffer {
    /// A buffer whose first record is `entry`.
    pub(super) fn open(entry: Entry, now: Instant, room: &mut Room<'_>) -> Result<Self, NoRoom> {
        let mut buffer = Self {
            gauge: Gauge::of(&entry, now),
            chunks: Vec::new(),
            tail: Vec::new(),
            tail_lease: None,
            neighbour: Neighbour::default(),
            file: None,
        };
        buffer.write(entry, room)?;
        Ok(buffer)
    }

    /// Adds a record.
    pub(super) fn push(&mut self, entry: Entry, room: &mut Room<'_>) -> Result<(), NoRoom> {
        let mut gauge = self.gauge;
        gauge.add(&entry);
        self.write(entry, room)?;
        self.gauge = gauge;
        Ok(())
    }

    fn write(&mut self, entry: Entry, room: &mut Room<'_>) -> Result<(), NoRoom> {
        let needed = entry_bytes(&entry);
        if self.tail.capacity() - self.tail.len() < needed {
            let grown = (self.tail.capacity() * 2).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
            let bytes = grown.max(needed);
            let Some(lease) = room.take(needed, bytes) else {
                return Err(NoRoom { entry, bytes });
            };
            self.close_tail();
            self.tail = Vec::with_capacity(lease.bytes().max(needed));
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

    /// Takes no more records: only what is closed can be read.
    pub(super) fn close(&mut self) {
        self.close_tail();
    }
}

/// Reads a closed buffer from front to back. Blocks where it was spilled.
#[derive(Debug)]
pub(super) struct Cursor {
    buffer: Arc<Buffer>,
    next_chunk: usize,
    chunk: Bytes,
    entries: Entries,
}

impl Cursor {
    pub(super) fn new(buffer: Arc<Buffer>) -> Self {
        Self { buffer, next_chunk: 0, chunk: Bytes::new(), entries: Entries::default() }
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.entries.next(&mut self.chunk) {
                return Ok(Some(entry));
            }
            let Some(chunk) = self.buffer.chunks.get(self.next_chunk) else { return Ok(None) };
            self.next_chunk += 1;
            self.chunk = match chunk {
                Chunk::Memory(bytes, _) => bytes.clone(),
                Chunk::Spilled(extent) => {
                    self.buffer.file.as_ref().expect("what spilled has a file").read(*extent)?
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::Timestamp;
    use millstream_destinations::DocumentId;
    use proptest::prelude::*;

    use super::super::budget::Budget;
    use super::*;

    fn room<'a>(budget: &'a Budget, reserve: &'a mut Option<Lease>) -> Room<'a> {
        Room { budget, reserve }
    }

    fn entry(position: u64, data: Vec<u8>) -> Entry {
        Entry {
            id: DocumentId { part: 0, position, index: 0 },
            arrived: Timestamp::from_ms(position),
            sequence: None,
            data: data.into(),
        }
    }

    fn read(mut buffer: Buffer) -> Vec<Entry> {
        buffer.close();
        let mut cursor = Cursor::new(Arc::new(buffer));
        std::iter::from_fn(|| cursor.next().unwrap()).collect()
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
            let mut reserve = None;
            for (position, (data, spills)) in records.into_iter().enumerate() {
                let entry = entry(position as u64, data);
                expected.push(entry.clone());
                let room = &mut room(&budget, &mut reserve);
                match &mut buffer {
                    Some(buffer) => buffer.push(entry, room).unwrap(),
                    None => buffer = Some(Buffer::open(entry, Instant::now(), room).unwrap()),
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
            prop_assert_eq!(read(buffer), expected);
            prop_assert_eq!((budget.buffered_bytes(), spill.used_bytes()), (0, 0));
        }
    }

    #[test]
    fn a_record_without_room_is_given_back_and_the_buffer_is_as_before() {
        let budget = Budget::new(64 << 20);
        let now = Instant::now();
        let open = |reserve| Buffer::open(entry(0, vec![1; 100]), now, &mut room(&budget, reserve));
        let mut buffer = open(&mut None).unwrap();
        let mut held = Vec::new();
        while let Some(lease) = budget.try_buffer(CHUNK_BYTES_MIN) {
            held.push(lease);
        }
        let refused = buffer.push(entry(1, vec![2; 9_000]), &mut room(&budget, &mut None));
        let refused = refused.unwrap_err();
        assert_eq!(refused.entry, entry(1, vec![2; 9_000]));
        assert_eq!(buffer.gauge().count, 1);
        // A full disk leaves everything in memory.
        let full = Spill::in_memory(10);
        assert!(buffer.spill(&full).is_err());
        // What was waited for is used, and nothing else is asked for.
        held.truncate(held.len() - 3);
        let mut reserve = budget.try_buffer(refused.bytes);
        assert!(reserve.is_some() && budget.try_buffer(CHUNK_BYTES_MIN).is_none());
        buffer.push(refused.entry, &mut room(&budget, &mut reserve)).unwrap();
        assert!(reserve.is_none());
        assert_eq!(read(buffer), [entry(0, vec![1; 100]), entry(1, vec![2; 9_000])]);
    }
}
