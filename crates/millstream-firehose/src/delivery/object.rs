//! The bytes of an object, made while it is put.
//!
//! Owns the iterators between a buffer and a bucket: records one after another, compressed; rows
//! of a columnar file; documents of the error output. They run on a thread that may block, hold a
//! chunk at a time, and leave behind what the courier has to know of what they read.
//!
//! Invariant: the same buffer gives the same bytes, however often it is put.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millstream_columnar::{ConversionError, Writer};
use millstream_destinations::Failure;
use millstream_destinations::objects::Chunks;
use millstream_formats::compression::{Compression, Compressor};

use super::buffer::{Buffer, Cursor};
use super::compressors::Compressors;
use super::frame::Entry;
use super::gauge::Gauge;
use super::ids::Ids;
use super::refused::{self, Attempts, Form};
use crate::plan::SchemaSource;

/// Bytes handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What an object turned out to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// All records that were read, whatever became of them.
    pub(super) ids: Ids,
    /// Bytes of the object.
    pub(super) bytes: u64,
    /// The records that could not be converted, by their place in the buffer.
    pub(super) failed: Failed,
}

/// Records that are not in the object.
#[derive(Clone, Debug, Default)]
pub(super) struct Failed {
    places: Places,
    /// What is in them, for the name of their error object.
    pub(super) gauge: Option<Gauge>,
}

/// Places in a buffer, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Ids);

impl Places {
    pub(super) fn push(&mut self, place: u64) {
        self.0.push(millstream_destinations::DocumentId { part: 0, position: place, index: 0 });
    }

    pub(super) fn count(&self) -> u64 {
        self.0.count()
    }

    fn to_vec(&self) -> Vec<u64> {
        self.0.iter().map(|id| id.position).collect()
    }
}

impl Failed {
    pub(super) fn add(&mut self, place: u64, entry: &Entry) {
        self.places.push(place);
        match &mut self.gauge {
            Some(gauge) => gauge.add(entry),
            None => self.gauge = Some(Gauge::of(entry, tokio::time::Instant::now())),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.places.count()
    }
}

/// Where an iterator leaves what the courier has to know, once it was read to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Slip(Arc<Mutex<Option<Contents>>>);

impl Slip {
    fn fill(&self, contents: Contents) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(contents);
    }

    /// What the object holds; `None` where it was not read to its end.
    pub(super) fn take(&self) -> Option<Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Makes the bytes of something out of entries.
trait Maker: Send {
    /// Takes an entry in; false where it refuses it.
    fn push(&mut self, place: u64, entry: &Entry) -> bool;
    /// What is ready.
    fn ready(&mut self) -> Vec<Bytes>;
    /// Whether enough is ready to be worth handing on.
    fn is_ready(&self) -> bool;
    /// The rest; `None` where there is nothing to make an object of.
    fn finish(self: Box<Self>) -> Option<Vec<Bytes>>;
}

struct Object {
    cursor: Cursor,
    place: u64,
    maker: Option<Box<dyn Maker>>,
    queue: std::collections::VecDeque<Bytes>,
    contents: Contents,
    slip: Slip,
}

impl Object {
    /// Reads on until something is ready; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(maker) = &mut self.maker else { return Ok(false) };
        while let Some(entry) = self.cursor.next()? {
            self.contents.ids.push(entry.id);
            if !maker.push(self.place, &entry) {
                self.contents.failed.add(self.place, &entry);
            }
            self.place += 1;
            if maker.is_ready() {
                self.queue.extend(maker.ready());
                return Ok(true);
            }
        }
        let maker = self.maker.take().expect("it was there just now");
        let rest = maker.finish();
        let is_empty = rest.is_none();
        self.queue.extend(rest.into_iter().flatten().filter(|chunk| !chunk.is_empty()));
        let mut contents = std::mem::take(&mut self.contents);
        contents.bytes += self.queue.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        self.slip.fill(contents);
        // An object without a record is not put: the error ends the put, and the slip says why.
        if is_empty { Err(io::Error::other("no record is left to put")) } else { Ok(true) }
    }
}

impl Iterator for Object {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                if self.maker.is_some() {
                    self.contents.bytes += chunk.len() as u64;
                }
                return Some(Ok(chunk));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.maker = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn chunks(buffer: &Arc<Buffer>, maker: Box<dyn Maker>) -> (Chunks, Slip) {
    let slip = Slip::default();
    let object = Object {
        cursor: Cursor::new(Arc::clone(buffer)),
        place: 0,
        maker: Some(maker),
        queue: std::collections::VecDeque::new(),
        contents: Contents::default(),
        slip: slip.clone(),
    };
    (Box::new(object), slip)
}

/// Records one after another.
struct Plain(Compressor);

impl Maker for Plain {
    fn push(&mut self, _: u64, entry: &Entry) -> bool {
        self.0.write(&entry.data);
        true
    }

    fn ready(&mut self) -> Vec<Bytes> {
        vec![self.0.take()]
    }

    fn is_ready(&self) -> bool {
        self.0.ready_bytes() >= CHUNK_BYTES
    }

    fn finish(self: Box<Self>) -> Option<Vec<Bytes>> {
        Some(vec![self.0.finish()])
    }
}

/// How an object is compressed, and with whose help.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    pub(super) compression: Compression,
    pub(super) workers: Arc<Compressors>,
}

