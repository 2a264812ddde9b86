//! Writes docs/benchmarks.md: method first, then figures, ratios, memory and limits.
//!
//! Owns the words and tables; pure: results in, text out. What a person wrote between the two
//! marks is kept as it is.

use std::fmt::Write;

use super::goals;
use super::results::{Results, Spread};
use super::roster::{Durability, Peer, ROSTER, Source};
use super::workload::{Figure, Workload};

const BY_HAND_START: &str = "<!-- by hand -->";
const BY_HAND_END: &str = "<!-- end by hand -->";
/// What stands between the marks before anyone has written there.
const BY_HAND_FIRST: &str = "\n## What bounds each figure\n\nNot profiled yet.\n\n";
const OURS: &str = "millstream";
const UNKNOWN: &str = "not measured yet";

/// The whole document; `previous` is the one that it replaces.
pub(super) fn render(results: &Results, previous: &str) -> String {
    let mut text = String::new();
    head(&mut text);
    method(&mut text, results);
    servers(&mut text, results);
    text.push_str("\n## Results\n");
    for workload in Workload::ALL {
        table(&mut text, results, workload);
    }
    goals::render(&mut text, results);
    memory(&mut text, results);
    limits(&mut text, results);
    line(&mut text, "");
    text.push_str(BY_HAND_START);
    text.push_str(by_hand(previous));
    text.push_str(BY_HAND_END);
    line(&mut text, "");
    text
}

/// What stands between the marks of `previous`.
fn by_hand(previous: &str) -> &str {
    let after = previous.split_once(BY_HAND_START).map(|(_, after)| after);
    let between = after.and_then(|after| after.split_once(BY_HAND_END));
    between.map_or(BY_HAND_FIRST, |(between, _)| between)
}

pub(super) fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

fn head(text: &mut String) {
    line(
        text,
        "# Benchmarks\n\nWritten by `cargo xtask bench-peers`; only the part between the marks at \
         the end is by hand. Read the\nmethod first: a figure without its machine, its durability \
         and its load says nothing. Ratios between\nservers of one run carry over to other \
         machines better than the figures do.\n",
    );
}

fn method(text: &mut String, results: &Results) {
    let machine = &results.machine;
    let or_unknown =
        |value: &str| if value.is_empty() { UNKNOWN.to_owned() } else { value.to_owned() };
    line(text, "## Method\n");
    line(text, "| what | value |\n| --- | --- |");
    let rows = [
        ("date", or_unknown(&machine.date)),
        ("commit", or_unknown(&results.commit)),
        ("processor", or_unknown(&machine.processor)),
        ("cores, shared by server and load", or_zero(machine.cores)),
        ("memory", format!("{} GiB", machine.memory_gibibytes)),
        ("disk", or_unknown(&machine.disk)),
        ("kernel", or_unknown(&machine.kernel)),
        ("load average before the run (1, 5, 15 min)", or_unknown(&machine.load_average)),
        ("load average after it", or_unknown(&results.load_average_end)),
        ("rounds", results.rounds.to_string()),
        ("seconds for each load in each round", results.seconds.to_string()),
    ];
    for (what, value) in rows {
        line(text, &format!("| {what} | {value} |"));
    }
    line(text, METHOD);
}

const METHOD: &str = "
- Everything runs on this one machine over loopback: the server, and the load beside it on the same
  cores. A faster server therefore also waits for the load, and the ratio understates it.
- Rounds are interleaved: each round starts every server in turn with an empty folder, loads it, and
  stops it; nothing else of ours runs meanwhile. Figures are medians over rounds, with the smallest
  and the largest beside them.
- One tool loads every Kinesis server: `millstream bench`, with signed requests and JSON bodies (CBOR
  only where the table says so), on streams of 4 shards, new for each load. In the first round it
  reads back everything acknowledged and compares it; \"unfaithful\" counts what was missing, doubled,
  changed or out of order. GetRecords asks for up to 10,000 records a call, of 16 MB put before.
  No peer verifies the signature, and `millstream dev` does not either.
