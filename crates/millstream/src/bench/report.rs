//! What a run came to, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::histogram::Histogram;
use super::verify::Verdict;
use super::work::Tally;
use crate::terminal::{Align, Style, Table, count_text, duration_text, records_text};

/// One kind of work of a run.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// `put`, `get`, `fan-out`.
    pub(crate) name: &'static str,
    /// What its latency is measured from and to.
    pub(crate) latency_of: &'static str,
    /// How long the work lasted.
    pub(crate) lasted: Duration,
    /// What it came to.
    pub(crate) tally: Tally,
    /// Records that were due, and that nobody had his hands free for (open loop).
    pub(crate) unsent: u64,
}

/// What reading back came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Nobody asked for it.
    Skipped,
    /// It was read, and compared.
    Done(Verdict),
    /// It could not be read.
    Failed(String),
}

impl Verification {
    /// Whether nothing is known against the service.
    fn is_good(&self) -> bool {
        match self {
            Self::Skipped => true,
            Self::Done(verdict) => verdict.is_good(),
            Self::Failed(_) => false,
        }
    }
}

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// What was asked for, as name and value.
    pub(crate) setting: Vec<(&'static str, Value)>,
    /// What was done.
    pub(crate) sections: Vec<Section>,
    /// What reading back found.
    pub(crate) verification: Verification,
}

#[allow(clippy::cast_precision_loss)] // Shown with three digits.
fn per_second(count: u64, lasted: Duration) -> f64 {
    count as f64 / lasted.as_secs_f64().max(1e-9)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Not negative, far below 2^64.
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

impl Report {
    /// Whether all went well: no failure, and nothing lost.
    pub(crate) fn is_good(&self) -> bool {
        self.sections.iter().all(|section| section.tally.error_count() == 0)
            && self.sections.iter().all(|section| section.tally.corrupt == 0)
            && self.verification.is_good()
    }

    /// For people.
    pub(crate) fn text(&self, style: Style) -> String {
        let plain =
            |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let (head, rest) = self.setting.split_at(self.setting.len().min(2));
        let head: Vec<String> = head.iter().map(|(_, value)| plain(value)).collect();
        let rest: Vec<String> = rest
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
            .collect();
        let mut table = Table::new(&[
            ("", Align::Left),
            ("lasted", Align::Right),
            ("records/s", Align::Right),
            ("MB/s", Align::Right),
            ("requests/s", Align::Right),
            ("p50", Align::Right),
            ("p99", Align::Right),
            ("p99.9", Align::Right),
            ("max", Align::Right),
            ("errors", Align::Right),
        ]);
        for section in &self.sections {
            table.row(section.cells());
        }
        let mut text = format!(
            "{}\n{}\n\n{}\n",
            style.bold(&head.join(" to ")),
            rest.join(", "),
            table.render(style)
        );
        for section in &self.sections {
            text.push_str(&section.footnotes(style));
        }
        text += "\n\n";
        text += &verification_text(&self.verification, style);
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "version": 1,
            "setting": self.setting.iter().cloned().map(|(n, v)| (n.to_owned(), v))
                .collect::<serde_json::Map<_, _>>(),
            "sections": self.sections.iter().map(Section::json).collect::<Vec<_>>(),
            "good": self.is_good(),
        });
        value["verified"] = match &self.verification {
            Verification::Skipped => Value::Null,
            Verification::Failed(reason) => json!({ "failed": reason }),
            Verification::Done(verdict) => json!({
                "read": verdict.read,
                "missing": verdict.missing,
                "duplicate": verdict.duplicate,
                "corrupt": verdict.corrupt,
                "reordered": verdict.reordered,
                "unacknowledged_but_there": verdict.unacknowledged,
            }),
        };
        value
    }
}

fn verification_text(verification: &Verification, style: Style) -> String {
    let verdict = match verification {
        Verification::Done(verdict) => verdict,
        Verification::Skipped => return "not verified (--no-verify)\n".to_owned(),
        Verification::Failed(reason) => {
            return format!("{}: {reason}\n", style.red("NOT VERIFIED"));
        }
    };
    let counts = format!(
        "{} records read back: {} missing, {} duplicate, {} corrupt, {} out of order",
        count_text(verdict.read),
        verdict.missing,
        verdict.duplicate,
        verdict.corrupt,
        verdict.reordered
    );
    let head = if verdict.is_good() { style.green("verified") } else { style.red("NOT VERIFIED") };
    format!("{head}: {counts}\n")
}

