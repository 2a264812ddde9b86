//! Deflate, in blocks that know nothing of one another's output.
//!
//! Owns the cutting of an object's input into blocks of one size, and their way through the codec:
//! on the thread that writes, or on workers' where some are free, whose results are put together
//! in order. Each block may refer to the 32 KiB before it, so little is lost by cutting; all but
//! the last end at a whole byte (a sync flush). Together they are one deflate stream.
//!
//! Invariants: the output is a function of the input alone, whoever worked on it; and no more than
//! a few blocks wait inside, whatever the workers do. Source: RFC 1951; the scheme is that of pigz.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Compress, Crc, FlushCompress, Status};

use super::{BLOCK_BYTES, INFALLIBLE, Workers};

/// The level of GZIP and ZIP: gzip's own default, so that sizes are what `gzip` would give.
const DEFLATE_LEVEL: u32 = 6;

/// How far back deflate may refer.
const WINDOW_BYTES: usize = 32 * 1024;

/// Room that an output has at least when it goes on: more than a flush takes, or it would be made
/// twice.
const ROOM_BYTES_MIN: usize = 16 * 1024;

/// One deflate stream, and the checksum of what is in it.
pub(super) struct Blocks {
    workers: Option<Arc<dyn Workers>>,
    /// Input of the next block, at most [`BLOCK_BYTES`].
    stage: Vec<u8>,
    /// The end of the input before `stage`.
    window: Vec<u8>,
    /// Blocks that are compressed or being so, in order.
    under_way: VecDeque<UnderWay>,
    /// Of `under_way`, how many there may be.
    under_way_max: usize,
    output: Vec<u8>,
    crc: Crc,
    data_bytes: u64,
    /// States of the codec that nobody uses now.
    idle: Vec<Compress>,
}

/// A block to compress.
struct Task {
    codec: Compress,
    window: Vec<u8>,
    input: Vec<u8>,
    is_last: bool,
}

/// A block that was compressed.
struct Done {
    codec: Compress,
    output: Vec<u8>,
    crc: Crc,
}

enum UnderWay {
    Done(Done),
    /// Who begins it takes it out, so that whoever waits for one that nobody began does it.
    Lent(Arc<Mutex<Option<Task>>>, Receiver<Done>),
}

impl Blocks {
    /// A stream behind `head`.
    pub(super) fn new(head: Vec<u8>, workers: Option<Arc<dyn Workers>>) -> Self {
        let count = workers.as_ref().map_or(0, |workers| workers.count());
        Self {
            workers,
            stage: Vec::new(),
            window: Vec::new(),
            under_way: VecDeque::new(),
            under_way_max: super::blocks_max(count),
            output: head,
            crc: Crc::new(),
            data_bytes: 0,
            idle: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, mut data: &[u8]) {
        while self.stage.len() + data.len() >= BLOCK_BYTES {
            let (head, rest) = data.split_at(BLOCK_BYTES - self.stage.len());
            self.stage.extend_from_slice(head);
            self.send(false);
            data = rest;
        }
        self.stage.extend_from_slice(data);
    }

    /// What is ready, to be taken or added to.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.output.len()
    }

    /// Ends the stream: the rest of it, with the checksum and the count of all that was written.
    pub(super) fn finish(mut self) -> (Vec<u8>, Crc, u64) {
        self.send(true);
        while let Some(block) = self.under_way.pop_front() {
            self.land(block);
        }
        (self.output, self.crc, self.data_bytes)
    }

    /// Sends what was staged on its way.
    fn send(&mut self, is_last: bool) {
        while self.under_way.len() >= self.under_way_max
            && let Some(block) = self.under_way.pop_front()
        {
            self.land(block);
        }
        let input = std::mem::take(&mut self.stage);
        self.data_bytes += input.len() as u64;
        let next_window = input[input.len().saturating_sub(WINDOW_BYTES)..].to_vec();
        let window = std::mem::replace(&mut self.window, next_window);
        let codec = self.idle.pop().unwrap_or_else(codec);
        let task = Task { codec, window, input, is_last };
        // The last is wanted at once.
        let block = if is_last { UnderWay::Done(task.run()) } else { self.lend(task) };
        self.under_way.push_back(block);
        self.collect();
    }

    /// Gives a block to a helper; does it here where none is free.
    fn lend(&self, task: Task) -> UnderWay {
        let Some(workers) = &self.workers else { return UnderWay::Done(task.run()) };
        let task = Arc::new(Mutex::new(Some(task)));
        let (sender, receiver) = sync_channel(1);
        let lent = Arc::clone(&task);
        let is_lent = workers.try_run(Box::new(move || {
            if let Some(task) = begin(&lent) {
                // Nobody waits any more where the object was given up.
                let _ = sender.send(task.run());
            }
        }));
        if !is_lent && let Some(task) = begin(&task) {
            return UnderWay::Done(task.run());
        }
        UnderWay::Lent(task, receiver)
    }

    /// Takes in what is done, up to the first block that is not.
    fn collect(&mut self) {
        while let Some(block) = self.under_way.pop_front() {
            let block = match block {
                UnderWay::Lent(task, receiver) => match receiver.try_recv() {
                    Ok(done) => UnderWay::Done(done),
                    Err(TryRecvError::Empty) => {
                        self.under_way.push_front(UnderWay::Lent(task, receiver));
                        return;
                    }
                    Err(TryRecvError::Disconnected) => UnderWay::Lent(task, receiver),
                },
                done @ UnderWay::Done(_) => done,
            };
            self.land(block);
        }
    }

    /// Takes in the block that is next, once it is done.
    fn land(&mut self, block: UnderWay) {
        let Done { codec, output, crc } = match block {
            UnderWay::Done(done) => done,
            UnderWay::Lent(task, receiver) => match begin(&task) {
                Some(task) => task.run(),
                None => receiver.recv().expect("a helper that began a block ends it"),
            },
        };
        self.output.extend_from_slice(&output);
        self.crc.combine(&crc);
        self.idle.push(codec);
    }
}

/// Takes a block to compress it; `None` where another has begun.
fn begin(task: &Mutex<Option<Task>>) -> Option<Task> {
    task.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn codec() -> Compress {
    Compress::new(flate2::Compression::new(DEFLATE_LEVEL), false)
}

impl Task {
    fn run(self) -> Done {
        let Self { mut codec, window, input, is_last } = self;
        codec.reset();
        if !window.is_empty() {
            codec.set_dictionary(&window).expect("a raw stream takes one before its first byte");
        }
        let mut output = Vec::with_capacity(input.len() / 4 + ROOM_BYTES_MIN);
        let flush = if is_last { FlushCompress::Finish } else { FlushCompress::Sync };
        let mut taken = 0;
        loop {
            let before = codec.total_in();
            let status = codec.compress_vec(&input[taken..], &mut output, flush);
            let status = status.expect(INFALLIBLE);
            let step = codec.total_in() - before;
            taken += usize::try_from(step).expect("it took no more than it was given");
            // A flush is over when room is left behind it.
            let is_flushed = taken == input.len() && output.len() < output.capacity();
            if if is_last { status == Status::StreamEnd } else { is_flushed } {
                break;
            }
            output.reserve(ROOM_BYTES_MIN.max(output.len()));
        }
        let mut crc = Crc::new();
        crc.update(&input);
        Done { codec, output, crc }
    }
}
