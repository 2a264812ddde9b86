//! A history in tables: what became of each record, what each reader read, what was listed.
//!
//! Owns the one pass over the events. Judges only what would keep the tables from being made:
//! sequence numbers that are none, records that nobody sent.

use std::collections::BTreeMap;

use millstream_core::{HashKey, SequenceNumber, ShardId};

use super::{Counts, Findings, Rule};
use crate::history::{Event, From, History, ListedShard, Via};

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Neither known nor asked any more.
    Unknown,
    /// Surely not written.
    Refused,
    /// Written.
    Acked(Place),
}

/// Where a record stands, and the event that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) shard: String,
    pub(super) sequence: SequenceNumber,
}

/// A record that a client sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) at: usize,
    pub(super) point: HashKey,
    pub(super) outcome: Outcome,
    /// Where the outcome stands in the history.
    pub(super) outcome_at: Option<usize>,
}

/// A record as a reader was given it.
#[derive(Debug)]
pub(super) struct ReadRecord<'a> {
    pub(super) at: usize,
    pub(super) sequence: SequenceNumber,
    pub(super) record: &'a str,
}

/// An answer that said that nothing is behind.
#[derive(Debug)]
pub(super) struct TipSeen {
    pub(super) at: usize,
    pub(super) asked_at: usize,
    /// How many records the reader had been given by then.
    pub(super) reads: usize,
}

/// All that one reader saw.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) at: usize,
    pub(super) name: &'a str,
    pub(super) via: Via,
    pub(super) shard: &'a str,
    pub(super) from: Start,
    pub(super) audit: bool,
    pub(super) reads: Vec<ReadRecord<'a>>,
    pub(super) tips: Vec<TipSeen>,
    pub(super) end: Option<(usize, &'a [String])>,
    asked_at: usize,
}

/// Where a reader began, with its number read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    TrimHorizon,
    Latest,
    At(SequenceNumber),
    After(SequenceNumber),
}

