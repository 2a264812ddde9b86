//! From the source into buffers.
//!
//! Owns the pages that were read, and the records between their pages and their buffers. A page is
//! read only when nothing of the last is left; records are prepared a few at a time. When a lane
//! is full, or memory is short, everything here stands still, and so does the reading.

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_core::Timestamp;
use millstream_destinations::lambda::Verdict;
use tokio::time::Instant;

use super::{Courier, Fault};
use crate::delivery::budget::{Lease, Room};
use crate::delivery::fail_point::{self, FailPoint};
use crate::delivery::frame::Entry;
use crate::delivery::lane::Lane;
use crate::delivery::lanes::{Item, Put};
use crate::delivery::process::{self, Outcome, Piece, Prepared, Processor, Refusal};
use crate::delivery::progress::{Obligation, Obligations};
use crate::delivery::source::{Arrival, Record};
use crate::delivery::transform::Transformed;

/// Bytes of records that are prepared at once.
const BATCH_BYTES: usize = 256 << 10;
/// The same where a record may become many times what it is.
const HEAVY_BATCH_BYTES: usize = 64 << 10;
/// What records may have become before no more of the batch is prepared: about a turn's share of
/// memory.
const PREPARED_BYTES: usize = 4 << 20;
/// What was read and is not prepared.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    page: Option<OpenPage>,
}

#[derive(Debug)]
struct OpenPage {
    part: u64,
    records: VecDeque<Record>,
    next: u64,
    has_ended: bool,
}

impl Inbox {
    /// When the oldest of its records arrived.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.page.as_ref()?.records.front().map(|record| record.arrived)
    }
}

/// What stands between preparation and buffers.
#[derive(Debug)]
pub(super) enum Ready {
    Item(Item),
    /// To be put into a batch for a function.
    Piece(Piece),
    /// The memory of a batch, given back once its records are in buffers.
    Lease(Lease),
}

impl Courier {
    /// Moves records on, one small step; says whether there is another that can be done at once.
    pub(super) async fn feed(&mut self) -> Result<bool, Fault> {
        if !self.empty_ready().await? {
            return Ok(false);
        }
        if self.inbox.page.is_some() {
            self.prepare_some().await?;
            return Ok(true);
        }
        if std::mem::take(&mut self.has_used_turn) {
            self.turn = None;
        }
        self.end_replay();
        self.read_page().await
    }

    /// Sends the open batch of records for a function when it is time.
    pub(super) fn send_due(&mut self) {
        if let Some(staging) = self.staging.as_mut()
            && staging.next_due().is_some_and(|due| due <= Instant::now())
        {
            staging.send();
        }
    }

