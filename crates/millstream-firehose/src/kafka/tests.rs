//! What brokers send, and what a reader makes of it.

use std::io::Write;

use bytes::{BufMut, Bytes};
use proptest::prelude::*;

use super::batch::Run;
use super::message::{Fetched, OffsetAt, Request, TopicMetadata, Versions, read_offsets};
use super::wire::Reader;
use super::{KafkaError, KafkaRecord, RunLimit, brokers};

const ALL: RunLimit = RunLimit { records: usize::MAX, bytes: usize::MAX };
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const ABORT: &[u8] = &[0, 0, 0, 0];
const COMMIT: &[u8] = &[0, 0, 0, 1];

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut value = (value << 1 ^ value >> 63).cast_unsigned();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint(out, bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap()));
    out.extend_from_slice(bytes.unwrap_or_default());
}

type Entry<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>);

/// Records as a producer writes them, by offset within their batch.
fn entries(records: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (offset, key, value) in records {
        let mut body = vec![0];
        varint(&mut body, offset * 10);
        varint(&mut body, *offset);
        nullable(&mut body, *key);
        nullable(&mut body, *value);
        varint(&mut body, 0);
        varint(&mut out, i64::try_from(body.len()).unwrap());
        out.extend(body);
    }
    out
}

/// A batch from `base` to `last`, of `count` records packed as `attributes` say.
fn framed(base: i64, last: i64, attributes: i16, count: usize, records: &[u8]) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.put_i16(attributes);
    checked.put_i32(i32::try_from(last - base).unwrap());
    checked.put_i64(1_000);
    checked.put_i64(9_000);
    checked.put_i64(7);
    checked.put_i16(0);
    checked.put_i32(0);
    checked.put_i32(i32::try_from(count).unwrap());
    checked.put_slice(records);
    let mut out = Vec::new();
    out.put_i64(base);
    out.put_i32(i32::try_from(checked.len()).unwrap() + 9);
    out.put_i32(0);
    out.put_i8(2);
    out.put_u32(crc32c::crc32c(&checked));
    out.extend(checked);
    out
}

