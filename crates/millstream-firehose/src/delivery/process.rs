//! What is done to records before they are buffered.
//!
//! Owns the documented order: aggregates of the KPL are taken apart (of Data Streams only), then
//! decompression, CloudWatch Logs extraction, de-aggregation; then the transformation, whose
//! waiting is in `transform`; then metadata extraction and the choice of the partition; then the
//! delimiter. Pure: records in, pieces out.
//!
//! Invariant: which pieces a record has, and their numbers, follow from the record and the
//! configuration alone, so that a replay settles the very same pieces.

mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{BufMut, Bytes, BytesMut};
use millstream_core::Timestamp;
use millstream_destinations::lambda::Verdict;
use millstream_destinations::{DocumentId, Failure};
use millstream_formats::prefix::{EvaluationError, PartitionKeys, Prefix};
use millstream_formats::query::Query;
use millstream_formats::{cloudwatch, kpl, split};
use tokio::time::Instant;

use super::frame::Entry;
use super::lane::{ErrorOutput, Lane};
use super::lanes::Item;
use super::refused::{self, Attempts, Form};
use super::source::Record;
use crate::plan::{Function, Plan, Source, Split, Target};
use tables::Tables;
pub(super) use tables::{DELETE, UPDATE};

/// What one record may unpack to: sixteen times the largest that can be put.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// What one record may be taken apart into (ours): far above what producers make, five hundred
/// sub-records or ten thousand log events, and low enough that what is kept beside each fits.
const PIECES_MAX: usize = 65_536;

/// What a piece weighs beside its bytes while it is prepared.
const PIECE_BYTES: usize = 512;

/// What a record from Kafka may have (documented: "Quota"). No other source has any so large.
const RECORD_BYTES_MAX: usize = 10 << 20;

/// A piece of a record on its way.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) id: DocumentId,
    pub(super) arrived: Timestamp,
    /// What the source calls the record.
    pub(super) sequence: Option<Bytes>,
    /// The key that it was put under, as far as a source has keys.
    pub(super) partition_key: Option<Arc<str>>,
    pub(super) data: Bytes,
    /// The record as it came, where the piece is all of it and has another form by now.
    raw: Option<Bytes>,
}

/// Why a piece goes to the error output.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) output: ErrorOutput,
    pub(super) failure: Failure,
    pub(super) attempts: u32,
}

/// A record, prepared as far as can be done at once.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) position: u64,
    pub(super) arrived: Timestamp,
    /// What the backup keeps of it, where it keeps anything.
    pub(super) backup: Option<Bytes>,
    pub(super) pieces: Vec<Outcome>,
}

impl Prepared {
    /// Bytes of memory that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let bytes = |outcome: &Outcome| match outcome {
            Outcome::Item(item) => item.entry.data.len(),
            Outcome::Piece(piece) => piece.data.len(),
            Outcome::Dropped(_) => 0,
        };
        let pieces = self.pieces.iter().map(|piece| bytes(piece) + PIECE_BYTES);
        pieces.sum::<usize>() + self.backup.as_ref().map_or(0, Bytes::len)
    }
}

/// What became of a piece.
#[derive(Debug)]
pub(super) enum Outcome {
    Item(Item),
    /// To be reworked by a function.
    Piece(Piece),
    Dropped(DocumentId),
}

/// A record taken apart: each piece, or why it is none.
#[derive(Debug)]
struct Taken {
    pieces: Vec<(Piece, Option<Refusal>)>,
}

/// Does what a plan says.
#[derive(Debug)]
pub(super) struct Processor {
    is_stream: bool,
    decompress: bool,
    extract_log_messages: bool,
    split: Option<Split>,
    filter: Option<Query>,
    query: Option<Query>,
    queries: AtomicU64,
    query_ns: AtomicU64,
    /// What partitions are told apart by, where there are any.
    partitions: Option<Prefix>,
    /// Which tables there are, where records are rows.
    tables: Option<Tables>,
    append_delimiter: bool,
    lambda_arn: Option<String>,
    keeps_sequence: bool,
    /// Whether pieces go to a function out of this process.
    calls_out: bool,
    /// Whether a backup keeps source records.
    backs_up: bool,
    main: Lane,
    no_keys: Arc<PartitionKeys>,
}

