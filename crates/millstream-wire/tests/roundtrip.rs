//! What is encoded decodes to itself, in every form, and whatever else is sent does no harm.

mod sample;

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_wire::{Codec, decode_input, decode_output, encode_body};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use sample::Sample;

const CODECS: [Codec; 3] = [Codec::Json11, Codec::Json10, Codec::Cbor11];

fn text() -> impl Strategy<Value = String> {
    // Quotes, escapes, controls, and characters beyond 16 bits.
    vec(prop_oneof![any::<char>(), Just('"'), Just('\\'), (0_u8..32).prop_map(char::from)], 0..12)
        .prop_map(|characters| characters.into_iter().collect())
}

fn leaf() -> impl Strategy<Value = Sample> {
    let scalars = (
        of(text()),
        of(vec(any::<u8>(), 0..40).prop_map(Bytes::from)),
        of(any::<i32>()),
        of(any::<i64>()),
        of(any::<f64>().prop_filter("finite", |double| double.is_finite())),
        of(any::<bool>()),
        of((0_u64..1 << 48).prop_map(Timestamp::from_ms)),
        of(btree_map(text(), text(), 0..4)),
    );
    scalars.prop_map(|(text, blob, integer, long, double, boolean, time, map)| Sample {
        text,
        blob,
        integer,
        long,
        double,
        boolean,
        time,
        map,
        ..Sample::default()
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        (leaf(), vec(inner.clone(), 0..4), vec(inner, 0..4)).prop_map(|(outer, list, few)| Sample {
            list: Some(list),
            few: Some(few),
            ..outer
        })
    })
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(value in sample()) {
        for codec in CODECS {
            let body = encode_body(codec, &value);
            prop_assert_eq!(decode_input(codec, &body), Ok(value.clone()));
            prop_assert_eq!(decode_output(codec, &body), Ok(value.clone()));
        }
    }

    #[test]
    fn a_body_cut_anywhere_is_refused(value in sample(), cut in any::<prop::sample::Index>()) {
        for codec in CODECS {
            let body = encode_body(codec, &value);
            // Nothing at all reads as the empty structure.
            let at = 1 + cut.index(body.len() - 1).min(body.len() - 2);
            prop_assert!(decode_input::<Sample>(codec, &body.slice(..at)).is_err());
        }
    }

    #[test]
    fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..512)) {
        let body = Bytes::from(bytes);
        for codec in CODECS {
            let _ = decode_input::<Sample>(codec, &body);
        }
    }

    #[test]
    fn no_change_to_a_body_does_harm(
        value in sample(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        for codec in CODECS {
            let mut body = encode_body(codec, &value).to_vec();
            let at = at.index(body.len());
            body[at] = with;
            let _ = decode_input::<Sample>(codec, &Bytes::from(body));
        }
    }
}

/// Pieces that JSON is made of, and some that it is not.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"\"",
    "\"b\\n\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\x\"",
    "\"",
    "\\",
    "0",
    "-1",
    "1.5",
    "1e-7",
    "01",
    "-",
    "1.",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\n",
    "\t",
    "{}",
    "[]",
    "{\"a\":1}",
    "[1,2]",
    "\u{e9}",
    "\"\u{e9}\"",
    "/",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Differential: what another reader takes as the value of an unknown member, ours does too.
    #[test]
    fn json_is_what_another_reader_says_it_is(
        pieces in vec(prop::sample::select(PIECES), 0..9),
    ) {
        let body = format!("{{\"Unknown\":{}}}", pieces.concat());
        let ours = decode_input::<Sample>(Codec::Json11, &Bytes::from(body.clone())).is_ok();
        let theirs = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&body).is_ok();
        // A second key in the outer object may name a member of ours or occur twice.
        let has_more_keys = body.contains("},\"") || body.contains("\"a\":1},");
        prop_assert!(has_more_keys || ours == theirs, "{} (ours {})", body, ours);
    }
}

#[test]
fn json_and_cbor_look_as_clients_expect() {
    let value = Sample {
        blob: Some(Bytes::from_static(b"hello")),
        time: Some(Timestamp::from_ms(1_480_123_456_789)),
        map: Some(BTreeMap::from([("a".to_owned(), "\u{1}\"".to_owned())])),
        ..Sample::default()
    };
    let json = encode_body(Codec::Json11, &value);
    let expected = r#"{"Blob":"aGVsbG8=","Time":1480123456.789,"Map":{"a":"\u0001\""}}"#;
    assert_eq!(std::str::from_utf8(&json), Ok(expected));
    let cbor = encode_body(Codec::Cbor11, &value);
    // Indefinite map; text, bytes; text, tag 1, milliseconds; text, map of one; break.
    let expected: &[u8] = b"\xbf\x64Blob\x45hello\x64Time\xc1\x1b\x00\x00\x01\x58\x9e\x3b\x9d\x15\
        \x63Map\xa1\x61a\x62\x01\"\xff";
    assert_eq!(&cbor[..], expected);
}

#[test]
fn a_blob_of_cbor_is_a_slice_of_its_body() {
    let blob = Bytes::from(vec![7; 100]);
    let body = encode_body(Codec::Cbor11, &Sample { blob: Some(blob), ..Sample::default() });
    let value: Sample = decode_input(Codec::Cbor11, &body).unwrap();
    let within = body.as_ptr_range();
    assert!(within.contains(&value.blob.unwrap().as_ptr()), "the blob was copied");
}

#[test]
fn blobs_of_json_lie_side_by_side_in_one_arena() {
    let records: Vec<String> = (0..50).map(|_| r#"{"Blob":"aGVsbG8h"}"#.to_owned()).collect();
    let body = Bytes::from(format!(r#"{{"List":[{}]}}"#, records.join(",")));
    let value: Sample = decode_input(Codec::Json11, &body).unwrap();
    let blobs: Vec<Bytes> = value.list.unwrap().into_iter().filter_map(|item| item.blob).collect();
    assert_eq!(blobs.len(), 50);
    for pair in blobs.windows(2) {
        assert_eq!(pair[0].as_ptr_range().end, pair[1].as_ptr(), "another allocation");
    }
}
