//! One load on one peer: calls our load tool, or Kafka's, and reads what it measured.
//!
//! Owns the load tool's command line and its JSON. The same tool loads every Kinesis server, with
//! JSON bodies and signed requests, so that the client's cost is the same for all.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::install::Cache;
use super::kafka::{Producing, Tools};
use super::process::run_bounded;
use super::results::Measure;
use super::roster::{Peer, Speaks};
use super::site::Site;
use super::workload::{SHARDS, Workload};

/// What a load may take beyond the time it measures: making streams, filling them, verifying.
const LOAD_SLACK: Duration = Duration::from_secs(120);

/// How long a load lasts, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) seconds: u32,
    /// Whether everything is read back and compared afterwards.
    pub(super) reads_back: bool,
}

/// Runs `workload`; an error says why there is no figure.
pub(super) fn run(
    cache: &Cache,
    peer: &Peer,
    site: &Site,
    workload: Workload,
    timing: Timing,
) -> Result<Measure, String> {
    let before = site.cost();
    let folder = cache.run_folder(peer);
    let mut measure = match peer.speaks {
        Speaks::Kafka => kafka(peer, site, &folder, workload, timing.seconds)?,
        Speaks::Kinesis | Speaks::KinesisBoth => kinesis(cache, site, &folder, workload, timing)?,
    };
    measure.server_seconds = site.cost().processor_seconds - before.processor_seconds;
    Ok(measure)
}

/// Whether `workload` exists for `peer`; if not, the words for the table.
pub(super) fn is_possible(peer: &Peer, workload: Workload) -> Result<(), &'static str> {
    match (peer.speaks, workload) {
        (Speaks::Kafka, workload) if workload.kafka_note().is_none() => Err("no such call"),
        (Speaks::Kinesis, Workload::GetCbor) => Err("compared in JSON"),
        (_, Workload::FanOut) if !peer.has_fan_out => Err("has no SubscribeToShard"),
        _ => Ok(()),
    }
}

fn kinesis(
    cache: &Cache,
    site: &Site,
    folder: &Path,
    workload: Workload,
    timing: Timing,
) -> Result<Measure, String> {
    let mut command = Command::new(cache.binary());
    command
        .arg("bench")
        .args(workload.bench_arguments())
        .args(["--endpoint-url", &format!("http://127.0.0.1:{}", site.port)])
        .args(["--shards", &SHARDS.to_string(), "--duration", &format!("{}s", timing.seconds)])
        .args(["--json", "--region", "us-east-1"])
        .env("AWS_ACCESS_KEY_ID", &site.credentials.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &site.credentials.secret_access_key);
    if !timing.reads_back {
        command.arg("--no-verify");
    }
    let limit = LOAD_SLACK + Duration::from_secs(u64::from(timing.seconds));
    let finished = run_bounded(&mut command, &folder.join("load"), limit)?;
    // Errors under load make the tool fail after its report, and belong into the table.
    read_bench(&finished.stdout).map_err(|why| finished.failure.unwrap_or(why))
}

/// Reads the tool's JSON: the last of its sections is the one that was asked for.
fn read_bench(words: &str) -> Result<Measure, String> {
    let report: Value =
        serde_json::from_str(words).map_err(|_| "the load tool printed no report".to_owned())?;
    let sections = report["sections"].as_array().ok_or("the load tool's report has no sections")?;
    let section = sections.last().ok_or("the load tool did nothing")?;
    let rate = |name: &str| {
        section[name].as_f64().ok_or_else(|| format!("the load tool's report has no {name}"))
    };
    let latency = &section["latency_ms"];
    // A histogram of nothing has percentiles of zero, which would look like the best of all.
    let measured = latency["count"].as_u64().unwrap_or(0) > 0;
    let quantile = |name: &str| latency[name].as_f64().filter(|_| measured);
    let failed = |section: &Value| -> u64 {
        let counts = section["errors"].as_object();
        counts.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum())
    };
    let unfaithful = report["verified"].as_object().map(|verified| {
        ["missing", "duplicate", "corrupt", "reordered"]
            .iter()
            .filter_map(|name| verified.get(*name)?.as_u64())
            .sum()
    });
    Ok(Measure {
        records: section["records"].as_u64().unwrap_or(0),
        records_per_second: rate("records_per_second")?,
        bytes_per_second: rate("megabytes_per_second")? * 1e6,
        p50_ms: quantile("p50"),
        p99_ms: quantile("p99"),
        p999_ms: quantile("p999"),
        errors: sections.iter().map(failed).sum(),
        unfaithful,
        server_seconds: 0.0,
    })
}

fn kafka(
    peer: &Peer,
    site: &Site,
    folder: &Path,
    workload: Workload,
    seconds: u32,
) -> Result<Measure, String> {
    let tools = Tools { installed: &site.installed, folder, port: site.port };
    let setting = peer.environment.iter().find(|(name, _)| *name == "KAFKA_TOPIC_SETTING");
    tools.create_topic(workload, SHARDS, setting.map(|(_, value)| *value))?;
    let batches =
        Producing { record_bytes: 1_024, batch_bytes: 524_288, linger_ms: 5, rate: None, seconds };
    match workload {
        Workload::PutIdle => tools.produce(
            workload,
            Producing {
                record_bytes: 100,
                batch_bytes: 16_384,
                linger_ms: 0,
                rate: Some(200),
                seconds,
            },
        ),
        Workload::PutBatch => tools.produce(workload, batches),
        Workload::GetJson => {
            let produced = tools.produce(workload, batches)?;
            tools.consume(workload, produced.records)
        }
        Workload::FanOut => tools.end_to_end(workload, seconds * 100, 100),
        Workload::PutSingle16 | Workload::PutSingle64 | Workload::GetCbor => {
            Err("no such call".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"version": 1, "sections": [
        {"name": "put", "records": 9, "records_per_second": 1.0, "megabytes_per_second": 0.1,
         "latency_ms": {"count": 9, "p50": 1.0}, "errors": {"Throttled": 2}},
        {"name": "fan-out", "records": 10, "records_per_second": 5.5, "megabytes_per_second": 0.5,
         "latency_ms": {"count": 10, "p50": 0.4, "p99": 2.5}, "errors": {"Gone": 1}}],
        "verified": {"read": 9, "missing": 3, "duplicate": 0, "corrupt": 1, "reordered": 0}}"#;

    #[test]
    fn the_figures_are_of_the_last_section_and_the_errors_of_all() {
        let measure = read_bench(REPORT).expect("a report of the tool");
        assert_eq!((measure.records, measure.errors), (10, 3));
        assert_eq!((measure.p50_ms, measure.p99_ms, measure.p999_ms), (Some(0.4), Some(2.5), None));
        assert!((measure.bytes_per_second - 500_000.0).abs() < 1e-6);
    }

    #[test]
    fn what_was_not_read_back_as_acknowledged_is_counted() {
        assert_eq!(read_bench(REPORT).expect("a report").unfaithful, Some(4));
        let unread = REPORT.replace("\"verified\": {", "\"other\": {");
        assert_eq!(read_bench(&unread).expect("a report").unfaithful, None);
    }

    #[test]
    fn no_latencies_are_not_the_best_latencies() {
        let empty = REPORT.replace("\"count\": 10", "\"count\": 0");
        assert_eq!(read_bench(&empty).expect("a report").p50_ms, None);
    }

    #[test]
    fn words_that_are_no_report_are_an_error() {
        assert!(read_bench("error: no such workload").is_err());
    }
}
