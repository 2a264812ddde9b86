//! Which shards are split and merged, round by round, to get from what is to what is wanted.
//!
//! Owns the arithmetic on ranges. A round is a set of steps that touch different shards; each
//! step turns one shard into two or two neighbours into one, as the API's shards can only have
//! one or two parents. Rounds follow one another until none is left.
//!
//! Invariant: after any round the open shards tile the ring, and each round brings the ranges
//! nearer to the target, so rounds end.

use millstream_core::{HashKey, HashKeyRange, ShardId};
use serde::{Deserialize, Serialize};

use super::stream::{Shard, Stream};

/// What a reshard is to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    /// The shard in two, the second starting at `start`.
    Split { shard: ShardId, start: HashKey },
    /// The two neighbours in one; the first named is the first parent.
    Merge { shard: ShardId, adjacent: ShardId },
    /// Each of these shards in two halves.
    Halve { shards: Vec<ShardId> },
    /// `count` ranges of equal size.
    Uniform { count: u32 },
}

/// One step of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) parents: Vec<ShardId>,
    pub(crate) children: Vec<PlannedShard>,
}

/// A child that is not open yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedShard {
    pub(crate) id: ShardId,
    pub(crate) range: HashKeyRange,
    pub(crate) log: u64,
}

/// A step before its children have ids: parents, and the ranges that replace theirs.
pub(super) type Sketch = (Vec<ShardId>, Vec<HashKeyRange>);

/// The next round towards `plan`, as the stream's open shards stand now; empty when reached.
/// `first`: no round of this plan was done yet.
pub(super) fn next_round(stream: &Stream, plan: &Plan, first: bool) -> Vec<Sketch> {
    match plan {
        Plan::Uniform { count } => towards_uniform(stream, *count),
        Plan::Split { .. } | Plan::Merge { .. } | Plan::Halve { .. } if !first => Vec::new(),
        Plan::Split { shard, start } => split(stream, *shard, *start).into_iter().collect(),
        Plan::Merge { shard, adjacent } => {
            let ranges = (stream.shard(*shard), stream.shard(*adjacent));
            let (Some(first), Some(second)) = ranges else { return Vec::new() };
            vec![merge(first, second)]
        }
        Plan::Halve { shards } => shards
            .iter()
            .filter_map(|id| split(stream, *id, middle_of(stream.shard(*id)?.range)))
            .collect(),
    }
}

/// The first point of the upper half.
pub(crate) fn middle_of(range: HashKeyRange) -> HashKey {
    HashKey(range.start.0 + (range.end.0 - range.start.0) / 2 + 1)
}

fn split(stream: &Stream, shard: ShardId, start: HashKey) -> Option<Sketch> {
    let (low, high) = stream.shard(shard)?.range.split_at(start)?;
    Some((vec![shard], vec![low, high]))
}

fn merge(first: &Shard, second: &Shard) -> Sketch {
    let range = HashKeyRange {
        start: first.range.start.min(second.range.start),
        end: first.range.end.max(second.range.end),
    };
    (vec![first.id, second.id], vec![range])
}

/// Splits shards that span several targets at the boundary nearest their middle, and merges
/// neighbours that lie within one target. Any count to any other takes few rounds.
fn towards_uniform(stream: &Stream, count: u32) -> Vec<Sketch> {
    let targets = HashKeyRange::tile(count);
    let target_of = |point: HashKey| targets.partition_point(|target| target.start <= point) - 1;
    let open: Vec<&Shard> = stream.open_shards().collect();
    let mut round = Vec::new();
    let mut index = 0;
    while index < open.len() {
        let shard = open[index];
        index += 1;
        let (first, last) = (target_of(shard.range.start), target_of(shard.range.end));
        if first < last {
            let start = targets[first + (last - first).div_ceil(2)].start;
            round.extend(split(stream, shard.id, start));
        } else if let Some(next) = open.get(index)
            && target_of(next.range.end) == first
        {
            round.push(merge(shard, next));
            index += 1;
        }
    }
    round
}
