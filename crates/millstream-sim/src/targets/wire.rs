//! Bodies and frames.

use bytes::Bytes;
use millstream_api::kinesis::{
    AddTagsToStreamInput, ChildShard, CreateStreamInput, GetRecordsInput, GetRecordsOutput,
    GetShardIteratorInput, ListShardsInput, PutRecordInput, PutRecordsInput,
    PutRecordsRequestEntry, Record, ShardIteratorType, StartingPosition, SubscribeToShardEvent,
    SubscribeToShardInput,
};
use millstream_core::Timestamp;
use millstream_wire::event_stream::{
    Frame, FrameReader, HeaderValue, event_frame, exception_frame,
};
use millstream_wire::{Codec, Decode, Encode, ErrorBody, decode_input, decode_output, encode_body};

/// A first byte that says which type, and a body.
pub(super) fn cbor(data: &[u8]) {
    body(Codec::Cbor11, data);
}

/// A first byte that says which type, and a body.
pub(super) fn json(data: &[u8]) {
    body(Codec::Json11, data);
}

fn body(codec: Codec, data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    match kind % 9 {
        0 => input::<PutRecordsInput>(codec, &body),
        1 => input::<PutRecordInput>(codec, &body),
        2 => input::<CreateStreamInput>(codec, &body),
        3 => input_if::<GetShardIteratorInput>(codec, &body, |input| exact(input.timestamp)),
        4 => input_if::<SubscribeToShardInput>(codec, &body, |input| {
            exact(input.starting_position.timestamp)
        }),
        5 => input_if::<ListShardsInput>(codec, &body, |input| {
            let filter = input.shard_filter.as_ref().and_then(|filter| filter.timestamp);
            exact(input.stream_creation_timestamp) && exact(filter)
        }),
        6 => input::<AddTagsToStreamInput>(codec, &body),
        7 => input::<GetRecordsInput>(codec, &body),
        _ => {
            let _ = decode_output::<GetRecordsOutput>(codec, &body);
            let _ = decode_output::<SubscribeToShardEvent>(codec, &body);
            let _ = decode_output::<ErrorBody>(codec, &body);
        }
    }
}

/// Whether a moment is among those that a JSON number carries exactly.
fn exact(moment: Option<Timestamp>) -> bool {
    const MS_MAX: u64 = 1 << 50;
    moment.is_none_or(|moment| moment.ms() < MS_MAX)
}

fn input<T: Decode + Encode + PartialEq + std::fmt::Debug>(codec: Codec, body: &Bytes) {
    input_if::<T>(codec, body, |_| true);
}

/// What is let in is what we would have written, in both forms.
fn input_if<T: Decode + Encode + PartialEq + std::fmt::Debug>(
    codec: Codec,
    body: &Bytes,
    exact: impl Fn(&T) -> bool,
) {
    let Ok(value) = decode_input::<T>(codec, body) else { return };
    if !exact(&value) {
        return;
    }
    for codec in [codec, Codec::Json11, Codec::Cbor11] {
        let written = encode_body(codec, &value);
        let again = decode_input::<T>(codec, &written);
        assert_eq!(again.as_ref(), Ok(&value), "through {codec:?}");
    }
}

/// A first byte that says how the bytes are cut into pieces, and a body of frames.
pub(super) fn event_stream(data: &[u8]) {
    let Some((cut, body)) = data.split_first() else { return };
    let mut whole = FrameReader::new();
    whole.push(body);
    let mut frames = Vec::new();
    let mut flaw = None;
    loop {
        match whole.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break,
            Err(error) => {
                flaw = Some(error);
                break;
            }
        }
    }
    // However the bytes are cut, the same frames come out, and the same flaw.
    let mut pieces = FrameReader::new();
    let mut found = frames.iter();
    'cut: for piece in body.chunks(usize::from(*cut).max(1)) {
        pieces.push(piece);
        loop {
            match pieces.next_frame() {
                Ok(Some(frame)) => assert_eq!(Some(&frame), found.next()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(Some(error), flaw);
                    break 'cut;
                }
            }
        }
    }
    assert_eq!(found.next(), None);
    for frame in &frames {
        let mut again = FrameReader::new();
        again.push(&frame.encode());
        assert_eq!(again.next_frame().as_ref(), Ok(&Some(frame.clone())));
        let _ = (frame.event_type(), frame.exception_type(), frame.codec());
    }
}

pub(super) fn cbor_seeds() -> Vec<Vec<u8>> {
    body_seeds(Codec::Cbor11)
}

pub(super) fn json_seeds() -> Vec<Vec<u8>> {
    body_seeds(Codec::Json11)
}

