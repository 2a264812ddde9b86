//! How deliveries look: a table of all, a page of one, both with rates where there was an earlier
//! look. Pure: reports in, text out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use millstream_core::Timestamp;

use crate::commands::streams::moment;
use crate::deliveries::{Delivery, DeliveryError, Report};
use crate::terminal::{Align, Style, Table, bytes_text, count_text, duration_text, records_text};

/// Looks that the chart of a delivery stream shows.
const CHART_LOOKS: usize = 20;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Errors shown of one delivery stream, when it is looked at alone.
const ERRORS_MAX: usize = 10;
/// An error is told in the table of all while it is no older.
const ERROR_AGE_MAX_MS: u64 = 600_000;

/// What fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The view, with what it remembers of earlier looks.
#[derive(Debug)]
pub(super) struct View {
    is_of_one: bool,
    last: Option<Report>,
    /// Bytes delivered a second, by delivery stream, oldest first.
    charts: BTreeMap<String, VecDeque<u64>>,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug)]
struct Pace {
    read_records: u64,
    delivered_records: u64,
    delivered_bytes: u64,
}

impl View {
    /// Of one delivery stream with all that is known of it, or of all.
    pub(super) fn new(is_of_one: bool) -> Self {
        Self { is_of_one, last: None, charts: BTreeMap::new() }
    }

    /// One look, with counts since the server started.
    pub(super) fn once(&self, report: &Report, style: Style) -> String {
        self.drawn(report, &BTreeMap::new(), style)
    }

    /// The next of several looks, with rates once there was one before.
    pub(super) fn next(&mut self, report: Report, style: Style, screen: Option<Screen>) -> String {
        let mut paces = BTreeMap::new();
        if let Some(last) = &self.last {
            let ms = report.at_ms.saturating_sub(last.at_ms).max(1);
            for stream in &report.delivery_streams {
                let before = last.delivery_streams.iter().find(|before| before.arn == stream.arn);
                let Some(before) = before else { continue };
                let pace = pace(before, stream, ms);
                let chart = self.charts.entry(stream.arn.clone()).or_default();
                if chart.len() == CHART_LOOKS {
                    chart.pop_front();
                }
                chart.push_back(pace.delivered_bytes);
                paces.insert(stream.arn.clone(), pace);
            }
        }
        let is_there = |arn: &String| report.delivery_streams.iter().any(|it| it.arn == *arn);
        self.charts.retain(|arn, _| is_there(arn));
        let text = self.drawn(&report, &paces, style);
        self.last = Some(report);
        match screen {
            Some(screen) => cut(&text, screen),
            None => text,
        }
    }

    fn drawn(&self, report: &Report, paces: &BTreeMap<String, Pace>, style: Style) -> String {
        match report.delivery_streams.as_slice() {
            [stream] if self.is_of_one => self.page(report, stream, paces, style),
            _ => self.table(report, paces, style),
        }
    }

