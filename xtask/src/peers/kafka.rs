//! Apache Kafka as a yardstick for the log: one KRaft node, loaded by Kafka's own tools.
//!
//! Owns the node's settings, how its tools are called and how their words are read. The tools'
//! classes and forms of output are those of Kafka 4.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::run_to_success;
use super::results::Measure;
use super::workload::Workload;

const TOOL_LIMIT: Duration = Duration::from_secs(120);
/// Any fixed id will do: the folder is new at each start.
const CLUSTER_ID: &str = "4L6g3nShTxeMCtKxxX86sw";

/// Writes the node's settings and formats its folder.
pub(super) fn format(
    installed: &Path,
    data: &Path,
    folder: &Path,
    port: u16,
    controller_port: u16,
) -> Result<(), String> {
    let settings = data.join("server.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={logs}\n\
         offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n\
         message.max.bytes=10485760\n",
        logs = data.join("logs").display()
    );
    fs::write(&settings, text).map_err(|error| error.to_string())?;
    let arguments = ["format", "-t", CLUSTER_ID, "-c"].map(str::to_owned);
    let mut arguments = arguments.to_vec();
    arguments.push(settings.display().to_string());
    tool(installed, folder, "kafka.tools.StorageTool", &arguments).map(drop)
}

/// Whether the broker's port takes connections; topics are created with retries by the tools.
pub(super) fn answers(port: u16) -> Result<(), String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1))
        .map(drop)
        .map_err(|error| error.to_string())
}

/// A broker's tools, and where they leave their words.
pub(super) struct Tools<'a> {
    pub(super) installed: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) port: u16,
}

/// What a producer is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Producing {
    pub(super) record_bytes: usize,
    pub(super) batch_bytes: usize,
    pub(super) linger_ms: u32,
    /// Records a second; none: as fast as it goes.
    pub(super) rate: Option<u32>,
    pub(super) seconds: u32,
}

impl Tools<'_> {
    fn server(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Creates the load's topic, with a partition for each shard the others get.
    pub(super) fn create_topic(
        &self,
        workload: Workload,
        shards: u32,
        setting: Option<&str>,
    ) -> Result<(), String> {
        let mut arguments = vec![
            "--bootstrap-server".to_owned(),
            self.server(),
            "--create".to_owned(),
            "--topic".to_owned(),
            topic(workload),
            "--partitions".to_owned(),
            shards.to_string(),
            "--replication-factor".to_owned(),
            "1".to_owned(),
        ];
        if let Some(setting) = setting {
            arguments.extend(["--config".to_owned(), setting.to_owned()]);
        }
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments).map(drop)
    }

    /// Produces for about as long as asked: a short run finds the rate, a long one measures.
    pub(super) fn produce(
        &self,
        workload: Workload,
        producing: Producing,
    ) -> Result<Measure, String> {
        const PROBE_RECORDS: u64 = 5_000;
        let count = if let Some(rate) = producing.rate {
            u64::from(rate) * u64::from(producing.seconds)
        } else {
            let probe = self.produce_count(workload, producing, PROBE_RECORDS)?;
            let wanted = probe.records_per_second * f64::from(producing.seconds);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Rate × seconds.
            let count = wanted as u64;
            // The probe pays for the start of the virtual machine, so the rate is better later.
            (count * 2).max(PROBE_RECORDS)
        };
        self.produce_count(workload, producing, count)
    }

    fn produce_count(
        &self,
        workload: Workload,
        producing: Producing,
        count: u64,
    ) -> Result<Measure, String> {
        let rate = producing.rate.map_or_else(|| "-1".to_owned(), |rate| rate.to_string());
        let arguments = [
            "--topic",
            &topic(workload),
            "--num-records",
            &count.to_string(),
            "--record-size",
            &producing.record_bytes.to_string(),
            "--throughput",
            &rate,
            "--producer-props",
            "acks=all",
            &format!("bootstrap.servers={}", self.server()),
            &format!("batch.size={}", producing.batch_bytes),
            &format!("linger.ms={}", producing.linger_ms),
            // So that one request can carry a batch for each partition.
            "max.request.size=8388608",
        ]
        .map(str::to_owned);
        let words = self.tool("org.apache.kafka.tools.ProducerPerformance", &arguments)?;
        let last = words.lines().rev().find(|line| line.contains("99.9th"));
        let last = last.ok_or("the producer's tool printed no summary")?;
        read_producer(last, producing.record_bytes)
            .map(|measure| Measure { records: count, ..measure })
            .ok_or_else(|| format!("the producer's summary cannot be read: {last}"))
    }

    /// Consumes what was produced, from the beginning.
    pub(super) fn consume(&self, workload: Workload, count: u64) -> Result<Measure, String> {
        let arguments = [
            "--bootstrap-server",
            &self.server(),
            "--topic",
            &topic(workload),
            "--num-records",
            &count.to_string(),
        ]
        .map(str::to_owned);
        let words = self.tool("org.apache.kafka.tools.ConsumerPerformance", &arguments)?;
        let measure = read_consumer(&words);
        let measure = measure.map(|measure| Measure { records: count, ..measure });
        measure.ok_or_else(|| "the consumer's summary cannot be read".to_owned())
    }

    /// Sends single messages, each awaited by a consumer: put to subscriber, one at a time.
    pub(super) fn end_to_end(
        &self,
        workload: Workload,
        count: u32,
        record_bytes: usize,
    ) -> Result<Measure, String> {
        let arguments = [
            "--bootstrap-server",
            &self.server(),
            "--topic",
            &topic(workload),
            "--num-records",
            &count.to_string(),
            "--producer-acks",
            "all",
            "--record-size",
            &record_bytes.to_string(),
        ]
        .map(str::to_owned);
        let words = self.tool("org.apache.kafka.tools.EndToEndLatency", &arguments)?;
        read_end_to_end(&words)
            .ok_or_else(|| "the latency tool's summary cannot be read".to_owned())
    }

    fn tool(&self, class: &str, arguments: &[String]) -> Result<String, String> {
        tool(self.installed, self.folder, class, arguments)
    }
}