- Kafka is loaded by its own producer, consumer and end-to-end tools, in its own binary protocol, on
  a topic of 4 partitions. It is a yardstick for the log, not a Kinesis server.
- MB are 10^6 bytes of payload, before base64. \"Server CPU\" is user and system time of the server's
  processes over the load, preparation and (in the first round) reading back included, divided by the
  records of the measured part: good for comparing, high by what surrounds it.
- \"Millstream is\" is our median over theirs, or theirs over ours for latencies, so that above 1 is
  better for us. Ours is the default, with an fsync before each answer, whatever the other does.
- Again: `cargo xtask bench-peers` (about half an hour). `--quick` and `--only NAME,...` measure for
  you and leave this file alone.
";

fn or_zero(count: usize) -> String {
    if count == 0 { UNKNOWN.to_owned() } else { count.to_string() }
}

fn servers(text: &mut String, results: &Results) {
    line(text, "## Servers\n");
    line(text, "| server | version | from | an acknowledged record survives | how |");
    line(text, "| --- | --- | --- | --- | --- |");
    for peer in ROSTER {
        let version = peer.version().unwrap_or(if results.commit.is_empty() {
            UNKNOWN
        } else {
            &results.commit
        });
        let from = match peer.source {
            Source::Workspace => "this tree".to_owned(),
            Source::Npm { package, .. } => format!("npm `{package}`"),
            Source::Pip { requirement, .. } => format!("PyPI `{requirement}`"),
            Source::Cargo { package, .. } => format!("crates `{package}`"),
            Source::Kafka { .. } => "Maven `kafka_2.13`".to_owned(),
        };
        let survives = match peer.durability {
            Durability::Memory => "nothing",
            Durability::Buffered => "the process's end",
            Durability::Synced => "a power cut",
        };
        let note = peer.durability_note;
        line(text, &format!("| {} | {version} | {from} | {survives} | {note} |", peer.title));
    }
    for failure in &results.failures {
        line(
            text,
            &format!("\n**{}** could not be measured: {}", failure.peer, cell(&failure.why)),
        );
    }
}

