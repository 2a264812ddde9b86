//! A small world: the service on a log in memory, a clock that stands still, one caller.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_api::firehose::{FirehoseService, SERVICE};
use millstream_api::{Call, Reply, Service};
use millstream_auth::{DevMode, Keyring, MasterKey, VerifiedCaller};
use millstream_catalog::memory::MemoryLog;
use millstream_core::limits::LimitsMode;
use millstream_core::source::{
    SourceError, SourceFuture, SourceLimit, SourcePage, SourcePlace, SourceShards, StreamLife,
    StreamSource,
};
use millstream_core::{Clock, ManualClock, Region, SeededRand, StreamArn, Timestamp};
use millstream_log::Log;
use millstream_wire::Codec;
use serde_json::{Value, json};

use crate::{Firehose, Ground, Settings};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-1";
/// When worlds begin.
pub(crate) const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/firehose";
pub(crate) const BUCKET: &str = "arn:aws:s3:::lake";
pub(crate) const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks";

/// Data Streams with one stream, `clicks`, that is never read here.
#[derive(Debug)]
struct Clicks;

impl StreamSource for Clicks {
    fn shards<'a>(&'a self, stream: &'a StreamArn) -> SourceFuture<'a, SourceShards> {
        let is_there = stream.name.as_str() == "clicks";
        let shards = SourceShards { life: StreamLife(1), shards: Vec::new() };
        let answer = if is_there { Ok(shards) } else { Err(SourceError::StreamNotFound) };
        Box::pin(std::future::ready(answer))
    }

    fn position<'a>(
        &'a self,
        _: &'a StreamArn,
        _: SourcePlace,
        _: Option<Timestamp>,
    ) -> SourceFuture<'a, u64> {
        unreachable!("nothing is delivered here")
    }

    fn read<'a>(
        &'a self,
        _: &'a StreamArn,
        _: SourcePlace,
        _: u64,
        _: SourceLimit,
    ) -> SourceFuture<'a, SourcePage> {
        unreachable!("nothing is delivered here")
    }

    fn changed<'a>(&'a self, _: &'a StreamArn, _: SourcePlace, _: u64) -> SourceFuture<'a, ()> {
        unreachable!("nothing is delivered here")
    }
}

/// An error as the wire tells it.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) text: String,
}

pub(crate) struct World {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) firehose: Arc<Firehose>,
    pub(crate) caller: VerifiedCaller,
    settings: Settings,
}

pub(crate) fn settings() -> Settings {
    Settings::new(REGION.parse::<Region>().unwrap())
}

