//! What happened, twice: the history that clients saw, for the checker, and the trace of
//! everything with its time, for people and for the test that a seed is a world.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::SimClock;
use crate::history::{Event, History};

macro_rules! tally {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often something happened that a tame world would lack.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Tally {
            $($(#[$doc])* pub $name: usize,)*
        }

        impl Tally {
            /// Adds what happened in another world.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Panics where something never happened: the worlds were too tame to prove much.
            pub fn assert_wild(&self) {
                $(assert!(self.$name > 0, concat!(stringify!($name), " never happened"));)*
            }
        }
    };
}

tally! {
    /// Power cuts between two calls to the disk.
    power_cuts,
    /// Power losses within a call to the disk.
    power_losses,
    /// Deaths of the process only.
    kills,
    /// Orderly stops.
    stops,
    /// Clock jumps.
    clock_jumps,
    /// Times that syncs were made to fail.
    sync_failures,
    /// Times that the disk was full.
    disks_full,
    /// Times that the network was cut.
    partitions,
    /// Acknowledged splits, merges and changes of the shard count.
    reshards,
    /// Acknowledged changes of settings.
    settings,
    /// Requests that the network lost.
    requests_lost,
    /// Answers that the network lost.
    answers_lost,
    /// Handlers dropped half-way because their client went away.
    handlers_dropped,
    /// Calls that the service answered with an error.
    faults,
    /// Records pushed to subscribers.
    pushed,
    /// Ends of shards met by live readers.
    shard_ends,
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
