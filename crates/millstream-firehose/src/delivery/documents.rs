//! Deliveries of documents to a destination that answers for each.
//!
//! Owns the rounds: all documents first, then those that were refused and may yet be taken, until
//! none is left or the retry duration is over. What is not taken by then goes to the error output.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_destinations::{Delivery, Destination, Document, Failure, Operation};

use super::buffer::Cursor;
use super::flight::{ATTEMPT_MAX, Flight, shape};
use super::frame::Entry;
use super::gauge::Gauge;
use super::ids::Ids;
use super::lane::Lane;
use super::naming;
use super::object::{self, Reason};
use super::process::{DELETE, UPDATE};
use super::station::{After, error_output};
use crate::plan::Target;

/// What a document weighs beside its bytes, in the request that it becomes part of too.
const DOCUMENT_BYTES: u64 = 512;
/// Memory that a document's bytes take: read, encoded, compressed.
const COPIES: u64 = 3;

/// The documents still to be taken.
enum Pending {
    All,
    /// By their places in the buffer, ascending.
    Some(Vec<u64>),
}

impl Pending {
    /// The place of the document that is `index`th in the delivery.
    fn place(&self, index: usize) -> u64 {
        match self {
            Self::All => index as u64,
            Self::Some(places) => places[index],
        }
    }
}

/// What was given up, by place. A reason that all have is kept once: answers may be long.
type GivenUp = BTreeMap<u64, (Arc<Failure>, u32)>;