fn keyring() -> Arc<Keyring> {
    let rand = Arc::new(SeededRand::new(7));
    Arc::new(Keyring::new(MasterKey::generate(&SeededRand::new(1)), Vec::new(), rand))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with_quotas() -> Self {
        Self::with(Settings { limits: LimitsMode::Aws, ..settings() }).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let log = MemoryLog::new(clock.clone());
        Self::open(log, clock, settings).await
    }

    async fn open(log: Arc<MemoryLog>, clock: Arc<ManualClock>, settings: Settings) -> Self {
        let (log_dyn, clock_dyn): (Arc<dyn Log>, Arc<dyn Clock>) = (log.clone(), clock.clone());
        let streams = Arc::new(Clicks);
        let ground = Ground { log: log_dyn, keyring: keyring(), clock: clock_dyn, streams };
        let firehose = Firehose::open(ground, settings.clone()).await.unwrap();
        let dev = DevMode::new(ACCOUNT.parse().unwrap(), REGION.parse().unwrap());
        Self { log, clock, firehose, caller: dev.caller(Some("test"), false), settings }
    }

    /// The world after a crash: what is durable, opened anew.
    pub(crate) async fn crash(self) -> Self {
        self.firehose.stop();
        let log = self.log.crashed();
        drop(self.firehose);
        Self::open(log, self.clock, self.settings).await
    }

    /// Calls an operation with `input` as its body.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Result<Value, Told> {
        let call = Call {
            caller: self.caller.clone(),
            operation: SERVICE.operation(operation).expect("an operation"),
            request_id: "request".into(),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_secure: false,
            received: self.clock.now(),
            codec: Codec::Json11,
        };
        let body = Bytes::from(serde_json::to_vec(&input).unwrap());
        match FirehoseService(self.firehose.clone()).call(call, body).await {
            Reply::Body(body) => Ok(serde_json::from_slice(&body).unwrap()),
            Reply::Error(error) => Err(Told { code: error.code.into_owned(), text: error.message }),
            Reply::Events(_) => unreachable!("Firehose has no event streams"),
        }
    }

    /// Lets `duration` pass, for clock and tasks alike.
    pub(crate) async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
        tokio::time::sleep(duration).await;
    }

    /// Lets transitions come to their end.
    pub(crate) async fn settle(&self) {
        self.pass(Duration::from_millis(200)).await;
    }

    /// Creates a delivery stream with that destination, and lets it become ACTIVE.
    pub(crate) async fn create(&self, name: &str, destination: Value) -> Result<Value, Told> {
        let mut input = destination;
        input["DeliveryStreamName"] = name.into();
        let created = self.call("CreateDeliveryStream", input).await?;
        self.settle().await;
        Ok(created)
    }

    pub(crate) async fn describe(&self, name: &str) -> Result<Value, Told> {
        let input = json!({"DeliveryStreamName": name});
        let mut output = self.call("DescribeDeliveryStream", input).await?;
        Ok(output["DeliveryStreamDescription"].take())
    }

    /// The only destination, as it is described.
    pub(crate) async fn destination(&self, name: &str) -> Value {
        self.describe(name).await.unwrap()["Destinations"][0].take()
    }

    pub(crate) async fn put(&self, name: &str, records: &[&[u8]]) -> Result<Value, Told> {
        let records: Vec<Value> = records.iter().map(|data| record(data)).collect();
        let input = json!({"DeliveryStreamName": name, "Records": records});
        self.call("PutRecordBatch", input).await
    }

    /// The data of all stored records of a delivery stream, opened.
    pub(crate) fn stored(&self, name: &str) -> Vec<Vec<u8>> {
        let orders = self.firehose.orders();
        let order = orders.iter().find(|order| order.name == name).expect("an active stream");
        let log = order.records.expect("direct puts");
        let stored = self.log.stored(log).into_iter();
        stored.map(|bytes| self.firehose.open_record(order.uid, &bytes).unwrap().to_vec()).collect()
    }

    /// Whether any stored byte string, the catalog's included, holds `text`.
    pub(crate) fn is_stored(&self, text: &[u8]) -> bool {
        let logs = self.log.ids().into_iter();
        let mut payloads = logs.flat_map(|id| self.log.stored(id));
        payloads.any(|payload| payload.windows(text.len()).any(|window| window == text))
    }
}

/// A record as PutRecord takes it.
pub(crate) fn record(data: &[u8]) -> Value {
    json!({"Data": base64_simd::STANDARD.encode_to_string(data)})
}

/// The least S3 destination.
pub(crate) fn s3() -> Value {
    json!({"S3DestinationConfiguration": bucket()})
}

/// The least configuration of a bucket.
pub(crate) fn bucket() -> Value {
    json!({"RoleARN": ROLE, "BucketARN": BUCKET})
}

/// The least extended S3 destination, with `more` members.
pub(crate) fn extended(more: Value) -> Value {
    json!({"ExtendedS3DestinationConfiguration": with(bucket(), more)})
}

/// `base` with the members of `more`; a null takes a member away.
pub(crate) fn with(base: Value, more: Value) -> Value {
    let (mut base, Value::Object(more)) = (base, more) else { panic!("an object") };
    for (name, value) in more {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(&name);
        } else {
            base[name] = value;
        }
    }
    base
}

/// Asserts that a call failed with that code and that text.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Told>, code: &str, text: &str) {
    let told = result.expect_err("refused");
    assert_eq!((told.code.as_str(), told.text.as_str()), (code, text));
}
