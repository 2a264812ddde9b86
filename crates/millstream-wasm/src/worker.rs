//! One batch of records through a module.
//!
//! Owns the instance and its life: made for a batch, thrown away with it, and replaced within it
//! after any record that broke it. So nothing that a module remembers outlives a batch, and what
//! it may use is bounded by how many work at once.

use std::collections::BTreeMap;

use wasmtime::{Instance, Memory, Store, Trap, TypedFunc};

use crate::contract::{ABI, INITIALIZE, INPUT, MEMORY, TRANSFORM, verdict};
use crate::engine::Limits;
use crate::fault::Fault;
use crate::host::{Attributes, State};
use crate::module::Module;
use crate::ticker::Working;

/// What is known of all records of a batch, under the names that Lambda's event has.
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    /// `invocationId`.
    pub invocation_id: &'a str,
    /// `deliveryStreamArn`.
    pub delivery_stream_arn: &'a str,
    /// `sourceKinesisStreamArn`.
    pub source_stream_arn: Option<&'a str>,
    /// `region`.
    pub region: &'a str,
}

/// A record to rework.
#[derive(Clone, Debug, Default)]
pub struct Record<'a> {
    /// Its data.
    pub data: &'a [u8],
    /// `approximateArrivalTimestamp`: when it arrived, in milliseconds of Unix time.
    pub arrived_ms: u64,
    /// What else is known of it: `recordId`, and of a Data Stream's `shardId`, `partitionKey`,
    /// `sequenceNumber`, `subsequenceNumber`.
    pub attributes: &'a [(&'static str, &'a str)],
}

/// What a record became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reworked {
    /// Its data; none: it is what it was.
    pub data: Option<Vec<u8>>,
    /// The keys that its partition is found by.
    pub partition_keys: BTreeMap<String, String>,
    /// What a table needs to know of it, under the names that Lambda's answer has.
    pub otf_metadata: BTreeMap<String, String>,
}

/// What a module made of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Ok(Reworked),
    /// It is wanted no more.
    Dropped,
    /// It goes to the error output.
    Failed(Fault),
}

/// Why an export is there.
const JUDGED: &str = "the module was judged";

/// An instance that is sound.
struct Live {
    store: Store<State>,
    instance: Instance,
    memory: Memory,
    input: TypedFunc<i32, i32>,
    transform: TypedFunc<(i32, i32), i32>,
}

/// Whoever works on a batch.
pub struct Worker {
    module: Module,
    common: Attributes,
    live: Option<Live>,
    output_bytes_left: usize,
    _working: Working,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Worker")
    }
}

impl Worker {
    /// A worker for one batch.
    pub fn new(module: &Module, batch: &Batch<'_>) -> Self {
        let mut common = Attributes::default();
        common.push("invocationId", batch.invocation_id);
        common.push("deliveryStreamArn", batch.delivery_stream_arn);
        if let Some(arn) = batch.source_stream_arn {
            common.push("sourceKinesisStreamArn", arn);
        }
        common.push("region", batch.region);
        let output_bytes_left = module.engine.limits().output_bytes;
        let working = module.engine.work();
        Self { module: module.clone(), common, live: None, output_bytes_left, _working: working }
    }

    /// Reworks one record. It holds the thread: for microseconds where the module is well, for as
    /// long as the limits say where it is not.
    pub fn transform(&mut self, record: &Record<'_>) -> Verdict {
        let live = match self.live.take() {
            Some(live) => Ok(live),
            None => self.start(),
        };
        let outcome = live.and_then(|mut live| {
            live.store.data_mut().output_bytes_left = self.output_bytes_left;
            let verdict = live.rework(record, self.module.engine.limits())?;
            self.live = Some(live);
            Ok(verdict)
        });
        match outcome {
            Ok(verdict) => {
                if let Verdict::Ok(Reworked { data: Some(data), .. }) = &verdict {
                    self.output_bytes_left -= data.len();
                }
                verdict
            }
            Err(fault) => Verdict::Failed(fault),
        }
    }

    /// The version of the contract that the module says it follows.
    pub(crate) fn version(&self) -> Result<i32, Fault> {
        let Live { mut store, instance, .. } = self.start()?;
        let abi = instance.get_typed_func::<(), i32>(&mut store, ABI.0).expect(JUDGED);
        let found = abi.call(&mut store, ());
        found.map_err(|error| fault(&mut store, &error, self.module.engine.limits()))
    }

