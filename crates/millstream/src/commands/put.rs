//! `put`: lines become records.
//!
//! Batches are sent one after the other, so records stay in the order of the input; only a
//! record that the service refused and that is put again comes later than its successors.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millstream_api::kinesis::PutRecordsRequestEntry;
use millstream_client::Client;
use millstream_core::limits::{PUT_RECORDS_BYTES_MAX, PUT_RECORDS_COUNT_MAX};
use millstream_core::{Rand, SystemRand};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::decode::Expression;
use crate::endpoint::EndpointFlags;
use crate::exit::{Failure, Outcome};
use crate::lines;
use crate::terminal::{Progress, bytes_text, count_text, duration_text, records_text};

#[derive(Args, Debug)]
#[command(after_help = "\
Each line is a record, without its line break; empty lines are passed over.
Without --key or --key-from each record has a random key, which spreads them over all shards.

Examples:
  echo hello | millstream put orders
  millstream put orders events.ndjson --key-from .user.id
  millstream put orders --key sensor-7 < readings.txt      all in one shard, in order
  tail -f access.log | millstream put access               as lines come
  millstream put orders big.txt --rate 1000                records a second")]
pub(crate) struct Arguments {
    /// The stream
    stream: String,
    /// Files to read; standard input where none is named, or for `-`
    files: Vec<PathBuf>,
    /// Give each record this partition key
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// Take each record's key from its JSON, such as .user.id or .items[0].sku
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "key")]
    key_from: Option<Expression>,
    /// Records to a request
    #[arg(long, value_name = "COUNT", default_value = "500",
          value_parser = clap::value_parser!(u16).range(1..=500))]
    batch: u16,
    /// Records a second at most
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

/// How often a record that the service refused is put again.
const ATTEMPTS_MAX: u32 = 8;
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// Leaves room for the rest of the request below the service's maximum; half of it, since older
/// endpoints take 5 MiB.
const BATCH_BYTES_MAX: usize = PUT_RECORDS_BYTES_MAX / 2 - 64 * 1024;

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let client = arguments.endpoint.client()?;
    // Tells of a missing stream or endpoint before any input is read.
    client.describe_stream(&arguments.stream).await?;
    let input = lines::open(&arguments.files)?;
    let progress = match input.bytes {
        Some(bytes) => Progress::bytes_bar("putting", bytes),
        None => Progress::spinner("putting"),
    };
    let mut put = Put {
        client,
        stream: arguments.stream,
        keys: Keys::new(arguments.key, arguments.key_from),
        count: 0,
        bytes: 0,
        input_bytes: 0,
        started: Instant::now(),
        rate: arguments.rate,
    };
    let outcome = put.all(input.lines, usize::from(arguments.batch), &progress).await;
    progress.finish();
    let taken = put.started.elapsed();
    let summary = format!(
        "{}, {} in {}",
        records_text(put.count),
        bytes_text(put.bytes),
        duration_text(taken)
    );
    match outcome {
        Ok(()) => {
            eprintln!("put {summary} into {}", put.stream);
            Ok(())
        }
        Err(failure) => {
            eprintln!("put {summary} into {}: what stands before the failure", put.stream);
            Err(failure)
        }
    }
}

/// Where partition keys come from.
enum Keys {
    Fixed(String),
    From(Expression),
    Random(Box<SystemRand>),
}

impl Keys {
    fn new(fixed: Option<String>, from: Option<Expression>) -> Self {
        match (fixed, from) {
            (Some(key), _) => Self::Fixed(key),
            (None, Some(expression)) => Self::From(expression),
            (None, None) => Self::Random(Box::new(SystemRand::new())),
        }
    }

    fn key_of(&self, line: &lines::Line) -> Outcome<String> {
        match self {
            Self::Fixed(key) => Ok(key.clone()),
            Self::Random(rand) => Ok(format!("{:016x}", rand.next_u64())),
            Self::From(expression) => expression
                .key_of(&line.text)
                .map_err(|error| line.wrong(error).advise("mend it, and put what is left")),
        }
    }
}

