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
const LOAD_SLACK: Duration = Duration::from_secs(90);

/// Runs `workload`; an error says why there is no figure.
pub(super) fn run(
    cache: &Cache,
    peer: &Peer,
    site: &Site,
    workload: Workload,
    seconds: u32,
) -> Result<Measure, String> {
    let before = site.cost();
    let folder = cache.run_folder(peer);
    let mut measure = match peer.speaks {
        Speaks::Kafka => kafka(peer, site, &folder, workload, seconds)?,
        Speaks::Kinesis | Speaks::KinesisBoth => kinesis(cache, site, &folder, workload, seconds)?,
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
    seconds: u32,
) -> Result<Measure, String> {
    let mut command = Command::new(cache.binary());
    command
        .arg("bench")
        .args(workload.bench_arguments())
        .args(["--endpoint-url", &format!("http://127.0.0.1:{}", site.port)])
        .args(["--shards", &SHARDS.to_string(), "--seconds", &seconds.to_string(), "--json"])
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench")
        .env("AWS_REGION", "us-east-1");
    let limit = LOAD_SLACK + Duration::from_secs(u64::from(seconds));
    let finished = run_bounded(&mut command, &folder.join("load"), limit)?;
    read_bench(&finished.stdout)
}

/// The last JSON object that the tool printed.
fn read_bench(words: &str) -> Result<Measure, String> {
    let start = words.find('{').ok_or("the load tool printed no JSON")?;
    let mut objects = serde_json::Deserializer::from_str(&words[start..]).into_iter::<Value>();
    let value = objects.by_ref().flatten().last().ok_or("the load tool's JSON is broken")?;
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    let rate = |name: &str| number(name).ok_or_else(|| format!("the load tool gave no {name}"));
    Ok(Measure {
        records: value.get("records").and_then(Value::as_u64).unwrap_or(0),
        records_per_second: rate("records_per_second")?,
        bytes_per_second: rate("throughput_bytes_per_second")?,
        p50_ms: number("p50_ms"),
        p99_ms: number("p99_ms"),
        p999_ms: number("p999_ms"),
        errors: value.get("errors").and_then(Value::as_u64).unwrap_or(0),
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

    #[test]
    fn the_load_tools_summary_is_read_past_other_words() {
        let words = "preparing\n{\"records\": 10, \"records_per_second\": 5.5, \
                     \"throughput_bytes_per_second\": 5632.0, \"p50_ms\": 0.4, \"errors\": 1}\n";
        let measure = read_bench(words).expect("a summary");
        assert_eq!(measure.records, 10);
        assert_eq!(measure.errors, 1);
        assert_eq!(measure.p50_ms, Some(0.4));
        assert_eq!(measure.p99_ms, None);
    }

    #[test]
    fn a_summary_without_a_rate_is_an_error_that_names_it() {
        let error = read_bench("{\"records\": 1}").expect_err("no rate");
        assert!(error.contains("records_per_second"), "{error}");
    }
}
