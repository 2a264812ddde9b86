//! How far a delivery stream's records have come.
//!
//! Owns the algebra of checkpoints. For each part of the source (a shard, a Kafka partition; part
//! 0 for direct puts) it keeps the position below which everything was read, and of the records
//! read those that are not wholly delivered. Buffers of different partitions are delivered at
//! different times and out of order; after a crash the source is read again from the first
//! outstanding record, and what is not outstanding is skipped.
//!
//! Invariants:
//! * A record is settled only once each of its pieces, and its copy for the backup where one is
//!   wanted, is where it should be. Until then it is outstanding, and read again after a crash.
//! * Skipping asks for the record itself and not for a watermark of its partition: which
//!   partition a record falls into may change between two runs (a transform may answer
//!   otherwise, a schema may be newer), and a watermark would then lose it.

use std::collections::BTreeMap;

use super::position_set::PositionSet;
use super::varint::{self, Reader};

/// Words of 64 pieces each in half a KiB.
const WORDS_PER_UNIT: usize = 64;

/// What has to be done for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obligations {
    /// Pieces it was taken apart into, each delivered, refused or dropped for itself.
    pub(super) pieces: u32,
    /// Whether a copy goes to the backup.
    pub(super) backup: bool,
}

/// One thing to be done for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obligation {
    /// The piece of that index.
    Piece(u32),
    /// The copy for the backup.
    Backup,
}

/// Which obligations of a record are met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    pieces: Vec<u64>,
    piece_count: u32,
    backup: bool,
}

/// All parts of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    parts: BTreeMap<u64, Part>,
}

/// One part of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Where reading has come to: every record below was read.
    next: u64,
    /// Nothing ever follows `next`.
    has_ended: bool,
    /// Read and not settled.
    open: PositionSet,
    /// Of those, the ones with several obligations.
    partial: BTreeMap<u64, Partial>,
    /// Of those, the ones of a delivery that nobody can make again as it was: after a crash they
    /// may be where they belong, and are delivered once more.
    launched: PositionSet,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Partial {
    /// Unknown from a restart until the record is read again.
    obligations: Option<Obligations>,
    met: Met,
}

impl Obligations {
    fn count(self) -> u64 {
        u64::from(self.pieces) + u64::from(self.backup)
    }
}

impl Met {
    /// Whether this one is met.
    pub(super) fn has(&self, obligation: Obligation) -> bool {
        match obligation {
            Obligation::Backup => self.backup,
            Obligation::Piece(index) => {
                let word = self.pieces.get(index as usize / 64);
                word.is_some_and(|word| word & (1 << (index % 64)) != 0)
            }
        }
    }

    fn add(&mut self, obligation: Obligation) {
        if self.has(obligation) {
            return;
        }
        match obligation {
            Obligation::Backup => self.backup = true,
            Obligation::Piece(index) => {
                let word = index as usize / 64;
                if self.pieces.len() <= word {
                    self.pieces.resize(word + 1, 0);
                }
                self.pieces[word] |= 1 << (index % 64);
                self.piece_count += 1;
            }
        }
    }

    fn meets(&self, obligations: Obligations) -> bool {
        self.piece_count >= obligations.pieces && (self.backup || !obligations.backup)
    }

    fn is_empty(&self) -> bool {
        self.piece_count == 0 && !self.backup
    }
}

impl Part {
    /// A part that begins at `position`.
    pub(super) fn starting_at(position: u64) -> Self {
        Self { next: position, ..Self::default() }
    }

    /// Everything below is settled, and need never be read again.
    pub(super) fn cursor(&self) -> u64 {
        self.open.first().unwrap_or(self.next)
    }

    /// Where reading has come to.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether all it will ever hold is settled.
    pub(super) fn is_done(&self) -> bool {
        self.has_ended && self.open.is_empty()
    }

    /// Records read and not settled.
    pub(super) fn outstanding(&self) -> u64 {
        self.open.count()
    }

    /// Takes note that a record was read; says whether anything is to be done for it.
    pub(super) fn take(&mut self, position: u64) -> bool {
        if position < self.next {
            return self.open.contains(position);
        }
        self.next = position + 1;
        self.open.insert(position)
    }

    /// Takes note of a record's obligations, and says which of them are met already. A record
    /// without any is settled by that.
    pub(super) fn begin(&mut self, position: u64, obligations: Obligations) -> Met {
        let known = self.partial.remove(&position).unwrap_or_default();
        if known.met.meets(obligations) {
            self.close(position);
            return known.met;
        }
        if obligations.count() > 1 {
            let partial = Partial { obligations: Some(obligations), met: known.met.clone() };
            self.partial.insert(position, partial);
        }
        known.met
    }

    /// One of a record's obligations is met. Doing it again changes nothing.
    pub(super) fn settle(&mut self, position: u64, obligation: Obligation) {
        if let Some(partial) = self.partial.get_mut(&position) {
            partial.met.add(obligation);
            if !partial.obligations.is_some_and(|all| partial.met.meets(all)) {
                return;
            }
            self.partial.remove(&position);
        }
        self.close(position);
    }

    /// Nothing is to be done for the record any more.
    fn close(&mut self, position: u64) {
        self.open.remove(position);
        self.launched.remove(position);
    }

    /// A delivery of the record begins that nobody can make again as it was.
    pub(super) fn launch(&mut self, position: u64) {
        if self.open.contains(position) {
            self.launched.insert(position);
        }
    }

    /// The source was read from `from` up to `next`, and held `present` (ascending). Outstanding
    /// records that should lie between and are not there have expired: they are given up, and
    /// counted. To be called before the records present are taken.
    pub(super) fn expire(&mut self, from: u64, next: u64, present: &[u64]) -> u64 {
        let mut expired = 0;
        for position in self.open.range(from, next.min(self.next)) {
            if present.binary_search(&position).is_err() {
                self.close(position);
                self.partial.remove(&position);
                expired += 1;
            }
        }
        expired
    }