struct Put {
    client: Client,
    stream: String,
    keys: Keys,
    count: u64,
    bytes: u64,
    input_bytes: u64,
    started: Instant,
    rate: Option<u32>,
}

impl Put {
    async fn all(
        &mut self,
        mut input: mpsc::Receiver<lines::Read>,
        batch_records: usize,
        progress: &Progress,
    ) -> Outcome {
        // A paced input goes out in tenths of a second, so that it flows instead of stuttering.
        let paced = self.rate.map(|rate| (rate / 10).max(1) as usize);
        let batch_records = batch_records.min(paced.unwrap_or(PUT_RECORDS_COUNT_MAX));
        let mut read = Vec::with_capacity(batch_records);
        // Whatever has come by now goes out together; nothing waits for a batch to fill.
        while input.recv_many(&mut read, batch_records).await > 0 {
            let mut batch = Vec::with_capacity(read.len());
            let mut batch_bytes = 0;
            let mut failure = None;
            for line in read.drain(..) {
                let keyed = line.and_then(|line| Ok((self.keys.key_of(&line)?, line)));
                let (partition_key, line) = match keyed {
                    Ok(keyed) => keyed,
                    Err(wrong) => {
                        failure = Some(wrong);
                        break;
                    }
                };
                self.input_bytes = line.end;
                let bytes = line.text.len() + partition_key.len();
                if batch_bytes + bytes > BATCH_BYTES_MAX && !batch.is_empty() {
                    self.send(std::mem::take(&mut batch)).await?;
                    batch_bytes = 0;
                }
                batch_bytes += bytes;
                let data = line.text;
                batch.push(PutRecordsRequestEntry { data, partition_key, explicit_hash_key: None });
            }
            // What stands before a line that cannot be put is put, so that it is known how far.
            self.send(batch).await?;
            self.report(progress);
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Puts a batch, and again what of it was refused.
    async fn send(&mut self, mut batch: Vec<PutRecordsRequestEntry>) -> Outcome {
        if batch.is_empty() {
            return Ok(());
        }
        self.keep_rate(batch.len()).await;
        for attempt in 1..=ATTEMPTS_MAX {
            // Cloning an entry shares its data.
            let answers = self.client.put_records(&self.stream, batch.clone()).await?;
            let mut refused = Vec::new();
            let mut reason = None;
            for (entry, answer) in batch.into_iter().zip(answers) {
                if let Some(code) = answer.error_code {
                    reason = Some((code, answer.error_message.unwrap_or_default()));
                    refused.push(entry);
                } else {
                    self.count += 1;
                    self.bytes += entry.data.len() as u64;
                }
            }
            let Some((code, message)) = reason else { return Ok(()) };
            if attempt == ATTEMPTS_MAX {
                let refusal = format!(
                    "{} records were refused {ATTEMPTS_MAX} times: {code}: {message}",
                    refused.len()
                );
                return Err(Failure::failed(refusal)
                    .advise("put more slowly with --rate, or give the stream more shards"));
            }
            tokio::time::sleep(RETRY_WAIT * (1 << attempt)).await;
            batch = refused;
        }
        Ok(())
    }

    /// Waits until as many records as this may have been put at the rate asked for.
    async fn keep_rate(&self, count: usize) {
        if let Some(rate) = self.rate {
            #[allow(clippy::cast_precision_loss)] // A schedule, not a count.
            let seconds = (self.count as f64 + count as f64 - 1.0) / f64::from(rate);
            tokio::time::sleep_until(self.started + Duration::from_secs_f64(seconds)).await;
        }
    }

    fn report(&self, progress: &Progress) {
        #[allow(clippy::cast_precision_loss)] // For the eye.
        let rate = self.count as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // As above.
        let rate = count_text(rate as u64);
        if progress.has_end() {
            progress.at(self.input_bytes);
            progress.note(format!("{}, {rate}/s", records_text(self.count)));
        } else {
            progress.at(self.count);
            progress.note(format!("records, {rate}/s"));
        }
    }
}