impl Packing {
    fn compressor(&self, key: &str) -> Compressor {
        Compressor::helped(self.compression, entry_name(key), Arc::clone(&self.workers) as _)
    }
}

/// An object of records as they are.
pub(super) fn plain(buffer: &Arc<Buffer>, packing: &Packing, key: &str) -> (Chunks, Slip) {
    chunks(buffer, Box::new(Plain(packing.compressor(key))))
}

/// What the entry of a zip archive is called: the object's name without its folders.
fn entry_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// Rows of a columnar file.
struct Columns {
    writer: Writer,
    ready: Vec<Bytes>,
}

impl Maker for Columns {
    fn push(&mut self, _: u64, entry: &Entry) -> bool {
        let is_taken = self.writer.push(&entry.data).is_ok();
        self.ready.extend(self.writer.take());
        is_taken
    }

    fn ready(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.ready)
    }

    fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn finish(mut self: Box<Self>) -> Option<Vec<Bytes>> {
        if self.writer.rows() == 0 {
            return None;
        }
        self.ready.extend(self.writer.finish());
        Some(self.ready)
    }
}

/// An object of rows. What cannot be converted is left out and told.
pub(super) fn columns(buffer: &Arc<Buffer>, writer: Writer) -> (Chunks, Slip) {
    chunks(buffer, Box::new(Columns { writer, ready: Vec::new() }))
}

/// Why a record is in the error output.
pub(super) type Reason = Box<dyn FnMut(u64, &Entry) -> Option<(Failure, u32)> + Send>;

/// How documents are written.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Processing,
    Conversion(SchemaSource),
    Destination,
    HttpEndpoint,
    Splunk,
}

/// Documents of the error output.
struct Documents {
    compressor: Compressor,
    shape: Shape,
    reason: Reason,
    ended: millstream_core::Timestamp,
    text: String,
    count: u64,
}

impl Maker for Documents {
    fn push(&mut self, place: u64, entry: &Entry) -> bool {
        let Some((failure, made)) = (self.reason)(place, entry) else { return true };
        let form = match &self.shape {
            Shape::Processing => Form::Processing { lambda_arn: None },
            Shape::Conversion(table) => Form::Conversion(table),
            Shape::Destination => Form::Destination,
            Shape::HttpEndpoint => Form::HttpEndpoint,
            Shape::Splunk => Form::Splunk,
        };
        self.text.clear();
        let attempts = Attempts { made, ended: self.ended };
        refused::write(entry, &failure, attempts, form, &mut self.text);
        self.compressor.write(self.text.as_bytes());
        self.count += 1;
        true
    }

    fn ready(&mut self) -> Vec<Bytes> {
        vec![self.compressor.take()]
    }

    fn is_ready(&self) -> bool {
        self.compressor.ready_bytes() >= CHUNK_BYTES
    }

    fn finish(self: Box<Self>) -> Option<Vec<Bytes>> {
        (self.count > 0).then(|| vec![self.compressor.finish()])
    }
}

/// How an object of the error output is written.
#[derive(Clone, Debug)]
pub(super) struct DocumentStyle {
    pub(super) packing: Packing,
    pub(super) shape: Shape,
    /// When the last attempt ended.
    pub(super) ended: millstream_core::Timestamp,
}

/// An object of documents, one for each record that `reason` has a reason for.
pub(super) fn documents(
    buffer: &Arc<Buffer>,
    style: &DocumentStyle,
    reason: Reason,
    key: &str,
) -> (Chunks, Slip) {
    let documents = Documents {
        compressor: style.packing.compressor(key),
        shape: style.shape.clone(),
        reason,
        ended: style.ended,
        text: String::new(),
        count: 0,
    };
    chunks(buffer, Box::new(documents))
}

/// All records have the same reason.
pub(super) fn same_reason(failure: Failure, attempts: u32) -> Reason {
    Box::new(move |_, _| Some((failure.clone(), attempts)))
}

/// Asks for those that failed alone.
fn of_places(
    failed: &Failed,
    mut reason: impl FnMut(u64, &Entry) -> Option<(Failure, u32)> + Send + 'static,
) -> Reason {
    let mut places = failed.places.to_vec().into_iter().peekable();
    Box::new(move |place, entry| {
        places.next_if(|next| *next == place)?;
        reason(place, entry)
    })
}

/// The reasons of records that a conversion refused: they are asked for once more, since keeping
/// them all would take more memory than the records.
pub(super) fn conversion_reason(failed: &Failed, mut scratch: Writer) -> Reason {
    of_places(failed, move |_, entry| {
        let error: ConversionError = scratch.push(&entry.data).err()?;
        Some((Failure::permanent(error.code, error.message), 1))
    })
}

/// Reasons by place, ascending.
pub(super) fn listed_reasons(reasons: Vec<(u64, Arc<Failure>, u32)>) -> Reason {
    let mut reasons = reasons.into_iter().peekable();
    Box::new(move |place, _| {
        let (_, failure, attempts) = reasons.next_if(|(next, ..)| *next == place)?;
        Some((Failure::clone(&failure), attempts))
    })
}
