//! `demo`: the main job from nothing to proof, with one command and no other tool.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use millstream_api::kinesis::PutRecordsRequestEntry;
use millstream_client::{CallError, Capacity, Client, ReadFrom};
use millstream_core::{Rand, SystemRand};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bench::histogram::Histogram;
use crate::decode::Expression;
use crate::demo::feed::{Feed, Tick};
use crate::demo::proof::{Account, Proof};
use crate::demo::view::View;
use crate::endpoint::{EndpointFlags, anonymous, connect};
use crate::exit::{Failure, Outcome};
use crate::lines;
use crate::serving::{Admission, Running, scratch};
use crate::terminal::{Style, bytes_text, count_text, duration_text};

#[derive(Args, Debug)]
#[command(after_help = "\
It starts a server of its own on a free port, with a data directory that is removed afterwards;
creates a stream; puts a generated ticker feed, or your lines; follows them live through enhanced
fan-out; then reads everything back and compares hashes, shard by shard.

Examples:
  millstream demo
  millstream demo --records 1000000 --rate 0          as fast as it goes
  millstream demo access.log                          your lines instead of generated ones
  journalctl -n 10000 | millstream demo -
  millstream demo --endpoint-url http://127.0.0.1:4566    against a server that is running")]
pub(crate) struct Arguments {
    /// Lines to stream, `-` for standard input [default: a generated ticker feed]
    file: Option<PathBuf>,
    /// Generated records to stream
    #[arg(long, value_name = "COUNT", default_value = "25000", conflicts_with = "file",
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    records: u64,
    /// Records a second at most, 0 for as fast as it goes [default: 5000 generated ones; a file
    /// as fast as it goes]
    #[arg(long, value_name = "COUNT")]
    rate: Option<u64>,
    /// Take each line's key from its JSON, such as .user.id [default: a random key each]
    #[arg(long, value_name = "EXPRESSION", requires = "file")]
    key_from: Option<Expression>,
    /// Shards of the stream
    #[arg(long, value_name = "COUNT", default_value = "2",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    shards: u32,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

const GENERATED_RATE: u64 = 5_000;
const FEED_SEED: u64 = 4_566;
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long subscribers are given to receive what is on its way.
const DELIVERY_MAX: Duration = Duration::from_secs(30);
const ATTEMPTS_MAX: u32 = 8;

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    if arguments.endpoint.endpoint_url.is_some() || arguments.endpoint.aws {
        let client = arguments.endpoint.client()?;
        println!("using the server at {}", client.endpoint());
        return demonstrate(&client, &arguments).await;
    }
    let (settings, place) = scratch();
    let server = Running::start(settings, Admission::Dev).await?;
    println!(
        "started a server at {}, its data in {} until the end",
        server.endpoint(),
        place.path().display()
    );
    let mut settings = millstream_client::ClientSettings::new("us-east-1", anonymous());
    settings.endpoint = Some(server.endpoint());
    settings.codec = arguments.endpoint.codec.codec();
    if arguments.endpoint.http2 {
        settings.version = millstream_client::HttpVersion::Http2;
    }
    let client = connect(settings)?;
    let outcome = demonstrate(&client, &arguments).await;
    let stopped = server.stop().await;
    outcome.and(stopped.map(drop))
}

/// Runs it all on a stream of its own, and takes that away again.
async fn demonstrate(client: &Client, arguments: &Arguments) -> Outcome {
    let stream = format!("millstream-demo-{:08x}", SystemRand::new().next_u64() >> 32);
    client.create_stream(&stream, Capacity::Shards(arguments.shards)).await?;
    let outcome = on_stream(client, &stream, arguments).await;
    client.delete_stream(&stream).await?;
    outcome
}