/// A body of each type that [`body`] reads, after the byte that names the type.
fn body_seeds(codec: Codec) -> Vec<Vec<u8>> {
    let mut bodies = record_bodies(codec);
    bodies.extend(stream_bodies(codec));
    bodies.iter().map(|(kind, body)| [&[*kind][..], body].concat()).collect()
}

fn record_bodies(codec: Codec) -> Vec<(u8, Bytes)> {
    let name = || Some("orders".to_owned());
    let entry = |key: &str| PutRecordsRequestEntry {
        data: Bytes::from_static(b"a record's data"),
        explicit_hash_key: Some("170141183460469231731687303715884105728".to_owned()),
        partition_key: key.to_owned(),
    };
    let puts = PutRecordsInput {
        records: vec![entry("k"), entry("schl\u{fc}ssel")],
        stream_name: name(),
        ..PutRecordsInput::default()
    };
    let put = PutRecordInput {
        stream_name: name(),
        data: Bytes::from_static(&[0, 255, 128]),
        partition_key: "k".to_owned(),
        ..PutRecordInput::default()
    };
    let get = GetRecordsInput {
        shard_iterator: "AAAAAAAAAAE=".to_owned(),
        limit: Some(10),
        ..GetRecordsInput::default()
    };
    let record = Record {
        sequence_number: "49543463076548007577105092703039560359975228518395019266".to_owned(),
        data: Bytes::from_static(b"data"),
        partition_key: "k".to_owned(),
        ..Record::default()
    };
    let got = GetRecordsOutput {
        records: vec![record],
        millis_behind_latest: Some(0),
        child_shards: Some(vec![ChildShard::default()]),
        ..GetRecordsOutput::default()
    };
    vec![
        (0, encode_body(codec, &puts)),
        (1, encode_body(codec, &put)),
        (7, encode_body(codec, &get)),
        (8, encode_body(codec, &got)),
    ]
}

fn stream_bodies(codec: Codec) -> Vec<(u8, Bytes)> {
    let name = || Some("orders".to_owned());
    let create = CreateStreamInput {
        stream_name: "orders".to_owned(),
        shard_count: Some(3),
        ..CreateStreamInput::default()
    };
    let iterator = GetShardIteratorInput {
        stream_name: name(),
        shard_id: "shardId-000000000000".to_owned(),
        shard_iterator_type: ShardIteratorType::AtTimestamp,
        timestamp: Some(Timestamp::from_ms(1_767_225_600_123)),
        ..GetShardIteratorInput::default()
    };
    let subscribe = SubscribeToShardInput {
        consumer_arn: "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/c:1".into(),
        shard_id: "shardId-000000000000".to_owned(),
        starting_position: StartingPosition {
            r#type: ShardIteratorType::Latest,
            ..StartingPosition::default()
        },
        ..SubscribeToShardInput::default()
    };
    let list = ListShardsInput { stream_name: name(), ..ListShardsInput::default() };
    let tags = AddTagsToStreamInput {
        stream_name: name(),
        tags: [("a".to_owned(), "b".to_owned())].into(),
        ..AddTagsToStreamInput::default()
    };
    vec![
        (2, encode_body(codec, &create)),
        (3, encode_body(codec, &iterator)),
        (4, encode_body(codec, &subscribe)),
        (5, encode_body(codec, &list)),
        (6, encode_body(codec, &tags)),
    ]
}

pub(super) fn event_stream_seeds() -> Vec<Vec<u8>> {
    let payload = Bytes::from_static(b"{}");
    let event =
        event_frame(Codec::Json11, "SubscribeToShardEvent", &SubscribeToShardEvent::default());
    let exception = exception_frame(Codec::Cbor11, "InternalFailureException", &payload);
    let headers = vec![
        ("boolean".to_owned(), HeaderValue::Boolean(true)),
        ("byte".to_owned(), HeaderValue::Byte(-1)),
        ("short".to_owned(), HeaderValue::Short(-2)),
        ("integer".to_owned(), HeaderValue::Integer(-3)),
        ("long".to_owned(), HeaderValue::Long(-4)),
        ("bytes".to_owned(), HeaderValue::Bytes(payload.clone())),
        ("text".to_owned(), HeaderValue::Text("text".to_owned())),
        ("timestamp".to_owned(), HeaderValue::Timestamp(5)),
        ("uuid".to_owned(), HeaderValue::Uuid([6; 16])),
    ];
    let all = Frame { headers, payload };
    let frames = [event, exception, all.encode()];
    let both = [&[7][..], &frames[0], &frames[1]].concat();
    frames.iter().map(|frame| [&[200][..], frame].concat()).chain([both]).collect()
}