impl Section {
    /// What its latency means, and what failed.
    fn footnotes(&self, style: Style) -> String {
        let mut lines = vec![format!("\n{} latency: {}", self.name, self.latency_of)];
        if self.unsent > 0 {
            lines.push(style.yellow(&format!(
                "{} were due and not sent: the rate was not kept",
                records_text(self.unsent)
            )));
        }
        let errors = self.tally.errors.iter();
        lines.extend(errors.map(|(code, count)| style.red(&format!("{count} x {code}"))));
        lines.join("\n")
    }

    fn cells(&self) -> Vec<String> {
        let tally = &self.tally;
        let quantile = |per_mille| duration_text(tally.latency.quantile(per_mille));
        let megabytes = per_second(tally.bytes, self.lasted) / 1e6;
        vec![
            self.name.to_owned(),
            duration_text(self.lasted),
            count_text(whole(per_second(tally.records, self.lasted))),
            format!("{megabytes:.1}"),
            count_text(whole(per_second(tally.requests, self.lasted))),
            quantile(500),
            quantile(990),
            quantile(999),
            duration_text(tally.latency.max()),
            count_text(tally.error_count()),
        ]
    }

    fn json(&self) -> Value {
        let tally = &self.tally;
        json!({
            "name": self.name,
            "latency_of": self.latency_of,
            "seconds": self.lasted.as_secs_f64(),
            "records": tally.records,
            "bytes": tally.bytes,
            "requests": tally.requests,
            "records_per_second": per_second(tally.records, self.lasted),
            "megabytes_per_second": per_second(tally.bytes, self.lasted) / 1e6,
            "requests_per_second": per_second(tally.requests, self.lasted),
            "latency_ms": latency_json(&tally.latency),
            "unsent": self.unsent,
            "errors": tally.errors,
            "corrupt": tally.corrupt,
        })
    }
}

fn latency_json(latency: &Histogram) -> Value {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    json!({
        "count": latency.count(),
        "mean": ms(latency.mean()),
        "p50": ms(latency.quantile(500)),
        "p90": ms(latency.quantile(900)),
        "p99": ms(latency.quantile(990)),
        "p999": ms(latency.quantile(999)),
        "max": ms(latency.max()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verification: Verification) -> Report {
        let mut tally =
            Tally { requests: 10, records: 5_000, bytes: 5_000_000, ..Tally::default() };
        (0..10).for_each(|_| tally.latency.record(Duration::from_millis(2)));
        let section = Section {
            name: "put",
            latency_of: "request to answer",
            lasted: Duration::from_secs(2),
            tally,
            unsent: 0,
        };
        let setting = vec![
            ("workload", json!("put-batch")),
            ("endpoint", json!("http://h")),
            ("record_bytes", json!(1000)),
            ("shards", json!(4)),
        ];
        Report { setting, sections: vec![section], verification }
    }

    #[test]
    fn text_and_json_say_the_same() {
        let verdict = Verdict { read: 5_000, ..Verdict::default() };
        let report = report(Verification::Done(verdict));
        let text = report.text(Style::plain());
        assert!(text.starts_with("put-batch to http://h\nrecord bytes 1000, shards 4\n"), "{text}");
        assert!(text.contains("put  2.00 s      2,500   2.5           5  2.000 ms"), "{text}");
        assert!(text.contains("verified: 5,000 records read back: 0 missing"), "{text}");
        let json = report.json();
        assert_eq!(json["sections"][0]["megabytes_per_second"], 2.5);
        assert_eq!(json["good"], true);
    }

    #[test]
    fn a_lost_record_or_an_error_is_no_good_run() {
        let lost = Verdict { missing: 1, ..Verdict::default() };
        assert!(!report(Verification::Done(lost)).is_good());
        let unread = report(Verification::Failed("nothing answers".to_owned()));
        assert!(!unread.is_good());
        assert!(unread.text(Style::plain()).contains("NOT VERIFIED: nothing answers"));
        assert_eq!(unread.json()["verified"]["failed"], "nothing answers");
        let mut late = report(Verification::Skipped);
        late.sections[0].unsent = 7;
        assert!(late.text(Style::plain()).contains("7 records were due and not sent"));
        let mut failed = report(Verification::Skipped);
        failed.sections[0].tally.errors.insert("Broken".to_owned(), 1);
        assert!(!failed.is_good());
        assert!(failed.text(Style::plain()).contains("1 x Broken"));
    }
}
