//! Event-stream frames: as published, whole or in pieces, and never believed when broken.

mod sample;

use bytes::Bytes;
use millstream_wire::event_stream::{
    Frame, FrameError, FrameReader, HeaderValue, INITIAL_RESPONSE, event_frame, exception_frame,
};
use millstream_wire::{Codec, decode_output, encode_error};
use proptest::collection::vec;
use proptest::prelude::*;
use sample::Sample;

fn read_one(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    reader.next_frame()
}

#[test]
fn published_frames_are_written_and_read() {
    // From the specification's own test vectors.
    let empty = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
    let payload = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
    let frame = Frame { headers: vec![], payload: Bytes::from_static(b"{'foo':'bar'}") };
    assert_eq!(&Frame::default().encode()[..], empty);
    assert_eq!(&frame.encode()[..], payload);
    assert_eq!(read_one(empty), Ok(Some(Frame::default())));
    assert_eq!(read_one(payload), Ok(Some(frame)));
}

#[test]
fn an_event_says_what_it_is_and_carries_its_payload_in_its_codec() {
    for codec in [Codec::Json11, Codec::Cbor11] {
        let event = Sample { long: Some(7), ..Sample::default() };
        let frame = read_one(&event_frame(codec, "Ticked", &event)).unwrap().unwrap();
        assert_eq!(frame.event_type(), Some("Ticked"));
        assert_eq!(frame.text_header(":message-type"), Some("event"));
        assert_eq!(frame.codec(), Some(codec));
        assert_eq!(decode_output::<Sample>(codec, &frame.payload), Ok(event));
        let body = encode_error(codec, "ResourceInUseException", "busy", &[]);
        let error = exception_frame(codec, "ResourceInUseException", &body);
        let error = read_one(&error).unwrap().unwrap();
        assert_eq!(error.exception_type(), Some("ResourceInUseException"));
        assert_eq!(error.text_header(":message-type"), Some("exception"));
        assert_eq!(error.payload, body);
    }
    assert_eq!(INITIAL_RESPONSE, "initial-response");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let frame = event_frame(Codec::Json11, "Ticked", &Sample::default());
    for bit in 0..frame.len() * 8 {
        let mut broken = frame.to_vec();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(read_one(&broken).is_err(), "bit {bit}");
    }
}

/// A frame whose checksums fit, whatever its lengths and headers say.
fn forged(total: u32, headers_bytes: u32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(total.to_be_bytes());
    bytes.extend(headers_bytes.to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

#[test]
fn lengths_and_headers_are_not_believed() {
    for total in [0, 15, 24 * 1024 * 1024 + 1, u32::MAX] {
        assert_eq!(read_one(&forged(total, 0, b"")), Err(FrameError::Length(total)));
    }
    assert_eq!(read_one(&forged(16, 1, b"")), Err(FrameError::Headers));
    assert_eq!(read_one(&forged(16, u32::MAX, b"")), Err(FrameError::Headers));
    let header = |rest: &[u8]| {
        let length = u32::try_from(rest.len()).unwrap();
        read_one(&forged(16 + length, length, rest))
    };
    for kind in 10..=255 {
        assert_eq!(header(&[1, b'a', kind]), Err(FrameError::HeaderType(kind)));
    }
    for kind in 2..10 {
        assert_eq!(header(&[1, b'a', kind]), Err(FrameError::Headers), "type {kind} cut");
    }
    assert_eq!(header(&[9, b'a', 0]), Err(FrameError::Headers), "a name longer than its frame");
    assert_eq!(header(&[1, 0xff, 0]), Err(FrameError::Headers), "a name that is not UTF-8");
    assert_eq!(header(&[1, b'a', 7, 0xff, 0xff, b'x']), Err(FrameError::Headers));
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        any::<bool>().prop_map(HeaderValue::Boolean),
        any::<i8>().prop_map(HeaderValue::Byte),
        any::<i16>().prop_map(HeaderValue::Short),
        any::<i32>().prop_map(HeaderValue::Integer),
        any::<i64>().prop_map(HeaderValue::Long),
        vec(any::<u8>(), 0..40).prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
        ".{0,20}".prop_map(HeaderValue::Text),
        any::<i64>().prop_map(HeaderValue::Timestamp),
        any::<[u8; 16]>().prop_map(HeaderValue::Uuid),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    (vec((".{1,10}", header_value()), 0..6), vec(any::<u8>(), 0..200))
        .prop_map(|(headers, payload)| Frame { headers, payload: payload.into() })
}

proptest! {
    #[test]
    fn frames_survive_any_cut_into_pieces(
        frames in vec(frame(), 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().to_vec()).collect();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let (mut reader, mut read, mut start) = (FrameReader::new(), Vec::new(), 0);
        for end in ends {
            reader.push(&bytes[start..end]);
            start = end;
            while let Some(frame) = reader.next_frame().unwrap() {
                read.push(frame);
            }
        }
        prop_assert_eq!(read, frames);
        prop_assert!(reader.is_between_frames());
    }

    #[test]
    fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read_one(&bytes);
    }
}
