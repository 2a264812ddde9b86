//! Where the demonstration's records come from: a generated feed, or somebody's lines.

use std::path::PathBuf;

use millstream_core::{Rand, SystemRand};
use tokio::sync::mpsc;

use super::feed::{Feed, Tick};
use super::view::Total;
use crate::decode::Expression;
use crate::exit::Outcome;
use crate::lines;
use crate::terminal::count_text;

const GENERATED_RATE: u64 = 5_000;
const FEED_SEED: u64 = 4_566;
/// Records that wait to be put.
const AHEAD: usize = 1_000;

/// A record to put, and how much of the input ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The record.
    pub(crate) tick: Tick,
    /// Records of the feed, or bytes of the input, up to its end.
    pub(crate) end: u64,
}

/// Records to come.
pub(crate) struct Source {
    /// What it is, for people.
    pub(crate) name: String,
    /// Where it ends.
    pub(crate) total: Total,
    /// Records a second at most.
    pub(crate) rate: Option<u64>,
    /// The records.
    pub(crate) items: mpsc::Receiver<Outcome<Item>>,
}

impl Source {
    /// `records` of the generated feed, 5,000 a second unless told otherwise.
    pub(crate) fn generated(records: u64, rate: Option<u64>) -> Self {
        let (sender, items) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            for (tick, end) in Feed::new(FEED_SEED).zip(1..=records) {
                if sender.send(Ok(Item { tick, end })).await.is_err() {
                    return;
                }
            }
        });
        let rate = Some(rate.unwrap_or(GENERATED_RATE)).filter(|rate| *rate > 0);
        let name = format!("{} ticks of a generated feed", count_text(records));
        Self { name, total: Total::Records(records), rate, items }
    }

    /// The lines of `file`, or of standard input for `-`; fails where the file cannot be read.
    pub(crate) fn lines(
        file: &PathBuf,
        key_from: Option<Expression>,
        rate: Option<u64>,
    ) -> Outcome<Self> {
        let input = lines::open(std::slice::from_ref(file))?;
        let is_stdin = file.as_os_str() == "-";
        let place = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
        let total = input.bytes.map_or(Total::Unknown, Total::Bytes);
        let (sender, items) = mpsc::channel(AHEAD);
        tokio::spawn(keyed(input.lines, key_from, sender));
        let rate = rate.filter(|rate| *rate > 0);
        Ok(Self { name: format!("the lines of {place}"), total, rate, items })
    }
}

async fn keyed(
    mut input: mpsc::Receiver<lines::Read>,
    key_from: Option<Expression>,
    sender: mpsc::Sender<Outcome<Item>>,
) {
    let rand = SystemRand::new();
    while let Some(line) = input.recv().await {
        let item = line.and_then(|line| {
            let key = match &key_from {
                Some(expression) => {
                    expression.key_of(&line.text).map_err(|error| line.wrong(error))?
                }
                None => format!("{:016x}", rand.next_u64()),
            };
            Ok(Item { tick: Tick { key, line: line.text }, end: line.end })
        });
        if sender.send(item).await.is_err() {
            return;
        }
    }
}
