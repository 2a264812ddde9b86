//! Records beside one another: order of acknowledgement, order of reading, no gap.

use std::collections::BTreeMap;

use millstream_core::SequenceNumber;

use super::digest::{Digest, Outcome, Place, Reader};
use super::{Findings, Rule};

/// Acknowledged places of one shard, in order of sequence number.
type Acked<'a> = Vec<(&'a str, usize, &'a Place)>;

/// Judges the order.
pub(super) fn check(digest: &Digest<'_>, found: &mut Findings) {
    let acked = acked_by_shard(digest);
    for (shard, places) in &acked {
        ack_order(shard, places, found);
    }
    for reader in &digest.readers {
        reads_grow(reader, found);
        nothing_skipped(digest, reader, found);
        tips_hide_nothing(reader, acked.get(reader.shard).map_or(&[][..], |all| all), found);
    }
}

fn acked_by_shard<'a>(digest: &'a Digest<'a>) -> BTreeMap<&'a str, Acked<'a>> {
    let mut acked = BTreeMap::<&str, Acked<'_>>::new();
    for (&record, sent) in &digest.records {
        if let Outcome::Acked(place) = &sent.outcome {
            acked.entry(&place.shard).or_default().push((record, sent.at, place));
        }
    }
    for places in acked.values_mut() {
        places.sort_by_key(|(_, _, place)| place.sequence);
    }
    acked
}

/// Walks one shard's acknowledged records from the last to the first: a record in front must not
/// have been sent after one behind it was acknowledged.
fn ack_order(shard: &str, places: &Acked<'_>, found: &mut Findings) {
    // The earliest acknowledgement among the records behind.
    let mut earliest: Option<(&str, usize, SequenceNumber)> = None;
    for &(record, sent_at, place) in places.iter().rev() {
        if let Some((behind, acked_at, sequence)) = earliest
            && sent_at > acked_at
        {
            let what = format!(
                "on {shard} {record} was sent after {behind} was acknowledged, and stands before \
                 it: {} < {sequence}",
                place.sequence
            );
            found.add(Rule::AckOrderIsReadOrder, &[acked_at, sent_at, place.at], what);
        }
        if earliest.is_none_or(|(_, acked_at, _)| place.at < acked_at) {
            earliest = Some((record, place.at, place.sequence));
        }
    }
}

fn reads_grow(reader: &Reader<'_>, found: &mut Findings) {
    for pair in reader.reads.windows(2) {
        if pair[1].sequence <= pair[0].sequence {
            let what = format!(
                "{} read {} and then {} on {}: numbers must grow",
                reader.name, pair[0].record, pair[1].record, reader.shard
            );
            found.add(Rule::ReadsGrow, &[pair[0].at, pair[1].at], what);
        }
    }
    let Some(first) = reader.reads.first() else { return };
    if reader.has_passed(0, first.sequence) == Some(true) {
        let what = format!("{} began behind {} and read it", reader.name, first.record);
        found.add(Rule::ReadsGrow, &[reader.at, first.at], what);
    }
}

/// A live reader's records are a stretch of what the closing pass read.
fn nothing_skipped(digest: &Digest<'_>, reader: &Reader<'_>, found: &mut Findings) {
    let Some(last) = reader.reads.last() else { return };
    let mut reads = reader.reads.iter().peekable();
    for truth in digest.truth(reader.shard) {
        if truth.sequence > last.sequence {
            break;
        }
        // Before its first record a reader at LATEST owes only what was sent after it began.
        let owed = reader.has_passed(0, truth.sequence).map_or_else(
            || {
                let sent = digest.records.get(truth.record);
                reader.reads[0].sequence <= truth.sequence
                    || sent.is_some_and(|sent| sent.at > reader.at)
            },
            |passed| !passed,
        );
        while reads.next_if(|read| read.sequence < truth.sequence).is_some() {}
        let met = reads.next_if(|read| read.sequence == truth.sequence).is_some();
        if owed && !met {
            let what = format!("{} passed over {} on {}", reader.name, truth.record, reader.shard);
            found.add(Rule::NothingSkipped, &[reader.at, truth.at, last.at], what);
        }
    }
}

fn tips_hide_nothing(reader: &Reader<'_>, acked: &[(&str, usize, &Place)], found: &mut Findings) {
    for tip in &reader.tips {
        let hidden = acked.iter().rev().find(|(_, sent_at, place)| {
            // At LATEST and before its first record, a reader is owed what was sent since.
            let passed =
                reader.has_passed(tip.reads, place.sequence).unwrap_or(*sent_at < reader.at);
            place.at < tip.asked_at && !passed
        });
        if let Some((record, _, place)) = hidden {
            let what = format!(
                "{} was told on {} that nothing is behind, while {record} was acknowledged",
                reader.name, reader.shard
            );
            found.add(Rule::TipHidesNothing, &[place.at, tip.asked_at, tip.at], what);
        }
    }
}
