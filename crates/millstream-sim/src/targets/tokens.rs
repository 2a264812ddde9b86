//! Shard iterators and paging tokens.
//!
//! The input is a first byte that says which, and the token as text. The service has a stream
//! with records; only the tokens that it made itself open anything.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::{
    CreateStreamInput, GetRecordsInput, GetShardIteratorInput, GetShardIteratorOutput,
    KinesisService, ListShardsInput, ListShardsOutput, PutRecordInput, ShardIteratorType,
};
use millstream_api::{Call, Reply, Service};
use millstream_auth::{DevMode, Keyring, MasterKey};
use millstream_core::{ManualClock, Rand, SeededRand, Timestamp};
use millstream_log::storage::SimDisk;
use millstream_log::{Driver, EmbeddedLog, Settings as LogSettings};
use millstream_streams::{Settings, Streams};
use millstream_wire::{Codec, Decode, Encode, decode_output, encode_body};
use tokio::runtime::Runtime;

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);
const STREAM: &str = "orders";

/// A service in memory, and the tokens it gave out.
struct World {
    runtime: Runtime,
    api: Arc<dyn Service>,
    iterators: Vec<String>,
    pages: Vec<String>,
}

thread_local! {
    static WORLD: World = World::new();
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread needs nothing");
        let api: Arc<dyn Service> = Arc::new(KinesisService(runtime.block_on(open())));
        let mut world = Self { runtime, api, iterators: Vec::new(), pages: Vec::new() };
        world.fill();
        world
    }

    fn fill(&mut self) {
        let name = || Some(STREAM.to_owned());
        let create = CreateStreamInput {
            stream_name: STREAM.to_owned(),
            shard_count: Some(5),
            ..CreateStreamInput::default()
        };
        assert!(matches!(self.call("CreateStream", &create), Reply::Body(_)));
        for number in 0..20 {
            let put = PutRecordInput {
                stream_name: name(),
                partition_key: format!("key-{number}"),
                ..PutRecordInput::default()
            };
            assert!(matches!(self.call("PutRecord", &put), Reply::Body(_)));
        }
        for shard in 0..3 {
            let input = GetShardIteratorInput {
                stream_name: name(),
                shard_id: format!("shardId-{shard:012}"),
                shard_iterator_type: ShardIteratorType::TrimHorizon,
                ..GetShardIteratorInput::default()
            };
            let output: GetShardIteratorOutput = self.output("GetShardIterator", &input);
            self.iterators.extend(output.shard_iterator);
        }
        let list = ListShardsInput {
            stream_name: name(),
            max_results: Some(2),
            ..ListShardsInput::default()
        };
        let output: ListShardsOutput = self.output("ListShards", &list);
        self.pages.extend(output.next_token);
    }

    fn call(&self, name: &str, input: &impl Encode) -> Reply {
        let operation = self.api.model().operation(name).expect("the model has the operation");
        let dev = DevMode::new(
            "000000000000".parse().expect("it is an account"),
            "us-east-1".parse().expect("it is a region"),
        );
        let call = Call {
            caller: dev.caller(None, false),
            operation,
            request_id: "fuzz".into(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            received: NOW,
            codec: Codec::Cbor11,
        };
        self.runtime.block_on(self.api.call(call, encode_body(Codec::Cbor11, input)))
    }

    fn output<O: Decode>(&self, name: &str, input: &impl Encode) -> O {
        match self.call(name, input) {
            Reply::Body(body) => decode_output(Codec::Cbor11, &body).expect("answers read"),
            other => panic!("{name} answers {other:?}"),
        }
    }
}

async fn open() -> Arc<Streams> {
    let clock = Arc::new(ManualClock::new(NOW));
    let rand: Arc<dyn Rand> = Arc::new(SeededRand::new(1));
    let storage = SimDisk::new(1).storage();
    let settings = LogSettings { wal_file_bytes: 64 << 10, ..LogSettings::default() };
    let opened = EmbeddedLog::open(storage, clock.clone(), &*rand, settings, Driver::Task);
    let (log, _) = opened.expect("an empty disk opens");
    let keyring = Keyring::new(MasterKey::generate(&*rand), Vec::new(), Arc::clone(&rand));
    let mut settings = Settings::new("us-east-1".parse().expect("it is a region"));
    settings.creating = Duration::ZERO;
    let streams = Streams::open(Arc::new(log), Arc::new(keyring), clock, settings);
    streams.await.expect("an empty log opens")
}

pub(super) fn tokens(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    WORLD.with(|world| {
        let (reply, known) = if kind % 2 == 0 {
            let input =
                GetRecordsInput { shard_iterator: text.to_owned(), ..GetRecordsInput::default() };
            (world.call("GetRecords", &input), &world.iterators)
        } else {
            let input =
                ListShardsInput { next_token: Some(text.to_owned()), ..ListShardsInput::default() };
            (world.call("ListShards", &input), &world.pages)
        };
        // Some clients hand iterators back in the quotes they came in.
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let is_known = known.iter().any(|known| known == bare);
        match reply {
            Reply::Body(_) => assert!(is_known, "a token that nobody made opens"),
            Reply::Error(error) => {
                assert!(!is_known, "a token of ours is refused: {error:?}");
                assert_eq!(error.status, 400, "{error:?}");
            }
            Reply::Events(_) => panic!("events for an operation without"),
        }
    });
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    WORLD.with(|world| {
        let iterators = world.iterators.iter().map(|token| [b"\0", token.as_bytes()].concat());
        let pages = world.pages.iter().map(|token| [b"\x01", token.as_bytes()].concat());
        let quoted = [b"\0\"", world.iterators[0].as_bytes(), b"\""].concat();
        iterators.chain(pages).chain([quoted]).collect()
    })
}
