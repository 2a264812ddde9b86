//! The records in what a fetch brought.
//!
//! Owns the form of record batches (version 2, the one form since Kafka 0.11), which of them are
//! to be seen, and the offset to go on at. Batches are taken apart record by record, and a run
//! goes on where it stopped: neither a batch that unpacks to much more than it is, nor one that
//! holds more than is wanted now, takes more memory than one record.
//!
//! Invariants:
//! * `next` only grows, past records that are read and offsets that hold none to be seen: control
//!   batches, aborted transactions, what compaction took. It never passes a record to be seen.
//! * A batch is taken only if its checksum holds.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, BufReader, Read};

use bytes::Bytes;

use super::KafkaError;
use super::compression::{Unpacked, unpack};
use super::message::Fetched;
use super::wire::Reader;

/// No record is larger that is read at all: what is over the service's limit is still carried to
/// the error output, and has to fit into memory for that.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;
/// Before the length of a batch is known, and before its checksum: offset, length; epoch, version.
const HEAD_BYTES: usize = 12;
/// The form that is read.
const MAGIC: i8 = 2;
/// What an unpacked batch is read through.
const BUFFER_BYTES: usize = 8 << 10;

const CODEC: i16 = 0b111;
const APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

const SHORT: KafkaError = KafkaError::Malformed("a batch ends too early");

/// One record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KafkaRecord {
    pub(crate) offset: i64,
    /// Its producer's or its broker's, as the topic is set; below zero where it has none.
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<Bytes>,
    /// `None` for a tombstone.
    pub(crate) value: Option<Bytes>,
}

impl KafkaRecord {
    fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// How much is taken from a run at once; one record at least where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunLimit {
    pub(crate) records: usize,
    /// Of values.
    pub(crate) bytes: usize,
}

/// The batches of one fetch, as far as they are not read.
#[derive(Debug)]
pub(crate) struct Run {
    batches: Bytes,
    /// Transactions that were aborted and have not begun yet, by their first offset.
    aborted: VecDeque<(i64, i64)>,
    /// Producers whose transaction will turn out to be aborted.
    aborting: BTreeSet<i64>,
    stable_end: i64,
    next: i64,
    open: Option<Records>,
    /// Read, but too much for last time.
    held: Option<KafkaRecord>,
    latest_ms: i64,
}

impl Run {
    /// What was fetched for `offset`.
    pub(super) fn new(fetched: Fetched, offset: i64) -> Self {
        let Fetched { stable_end, mut aborted, batches } = fetched;
        aborted.sort_unstable_by_key(|(_, first)| *first);
        Self {
            batches,
            aborted: aborted.into(),
            aborting: BTreeSet::new(),
            stable_end,
            next: offset,
            open: None,
            held: None,
            latest_ms: -1,
        }
    }

    /// Where to go on: every record below was taken.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }

    /// Where the partition ended, for readers of what is committed.
    pub(crate) fn stable_end(&self) -> i64 {
        self.stable_end
    }

    /// The timestamp of the latest record seen so far, below zero where there was none.
    pub(crate) fn latest_ms(&self) -> i64 {
        self.latest_ms
    }

    /// Whether nothing more is in it. What is cut off does not count.
    pub(crate) fn is_over(&self) -> bool {
        self.held.is_none() && self.open.is_none() && whole_batch(&self.batches).is_none()
    }

    /// Whether it begins with a batch that is cut off, so that no progress can be made.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.is_over() && !self.batches.is_empty()
    }

    /// Takes records, as many as are wanted and there are.
    pub(crate) fn take(&mut self, limit: RunLimit) -> Result<Vec<KafkaRecord>, KafkaError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < limit.records && bytes < limit.bytes {
            let Some(record) = self.pull()? else { break };
            if !records.is_empty() && bytes + record.bytes() > limit.bytes {
                self.held = Some(record);
                break;
            }
            bytes += record.bytes();
            self.next = record.offset + 1;
            self.latest_ms = self.latest_ms.max(record.timestamp_ms);
            records.push(record);
        }
        Ok(records)
    }

    /// The next record to be seen.
    fn pull(&mut self) -> Result<Option<KafkaRecord>, KafkaError> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        loop {
            if let Some(open) = &mut self.open {
                if let Some(record) = open.next(self.next)? {
                    return Ok(Some(record));
                }
                self.next = self.next.max(open.end);
                self.open = None;
            }
            let Some(length) = whole_batch(&self.batches) else { return Ok(None) };
            let batch = Batch::read(self.batches.split_to(length))?;
            let end = batch.end()?;
            let is_seen = self.is_seen(&batch)?;
            if end > self.next && is_seen {
                self.open = Some(batch.records()?);
            } else {
                self.next = self.next.max(end);
            }
        }
    }

    /// Whether the records of `batch` are to be seen; keeps count of transactions.
    fn is_seen(&mut self, batch: &Batch) -> Result<bool, KafkaError> {
        while let Some((producer, first)) = self.aborted.front().copied()
            && first <= batch.last
        {
            self.aborting.insert(producer);
            self.aborted.pop_front();
        }
        if batch.attributes & CONTROL != 0 {
            if batch.is_abort()? {
                self.aborting.remove(&batch.producer);
            }
            return Ok(false);
        }
        let is_transactional = batch.attributes & TRANSACTIONAL != 0;
        Ok(!(is_transactional && self.aborting.contains(&batch.producer)))
    }
}

/// The bytes of the first batch, where all of it is there.
fn whole_batch(batches: &Bytes) -> Option<usize> {
    let head = batches.get(..HEAD_BYTES)?;
    let length = i32::from_be_bytes(head[8..].try_into().ok()?);
    let length = usize::try_from(length).ok()?.checked_add(HEAD_BYTES)?;
    (length <= batches.len()).then_some(length)
}

