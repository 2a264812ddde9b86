//! What objects and deliveries are called.
//!
//! Owns the names, which are functions of what is delivered and not of when: a retry, or a replay
//! after a crash, overwrites its own object and never makes a second one. Whatever looks random
//! in a name is drawn from a hash of the delivery stream, the version of its configuration, the
//! lane, and the first record's position and arrival.
//!
//! Why the first record is enough: a lane's next delivery begins only once the checkpoint knows of
//! the last, so there is at most one object that a replay may find half done, and the replay's
//! first object of that lane begins with the same record.

use std::sync::atomic::{AtomicU64, Ordering};

use millstream_core::Timestamp;
use millstream_formats::prefix::{EvaluationError, Moment, PartitionKeys, Prefix, object_name};
use millstream_formats::zone::Zone;
use ring::digest;

use super::gauge::Gauge;
use super::lane::Lane;
use super::process::Piece;
use super::varint;
use crate::plan::Objects;

/// Whose delivery it is.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The delivery stream's uid.
    pub(super) uid: u64,
    /// Its name.
    pub(super) name: String,
    /// When it was created.
    pub(super) created: Timestamp,
    /// The version of its configuration.
    pub(super) version: u64,
}

/// Draws the random-looking parts of one delivery's names, always the same for the same delivery.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    seed: [u8; 32],
    count: u64,
}

impl Draw {
    /// The draw of a delivery of `lane` that begins with the first record of `gauge`. `purpose`
    /// tells the objects of one delivery from one another.
    pub(super) fn new(origin: &Origin, lane: &Lane, gauge: &Gauge, purpose: &str) -> Self {
        let mut input = Vec::new();
        varint::put(&mut input, origin.uid);
        varint::put(&mut input, origin.version);
        lane.encode(&mut input);
        varint::put(&mut input, gauge.first.part);
        varint::put(&mut input, gauge.first.position);
        varint::put(&mut input, u64::from(gauge.first.index));
        varint::put(&mut input, gauge.oldest.ms());
        varint::put_bytes(&mut input, purpose.as_bytes());
        if cfg!(feature = "mutant-object-names") {
            // Another name each time, as if drawn at random.
            static NEXT: AtomicU64 = AtomicU64::new(0);
            varint::put(&mut input, NEXT.fetch_add(1, Ordering::Relaxed));
        }
        Self { seed: hash(&input), count: 0 }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut input = self.seed.to_vec();
        varint::put(&mut input, self.count);
        self.count += 1;
        *hash(&input).first_chunk().expect("a name takes less than a hash has")
    }
}

fn hash(input: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, input);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The key of an object of records: prefix and name.
pub(super) fn object_key(
    origin: &Origin,
    objects: &Objects,
    keys: &PartitionKeys,
    gauge: &Gauge,
    mut draw: Draw,
) -> Result<String, EvaluationError> {
    let moment = Moment { at: gauge.oldest, zone: &objects.zone };
    let prefix = objects.prefix.evaluate(&moment, keys, &mut || draw.bytes())?;
    let own = objects.conversion.as_ref().map(|conversion| conversion.writer.extension());
    let own = own.unwrap_or(objects.compression.extension());
    let extension = objects.extension.as_deref().unwrap_or(own);
    let name = object_name(&origin.name, origin.version, &moment, draw.bytes(), extension);
    Ok(prefix + &name)
}

/// The key of an object of the error output.
pub(super) fn error_key(
    origin: &Origin,
    objects: &Objects,
    error_output_type: &str,
    gauge: &Gauge,
    mut draw: Draw,
) -> Result<String, EvaluationError> {
    let moment = Moment { at: gauge.oldest, zone: &objects.zone };
    let prefix = objects.error_prefix.evaluate(&moment, error_output_type, &mut || draw.bytes())?;
    let extension = objects.compression.extension();
    let name = object_name(&origin.name, origin.version, &moment, draw.bytes(), extension);
    Ok(prefix + &name)
}

/// What tells a delivery stream from all others, also from those of other servers: what ids of
/// documents begin with.
pub(super) fn stream_id(arn: &str, origin: &Origin) -> String {
    let mut input = Vec::new();
    varint::put_bytes(&mut input, arn.as_bytes());
    varint::put(&mut input, origin.uid);
    varint::put(&mut input, origin.created.ms());
    let digest = hash(&input);
    let id: [u8; 8] = *digest.first_chunk().expect("a hash has more");
    format!("{:016x}", u64::from_be_bytes(id))
}

/// A key for what has to be put although its own prefix has no value (it is too long).
pub(super) fn plain_key(origin: &Origin, purpose: &str, gauge: &Gauge, draw: Draw) -> String {
    dated_key(origin, purpose, gauge, draw)
}

/// The key of a warehouse's manifest, in the bucket of its objects: those of loads, and those
/// that are left to a person to load (documented: under `errors/`).
pub(super) fn manifest_key(origin: &Origin, folder: &str, gauge: &Gauge, draw: Draw) -> String {
    dated_key(origin, folder, gauge, draw)
}

/// `FOLDER/yyyy/MM/dd/HH/NAME`, in UTC.
fn dated_key(origin: &Origin, folder: &str, gauge: &Gauge, mut draw: Draw) -> String {
    let moment = Moment { at: gauge.oldest, zone: &Zone::UTC };
    let date = Prefix::default().evaluate(&moment, &PartitionKeys::default(), &mut || [0; 8]);
    let date = date.expect("a date is short and needs no keys");
    let name = object_name(&origin.name, origin.version, &moment, draw.bytes(), "");
    format!("{folder}/{date}{name}")
}

/// What an invocation is called: the same in each of its attempts.
pub(super) fn invocation_id(origin: &Origin, pieces: &[Piece]) -> String {
    let mut input = Vec::new();
    varint::put(&mut input, origin.uid);
    varint::put(&mut input, origin.version);
    for piece in pieces.first().into_iter().chain(pieces.last()) {
        varint::put_bytes(&mut input, piece.id.to_string().as_bytes());
    }
    uuid_text(Draw { seed: hash(&input), count: 0 }.bytes())
}

/// What a delivery of documents is called, in the form of a UUID: another for other documents, so
/// that a destination that has seen it can be believed to have all of them.
pub(super) fn delivery_id(origin: &Origin, lane: &Lane, gauge: &Gauge) -> String {
    let extent = format!("{}/{:?}/{}", gauge.count, gauge.last, gauge.bytes);
    uuid_text(Draw::new(origin, lane, gauge, &extent).bytes())
}

/// The form of a version 4 UUID.
fn uuid_text(bytes: [u8; 16]) -> String {
    let mut bits = u128::from_be_bytes(bytes);
    bits = bits & !(0xf << 76) | (0x4 << 76);
    bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    groups.join("-")
}
