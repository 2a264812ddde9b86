//! `demo`: the main job from nothing to proof, with one command and no other tool.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use millstream_api::kinesis::PutRecordsRequestEntry;
use millstream_client::{Capacity, Client, ReadFrom};
use millstream_core::{Rand, SystemRand};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bench::histogram::Histogram;
use crate::decode::Expression;
use crate::demo::feed::Tick;
use crate::demo::follow::{Follower, Pushed, Shared};
use crate::demo::proof::{Account, Acknowledged, Proof};
use crate::demo::source::{Item, Source};
use crate::demo::view::View;
use crate::endpoint::{EndpointFlags, anonymous, connect};
use crate::exit::{Failure, Outcome};
use crate::interrupt::{Interrupts, interrupted};
use crate::serving::{Admission, Running, scratch};
use crate::terminal::{Progress, Style, bytes_text, count_text, duration_text, records_text};

#[derive(Args, Debug)]
#[command(mut_arg("endpoint_url", |flag| {
    flag.help("Use the server at this endpoint [default: one of its own, for as long as it lasts]")
}))]
#[command(after_help = "\
It starts a server of its own on a free port, with a data directory that is removed afterwards;
creates a stream; puts a generated ticker feed, or your lines; follows them live through enhanced
fan-out; then reads everything back and compares hashes, shard by shard. Ctrl-C ends the input
early, and what was put until then is proved; a second one ends it all, and tidies up.

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

const BATCH_RECORDS: usize = 500;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long nothing may arrive while subscribers are waited for.
const DELIVERY_SILENCE_MAX: Duration = Duration::from_secs(30);
const ATTEMPTS_MAX: u32 = 8;
const THROTTLED_WAIT: Duration = Duration::from_millis(250);

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    // First of all: an input that cannot be read is told before anything is started.
    let source = match &arguments.file {
        None => Source::generated(arguments.records, arguments.rate),
        Some(file) => Source::lines(file, arguments.key_from.clone(), arguments.rate)?,
    };
    let interrupts = Interrupts::listen()?;
    if arguments.endpoint.endpoint_url.is_some() || arguments.endpoint.aws {
        let client = arguments.endpoint.client()?;
        println!("using the server at {}", client.endpoint());
        return demonstrate(&client, source, arguments.shards, &interrupts).await;
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
    let outcome = demonstrate(&client, source, arguments.shards, &interrupts).await;
    let stopped = server.stop().await;
    outcome.and(stopped.map(drop))
}

/// Runs it all on a stream of its own, and takes that away again whatever happens.
async fn demonstrate(
    client: &Client,
    source: Source,
    shards: u32,
    interrupts: &Interrupts,
) -> Outcome {
    let stream = format!("millstream-demo-{:08x}", SystemRand::new().next_u64() >> 32);
    client.create_stream(&stream, Capacity::Shards(shards)).await?;
    let outcome = tokio::select! {
        biased;
        () = interrupts.second() => Err(interrupted()),
        outcome = on_stream(client, &stream, source, interrupts) => outcome,
    };
    let deleted = client.delete_stream(&stream).await;
    outcome.and(deleted.map_err(Failure::from))
}

async fn on_stream(
    client: &Client,
    stream: &str,
    source: Source,
    interrupts: &Interrupts,
) -> Outcome {
    let waiting = Progress::waiting("the stream is being created");
    let described = client.wait_until_active(stream).await;
    waiting.finish();
    let described = described?;
    println!("created the stream {stream} with {} shards", described.open_shard_count);
    let consumer = client.register_consumer(&described.stream_arn, "demo").await?;
    println!("streaming {}, followed live through enhanced fan-out", source.name);

    let shared = Arc::new(Shared::new(View::new(source.total)));
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
    let put = Writer { client, stream, shared: &shared, account: Account::default() };
    let put = put.all(source, interrupts).await;
    let took = shared.started.elapsed();
    if let Ok(account) = &put {
        wait_for_delivery(&shared, account.count()).await;
    }
    done.send_replace(true);
    let mut followed = Ok(());
    while let Some(follower) = followers.join_next().await {
        followed = followed.and(follower.expect("a follower does not panic"));
    }
    shared.finish_view();
    let put = put?;
    followed?;
    client.deregister_consumer(&consumer.consumer_arn).await?;
    if put.count() == 0 {
        return Err(Failure::failed("the input has no lines, so there is nothing to show")
            .advise("name another file, or none for a generated feed"));
    }
    let reading = Instant::now();
    let (read, bytes) = read_back(client, stream, put.count()).await?;
    let read_took = reading.elapsed();
    let Pushed { account: pushed, latency } = shared.take_pushed();
    let proof = Proof { put, read, pushed };
    tell(&proof, bytes, took, read_took, &latency)
}

