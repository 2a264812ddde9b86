//! Which part of a source is read next.
//!
//! Owns the order of reads. One page is read at a time, from the parts that have something, by
//! turns; a part is begun only once its parents are read to their ends, so that the records of a
//! key stay in order across a reshard. Whoever has nothing to read waits at no cost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use millstream_core::Timestamp;
use millstream_core::source::SourceLimit;
use tokio::time::Instant;

use super::{Page, Parts, RecordSource, SourceError};
use crate::delivery::checkpoint::Checkpoint;
use crate::delivery::progress::Part;

/// What is read at once.
const PAGE: SourceLimit = SourceLimit { records: 4_096, bytes: 1 << 20 };
/// How often the list of parts is looked at where nothing else asks for it.
const LIST_INTERVAL: Duration = Duration::from_secs(60);
/// How long a part, or the list, rests after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of a read.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) part: u64,
    /// Where it was read from.
    pub(crate) from: u64,
    pub(crate) page: Page,
}

/// The reads of one source.
#[derive(Debug)]
pub(crate) struct Reading {
    source: Arc<dyn RecordSource>,
    life: u64,
    parts: BTreeMap<u64, State>,
    /// Parts that have something to read, in turn.
    ready: VecDeque<u64>,
    waits: FuturesUnordered<BoxFuture<'static, (u64, Result<(), SourceError>)>>,
    next_list: Instant,
    /// Outstanding records that were gone when reading began.
    expired: u64,
}

#[derive(Debug)]
struct State {
    /// Where it is read next.
    from: u64,
    /// When the record there arrived, where there is one.
    next_arrived: Option<Timestamp>,
    parents: Vec<u64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A parent is not read to its end.
    Held,
    /// In `waits`.
    Waiting,
    /// In `ready`.
    Ready,
    Ended,
}

impl Reading {
    /// Begins where `checkpoint` says, which learns of parts that are new.
    pub(crate) async fn open(
        source: Arc<dyn RecordSource>,
        checkpoint: &mut Checkpoint,
        now: Instant,
    ) -> Result<Self, SourceError> {
        let listed = source.parts().await?;
        let lost = checkpoint.be_born_again(listed.life);
        let mut reading = Self {
            source,
            life: listed.life,
            parts: BTreeMap::new(),
            ready: VecDeque::new(),
            waits: FuturesUnordered::new(),
            next_list: now + LIST_INTERVAL,
            expired: 0,
        };
        let is_listed = |number| listed.parts.iter().any(|part| part.number == number);
        reading.expired = lost + checkpoint.progress.give_up_parts(is_listed);
        reading.take_list(listed, checkpoint).await?;
        Ok(reading)
    }

    /// Takes in the list of parts: new ones are begun, those that are gone and settled forgotten.
    async fn take_list(
        &mut self,
        listed: Parts,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), SourceError> {
        for part in &listed.parts {
            if self.parts.contains_key(&part.number) {
                continue;
            }
            let known = checkpoint.progress.part(part.number);
            let (from, has_ended) = if let Some(known) = known {
                // What is outstanding is read again; a part read to its end may have some.
                (known.cursor(), known.is_done())
            } else {
                let start = self.source.start(self.life, part.number).await?;
                checkpoint.progress.part_or(part.number, || Part::starting_at(start));
                (start, false)
            };
            let phase = if has_ended { Phase::Ended } else { Phase::Held };
            let parents = part.parents.clone();
            let state = State { from, next_arrived: None, parents, phase };
            self.parts.insert(part.number, state);
        }
        let is_listed = |number| listed.parts.iter().any(|part| part.number == number);
        self.parts.retain(|number, state| state.phase != Phase::Ended || is_listed(*number));
        checkpoint.progress.forget_parts(is_listed);
        self.release();
        Ok(())
    }

