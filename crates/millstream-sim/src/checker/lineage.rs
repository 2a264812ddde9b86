//! Shards: their family, their bounds, their part of the ring; and settings that must last.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::{HashKeyRange, SequenceNumber};

use super::digest::{Digest, Outcome};
use super::{Findings, Rule};
use crate::history::{ListedShard, Via};

/// Judges the shards.
pub(super) fn check(digest: &Digest<'_>, found: &mut Findings) {
    listings_are_stable(digest, found);
    for (at, shards) in &digest.listings {
        ring_is_tiled(*at, shards, found);
    }
    within_bounds(digest, found);
    closed_take_nothing(digest, found);
    keys_find_their_shard(digest, found);
    audit_is_whole(digest, found);
    shard_ends_are_true(digest, found);
    closings_are_kept(digest, found);
}

fn listings_are_stable(digest: &Digest<'_>, found: &mut Findings) {
    let mut known = BTreeMap::<&str, (usize, &ListedShard)>::new();
    for &(at, shards) in &digest.listings {
        let listed: BTreeSet<&str> = shards.iter().map(|shard| shard.shard.as_str()).collect();
        for (name, (first_at, _)) in &known {
            if !listed.contains(name) {
                let what = format!("{name} was listed, and is no more");
                found.add(Rule::ListingIsStable, &[*first_at, at], what);
            }
        }
        for shard in shards {
            let before = known.insert(&shard.shard, (at, shard));
            let Some((before_at, before)) = before else { continue };
            let end_kept = before.end.is_none() || before.end == shard.end;
            let rest = |shard: &ListedShard| ListedShard { end: None, ..shard.clone() };
            if !end_kept || rest(before) != rest(shard) {
                let what = format!("{} changed from {before:?} to {shard:?}", shard.shard);
                found.add(Rule::ListingIsStable, &[before_at, at], what);
            }
        }
    }
}

fn ring_is_tiled(at: usize, shards: &[ListedShard], found: &mut Findings) {
    let open = shards.iter().filter(|shard| shard.end.is_none()).map(|shard| shard.range);
    if let Some(what) = gap_in(open.collect(), HashKeyRange::FULL) {
        found.add(Rule::RingIsTiled, &[at], format!("open shards: {what}"));
    }
    let by_name: BTreeMap<&str, &ListedShard> =
        shards.iter().map(|shard| (shard.shard.as_str(), shard)).collect();
    // Of a split the parent is tiled by its children; of a merge the child by its parents.
    for parent in shards {
        let children: Vec<&ListedShard> =
            shards.iter().filter(|shard| shard.parents.contains(&parent.shard)).collect();
        let split = !children.is_empty() && children.iter().all(|child| child.parents.len() == 1);
        if split {
            let parts = children.iter().map(|child| child.range).collect();
            if let Some(what) = gap_in(parts, parent.range) {
                found.add(
                    Rule::RingIsTiled,
                    &[at],
                    format!("children of {}: {what}", parent.shard),
                );
            }
        }
        let merged: Option<Vec<HashKeyRange>> =
            parent.parents.iter().map(|name| by_name.get(name.as_str()).map(|p| p.range)).collect();
        let gap = merged.filter(|parts| parts.len() == 2).and_then(|p| gap_in(p, parent.range));
        if let Some(what) = gap {
            found.add(Rule::RingIsTiled, &[at], format!("parents of {}: {what}", parent.shard));
        }
    }
}

/// What keeps `parts` from tiling `whole`.
fn gap_in(mut parts: Vec<HashKeyRange>, whole: HashKeyRange) -> Option<String> {
    parts.sort_by_key(|part| part.start);
    let mut next = Some(whole.start.0);
    for part in &parts {
        if next != Some(part.start.0) {
            return Some(format!("expected one at {next:?}, found {}", part.start));
        }
        next = part.end.0.checked_add(1);
    }
    let last = parts.last().map(|part| part.end);
    (last != Some(whole.end)).then(|| format!("they end at {last:?}, not at {}", whole.end))
}

fn bounds(shard: &ListedShard) -> (Option<SequenceNumber>, Option<SequenceNumber>) {
    let end = shard.end.as_ref().and_then(|end| end.parse().ok());
    (shard.start.parse().ok(), end)
}

fn within_bounds(digest: &Digest<'_>, found: &mut Findings) {
    let last = digest.listings.last().map_or(0, |(at, _)| *at);
    let by_name: BTreeMap<&str, &ListedShard> =
        digest.shards().iter().map(|shard| (shard.shard.as_str(), shard)).collect();
    for shard in digest.shards() {
        let (start, end) = bounds(shard);
        if start.is_none() || end.is_none() != shard.end.is_none() {
            let what = format!("{} is listed with numbers that are none", shard.shard);
            found.add(Rule::WithinBounds, &[last], what);
        }
        for read in digest.truth(&shard.shard) {
            let above = start.is_none_or(|start| start <= read.sequence);
            let below = end.is_none_or(|end| read.sequence <= end);
            if !above || !below {
                let what = format!("{} lies outside the bounds of {}", read.record, shard.shard);
                found.add(Rule::WithinBounds, &[read.at, last], what);
            }
        }
        for parent in shard.parents.iter().filter_map(|name| by_name.get(name.as_str())) {
            let (_, parent_end) = bounds(parent);
            if parent_end.is_none() || parent_end >= start {
                let what = format!("{} starts before {} ends", shard.shard, parent.shard);
                found.add(Rule::WithinBounds, &[last], what);
            }
        }
    }
}