/// Waits until subscribers have what was put, as long as anything still comes.
async fn wait_for_delivery(shared: &Shared, count: u64) {
    let mut last = (0, Instant::now());
    while last.1.elapsed() < DELIVERY_SILENCE_MAX {
        let pushed = shared.pushed_count();
        if pushed >= count {
            return;
        }
        if pushed > last.0 {
            last = (pushed, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
        "put        {}, {} in {}: {}",
        records_text(count),
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
    if proof.holds() {
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

/// Puts what the source has, one request after the other.
struct Writer<'a> {
    client: &'a Client,
    stream: &'a str,
    shared: &'a Shared,
    /// What was acknowledged.
    account: Account,
}

impl Writer<'_> {
    /// Puts everything, in batches of what has come by then, until the source or somebody's
    /// patience ends; gives what was acknowledged.
    async fn all(mut self, mut source: Source, interrupts: &Interrupts) -> Outcome<Account> {
        let mut items = Vec::with_capacity(BATCH_RECORDS);
        // A paced feed goes out in small batches, so that it flows instead of stuttering.
        let limit = source.rate.map_or(BATCH_RECORDS, |rate| {
            usize::try_from(rate / 100).unwrap_or(BATCH_RECORDS).clamp(1, BATCH_RECORDS)
        });
        let mut issued = 0;
        loop {
            tokio::select! {
                biased;
                () = interrupts.first() => break,
                count = source.items.recv_many(&mut items, limit) => if count == 0 { break },
            }
            if let Some(rate) = source.rate {
                let due = Duration::from_nanos(issued * 1_000_000_000 / rate);
                tokio::select! {
                    biased;
                    () = interrupts.first() => break,
                    () = tokio::time::sleep_until(self.shared.started + due) => {}
                }
            }
            issued += items.len() as u64;
            let position = self.batches(&mut items).await?;
            self.shared.show_put(self.account.count(), position);
        }
        Ok(self.account)
    }

    /// Puts these, in as many requests as their size needs; gives where in the input they end.
    async fn batches(&mut self, items: &mut Vec<Outcome<Item>>) -> Outcome<u64> {
        let mut batch = Vec::with_capacity(items.len());
        let (mut bytes, mut position) = (0, 0);
        for item in items.drain(..) {
            let Item { tick: Tick { key, line }, end } = item?;
            if bytes + line.len() > BATCH_BYTES_MAX && !batch.is_empty() {
                self.put(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += line.len();
            position = end;
            let explicit_hash_key = None;
            batch.push(PutRecordsRequestEntry {
                data: line,
                partition_key: key,
                explicit_hash_key,
            });
        }
        self.put(batch).await?;
        Ok(position)
    }

    /// Puts one batch, and again what of it was refused.
    async fn put(&mut self, mut batch: Vec<PutRecordsRequestEntry>) -> Outcome {
        self.shared.note_sent(&batch);
        for attempt in 1..=ATTEMPTS_MAX {
            let answers = self.client.put_records(self.stream, batch.clone()).await?;
            let mut refused = Vec::new();
            let mut acknowledged = Vec::with_capacity(batch.len());
            for (entry, answer) in batch.iter().zip(answers) {
                match (answer.shard_id, answer.sequence_number) {
                    (Some(shard), Some(sequence_number)) => acknowledged.push(Acknowledged {
                        shard,
                        sequence_number,
                        key: &entry.partition_key,
                        data: &entry.data,
                    }),
                    _ => refused.push(entry.clone()),
                }
            }
            self.account.note_acknowledged(acknowledged);
            if refused.is_empty() {
                return Ok(());
            }
            batch = refused;
            tokio::time::sleep(Duration::from_millis(100) * (1 << attempt)).await;
        }
        Err(Failure::failed(format!("{} were refused {ATTEMPTS_MAX} times", batch.len()))
            .advise("put more slowly with --rate, or over more --shards"))
    }
}

/// Reads every shard from its first record to its end.
async fn read_back(client: &Client, stream: &str, expected: u64) -> Outcome<(Account, u64)> {
    let progress = Progress::bar("reading", expected);
    let mut account = Account::default();
    let mut bytes = 0;
    for shard in client.list_shards(stream).await? {
        let id = &shard.shard_id;
        let mut iterator = Some(client.shard_iterator(stream, id, &ReadFrom::TrimHorizon).await?);
        while let Some(at) = iterator {
            let answer = match client.get_records(at.clone(), None).await {
                Err(error) if error.is_throttling() => {
                    iterator = Some(at);
                    tokio::time::sleep(THROTTLED_WAIT).await;
                    continue;
                }
                answer => answer?,
            };
            for record in &answer.records {
                bytes += record.data.len() as u64;
                account.note(id, &record.sequence_number, &record.partition_key, &record.data);
            }
            progress.at(account.count());
            let is_end = answer.millis_behind_latest.is_none_or(|behind| behind == 0);
            iterator =
                answer.next_shard_iterator.filter(|_| !(is_end && answer.records.is_empty()));
        }
    }
    progress.finish();
    Ok((account, bytes))
}
