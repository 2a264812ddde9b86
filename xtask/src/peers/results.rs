//! What was measured: plain data, kept as JSON beside the peers and rendered by `report`.
//!
//! Owns medians and ranges. Invariant: what failed is data too, so that no table hides it.

use serde::{Deserialize, Serialize};

use super::disk::DiskRate;
use super::floor::Floor;
use super::machine::Machine;
use super::workload::{Figure, Workload};

/// One load on one server, once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Measure {
    pub(super) records: u64,
    pub(super) records_per_second: f64,
    /// Payload only, as the caller counts it.
    pub(super) bytes_per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) p999_ms: Option<f64>,
    /// Calls or records that failed.
    pub(super) errors: u64,
    /// Records that, read back, were missing, doubled, changed or out of order; none if unread.
    pub(super) unfaithful: Option<u64>,
    /// Processor time of the server during the load, its preparation included.
    pub(super) server_seconds: f64,
}

impl Measure {
    /// The server's processor time for each record, in microseconds.
    pub(super) fn server_microseconds(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // A load moves far fewer than 2^52 records.
        let records = self.records as f64;
        (self.records > 0).then(|| self.server_seconds * 1e6 / records)
    }
}

/// The outcome of a load, placed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) peer: String,
    pub(super) workload: Workload,
    pub(super) round: u32,
    pub(super) outcome: Result<Measure, String>,
}

/// Memory of one server in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) peer: String,
    pub(super) at_rest_bytes: u64,
    pub(super) peak_bytes: u64,
    pub(super) ready_seconds: f64,
}

/// A server that could not be had or started, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) peer: String,
    pub(super) why: String,
}

/// A whole run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    /// Our commit, short.
    pub(super) commit: String,
    pub(super) rounds: u32,
    pub(super) seconds: u32,
    pub(super) failures: Vec<Failure>,
    pub(super) samples: Vec<Sample>,
    pub(super) memory: Vec<Memory>,
    pub(super) disk: Vec<DiskRate>,
    pub(super) floor: Option<Floor>,
    /// Load average when the run ended; the run itself is most of it.
    pub(super) load_average_end: String,
}

/// The middle and the ends of a figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of at least one value; an even count takes the mean of the middle two.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

impl Results {
    fn measures(&self, peer: &str, workload: Workload) -> impl Iterator<Item = &Measure> {
        self.samples
            .iter()
            .filter(move |sample| sample.peer == peer && sample.workload == workload)
            .filter_map(|sample| sample.outcome.as_ref().ok())
    }

    /// `read` of each round, in the middle and at the ends.
    pub(super) fn spread(
        &self,
        peer: &str,
        workload: Workload,
        read: impl Fn(&Measure) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.measures(peer, workload).filter_map(read).collect())
    }

    /// The compared figure of `workload`.
    pub(super) fn figure(&self, peer: &str, workload: Workload) -> Option<Spread> {
        let figure: Figure = workload.figure();
        self.spread(peer, workload, |measure| figure.of(measure))
    }

    /// Errors over all rounds.
    pub(super) fn errors(&self, peer: &str, workload: Workload) -> u64 {
        self.measures(peer, workload).map(|measure| measure.errors).sum()
    }

    /// Records that were not read back as they were acknowledged, over the rounds that read back.
    pub(super) fn unfaithful(&self, peer: &str, workload: Workload) -> Option<u64> {
        let found: Vec<u64> = self.measures(peer, workload).filter_map(|m| m.unfaithful).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// Why there is no figure: the server's own failure first, then the load's.
    pub(super) fn why_not(&self, peer: &str, workload: Workload) -> Option<&str> {
        let failure = self.failures.iter().find(|failure| failure.peer == peer);
        let sample = self.samples.iter().find(|sample| {
            sample.peer == peer && sample.workload == workload && sample.outcome.is_err()
        });
        let of_sample = sample.and_then(|sample| sample.outcome.as_ref().err());
        failure.map(|failure| failure.why.as_str()).or(of_sample.map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_round_and_not_the_mean() {
        let spread = Spread::of(vec![9.0, 1.0, 2.0]).expect("three rounds");
        assert_eq!(spread, Spread { median: 2.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn no_rounds_have_no_median() {
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