/// The first event that proves to clients that a shard is closed: it was listed so, it was read
/// to its end, or a child acknowledged a record.
fn known_closed<'a>(digest: &Digest<'a>) -> BTreeMap<&'a str, usize> {
    let mut known = BTreeMap::<&str, usize>::new();
    let mut note = |shard: &'a str, at: usize| {
        let first = known.entry(shard).or_insert(at);
        *first = at.min(*first);
    };
    for &(at, shards) in &digest.listings {
        for shard in shards.iter().filter(|shard| shard.end.is_some()) {
            note(&shard.shard, at);
        }
    }
    for reader in &digest.readers {
        if let Some((at, _)) = reader.end {
            note(reader.shard, at);
        }
    }
    let mut first_ack = BTreeMap::<&str, usize>::new();
    for sent in digest.records.values() {
        if let Outcome::Acked(place) = &sent.outcome {
            let first = first_ack.entry(&place.shard).or_insert(place.at);
            *first = place.at.min(*first);
        }
    }
    for shard in digest.shards() {
        if let Some(&at) = first_ack.get(shard.shard.as_str()) {
            for parent in &shard.parents {
                note(parent, at);
            }
        }
    }
    known
}

fn closed_take_nothing(digest: &Digest<'_>, found: &mut Findings) {
    let known = known_closed(digest);
    for (record, sent) in &digest.records {
        let Outcome::Acked(place) = &sent.outcome else { continue };
        let Some(&closed_at) = known.get(place.shard.as_str()) else { continue };
        if sent.at > closed_at {
            let what = format!("{} took {record} after it was closed", place.shard);
            found.add(Rule::ClosedTakesNothing, &[closed_at, sent.at, place.at], what);
        }
    }
}

fn keys_find_their_shard(digest: &Digest<'_>, found: &mut Findings) {
    let ranges: BTreeMap<&str, HashKeyRange> =
        digest.shards().iter().map(|shard| (shard.shard.as_str(), shard.range)).collect();
    for (record, sent) in &digest.records {
        let Outcome::Acked(place) = &sent.outcome else { continue };
        let covers = ranges.get(place.shard.as_str()).is_some_and(|r| r.contains(sent.point));
        if !covers {
            let what =
                format!("{record} falls on {}, which {} does not cover", sent.point, place.shard);
            found.add(Rule::KeyFindsItsShard, &[sent.at, place.at], what);
        }
    }
}

fn audit_is_whole(digest: &Digest<'_>, found: &mut Findings) {
    let last = digest.listings.last().map_or(0, |(at, _)| *at);
    if digest.shards().is_empty() {
        found.add(Rule::AuditIsWhole, &[], "no shard was listed".to_owned());
    }
    for shard in digest.shards() {
        for via in [Via::GetRecords, Via::SubscribeToShard] {
            let reader = digest.audit(&shard.shard, via);
            if reader.is_none_or(|reader| shard.end.is_some() && reader.end.is_none()) {
                let what = format!("{} was not read to its end by {via:?}", shard.shard);
                found.add(Rule::AuditIsWhole, &[last], what);
            }
        }
    }
}

fn shard_ends_are_true(digest: &Digest<'_>, found: &mut Findings) {
    let shards = digest.shards();
    for reader in &digest.readers {
        let Some((at, children)) = reader.end else { continue };
        let listed = shards.iter().find(|shard| shard.shard == reader.shard);
        if listed.is_none_or(|shard| shard.end.is_none()) {
            let what = format!("{} ended for {}, and is open", reader.shard, reader.name);
            found.add(Rule::ShardEndIsTrue, &[at], what);
        }
        let mut expected: Vec<&str> = shards
            .iter()
            .filter(|shard| shard.parents.iter().any(|parent| parent == reader.shard))
            .map(|shard| shard.shard.as_str())
            .collect();
        let mut told: Vec<&str> = children.iter().map(String::as_str).collect();
        expected.sort_unstable();
        told.sort_unstable();
        if told != expected || told.is_empty() {
            let what =
                format!("{} ended with {told:?} to follow; listed: {expected:?}", reader.shard);
            found.add(Rule::ShardEndIsTrue, &[at], what);
        }
        let left = digest
            .truth(reader.shard)
            .last()
            .filter(|last| reader.has_passed(reader.reads.len(), last.sequence) == Some(false));
        if let Some(left) = left {
            let what = format!("{} ended for {} before {}", reader.shard, reader.name, left.record);
            found.add(Rule::ShardEndIsTrue, &[at, left.at], what);
        }
    }
}

fn closings_are_kept(digest: &Digest<'_>, found: &mut Findings) {
    let last = digest.listings.last().map_or(0, |(at, _)| *at);
    for (at, name) in &digest.closed {
        let open = digest.shards().iter().any(|shard| shard.shard == *name && shard.end.is_none());
        if open {
            let what = format!("closing {name} was acknowledged, and it is open");
            found.add(Rule::ChangesAreKept, &[*at, last], what);
        }
    }
}

/// Judges the settings: each has the value acknowledged last, or one sent since.
pub(super) fn check_settings(digest: &Digest<'_>, found: &mut Findings) {
    for (name, setting) in &digest.settings {
        let Some((read_at, value)) = setting.read else { continue };
        if !setting.possible.iter().any(|(_, possible)| *possible == value) {
            let mut events: Vec<usize> = setting.possible.iter().map(|(at, _)| *at).collect();
            events.push(read_at);
            let what = format!("{name} reads {value}, which was not set last");
            found.add(Rule::ChangesAreKept, &events, what);
        }
    }
}
