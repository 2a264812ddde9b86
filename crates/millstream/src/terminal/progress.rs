//! One progress bar on standard error, and how counts, bytes and times are written.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar where the end is known, a spinner where it is not; nothing where nobody looks.
/// Gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

const TICK: Duration = Duration::from_millis(120);

impl Progress {
    /// A bar that ends at `total`.
    pub(crate) fn bar(label: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_message(label.to_owned());
        bar.set_style(
            ProgressStyle::with_template(
                "{msg:<9} {wide_bar:.cyan/dim} {percent:>3}%  {human_pos}/{human_len}  {prefix}",
            )
            .expect("the template is well formed"),
        );
        Self { bar }
    }

    /// A bar over a share of 1,000, for work that ends by time or by count.
    pub(crate) fn share(label: &str) -> Self {
        let bar = ProgressBar::new(1_000).with_message(label.to_owned());
        bar.set_style(
            ProgressStyle::with_template("{msg:<9} {wide_bar:.cyan/dim} {percent:>3}%  {prefix}")
                .expect("the template is well formed"),
        );
        Self { bar }
    }

    /// A bar over bytes of input.
    pub(crate) fn bytes_bar(label: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_message(label.to_owned());
        bar.set_style(
            ProgressStyle::with_template(
                "{msg:<9} {wide_bar:.cyan/dim} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  {prefix}",
            )
            .expect("the template is well formed"),
        );
        Self { bar }
    }

    /// Whether it is known where it ends.
    pub(crate) fn has_end(&self) -> bool {
        self.bar.length().is_some()
    }

    /// A spinner with a count, for input without a known end.
    pub(crate) fn spinner(label: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(label.to_owned());
        bar.set_style(
            ProgressStyle::with_template("{spinner:.cyan} {msg:<9} {human_pos} {prefix}")
                .expect("the template is well formed"),
        );
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// A spinner beside a sentence, for a wait on somebody else.
    pub(crate) fn waiting(sentence: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(sentence.to_owned());
        bar.set_style(
            ProgressStyle::with_template("{spinner:.cyan} {msg} ({elapsed})")
                .expect("the template is well formed"),
        );
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// Says how far it is.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Says something beside the count, such as a rate.
    pub(crate) fn note(&self, note: impl Into<String>) {
        self.bar.set_prefix(note.into());
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A count with separators: `1,234,567`.
pub(crate) fn count_text(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// `1 record`, `1,234 records`.
pub(crate) fn records_text(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{} records", count_text(count)) }
}

/// Bytes in the largest fitting unit of 1,000: `45.2 MB`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[allow(clippy::cast_precision_loss)] // Three digits are shown.
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A duration in the unit that shows three digits: `0.412 ms`, `12.3 ms`, `4.56 s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 10.0 => format!("{ms:.3} ms"),
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well_at_every_size() {
        assert_eq!(bytes_text(0), "0 B");
        assert_eq!(bytes_text(999), "999 B");
        assert_eq!(bytes_text(1_000), "1.0 kB");
        assert_eq!(bytes_text(999_999), "1.0 MB");
        assert_eq!(bytes_text(45_200_000), "45.2 MB");
        assert_eq!(count_text(1_234_567), "1,234,567");
        assert_eq!(records_text(1), "1 record");
        assert_eq!(records_text(1_000), "1,000 records");
        assert_eq!(duration_text(Duration::from_micros(412)), "0.412 ms");
        assert_eq!(duration_text(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration_text(Duration::from_millis(4_560)), "4.56 s");
    }
}