fn batch(base: i64, last: i64, attributes: i16, records: &[Entry<'_>]) -> Vec<u8> {
    framed(base, last, attributes, records.len(), &entries(records))
}

fn run(batches: &[Vec<u8>], aborted: Vec<(i64, i64)>, offset: i64) -> Run {
    let batches = Bytes::from(batches.concat());
    Run::new(Fetched { stable_end: 1_000, aborted, batches }, offset)
}

fn offsets(records: &[KafkaRecord]) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

const TEN: [Entry<'static>; 4] = [
    (0, Some(b"k"), Some(b"0123456789")),
    (1, None, Some(b"0123456789")),
    (2, None, None),
    (3, None, Some(b"0123456789")),
];

#[test]
fn a_run_is_taken_in_pieces_and_goes_on_where_it_stopped() {
    let mut run = run(&[batch(40, 43, 0, &TEN), batch(44, 47, 0, &TEN)], Vec::new(), 41);
    let first = run.take(RunLimit { records: 9, bytes: 15 }).unwrap();
    assert_eq!((offsets(&first), run.next()), (vec![41, 42], 43));
    assert_eq!((first[0].timestamp_ms, first[1].value.clone()), (1_010, None));
    assert!(!run.is_over());
    // Larger than the limit, and yet one at least.
    let second = run.take(RunLimit { records: 9, bytes: 1 }).unwrap();
    assert_eq!((offsets(&second), run.next()), (vec![43], 44));
    let third = run.take(RunLimit { records: 1, bytes: 99 }).unwrap();
    assert_eq!((offsets(&third), third[0].key.as_deref()), (vec![44], Some(&b"k"[..])));
    assert_eq!(offsets(&run.take(ALL).unwrap()), [45, 46, 47]);
    assert!(run.take(ALL).unwrap().is_empty() && run.is_over() && !run.is_cut_off());
}

#[test]
fn what_an_aborted_transaction_wrote_is_passed_and_what_is_committed_is_not() {
    let one: &[Entry<'_>] = &[(0, None, Some(b"x"))];
    let marker = |offset, key| {
        let records: &[Entry<'_>] = &[(0, Some(key), Some(b""))];
        batch(offset, offset, TRANSACTIONAL | CONTROL, records)
    };
    let batches = [
        batch(10, 10, TRANSACTIONAL, one),
        marker(11, COMMIT),
        batch(12, 12, TRANSACTIONAL, one),
        batch(13, 13, 0, one),
        marker(14, ABORT),
        batch(15, 15, TRANSACTIONAL, one),
        marker(16, COMMIT),
    ];
    let mut run = run(&batches, vec![(7, 12)], 10);
    assert_eq!(offsets(&run.take(ALL).unwrap()), [10, 13, 15]);
    // Past the marker, or a reader would stand before it for ever.
    assert_eq!(run.next(), 17);
}

#[test]
fn reading_goes_on_past_what_compaction_took() {
    let kept: &[Entry<'_>] = &[(3, None, Some(b"x"))];
    let mut run = run(&[batch(10, 19, 0, kept), batch(30, 39, 0, &[])], Vec::new(), 10);
    let one = RunLimit { records: 1, bytes: 1 };
    assert_eq!((offsets(&run.take(one).unwrap()), run.next()), (vec![13], 14));
    assert!(run.take(ALL).unwrap().is_empty());
    assert_eq!(run.next(), 40);
}

#[test]
fn a_broker_that_stamps_records_is_believed() {
    let mut run = run(&[batch(0, 3, 1 << 3, &TEN)], Vec::new(), 0);
    assert!(run.take(ALL).unwrap().iter().all(|record| record.timestamp_ms == 9_000));
}

#[test]
fn what_is_cut_off_waits_and_what_is_damaged_is_refused() {
    let whole = batch(0, 3, 0, &TEN);
    let half = whole[..whole.len() / 2].to_vec();
    let mut both = run(&[whole.clone(), half.clone()], Vec::new(), 0);
    assert_eq!((both.take(ALL).unwrap().len(), both.next(), both.is_over()), (4, 4, true));
    let mut cut = run(&[half], Vec::new(), 0);
    assert!(cut.take(ALL).unwrap().is_empty() && cut.is_cut_off());
    let mut damaged = whole;
    *damaged.last_mut().unwrap() ^= 1;
    let error = run(&[damaged], Vec::new(), 0).take(ALL).unwrap_err();
    assert_eq!(error, KafkaError::Malformed("the checksum of a batch does not hold"));
}

#[test]
fn every_codec_that_can_be_made_here_unpacks() {
    let plain = entries(&TEN);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let bare = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    // As snappy's Java library does it: a head, then blocks.
    let mut java = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for half in plain.chunks(plain.len() / 2 + 1) {
        let block = snap::raw::Encoder::new().compress_vec(half).unwrap();
        java.put_u32(u32::try_from(block.len()).unwrap());
        java.extend(block);
    }
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    // Two frames, one after the other.
    let zstd: Vec<u8> = plain
        .chunks(plain.len() / 2 + 1)
        .flat_map(|half| ruzstd::encoding::compress_to_vec(half, level))
        .collect();
    for (codec, packed) in [(1, gzip.finish().unwrap()), (2, bare), (2, java), (4, zstd)] {
        let packed = framed(0, 3, codec, TEN.len(), &packed);
        let unpacked = run(&[packed], Vec::new(), 0).take(ALL).unwrap();
        assert_eq!(unpacked, run(&[batch(0, 3, 0, &TEN)], Vec::new(), 0).take(ALL).unwrap());
    }
    let unknown = framed(0, 3, 5, TEN.len(), &plain);
    assert!(run(&[unknown], Vec::new(), 0).take(ALL).is_err());
}

#[test]
fn requests_are_as_the_protocol_has_them() {
    let versions = |list: &[(i16, i16, i16)]| {
        let mut out = Vec::new();
        out.put_i16(0);
        out.put_i32(i32::try_from(list.len()).unwrap());
        for (key, min, max) in list {
            out.extend([*key, *min, *max].into_iter().flat_map(i16::to_be_bytes));
        }
        Versions::read(Reader::new(out.into(), false)).unwrap()
    };
    let fetch = Request::Fetch { topic: "t", partition: 1, offset: 2, bytes: 3 };
    assert_eq!(fetch.version(&versions(&[(1, 4, 17)])), Ok(10));
    assert_eq!(fetch.version(&versions(&[(1, 0, 6)])), Ok(4));
    assert_eq!(fetch.version(&versions(&[(1, 0, 3)])), Err((1, 4)));
    let offsets = Request::ListOffsets { topic: "t", partitions: &[5], at: OffsetAt::Time(6) };
    let frame = offsets.frame(2, 9);
    let mut wanted = Vec::new();
    wanted.put_i32(i32::try_from(frame.len()).unwrap() - 4);
    wanted.extend([0, 2, 0, 2, 0, 0, 0, 9, 0, 19]);
    wanted.extend(b"millstream-firehose");
    wanted.extend([255, 255, 255, 255, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 5]);
    wanted.put_i64(6);
    assert_eq!(frame, wanted);
}

#[test]
fn brokers_are_named_with_their_ports() {
    assert_eq!(brokers("a:1, [::1]:9092").unwrap(), ["a:1", "[::1]:9092"]);
    for wrong in ["", "a", ":1", "a:x", "a:1,"] {
        assert!(brokers(wrong).is_err(), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn no_answer_makes_a_reader_panic(bytes: Vec<u8>, with_ids: bool, version in 0..11_i16) {
        let reader = |flexible| Reader::new(Bytes::from(bytes.clone()), flexible);
        let _ = TopicMetadata::read(reader(with_ids), with_ids);
        let _ = read_offsets(reader(false));
        let _ = Versions::read(reader(false));
        let _ = Fetched::read(reader(false), version);
        let _ = run(std::slice::from_ref(&bytes), vec![(7, 0)], 0).take(ALL);
    }

    /// Past the checksum, which would stop nearly all of them.
    #[test]
    fn no_records_make_a_reader_panic(bytes: Vec<u8>, attributes in 0..64_i16, count in 0..9_usize) {
        let _ = run(&[framed(0, 9, attributes, count, &bytes)], vec![(7, 0)], 0).take(ALL);
    }

    #[test]
    fn however_a_run_is_taken_each_record_comes_once(
        records in 1..5_usize,
        bytes in 1..40_usize,
        from in 40..48_i64,
    ) {
        let mut run = run(&[batch(40, 43, 0, &TEN), batch(44, 47, 0, &TEN)], Vec::new(), from);
        let mut found = Vec::new();
        while !run.is_over() {
            found.extend(offsets(&run.take(RunLimit { records, bytes }).unwrap()));
            prop_assert!(found.last().is_none_or(|last| *last < run.next()));
        }
        prop_assert_eq!(found, (from..48).collect::<Vec<_>>());
    }
}
