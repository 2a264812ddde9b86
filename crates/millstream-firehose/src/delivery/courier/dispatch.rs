//! From buffers to destinations, and back to the checkpoint.
//!
//! Owns the steps of a delivery: a buffer is due; it is pledged; once that is durable it is under
//! way; its report settles its records; once that is durable the lane is free for the next.

use std::sync::Arc;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::{Courier, Fault, Pledged};
use crate::delivery::checkpoint::Pledge;
use crate::delivery::flight::{self, Report};
use crate::delivery::lanes::Load;

impl Courier {
    /// Sends off what is due, and lets lanes go whose last delivery is known to be over.
    pub(super) fn dispatch(&mut self) {
        let ledger = &self.ledger;
        let (free, closing): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.closing).into_iter().partition(|(it, _)| ledger.has(*it));
        self.closing = closing;
        for (_, lane) in free {
            self.lanes.landed(&lane);
        }
        for load in self.lanes.take_due(Instant::now()) {
            self.under_way.insert(load.lane.clone(), load.buffer.gauge().oldest);
            self.pledge(load);
        }
        let ledger = &self.ledger;
        let (known, pledged): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pledged).into_iter().partition(|it| ledger.has(it.change));
        self.pledged = pledged;
        for Pledged { load, .. } in known {
            self.flights.spawn(flight::fly(Arc::clone(&self.station), load));
        }
        self.ledger.begin_write(Instant::now());
    }

    /// Decides on a delivery. Where a replay may find the records in another order, there is
    /// nothing to decide: only which they are is taken down, to count those that may be delivered
    /// again.
    fn pledge(&mut self, load: Load) {
        let is_ordered = self.reading.source().is_ordered();
        let is_noted = is_ordered || !load.places.is_empty();
        if !is_noted || cfg!(feature = "mutant-no-pledge") {
            self.flights.spawn(flight::fly(Arc::clone(&self.station), load));
            return;
        }
        let change = if is_ordered {
            let gauge = load.buffer.gauge();
            let pledge = Pledge { first: gauge.first, last: gauge.last };
            self.ledger.pledge(&load.lane, pledge)
        } else {
            self.ledger.launch(&load.places)
        };
        self.pledged.push(Pledged { change, load });
    }

    /// A delivery has reported.
    pub(super) fn land(&mut self, report: Option<Result<Report, JoinError>>) -> Result<(), Fault> {
        if self.settle(report)? { Ok(()) } else { Err(Fault::Unreadable) }
    }

    /// Settles what a delivery reports; false where it was broken off.
    pub(super) fn settle(
        &mut self,
        report: Option<Result<Report, JoinError>>,
    ) -> Result<bool, Fault> {
        let Some(report) = report else { return Ok(true) };
        let Report { lane, settled } = report.map_err(|error| {
            tracing::error!(%error, stream = self.station.origin.name, "a delivery failed");
            Fault::Lost
        })?;
        let Some(ids) = settled else { return Ok(false) };
        for id in ids.iter() {
            self.ledger.settle(&lane, id);
        }
        self.under_way.remove(&lane);
        let change = self.ledger.close(&lane);
        self.closing.push((change, lane));
        Ok(true)
    }
}