/// Delivers to the destination of the target.
pub(super) async fn deliver(
    flight: &mut Flight,
    destination: &Arc<dyn Destination>,
) -> Option<Ids> {
    let station = Arc::clone(&flight.station);
    let deliveries = &station.counters().delivery;
    let id = naming::delivery_id(&station.origin, &flight.lane, &flight.gauge);
    let mut tries = station.document_tries(retry(&station.plan.target));
    let (mut pending, mut given_up) = (Pending::All, GivenUp::new());
    loop {
        if tries.is_leaving() {
            return None;
        }
        let lease = station.commons.budget.work(work_bytes(&flight.gauge)).await;
        let documents = load(flight, &pending).await?;
        let count = documents.len();
        let delivery = Delivery { id: id.clone(), partition: partition(&flight.lane), documents };
        let bytes = delivery.documents.iter().map(|document| document.data.len() as u64).sum();
        let begun = deliveries.begin(count as u64, bytes);
        let attempt = tokio::time::timeout(ATTEMPT_MAX, destination.attempt(&delivery)).await;
        drop((delivery, lease));
        deliveries.end(begun, matches!(&attempt, Ok(Ok(refused)) if is_sound(refused, count)));
        let failure = match attempt {
            Ok(Ok(refused)) if !is_sound(&refused, count) => {
                Failure::retryable("InternalError", "the answer names a document that was not sent")
            }
            Ok(Ok(refused)) => {
                let attempts = tries.failures() + 1;
                let (again, failure) = sort(&pending, refused, attempts, &mut given_up);
                let Some(failure) = failure else { break };
                pending = Pending::Some(again.iter().map(|(place, _)| *place).collect());
                match flight.wait(&mut tries, &failure).await {
                    After::Again => continue,
                    After::Leave => return None,
                    After::GiveUp => {
                        let attempts = tries.failures();
                        let late = again.into_iter();
                        given_up
                            .extend(late.map(|(place, why)| (place, (Arc::new(why), attempts))));
                        break;
                    }
                }
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::retryable("InternalError", "the destination does not answer"),
        };
        match flight.wait(&mut tries, &failure).await {
            After::Again => {}
            After::Leave => return None,
            After::GiveUp => {
                let attempts = tries.failures();
                let late = (0..count).map(|index| pending.place(index));
                let why = Arc::new(failure);
                given_up.extend(late.map(|place| (place, (Arc::clone(&why), attempts))));
                break;
            }
        }
    }
    finish(flight, destination, given_up).await
}

/// Whether an answer speaks of the documents that were sent.
fn is_sound(refused: &[(usize, Failure)], count: usize) -> bool {
    refused.iter().all(|(index, _)| *index < count)
}

/// Parts what was refused into what may be tried again, each with its reason, and what may not;
/// and says why there is another round, where there is one.
fn sort(
    pending: &Pending,
    refused: Vec<(usize, Failure)>,
    attempts: u32,
    given_up: &mut GivenUp,
) -> (Vec<(u64, Failure)>, Option<Failure>) {
    let mut again: Vec<(u64, Failure)> = Vec::new();
    for (index, failure) in refused {
        let place = pending.place(index);
        if failure.is_retryable {
            again.push((place, failure));
        } else {
            given_up.insert(place, (Arc::new(failure), attempts));
        }
    }
    again.sort_unstable_by_key(|(place, _)| *place);
    again.dedup_by_key(|(place, _)| *place);
    let why = again.first().map(|(_, failure)| failure.clone());
    (again, why)
}

/// Counts what was taken, and writes what was not to the error output.
async fn finish(
    flight: &mut Flight,
    destination: &Arc<dyn Destination>,
    given_up: GivenUp,
) -> Option<Ids> {
    let station = Arc::clone(&flight.station);
    let (mut count, mut bytes) = (flight.gauge.count, flight.gauge.bytes);
    if !given_up.is_empty() {
        let failed = extent(flight, &given_up).await?;
        (count, bytes) = (count - failed.count, bytes - failed.bytes);
        let target = &station.plan.target;
        let reasons = || {
            let each = given_up.iter();
            let listed = each.map(|(place, (why, attempts))| (*place, Arc::clone(why), *attempts));
            named(object::listed_reasons(listed.collect()), Arc::clone(destination))
        };
        if !flight.refuse(error_output(target), shape(target), failed, reasons).await {
            return None;
        }
    }
    station.counters().delivery.records.add(count);
    station.counters().delivery.bytes.add(bytes);
    flight.ids().await
}

/// Adds what the destination calls each record, where its failure was not its own.
fn named(mut reason: Reason, destination: Arc<dyn Destination>) -> Reason {
    Box::new(move |place, entry| {
        let (mut failure, attempts) = reason(place, entry)?;
        if failure.details.is_empty() {
            failure.details = destination.details(&document(entry.clone()));
        }
        Some((failure, attempts))
    })
}

fn document(entry: Entry) -> Document {
    let Entry { id, arrived, sequence, data } = entry;
    let operation = match sequence.as_ref().map(Bytes::as_ref) {
        Some(UPDATE) => Operation::Update,
        Some(DELETE) => Operation::Delete,
        _ => Operation::Insert,
    };
    Document { id, arrived, operation, data }
}

/// The part of the destination that a lane is.
fn partition(lane: &Lane) -> String {
    match lane {
        Lane::Main(partition) => partition.as_ref().to_owned(),
        Lane::Backup | Lane::Errors(_) => String::new(),
    }
}

fn retry(target: &Target) -> std::time::Duration {
    match target {
        Target::Objects(objects) => objects.retry,
        Target::Http(http) => http.retry,
        Target::Search(search) => search.retry,
        Target::Splunk(splunk) => splunk.retry,
        Target::Redshift(redshift) => redshift.retry,
        Target::Iceberg(iceberg) => iceberg.retry,
    }
}

fn work_bytes(gauge: &Gauge) -> usize {
    let bytes = gauge.bytes.saturating_mul(COPIES);
    let documents = gauge.count.saturating_mul(DOCUMENT_BYTES);
    usize::try_from(bytes.saturating_add(documents)).unwrap_or(usize::MAX)
}

/// Folds the records at some places (all of them for `None`); blocks elsewhere. `None` where they
/// cannot be read back.
async fn fold<T: Send + 'static>(
    flight: &Flight,
    wanted: Option<Vec<u64>>,
    mut sum: T,
    mut add: impl FnMut(&mut T, Entry) + Send + 'static,
) -> Option<T> {
    let buffer = Arc::clone(flight.buffer());
    let read = tokio::task::spawn_blocking(move || {
        let mut cursor = Cursor::new(buffer);
        let mut wanted = wanted.map(|places| places.into_iter().peekable());
        let mut place = 0;
        while let Some(entry) = cursor.next()? {
            let is_wanted = match &mut wanted {
                None => true,
                Some(places) => places.next_if_eq(&place).is_some(),
            };
            if is_wanted {
                add(&mut sum, entry);
            }
            place += 1;
        }
        Ok::<_, std::io::Error>(sum)
    });
    match read.await.expect("reading a buffer does not panic") {
        Ok(sum) => Some(sum),
        Err(error) => flight.unreadable(&error),
    }
}

/// The documents of a buffer that are pending.
async fn load(flight: &Flight, pending: &Pending) -> Option<Vec<Document>> {
    let wanted = match pending {
        Pending::All => None,
        Pending::Some(places) => Some(places.clone()),
    };
    fold(flight, wanted, Vec::new(), |documents, entry| {
        documents.push(document(entry));
    })
    .await
}

/// What the records at some places sum up to.
async fn extent(flight: &Flight, places: &GivenUp) -> Option<Gauge> {
    let wanted = Some(places.keys().copied().collect());
    let add = |sum: &mut Option<Gauge>, entry: Entry| match sum {
        Some(gauge) => gauge.add(&entry),
        None => *sum = Some(Gauge::of(&entry, tokio::time::Instant::now())),
    };
    fold(flight, wanted, None, add).await.flatten()
}
