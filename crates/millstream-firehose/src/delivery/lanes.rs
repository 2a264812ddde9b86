//! The buffers of one delivery stream.
//!
//! Owns a buffer for each lane that collects something, and when each is ready to go. At most one
//! delivery of a lane is under way; while it is, the next buffer fills, and when that is full the
//! lane, and with it the reading of the source, stands still.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use millstream_core::Timestamp;
use millstream_destinations::DocumentId;
use millstream_formats::prefix::PartitionKeys;
use tokio::time::Instant;

use super::budget::Room;
use super::buffer::{Buffer, NoRoom};
use super::checkpoint::Pledge;
use super::frame::Entry;
use super::gauge::{Bounds, Gauge};
use super::lane::Lane;
use super::position_set::PositionSet;
use super::spill::Spill;

/// A buffer with less in memory than this is not worth a file.
const SPILL_BYTES_MIN: usize = 16 << 10;

/// A record on its way into a buffer.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) lane: Lane,
    /// The keys of its partition.
    pub(super) keys: Arc<PartitionKeys>,
    pub(super) entry: Entry,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Put {
    Done,
    /// The lane is full, and its last delivery not over.
    Blocked(Item),
    /// There is no memory for it: so many bytes are needed.
    NoRoom(Item, usize),
    /// It would open one partition more than there may be.
    Overflow(Item),
}

/// A buffer to deliver.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) lane: Lane,
    pub(super) keys: Arc<PartitionKeys>,
    pub(super) buffer: Buffer,
    /// It was decided on before a restart, and may have been delivered then.
    pub(super) is_repeat: bool,
    /// Of its records, how many were in a delivery before a restart that cannot be made again.
    pub(super) repeats: u64,
    /// The places of its records, where the source has them in no order.
    pub(super) places: BTreeMap<u64, PositionSet>,
}

#[derive(Debug)]
struct State {
    bounds: Bounds,
    keys: Arc<PartitionKeys>,
    buffer: Option<Buffer>,
    /// The buffer takes no more.
    is_closed: bool,
    /// A delivery is under way.
    is_busy: bool,
    pledge: Option<Pledge>,
    repeats: u64,
    places: BTreeMap<u64, PositionSet>,
}

/// What is known of a source whose records may come in another order after a restart.
#[derive(Debug)]
pub(super) struct Disorder {
    /// Records that were in deliveries before the restart, by part.
    pub(super) launched: BTreeMap<u64, PositionSet>,
}

/// How long buffers of each kind of lane collect.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneBounds {
    pub(super) main: Bounds,
    pub(super) backup: Bounds,
    pub(super) errors: Bounds,
    /// Partitions of the destination at most.
    pub(super) partitions_max: usize,
}

/// All lanes of one delivery stream.
#[derive(Debug)]
pub(super) struct Lanes {
    bounds: LaneBounds,
    states: BTreeMap<Lane, State>,
    /// Of `states`, how many are of the destination.
    partitions: usize,
    disorder: Option<Disorder>,
    spill: Arc<Spill>,
}

impl State {
    fn new(bounds: Bounds, keys: Arc<PartitionKeys>) -> Self {
        Self {
            bounds,
            keys,
            buffer: None,
            is_closed: false,
            is_busy: false,
            pledge: None,
            repeats: 0,
            places: BTreeMap::new(),
        }
    }

    /// Takes note of a record that has no order.
    fn note(&mut self, id: DocumentId, disorder: &Disorder) {
        let launched = disorder.launched.get(&id.part);
        self.repeats += u64::from(launched.is_some_and(|it| it.contains(id.position)));
        self.places.entry(id.part).or_default().insert(id.position);
    }

    /// Bounds of the buffer that `entry` would be put into.
    fn bounds_for(&self, first: DocumentId) -> Bounds {
        let until = self.pledge.filter(|pledge| pledge.first == first).map(|pledge| pledge.last);
        Bounds { until, ..self.bounds }
    }

    /// Whether its buffer holds what was decided on before a restart.
    fn is_repeat(&self) -> bool {
        let extent = |buffer: &Buffer| {
            let Gauge { first, last, .. } = *buffer.gauge();
            Pledge { first, last }
        };
        self.pledge.is_some() && self.buffer.as_ref().map(extent) == self.pledge
    }

