//! `tail`: a stream's records in the terminal, all shards merged.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use millstream_api::kinesis::Record;
use millstream_client::{Client, ReadFrom};
use millstream_core::{Clock, SystemClock, Timestamp};
use regex::bytes::Regex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::commands::render::{Output, Shown, unfold};
use crate::commands::streams::moment;
use crate::endpoint::EndpointFlags;
use crate::exit::{Failure, Outcome};
use crate::reading::stream::{Found, Reading, StreamReader};
use crate::terminal::{Progress, Style};

#[derive(Args, Debug)]
#[command(after_help = "\
Without --since it shows the last records (-n, 10), looking back as far as it must.
Records come by arrival, whichever shard they are in; a reshard is followed to the children.
KPL aggregates and gzip are unfolded unless --decode none.

Examples:
  millstream tail orders                          the last 10
  millstream tail orders -f                       and what comes
  millstream tail orders --since 15m --grep error
  millstream tail orders --since 2026-11-24T08:00:00Z -o json | jq -c .data
  millstream tail orders --since start -o raw > everything.txt
  millstream tail orders -f --key user-7")]
pub(crate) struct Arguments {
    /// The stream
    stream: String,
    /// Go on: show records as they come
    #[arg(short, long)]
    follow: bool,
    /// Show all since then: `start`, `now`, an age (90s, 15m, 2h, 3d) or a moment (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Show at most the last COUNT of what was there [default: 10, or all with --since]
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,
    /// Show only records in whose data this regular expression matches
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,
    /// Show only records with this partition key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// What to unfold
    #[arg(long, value_enum, default_value = "auto")]
    decode: Decode,
    /// How a record is shown: text has time, shard and key before the data; raw is the data alone
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
    /// Wait this long after an empty answer
    #[arg(long, value_name = "MS", default_value = "250")]
    poll_ms: u64,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Decode {
    /// KPL aggregates and gzip
    Auto,
    /// KPL aggregates only
    Kpl,
    /// Gzip only
    Gzip,
    /// Nothing
    None,
}

/// A point in time, or in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Start,
    Now,
    Ago(Duration),
    At(Timestamp),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" | "beginning" => return Ok(Self::Start),
            "now" => return Ok(Self::Now),
            _ => {}
        }
        if let Some(age) = age(text) {
            return Ok(Self::Ago(age));
        }
        if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
            let ms = moment.unix_timestamp_nanos() / 1_000_000;
            return u64::try_from(ms)
                .map(|ms| Self::At(Timestamp::from_ms(ms)))
                .map_err(|_| "that is before 1970".to_owned());
        }
        Err("write start, now, an age such as 15m, or a moment such as 2026-11-24T08:00:00Z"
            .to_owned())
    }
}

/// `90s`, `15m`, `2h`, `3d`.
fn age(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    count.checked_mul(unit).map(Duration::from_secs)
}

const LINES_DEFAULT: usize = 10;
/// How far to look back for the last records, one step after the other, before reading it all.
const LOOK_BACK: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(3_600), Duration::from_secs(86_400)];

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let client = arguments.endpoint.client()?;
    let mut tail = Tail {
        style: Style::of_stdout(),
        search: Search::default(),
        out: BufWriter::new(std::io::stdout().lock()),
        arguments: &arguments,
        client,
    };
    let ended = tail.all().await;
    tail.search.end();
    match ended {
        // Whoever read our output has seen enough, as in `tail | head`.
        Ok(()) | Err(Stop::Closed) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Why it ends early.
enum Stop {
    Closed,
    Failed(Failure),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(Failure::failed(error)),
        }
    }
}

impl From<millstream_client::CallError> for Stop {
    fn from(error: millstream_client::CallError) -> Self {
        Self::Failed(error.into())
    }
}

/// Tells that something goes on while records are read and none of them is shown.
#[derive(Default)]
struct Search {
    /// When it began, and how many were read since.
    silent: Option<(Instant, u64)>,
    progress: Option<Progress>,
}

/// How long nothing may be shown before it is told that something goes on.
const SILENCE_MAX: Duration = Duration::from_millis(500);

impl Search {
    /// A record was read.
    fn read(&mut self, record: &Record) {
        let (since, count) = self.silent.get_or_insert_with(|| (Instant::now(), 0));
        *count += 1;
        if self.progress.is_none() && since.elapsed() > SILENCE_MAX {
            self.progress = Some(Progress::spinner("reading"));
        }
        if let Some(progress) = self.progress.as_ref().filter(|_| *count % 256 == 0) {
            let arrived = record.approximate_arrival_timestamp.unwrap_or_default();
            progress.at(*count);
            progress.note(format!("records, at {}", moment(arrived)));
        }
    }

    /// Something is shown.
    fn end(&mut self) {
        self.silent = None;
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }
}

