//! Who runs the lane: two threads in production, one task in a simulation.
//!
//! Owns the queue's draining and the waits. Both drivers call the same lane and background; they
//! differ in how they wait only.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::destage::Destager;
use super::lane::{Command, Lane, Refusal, refuse_all};
use super::state::Shared;
use super::wal::{Pool, PoolFailure};

/// How the engine's own work runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// On two threads of its own: one writes and syncs, one destages.
    #[default]
    Thread,
    /// As one task of the tokio runtime that opens it, step by step and deterministic: for
    /// simulations on a single-threaded runtime.
    Task,
}

/// How long the background waits before it looks again whether there is space.
const NO_SPACE_PATIENCE: Duration = Duration::from_millis(500);

/// A batch of commands for one commit.
#[derive(Debug, Default)]
struct Gathered {
    commands: Vec<Command>,
    bytes: usize,
    /// Whether the last command asks to close.
    closing: bool,
}

/// The queue, and the one command that did not fit the commit before.
struct Queue {
    receiver: mpsc::Receiver<Command>,
    held: Option<Command>,
    commit_bytes_max: usize,
}

impl Queue {
    fn new(receiver: mpsc::Receiver<Command>, commit_bytes_max: usize) -> Self {
        Self { receiver, held: None, commit_bytes_max }
    }

    /// `first` and everything that waits behind it, up to the size of a commit.
    fn gather(&mut self, first: Command) -> Gathered {
        let mut gathered = Gathered::default();
        let mut next = Some(first);
        while let Some(command) = next {
            let cost = command.cost();
            if !gathered.commands.is_empty() && gathered.bytes + cost > self.commit_bytes_max {
                self.held = Some(command);
                return gathered;
            }
            gathered.bytes += cost;
            gathered.closing = matches!(command, Command::Close { .. });
            gathered.commands.push(command);
            if gathered.closing {
                return gathered;
            }
            next = self.receiver.try_recv().ok();
        }
        gathered
    }
}

/// The threads of one engine; joined when the engine is dropped.
#[derive(Debug)]
pub(super) struct Threads {
    lane: Option<JoinHandle<()>>,
    background: Option<JoinHandle<()>>,
    pool: Arc<Pool>,
}

impl Threads {
    pub(super) fn start(
        lane: Lane,
        destager: Destager,
        receiver: mpsc::Receiver<Command>,
    ) -> std::io::Result<Self> {
        let pool = Arc::clone(&lane.pool);
        let background_pool = Arc::clone(&pool);
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let background =
            named("log-background").spawn(move || run_background(destager, &background_pool))?;
        let lane = named("log-lane").spawn(move || run_lane(lane, receiver))?;
        Ok(Self { lane: Some(lane), background: Some(background), pool })
    }

    /// Waits until both threads are gone. The queue must be closed.
    pub(super) fn join(&mut self) {
        if let Some(lane) = self.lane.take() {
            // A panic there has been reported by the panic hook.
            let _ = lane.join();
        }
        self.pool.close();
        if let Some(background) = self.background.take() {
            let _ = background.join();
        }
    }
}

fn stopped(lane: &Lane) -> Refusal {
    let reason = lane.shared.latch_reason();
    Refusal::Stopped(reason.unwrap_or_else(|| "it was closed".to_owned()))
}

/// Stops the engine when its thread ends, be it by a panic: nobody must wait for it for ever.
struct StopAtEnd {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.shared.latch("its thread has ended");
        self.pool.fail(PoolFailure::Stopped);
    }
}

fn run_lane(mut lane: Lane, receiver: mpsc::Receiver<Command>) {
    let _stop = StopAtEnd { shared: Arc::clone(&lane.shared), pool: Arc::clone(&lane.pool) };
    let mut queue = Queue::new(receiver, lane.shared.settings.commit_bytes_max);
    while let Some(first) = queue.held.take().or_else(|| queue.receiver.blocking_recv()) {
        let mut gathered = queue.gather(first);
        let close = if gathered.closing { gathered.commands.pop() } else { None };
        let mut outcome = Ok(());
        while outcome.is_ok() && lane.shared.latch_reason().is_none() {
            match lane.make_room(gathered.bytes) {
                Ok(true) => break,
                Ok(false) => outcome = lane.pool.wait_for_spare(),
                Err(failure) => outcome = Err(failure),
            }
        }
        let commit = match outcome {
            Ok(()) => lane.write(gathered.commands),
            Err(PoolFailure::NoSpace) => lane.refuse_for_space(gathered.commands),
            Err(PoolFailure::Stopped) => refuse_all(gathered.commands, stopped(&lane)),
        };
        lane.publish(commit);
        if let Some(close) = close {
            lane.retire_current();
            let destaged = lane.pool.wait_until_destaged();
            finish(&mut lane, close, destaged);
            return;
        }
    }
}

