//! What happened, twice: the history that clients saw, for the checker, and the trace of
//! everything with its time, for people and for the test that a seed is a world.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::SimClock;
use crate::history::{Event, History};

/// How often something happened that a tame world would lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Power cuts.
    pub power_cuts: usize,
    /// Deaths of the process only.
    pub kills: usize,
    /// Orderly stops.
    pub stops: usize,
    /// Clock jumps.
    pub clock_jumps: usize,
    /// Times that syncs were made to fail.
    pub sync_failures: usize,
    /// Times that the disk was full.
    pub disks_full: usize,
    /// Times that the network was cut.
    pub partitions: usize,
    /// Acknowledged splits, merges and changes of the shard count.
    pub reshards: usize,
    /// Acknowledged changes of settings.
    pub settings: usize,
    /// Requests that the network lost.
    pub requests_lost: usize,
    /// Answers that the network lost.
    pub answers_lost: usize,
    /// Handlers dropped half-way because their client went away.
    pub handlers_dropped: usize,
    /// Calls that the service answered with an error.
    pub faults: usize,
    /// Records pushed to subscribers.
    pub pushed: usize,
    /// Ends of shards met by live readers.
    pub shard_ends: usize,
}

#[derive(Debug, Default)]
struct Books {
    history: History,
    trace: String,
    tally: Tally,
}

/// Both books, shared by all actors.
#[derive(Clone, Debug)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    clock: Arc<SimClock>,
}

impl Ledger {
    /// Empty books.
    pub fn new(clock: Arc<SimClock>) -> Self {
        Self { books: Arc::default(), clock }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Books) -> T) -> T {
        work(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what a client saw, in both books.
    pub fn note(&self, event: Event) {
        self.say("client", &format!("{event:?}"));
        self.with(|books| books.history.note(event));
    }

    /// Notes something that no client saw, in the trace only.
    pub fn say(&self, who: &str, what: &str) {
        let line = format!("{:>8} {who}: {what}\n", self.clock.elapsed_ms());
        self.with(|books| books.trace.push_str(&line));
    }

    /// Counts.
    pub fn count(&self, what: impl FnOnce(&mut Tally)) {
        self.with(|books| what(&mut books.tally));
    }

    /// Closes the books.
    pub fn close(&self) -> (History, String, Tally) {
        self.with(|books| {
            let books = std::mem::take(books);
            (books.history, books.trace, books.tally)
        })
    }
}
