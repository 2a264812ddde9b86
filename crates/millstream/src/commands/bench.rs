//! `bench`: loads an endpoint, ours or another, and measures it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use millstream_client::{Capacity, Client};
use millstream_core::limits::{RECORD_KIB_DEFAULT, RECORD_KIB_MAX};
use millstream_core::{Rand, SystemRand};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bench::fan_out::Subscriber;
use crate::bench::record::{RECORD_BYTES_MIN, RecordForm};
use crate::bench::report::{Report, Section, Verification};
use crate::bench::verify::verify;
use crate::bench::work::{self, Tally, WriterNumbers};
use crate::bench::{Bench, Control};
use crate::endpoint::{EndpointFlags, connect};
use crate::exit::{Failure, Outcome};
use crate::interrupt::{Interrupts, interrupted};
use crate::terminal::{Progress, Style, count_text};

#[derive(Args, Debug)]
#[command(after_help = "\
A stream of its own is made and deleted, unless --stream names one. Connections stand before the
load begins. Latency is from the request's start (with --rate: from when it was due, so that a slow
answer makes those behind it late) to its whole answer; for fan-out and mixed also from when the put
was due to the record's arrival at its reader. Afterwards everything acknowledged is read back and
compared byte by byte. Ctrl-C ends the load early, with a report; a second one ends it all.

Examples:
  millstream bench put-batch --record-bytes 1024 --connections 4
  millstream bench put-single --record-bytes 100 --connections 64 --duration 20s
  millstream bench get --codec cbor
  millstream bench fan-out --rate 1000 --http2
  millstream bench put-batch --endpoint-url http://127.0.0.1:4567 --json    a peer
  millstream bench put-single --aws --region eu-central-1 --rate 100        costs money")]
pub(crate) struct Arguments {
    /// What to do to the endpoint
    #[arg(value_enum, default_value = "put-batch")]
    workload: Workload,
    /// Load this stream, and leave it there, instead of one of its own
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Shards of its own stream
    #[arg(long, value_name = "COUNT", default_value = "4",
          value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// Bytes of each record's data, at least 28
    #[arg(long, value_name = "BYTES", default_value = "1024", value_parser = record_bytes)]
    record_bytes: usize,
    /// Records to a PutRecords, as far as 5 MiB go
    #[arg(long, value_name = "COUNT", default_value = "500",
          value_parser = clap::value_parser!(u64).range(1..=500))]
    batch: u64,
    /// Connections, each with one request under way
    #[arg(long, value_name = "COUNT", default_value = "16",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,
    /// Records a second, of all connections together: an open loop [default: as fast as it goes;
    /// fan-out: 500]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// How long to load, such as 500ms, 10s, 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Stop after this many records put (get: read), instead of by time
    #[arg(long, value_name = "COUNT", conflicts_with = "duration",
          value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Consumers of each shard (fan-out)
    #[arg(long, value_name = "COUNT", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=20))]
    consumers: u32,
    /// Megabytes put before reading starts (get)
    #[arg(long, value_name = "MB", default_value = "64",
          value_parser = clap::value_parser!(u64).range(1..))]
    prefill: u64,
    /// Records asked for in a GetRecords (get, mixed)
    #[arg(long, value_name = "COUNT", default_value = "10000",
          value_parser = clap::value_parser!(i32).range(1..=10_000))]
    limit: i32,
    /// Wait this long after an empty GetRecords (mixed); AWS allows five a second of a shard
    #[arg(long, value_name = "MS", default_value = "10")]
    poll_ms: u64,
    /// Do not read back what was put
    #[arg(long)]
    no_verify: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// PutRecord, one record to a request
    PutSingle,
    /// PutRecords
    PutBatch,
    /// GetRecords of what was put before, from the first record on
    Get,
    /// PutRecord on one side, SubscribeToShard on the other: how long until a record is pushed
    FanOut,
    /// PutRecords on half of the connections, followed by GetRecords on the shards
    Mixed,
}

fn record_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (RECORD_BYTES_MIN..=10 * 1024 * 1024).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a number from {RECORD_BYTES_MIN} to 10485760")),
    }
}

/// `500ms`, `10s`, `2m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit_ms = match &text[split..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        _ => return Err("write 500ms, 10s or 2m".to_owned()),
    };
    let count: u64 = text[..split].parse().map_err(|_| "write 500ms, 10s or 2m".to_owned())?;
    Ok(Duration::from_millis(count.saturating_mul(unit_ms)))
}