    fn table(&self, report: &Report, paces: &BTreeMap<String, Pace>, style: Style) -> String {
        let charted = self.charts.values().any(|chart| !chart.is_empty());
        let mut columns = vec![
            ("NAME", Align::Left),
            ("STATUS", Align::Left),
            ("FROM", Align::Left),
            ("TO", Align::Left),
            ("IN", Align::Right),
            ("DELIVERED", Align::Right),
            ("WAITING", Align::Right),
            ("OLDEST", Align::Right),
            ("ERRORS", Align::Right),
        ];
        if charted {
            columns.push(("BYTES/S", Align::Right));
            columns.push(("", Align::Left));
        }
        let mut table = Table::new(&columns);
        for stream in &report.delivery_streams {
            let pace = paces.get(&stream.arn);
            let mut row = vec![
                stream.name.clone(),
                state(stream),
                source(stream).to_owned(),
                stream.destination.clone(),
                pace.map_or_else(|| count_text(stream.read_records), |it| rate(it.read_records)),
                pace.map_or_else(
                    || count_text(stream.delivered_records),
                    |it| rate(it.delivered_records),
                ),
                count_text(stream.waiting_records),
                age(stream.data_freshness_ms),
                count_text(stream.error_records.values().sum()),
            ];
            if charted {
                row.push(pace.map(|it| bytes_text(it.delivered_bytes)).unwrap_or_default());
                row.push(self.chart(stream));
            }
            table.row(row);
        }
        let mut lines = vec![table.render(style)];
        for stream in &report.delivery_streams {
            let recent = |error: &&DeliveryError| {
                report.at_ms.saturating_sub(error.at_ms) <= ERROR_AGE_MAX_MS
            };
            if let Some(error) = stream.errors.last().filter(recent) {
                let told = told(error, report.at_ms, style);
                lines.push(format!("{}: {told}", style.bold(&stream.name)));
            }
        }
        if report.spilled_bytes > 0 {
            let spilled = bytes_text(report.spilled_bytes);
            lines.push(style.dim(&format!("{spilled} wait on disk, beyond what memory holds")));
        }
        ended(&lines)
    }

    fn page(
        &self,
        report: &Report,
        stream: &Delivery,
        paces: &BTreeMap<String, Pace>,
        style: Style,
    ) -> String {
        let mut facts = facts(stream, paces.get(&stream.arn));
        let chart = self.chart(stream);
        if !chart.is_empty() {
            facts.push(("bytes/s", chart));
        }
        let line = |(name, value)| format!("{} {value}", style.dim(&format!("{name:<15}")));
        let mut lines: Vec<String> = facts.into_iter().map(line).collect();
        let skipped = stream.errors.len().saturating_sub(ERRORS_MAX);
        let errors = stream.errors.iter().skip(skipped);
        lines.extend(errors.map(|error| told(error, report.at_ms, style)));
        ended(&lines)
    }

    /// Bars from the oldest look to this one, the highest as high as they go.
    fn chart(&self, stream: &Delivery) -> String {
        let Some(chart) = self.charts.get(&stream.arn) else { return String::new() };
        let highest = chart.iter().copied().max().unwrap_or(0).max(1);
        let bar = |value: &u64| {
            // Anything at all is told from nothing.
            let step = u128::from(*value) * 7 / u128::from(highest);
            let step = usize::try_from(step).unwrap_or(7).max(usize::from(*value > 0));
            BARS[step.min(7)]
        };
        chart.iter().map(bar).collect()
    }
}

