//! What one run of a query may use: steps, memory, nesting and stack.
//!
//! A query's author must not be able to hang or kill the server, and the interpreter cannot be
//! asked to stop. But it asks us for its program at every term it evaluates, and values are ours:
//! both count here, and whatever goes beyond its limit unwinds out of the interpreter, to
//! [`run`]. Nothing in between can catch that (`try` of the query's language sees errors, not
//! unwinding), and a run leaves nothing behind but memory that unwinding frees.
//!
//! The counts are the thread's own, as comparing and collecting values take no context: one run
//! at a time per thread, from start to end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How deep values may nest. Walking them, and dropping them, recurses that deep.
pub(super) const DEPTH_MAX: usize = 128;

/// Stack that a run may use; what runs queries has 2 MiB (tokio's workers, Rust's threads), and
/// unwinding and dropping need some themselves.
const STACK_BYTES_MAX: usize = 512 * 1024;

/// How long the path of a value may become that does not exist: `path(until(false; .a))` of null
/// goes on for ever, and dropping a path recurses as deep as it is long.
const PATH_STEPS_MAX: u32 = 1_000;

/// What a run went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Steps,
    Memory,
    Depth,
    Stack,
    Path,
}

/// Why a run gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Stopped(Stop),
    /// A defect of the interpreter or of ours.
    Panicked,
}

/// What a run may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Terms evaluated, elements collected, visited or compared, and each 256 bytes of text.
    pub(super) steps: u64,
    /// Bytes of text, elements and entries held at once.
    pub(super) bytes: u64,
}

struct Meter {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    /// The address that the stack, which grows down, must not reach.
    stack_end: Cell<usize>,
    path_steps: Cell<u32>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            steps: Cell::new(u64::MAX),
            bytes: Cell::new(u64::MAX),
            stack_end: Cell::new(0),
            path_steps: Cell::new(u32::MAX),
        }
    };
}

/// Runs `work` within `limits`.
pub(super) fn run<T>(limits: Limits, work: impl FnOnce() -> T) -> Result<T, Failure> {
    METER.with(|meter| {
        meter.steps.set(limits.steps);
        meter.bytes.set(limits.bytes);
        meter.stack_end.set(stack_address().saturating_sub(STACK_BYTES_MAX));
        meter.path_steps.set(u32::MAX);
    });
    // What unwinding leaves half done is the run's own, and is dropped.
    let result = catch_unwind(AssertUnwindSafe(work));
    METER.with(|meter| {
        meter.steps.set(u64::MAX);
        meter.bytes.set(u64::MAX);
        meter.stack_end.set(0);
        meter.path_steps.set(u32::MAX);
    });
    result.map_err(|payload| match payload.downcast_ref::<Stop>() {
        Some(stop) => Failure::Stopped(*stop),
        None => Failure::Panicked,
    })
}

/// Unwinds out of the run. Not a panic: no message, no hook.
pub(super) fn stop(stop: Stop) -> ! {
    resume_unwind(Box::new(stop))
}

/// Counts a term that is evaluated.
#[inline]
pub(super) fn term() {
    METER.with(|meter| {
        if stack_address() < meter.stack_end.get() {
            stop(Stop::Stack);
        }
        take(&meter.steps, 1, Stop::Steps);
    });
}

/// Counts `steps` of work within a term.
#[inline]
pub(super) fn spend(steps: usize) {
    METER.with(|meter| take(&meter.steps, steps as u64, Stop::Steps));
}

/// Counts work on `bytes` of text, which is about as fast as this.
#[inline]
pub(super) fn spend_text(bytes: usize) {
    spend(bytes / 256 + 1);
}

/// Counts a step of a path into what does not exist.
pub(super) fn path_step() {
    METER.with(|meter| match meter.path_steps.get().checked_sub(1) {
        Some(left) => meter.path_steps.set(left),
        None => stop(Stop::Path),
    });
}

/// Evaluates one step of an iterator of paths, whose paths so far have `used` steps.
pub(super) fn along_path<T>(used: &mut u32, next: impl FnOnce() -> T) -> T {
    METER.with(|meter| {
        let outside = meter.path_steps.replace(PATH_STEPS_MAX.saturating_sub(*used));
        let result = next();
        *used = PATH_STEPS_MAX - meter.path_steps.replace(outside);
        result
    })
}

/// Nesting one deeper than `inner`.
pub(super) fn deeper(inner: usize) -> usize {
    if inner >= DEPTH_MAX {
        stop(Stop::Depth);
    }
    inner + 1
}

/// Memory that a value holds; given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Held(usize);

impl Held {
    /// Holds `bytes`, or stops the run.
    pub(super) fn new(bytes: usize) -> Self {
        let mut held = Self::default();
        held.set(bytes);
        held
    }

    /// Holds `bytes` from now on, or stops the run.
    pub(super) fn set(&mut self, bytes: usize) {
        METER.with(|meter| {
            if bytes > self.0 {
                take(&meter.bytes, (bytes - self.0) as u64, Stop::Memory);
            } else {
                give(&meter.bytes, (self.0 - bytes) as u64);
            }
        });
        self.0 = bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        METER.with(|meter| give(&meter.bytes, self.0 as u64));
    }
}

#[inline]
fn take(left: &Cell<u64>, count: u64, beyond: Stop) {
    let Some(rest) = left.get().checked_sub(count) else {
        left.set(0);
        stop(beyond)
    };
    left.set(rest);
}

fn give(left: &Cell<u64>, count: u64) {
    left.set(left.get().saturating_add(count));
}

/// About where the stack ends here.
#[inline]
fn stack_address() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&marker)).addr()
}