/// What the query for partition keys took since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    /// Runs.
    pub(super) queries: u64,
    /// Microseconds, of all runs together.
    pub(super) us: u64,
}

/// Why a plan cannot be carried out, although it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query {query:?} cannot be used: {reason}")]
pub(super) struct BadQuery {
    query: String,
    reason: String,
}

fn query(text: &str) -> Result<Query, BadQuery> {
    let bad = |reason: String| BadQuery { query: text.to_owned(), reason };
    Query::parse(text).map_err(|error| bad(error.to_string()))
}

impl Processor {
    pub(super) fn new(plan: &Plan) -> Result<Self, BadQuery> {
        let processing = &plan.processing;
        let function = processing.transform.as_ref().map(|transform| &transform.function);
        let (filter, lambda_arn) = match function {
            Some(Function::Jq { arn, filter }) => (Some(query(filter)?), Some(arn.clone())),
            Some(Function::Lambda { arn } | Function::Wasm { arn, .. }) => {
                (None, Some(arn.clone()))
            }
            None => (None, None),
        };
        let (partitions, converts) = match &plan.target {
            Target::Objects(objects) => (
                objects.partitions_max.map(|_| objects.prefix.clone()),
                objects.conversion.is_some(),
            ),
            _ => (None, false),
        };
        let is_stream = matches!(plan.source, Source::KinesisStream { .. });
        let names_records = matches!(plan.target, Target::Http(_) | Target::Splunk(_));
        Ok(Self {
            is_stream,
            decompress: processing.decompress,
            extract_log_messages: processing.extract_log_messages,
            split: processing.split.clone(),
            filter,
            query: processing.partition_query.as_deref().map(query).transpose()?,
            queries: AtomicU64::new(0),
            query_ns: AtomicU64::new(0),
            partitions,
            tables: match &plan.target {
                Target::Iceberg(target) => Some(Tables::new(target)),
                _ => None,
            },
            append_delimiter: processing.append_delimiter,
            lambda_arn,
            keeps_sequence: is_stream && (converts || names_records),
            calls_out: matches!(function, Some(Function::Lambda { .. } | Function::Wasm { .. })),
            backs_up: plan.backup.all.is_some(),
            main: Lane::main(),
            no_keys: Arc::default(),
        })
    }

    /// Whether a record may become much more than it is, or take long: then it is not done where
    /// others wait.
    pub(super) fn is_heavy(&self) -> bool {
        self.decompress || self.query.is_some() || self.filter.is_some()
    }

    /// What the query took since this was last asked.
    pub(super) fn spent(&self) -> Spent {
        // What is below a microsecond is left for the next time.
        let us = self.query_ns.load(Relaxed) / 1_000;
        self.query_ns.fetch_sub(us * 1_000, Relaxed);
        Spent { queries: self.queries.swap(0, Relaxed), us }
    }

    /// Does all that can be done at once for a record of `part`. `now` is when that is.
    pub(super) fn prepare(&self, part: u64, record: &Record, now: Timestamp) -> Prepared {
        let taken = self.take_apart(part, record);
        let prepare = |(piece, refusal): (Piece, Option<Refusal>)| match refusal {
            Some(refusal) => Outcome::Item(self.refused(piece, &refusal, now)),
            None if self.calls_out => Outcome::Piece(piece),
            None => match self.filtered(&piece) {
                Some(verdict) => self.judged(piece, verdict, 1, now),
                None => self.routed(piece, BTreeMap::new(), now),
            },
        };
        Prepared {
            position: record.position,
            arrived: record.arrived,
            backup: self.backs_up.then(|| self.source_bytes(record)),
            pieces: taken.pieces.into_iter().map(prepare).collect(),
        }
    }