    /// Lets parts go whose parents are all read to their ends, or gone.
    fn release(&mut self) {
        let parts = &self.parts;
        let is_read =
            |parent: &u64| parts.get(parent).is_none_or(|state| state.phase == Phase::Ended);
        let is_free =
            |state: &State| state.phase == Phase::Held && state.parents.iter().all(is_read);
        let free: Vec<u64> =
            parts.iter().filter(|(_, state)| is_free(state)).map(|(number, _)| *number).collect();
        for number in free {
            self.make_ready(number);
        }
    }

    fn make_ready(&mut self, number: u64) {
        if let Some(state) = self.parts.get_mut(&number) {
            state.phase = Phase::Ready;
            self.ready.push_back(number);
        }
    }

    fn wait(&mut self, number: u64, rest: Option<Duration>) {
        let Some(state) = self.parts.get_mut(&number) else { return };
        state.phase = Phase::Waiting;
        let (source, life, from) = (Arc::clone(&self.source), self.life, state.from);
        self.waits.push(Box::pin(async move {
            if let Some(rest) = rest {
                tokio::time::sleep(rest).await;
            }
            let outcome = source.changed(life, number, from).await;
            (number, outcome)
        }));
    }

    /// Whether a read would find something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Waits until [`Self::is_ready`] may have changed. Dropping it loses nothing.
    pub(crate) async fn ready(&mut self) {
        match self.waits.next().await {
            // Where waiting failed, the read says why, and is what is tried again.
            Some((number, Ok(()) | Err(_))) => self.make_ready(number),
            None => std::future::pending().await,
        }
    }

    /// When the list of parts is to be looked at again.
    pub(crate) fn next_list(&self) -> Instant {
        self.next_list
    }

    /// Looks at the list of parts.
    pub(crate) async fn list(
        &mut self,
        checkpoint: &mut Checkpoint,
        now: Instant,
    ) -> Result<(), SourceError> {
        self.next_list = now + RETRY_AFTER;
        let listed = self.source.parts().await?;
        if listed.life != self.life {
            return Err(SourceError::StreamNotFound);
        }
        self.take_list(listed, checkpoint).await?;
        self.next_list = now + LIST_INTERVAL;
        Ok(())
    }

    /// Reads a page of the part whose turn it is; `None` where none is ready.
    pub(crate) async fn read(&mut self) -> Result<Option<Arrival>, SourceError> {
        let Some(part) = self.ready.front().copied() else { return Ok(None) };
        let Some(from) = self.parts.get(&part).map(|state| state.from) else {
            self.ready.pop_front();
            return Ok(None);
        };
        let outcome = self.source.read(self.life, part, from, PAGE).await;
        self.ready.pop_front();
        let page = match outcome {
            Ok(page) => page,
            Err(SourceError::ShardNotFound(_)) => {
                // All of it has expired: it ends here, and its children may begin.
                let next = from;
                Page { next, has_ended: true, ..Page::default() }
            }
            Err(error) => {
                self.wait(part, Some(RETRY_AFTER));
                return Err(error);
            }
        };
        let state = self.parts.get_mut(&part).expect("it was there before the read");
        (state.from, state.next_arrived) = (page.next, page.next_arrived);
        if page.has_ended {
            state.phase = Phase::Ended;
            // Its children are in the list by now.
            self.next_list = Instant::now();
            self.release();
        } else if page.next_arrived.is_some() {
            self.make_ready(part);
        } else {
            self.wait(part, None);
        }
        Ok(Some(Arrival { part, from, page }))
    }

    /// Where a part is read next.
    pub(crate) fn position(&self, part: u64) -> Option<u64> {
        self.parts.get(&part).map(|state| state.from)
    }

    /// When the oldest record arrived that is known not to be read.
    pub(crate) fn oldest_unread(&self) -> Option<Timestamp> {
        self.parts.values().filter_map(|state| state.next_arrived).min()
    }

    /// Outstanding records that had expired, part and all, when reading began.
    pub(crate) fn expired(&self) -> u64 {
        self.expired
    }

    /// What is read.
    pub(crate) fn source(&self) -> &Arc<dyn RecordSource> {
        &self.source
    }
}
