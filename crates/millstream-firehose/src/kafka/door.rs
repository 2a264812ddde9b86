//! A door for fuzzers: what a broker sends, read as the source reads it.
//!
//! Owns the properties that must hold of any bytes: reading ends, in values or in an error; the
//! place to go on at only grows; and records come in it, one at least where there is progress to
//! make.

use bytes::{BufMut, Bytes, BytesMut};

use super::RunLimit;
use super::batch::Run;
use super::message::{Fetched, Said, TopicMetadata, Versions, read_handshake, read_offsets};
use super::wire::Reader;

/// Kinds of answers, for the first byte of an input.
pub const KINDS: u8 = 9;

const FETCH_PLAIN: i16 = 4;
const FETCH_WITH_ZSTD: i16 = 10;
/// Where a batch's checksum is, and where what it is of begins.
const CHECKSUM_AT: usize = 17;
const CHECKED_FROM: usize = 21;
const LENGTH_AT: usize = 8;
const LENGTH_FROM: usize = 12;

/// Reads an answer of a kind; panics where a property does not hold.
pub fn feed(kind: u8, body: &Bytes) {
    let reader = |is_flexible| Reader::new(body.clone(), is_flexible);
    match kind % KINDS {
        0 => drop(Versions::read(reader(false))),
        1 => drop(read_handshake(reader(false))),
        2 => drop(Said::read(reader(false))),
        3 => drop(TopicMetadata::read(reader(false), false)),
        4 => drop(TopicMetadata::read(reader(true), true)),
        5 => drop(read_offsets(reader(false))),
        6 => read(Fetched::read(reader(false), FETCH_PLAIN).ok()),
        7 => read(Fetched::read(reader(false), FETCH_WITH_ZSTD).ok()),
        _ => {
            let batches = sealed(body);
            read(Some(Fetched { stable_end: 1_000, aborted: vec![(7, 0), (1, 3)], batches }));
        }
    }
}

/// The bytes as one batch whose length and checksum hold, whatever else is in it: no mutation
/// would find a checksum by itself.
fn sealed(body: &Bytes) -> Bytes {
    let mut batch = BytesMut::from(&body[..]);
    if batch.len() >= CHECKED_FROM {
        let length = u32::try_from(batch.len() - LENGTH_FROM).expect("inputs are small");
        let checksum = crc32c::crc32c(&batch[CHECKED_FROM..]);
        (&mut batch[LENGTH_AT..]).put_u32(length);
        (&mut batch[CHECKSUM_AT..]).put_u32(checksum);
    }
    batch.freeze()
}

fn read(fetched: Option<Fetched>) {
    let Some(fetched) = fetched else { return };
    for from in [0, 5] {
        let mut run = Run::new(fetched.clone(), from);
        let limit = RunLimit { records: 100, bytes: 1_000 };
        let mut next = run.next();
        while let Ok(records) = run.take(limit) {
            for record in &records {
                assert!(record.offset >= next, "{} comes behind {next}", record.offset);
                next = record.offset + 1;
            }
            assert!(run.next() >= next, "the place to go on at falls back to {}", run.next());
            next = run.next();
            if records.is_empty() {
                assert!(run.is_over(), "nothing comes, and yet it is not over");
                break;
            }
        }
        assert!(run.next() >= next, "an error moves the place to go on at back");
    }
}