    /// What a piece becomes by the verdict of a function, which took so many attempts.
    pub(super) fn judged(
        &self,
        piece: Piece,
        verdict: Verdict,
        attempts: u32,
        now: Timestamp,
    ) -> Outcome {
        match verdict {
            Verdict::Ok { data, partition_keys } => {
                self.routed(Piece { data, raw: None, ..piece }, partition_keys, now)
            }
            Verdict::Dropped => Outcome::Dropped(piece.id),
            Verdict::Failed(failure) => {
                let refusal = Refusal { output: ErrorOutput::Processing, failure, attempts };
                Outcome::Item(self.refused(piece, &refusal, now))
            }
        }
    }

    /// What a piece becomes that a function did not answer for.
    pub(super) fn unprocessed(
        &self,
        piece: Piece,
        failure: &Failure,
        attempts: u32,
        now: Timestamp,
    ) -> Outcome {
        let failure = failure.clone();
        let refusal = Refusal { output: ErrorOutput::Processing, failure, attempts };
        Outcome::Item(self.refused(piece, &refusal, now))
    }

    fn routed(&self, piece: Piece, keys: BTreeMap<String, String>, now: Timestamp) -> Outcome {
        Outcome::Item(match self.route(piece, keys) {
            Ok(item) => item,
            Err(refused) => {
                let (piece, refusal) = *refused;
                self.refused(piece, &refusal, now)
            }
        })
    }

    /// The records that the KPL made one of: it does so in Data Streams only.
    fn aggregated(&self, data: &Bytes) -> Option<Vec<kpl::UserRecord>> {
        if self.is_stream { kpl::deaggregate(data) } else { None }
    }

    /// A record as its producers put it: an aggregate's records one after another.
    fn source_bytes(&self, record: &Record) -> Bytes {
        match self.aggregated(&record.data) {
            None => record.data.clone(),
            Some(users) => {
                let parts: Vec<Bytes> = users.into_iter().map(|user| user.data).collect();
                parts.concat().into()
            }
        }
    }

    /// Takes a record apart.
    fn take_apart(&self, part: u64, record: &Record) -> Taken {
        let mut taken = Taken { pieces: Vec::new() };
        let origin = record.origin.as_ref();
        let key: Option<Arc<str>> = origin.map(|origin| origin.partition_key.as_str().into());
        let id = DocumentId { part, position: record.position, index: 0 };
        let whole = Piece {
            id,
            arrived: record.arrived,
            sequence: origin.map(super::source::Origin::sequence),
            partition_key: key,
            data: record.data.clone(),
            raw: None,
        };
        if record.data.len() > RECORD_BYTES_MAX {
            taken.pieces.push((whole, Some(too_large(record.data.len()))));
            return taken;
        }
        match self.aggregated(&record.data) {
            None => self.unpack(whole, &mut taken),
            Some(users) if users.len() > PIECES_MAX => {
                taken.pieces.push((whole, Some(too_many_pieces())));
            }
            Some(users) => {
                for user in users {
                    let partition_key = Some(user.partition_key);
                    let piece = Piece { partition_key, data: user.data, ..whole.clone() };
                    self.unpack(piece, &mut taken);
                }
            }
        }
        for (index, (piece, _)) in (0..).zip(&mut taken.pieces) {
            piece.id.index = index;
        }
        taken
    }