fn table(text: &mut String, results: &Results, workload: Workload) {
    let figure = workload.figure();
    line(text, &format!("\n### {}\n", workload.title()));
    if let Some(note) = workload.kafka_note() {
        line(text, &format!("{note}.\n"));
    }
    let unit = figure.unit();
    line(
        text,
        &format!(
            "| server | durability | {unit} | min to max | p50 ms | p99 ms | server CPU µs/record | \
             errors | unfaithful | Millstream is |"
        ),
    );
    line(text, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for peer in ROSTER {
        line(text, &row(results, peer, workload, figure));
    }
}

fn row(results: &Results, peer: &Peer, workload: Workload, figure: Figure) -> String {
    let (title, word) = (peer.title, peer.durability.word());
    if let Err(why) = super::load::is_possible(peer, workload) {
        return format!("| {title} | {word} | {why} | | | | | | | |");
    }
    let Some(spread) = results.figure(peer.name, workload) else {
        let why = results.why_not(peer.name, workload).unwrap_or(UNKNOWN);
        return format!("| {title} | {word} | {} | | | | | | | |", cell(why));
    };
    let of = |read: fn(&super::results::Measure) -> Option<f64>| {
        results.spread(peer.name, workload, read).map_or(String::new(), |s| digits(s.median))
    };
    let ours = results.figure(OURS, workload);
    let ratio = ours.and_then(|ours| figure.ratio(ours.median, spread.median));
    let ratio = if peer.name == OURS { None } else { ratio };
    format!(
        "| {title} | {word} | **{}** | {} | {} | {} | {} | {} | {} | {} |",
        digits(spread.median),
        range(spread),
        of(|measure| measure.p50_ms),
        of(|measure| measure.p99_ms),
        of(super::results::Measure::server_microseconds),
        results.errors(peer.name, workload),
        results.unfaithful(peer.name, workload).map_or(String::new(), |count| count.to_string()),
        ratio.map_or(String::new(), |ratio| format!("{}×", digits(ratio))),
    )
}

fn memory(text: &mut String, results: &Results) {
    line(text, "\n## Memory\n");
    line(
        text,
        "Resident memory after start and before any load, and the most that it held in a round; \
         servers that\nkeep records in memory hold what they were given, so a faster one holds \
         more. `ready` is from start to\nthe first right answer.\n",
    );
    line(text, "| server | at rest, MiB | most under load, MiB | ready, s |");
    line(text, "| --- | ---: | ---: | ---: |");
    for peer in ROSTER {
        let of = |read: fn(&super::results::Memory) -> f64| {
            let rounds = results.memory.iter().filter(|memory| memory.peer == peer.name);
            Spread::of(rounds.map(read).collect()).map_or(UNKNOWN.to_owned(), |s| digits(s.median))
        };
        let (rest, most) = (
            of(|memory| mebibytes(memory.at_rest_bytes)),
            of(|memory| mebibytes(memory.peak_bytes)),
        );
        let ready = of(|memory| memory.ready_seconds);
        line(text, &format!("| {} | {rest} | {most} | {ready} |", peer.title));
    }
}

fn limits(text: &mut String, results: &Results) {
    line(text, "\n## Limits\n");
    line(
        text,
        "The disk, with nothing of ours: aligned writes over a file that was filled with zeros, \
         each followed by\nfdatasync, one at a time: the pattern of the log's commits.\n",
    );
    line(text, "| write | direct | MB/s | p50 ms | p99 ms |\n| --- | --- | ---: | ---: | ---: |");
    for rate in &results.disk {
        let direct = if rate.direct { "yes" } else { "no" };
        let (megabytes, kibibytes) = (rate.bytes_per_second / 1e6, rate.write_bytes / 1_024);
        let (p50, p99) = (digits(rate.p50_ms), digits(rate.p99_ms));
        line(
            text,
            &format!("| {kibibytes} KiB | {direct} | {} | {p50} | {p99} |", digits(megabytes)),
        );
    }
    if results.disk.is_empty() {
        line(text, &format!("| {UNKNOWN} | | | | |"));
    }
    let Some(floor) = &results.floor else { return };
    line(
        text,
        "\nThe processor, one core, with the crates that the server uses and nothing around them.\n",
    );
    line(text, "| work | rate |\n| --- | ---: |");
    let rows = [
        ("SHA-256 of the signed body (ring), MB/s", floor.sha256_bytes_per_second / 1e6),
        ("base64 to bytes (base64-simd), MB/s", floor.base64_bytes_per_second / 1e6),
        ("MD5 of a partition key (md-5), keys/s", floor.md5_keys_per_second),
        ("CRC-32C of a frame (crc32c), MB/s", floor.crc32c_bytes_per_second / 1e6),
    ];
    for (work, rate) in rows {
        line(text, &format!("| {work} | {} |", digits(rate)));
    }
    nearness(text, results);
}

/// How near our figures are to what the disk and the processor allow.
fn nearness(text: &mut String, results: &Results) {
    line(text, "\nHow near we are:\n\n| figure | ours | limit | ours / limit |");
    line(text, "| --- | ---: | ---: | ---: |");
    let batch = results.figure(OURS, Workload::PutBatch).map(|spread| spread.median);
    let disk = results.disk.iter().max_by_key(|rate| rate.write_bytes);
    if let (Some(ours), Some(disk)) = (batch, disk) {
        let limit = disk.bytes_per_second / 1e6;
        share(text, "PutRecords, MB/s, against the disk's synced rate", ours, limit);
    }
    let cost =
        results.spread(OURS, Workload::PutBatch, super::results::Measure::server_microseconds);
    if let (Some(cost), Some(floor)) = (cost, &results.floor) {
        let (with, without) = floor.put_microseconds(1_024.0);
        let inverse = |text: &mut String, what: &str, limit: f64| {
            let (ours, percent) = (digits(cost.median), digits(100.0 * limit / cost.median));
            line(text, &format!("| {what} | {ours} | {} | {percent} % |", digits(limit)));
        };
        inverse(text, "PutRecords, CPU µs/record: base64, MD5, CRC", without);
        inverse(text, "the same with the body's SHA-256 (`serve`)", with);
    }
    let idle = results.figure(OURS, Workload::PutIdle).map(|spread| spread.median);
    let sync = results.disk.iter().min_by_key(|rate| rate.write_bytes);
    if let (Some(ours), Some(sync)) = (idle, sync) {
        let percent = digits(100.0 * sync.p50_ms / ours);
        let (ours, limit) = (digits(ours), digits(sync.p50_ms));
        let what = "PutRecord on one connection, p50 ms, against one sync of 4 KiB";
        line(text, &format!("| {what} | {ours} | {limit} | {percent} % |"));
    }
}

fn share(text: &mut String, what: &str, ours: f64, limit: f64) {
    let percent = digits(100.0 * ours / limit);
    line(text, &format!("| {what} | {} | {} | {percent} % |", digits(ours), digits(limit)));
}

#[allow(clippy::cast_precision_loss)] // Memory of this machine is far below 2^52 bytes.
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn range(spread: Spread) -> String {
    format!("{} to {}", digits(spread.min), digits(spread.max))
}

/// Three significant digits, and thousands apart: more would claim what no round repeats.
pub(super) fn digits(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), None), |(w, r)| (w, Some(r)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(rest) = rest {
        let _ = write!(grouped, ".{rest}"); // A String takes any write.
    }
    grouped
}