    fn current_bounds(&self) -> Option<(&Gauge, Bounds)> {
        let gauge = self.buffer.as_ref()?.gauge();
        Some((gauge, self.bounds_for(gauge.first)))
    }
}

impl Lanes {
    /// No records, and the deliveries that were decided on before.
    pub(super) fn new(
        bounds: LaneBounds,
        pledges: &BTreeMap<Lane, Pledge>,
        disorder: Option<Disorder>,
        spill: Arc<Spill>,
    ) -> Self {
        let mut lanes = Self { bounds, states: BTreeMap::new(), partitions: 0, disorder, spill };
        for (lane, pledge) in pledges {
            lanes.state(lane, &Arc::default()).pledge = Some(*pledge);
        }
        lanes
    }

    fn state(&mut self, lane: &Lane, keys: &Arc<PartitionKeys>) -> &mut State {
        let bounds = match lane {
            Lane::Main(_) => self.bounds.main,
            Lane::Backup => self.bounds.backup,
            Lane::Errors(_) => self.bounds.errors,
        };
        let partitions = &mut self.partitions;
        self.states.entry(lane.clone()).or_insert_with(|| {
            *partitions += usize::from(matches!(lane, Lane::Main(_)));
            State::new(bounds, Arc::clone(keys))
        })
    }

    /// Partitions of the destination that are active.
    pub(super) fn partitions(&self) -> usize {
        self.partitions
    }

    /// How many there may be.
    pub(super) fn partitions_max(&self) -> usize {
        self.bounds.partitions_max
    }

    /// Puts a record into its lane's buffer.
    pub(super) fn put(&mut self, item: Item, now: Instant, mut room: Room<'_>) -> Put {
        if !self.states.contains_key(&item.lane) {
            let is_partition = matches!(item.lane, Lane::Main(_));
            if is_partition && self.partitions >= self.bounds.partitions_max {
                return Put::Overflow(item);
            }
            self.state(&item.lane, &item.keys);
        }
        let Item { lane, keys, entry } = item;
        let state = self.states.get_mut(&lane).expect("it was made just now");
        if state.is_closed {
            return Put::Blocked(Item { lane, keys, entry });
        }
        if let Some((gauge, bounds)) = state.current_bounds()
            && !gauge.admits(&entry, &bounds)
        {
            state.is_closed = true;
            return Put::Blocked(Item { lane, keys, entry });
        }
        let id = entry.id;
        let outcome = match &mut state.buffer {
            Some(buffer) => buffer.push(entry, &mut room),
            None => Buffer::open(entry, now, &mut room).map(|buffer| {
                state.keys = Arc::clone(&keys);
                state.buffer = Some(buffer);
            }),
        };
        match outcome {
            Ok(()) => {
                if let (Some(disorder), Lane::Main(_)) = (&self.disorder, &lane) {
                    state.note(id, disorder);
                }
                if let Some((gauge, bounds)) = state.current_bounds() {
                    state.is_closed = gauge.is_full(&bounds);
                }
                Put::Done
            }
            Err(NoRoom { entry, bytes }) => {
                self.forget_idle(&lane);
                Put::NoRoom(Item { lane, keys, entry }, bytes)
            }
        }
    }

    /// Forgets a lane that has nothing, and so is no active partition any more.
    fn forget_idle(&mut self, lane: &Lane) {
        let is_idle =
            |state: &State| state.buffer.is_none() && !state.is_busy && state.pledge.is_none();
        if self.states.get(lane).is_some_and(is_idle) {
            self.states.remove(lane);
            self.partitions -= usize::from(matches!(lane, Lane::Main(_)));
        }
    }