    /// Decompresses and splits one record as its producer made it.
    fn unpack(&self, record: Piece, taken: &mut Taken) {
        let mut refuse = |piece: Piece, output, code: &str, message: String| {
            let failure = Failure::permanent(code, message);
            taken.pieces.push((piece, Some(Refusal { output, failure, attempts: 1 })));
        };
        let mut data = record.data.clone();
        if self.decompress {
            match cloudwatch::decompress(&data, UNPACKED_BYTES_MAX) {
                Ok(unpacked) => data = unpacked,
                Err(error) => {
                    let code = "Decompression.Failed";
                    return refuse(record, ErrorOutput::Decompression, code, error.to_string());
                }
            }
        }
        let mut pieces = vec![data];
        if self.extract_log_messages {
            match cloudwatch::messages(&pieces[0]) {
                Ok(messages) => pieces = messages,
                Err(error) => {
                    let code = "CloudWatchLogProcessing.Failed";
                    return refuse(record, ErrorOutput::Processing, code, error.to_string());
                }
            }
        }
        // A record that is not as the de-aggregation expects it goes on whole, as one of more
        // pieces than there may be does: whoever reads it next says what is wrong with it.
        let cut = |piece: Bytes| match &self.split {
            None => vec![piece],
            Some(Split::Json) => split::json(&piece).unwrap_or_else(|_| vec![piece]),
            Some(Split::Delimited(delimiter)) => split::delimited(&piece, delimiter),
        };
        let room = PIECES_MAX.saturating_sub(taken.pieces.len()).max(1);
        let pieces: Vec<Bytes> = pieces.into_iter().flat_map(cut).take(room + 1).collect();
        if pieces.len() > room {
            taken.pieces.push((record, Some(too_many_pieces())));
            return;
        }
        let is_whole = pieces.len() == 1;
        for data in pieces {
            // The error output gets a decompressed record as it came (documented).
            let raw = (self.decompress && is_whole).then(|| record.data.clone());
            taken.pieces.push((Piece { data, raw, ..record.clone() }, None));
        }
    }

    /// Runs the filter that stands for a function, where there is one: several outputs are a line
    /// each, none drops the piece.
    fn filtered(&self, piece: &Piece) -> Option<Verdict> {
        let filter = self.filter.as_ref()?;
        Some(match filter.transform(&piece.data, piece.arrived) {
            Err(error) => {
                Verdict::Failed(Failure::permanent("Jq.ProcessingFailed", error.to_string()))
            }
            Ok(outputs) if outputs.is_empty() => Verdict::Dropped,
            Ok(outputs) => {
                let data = outputs.join(&b'\n').into();
                Verdict::Ok { data, partition_keys: BTreeMap::new() }
            }
        })
    }

    /// Where a piece goes that is done with, and under which keys.
    fn route(
        &self,
        piece: Piece,
        from_lambda: BTreeMap<String, String>,
    ) -> Result<Item, Box<(Piece, Refusal)>> {
        let refuse = |piece, output, code: &str, message: String| {
            let failure = Failure::permanent(code, message);
            Err(Box::new((piece, Refusal { output, failure, attempts: 1 })))
        };
        let mut keys = PartitionKeys { from_query: BTreeMap::new(), from_lambda };
        if let Some(query) = &self.query {
            let begun = Instant::now();
            let found = query.partition_keys(&piece.data, piece.arrived);
            self.queries.fetch_add(1, Relaxed);
            let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.query_ns.fetch_add(ns, Relaxed);
            match found {
                Ok(found) => keys.from_query = found,
                Err(error) => {
                    let nameless = self.tables.as_ref().and_then(|_| tables::nameless(&error));
                    if let Some(Failure { code, message, .. }) = nameless {
                        return refuse(piece, ErrorOutput::Iceberg, &code, message);
                    }
                    let output = ErrorOutput::MetadataExtraction;
                    return refuse(piece, output, EXTRACTION_FAILED, error.to_string());
                }
            }
        }
        if let Some(tables) = &self.tables {
            let failure = match tables.route(&keys) {
                Ok((lane, operation)) => return Ok(self.row(piece, lane, operation)),
                Err(failure) => failure,
            };
            return refuse(piece, ErrorOutput::Iceberg, &failure.code, failure.message);
        }
        let (lane, keys) = match &self.partitions {
            None => (self.main.clone(), Arc::clone(&self.no_keys)),
            Some(prefix) => match prefix.partition(&keys) {
                Ok(partition) => {
                    // They are kept with the lane, and those of no use may be of any size.
                    prefix.keep_own(&mut keys);
                    (Lane::Main(partition.into()), Arc::new(keys))
                }
                Err(error @ EvaluationError::PartitionKey { .. }) if self.query.is_some() => {
                    let output = ErrorOutput::MetadataExtraction;
                    return refuse(piece, output, EXTRACTION_FAILED, error.to_string());
                }
                Err(error) => {
                    let output = ErrorOutput::Partitioning;
                    return refuse(piece, output, PARTITIONING_FAILED, error.to_string());
                }
            },
        };
        let data = if self.append_delimiter { delimited(&piece.data) } else { piece.data };
        let sequence = piece.sequence.filter(|_| self.keeps_sequence);
        let entry = Entry { id: piece.id, arrived: piece.arrived, sequence, data };
        Ok(Item { lane, keys, entry })
    }

