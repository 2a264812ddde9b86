//! Puts: from entries to acknowledged records.
//!
//! Owns routing, batching by shard, and the retry when a shard closes under a put. Each entry
//! keeps its slot: the answer says of each where it is, or why it is not.
//!
//! Invariant: an entry is acknowledged only by the shard whose log took it. A put that meets a
//! sealed log waits until the catalog opens the children and goes there; it is never lost and
//! never lands in a closed shard.

use std::sync::Arc;

use futures_util::future::join_all;
use millstream_auth::SealingKey;
use millstream_core::{HashKey, SequenceNumber, ShardId};
use millstream_log::{AppendError, Appended, Batch, BatchBuilder};

use crate::payload::{self, OVERHEAD_BYTES, Place, Scratch};
use crate::refusal::Refusal;
use crate::state::{Mode, Stream};
use crate::streams::Streams;

/// Reshards that one put may meet before it gives up.
const ROUTINGS_MAX: usize = 16;
/// Bytes of framing that the log puts before each record.
const FRAME_BYTES: usize = 4;

/// One record to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) partition_key: &'a str,
    pub(crate) data: &'a [u8],
    pub(crate) point: HashKey,
}

impl Entry<'_> {
    /// Bytes as quotas count them: data and key.
    fn bytes(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Pending,
    Stored { shard: ShardId, number: SequenceNumber },
    Failed(Refusal),
}

/// What became of all.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) slots: Vec<Slot>,
    pub(crate) is_sealed: bool,
}

/// The entries of one shard, by their place in the request.
struct Group {
    /// Index into the stream's shards.
    shard: usize,
    entries: Vec<usize>,
}

impl Streams {
    /// Stores `entries`, in order within each shard.
    pub(crate) async fn put(
        &self,
        stream: Arc<Stream>,
        entries: &[Entry<'_>],
    ) -> Result<Stored, Refusal> {
        let mut stream = self.servable(stream).await?;
        let mut slots = vec![Slot::Pending; entries.len()];
        let mut is_sealed = false;
        for routing in 0.. {
            let sealing = self.sealing_key(&stream).await?;
            is_sealed = sealing.is_some();
            let groups = self.route(&stream, entries, &mut slots, routing == 0);
            let appends = groups.iter().map(|group| {
                let batch = encode(&stream, group, entries, sealing.as_deref());
                self.log.append(stream.shards[group.shard].log(), batch)
            });
            let results = join_all(appends).await;
            let mut closed_under_us = None;
            for (group, result) in groups.into_iter().zip(results) {
                match result {
                    Ok(appended) => {
                        self.acknowledge(&stream, &group, entries, appended, &mut slots);
                    }
                    Err(AppendError::Sealed | AppendError::NotFound) => {
                        closed_under_us = Some(stream.shards[group.shard].id);
                    }
                    Err(error) => {
                        let shard = stream.shards[group.shard].id;
                        let refusal = refusal_of(&error, shard);
                        fail(&group.entries, &refusal, &mut slots);
                    }
                }
            }
            let Some(shard) = closed_under_us else { break };
            if routing == ROUTINGS_MAX {
                return Err(Refusal::Internal);
            }
            let is_closed =
                |stream: &Stream| stream.shard(shard).is_none_or(|s| s.closed.is_some());
            stream = self.wait_until(&stream, is_closed).await?;
        }
        Ok(Stored { slots, is_sealed })
    }

    /// Groups what is pending by shard. The first time, quotas are asked.
    fn route(
        &self,
        stream: &Stream,
        entries: &[Entry<'_>],
        slots: &mut [Slot],
        asks_quotas: bool,
    ) -> Vec<Group> {
        let pending = slots.iter().enumerate().filter(|(_, slot)| matches!(slot, Slot::Pending));
        let mut order: Vec<(usize, usize)> =
            pending.map(|(entry, _)| (stream.route(entries[entry].point), entry)).collect();
        if asks_quotas && self.enforces_quotas() {
            order.retain(|(shard, entry)| {
                let shard = &stream.shards[*shard];
                let admits = self.throttle.admits_write(shard.log(), entries[*entry].bytes());
                if !admits {
                    let named = stream.named();
                    let refusal = Refusal::RateExceeded { shard: shard.id, stream: named };
                    slots[*entry] = Slot::Failed(refusal);
                }
                admits
            });
        }
        // Entries of one shard keep the order of the request.
        order.sort_unstable();
        order
            .chunk_by(|left, right| left.0 == right.0)
            .map(|run| Group {
                shard: run[0].0,
                entries: run.iter().map(|(_, entry)| *entry).collect(),
            })
            .collect()
    }

    fn acknowledge(
        &self,
        stream: &Stream,
        group: &Group,
        entries: &[Entry<'_>],
        appended: Appended,
        slots: &mut [Slot],
    ) {
        let shard = &stream.shards[group.shard];
        let mut position = appended.first;
        for entry in &group.entries {
            let number = shard.sequence_number(position, appended.arrived);
            slots[*entry] = Slot::Stored { shard: shard.id, number };
            position.0 += 1;
        }
        if stream.mode == Mode::OnDemand {
            let bytes = group.entries.iter().map(|entry| entries[*entry].bytes()).sum();
            self.load.count(shard.log(), bytes, group.entries.len());
        }
    }
}

fn fail(entries: &[usize], refusal: &Refusal, slots: &mut [Slot]) {
    for entry in entries {
        slots[*entry] = Slot::Failed(refusal.clone());
    }
}

fn refusal_of(error: &AppendError, shard: ShardId) -> Refusal {
    match error {
        AppendError::Overloaded => Refusal::Overloaded { shard: Some(shard) },
        AppendError::NoSpace => Refusal::NoSpace,
        AppendError::NotFound
        | AppendError::Sealed
        | AppendError::TooLarge
        | AppendError::Stopped(_) => {
            tracing::error!(%error, %shard, "records were not stored");
            Refusal::Internal
        }
    }
}

/// The entries of one group as their log's batch: one pass over the bytes.
fn encode(
    stream: &Stream,
    group: &Group,
    entries: &[Entry<'_>],
    sealing: Option<&SealingKey>,
) -> Batch {
    let framed = |entry: &usize| entries[*entry].bytes() + OVERHEAD_BYTES + FRAME_BYTES;
    let mut batch = BatchBuilder::with_capacity(group.entries.iter().map(framed).sum());
    let place = Place { stream: stream.uid, shard: stream.shards[group.shard].id };
    let mut scratch = Scratch::default();
    for entry in group.entries.iter().map(|entry| &entries[*entry]) {
        match sealing {
            None => payload::push_plain(&mut batch, entry.partition_key, entry.data),
            Some(sealing) => payload::push_sealed(
                &mut batch,
                (entry.partition_key, entry.data),
                place,
                (sealing.id, &sealing.key),
                &mut scratch,
            ),
        }
    }
    batch.build()
}