struct Tail<'a> {
    style: Style,
    search: Search,
    out: BufWriter<std::io::StdoutLock<'static>>,
    arguments: &'a Arguments,
    client: Client,
}

impl Tail<'_> {
    async fn all(&mut self) -> Result<(), Stop> {
        let now = SystemClock.now();
        let ago = |age: Duration| {
            let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            ReadFrom::Timestamp(Timestamp::from_ms(now.ms().saturating_sub(ms)))
        };
        let keep_max = self.arguments.lines;
        let from = match self.arguments.since {
            Some(Since::Start) => ReadFrom::TrimHorizon,
            Some(Since::Now) => ReadFrom::Latest,
            Some(Since::Ago(age)) => ago(age),
            Some(Since::At(at)) => ReadFrom::Timestamp(at),
            None if keep_max == Some(0) => ReadFrom::Latest,
            None => {
                let keep = keep_max.unwrap_or(LINES_DEFAULT);
                for from in LOOK_BACK.map(ago).into_iter().chain([ReadFrom::TrimHorizon]) {
                    let is_last = from == ReadFrom::TrimHorizon;
                    if self.last(from, keep, is_last).await? {
                        break;
                    }
                }
                return Ok(());
            }
        };
        self.from(from, keep_max).await
    }

    /// Shows the last `keep` records since `from`, and goes on where asked to. Shows nothing and
    /// says so where there are fewer, unless `is_last`.
    async fn last(&mut self, from: ReadFrom, keep: usize, is_last: bool) -> Result<bool, Stop> {
        let mut reader = self.open(from).await?;
        let mut kept = VecDeque::with_capacity(keep.min(4_096));
        while let Some(found) = reader.next().await? {
            match found {
                Found::Record(shard, record) => {
                    self.search.read(&record);
                    for shown in self.wanted(&shard, &record) {
                        if kept.len() == keep {
                            kept.pop_front();
                        }
                        kept.push_back(shown);
                    }
                }
                Found::CaughtUp if kept.len() < keep && !is_last => return Ok(false),
                Found::CaughtUp => break,
            }
        }
        for shown in kept {
            self.show(&shown)?;
        }
        self.out.flush()?;
        self.rest(reader).await?;
        Ok(true)
    }

    /// Shows all since `from`, or the last `keep` of it, and goes on where asked to.
    async fn from(&mut self, from: ReadFrom, keep: Option<usize>) -> Result<(), Stop> {
        if let Some(keep) = keep {
            return self.last(from, keep, true).await.map(drop);
        }
        let reader = self.open(from).await?;
        self.rest(reader).await
    }

    async fn open(&self, from: ReadFrom) -> Result<StreamReader, Stop> {
        let reading = Reading {
            stream: self.arguments.stream.clone(),
            from,
            follow: self.arguments.follow,
            poll: Duration::from_millis(self.arguments.poll_ms),
        };
        Ok(StreamReader::open(self.client.clone(), reading).await?)
    }

    async fn rest(&mut self, mut reader: StreamReader) -> Result<(), Stop> {
        while let Some(found) = reader.next().await? {
            match found {
                Found::Record(shard, record) => {
                    self.search.read(&record);
                    for shown in self.wanted(&shard, &record) {
                        self.show(&shown)?;
                    }
                    if !reader.has_more() {
                        self.out.flush()?;
                    }
                }
                Found::CaughtUp => {
                    self.search.end();
                    self.out.flush()?;
                }
            }
        }
        self.out.flush()?;
        Ok(())
    }

    /// What of a record is to be shown: itself, its parts, or nothing.
    fn wanted(&self, shard: &str, record: &Record) -> Vec<Shown> {
        let (kpl, gzip) = match self.arguments.decode {
            Decode::Auto => (true, true),
            Decode::Kpl => (true, false),
            Decode::Gzip => (false, true),
            Decode::None => (false, false),
        };
        let mut parts = unfold(shard, record, kpl, gzip);
        parts.retain(|part| {
            self.arguments.key.as_ref().is_none_or(|key| part.key == *key)
                && self.arguments.grep.as_ref().is_none_or(|regex| regex.is_match(&part.data))
        });
        parts
    }

    fn show(&mut self, shown: &Shown) -> Result<(), Stop> {
        self.search.end();
        shown.write(&mut self.out, self.arguments.output, self.style)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_reads_words_ages_and_moments() {
        let since = |text: &str| text.parse::<Since>();
        assert_eq!(since("start"), Ok(Since::Start));
        assert_eq!(since("90s"), Ok(Since::Ago(Duration::from_secs(90))));
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7_200))));
        assert_eq!(since("1970-01-01T01:00:01+01:00"), Ok(Since::At(Timestamp::from_seconds(1))));
        for text in ["", "m", "15", "15x", "-3m", "yesterday", "1969-01-01T00:00:00Z", "ä"] {
            assert!(since(text).is_err(), "{text:?}");
        }
    }
}