/// A topic for each load, so that a consumer reads only its own.
fn topic(workload: Workload) -> String {
    format!("{workload:?}")
}

fn tool(
    installed: &Path,
    folder: &Path,
    class: &str,
    arguments: &[String],
) -> Result<String, String> {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-cp"]).arg(installed.join("jars/*")).arg(class).args(arguments);
    let folder = folder.join("tools");
    run_to_success(&mut command, &folder, TOOL_LIMIT)
}

/// `N records sent, R records/sec (M MB/sec), A ms avg latency, X ms max latency, P ms 50th, …`
fn read_producer(line: &str, record_bytes: usize) -> Option<Measure> {
    let before = |unit: &str| -> Option<f64> {
        let text = line.split(unit).next()?.rsplit([',', '(', ' ']).find(|s| !s.is_empty())?;
        text.trim().parse().ok()
    };
    let records_per_second = before(" records/sec")?;
    #[allow(clippy::cast_precision_loss)] // A record is far smaller than 2^52 bytes.
    let record_bytes = record_bytes as f64;
    Some(Measure {
        records_per_second,
        bytes_per_second: records_per_second * record_bytes,
        p50_ms: before(" ms 50th"),
        p99_ms: before(" ms 99th"),
        p999_ms: before(" ms 99.9th"),
        ..Measure::default()
    })
}

/// A line of names, then a line of values: `start, end, MB consumed, MB/s, records, records/s,
/// rebalance ms, fetch ms, fetch MB/s, fetch records/s`.
///
/// The rates while fetching are taken: joining a group takes seconds that have nothing to do with
/// reading.
fn read_consumer(words: &str) -> Option<Measure> {
    const BYTES_PER_MEBIBYTE: f64 = 1_048_576.0;
    let values = words.lines().rev().find(|line| line.starts_with(|c: char| c.is_ascii_digit()))?;
    let values: Vec<&str> = values.split(", ").collect();
    Some(Measure {
        bytes_per_second: values.get(8)?.trim().parse::<f64>().ok()? * BYTES_PER_MEBIBYTE,
        records_per_second: values.get(9)?.trim().parse().ok()?,
        ..Measure::default()
    })
}

/// `Avg latency: X ms`, then `Percentiles: 50th = A, 99th = B, 99.9th = C`, in milliseconds.
fn read_end_to_end(words: &str) -> Option<Measure> {
    let line = words.lines().find(|line| line.starts_with("Percentiles:"))?;
    let of = |name: &str| -> Option<f64> {
        let rest = line.split(&format!("{name} = ")).nth(1)?;
        rest.split([',', ' ']).next()?.trim().parse().ok()
    };
    let average = words.lines().find_map(|line| line.strip_prefix("Avg latency: "));
    let average: Option<f64> =
        average.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    Some(Measure {
        // The tool's percentiles are whole milliseconds, so under two they say nothing.
        p50_ms: of("50th").filter(|ms| *ms >= 2.0).or(average),
        p99_ms: of("99th"),
        p999_ms: of("99.9th"),
        ..Measure::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_summary_is_read() {
        let line = "50000 records sent, 54054.1 records/sec (52.79 MB/sec), 302.73 ms avg latency, \
                    474.00 ms max latency, 307 ms 50th, 405 ms 95th, 427 ms 99th, 429 ms 99.9th.";
        let measure = read_producer(line, 1_024).expect("a summary of the tool");
        assert!((measure.records_per_second - 54_054.1).abs() < 0.01);
        assert_eq!(measure.p50_ms, Some(307.0));
        assert_eq!(measure.p99_ms, Some(427.0));
        assert_eq!(measure.p999_ms, Some(429.0));
    }

    #[test]
    fn the_consumers_summary_is_read() {
        let words = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, \
                     nMsg.sec\n2026-01-01 00:00:00:000, 2026-01-01 00:00:01:000, 48.8, 97.6, \
                     50000, 100000.0, 300, 200, 244.1, 250000.0\n";
        let measure = read_consumer(words).expect("a summary of the tool");
        assert!((measure.records_per_second - 250_000.0).abs() < 0.01);
        assert!((measure.bytes_per_second - 244.1 * 1_048_576.0).abs() < 1.0);
    }

    #[test]
    fn the_latency_summary_is_read() {
        let words =
            "0\t5.1\nAvg latency: 1.2345 ms\n\nPercentiles: 50th = 1, 99th = 3, 99.9th = 9\n";
        let measure = read_end_to_end(words).expect("a summary of the tool");
        assert_eq!(measure.p50_ms, Some(1.2345));
        assert_eq!(measure.p99_ms, Some(3.0));
    }
}