/// A partition key is two hexadecimal numbers.
const KEY_BYTES_MAX: usize = 32;
/// Older endpoints take 5 MiB in a request (documented until 2025), which is plenty.
const REQUEST_BYTES_MAX: usize = 5 * 1024 * 1024;
/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);
/// How long after the last put subscribers are given to receive what is on its way.
const DELIVERY_MAX: Duration = Duration::from_secs(10);
const SUBSCRIBE_MAX: Duration = Duration::from_secs(60);
const FAN_OUT_RATE: u64 = 500;

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    if arguments.workload == Workload::Get && arguments.rate.is_some() {
        return Err(Failure::usage("get reads as fast as it goes, and takes no --rate")
            .advise("leave --rate out, or use mixed"));
    }
    let run = Run::new(arguments)?;
    if run.is_own_stream {
        let capacity = Capacity::Shards(run.arguments.shards);
        run.client.create_stream(&run.stream, capacity).await?;
    }
    let outcome = tokio::select! {
        biased;
        () = run.interrupts.second() => Err(interrupted()),
        outcome = run.measured() => outcome,
    };
    run.clean_up().await;
    let report = outcome?;
    if run.arguments.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.text(Style::of_stdout()));
    }
    match &report.verification {
        Verification::Done(verdict) if !verdict.is_good() => {
            Err(Failure::mismatch("what was read back is not what was acknowledged"))
        }
        Verification::Failed(_) => Err(Failure::failed("what was put could not be read back")),
        _ if report.is_good() => Ok(()),
        _ => Err(Failure::failed("some requests failed; the counts stand above")),
    }
}

struct Run {
    arguments: Arguments,
    /// Tries each request once.
    loader: Client,
    /// Tries again, for what is around the load.
    client: Client,
    stream: String,
    is_own_stream: bool,
    form: Arc<RecordForm>,
    writers: WriterNumbers,
    epoch: Instant,
    interrupts: Interrupts,
    /// What was registered and must go again.
    consumers: Mutex<Vec<String>>,
}

impl Run {
    fn new(arguments: Arguments) -> Outcome<Self> {
        let interrupts = Interrupts::listen()?;
        let mut settings = arguments.endpoint.settings()?;
        let client = connect(settings.clone())?;
        settings.connections = usize::try_from(arguments.connections).unwrap_or(usize::MAX);
        settings.attempts_max = 1;
        let loader = connect(settings)?;
        let run = SystemRand::new().next_u64();
        let (stream, is_own_stream) = match &arguments.stream {
            Some(name) => (name.clone(), false),
            None => (format!("millstream-bench-{run:016x}"), true),
        };
        let form = Arc::new(RecordForm::new(run, arguments.record_bytes));
        Ok(Self {
            arguments,
            loader,
            client,
            stream,
            is_own_stream,
            form,
            writers: WriterNumbers::default(),
            epoch: Instant::now(),
            interrupts,
            consumers: Mutex::default(),
        })
    }

    /// Waits until the stream takes such records and all connections stand; gives its open shards.
    async fn make_ready(&self) -> Outcome<i32> {
        let progress = Progress::waiting("the stream is being made ready");
        let stream = self.client.wait_until_active(&self.stream).await?;
        // A record counts with its partition key.
        let kib = (self.arguments.record_bytes + KEY_BYTES_MAX).div_ceil(1_024);
        if self.is_own_stream && kib > RECORD_KIB_DEFAULT as usize {
            let kib = i32::try_from(kib).unwrap_or(i32::MAX).min(RECORD_KIB_MAX.cast_signed());
            self.client.update_max_record_size(&stream.stream_arn, kib).await?;
            self.client.wait_until_active(&self.stream).await?;
        }
        self.loader.connect_ahead().await?;
        progress.finish();
        Ok(stream.open_shard_count)
    }

    async fn clean_up(&self) {
        if self.is_own_stream {
            // Its consumers go with it.
            if self.client.delete_stream(&self.stream).await.is_err() {
                eprintln!("the stream {} could not be deleted and is still there", self.stream);
            }
            return;
        }
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for consumer in consumers {
            if self.client.deregister_consumer(&consumer).await.is_err() {
                eprintln!("the consumer {consumer} could not be deregistered and is still there");
            }
        }
    }

    /// Loads, then reads back.
    async fn measured(&self) -> Outcome<Report> {
        let shards = self.make_ready().await?;
        let sections = match self.arguments.workload {
            Workload::PutSingle => vec![self.put(1).await],
            Workload::PutBatch => vec![self.put(self.batch()).await],
            Workload::Get => self.get().await?,
            Workload::FanOut => self.fan_out().await?,
            Workload::Mixed => self.mixed().await?,
        };
        let verification = if self.arguments.no_verify {
            Verification::Skipped
        } else {
            let mut sent = BTreeMap::new();
            for section in &sections {
                sent.extend(section.tally.writers.clone());
            }
            self.verify(&sent).await
        };
        Ok(Report { setting: self.setting(shards), sections, verification })
    }