    /// A new instance, set up within the limits of one record.
    fn start(&self) -> Result<Live, Fault> {
        let limits = self.module.engine.limits();
        let state = State {
            memory_bytes_max: limits.memory_bytes,
            output_bytes_max: limits.output_bytes,
            common: self.common.clone(),
            ..State::default()
        };
        let mut store = Store::new(self.module.engine.wasmtime(), state);
        store.limiter(|state| state);
        refill(&mut store, limits);
        let instance = self.module.ready.instantiate(&mut store);
        let instance = instance.map_err(|error| fault(&mut store, &error, limits))?;
        let memory = instance.get_memory(&mut store, MEMORY).expect(JUDGED);
        store.data_mut().memory = Some(memory);
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, INITIALIZE.0) {
            let outcome = initialize.call(&mut store, ());
            outcome.map_err(|error| fault(&mut store, &error, limits))?;
        }
        let input = instance.get_typed_func(&mut store, INPUT.0).expect(JUDGED);
        let transform = instance.get_typed_func(&mut store, TRANSFORM.0).expect(JUDGED);
        Ok(Live { store, instance, memory, input, transform })
    }
}

/// Gives an instance what one record may use.
fn refill(store: &mut Store<State>, limits: &Limits) {
    store.set_fuel(limits.fuel).expect("the engine counts fuel");
    store.set_epoch_deadline(limits.ticks());
}

/// What broke a module off.
fn fault(store: &mut Store<State>, error: &wasmtime::Error, limits: &Limits) -> Fault {
    let state = store.data_mut();
    if let Some(fault) = state.fault.take() {
        return fault;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::OutOfFuel { fuel: limits.fuel },
        Some(Trap::Interrupt) => Fault::DeadlineExceeded { deadline: limits.deadline },
        _ if state.is_short => Fault::OutOfMemory { bytes: limits.memory_bytes },
        _ => Fault::Trapped {
            reason: error.root_cause().to_string(),
            message: std::mem::take(&mut state.message),
        },
    }
}

impl Live {
    fn rework(&mut self, record: &Record<'_>, limits: &Limits) -> Result<Verdict, Fault> {
        self.begin(record);
        refill(&mut self.store, limits);
        let length = i32::try_from(record.data.len()).expect("a record is far below 2 GiB");
        let start = self.input.call(&mut self.store, length);
        let start = start.map_err(|error| fault(&mut self.store, &error, limits))?;
        self.write(start, record.data)?;
        let code = self.transform.call(&mut self.store, (start, length));
        let code = code.map_err(|error| fault(&mut self.store, &error, limits))?;
        let state = self.store.data_mut();
        let output = std::mem::take(&mut state.output);
        let mut ok = |data| Reworked {
            data,
            partition_keys: std::mem::take(&mut state.partition_keys),
            otf_metadata: std::mem::take(&mut state.otf_metadata),
        };
        match code {
            verdict::OK => Ok(Verdict::Ok(ok(Some(output)))),
            verdict::UNCHANGED => Ok(Verdict::Ok(ok(None))),
            verdict::DROPPED => Ok(Verdict::Dropped),
            verdict::PROCESSING_FAILED => {
                let message = std::mem::take(&mut state.message);
                Ok(Verdict::Failed(Fault::ProcessingFailed { message }))
            }
            code => Err(Fault::InvalidReturn(format!("`transform` answers {code}"))),
        }
    }

    /// Forgets the record before, and takes note of this one.
    fn begin(&mut self, record: &Record<'_>) {
        let state = self.store.data_mut();
        state.own.clear();
        for (name, value) in record.attributes {
            state.own.push(name, value);
        }
        state.arrived_ms = record.arrived_ms;
        state.output.clear();
        state.partition_keys.clear();
        state.otf_metadata.clear();
        state.metadata_bytes = 0;
        state.message.clear();
        state.is_short = false;
    }

    /// Writes a record where the module said.
    fn write(&mut self, start: i32, data: &[u8]) -> Result<(), Fault> {
        let memory = self.memory.data_mut(&mut self.store);
        let at = start.cast_unsigned() as usize;
        let Some(space) = at.checked_add(data.len()).and_then(|end| memory.get_mut(at..end)) else {
            let (at, bytes) = (start.cast_unsigned(), data.len());
            let what = format!("`input` answers {at}, where its memory has no {bytes} bytes");
            return Err(Fault::InvalidReturn(what));
        };
        space.copy_from_slice(data);
        Ok(())
    }
}
