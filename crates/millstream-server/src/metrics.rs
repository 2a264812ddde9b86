//! What the server counts, and the text in which Prometheus reads it.
//!
//! Counting costs a few atomic additions: each operation of the models has its own counters,
//! laid out at the start. Other parts of the program join in through [`Collector`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millstream_api::{Operation, SERVICES};

/// The upper bounds of the latency buckets, in microseconds.
const BOUNDS_MICROSECONDS: [u64; 15] = [
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000,
    1_000_000, 5_000_000, 30_000_000,
];
/// Different error codes counted for one operation; the rest count as one.
const CODES_MAX: usize = 64;

/// Adds to what `/metrics` says.
pub trait Collector: Send + Sync {
    /// Writes its families; called once per read, so it must not block.
    fn collect(&self, text: &mut MetricsText);
}

/// The text format of Prometheus, family by family.
#[derive(Debug, Default)]
pub struct MetricsText(String);

impl MetricsText {
    /// Starts a family of counters; names end in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Samples<'_> {
        self.family(name, help, "counter")
    }

    /// Starts a family of gauges.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Samples<'_> {
        self.family(name, help, "gauge")
    }

    /// Starts a family of histograms of durations in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Samples<'_> {
        self.family(name, help, "histogram")
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Samples<'_> {
        // Writing to a String does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Samples { text: &mut self.0, name }
    }

    /// The text so far.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Samples<'_> {
    /// A sample with these labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// The lines of a histogram with these labels.
    pub fn durations(&mut self, labels: &[(&str, &str)], durations: &Durations) -> &mut Self {
        let mut sum = 0;
        for (bound, bucket) in BOUNDS_MICROSECONDS.iter().zip(&durations.buckets) {
            sum += bucket.load(Ordering::Relaxed);
            self.line("_bucket", labels, Some(&seconds(*bound)), sum);
        }
        let count = durations.count.load(Ordering::Relaxed);
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, seconds(durations.sum.load(Ordering::Relaxed)));
        self.line("_count", labels, None, count);
        self
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        for (index, (name, value)) in labels.iter().copied().chain(bound).enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{name}=\"{value}\"");
        }
        if bound.is_some() || !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn seconds(microseconds: u64) -> String {
    format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
}