/// A setting's life.
#[derive(Debug, Default)]
pub(super) struct Setting<'a> {
    /// Values that it may have now, each with the event that sent it; the acknowledged one first.
    pub(super) possible: Vec<(usize, &'a str)>,
    pub(super) read: Option<(usize, &'a str)>,
}

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Digest<'a> {
    pub(super) records: BTreeMap<&'a str, Sent>,
    pub(super) readers: Vec<Reader<'a>>,
    pub(super) listings: Vec<(usize, &'a [ListedShard])>,
    pub(super) closed: Vec<(usize, &'a str)>,
    pub(super) settings: BTreeMap<&'a str, Setting<'a>>,
    reader_index: BTreeMap<&'a str, usize>,
}

impl<'a> Digest<'a> {
    /// Reads `history` once.
    pub(super) fn of(history: &'a History, found: &mut Findings) -> Self {
        let mut digest = Self::default();
        for (at, event) in history.events.iter().enumerate() {
            digest.take(at, event, found);
        }
        digest
    }

    /// The records that the closing pass read from `shard`, in order, by shard iterators.
    pub(super) fn truth(&self, shard: &str) -> &[ReadRecord<'a>] {
        self.audit(shard, Via::GetRecords).map_or(&[], |reader| &reader.reads)
    }

    /// The reader of the closing pass on `shard`.
    pub(super) fn audit(&self, shard: &str, via: Via) -> Option<&Reader<'a>> {
        // There is one for each shard, and it is among the last.
        let mut readers = self.readers.iter().rev();
        readers.find(|reader| reader.audit && reader.shard == shard && reader.via == via)
    }

    /// The last listing.
    pub(super) fn shards(&self) -> &'a [ListedShard] {
        self.listings.last().map_or(&[], |(_, shards)| shards)
    }

    /// How much there is.
    pub(super) fn counts(&self) -> Counts {
        let outcomes = |wanted: fn(&Outcome) -> bool| {
            self.records.values().filter(|sent| wanted(&sent.outcome)).count()
        };
        let mut unknown_written = 0;
        for reader in self.readers.iter().filter(|r| r.audit && r.via == Via::GetRecords) {
            let is_unknown = |read: &&ReadRecord<'_>| {
                self.records.get(read.record).is_some_and(|sent| sent.outcome == Outcome::Unknown)
            };
            unknown_written += reader.reads.iter().filter(is_unknown).count();
        }
        Counts {
            sent: self.records.len(),
            acked: outcomes(|outcome| matches!(outcome, Outcome::Acked(_))),
            refused: outcomes(|outcome| *outcome == Outcome::Refused),
            unknown: outcomes(|outcome| *outcome == Outcome::Unknown),
            unknown_written,
            reads: self.readers.iter().map(|reader| reader.reads.len()).sum(),
            shards: self.shards().len(),
        }
    }

    fn take(&mut self, at: usize, event: &'a Event, found: &mut Findings) {
        match event {
            Event::Sent { record, point } => {
                let sent = Sent { at, point: *point, outcome: Outcome::Unknown, outcome_at: None };
                if let Some(first) = self.records.insert(record, sent) {
                    let what =
                        format!("the name {record} was given to two tries: history unusable");
                    found.add(Rule::OnlyWhatWasSent, &[first.at, at], what);
                }
            }
            Event::Acked { record, shard, sequence } => {
                if let Some(sequence) = number(at, shard, sequence, found) {
                    let place = Place { at, shard: shard.clone(), sequence };
                    self.outcome(at, record, Outcome::Acked(place));
                }
            }
            Event::Refused { record } => self.outcome(at, record, Outcome::Refused),
            Event::Unknown { record } => self.outcome(at, record, Outcome::Unknown),
            Event::Listed { shards } => self.listings.push((at, shards)),
            Event::Closed { shard } => self.closed.push((at, shard)),
            Event::Setting { name, value } => {
                self.settings.entry(name).or_default().possible.push((at, value));
            }
            Event::SettingAcked { name } => {
                let setting = self.settings.entry(name).or_default();
                let last = setting.possible.len().saturating_sub(1);
                setting.possible.drain(..last);
            }
            Event::SettingRead { name, value } => {
                self.settings.entry(name).or_default().read = Some((at, value));
            }
            Event::Began { .. }
            | Event::Read { .. }
            | Event::Asked { .. }
            | Event::Tip { .. }
            | Event::ShardEnd { .. } => self.take_of_reader(at, event, found),
        }
    }

    fn take_of_reader(&mut self, at: usize, event: &'a Event, found: &mut Findings) {
        if let Event::Began { reader, via, shard, from, audit } = event {
            let from = match from {
                From::TrimHorizon => Some(Start::TrimHorizon),
                From::Latest => Some(Start::Latest),
                From::At(text) => number(at, shard, text, found).map(Start::At),
                From::After(text) => number(at, shard, text, found).map(Start::After),
            };
            let Some(from) = from else { return };
            self.reader_index.insert(reader, self.readers.len());
            self.readers.push(Reader {
                at,
                name: reader,
                via: *via,
                shard,
                from,
                audit: *audit,
                reads: Vec::new(),
                tips: Vec::new(),
                end: None,
                asked_at: at,
            });
            return;
        }
        let name = match event {
            Event::Read { reader, .. }
            | Event::Asked { reader }
            | Event::Tip { reader }
            | Event::ShardEnd { reader, .. } => reader.as_str(),
            _ => return,
        };
        let Some(&index) = self.reader_index.get(name) else { return };
        let reader = &mut self.readers[index];
        match event {
            Event::Read { sequence, record, .. } => {
                if let Some(sequence) = number(at, reader.shard, sequence, found) {
                    reader.reads.push(ReadRecord { at, sequence, record });
                }
            }
            Event::Asked { .. } => reader.asked_at = at,
            Event::Tip { .. } => {
                let tip = TipSeen { at, asked_at: reader.asked_at, reads: reader.reads.len() };
                reader.tips.push(tip);
            }
            Event::ShardEnd { children, .. } => reader.end = Some((at, children)),
            _ => {}
        }
    }

    fn outcome(&mut self, at: usize, record: &str, outcome: Outcome) {
        if let Some(sent) = self.records.get_mut(record) {
            sent.outcome = outcome;
            sent.outcome_at = Some(at);
        }
    }
}

impl Reader<'_> {
    /// Whether this reader, once it has read `reads` records, should have passed `sequence` or
    /// met it; `None` where its beginning leaves that open.
    pub(super) fn has_passed(&self, reads: usize, sequence: SequenceNumber) -> Option<bool> {
        if let Some(last) = reads.checked_sub(1) {
            return Some(sequence <= self.reads[last].sequence);
        }
        match self.from {
            Start::TrimHorizon => Some(false),
            Start::Latest => None,
            Start::At(start) => Some(sequence < start),
            Start::After(start) => Some(sequence <= start),
        }
    }
}

fn number(at: usize, shard: &str, text: &str, found: &mut Findings) -> Option<SequenceNumber> {
    let Ok(number) = text.parse::<SequenceNumber>() else {
        let what = format!("{text:?} on {shard} is not a sequence number");
        found.add(Rule::SequenceIsSound, &[at], what);
        return None;
    };
    if shard.parse::<ShardId>() != Ok(number.shard) {
        let what = format!("{text} names {}, and was met on {shard}", number.shard);
        found.add(Rule::SequenceIsSound, &[at], what);
    }
    Some(number)
}