async fn on_stream(client: &Client, stream: &str, arguments: &Arguments) -> Outcome {
    let described = client.wait_until_active(stream).await?;
    println!("created the stream {stream} with {} shards", described.open_shard_count);
    let consumer = client.register_consumer(&described.stream_arn, "demo").await?;
    let source = Source::open(arguments)?;
    println!("streaming {}, followed live through enhanced fan-out", source.name);

    let shared = Arc::new(Shared {
        view: Mutex::new(View::new(source.total)),
        pushed: Mutex::default(),
        sent: Mutex::default(),
        started: Instant::now(),
    });
    let (done, is_done) = watch::channel(false);
    let mut followers = JoinSet::new();
    for shard in client.list_shards(stream).await? {
        let follower = Follower {
            client: client.clone(),
            consumer_arn: consumer.consumer_arn.clone(),
            shard: shard.shard_id,
            shared: Arc::clone(&shared),
            done: is_done.clone(),
        };
        followers.spawn(follower.run());
    }
    let put = put_all(client, stream, source, &shared).await;
    let took = shared.started.elapsed();
    if let Ok(account) = &put {
        let waited = Instant::now();
        while shared.pushed_count() < account.count() && waited.elapsed() < DELIVERY_MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    done.send_replace(true);
    let mut followed = Ok(());
    while let Some(follower) = followers.join_next().await {
        followed = followed.and(follower.expect("a follower does not panic"));
    }
    lock(&shared.view).finish();
    let mut put = put?;
    followed?;
    client.deregister_consumer(&consumer.consumer_arn).await?;
    put.sort();
    let reading = Instant::now();
    let (read, bytes) = read_back(client, stream).await?;
    let read_took = reading.elapsed();
    let (pushed, latency) = std::mem::take(&mut *lock(&shared.pushed));
    let proof = Proof { put, read, pushed };
    tell(&proof, bytes, took, read_took, &latency)
}

fn tell(
    proof: &Proof,
    bytes: u64,
    took: Duration,
    read_took: Duration,
    latency: &Histogram,
) -> Outcome {
    let style = Style::of_stdout();
    let count = proof.put.count();
    println!("\n{}\n", proof.table(style));
    println!(
        "put        {} records, {} in {}: {}",
        count_text(count),
        bytes_text(bytes),
        duration_text(took),
        rate_text(count, bytes, took)
    );
    println!(
        "pushed     {} after the put (p50), {} (p99), {} (max)",
        duration_text(latency.quantile(500)),
        duration_text(latency.quantile(990)),
        duration_text(latency.max())
    );
    println!(
        "read back  in {}: {}",
        duration_text(read_took),
        rate_text(proof.read.count(), bytes, read_took)
    );
    if proof.holds() && count > 0 {
        let sentence = "what was put, what was read back and what was pushed are equal, \
                        record by record, shard by shard";
        println!("{}", style.green(&format!("verified   {sentence}")));
        return Ok(());
    }
    Err(Failure::mismatch("what came out is not what went in; see the table above"))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rate_text(count: u64, bytes: u64, took: Duration) -> String {
    let seconds = took.as_secs_f64().max(1e-6);
    let records = (count as f64 / seconds) as u64;
    format!("{} records/s, {}/s", count_text(records), bytes_text((bytes as f64 / seconds) as u64))
}

/// What the writer and the followers share.
struct Shared {
    view: Mutex<View>,
    /// What was pushed, and how long after its put.
    pushed: Mutex<(Account, Histogram)>,
    /// When the batches that records were in were sent, by the hash of the record: kept only
    /// until it is pushed.
    sent: Mutex<std::collections::HashMap<(String, Bytes), std::collections::VecDeque<Instant>>>,
    started: Instant,
}

impl Shared {
    fn pushed_count(&self) -> u64 {
        lock(&self.pushed).0.count()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Why a subscription ended.
enum Ended {
    /// Its time was up.
    Subscription,
    /// The shard was closed, and all of it has come.
    Shard,
}

/// Follows one shard until told to end.
struct Follower {
    client: Client,
    consumer_arn: String,
    shard: String,
    shared: Arc<Shared>,
    done: watch::Receiver<bool>,
}

impl Follower {
    async fn run(mut self) -> Outcome {
        let mut done = self.done.clone();
        let mut position = ReadFrom::TrimHorizon;
        loop {
            tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => return Ok(()),
                // The service ends a subscription after five minutes: subscribe again.
                followed = self.follow(&mut position) => match followed? {
                    Ended::Subscription => {}
                    Ended::Shard => return Ok(()),
                },
            }
        }
    }

    async fn follow(&mut self, position: &mut ReadFrom) -> Result<Ended, CallError> {
        let subscribed =
            self.client.subscribe_to_shard(&self.consumer_arn, &self.shard, position).await;
        let mut subscription = subscribed?;
        while let Some(event) = subscription.next().await? {
            let now = Instant::now();
            for record in &event.records {
                let sent = self.shared.take_sent(&record.partition_key, &record.data);
                let mut pushed = lock(&self.shared.pushed);
                let number = &record.sequence_number;
                pushed.0.note(&self.shard, number, &record.partition_key, &record.data);
                if let Some(sent) = sent {
                    pushed.1.record(now.duration_since(sent));
                }
            }
            if let Some(last) = event.records.last() {
                let mut view = lock(&self.shared.view);
                view.newest(&self.shard, &last.data);
                let pushed = lock(&self.shared.pushed);
                view.pushed(pushed.0.count(), &pushed.1);
            }
            match event.continuation_sequence_number {
                Some(number) => *position = ReadFrom::AfterSequenceNumber(number),
                None => return Ok(Ended::Shard),
            }
        }
        Ok(Ended::Subscription)
    }
}

impl Shared {
    fn note_sent(&self, batch: &[PutRecordsRequestEntry]) {
        let now = Instant::now();
        let mut sent = lock(&self.sent);
        for entry in batch {
            let name = (entry.partition_key.clone(), entry.data.clone());
            sent.entry(name).or_default().push_back(now);
        }
    }

    fn take_sent(&self, key: &str, data: &Bytes) -> Option<Instant> {
        let mut sent = lock(&self.sent);
        let name = (key.to_owned(), data.clone());
        let times = sent.get_mut(&name)?;
        let first = times.pop_front();
        if times.is_empty() {
            sent.remove(&name);
        }
        first
    }
}

/// Where records come from.
struct Source {
    name: String,
    total: Option<u64>,
    rate: Option<u64>,
    ticks: mpsc::Receiver<Outcome<Tick>>,
}

impl Source {
    fn open(arguments: &Arguments) -> Outcome<Self> {
        let (sender, ticks) = mpsc::channel(2 * BATCH_RECORDS);
        let Some(file) = &arguments.file else {
            let records = arguments.records;
            tokio::spawn(async move {
                let count = usize::try_from(records).unwrap_or(usize::MAX);
                for tick in Feed::new(FEED_SEED).take(count) {
                    if sender.send(Ok(tick)).await.is_err() {
                        return;
                    }
                }
            });
            let name = format!("{} ticks of a generated feed", count_text(records));
            let rate = arguments.rate.unwrap_or(GENERATED_RATE);
            return Ok(Self {
                name,
                total: Some(records),
                rate: Some(rate).filter(|r| *r > 0),
                ticks,
            });
        };
        let input = lines::open(std::slice::from_ref(file))?;
        tokio::spawn(keyed(input.lines, arguments.key_from.clone(), sender));
        let is_stdin = file.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
        let rate = arguments.rate.filter(|rate| *rate > 0);
        Ok(Self { name: format!("the lines of {name}"), total: None, rate, ticks })
    }
}

async fn keyed(
    mut input: mpsc::Receiver<lines::Read>,
    key_from: Option<Expression>,
    sender: mpsc::Sender<Outcome<Tick>>,
) {
    let rand = SystemRand::new();
    while let Some(line) = input.recv().await {
        let tick = line.and_then(|line| {
            let key = match &key_from {
                Some(expression) => expression
                    .key_of(&line.text)
                    .map_err(|error| Failure::failed(format!("line {}: {error}", line.number)))?,
                None => format!("{:016x}", rand.next_u64()),
            };
            Ok(Tick { key, line: line.text })
        });
        if sender.send(tick).await.is_err() {
            return;
        }
    }
}

/// Puts everything, in batches of what has come by then; gives what was acknowledged.
async fn put_all(
    client: &Client,
    stream: &str,
    mut source: Source,
    shared: &Shared,
) -> Outcome<Account> {
    let mut account = Account::default();
    let mut read = Vec::with_capacity(BATCH_RECORDS);
    // A paced feed goes out in small batches, so that it flows instead of stuttering.
    let limit = source.rate.map_or(BATCH_RECORDS, |rate| {
        usize::try_from(rate / 100).unwrap_or(BATCH_RECORDS).clamp(1, BATCH_RECORDS)
    });
    let mut issued = 0;
    while source.ticks.recv_many(&mut read, limit).await > 0 {
        let mut batch = Vec::with_capacity(read.len());
        let mut bytes = 0;
        for tick in read.drain(..) {
            let Tick { key, line } = tick?;
            if bytes + line.len() > BATCH_BYTES_MAX && !batch.is_empty() {
                put(client, stream, std::mem::take(&mut batch), shared, &mut account).await?;
                bytes = 0;
            }
            bytes += line.len();
            batch.push(PutRecordsRequestEntry {
                data: line,
                partition_key: key,
                explicit_hash_key: None,
            });
        }
        if let Some(rate) = source.rate {
            let due = Duration::from_nanos(issued * 1_000_000_000 / rate);
            tokio::time::sleep_until(shared.started + due).await;
        }
        issued += batch.len() as u64;
        put(client, stream, batch, shared, &mut account).await?;
        lock(&shared.view).put(account.count(), shared.started.elapsed());
    }
    Ok(account)
}

/// Puts one batch, and again what of it was refused.
async fn put(
    client: &Client,
    stream: &str,
    mut batch: Vec<PutRecordsRequestEntry>,
    shared: &Shared,
    account: &mut Account,
) -> Outcome {
    shared.note_sent(&batch);
    for attempt in 1..=ATTEMPTS_MAX {
        let answers = client.put_records(stream, batch.clone()).await?;
        let mut refused = Vec::new();
        for (entry, answer) in batch.into_iter().zip(answers) {
            match (answer.shard_id, answer.sequence_number) {
                (Some(shard), Some(number)) => {
                    account.note(&shard, &number, &entry.partition_key, &entry.data);
                }
                _ => refused.push(entry),
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        batch = refused;
        tokio::time::sleep(Duration::from_millis(100) * (1 << attempt)).await;
    }
    Err(Failure::failed(format!("{} records were refused {ATTEMPTS_MAX} times", batch.len())))
}

/// Reads every shard from its first record to its end.
async fn read_back(client: &Client, stream: &str) -> Outcome<(Account, u64)> {
    let mut account = Account::default();
    let mut bytes = 0;
    for shard in client.list_shards(stream).await? {
        let id = &shard.shard_id;
        let mut iterator = Some(client.shard_iterator(stream, id, &ReadFrom::TrimHorizon).await?);
        while let Some(at) = iterator {
            let answer = client.get_records(at, None).await?;
            for record in &answer.records {
                bytes += record.data.len() as u64;
                account.note(id, &record.sequence_number, &record.partition_key, &record.data);
            }
            let is_end = answer.millis_behind_latest.is_none_or(|behind| behind == 0);
            iterator =
                answer.next_shard_iterator.filter(|_| !(is_end && answer.records.is_empty()));
        }
    }
    Ok((account, bytes))
}