/// How long something took, in buckets.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BOUNDS_MICROSECONDS.len()],
    count: AtomicU64,
    sum: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROSECONDS.partition_point(|bound| *bound < microseconds);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(microseconds, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct OperationMetrics {
    successes: AtomicU64,
    failures: Mutex<BTreeMap<Cow<'static, str>, u64>>,
    durations: Durations,
}

impl OperationMetrics {
    fn observe(&self, code: Option<&Cow<'static, str>>, duration: Duration) {
        self.durations.observe(duration);
        let Some(code) = code else {
            self.successes.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let full = failures.len() >= CODES_MAX && !failures.contains_key(code);
        let code = if full { Cow::Borrowed("other") } else { code.clone() };
        *failures.entry(code).or_default() += 1;
    }

    fn requests(&self, service: &str, operation: &str, samples: &mut Samples<'_>) {
        let successes = self.successes.load(Ordering::Relaxed);
        if successes > 0 {
            let labels = [("service", service), ("operation", operation), ("code", "ok")];
            samples.sample(&labels, successes);
        }
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (code, count) in failures.iter() {
            let labels = [("service", service), ("operation", operation), ("code", code)];
            samples.sample(&labels, count);
        }
    }
}

/// What the server itself counts.
#[derive(Debug)]
pub(crate) struct ServerMetrics {
    /// By place in [`SERVICES`], then by the operation's index.
    operations: Vec<Vec<OperationMetrics>>,
    /// Requests that named no operation.
    elsewhere: OperationMetrics,
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) requests_reset: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
}

impl ServerMetrics {
    pub(crate) fn new() -> Self {
        let of_service = |operations: &[Operation]| {
            std::iter::repeat_with(OperationMetrics::default).take(operations.len()).collect()
        };
        Self {
            operations: SERVICES.iter().map(|service| of_service(service.operations)).collect(),
            elsewhere: OperationMetrics::default(),
            connections_accepted: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            requests_reset: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
        }
    }

    /// Counts an answer; `code` is `None` for a success.
    pub(crate) fn observe(
        &self,
        operation: Option<(usize, &'static Operation)>,
        code: Option<&Cow<'static, str>>,
        duration: Duration,
    ) {
        let found = operation.and_then(|(service, operation)| {
            self.operations.get(service)?.get(usize::from(operation.index))
        });
        found.unwrap_or(&self.elsewhere).observe(code, duration);
    }

    pub(crate) fn collect(&self, text: &mut MetricsText) {
        let mut samples =
            text.counter("millstream_requests_total", "Requests answered, by error code or ok.");
        for (service, operations) in SERVICES.iter().zip(&self.operations) {
            for (operation, metrics) in service.operations.iter().zip(operations) {
                metrics.requests(service.id, operation.name, &mut samples);
            }
        }
        self.elsewhere.requests("", "", &mut samples);
        let mut samples = text
            .histogram("millstream_request_duration_seconds", "From the head's end to the answer.");
        for (service, operations) in SERVICES.iter().zip(&self.operations) {
            for (operation, metrics) in service.operations.iter().zip(operations) {
                if metrics.durations.count.load(Ordering::Relaxed) > 0 {
                    let labels = [("service", service.id), ("operation", operation.name)];
                    samples.durations(&labels, &metrics.durations);
                }
            }
        }
        for (name, help, counter) in [
            (
                "millstream_connections_accepted_total",
                "Connections accepted.",
                &self.connections_accepted,
            ),
            (
                "millstream_connections_refused_total",
                "Connections closed at once: too many are open.",
                &self.connections_refused,
            ),
            (
                "millstream_tls_handshakes_failed_total",
                "TLS handshakes that failed or took too long.",
                &self.handshakes_failed,
            ),
            (
                "millstream_requests_reset_total",
                "Requests without an answer: more was under way than could even be refused.",
                &self.requests_reset,
            ),
            (
                "millstream_panics_total",
                "Requests that met a fault of ours. Each is a bug.",
                &self.panics,
            ),
            ("millstream_request_body_bytes_total", "Bytes of bodies received.", &self.body_bytes),
        ] {
            text.counter(name, help).sample(&[], counter.load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_one_head_per_family_and_escaped_labels() {
        let mut text = MetricsText::default();
        text.gauge("a", "Help.").sample(&[("b", "x\"\\\n")], 1).sample(&[], 2);
        assert_eq!(
            text.into_string(),
            "# HELP a Help.\n# TYPE a gauge\na{b=\"x\\\"\\\\\\n\"} 1\na 2\n"
        );
    }

    #[test]
    fn durations_fall_into_their_buckets() {
        let durations = Durations::default();
        for microseconds in [0, 250, 251, 60_000_000] {
            durations.observe(Duration::from_micros(microseconds));
        }
        let mut text = MetricsText::default();
        text.histogram("d", "Help.").durations(&[("o", "p")], &durations);
        let text = text.into_string();
        assert!(text.contains("d_bucket{o=\"p\",le=\"0.000250\"} 2\n"), "{text}");
        assert!(text.contains("d_bucket{o=\"p\",le=\"30.000000\"} 3\n"));
        assert!(text.contains("d_bucket{o=\"p\",le=\"+Inf\"} 4\n"));
        assert!(text.contains("d_sum{o=\"p\"} 60.000501\n"));
    }

    #[test]
    fn error_codes_are_bounded() {
        let metrics = OperationMetrics::default();
        for number in 0..100 {
            metrics.observe(Some(&Cow::Owned(format!("Code{number}"))), Duration::ZERO);
        }
        let failures = metrics.failures.lock().unwrap();
        assert_eq!(failures.len(), CODES_MAX + 1);
        assert_eq!(failures["other"], 36);
    }
}