    fn setting(&self, shards: i32) -> Vec<(&'static str, serde_json::Value)> {
        let arguments = &self.arguments;
        let workload = arguments.workload.to_possible_value().expect("none is hidden");
        let codec = arguments.endpoint.codec.to_possible_value().expect("none is hidden");
        let http = if arguments.endpoint.http2 { "2" } else { "1.1" };
        let mut setting = vec![
            ("workload", json!(workload.get_name())),
            ("endpoint", json!(self.client.endpoint().to_string())),
            ("record_bytes", json!(arguments.record_bytes)),
            ("shards", json!(shards)),
            ("connections", json!(arguments.connections)),
            ("codec", json!(codec.get_name())),
            ("http", json!(http)),
        ];
        if matches!(arguments.workload, Workload::PutBatch | Workload::Mixed | Workload::Get) {
            setting.push(("batch", json!(self.batch())));
        }
        if let Some(rate) = self.rate() {
            setting.push(("rate", json!(rate)));
        }
        setting
    }

    /// Records to a PutRecords: as asked for, but no more than fit into a request.
    fn batch(&self) -> u64 {
        let record = self.arguments.record_bytes + KEY_BYTES_MAX;
        let fitting = (REQUEST_BYTES_MAX / record) as u64;
        self.arguments.batch.min(fitting).max(1)
    }

    fn rate(&self) -> Option<u64> {
        let is_fan_out = self.arguments.workload == Workload::FanOut;
        self.arguments.rate.or(is_fan_out.then_some(FAN_OUT_RATE))
    }

    fn control(&self) -> Arc<Control> {
        let records = self.arguments.records;
        let duration = records.is_none().then_some(self.arguments.duration);
        Arc::new(Control::start(duration, records, self.rate()))
    }

    fn bench(&self, control: &Arc<Control>) -> Bench {
        Bench {
            client: self.loader.clone(),
            stream: self.stream.as_str().into(),
            form: Arc::clone(&self.form),
            control: Arc::clone(control),
            epoch: self.epoch,
        }
    }

    fn spawn_writers(&self, bench: &Bench, count: u32, batch: u64) -> JoinSet<Tally> {
        let mut workers = JoinSet::new();
        for _ in 0..count {
            workers.spawn(work::put(bench.clone(), self.writers.next(), batch));
        }
        workers
    }

    async fn put(&self, batch: u64) -> Section {
        let control = self.control();
        let workers = self.spawn_writers(&self.bench(&control), self.arguments.connections, batch);
        let tally = self.watch(&control, work::join(workers)).await;
        self.put_section(tally, &control)
    }

    fn put_section(&self, tally: Tally, control: &Control) -> Section {
        let latency_of = match self.rate() {
            Some(_) => "from when the request was due to its answer",
            None => "request to its answer",
        };
        let (lasted, unsent) = (control.elapsed(), control.unsent());
        Section { name: "put", latency_of, lasted, tally, unsent }
    }

    /// Puts what will be read; quietly retried until it is all there.
    async fn prefill(&self) -> Outcome<Tally> {
        let records =
            (self.arguments.prefill * 1_000_000).div_ceil(self.form.record_bytes() as u64);
        let control = Arc::new(Control::start(None, Some(records), None));
        let workers = self.spawn_writers(&self.bench(&control), 4, self.batch());
        let tally = self.watch_as("filling", &control, work::join(workers)).await;
        if tally.records == 0 {
            let reason = tally.errors.keys().next().cloned().unwrap_or_default();
            return Err(Failure::failed(format!("nothing could be put to be read: {reason}")));
        }
        Ok(tally)
    }

    async fn get(&self) -> Outcome<Vec<Section>> {
        let filled = self.prefill().await?;
        let shards = self.shard_ids().await?;
        let control = self.control();
        let bench = self.bench(&control);
        let mut workers = JoinSet::new();
        for first in 0..self.arguments.connections as usize {
            let limit = self.arguments.limit;
            workers.spawn(work::get(bench.clone(), shards.clone(), first % shards.len(), limit));
        }
        let mut tally = self.watch(&control, work::join(workers)).await;
        let lasted = control.elapsed();
        tally.writers = filled.writers;
        let latency_of = "GetRecords to its answer";
        Ok(vec![Section { name: "get", latency_of, lasted, tally, unsent: 0 }])
    }

    async fn shard_ids(&self) -> Outcome<Vec<String>> {
        let shards = self.client.list_shards(&self.stream).await?;
        Ok(shards.into_iter().map(|shard| shard.shard_id).collect())
    }

