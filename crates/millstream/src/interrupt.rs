//! Ctrl-C in commands that have something to finish or to put back: a report, a stream, a
//! directory.
//!
//! Invariant: once somebody listens, a signal no longer ends the process by itself; so whoever
//! listens must come to an end at the second one, whatever is under way.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{Exit, Failure, Outcome};

/// Counts the signals that ask to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// Starts counting.
    pub(crate) fn listen() -> Outcome<Self> {
        let failed =
            |error: std::io::Error| Failure::failed(format!("cannot wait for signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = count.closed() => return,
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(counted))
    }

    /// Waits for the first signal: finish what can be finished.
    pub(crate) async fn first(&self) {
        self.at_least(1).await;
    }

    /// Waits for the second signal: put back what must be, and end.
    pub(crate) async fn second(&self) {
        self.at_least(2).await;
    }

    async fn at_least(&self, wanted: u32) {
        let mut counted = self.0.clone();
        if counted.wait_for(|count| *count >= wanted).await.is_err() {
            // Nobody counts any more, so no further signal can come.
            std::future::pending::<()>().await;
        }
    }
}

/// How a command ends that was told to stop before it was done.
pub(crate) fn interrupted() -> Failure {
    Failure { exit: Exit::Interrupted, message: "interrupted".to_owned(), advice: None }
}
