//! Judges a history: what clients saw of one stream, against what the service promises.
//!
//! Owns the rules and their wording. Pure, and blind to how the service works: it knows puts,
//! reads, listings and their outcomes only. Cost: O(n log n) in the events.
//!
//! What a history must be for the verdict to mean something: it ends with a closing pass (readers
//! marked `audit`) over every shard in both ways of reading, and it is shorter than the stream's
//! retention, so that no record may have expired.

mod digest;
mod lineage;
mod order;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use digest::Digest;

use crate::history::History;

/// What the service promises, one variant for each way to break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An acknowledged record can be read.
    AckedIsReadable,
    /// An acknowledged record stands on the shard and at the sequence number that it was
    /// acknowledged with, in the eyes of every reader.
    AckedStaysInPlace,
    /// A record stands in the stream at most once, whatever its outcome.
    OnceAtMost,
    /// Only what was sent can be read, byte for byte.
    OnlyWhatWasSent,
    /// What was refused as not written is not readable.
    RefusedIsAbsent,
    /// A sequence number names one record for all time, across restarts.
    SequenceNamesOne,
    /// A sequence number is well formed, and lies on the shard that it is read from.
    SequenceIsSound,
    /// A reader meets growing sequence numbers only.
    ReadsGrow,
    /// A record sent after another was acknowledged by the same shard stands behind it.
    AckOrderIsReadOrder,
    /// What any reader once read stays readable.
    ReadStaysReadable,
    /// A reader passes over no record.
    NothingSkipped,
    /// A reader who is told that nothing is behind has read all that was acknowledged before.
    TipHidesNothing,
    /// Both ways of reading give the same records in the same order.
    ReadersAgree,
    /// The closing pass reads every shard, and closed ones to their end.
    AuditIsWhole,
    /// A shard ends after its last record, not before, names the shards that follow, and only a
    /// closed shard ends.
    ShardEndIsTrue,
    /// A shard known to be closed acknowledges nothing more.
    ClosedTakesNothing,
    /// Records lie between their shard's starting and ending sequence numbers, and a child's
    /// numbers are above its parents'.
    WithinBounds,
    /// What is listed of a shard never changes, but for the ending number that closes it.
    ListingIsStable,
    /// The open shards cover the ring without gap or overlap, and children their parents' part.
    RingIsTiled,
    /// A record is acknowledged by the shard that covers its key.
    KeyFindsItsShard,
    /// An acknowledged change, of shards or of settings, is not forgotten.
    ChangesAreKept,
}

impl Rule {
    /// Every rule, so that a test can say that each can fail.
    pub const ALL: [Self; 21] = [
        Self::AckedIsReadable,
        Self::AckedStaysInPlace,
        Self::OnceAtMost,
        Self::OnlyWhatWasSent,
        Self::RefusedIsAbsent,
        Self::SequenceNamesOne,
        Self::SequenceIsSound,
        Self::ReadsGrow,
        Self::AckOrderIsReadOrder,
        Self::ReadStaysReadable,
        Self::NothingSkipped,
        Self::TipHidesNothing,
        Self::ReadersAgree,
        Self::AuditIsWhole,
        Self::ShardEndIsTrue,
        Self::ClosedTakesNothing,
        Self::WithinBounds,
        Self::ListingIsStable,
        Self::RingIsTiled,
        Self::KeyFindsItsShard,
        Self::ChangesAreKept,
    ];
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: Rule,
    /// Which record, shard or reader, and what is wrong with it.
    pub what: String,
    /// The places in the history that show it.
    pub events: Vec<usize>,
}

/// How much a history holds, so that a verdict can be weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records sent.
    pub sent: usize,
    /// Of them acknowledged.
    pub acked: usize,
    /// Of them refused.
    pub refused: usize,
    /// Of them with unknown outcome.
    pub unknown: usize,
    /// Records with unknown outcome that turned out to be written.
    pub unknown_written: usize,
    /// Records given to readers, all readers together.
    pub reads: usize,
    /// Shards in the last listing.
    pub shards: usize,
}

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong; empty for a sound history.
    pub findings: Vec<Finding>,
    /// What was judged.
    pub counts: Counts,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// For people: each broken promise, and the events that show it, as they stand in `history`.
    pub fn render(&self, history: &History) -> String {
        const SHOWN_MAX: usize = 25;
        let mut by_rule = BTreeMap::<Rule, usize>::new();
        for finding in &self.findings {
            *by_rule.entry(finding.rule).or_default() += 1;
        }
        let mut lines = vec![format!("{} broken promises", self.findings.len())];
        lines.extend(by_rule.iter().map(|(rule, count)| format!("  {rule:?}: {count}")));
        for finding in self.findings.iter().take(SHOWN_MAX) {
            lines.push(finding.to_string());
            let shown = finding.events.iter().filter_map(|&at| Some((at, history.events.get(at)?)));
            lines.extend(shown.map(|(at, event)| format!("    #{at} {event:?}")));
        }
        lines.join("\n")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Collects findings; handed to each rule.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: Rule, events: &[usize], what: String) {
        self.0.push(Finding { rule, what, events: events.to_vec() });
    }
}

/// Judges `history`.
pub fn check(history: &History) -> Report {
    let mut found = Findings::default();
    let digest = Digest::of(history, &mut found);
    records::check(&digest, &mut found);
    order::check(&digest, &mut found);
    lineage::check(&digest, &mut found);
    lineage::check_settings(&digest, &mut found);
    Report { findings: found.0, counts: digest.counts() }
}