    async fn mixed(&self) -> Outcome<Vec<Section>> {
        let shards = self.shard_ids().await?;
        let control = self.control();
        let bench = self.bench(&control);
        let mut readers = JoinSet::new();
        let half = (self.arguments.connections / 2).max(1);
        let poll = Duration::from_millis(self.arguments.poll_ms);
        for shard in shards {
            let limit = self.arguments.limit;
            readers.spawn(work::follow(bench.clone(), shard, limit, poll));
        }
        let writers = self.spawn_writers(&bench, half, self.batch());
        let put = self.watch(&control, work::join(writers)).await;
        let put = self.put_section(put, &control);
        control.stop();
        let tally = work::join(readers).await;
        let latency_of = "from when the put was due to the record's arrival at a polling reader";
        let get = Section { name: "get", latency_of, lasted: put.lasted, tally, unsent: 0 };
        Ok(vec![put, get])
    }

    async fn fan_out(&self) -> Outcome<Vec<Section>> {
        let stream = self.client.describe_stream(&self.stream).await?;
        let shards = self.shard_ids().await?;
        let control = self.control();
        let (done, is_done) = watch::channel(false);
        let mut subscribers = JoinSet::new();
        let mut ready = Vec::new();
        for index in 0..self.arguments.consumers {
            let name = format!("bench-{index}-{:08x}", SystemRand::new().next_u64() >> 32);
            let consumer = self.client.register_consumer(&stream.stream_arn, &name).await?;
            let arn = consumer.consumer_arn.clone();
            self.consumers.lock().unwrap_or_else(PoisonError::into_inner).push(arn);
            for shard in &shards {
                let (told, standing) = oneshot::channel();
                ready.push(standing);
                let subscriber = Subscriber {
                    bench: self.bench(&control),
                    consumer_arn: consumer.consumer_arn.clone(),
                    shard: shard.clone(),
                    ready: Some(told),
                    done: is_done.clone(),
                };
                subscribers.spawn(subscriber.run());
            }
        }
        let standing = futures_util::future::join_all(ready);
        tokio::time::timeout(SUBSCRIBE_MAX, standing)
            .await
            .map_err(|_| Failure::failed("the endpoint did not let all consumers subscribe"))?;
        // The load starts only now: subscribing took a while.
        let load = self.control();
        let writers = self.spawn_writers(&self.bench(&load), self.arguments.connections, 1);
        let put = self.watch(&load, work::join(writers)).await;
        let put = self.put_section(put, &load);
        let expected = put.tally.records * u64::from(self.arguments.consumers);
        let waited = Instant::now();
        while control.delivered_count() < expected && waited.elapsed() < DELIVERY_MAX {
            tokio::time::sleep(TICK / 10).await;
        }
        done.send_replace(true);
        let tally = work::join(subscribers).await;
        let latency_of = "from when the put was due to the event's arrival";
        let fan_out = Section { name: "fan-out", latency_of, lasted: put.lasted, tally, unsent: 0 };
        Ok(vec![put, fan_out])
    }

    async fn verify(&self, sent: &BTreeMap<u32, work::Sent>) -> Verification {
        let total = sent.values().map(|sent| sent.end).sum();
        let progress = Progress::bar("verifying", total);
        let read = Arc::new(AtomicU64::new(0));
        let checking = verify(&self.client, &self.stream, &self.form, sent, &read);
        tokio::pin!(checking);
        let verdict = loop {
            tokio::select! {
                biased;
                verdict = &mut checking => break verdict,
                () = tokio::time::sleep(TICK) => progress.at(read.load(Ordering::Relaxed)),
            }
        };
        progress.finish();
        match verdict {
            Ok(verdict) => Verification::Done(verdict),
            Err(error) => Verification::Failed(error.to_string()),
        }
    }

    async fn watch(&self, control: &Arc<Control>, work: impl Future<Output = Tally>) -> Tally {
        self.watch_as("loading", control, work).await
    }

    /// Shows progress until the work is done; Ctrl-C ends it early, with a report.
    async fn watch_as(
        &self,
        label: &str,
        control: &Arc<Control>,
        work: impl Future<Output = Tally>,
    ) -> Tally {
        let progress = Progress::share(label);
        tokio::pin!(work);
        let mut last = (0, control.elapsed());
        let tally = loop {
            tokio::select! {
                biased;
                tally = &mut work => break tally,
                () = self.interrupts.first(), if !control.is_stopped() => control.stop(),
                () = tokio::time::sleep(TICK) => {
                    let now = (control.records.load(Ordering::Relaxed), control.elapsed());
                    let seconds = now.1.saturating_sub(last.1).as_secs_f64().max(1e-9);
                    #[allow(clippy::cast_precision_loss)] // For the eye.
                    let rate = (now.0 - last.0) as f64 / seconds;
                    last = now;
                    progress.at(control.per_mille());
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // As above.
                    progress.note(format!("{} records/s", count_text(rate as u64)));
                }
            }
        };
        progress.finish();
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for text in ["", "s", "1h", "-1s", "1.5s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_record_must_hold_its_identity() {
        assert!(record_bytes("27").is_err());
        assert_eq!(record_bytes("28"), Ok(28));
        assert!(record_bytes("10485761").is_err());
    }
}
