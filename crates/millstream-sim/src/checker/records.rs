//! Each record for itself: acknowledged and readable, once, in its place; nothing else.

use std::collections::BTreeMap;

use millstream_core::SequenceNumber;

use super::digest::{Digest, Outcome, ReadRecord};
use super::{Findings, Rule};
use crate::history::Via;

/// Judges the records.
pub(super) fn check(digest: &Digest<'_>, found: &mut Findings) {
    let stands = audited(digest, found);
    acked_are_readable(digest, &stands, found);
    only_what_was_sent(digest, found);
    sequences_name_one(digest, found);
    read_stays_readable(digest, &stands, found);
    readers_agree(digest, found);
}

/// Where the closing pass found each record.
type Stands<'a> = BTreeMap<&'a str, (usize, &'a str, SequenceNumber)>;

fn audited<'a>(digest: &'a Digest<'a>, found: &mut Findings) -> Stands<'a> {
    let mut stands = Stands::new();
    for reader in digest.readers.iter().filter(|r| r.audit && r.via == Via::GetRecords) {
        for read in &reader.reads {
            let place = (read.at, reader.shard, read.sequence);
            if let Some(first) = stands.insert(read.record, place) {
                let what = format!("{} stands twice in the stream", read.record);
                found.add(Rule::OnceAtMost, &[first.0, read.at], what);
            }
        }
    }
    stands
}

fn acked_are_readable(digest: &Digest<'_>, stands: &Stands<'_>, found: &mut Findings) {
    for (&record, sent) in &digest.records {
        let Outcome::Acked(acked) = &sent.outcome else { continue };
        let Some(&(at, shard, sequence)) = stands.get(record) else {
            let what = format!("{record} was acknowledged on {} and is gone", acked.shard);
            found.add(Rule::AckedIsReadable, &[sent.at, acked.at], what);
            continue;
        };
        if shard != acked.shard || sequence != acked.sequence {
            let what = format!(
                "{record} was acknowledged on {} at {}, and stands on {shard} at {sequence}",
                acked.shard, acked.sequence
            );
            found.add(Rule::AckedStaysInPlace, &[sent.at, acked.at, at], what);
        }
    }
}

fn only_what_was_sent(digest: &Digest<'_>, found: &mut Findings) {
    for reader in &digest.readers {
        for read in &reader.reads {
            let Some(sent) = digest.records.get(read.record) else {
                let what = format!("{} was read on {}, and never sent", read.record, reader.shard);
                found.add(Rule::OnlyWhatWasSent, &[read.at], what);
                continue;
            };
            if sent.at > read.at {
                let what = format!("{} was read before it was sent", read.record);
                found.add(Rule::OnlyWhatWasSent, &[read.at, sent.at], what);
            }
            if sent.outcome == Outcome::Refused {
                let what = format!("{} was refused, and can be read", read.record);
                let refused_at = sent.outcome_at.unwrap_or(sent.at);
                found.add(Rule::RefusedIsAbsent, &[sent.at, refused_at, read.at], what);
            }
        }
    }
}

/// One sequence number, one record, in every acknowledgement and every read; and the reverse.
fn sequences_name_one(digest: &Digest<'_>, found: &mut Findings) {
    let mut named = Vec::new();
    for (&record, sent) in &digest.records {
        if let Outcome::Acked(place) = &sent.outcome {
            named.push((place.at, place.sequence, record));
        }
    }
    for reader in &digest.readers {
        named.extend(reader.reads.iter().map(|read| (read.at, read.sequence, read.record)));
    }
    named.sort_unstable_by_key(|(at, _, _)| *at);
    let mut records = BTreeMap::new();
    let mut places = BTreeMap::new();
    for (at, sequence, record) in named {
        let (first_at, first) = *records.entry(sequence).or_insert((at, record));
        if first != record {
            let what = format!("{sequence} names {first} and {record}");
            found.add(Rule::SequenceNamesOne, &[first_at, at], what);
        }
        let (first_at, first) = *places.entry(record).or_insert((at, sequence));
        if first != sequence {
            let what = format!("{record} was seen at {first} and at {sequence}");
            found.add(Rule::AckedStaysInPlace, &[first_at, at], what);
        }
    }
}

fn read_stays_readable(digest: &Digest<'_>, stands: &Stands<'_>, found: &mut Findings) {
    for reader in &digest.readers {
        for read in &reader.reads {
            if !stands.contains_key(read.record) && digest.records.contains_key(read.record) {
                let what = format!("{} was read on {}, and is gone", read.record, reader.shard);
                found.add(Rule::ReadStaysReadable, &[read.at], what);
            }
        }
    }
}

fn readers_agree(digest: &Digest<'_>, found: &mut Findings) {
    for shard in digest.shards() {
        let reads = [Via::GetRecords, Via::SubscribeToShard]
            .map(|via| digest.audit(&shard.shard, via).map_or(&[][..], |reader| &reader.reads));
        let same = |(left, right): (&ReadRecord<'_>, &ReadRecord<'_>)| {
            left.record == right.record && left.sequence == right.sequence
        };
        if reads[0].len() == reads[1].len() && reads[0].iter().zip(reads[1]).all(same) {
            continue;
        }
        let differ = reads[0].iter().zip(reads[1]).position(|pair| !same(pair));
        let differ = differ.unwrap_or(reads[0].len().min(reads[1].len()));
        let shown: Vec<usize> =
            reads.iter().filter_map(|reads| reads.get(differ)).map(|read| read.at).collect();
        let what = format!(
            "on {} GetRecords gives {} records and SubscribeToShard {}; number {differ} differs",
            shard.shard,
            reads[0].len(),
            reads[1].len()
        );
        found.add(Rule::ReadersAgree, &shown, what);
    }
}
