//! The live view: what is being put, how far behind it the subscribers are, and the last record
//! of each shard. On standard error, and only where it is a terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::bench::histogram::Histogram;
use crate::terminal::{count_text, duration_text};

/// Shards that have a line of their own.
const SHARD_LINES_MAX: usize = 8;
/// Characters shown of a record.
const RECORD_CHARACTERS: usize = 100;

/// Where the input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    /// After so many records.
    Records(u64),
    /// After so many bytes of lines.
    Bytes(u64),
    /// Nobody knows.
    Unknown,
}

/// The view; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct View {
    all: MultiProgress,
    total: Total,
    put: ProgressBar,
    pushed: ProgressBar,
    shards: BTreeMap<String, ProgressBar>,
}

impl View {
    /// A view over an input that ends there.
    pub(crate) fn new(total: Total) -> Self {
        let all = MultiProgress::new();
        let (put, template) = match total {
            Total::Records(records) => (
                ProgressBar::new(records),
                "{msg:<9} {wide_bar:.cyan/dim} {percent:>3}%  {human_pos}/{human_len}  {prefix}",
            ),
            Total::Bytes(bytes) => (
                ProgressBar::new(bytes),
                "{msg:<9} {wide_bar:.cyan/dim} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  \
                 {prefix}",
            ),
            Total::Unknown => (ProgressBar::new_spinner(), "{msg:<9} {human_pos} {prefix}"),
        };
        let put = all.add(put).with_message("putting");
        put.set_style(style(template));
        let pushed = all.add(ProgressBar::new_spinner()).with_message("following");
        pushed.set_style(style("{msg:<9} {human_pos} {prefix}"));
        Self { all, total, put, pushed, shards: BTreeMap::new() }
    }

    /// Says how many were put, how far into the input that is, and how fast.
    pub(crate) fn put(&self, count: u64, position: u64, elapsed: Duration) {
        self.put.set_position(if self.total == Total::Unknown { count } else { position });
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )] // For the eye.
        let rate = (count as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
        self.put.set_prefix(format!("{} records/s", count_text(rate)));
    }

    /// Says how many have come through fan-out, and how long after they were put.
    pub(crate) fn pushed(&self, count: u64, latency: &Histogram) {
        self.pushed.set_position(count);
        self.pushed.set_prefix(format!(
            "pushed to the subscribers, {} after the put (p50), {} (p99)",
            duration_text(latency.quantile(500)),
            duration_text(latency.quantile(990))
        ));
    }

    /// Shows the newest record of a shard.
    pub(crate) fn newest(&mut self, shard: &str, data: &[u8]) {
        if !self.shards.contains_key(shard) {
            if self.shards.len() >= SHARD_LINES_MAX {
                return;
            }
            let line = self.all.add(ProgressBar::new_spinner());
            line.set_style(style("  {msg:.yellow} {prefix:.dim}"));
            line.set_message(shard.to_owned());
            self.shards.insert(shard.to_owned(), line);
        }
        let text = String::from_utf8_lossy(data);
        let safe = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.shards[shard].set_prefix(safe.take(RECORD_CHARACTERS).collect::<String>());
    }

    /// Takes it all away.
    pub(crate) fn finish(&self) {
        for line in self.shards.values().chain([&self.put, &self.pushed]) {
            line.finish_and_clear();
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}