/// Words that fit into a table's cell, without the paths of one machine.
fn cell(words: &str) -> String {
    let tidy = |word: &str| {
        let is_path = word.starts_with('/') && word[1..].contains('/');
        if is_path {
            word.rsplit('/').next().unwrap_or_default().to_owned()
        } else {
            word.to_owned()
        }
    };
    words.replace('|', "/").split_whitespace().map(tidy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::results::{Failure, Measure, Sample};
    use super::*;

    fn sample(peer: &str, megabytes: f64) -> Sample {
        let measure = Measure { bytes_per_second: megabytes * 1e6, ..Measure::default() };
        Sample {
            peer: peer.to_owned(),
            workload: Workload::PutBatch,
            round: 1,
            outcome: Ok(measure),
        }
    }

    #[test]
    fn what_a_person_wrote_between_the_marks_is_kept() {
        let first = render(&Results::default(), "");
        let edited = first.replace("Not profiled yet.", "The copy into the frame is half of it.");
        let second = render(&Results::default(), &edited);
        assert!(second.contains("The copy into the frame is half of it."));
        assert_eq!(second, render(&Results::default(), &second), "a third time changes nothing");
    }

    #[test]
    fn a_peer_is_compared_with_our_durable_figure() {
        let samples = vec![sample("millstream", 120.0), sample("ferrokinesis", 40.0)];
        let text = render(&Results { samples, ..Results::default() }, "");
        let row = text.lines().find(|line| line.starts_with("| ferrokinesis | memory | **40.0**"));
        assert!(row.is_some_and(|row| row.ends_with("| 3.00× |")), "{row:?}");
    }

    #[test]
    fn a_peer_that_could_not_be_had_is_named_with_the_reason() {
        let why = "npm failed: no such package in /somewhere/deep/cache".to_owned();
        let failures = vec![Failure { peer: "kinesalite".to_owned(), why }];
        let text = render(&Results { failures, ..Results::default() }, "");
        assert!(text.contains("**kinesalite** could not be measured: npm failed"));
        assert!(text.contains("| kinesalite | memory | npm failed: no such package in cache |"));
    }

    #[test]
    fn figures_have_three_digits_and_thousands_apart() {
        let shown = [0.01234, 0.9996, 9.999, 45.67, 1_234.5, 1_234_567.0].map(digits);
        assert_eq!(shown, ["0.012", "1.00", "10.0", "45.7", "1,234", "1,234,567"]);
    }
}