/// Answers whoever asked to close.
fn finish(lane: &mut Lane, close: Command, destaged: Result<(), PoolFailure>) {
    let outcome = destaged.map_err(|failure| match failure {
        PoolFailure::NoSpace => Refusal::NoSpace,
        PoolFailure::Stopped => stopped(lane),
    });
    let outcome = match lane.shared.latch_reason() {
        Some(reason) => Err(Refusal::Stopped(reason)),
        None => outcome,
    };
    lane.shared.latch("it was closed");
    match outcome {
        Ok(()) => close.give_closed(),
        Err(refusal) => close.refuse(&refusal),
    }
}

fn run_background(mut destager: Destager, pool: &Arc<Pool>) {
    let _stop = StopAtEnd { shared: Arc::clone(&destager.shared), pool: Arc::clone(pool) };
    let mut seen = 0;
    loop {
        let patience = match destager.step() {
            Ok(true) => continue,
            Ok(false) => None,
            Err(PoolFailure::Stopped) => {
                pool.fail(PoolFailure::Stopped);
                return;
            }
            Err(PoolFailure::NoSpace) => {
                pool.fail(PoolFailure::NoSpace);
                Some(NO_SPACE_PATIENCE)
            }
        };
        match pool.wait_for_call(seen, patience) {
            Some(calls) => seen = calls,
            None => return,
        }
    }
}

/// Runs lane and background by turns until the queue is closed.
pub(super) async fn run_task(
    mut lane: Lane,
    mut destager: Destager,
    receiver: mpsc::Receiver<Command>,
) {
    let mut queue = Queue::new(receiver, lane.shared.settings.commit_bytes_max);
    // After a failure the background rests until there is a new command.
    let mut resting = false;
    loop {
        let first = match queue.held.take() {
            Some(command) => Some(command),
            None if destager.has_work() && !resting => match queue.receiver.try_recv() {
                Ok(command) => Some(command),
                Err(mpsc::error::TryRecvError::Empty) => None,
                Err(mpsc::error::TryRecvError::Disconnected) => return,
            },
            None => match queue.receiver.recv().await {
                Some(command) => Some(command),
                None => return,
            },
        };
        if let Some(first) = first {
            resting = false;
            if run_commit(&mut lane, &mut destager, &mut queue, first).await {
                return;
            }
        }
        if !resting && destager.has_work() {
            resting = destager.step().is_err();
        }
        tokio::task::yield_now().await;
    }
}

/// One commit of the task driver; says whether the engine is closed.
async fn run_commit(
    lane: &mut Lane,
    destager: &mut Destager,
    queue: &mut Queue,
    first: Command,
) -> bool {
    let mut gathered = queue.gather(first);
    let close = if gathered.closing { gathered.commands.pop() } else { None };
    let mut outcome = Ok(());
    while outcome.is_ok() && lane.shared.latch_reason().is_none() {
        match lane.make_room(gathered.bytes) {
            Ok(true) => break,
            Ok(false) => outcome = step_or_stall(destager),
            Err(failure) => outcome = Err(failure),
        }
    }
    let commit = match outcome {
        Ok(()) => lane.write(gathered.commands),
        Err(PoolFailure::NoSpace) => lane.refuse_for_space(gathered.commands),
        Err(PoolFailure::Stopped) => refuse_all(gathered.commands, stopped(lane)),
    };
    if let Some(delay) = lane.shared.storage.sync_delay() {
        #[allow(clippy::disallowed_methods)] // Simulated time: the disk's own.
        tokio::time::sleep(delay).await;
    }
    lane.publish(commit);
    let Some(close) = close else { return false };
    lane.retire_current();
    let mut destaged = Ok(());
    while destaged.is_ok() && lane.pool.with(|state| !state.full.is_empty()) {
        destaged = step_or_stall(destager);
    }
    finish(lane, close, destaged);
    true
}

/// A step of the background, which must have one to do.
fn step_or_stall(destager: &mut Destager) -> Result<(), PoolFailure> {
    let stepped = destager.step()?;
    assert!(stepped, "a lane without room leaves the background something to do");
    Ok(())
}
