//! When a buffer is full, and when it is due.
//!
//! Owns the accounting that users see as the sizes of their objects. Pure.
//!
//! Invariants:
//! * Bytes are the bytes of records after all processing, delimiters included, before conversion
//!   and compression (documented: "before compression").
//! * A buffer never holds more than its size, unless one record alone does.
//! * It is not cut while the next record would still fit, but by its interval, which begins with
//!   its first record.

use std::time::Duration;

use millstream_core::Timestamp;
use millstream_destinations::DocumentId;
use tokio::time::Instant;

use super::frame::Entry;
use crate::plan::Buffering;

/// What stands for an interval of 0: documented as "within a few seconds".
const ZERO_INTERVAL: Duration = Duration::from_secs(1);

/// As good as never, and within what can be added to any moment.
const A_LONG_TIME: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// When to stop filling a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Bytes of records at most.
    pub(super) bytes: u64,
    /// Records at most.
    pub(super) count: u64,
    /// How long after its first record it is delivered.
    pub(super) interval: Duration,
    /// The last record that it may hold, where that is decided: a delivery that was begun before
    /// a restart is made again with the same records. Size and interval do not matter then.
    pub(super) until: Option<DocumentId>,
}

/// What is in a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) first: DocumentId,
    pub(super) last: DocumentId,
    /// When the oldest of its records arrived at the source.
    pub(super) oldest: Timestamp,
    /// When the first of its records came into it.
    pub(super) opened: Instant,
}

impl Bounds {
    /// Those of a configuration, for a destination that takes so much at once.
    pub(super) fn new(buffering: Buffering, count: usize, bytes: usize) -> Self {
        let Buffering { bytes: size, interval } = buffering;
        Self {
            bytes: size.min(bytes as u64),
            count: count as u64,
            interval: if interval.is_zero() { ZERO_INTERVAL } else { interval },
            until: None,
        }
    }
}

impl Gauge {
    /// That of a buffer whose first record is `entry`.
    pub(super) fn of(entry: &Entry, now: Instant) -> Self {
        Self {
            count: 1,
            bytes: entry.data.len() as u64,
            first: entry.id,
            last: entry.id,
            oldest: entry.arrived,
            opened: now,
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        self.count += 1;
        self.bytes += entry.data.len() as u64;
        self.last = entry.id;
        self.oldest = self.oldest.min(entry.arrived);
    }

    /// Whether `entry` may be added.
    pub(super) fn admits(&self, entry: &Entry, bounds: &Bounds) -> bool {
        match bounds.until {
            Some(until) => entry.id <= until,
            None => {
                self.count < bounds.count
                    && self.bytes.saturating_add(entry.data.len() as u64) <= bounds.bytes
            }
        }
    }

    /// Whether nothing more fits.
    pub(super) fn is_full(&self, bounds: &Bounds) -> bool {
        match bounds.until {
            Some(until) => self.last >= until,
            None => self.count >= bounds.count || self.bytes >= bounds.bytes,
        }
    }

    /// When it is to be delivered at the latest; long from now where its end is decided.
    pub(super) fn due(&self, bounds: &Bounds) -> Instant {
        let interval = if bounds.until.is_some() { A_LONG_TIME } else { bounds.interval };
        self.opened + interval
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn entry(position: u64, bytes: usize) -> Entry {
        Entry {
            id: DocumentId { part: 0, position, index: 0 },
            arrived: Timestamp::from_ms(1_000 - position.min(1_000)),
            sequence: None,
            data: Bytes::from(vec![0; bytes]),
        }
    }

    /// Cuts records into buffers as the courier does.
    fn cut(entries: &[Entry], bounds: &Bounds) -> Vec<Gauge> {
        let now = Instant::now();
        let mut done: Vec<Gauge> = Vec::new();
        let mut open: Option<Gauge> = None;
        for entry in entries {
            if let Some(gauge) = open.take_if(|gauge| !gauge.admits(entry, bounds)) {
                done.push(gauge);
            }
            match &mut open {
                Some(gauge) => gauge.add(entry),
                None => open = Some(Gauge::of(entry, now)),
            }
            done.extend(open.take_if(|gauge| gauge.is_full(bounds)));
        }
        done.extend(open);
        done
    }

    proptest! {
        #[test]
        fn sizes_are_exact(
            sizes in proptest::collection::vec(0..120_usize, 1..200),
            bytes in 1..200_u64,
            count in 1..20_u64,
        ) {
            let bounds =
                Bounds { bytes, count, interval: Duration::from_secs(60), until: None };
            let entries: Vec<Entry> =
                sizes.iter().enumerate().map(|(at, size)| entry(at as u64, *size)).collect();
            let buffers = cut(&entries, &bounds);
            prop_assert_eq!(buffers.iter().map(|gauge| gauge.count).sum::<u64>(), sizes.len() as u64);
            let mut next = 0;
            for (index, gauge) in buffers.iter().enumerate() {
                let within = next..next + usize::try_from(gauge.count).unwrap();
                prop_assert_eq!(gauge.first.position, within.start as u64);
                prop_assert_eq!(gauge.last.position, within.end as u64 - 1);
                prop_assert_eq!(gauge.bytes, sizes[within.clone()].iter().sum::<usize>() as u64);
                prop_assert_eq!(gauge.oldest, entries[within.end - 1].arrived);
                prop_assert!(gauge.bytes <= bytes || gauge.count == 1);
                prop_assert!(gauge.count <= count);
                next = within.end;
                // What came next would not have fitted.
                if index + 1 < buffers.len() {
                    let more = gauge.bytes + sizes[next] as u64;
                    prop_assert!(gauge.count == count || gauge.bytes >= bytes || more > bytes);
                }
            }
        }

        #[test]
        fn a_buffer_with_a_decided_end_ends_there(count in 1..50_u64, end in 0..60_u64) {
            let until = Some(DocumentId { part: 0, position: end, index: 0 });
            let bounds = Bounds { bytes: 1, count: 1, interval: Duration::ZERO, until };
            let entries: Vec<Entry> = (0..count).map(|at| entry(at, 10)).collect();
            let first = cut(&entries, &bounds)[0];
            prop_assert_eq!(first.last.position, end.min(count - 1));
        }
    }

    #[test]
    fn an_interval_of_zero_is_a_second() {
        let buffering = Buffering { bytes: 5, interval: Duration::ZERO };
        let bounds = Bounds::new(buffering, usize::MAX, usize::MAX);
        let gauge = Gauge::of(&entry(0, 1), Instant::now());
        assert_eq!(gauge.due(&bounds) - gauge.opened, Duration::from_secs(1));
    }
}
