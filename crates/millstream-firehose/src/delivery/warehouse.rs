//! Deliveries to a warehouse: an object is staged, then the database loads it.
//!
//! Owns the order of the two, and what is left where the load is given up: the staged object, and
//! a manifest under `errors/` by which a person can load it later (documented). One load is under
//! way at a time, since a delivery stream has one lane to its warehouse (documented: the next COPY
//! starts when the last has ended).

use std::sync::Arc;

use bytes::Bytes;
use millstream_destinations::Failure;
use millstream_destinations::objects::{PutOptions, in_memory};
use millstream_destinations::redshift::{StagedObject, manifest};

use super::buffer::Buffer;
use super::fail_point::{self, FailPoint};
use super::flight::{ATTEMPT_MAX, Flight, Outcome};
use super::ids::Ids;
use super::lane::ErrorOutput;
use super::metrics::Purpose;
use super::naming::{self, Draw};
use super::object;
use super::outlets::{ObjectSink, Warehouse};
use super::retry::Patience;
use super::station::{After, BACKUP, Station};
use crate::plan::{RedshiftTarget, Target};

/// Where manifests lie, in the bucket of the objects.
const LOADS: &str = "manifests";
const SKIPPED: &str = "errors/manifests";

fn target(station: &Station) -> &RedshiftTarget {
    match &station.plan.target {
        Target::Redshift(target) => target,
        other => unreachable!("{other:?} has no warehouse"),
    }
}

/// Stages, and loads.
pub(super) async fn deliver(
    flight: &mut Flight,
    staging: &dyn ObjectSink,
    database: &dyn Warehouse,
) -> Option<Ids> {
    let station = Arc::clone(&flight.station);
    let target = target(&station);
    let (object, ids) = match stage(flight, staging, target).await? {
        Ok(staged) => staged,
        Err(failure) => return flight.refuse_as_target(failure, 1).await,
    };
    fail_point::reached(FailPoint::AfterStaging).await;
    let objects = [object];
    let id = naming::delivery_id(&station.origin, &flight.lane, &flight.gauge);
    let manifest_key = manifest_key(flight, LOADS);
    let deliveries = &station.counters().delivery;
    let mut tries = station.document_tries(target.retry);
    loop {
        if tries.is_leaving() {
            return None;
        }
        let begun = deliveries.begin(flight.gauge.count, flight.gauge.bytes);
        let load = database.load(&id, &objects, &manifest_key);
        let load = tokio::time::timeout(ATTEMPT_MAX, load).await;
        deliveries.end(begun, matches!(load, Ok(Ok(()))));
        let failure = match load {
            Ok(Ok(())) => {
                flight.count(deliveries);
                return Some(ids);
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                Failure::retryable("Redshift.ConnectionFailed", "the database does not answer")
            }
        };
        match flight.wait(&mut tries, &failure).await {
            After::Again => {}
            After::Leave => return None,
            After::GiveUp => return skip(flight, staging, &objects, ids).await,
        }
    }
}

/// Puts the object that is to be loaded. An error says that it has no key.
async fn stage(
    flight: &mut Flight,
    staging: &dyn ObjectSink,
    target: &RedshiftTarget,
) -> Option<Result<(StagedObject, Ids), Failure>> {
    let station = Arc::clone(&flight.station);
    let draw = Draw::new(&station.origin, &flight.lane, &flight.gauge, "object");
    let (keys, gauge) = (&flight.keys, &flight.gauge);
    let key = naming::object_key(&station.origin, &target.staging, keys, gauge, draw);
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            let failure = Failure::permanent("S3.PrefixEvaluationFailed", error.to_string());
            return Some(Err(failure));
        }
    };
    let (packing, name) = (station.packing(&target.staging), key.clone());
    let make = move |buffer: &Arc<Buffer>| object::plain(buffer, &packing, &name);
    let forever = (Patience::Forever, Purpose::Staging);
    match flight.put(staging, &key, &target.staging, forever, make).await {
        Outcome::Put(contents) => {
            flight.count(&station.counters().staging);
            let object = StagedObject { key, bytes: contents.bytes };
            Some(Ok((object, contents.ids)))
        }
        Outcome::GaveUp(..) | Outcome::Left => None,
    }
}

fn manifest_key(flight: &Flight, folder: &str) -> String {
    let origin = &flight.station.origin;
    let draw = Draw::new(origin, &flight.lane, &flight.gauge, folder);
    naming::manifest_key(origin, folder, &flight.gauge, draw)
}

/// Leaves the objects, with a manifest, to be loaded by a person.
async fn skip(
    flight: &mut Flight,
    staging: &dyn ObjectSink,
    objects: &[StagedObject],
    ids: Ids,
) -> Option<Ids> {
    let station = Arc::clone(&flight.station);
    let manifest: Bytes = manifest(&target(&station).staging.bucket, objects);
    let key = manifest_key(flight, SKIPPED);
    let mut tries = station.object_tries(Patience::Forever, BACKUP);
    let options = PutOptions {
        kms_key: target(&station).staging.kms_key.clone(),
        content_type: Some("application/json".to_owned()),
        ..PutOptions::default()
    };
    loop {
        if tries.is_leaving() {
            return None;
        }
        let put = staging.put(&key, in_memory([manifest.clone()]), &options);
        let failure = match tokio::time::timeout(ATTEMPT_MAX, put).await {
            Ok(Ok(())) => {
                let output = ErrorOutput::Redshift.as_str();
                station.counters().add_errors(output, flight.gauge.count);
                fail_point::reached(FailPoint::AfterErrorOutput).await;
                return Some(ids);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::retryable("S3.Timeout", "the bucket does not answer"),
        };
        if flight.wait(&mut tries, &failure).await == After::Leave {
            return None;
        }
    }
}