/// A batch, its records still packed.
struct Batch {
    base: i64,
    /// The offset of its last record, when it was made.
    last: i64,
    attributes: i16,
    base_ms: i64,
    max_ms: i64,
    producer: i64,
    count: i32,
    records: Bytes,
}

impl Batch {
    fn read(bytes: Bytes) -> Result<Self, KafkaError> {
        let mut reader = Reader::new(bytes, false);
        let base = reader.i64()?;
        let length = reader.i32()?;
        reader.i32()?;
        if reader.i8()? != MAGIC {
            let old = "a batch has the form of before Kafka 0.11";
            return Err(KafkaError::Malformed(old));
        }
        let checksum = reader.i32()?;
        // Without what was read since the length: epoch, form, checksum.
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(9));
        let rest = reader.take(length.ok_or(SHORT)?)?;
        if crc32c::crc32c(&rest).cast_signed() != checksum {
            return Err(KafkaError::Malformed("the checksum of a batch does not hold"));
        }
        let mut reader = Reader::new(rest, false);
        let attributes = reader.i16()?;
        let last = base.checked_add(i64::from(reader.i32()?)).ok_or(SHORT)?;
        let (base_ms, max_ms) = (reader.i64()?, reader.i64()?);
        let producer = reader.i64()?;
        reader.i16()?;
        reader.i32()?;
        let count = reader.i32()?;
        let records = reader.rest();
        Ok(Self { base, last, attributes, base_ms, max_ms, producer, count, records })
    }

    /// Past its last offset.
    fn end(&self) -> Result<i64, KafkaError> {
        self.last.checked_add(1).ok_or(KafkaError::Malformed("an offset is too large"))
    }

    fn records(&self) -> Result<Records, KafkaError> {
        let source = match unpack(self.attributes & CODEC, &self.records)? {
            None => Source::Plain(self.records.clone()),
            Some(unpacked) => Source::Packed(BufReader::with_capacity(BUFFER_BYTES, unpacked)),
        };
        let appended = (self.attributes & APPEND_TIME != 0).then_some(self.max_ms);
        let (base, base_ms, left) = (self.base, self.base_ms, self.count);
        Ok(Records { source, base, base_ms, appended, left, end: self.end()? })
    }

    /// Whether this control batch ends a transaction by aborting it: its one record has a key of
    /// a version and a type, 0 for that.
    fn is_abort(&self) -> Result<bool, KafkaError> {
        let record = self.records()?.next(i64::MIN)?;
        let key = record.and_then(|record| record.key);
        Ok(key.is_some_and(|key| key.len() >= 4 && key[2..4] == [0, 0]))
    }
}

/// The records of one batch.
struct Records {
    source: Source,
    base: i64,
    base_ms: i64,
    /// When the broker appended the batch, where that is what counts.
    appended: Option<i64>,
    left: i32,
    end: i64,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Records {
    /// The next record at or after `from`.
    fn next(&mut self, from: i64) -> Result<Option<KafkaRecord>, KafkaError> {
        while self.left > 0 {
            self.left -= 1;
            let length = usize::try_from(self.source.varint()?).map_err(|_| SHORT)?;
            if length > RECORD_BYTES_MAX {
                let (bytes, limit) = (length as u64, RECORD_BYTES_MAX as u64);
                return Err(KafkaError::TooLarge { bytes, limit });
            }
            let mut body = Source::Plain(self.source.take(length)?);
            body.byte()?;
            let (ms, offset) = (body.varint()?, body.varint()?);
            let offset = self.base.checked_add(offset).filter(|offset| *offset < i64::MAX);
            // Whoever takes it goes on behind it.
            let offset = offset.ok_or(KafkaError::Malformed("an offset is too large"))?;
            if offset < from {
                continue;
            }
            let timestamp_ms = self.appended.unwrap_or(self.base_ms.saturating_add(ms));
            let (key, value) = (body.nullable()?, body.nullable()?);
            return Ok(Some(KafkaRecord { offset, timestamp_ms, key, value }));
        }
        Ok(None)
    }
}

/// Where the bytes of records come from.
enum Source {
    Plain(Bytes),
    Packed(BufReader<Unpacked>),
}

impl Source {
    fn byte(&mut self) -> Result<u8, KafkaError> {
        match self {
            Self::Plain(bytes) => {
                let byte = *bytes.first().ok_or(SHORT)?;
                bytes::Buf::advance(bytes, 1);
                Ok(byte)
            }
            Self::Packed(reader) => {
                let mut byte = [0];
                reader.read_exact(&mut byte).map_err(|error| unreadable(&error))?;
                Ok(byte[0])
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<Bytes, KafkaError> {
        match self {
            Self::Plain(bytes) if count > bytes.len() => Err(SHORT),
            Self::Plain(bytes) => Ok(bytes.split_to(count)),
            Self::Packed(reader) => {
                // Grown as it comes: the count is the sender's word alone.
                let mut taken = Vec::with_capacity(count.min(BUFFER_BYTES));
                let read = reader.take(count as u64).read_to_end(&mut taken);
                if read.map_err(|error| unreadable(&error))? < count {
                    return Err(SHORT);
                }
                Ok(taken.into())
            }
        }
    }

    /// A number of up to 64 bits, zigzag.
    fn varint(&mut self) -> Result<i64, KafkaError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(KafkaError::Malformed("a number does not end"))
    }

    fn nullable(&mut self) -> Result<Option<Bytes>, KafkaError> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}

fn unreadable(error: &io::Error) -> KafkaError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return SHORT;
    }
    tracing::debug!(%error, "a batch does not unpack");
    KafkaError::Malformed("a batch does not unpack")
}
