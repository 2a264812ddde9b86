//! Many shards read as one: records come out by arrival, whichever shard they lie in.
//!
//! Owns the order only: lanes are filled from outside, one batch each at a time. A lane that may
//! still have older records holds the others back; one that has been read to its end does not.
//! So history comes out in exact order of arrival, and what is live comes out as it is found.
//!
//! Invariant: within a lane, order is kept whatever the arrival times say.

use std::collections::{BTreeMap, VecDeque};

use millstream_core::Timestamp;

/// Lanes by name, each with records waiting.
#[derive(Debug)]
pub(crate) struct Merge<T> {
    lanes: BTreeMap<String, Lane<T>>,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<(Timestamp, T)>,
    /// Nothing more was there when the last batch was read: do not wait for this lane.
    is_idle: bool,
}

impl<T> Default for Merge<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new() }
    }
}

impl<T> Merge<T> {
    /// Adds a lane, which holds the others back until its first batch.
    pub(crate) fn open(&mut self, lane: &str) {
        let empty = Lane { waiting: VecDeque::new(), is_idle: false };
        self.lanes.entry(lane.to_owned()).or_insert(empty);
    }

    /// Adds what was read from a lane; `is_idle` where there was no more to read.
    pub(crate) fn push(
        &mut self,
        lane: &str,
        records: impl IntoIterator<Item = (Timestamp, T)>,
        is_idle: bool,
    ) {
        self.open(lane);
        let lane = self.lanes.get_mut(lane).expect("opened above");
        lane.waiting.extend(records);
        lane.is_idle = is_idle;
    }

    /// Whether all that lies in `lane` has come out.
    pub(crate) fn is_drained(&self, lane: &str) -> bool {
        self.lanes.get(lane).is_none_or(|lane| lane.waiting.is_empty())
    }

    /// Whether any record waits in any lane.
    pub(crate) fn has_waiting(&self) -> bool {
        self.lanes.values().any(|lane| !lane.waiting.is_empty())
    }

    /// The next record, or `None` while one could still come before it, or none waits.
    pub(crate) fn pop(&mut self) -> Option<(String, T)> {
        let mut first: Option<(Timestamp, &String)> = None;
        for (name, lane) in &self.lanes {
            match lane.waiting.front() {
                Some((arrived, _)) if first.is_none_or(|(earliest, _)| *arrived < earliest) => {
                    first = Some((*arrived, name));
                }
                None if !lane.is_idle => return None,
                Some(_) | None => {}
            }
        }
        let name = first?.1.clone();
        let lane = self.lanes.get_mut(&name).expect("found above");
        let (_, record) = lane.waiting.pop_front().expect("found above");
        Some((name, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(times: &[u64]) -> Vec<(Timestamp, u64)> {
        times.iter().map(|ms| (Timestamp::from_ms(*ms), *ms)).collect()
    }

    fn drain(merge: &mut Merge<u64>) -> Vec<u64> {
        std::iter::from_fn(|| merge.pop().map(|(_, record)| record)).collect()
    }

    #[test]
    fn records_of_all_lanes_come_out_by_arrival() {
        let mut merge = Merge::default();
        merge.push("a", at(&[1, 4, 9]), true);
        merge.push("b", at(&[2, 3, 10]), true);
        assert_eq!(drain(&mut merge), [1, 2, 3, 4, 9, 10]);
    }

    #[test]
    fn a_lane_that_may_hold_older_records_holds_the_others_back() {
        let mut merge = Merge::default();
        merge.open("b");
        merge.push("a", at(&[5, 6]), true);
        assert_eq!(drain(&mut merge), [0; 0]);
        merge.push("b", at(&[1]), false);
        assert_eq!(drain(&mut merge), [1], "more may follow in b");
        merge.push("b", at(&[5]), true);
        assert_eq!(drain(&mut merge), [5, 5, 6]);
    }

    #[test]
    fn an_idle_lane_holds_nobody_back() {
        let mut merge = Merge::default();
        merge.push("a", [], true);
        merge.push("b", at(&[7]), false);
        assert_eq!(drain(&mut merge), [7]);
        merge.push("a", at(&[8]), true);
        assert_eq!(drain(&mut merge), [0; 0], "b was not read to its end");
        merge.push("b", [], true);
        assert_eq!(drain(&mut merge), [8]);
        assert!(merge.is_drained("a"));
    }

    #[test]
    fn order_within_a_lane_stands_above_arrival() {
        let mut merge = Merge::default();
        merge.push("a", at(&[5, 4, 6]), true);
        merge.push("b", at(&[5]), true);
        assert_eq!(drain(&mut merge), [5, 4, 5, 6]);
    }
}
