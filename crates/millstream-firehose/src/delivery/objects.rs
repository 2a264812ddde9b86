//! Deliveries of objects: records as they are, or converted to columns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_columnar::{Schema, SchemaError, Writer};
use millstream_destinations::Failure;
use tokio::time::Instant;

use super::buffer::Buffer;
use super::flight::{Flight, Outcome};
use super::ids::Ids;
use super::lane::ErrorOutput;
use super::metrics::Purpose;
use super::naming::{self, Draw};
use super::object::{self, Contents, Shape};
use super::outlets::ObjectSink;
use super::retry::Patience;
use super::station::{After, DESTINATION};
use crate::plan::{Conversion, Objects};

/// How long a schema is taken to be the newest (ours: the service follows updates, and does not
/// say how soon).
const SCHEMA_AGE_MAX: Duration = Duration::from_secs(60);
/// How long a schema that cannot be had is asked for before records go to the error output (ours).
const SCHEMA_PATIENCE: Duration = Duration::from_secs(300);

/// The schema that was asked for last.
#[derive(Debug, Default)]
pub(super) struct SchemaMemory(Mutex<Option<(Instant, Schema)>>);

impl SchemaMemory {
    fn get(&self) -> Option<Schema> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, schema) = memory.as_ref()?;
        (asked.elapsed() < SCHEMA_AGE_MAX).then(|| schema.clone())
    }

    fn set(&self, schema: &Schema) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *memory = Some((Instant::now(), schema.clone()));
    }
}

/// What keeps a whole delivery from being converted.
enum NoSchema {
    Failed(Failure, u32),
    Left,
}

/// Delivers to the bucket of the target.
pub(super) async fn deliver(
    flight: &mut Flight,
    sink: &dyn ObjectSink,
    target: &Objects,
) -> Option<Ids> {
    let Some(conversion) = &target.conversion else {
        return deliver_plain(flight, sink, target).await;
    };
    let shape = || Shape::Conversion(conversion.schema.clone());
    match schema(flight, conversion).await {
        Ok(schema) => deliver_columns(flight, sink, (target, conversion), &schema).await,
        Err(NoSchema::Left) => None,
        Err(NoSchema::Failed(failure, attempts)) => {
            let why = (failure, attempts);
            count_unconverted(flight, flight.gauge.count, flight.gauge.bytes);
            flight.refuse_all(ErrorOutput::FormatConversion, shape(), why).await
        }
    }
}

/// The key of this delivery's object; where it has none, all go to the error output.
fn key(flight: &Flight, target: &Objects) -> Result<String, Failure> {
    let origin = &flight.station.origin;
    let draw = Draw::new(origin, &flight.lane, &flight.gauge, "object");
    naming::object_key(origin, target, &flight.keys, &flight.gauge, draw)
        .map_err(|error| Failure::permanent("S3.PrefixEvaluationFailed", error.to_string()))
}

/// A bucket is tried for ever; a partition's prefix as long as dynamic partitioning says.
fn patience(target: &Objects) -> Patience {
    if target.partitions_max.is_some() { Patience::For(target.retry) } else { Patience::Forever }
}

async fn deliver_plain(
    flight: &mut Flight,
    sink: &dyn ObjectSink,
    target: &Objects,
) -> Option<Ids> {
    let key = match key(flight, target) {
        Ok(key) => key,
        Err(failure) => return flight.refuse_as_target(failure, 1).await,
    };
    let (packing, name) = (flight.station.packing(target), key.clone());
    let make = move |buffer: &Arc<Buffer>| object::plain(buffer, &packing, &name);
    let tries = (patience(target), Purpose::Delivery);
    match flight.put(sink, &key, target, tries, make).await {
        Outcome::Put(contents) => {
            flight.count(&flight.station.counters().delivery);
            Some(contents.ids)
        }
        Outcome::GaveUp(failure, attempts) => flight.refuse_as_target(failure, attempts).await,
        Outcome::Left => None,
    }
}

async fn deliver_columns(
    flight: &mut Flight,
    sink: &dyn ObjectSink,
    (target, conversion): (&Objects, &Conversion),
    schema: &Schema,
) -> Option<Ids> {
    let key = match key(flight, target) {
        Ok(key) => key,
        Err(failure) => return flight.refuse_as_target(failure, 1).await,
    };
    let shape = Shape::Conversion(conversion.schema.clone());
    let output = ErrorOutput::FormatConversion;
    if let Err(error) = writer(schema, conversion) {
        count_unconverted(flight, flight.gauge.count, flight.gauge.bytes);
        return flight.refuse_all(output, shape, (unusable(&error), 1)).await;
    }
    let writer = || writer(schema, conversion).expect("it could be made just now");
    let make = move |buffer: &Arc<Buffer>| object::columns(buffer, writer());
    let tries = (patience(target), Purpose::Delivery);
    let Contents { ids, failed, .. } = match flight.put(sink, &key, target, tries, make).await {
        Outcome::Put(contents) => contents,
        Outcome::GaveUp(failure, attempts) => {
            return flight.refuse_as_target(failure, attempts).await;
        }
        Outcome::Left => return None,
    };
    let (mut count, mut bytes) = (flight.gauge.count, flight.gauge.bytes);
    if let Some(gauge) = failed.gauge {
        (count, bytes) = (count - gauge.count, bytes - gauge.bytes);
        count_unconverted(flight, gauge.count, gauge.bytes);
        let reason = || object::conversion_reason(&failed, writer());
        if !flight.refuse(output, shape, gauge, reason).await {
            return None;
        }
    }
    let counters = flight.station.counters();
    counters.converted_records.add(count);
    counters.converted_bytes.add(bytes);
    counters.delivery.records.add(count);
    counters.delivery.bytes.add(bytes);
    Some(ids)
}

fn writer(schema: &Schema, conversion: &Conversion) -> Result<Writer, SchemaError> {
    Writer::new(schema, &conversion.reader, &conversion.writer)
}

fn unusable(error: &SchemaError) -> Failure {
    Failure::permanent("DataFormatConversion.InvalidSchema", error.to_string())
}

fn count_unconverted(flight: &Flight, count: u64, bytes: u64) {
    let counters = flight.station.counters();
    counters.unconverted_records.add(count);
    counters.unconverted_bytes.add(bytes);
}

async fn schema(flight: &mut Flight, conversion: &Conversion) -> Result<Schema, NoSchema> {
    let station = Arc::clone(&flight.station);
    if let Some(schema) = station.schema.get() {
        return Ok(schema);
    }
    let mut tries = station.object_tries(Patience::For(SCHEMA_PATIENCE), DESTINATION);
    loop {
        if tries.is_leaving() {
            return Err(NoSchema::Left);
        }
        let failure = match station.commons.outlets.schema(&conversion.schema).await {
            Ok(schema) => {
                station.schema.set(&schema);
                return Ok(schema);
            }
            Err(failure) => failure,
        };
        match flight.wait(&mut tries, &failure).await {
            After::Again => {}
            After::GiveUp => return Err(NoSchema::Failed(failure, tries.failures())),
            After::Leave => return Err(NoSchema::Left),
        }
    }
}