    /// All below `next` was read, and each record there taken.
    pub(super) fn reach(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Nothing ever follows what was read.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    /// In units of about half a KiB.
    fn weight(&self) -> usize {
        let words: usize = self.partial.values().map(|partial| partial.met.pieces.len()).sum();
        let blocks = self.open.block_count() + self.launched.block_count();
        blocks + self.partial.len() / 4 + words / WORDS_PER_UNIT
    }

    /// Forgets which pieces of half-settled records are settled: they are all done again.
    fn forget_pieces(&mut self) {
        self.partial.clear();
    }

    fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.next);
        out.push(u8::from(self.has_ended));
        self.open.encode(out);
        // Where nothing is met yet, the record is simply outstanding.
        let partial = self.partial.iter().filter(|(_, partial)| !partial.met.is_empty());
        varint::put(out, partial.clone().count() as u64);
        for (position, Partial { met, .. }) in partial {
            varint::put(out, *position);
            out.push(u8::from(met.backup));
            varint::put(out, met.pieces.len() as u64);
            out.extend(met.pieces.iter().flat_map(|word| word.to_le_bytes()));
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let next = reader.number()?;
        let has_ended = reader.byte()? != 0;
        let open = PositionSet::decode(reader)?;
        let mut partial = BTreeMap::new();
        for _ in 0..reader.number()? {
            let position = reader.number()?;
            let backup = reader.byte()? != 0;
            let words = usize::try_from(reader.number()?).ok()?;
            let bytes = reader.take(words.checked_mul(8)?)?;
            let words = bytes.chunks_exact(8).map(|word| word.try_into().map(u64::from_le_bytes));
            let pieces: Vec<u64> = words.collect::<Result<_, _>>().ok()?;
            let piece_count = pieces.iter().map(|word| word.count_ones()).sum();
            let met = Met { pieces, piece_count, backup };
            partial.insert(position, Partial { obligations: None, met });
        }
        Some(Self { next, has_ended, open, partial, launched: PositionSet::default() })
    }
}

impl Progress {
    /// The part of that number, where it is known.
    pub(super) fn part(&self, part: u64) -> Option<&Part> {
        self.parts.get(&part)
    }

    /// The part of that number, made by `start` where it is new.
    pub(super) fn part_or(&mut self, part: u64, start: impl FnOnce() -> Part) -> &mut Part {
        self.parts.entry(part).or_insert_with(start)
    }

    /// The part of that number, which must be known.
    pub(super) fn part_mut(&mut self, part: u64) -> &mut Part {
        self.parts.get_mut(&part).expect("a part is known before its records are")
    }

    /// All parts, by number.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u64, &Part)> {
        self.parts.iter().map(|(number, part)| (*number, part))
    }

    /// Forgets parts that are done and that `is_listed` does not know any more.
    pub(super) fn forget_parts(&mut self, is_listed: impl Fn(u64) -> bool) {
        self.parts.retain(|number, part| !part.is_done() || is_listed(*number));
    }

    /// Gives up the parts that are gone, with all that is outstanding of them, which is counted.
    /// To be called when nothing of them is under way.
    pub(super) fn give_up_parts(&mut self, is_listed: impl Fn(u64) -> bool) -> u64 {
        let gone = self.parts.iter().filter(|(number, _)| !is_listed(**number));
        let expired = gone.map(|(_, part)| part.outstanding()).sum();
        self.parts.retain(|number, _| is_listed(*number));
        expired
    }

    /// Forgets all about the parts: they are of another life of the source.
    pub(super) fn forget_all(&mut self) {
        self.parts.clear();
    }

    /// Forgets which pieces of half-settled records are settled. To be called when the pieces may
    /// be others: the configuration has changed.
    pub(super) fn forget_pieces(&mut self) {
        self.parts.values_mut().for_each(Part::forget_pieces);
    }

    /// Outstanding records of which a delivery began, by part.
    pub(super) fn launched(&self) -> BTreeMap<u64, PositionSet> {
        let parts = self.parts.iter().filter(|(_, part)| !part.launched.is_empty());
        parts.map(|(number, part)| (*number, part.launched.clone())).collect()
    }

    /// Appends the durable form of what has been launched.
    pub(super) fn encode_launched(&self, out: &mut Vec<u8>) {
        let parts = self.parts.iter().filter(|(_, part)| !part.launched.is_empty());
        varint::put(out, parts.clone().count() as u64);
        for (number, part) in parts {
            varint::put(out, *number);
            part.launched.encode(out);
        }
    }

    /// Reads what was launched of parts that are known; `None` where it makes no sense.
    pub(super) fn decode_launched(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        for _ in 0..reader.number()? {
            let part = self.parts.get_mut(&reader.number()?)?;
            part.launched = PositionSet::decode(reader)?;
        }
        Some(())
    }

    /// Records read and not settled.
    pub(super) fn outstanding(&self) -> u64 {
        self.parts.values().map(Part::outstanding).sum()
    }

    /// What the bookkeeping weighs, in units of about half a KiB, in memory and at rest.
    pub(super) fn weight(&self) -> usize {
        self.parts.values().map(Part::weight).sum()
    }

    /// Appends the durable form.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.parts.len() as u64);
        for (number, part) in &self.parts {
            varint::put(out, *number);
            part.encode(out);
        }
    }

    /// Reads the durable form; `None` where it makes no sense.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut parts = BTreeMap::new();
        for _ in 0..reader.number()? {
            parts.insert(reader.number()?, Part::decode(reader)?);
        }
        Some(Self { parts })
    }
}

#[cfg(test)]
mod tests;