    /// A row for a table, with what is to be done with it.
    fn row(&self, piece: Piece, lane: Lane, operation: Option<Bytes>) -> Item {
        let Piece { id, arrived, data, .. } = piece;
        let entry = Entry { id, arrived, sequence: operation, data };
        Item { lane, keys: Arc::clone(&self.no_keys), entry }
    }

    /// A document for the error output, on its way there.
    pub(super) fn refused(&self, piece: Piece, refusal: &Refusal, ended: Timestamp) -> Item {
        let Piece { id, arrived, sequence, data, raw, .. } = piece;
        let entry = Entry { id, arrived, sequence, data: raw.unwrap_or(data) };
        let is_processing = refusal.output == ErrorOutput::Processing;
        let lambda_arn = self.lambda_arn.as_deref().filter(|_| is_processing);
        let mut document = String::with_capacity(entry.data.len() / 3 * 4 + 512);
        let attempts = Attempts { made: refusal.attempts, ended };
        let form = Form::Processing { lambda_arn };
        refused::write(&entry, &refusal.failure, attempts, form, &mut document);
        let entry = Entry { sequence: None, data: document.into(), ..entry };
        Item { lane: Lane::Errors(refusal.output), keys: Arc::clone(&self.no_keys), entry }
    }
}

/// As the service names it (observed).
const EXTRACTION_FAILED: &str = "DynamicPartitioning.MetadataExtractionFailed";
/// Ours: the service's own code for keys that a function did not give is not known.
const PARTITIONING_FAILED: &str = "DynamicPartitioning.PartitioningFailed";

/// What is said of a record that is larger than any may be. The code is ours: the service's own is
/// not known.
fn too_large(bytes: usize) -> Refusal {
    let failure = Failure::permanent(
        "Record.SizeLimitExceeded",
        format!("The record has {bytes} bytes, more than the limit of {RECORD_BYTES_MAX}."),
    );
    Refusal { output: ErrorOutput::Processing, failure, attempts: 1 }
}

/// What is said of a record that unpacks to more than may be kept at once. The code is ours.
fn too_many_pieces() -> Refusal {
    let failure = Failure::permanent(
        "Record.TooManySubRecords",
        format!("The record holds more than {PIECES_MAX} records."),
    );
    Refusal { output: ErrorOutput::Processing, failure, attempts: 1 }
}

/// What is said of a record that would open one partition too many (code and sentence as
/// observed).
pub(super) fn overflow() -> Refusal {
    let failure = Failure::permanent(
        "DynamicPartitioning.ActivePartitionsLimitExceeded",
        "The number of active partitions has exceeded the configured limit",
    );
    Refusal { output: ErrorOutput::Partitioning, failure, attempts: 1 }
}

fn delimited(data: &Bytes) -> Bytes {
    let mut longer = BytesMut::with_capacity(data.len() + 1);
    longer.put_slice(data);
    longer.put_u8(b'\n');
    longer.freeze()
}

impl Piece {
    /// The piece whose record is already in its buffer's form: it goes to the error output from
    /// there.
    pub(super) fn of(entry: Entry) -> Self {
        let Entry { id, arrived, sequence, data } = entry;
        Self { id, arrived, sequence, partition_key: None, data, raw: None }
    }
}

#[cfg(test)]
mod tests;
