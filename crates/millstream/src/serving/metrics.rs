//! What the log and the process add to `/metrics`.

use millstream_log::EmbeddedLog;
use millstream_log::embedded::SYNC_BUCKETS_US;
use millstream_server::{Collector, MetricsText};

/// Tells of one log.
#[derive(Debug)]
pub(crate) struct LogMetrics(pub(crate) EmbeddedLog);

impl Collector for LogMetrics {
    fn collect(&self, text: &mut MetricsText) {
        let stats = self.0.stats();
        for (name, help, value) in [
            ("millstream_log_commits_total", "Commits made durable.", stats.commits),
            ("millstream_log_records_total", "Records appended.", stats.records),
            (
                "millstream_log_appended_bytes_total",
                "Bytes of batches appended.",
                stats.appended_bytes,
            ),
            (
                "millstream_log_wal_bytes_total",
                "Bytes written ahead, padding included.",
                stats.wal_bytes,
            ),
            (
                "millstream_log_segment_bytes_total",
                "Bytes written to segments.",
                stats.segment_bytes,
            ),
        ] {
            text.counter(name, help).sample(&[], value);
        }
        for (name, help, value) in [
            ("millstream_log_queued_bytes", "Bytes waiting to be written.", stats.queued_bytes),
            (
                "millstream_log_undestaged_bytes",
                "Bytes not yet in segments.",
                stats.undestaged_bytes,
            ),
            (
                "millstream_log_cached_bytes",
                "Bytes kept in memory for readers.",
                stats.cached_bytes,
            ),
            ("millstream_log_logs", "Logs that exist.", stats.logs),
            ("millstream_log_segments", "Segment files.", stats.segments),
            (
                "millstream_log_latched",
                "1 where the log stopped acknowledging.",
                u64::from(stats.latched.is_some()),
            ),
        ] {
            text.gauge(name, help).sample(&[], value);
        }
        // A histogram in all but its TYPE line, under the names that `histogram_quantile` wants.
        let help = "Syncs of write-ahead files, by how long they took at most.";
        let mut samples = text.counter("millstream_log_sync_seconds_bucket", help);
        let mut sum = 0;
        for (count, edge_us) in stats.sync_buckets.iter().zip(SYNC_BUCKETS_US) {
            sum += count;
            samples.sample(&[("le", &seconds_text(edge_us))], sum);
        }
        let total: u64 = stats.sync_buckets.iter().sum();
        samples.sample(&[("le", "+Inf")], total);
        let help = "Time spent in syncs of write-ahead files.";
        text.counter("millstream_log_sync_seconds_sum", help)
            .sample(&[], seconds_text(stats.sync_us_total));
        let help = "Syncs of write-ahead files.";
        text.counter("millstream_log_sync_seconds_count", help).sample(&[], total);
    }
}

fn seconds_text(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Tells of this process, under the names that Prometheus's own libraries use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn collect(&self, text: &mut MetricsText) {
        if let Some(bytes) = resident_bytes() {
            text.gauge("process_resident_memory_bytes", "Resident memory.").sample(&[], bytes);
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            text.gauge("process_open_fds", "Open file descriptors.").sample(&[], open.count());
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        text.gauge("millstream_build_info", "The version that runs.").sample(&version, 1);
    }
}

/// From `/proc/self/statm`, where there is one: its second number, in pages.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_files_open() {
        let mut text = MetricsText::default();
        ProcessMetrics.collect(&mut text);
        let text = text.into_string();
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("process_open_fds "), "{text}");
    }
}