    /// When the next buffer is due that can go.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let free = self.states.values().filter(|state| !state.is_busy);
        let due = free.filter_map(|state| {
            let (gauge, bounds) = state.current_bounds()?;
            Some(if state.is_closed { gauge.opened } else { gauge.due(&bounds) })
        });
        due.min()
    }

    /// The buffers that are full or due, of lanes that have no delivery under way. Their lanes
    /// are busy from now on.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Load> {
        let mut loads = Vec::new();
        for (lane, state) in &mut self.states {
            let is_due = state
                .current_bounds()
                .is_some_and(|(gauge, bounds)| state.is_closed || gauge.due(&bounds) <= now);
            if !is_due || state.is_busy {
                continue;
            }
            let is_repeat = state.is_repeat();
            let Some(mut buffer) = state.buffer.take() else { continue };
            buffer.close();
            state.pledge = None;
            (state.is_closed, state.is_busy) = (false, true);
            let keys = Arc::clone(&state.keys);
            let (repeats, places) =
                (std::mem::take(&mut state.repeats), std::mem::take(&mut state.places));
            loads.push(Load { lane: lane.clone(), keys, buffer, is_repeat, repeats, places });
        }
        loads
    }

    /// Lets the buffer that holds the oldest record go before it is due; false where there is
    /// none that could.
    pub(super) fn close_oldest(&mut self) -> bool {
        let open = self.states.values_mut().filter(|state| !state.is_busy && !state.is_closed);
        let oldest = open
            .filter(|state| state.buffer.is_some())
            .min_by_key(|state| state.buffer.as_ref().map(|buffer| buffer.gauge().first));
        oldest.map(|state| state.is_closed = true).is_some()
    }

    /// Lets the buffer that holds the most bytes go before it is due, where there is one.
    pub(super) fn close_largest(&mut self) -> bool {
        let open = self.states.values_mut().filter(|state| !state.is_busy && !state.is_closed);
        let largest = open
            .filter(|state| state.buffer.is_some())
            .max_by_key(|state| state.buffer.as_ref().map_or(0, |buffer| buffer.gauge().bytes));
        largest.map(|state| state.is_closed = true).is_some()
    }

    /// The lane's delivery is over, for good.
    pub(super) fn landed(&mut self, lane: &Lane) {
        if let Some(state) = self.states.get_mut(lane) {
            state.is_busy = false;
        }
        self.forget_idle(lane);
    }

    /// All that was read before a restart was read again: what was decided on then, and has not
    /// come about by now, will not.
    pub(super) fn end_replay(&mut self) {
        let pledged = self.states.iter_mut().filter(|(_, state)| !state.is_repeat());
        let pledged: Vec<Lane> =
            pledged.filter_map(|(lane, state)| state.pledge.take().map(|_| lane.clone())).collect();
        for lane in pledged {
            self.forget_idle(&lane);
        }
    }

    /// Gives memory back by spilling, the largest buffers first, until `wanted` bytes are free.
    pub(super) async fn relieve(&mut self, wanted: usize) -> io::Result<()> {
        let mut sizes: Vec<(usize, Lane)> = self
            .states
            .iter()
            .filter_map(|(lane, state)| Some((state.buffer.as_ref()?.memory_bytes(), lane.clone())))
            .filter(|(bytes, _)| *bytes >= SPILL_BYTES_MIN)
            .collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        let mut freed = 0;
        for (bytes, lane) in sizes {
            if freed >= wanted {
                break;
            }
            let state = self.states.get_mut(&lane).expect("it was there just now");
            let buffer = state.buffer.take().expect("it was there just now");
            // Should this future be dropped here, the buffer is gone, and the courier with it.
            let (buffer, outcome) = buffer.spilled(Arc::clone(&self.spill)).await;
            state.buffer = Some(buffer);
            outcome?;
            freed += bytes;
        }
        Ok(())
    }

    /// When the oldest record arrived that waits in a lane.
    pub(super) fn oldest_of(&self, lane: &Lane) -> Option<Timestamp> {
        let buffer = self.states.get(lane)?.buffer.as_ref()?;
        Some(buffer.gauge().oldest)
    }

    /// Bytes that wait, and when the oldest of their records arrived.
    pub(super) fn waiting(&self) -> (u64, Option<Timestamp>) {
        let buffers = self.states.values().filter_map(|state| state.buffer.as_ref());
        let gauges = buffers.map(Buffer::gauge);
        (gauges.clone().map(|gauge| gauge.bytes).sum(), gauges.map(|gauge| gauge.oldest).min())
    }
}
