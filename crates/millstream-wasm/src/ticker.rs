//! Time as modules' deadlines count it.
//!
//! Owns one thread that counts an engine's epoch up while someone works, and sleeps while nobody
//! does. Deadlines are ticks, so that a check costs a module one load and one compare.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    working: usize,
    is_over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever holds it only counts, which cannot fail half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticker(Arc<Shared>);

/// Someone works: time passes until this is dropped.
#[derive(Debug)]
pub(crate) struct Working(Arc<Shared>);

impl Ticker {
    /// Starts the thread. An error is the system's: it gives no more threads.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let run = move || {
            let mut state = own.state();
            while !state.is_over {
                state = if state.working == 0 {
                    own.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                } else {
                    let waited = own.changed.wait_timeout(state, TICK);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() {
                        tick();
                    }
                    state
                };
            }
        };
        std::thread::Builder::new().name("wasm-ticker".to_owned()).spawn(run)?;
        Ok(Self(shared))
    }

    pub(crate) fn work(&self) -> Working {
        let mut state = self.0.state();
        state.working += 1;
        if state.working == 1 {
            self.0.changed.notify_one();
        }
        Working(Arc::clone(&self.0))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.state().working -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn time_passes_while_someone_works_and_ends_with_the_ticker() {
        let (sender, receiver) = mpsc::sync_channel(0);
        // The sender goes with the thread, so that its end can be seen.
        let ticker = Ticker::start(move || {
            let _ = sender.try_send(());
        })
        .unwrap();
        let working = ticker.work();
        receiver.recv().unwrap();
        receiver.recv().unwrap();
        drop(working);
        drop(ticker);
        while receiver.recv().is_ok() {}
    }
}
