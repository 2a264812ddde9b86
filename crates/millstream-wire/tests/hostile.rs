//! Inputs meant to hurt: each is refused or read as said, and costs no more than its size.

mod sample;

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_wire::{Codec, DEPTH_MAX, ITEMS_MAX, InputError, decode_input, decode_output};
use sample::Sample;

const MEGABYTE: usize = 1024 * 1024;

fn json(body: impl Into<Bytes>) -> Result<Sample, String> {
    decode_input(Codec::Json11, &body.into()).map_err(|error| error.to_string())
}

fn cbor(body: impl Into<Bytes>) -> Result<Sample, String> {
    decode_input(Codec::Cbor11, &body.into()).map_err(|error| error.to_string())
}

/// A CBOR map of one member.
fn cbor_of(name: &str, value: &[u8]) -> Bytes {
    let mut body = vec![0xa1, 0x60 | u8::try_from(name.len()).expect("short")];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(value);
    body.into()
}

#[test]
fn depth_bombs_are_refused_at_the_depth_allowed() {
    let too_deep = format!("the body nests deeper than {DEPTH_MAX}");
    // As the value of a member that is unknown, so that nothing but depth stops them.
    for (open, codec) in [("[", Codec::Json11), (r#"{"a":"#, Codec::Json11)] {
        let body = format!(r#"{{"Unknown":{}"#, open.repeat(MEGABYTE));
        let error = decode_input::<Sample>(codec, &body.into()).unwrap_err();
        assert_eq!(error, InputError::Serialization(too_deep.clone()));
    }
    assert_eq!(json("[".repeat(MEGABYTE)).unwrap_err(), "Start of list found where not expected");
    assert_eq!(cbor(cbor_of("Unknown", &vec![0x81; MEGABYTE])).unwrap_err(), too_deep);
    assert_eq!(cbor(cbor_of("Unknown", &vec![0x9f; MEGABYTE])).unwrap_err(), too_deep);
    // And along members that are known.
    let known = r#"{"List":["#.repeat(200);
    assert_eq!(json(known).unwrap_err(), too_deep);
    let levels = usize::try_from(DEPTH_MAX).unwrap() - 1;
    let just = format!(r#"{{"Unknown":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(json(just), Ok(Sample::default()));
    let one_more = format!(r#"{{"Unknown":{}{}}}"#, "[".repeat(levels + 1), "]".repeat(levels + 1));
    assert_eq!(json(one_more).unwrap_err(), too_deep);
}

#[test]
fn tags_without_end_are_refused_and_tags_before_a_value_are_passed_over() {
    let error = cbor(cbor_of("Unknown", &vec![0xc1; MEGABYTE])).unwrap_err();
    assert!(error.contains("the body ends within an item"), "{error}");
    let big_tag = b"\xdb\xff\xff\xff\xff\xff\xff\xff\xff\x07";
    assert_eq!(cbor(cbor_of("Integer", big_tag)).unwrap().integer, Some(7));
}

#[test]
fn lengths_are_believed_only_as_far_as_there_are_bytes() {
    let huge_list = b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff";
    let huge_bytes = b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff";
    let huge_text = b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff";
    let huge_map = b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff";
    for (name, value) in
        [("List", huge_list), ("Blob", huge_bytes), ("Text", huge_text), ("Map", huge_map)]
    {
        for name in [name, "Unknown"] {
            let error = cbor(cbor_of(name, value)).unwrap_err();
            assert!(error.contains("the body ends within an item"), "{name}: {error}");
        }
    }
    for unclosed in [&b"\x7f\x61a"[..], b"\x5f\x41a", b"\x9f", b"\xbf", b"\x7f"] {
        assert!(cbor(cbor_of("Unknown", unclosed)).is_err(), "{unclosed:?}");
    }
}

#[test]
fn chunks_join_and_must_be_of_their_strings_kind() {
    let text = cbor(cbor_of("Text", b"\x7f\x62ab\x60\x61c\xff")).unwrap();
    assert_eq!(text.text.as_deref(), Some("abc"));
    let blob = cbor(cbor_of("Blob", b"\x5f\x42ab\x40\x41c\xff")).unwrap();
    assert_eq!(blob.blob.as_deref(), Some(&b"abc"[..]));
    for mixed in [&b"\x7f\x41a\xff"[..], b"\x7f\x7f\x61a\xff\xff", b"\x7f\x01\xff"] {
        assert!(cbor(cbor_of("Text", mixed)).is_err(), "{mixed:?}");
    }
    // A character may not be split over chunks.
    assert!(cbor(cbor_of("Text", b"\x7f\x61\xc3\x61\xa9\xff")).is_err());
}

#[test]
fn keys_are_texts_and_occur_once() {
    for odd_key in [&b"\xa1\x01\x01"[..], b"\xa1\x41a\x01", b"\xa1\xf6\x01", b"\xa1\x80\x01"] {
        assert!(cbor(odd_key).unwrap_err().contains("a key that is no text"), "{odd_key:?}");
    }
    let twice = "the member 'Text' occurs more than once";
    assert_eq!(json(r#"{"Text":"a","Text":"b"}"#).unwrap_err(), twice);
    assert_eq!(json(r#"{"Text":null,"Text":"b"}"#).unwrap_err(), twice);
    assert_eq!(json(r#"{"Te\u0078t":"a","Text":"b"}"#).unwrap_err(), twice);
    assert_eq!(cbor(&b"\xa2\x64Text\x61a\x64Text\x61b"[..]).unwrap_err(), twice);
    let in_map = json(r#"{"Map":{"k":"a","k":"b"}}"#).unwrap_err();
    assert_eq!(in_map, "the member 'k' occurs more than once");
    // What is not known is not read, twice or not.
    assert_eq!(json(r#"{"x":1,"x":{"y":[1,"]",{}]}}"#), Ok(Sample::default()));
}

#[test]
fn numbers_of_any_size_and_form_are_cut_and_never_overflow() {
    let integer = |text: &str| json(format!(r#"{{"Integer":{text}}}"#)).map(|v| v.integer);
    assert_eq!(integer("-0"), Ok(Some(0)));
    assert_eq!(integer("1e999"), Ok(Some(i32::MAX)));
    assert_eq!(integer("-1e999"), Ok(Some(i32::MIN)));
    assert_eq!(integer(&"9".repeat(100_000)), Ok(Some(i32::MAX)));
    assert_eq!(integer("1.5E1"), Ok(Some(15)));
    for wrong in ["01", "+1", "1.", ".5", "1e", "0x10", "NaN", "Infinity", "--1", "1_0", "-"] {
        assert!(integer(wrong).is_err(), "{wrong}");
    }
    let halves: [(&[u8], f64); 6] = [
        (b"\xf9\x3c\x00", 1.0),
        (b"\xf9\xc4\x00", -4.0),
        (b"\xf9\x00\x01", 5.960_464_477_539_063e-8),
        (b"\xf9\x7c\x00", f64::INFINITY),
        (b"\xfa\x47\xc3\x50\x00", 100_000.0),
        (b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", 1.1),
    ];
    for (bytes, expected) in halves {
        assert_eq!(cbor(cbor_of("Double", bytes)).unwrap().double, Some(expected), "{bytes:?}");
    }
    assert!(cbor(cbor_of("Double", b"\xf9\x7e\x00")).unwrap().double.unwrap().is_nan());
    assert_eq!(cbor(cbor_of("Integer", b"\xf9\x7e\x00")).unwrap().integer, Some(0));
    let most = b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff";
    let least = b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(cbor(cbor_of("Long", most)).unwrap().long, Some(i64::MAX));
    assert_eq!(cbor(cbor_of("Long", least)).unwrap().long, Some(i64::MIN));
}

#[test]
fn times_are_seconds_in_json_and_milliseconds_in_cbor() {
    let seconds = |text: &str| json(format!(r#"{{"Time":{text}}}"#)).unwrap().time;
    assert_eq!(seconds("1480123456.789"), Some(Timestamp::from_ms(1_480_123_456_789)));
    assert_eq!(seconds("1.480123456789E9"), Some(Timestamp::from_ms(1_480_123_456_789)));
    assert_eq!(seconds("-5"), Some(Timestamp::from_ms(0)));
    assert_eq!(seconds("1e400"), Some(Timestamp::from_ms(u64::MAX)));
    let ms = |bytes: &[u8]| cbor(cbor_of("Time", bytes)).unwrap().time;
    let expected = Some(Timestamp::from_ms(1_480_123_456_789));
    assert_eq!(ms(b"\xc1\x1b\x00\x00\x01\x58\x9e\x3b\x9d\x15"), expected);
    assert_eq!(ms(b"\x1b\x00\x00\x01\x58\x9e\x3b\x9d\x15"), expected, "without its tag");
    assert_eq!(ms(b"\xc1\xfb\x41\xd6\x0e\x39\x10\x32\x7e\xfa"), expected);
    assert_eq!(ms(b"\xc1\x20"), Some(Timestamp::from_ms(0)));
}

#[test]
fn broken_json_is_refused() {
    let rows = [
        "\u{feff}{}",
        "{} {}",
        "{}x",
        "{",
        r#"{"Text"}"#,
        r#"{"Text":}"#,
        r#"{"Text":"a",}"#,
        r#"{,"Text":"a"}"#,
        r#"{"Text":"a" "Long":1}"#,
        r#"{"Text":"a"#,
        r#"{"Text":"a\"#,
        r#"{"Text":"\x"}"#,
        r#"{"Text":"\u12"}"#,
        r#"{"Text":"\ud800"}"#,
        r#"{"Text":"\ud800\ud800"}"#,
        r#"{"Text":"\udc00"}"#,
        r#"{"Text":"\ud800x"}"#,
        "{\"Text\":\"a\nb\"}",
        "{\"Text\":\"a\0b\"}",
        "{\"Unknown\":\"a\nb\"}",
        r#"{"List":[{},]}"#,
        r#"{"List":[{} {}]}"#,
        r#"{"Boolean":tru}"#,
        r#"{"Unknown":nul}"#,
        "{'Text':'a'}",
        "{Text:1}",
        "/**/{}",
    ];
    for row in rows {
        assert!(json(row).is_err(), "{row}");
    }
    assert!(json(&b"{\"Text\":\"\xff\"}"[..]).is_err(), "not UTF-8");
    assert!(json(&b"{\"Text\":\"\xed\xa0\x80\"}"[..]).is_err(), "a surrogate in UTF-8");
    assert_eq!(json(r#"{"Text":"\ud83d\ude00\u0000\/"}"#).unwrap().text.unwrap(), "\u{1F600}\0/");
    for empty in ["", " \n", "{}", "null"] {
        assert_eq!(json(empty).is_ok(), empty != "null", "{empty:?}");
    }
}

#[test]
fn broken_cbor_is_refused() {
    let rows: [&[u8]; 12] = [
        b"\xa0\xa0",
        b"\x1c",
        b"\xff",
        b"\xf8\x20",
        b"\xa1\x64Text\x1f",
        b"\xa1\x64Text\x61\xff",
        b"\xa1\x64Blob\x61a",
        b"\xa1\x64List\x81\xff",
        b"\xbf\x64Text\xff",
        b"\xa1\x67Boolean\xf8\x15",
        b"\xa1\x67Integer\xf7\x00",
        b"\xa2\x64Text\x61a",
    ];
    for row in rows {
        assert!(cbor(row).is_err(), "{row:02x?}");
    }
    assert_eq!(cbor(&b""[..]), Ok(Sample::default()));
    assert_eq!(cbor(&b"\xa1\x64Text\xf7"[..]), Ok(Sample::default()), "undefined is null");
}

#[test]
fn base64_is_taken_only_in_its_one_form() {
    let blob = |text: &str| json(format!(r#"{{"Blob":"{text}"}}"#)).map(|v| v.blob.unwrap());
    assert_eq!(blob(""), Ok(Bytes::new()));
    assert_eq!(blob("+/+/"), Ok(Bytes::from_static(&[0xfb, 0xff, 0xbf])));
    assert_eq!(blob(r"+\/+\u002f"), Ok(Bytes::from_static(&[0xfb, 0xff, 0xbf])), "escaped");
    for wrong in
        ["QQ", "QQ=", "-_-_", "QUJD RA=", "QQ==QQ==", "QR==", "====", "Q===", "é==", "a\\n=="]
    {
        let error = blob(wrong).unwrap_err();
        assert!(error.contains("can not be converted to a Blob"), "{wrong}: {error}");
    }
}

#[test]
fn lists_without_a_maximum_have_ours_and_answers_have_none() {
    let many = |name: &str, count: usize| {
        Bytes::from(format!(r#"{{"{name}":[{}]}}"#, vec!["{}"; count].join(",")))
    };
    assert_eq!(json(many("List", ITEMS_MAX)).unwrap().list.unwrap().len(), ITEMS_MAX);
    let error = json(many("List", ITEMS_MAX + 1)).unwrap_err();
    assert_eq!(error, format!("a list or map holds more than {ITEMS_MAX} items"));
    let answer: Sample = decode_output(Codec::Json11, &many("List", ITEMS_MAX + 1)).unwrap();
    assert_eq!(answer.list.unwrap().len(), ITEMS_MAX + 1);
    // With a maximum the violation is told, and one item more than allowed is kept to show.
    let error = json(many("Few", 300_000)).unwrap_err();
    assert!(error.contains("at 'few' failed to satisfy constraint"), "{error}");
    assert_eq!(error.matches("com.example.Sample@").count(), 6);
}