/// Lines, each with its end.
fn ended(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// What came since the look before; all of it where the server was started in between.
fn pace(before: &Delivery, now: &Delivery, ms: u64) -> Pace {
    let since = |before: u64, now: u64| {
        let more = if now < before { now } else { now - before };
        more.saturating_mul(1_000) / ms
    };
    Pace {
        read_records: since(before.read_records, now.read_records),
        delivered_records: since(before.delivered_records, now.delivered_records),
        delivered_bytes: since(before.delivered_bytes, now.delivered_bytes),
    }
}

fn rate(records: u64) -> String {
    format!("{}/s", count_text(records))
}

/// The state, and whether the settings stand in its way.
fn state(stream: &Delivery) -> String {
    if stream.status == "ACTIVE" && !stream.holds {
        return "ACTIVE, but cannot be carried out".to_owned();
    }
    stream.status.clone()
}

fn source(stream: &Delivery) -> &str {
    match stream.source.as_str() {
        "DirectPut" => "puts",
        "KinesisStreamAsSource" => "data stream",
        "MSKAsSource" => "Kafka topic",
        other => other,
    }
}

fn age(ms: u64) -> String {
    if ms == 0 { "-".to_owned() } else { duration_text(Duration::from_millis(ms)) }
}

fn share(successes: u64, attempts: u64) -> String {
    if attempts == 0 {
        return "none yet".to_owned();
    }
    let per_mille = u128::from(successes) * 1_000 / u128::from(attempts);
    let (percent, tenth) = (per_mille / 10, per_mille % 10);
    format!("{} of {} ({percent}.{tenth} %)", count_text(successes), count_text(attempts))
}

/// The facts of one delivery stream; what has not happened to it is left out.
fn facts(stream: &Delivery, pace: Option<&Pace>) -> Vec<(&'static str, String)> {
    let with_rate = |count: u64, rate_of: fn(&Pace) -> u64| match pace {
        Some(pace) => format!("{} ({})", count_text(count), rate(rate_of(pace))),
        None => count_text(count),
    };
    let mut facts = vec![
        ("name", stream.name.clone()),
        ("arn", stream.arn.clone()),
        ("status", state(stream)),
        ("from", source(stream).to_owned()),
        ("to", stream.destination.clone()),
        ("records in", with_rate(stream.read_records, |pace| pace.read_records)),
        ("delivered", with_rate(stream.delivered_records, |pace| pace.delivered_records)),
        ("delivered bytes", bytes_text(stream.delivered_bytes)),
        ("deliveries", share(stream.successes, stream.attempts)),
        (
            "waiting",
            format!(
                "{}, {} of them buffered",
                records_text(stream.waiting_records),
                bytes_text(stream.waiting_bytes)
            ),
        ),
        ("oldest", age(stream.data_freshness_ms)),
    ];
    let mut where_any = |name, count: u64, text: String| {
        if count > 0 {
            facts.push((name, text));
        }
    };
    where_any("behind source", stream.behind_ms, age(stream.behind_ms));
    where_any("partitions", stream.partitions, count_text(stream.partitions));
    let invoked = share(stream.invocation_successes, stream.invocations);
    where_any("transforms", stream.invocations, invoked);
    let (converted, not) = (stream.converted_records, stream.unconverted_records);
    where_any("converted", converted + not, share(converted, converted + not));
    let backups = share(stream.backup_successes, stream.backup_attempts);
    where_any("backups", stream.backup_attempts, backups);
    for (output, count) in &stream.error_records {
        where_any("error output", *count, format!("{} in {output}", count_text(*count)));
    }
    where_any("duplicates", stream.duplicate_records, count_text(stream.duplicate_records));
    where_any("expired", stream.expired_records, count_text(stream.expired_records));
    where_any("restarts", stream.restarts, count_text(stream.restarts));
    if let Some((group, name)) = &stream.error_log {
        facts.push(("error log", format!("{group} {name}")));
    }
    facts
}

/// An error on one line.
fn told(error: &DeliveryError, now_ms: u64, style: Style) -> String {
    let ago = Duration::from_millis(now_ms.saturating_sub(error.at_ms));
    let when = match ago.as_secs() {
        seconds if seconds < 3_600 => format!("{seconds} s ago"),
        _ => moment(Timestamp::from_ms(error.at_ms)),
    };
    let times = if error.count > 1 {
        format!(", {} times", count_text(error.count))
    } else {
        String::new()
    };
    // What a destination says must not move the cursor.
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let message: String = error.message.chars().map(plain).collect();
    format!("{} {} {message}", style.dim(&format!("{when}{times}")), style.red(&error.code))
}

/// As much of the text as fits. Colours take no room.
fn cut(text: &str, screen: Screen) -> String {
    let mut cut = String::with_capacity(text.len());
    for line in text.lines().take(screen.rows) {
        let mut shown = 0;
        let mut in_escape = false;
        for c in line.chars() {
            if c == '\x1b' {
                in_escape = true;
            } else if in_escape {
                in_escape = c != 'm';
            } else if shown == screen.columns {
                continue;
            } else {
                shown += 1;
            }
            cut.push(c);
        }
        cut.push('\n');
    }
    cut
}

#[cfg(test)]
mod tests;