    /// Puts what is ready where it goes; false where something stands in the way.
    async fn empty_ready(&mut self) -> Result<bool, Fault> {
        let now = Instant::now();
        while let Some(ready) = self.ready.pop_front() {
            let item = match ready {
                Ready::Lease(lease) => {
                    drop(lease);
                    continue;
                }
                Ready::Piece(piece) => match self.stage(piece, now) {
                    None => continue,
                    Some(piece) => {
                        self.ready.push_front(Ready::Piece(piece));
                        return Ok(false);
                    }
                },
                Ready::Item(item) => item,
            };
            if let Some(item) = self.put(item, now).await? {
                self.ready.push_front(Ready::Item(item));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts a record into its buffer; gives it back where it has to wait.
    async fn put(&mut self, mut item: Item, now: Instant) -> Result<Option<Item>, Fault> {
        // Twice blocked is blocked: the first time may be a buffer that only had to be closed.
        for _ in 0..2 {
            let budget = Arc::clone(&self.station.commons.budget);
            let room = Room { budget: &budget, reserve: &mut self.reserve };
            item = match self.lanes.put(item, now, room) {
                Put::Done => return Ok(None),
                Put::Blocked(item) => item,
                Put::Overflow(item) => self.overflow(item),
                Put::NoRoom(item, bytes) => {
                    if self.waits.memory.is_none() {
                        self.relieve(bytes).await?;
                        self.waits.memory = Some(Box::pin(budget.buffer(bytes)));
                    }
                    return Ok(Some(item));
                }
            };
            self.dispatch();
        }
        Ok(Some(item))
    }

    /// What becomes of a record that would open one partition too many.
    fn overflow(&mut self, item: Item) -> Item {
        let counters = self.station.counters();
        counters.partition_overflows.add(1);
        let refusal: Refusal = process::overflow();
        self.processor.refused(Piece::of(item.entry), &refusal, self.station.now())
    }

    /// Puts a piece into the batch for the function; gives it back where it has to wait.
    fn stage(&mut self, piece: Piece, now: Instant) -> Option<Piece> {
        let staging = self.staging.as_mut().expect("only a plan with a function has pieces");
        let Some(piece) = staging.put(piece) else {
            if staging.next_due().is_some_and(|due| due <= now) {
                staging.send();
            }
            return None;
        };
        let is_sent = !staging.needs_lease() && staging.send();
        if (is_sent || staging.needs_lease()) && self.waits.stage.is_none() {
            let budget = &self.station.commons.budget;
            self.waits.stage = Some(Box::pin(budget.stage(staging.batch_bytes())));
        }
        Some(piece)
    }

    /// There is memory for another batch.
    pub(super) fn open_batch(&mut self, lease: Lease) {
        if let Some(staging) = self.staging.as_mut().filter(|staging| staging.needs_lease()) {
            staging.open(lease, Instant::now());
        }
    }

    /// A function has answered: its records go on, before all that was read later.
    pub(super) fn take_transformed(&mut self, transformed: Transformed) {
        let Transformed { pieces, outcome, lease } = transformed;
        let now = self.station.now();
        let mut ready = VecDeque::with_capacity(pieces.len() + 1);
        let outcomes: Vec<Outcome> = match outcome {
            Ok(verdicts) => {
                self.count_processed(&verdicts);
                let judged = pieces.into_iter().zip(verdicts);
                judged.map(|(piece, it)| self.processor.judged(piece, it, 1, now)).collect()
            }
            Err((failure, attempts)) => {
                let refused = |piece| self.processor.unprocessed(piece, &failure, attempts, now);
                pieces.into_iter().map(refused).collect()
            }
        };
        for outcome in outcomes {
            match outcome {
                Outcome::Item(item) => ready.push_back(Ready::Item(item)),
                Outcome::Piece(piece) => ready.push_back(Ready::Piece(piece)),
                Outcome::Dropped(id) => self.ledger.settle(&Lane::main(), id),
            }
        }
        ready.push_back(Ready::Lease(lease));
        // Behind other answers, before pieces that have not been sent yet.
        let is_sent = |ready: &Ready| !matches!(ready, Ready::Piece(_));
        let sent = self.ready.iter().take_while(|ready| is_sent(ready)).count();
        let later = self.ready.split_off(sent);
        self.ready.append(&mut ready);
        self.ready.extend(later);
    }

    fn count_processed(&self, verdicts: &[Verdict]) {
        let counters = self.station.counters();
        for verdict in verdicts {
            if let Verdict::Ok { data, .. } = verdict {
                counters.processed_records.add(1);
                counters.processed_bytes.add(data.len() as u64);
            }
        }
    }

    /// Prepares a few of the records that were read.
    async fn prepare_some(&mut self) -> Result<(), Fault> {
        let Some(mut page) = self.inbox.page.take() else { return Ok(()) };
        let bytes_max = if self.processor.is_heavy() { HEAVY_BATCH_BYTES } else { BATCH_BYTES };
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(record) = page.records.pop_front()
        {
            let part = self.ledger.checkpoint_mut().progress.part_mut(page.part);
            // Settled before a restart.
            if part.take(record.position) {
                bytes += record.data.len();
                batch.push(record);
            }
        }
        let now = self.station.now();
        let Batch { prepared, rest } = prepare(&self.processor, page.part, batch, now).await?;
        for record in prepared {
            self.take_prepared(page.part, record);
        }
        rest.into_iter().rev().for_each(|record| page.records.push_front(record));
        if page.records.is_empty() {
            let part = self.ledger.checkpoint_mut().progress.part_mut(page.part);
            part.reach(page.next);
            if page.has_ended {
                part.end();
            }
            fail_point::reached(FailPoint::AfterBuffering).await;
        } else {
            self.inbox.page = Some(page);
        }
        Ok(())
    }

    /// Takes note of a record's pieces, and has those on their way that are not settled.
    fn take_prepared(&mut self, part: u64, record: Prepared) {
        let Prepared { position, arrived, backup, pieces } = record;
        let count = u32::try_from(pieces.len()).expect("a record is far smaller than that");
        let obligations = Obligations { pieces: count, backup: backup.is_some() };
        let met = self.ledger.begin(part, position, obligations);
        if let Some(data) = backup.filter(|_| !met.has(Obligation::Backup)) {
            let id = millstream_destinations::DocumentId { part, position, index: 0 };
            let entry = Entry { id, arrived, sequence: None, data };
            let item = Item { lane: Lane::Backup, keys: Arc::default(), entry };
            self.ready.push_back(Ready::Item(item));
        }
        for (index, piece) in (0..).zip(pieces) {
            if met.has(Obligation::Piece(index)) {
                continue;
            }
            match piece {
                Outcome::Item(item) => self.ready.push_back(Ready::Item(item)),
                Outcome::Piece(piece) => self.ready.push_back(Ready::Piece(piece)),
                Outcome::Dropped(id) => self.ledger.settle(&Lane::main(), id),
            }
        }
    }

    /// Reads a page, if it is this courier's turn and there is something; says whether it did.
    async fn read_page(&mut self) -> Result<bool, Fault> {
        if let Some(gone) = &self.orphaned {
            // What was read of it is delivered all the same; then it is looked for anew.
            let is_done = self.ledger.checkpoint().progress.outstanding() == 0;
            return if is_done { Err(gone.clone().into()) } else { Ok(false) };
        }
        if !self.reading.is_ready() {
            self.waits.turn = None;
            return Ok(false);
        }
        if self.ledger.checkpoint().progress.weight() > self.station.commons.weight_max {
            // Too much is outstanding: the oldest goes first, and reading waits for it.
            self.lanes.close_oldest();
            self.dispatch();
            return Ok(false);
        }
        if self.turn.is_none() && self.waits.turn.is_none() {
            self.turn = self.station.commons.budget.try_turn();
        }
        if self.turn.is_none() {
            if self.waits.turn.is_none() {
                self.waits.turn = Some(Box::pin(self.station.commons.budget.turn()));
            }
            return Ok(false);
        }
        match self.reading.read().await {
            Ok(None) => Ok(true),
            Ok(Some(arrival)) => {
                self.take_page(arrival);
                Ok(true)
            }
            Err(error) => {
                self.turn = None;
                self.take_source_error(error);
                Ok(true)
            }
        }
    }

    fn take_page(&mut self, arrival: Arrival) {
        let Arrival { part, from, page } = arrival;
        self.has_used_turn = true;
        let counters = self.station.counters();
        counters.read_records.add(page.records.len() as u64);
        counters.read_bytes.add(page.records.iter().map(|record| record.data.len() as u64).sum());
        let known = self.ledger.checkpoint_mut().progress.part_mut(part);
        // What was never read, as far as positions tell.
        let unread = known.next().max(from);
        let mut expired = page.begins.map_or(0, |begins| begins.saturating_sub(unread));
        if from < known.next() {
            let present: Vec<u64> = page.records.iter().map(|record| record.position).collect();
            expired += known.expire(from, page.next, &present);
        }
        if expired > 0 {
            counters.expired.add(expired);
            tracing::error!(
                stream = self.station.origin.name,
                expired,
                "the source gave records up before they were delivered"
            );
        }
        let (next, has_ended) = (page.next, page.has_ended);
        self.inbox.page = Some(OpenPage { part, records: page.records.into(), next, has_ended });
    }

    /// What was read before a restart is read again by now: pledges that found no record are void.
    fn end_replay(&mut self) {
        let Some(end) = self.replay_end else { return };
        let is_staged = self.staging.as_ref().is_some_and(|staging| !staging.is_empty());
        if is_staged || self.reading.position(0).is_some_and(|from| from < end) {
            return;
        }
        self.replay_end = None;
        self.lanes.end_replay();
    }

    /// Gives memory back; where the disk does not take it, a buffer is let go early instead.
    pub(super) async fn relieve(&mut self, wanted: usize) -> Result<(), Fault> {
        if let Err(error) = self.lanes.relieve(wanted).await {
            tracing::warn!(%error, stream = self.station.origin.name, "records cannot be spilled");
            self.lanes.close_largest();
            self.dispatch();
        }
        Ok(())
    }
}

/// What came of records.
struct Batch {
    prepared: Vec<Prepared>,
    /// Those that come next, once these are in their buffers.
    rest: Vec<Record>,
}

/// Prepares records, elsewhere where that may take long, until they have become much.
async fn prepare(
    processor: &Arc<Processor>,
    part: u64,
    records: Vec<Record>,
    now: Timestamp,
) -> Result<Batch, Fault> {
    let each = move |processor: &Processor| -> Batch {
        let (mut prepared, mut weight) = (Vec::new(), 0);
        let mut records = records.into_iter();
        while weight < PREPARED_BYTES
            && let Some(record) = records.next()
        {
            let record = processor.prepare(part, &record, now);
            weight += record.weight();
            prepared.push(record);
        }
        Batch { prepared, rest: records.collect() }
    };
    if !processor.is_heavy() {
        return Ok(each(processor));
    }
    let processor = Arc::clone(processor);
    tokio::task::spawn_blocking(move || each(&processor)).await.map_err(|_| Fault::Lost)
}

#[cfg(test)]
mod tests {
    use millstream_formats::compression::{Compression, Compressor};

    use super::*;
    use crate::delivery::tests::plan;

    /// A few hundred bytes of gzip become megabytes.
    #[tokio::test]
    async fn records_that_become_much_are_not_all_prepared_at_once() {
        let mut plan = plan();
        plan.processing.decompress = true;
        let processor = Arc::new(Processor::new(&plan).unwrap());
        let mut gzip = Compressor::new(Compression::Gzip, "");
        gzip.write(&vec![0; PREPARED_BYTES / 2]);
        let data = gzip.finish();
        let record = |position| Record {
            position,
            arrived: Timestamp::default(),
            origin: None,
            data: data.clone(),
        };
        let records = (0..9).map(record).collect();
        let batch = prepare(&processor, 0, records, Timestamp::default()).await.unwrap();
        assert_eq!(batch.prepared.len(), 2);
        let rest: Vec<u64> = batch.rest.iter().map(|record| record.position).collect();
        assert_eq!(rest, [2, 3, 4, 5, 6, 7, 8]);
    }
}
