//! WebAssembly modules that stand for functions, run in this process.
//!
//! Owns where they run: never on the runtime's own threads, so many at once as there are
//! processors, and each batch a slice of time after another, so that a module that is slow does
//! not keep others from theirs. What one record may use is the business of `millstream_wasm`.
//!
//! A module is read once, when the server starts: what a record becomes must not change with a
//! file in the middle of a batch. A new one is taken up at the next start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_destinations::Failure;
use millstream_destinations::lambda::{Invocation, SourceRecord, Verdict};
use millstream_wasm::{
    Batch, Engine, Limits, Module, ModuleError, Record, Reworked, Verdict as Outcome, Worker,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::outlets::Transformer;

/// How long a batch is worked on before others have their turn, if there are any.
const SLICE: Duration = Duration::from_millis(100);

/// Modules, by what the settings call them.
#[derive(Clone, Debug)]
pub struct Modules {
    engine: Option<Engine>,
    by_name: BTreeMap<String, Module>,
    places: Arc<Semaphore>,
}

impl Default for Modules {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            engine: None,
            by_name: BTreeMap::new(),
            places: Arc::new(Semaphore::new(processors)),
        }
    }
}

impl Modules {
    /// Compiles and judges a module, which takes up to seconds. `name` is what a
    /// [`FunctionSetting`](crate::FunctionSetting) has for it.
    pub fn add(&mut self, name: &str, module: &[u8]) -> Result<(), ModuleError> {
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        let engine = match &self.engine {
            Some(engine) => engine,
            None => self.engine.insert(Engine::new(Limits::default())?),
        };
        let module = Module::compile(engine, module)?;
        self.by_name.insert(name.to_owned(), module);
        Ok(())
    }

    /// The function that a module is.
    pub(super) fn function(&self, name: &str) -> Option<Arc<dyn Transformer>> {
        let module = self.by_name.get(name)?.clone();
        Some(Arc::new(ModuleFunction { module, places: Arc::clone(&self.places) }))
    }
}

#[derive(Debug)]
struct ModuleFunction {
    module: Module,
    places: Arc<Semaphore>,
}

impl Transformer for ModuleFunction {
    fn invoke<'a>(
        &'a self,
        invocation: &'a Invocation<'a>,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(async move {
            let batch = Batch {
                invocation_id: invocation.id,
                delivery_stream_arn: invocation.delivery_stream_arn,
                source_stream_arn: invocation.source_stream_arn,
                region: invocation.region,
            };
            let mut work = Work {
                worker: Worker::new(&self.module, &batch),
                records: invocation.records.to_vec(),
                verdicts: Vec::with_capacity(invocation.records.len()),
            };
            while work.verdicts.len() < work.records.len() {
                let place = Arc::clone(&self.places).acquire_owned().await;
                let slice = tokio::task::spawn_blocking(move || {
                    // Held here, so that a place is taken as long as someone works, even for a
                    // batch that nobody waits for any more.
                    let _place = place;
                    work.go_on();
                    work
                });
                let lost = |_| Failure::retryable("InternalError", "the module's thread is lost");
                work = slice.await.map_err(lost)?;
            }
            Ok(work.verdicts)
        })
    }
}

/// A batch, and how far it is.
struct Work {
    worker: Worker,
    records: Vec<SourceRecord>,
    verdicts: Vec<Verdict>,
}

impl Work {
    /// Works for a slice of time, one record at least.
    fn go_on(&mut self) {
        let end = Instant::now() + SLICE;
        while let Some(record) = self.records.get(self.verdicts.len()) {
            self.verdicts.push(verdict(&mut self.worker, record));
            if Instant::now() >= end {
                return;
            }
        }
    }
}

fn verdict(worker: &mut Worker, source: &SourceRecord) -> Verdict {
    let subsequence_number;
    let mut attributes = vec![("recordId", source.id.as_str())];
    if let Some(stream) = &source.stream {
        subsequence_number = stream.subsequence_number.to_string();
        attributes.extend([
            ("shardId", stream.shard_id.as_str()),
            ("partitionKey", &stream.partition_key),
            ("sequenceNumber", &stream.sequence_number),
            ("subsequenceNumber", &subsequence_number),
        ]);
    }
    let record =
        Record { data: &source.data, arrived_ms: source.arrived.ms(), attributes: &attributes };
    match worker.transform(&record) {
        Outcome::Ok(Reworked { data, mut partition_keys, otf_metadata }) => {
            // As of a Lambda function's answer: both say where the record goes.
            partition_keys.extend(otf_metadata);
            let data = data.map_or_else(|| source.data.clone(), Bytes::from);
            Verdict::Ok { data, partition_keys }
        }
        Outcome::Dropped => Verdict::Dropped,
        Outcome::Failed(fault) => {
            Verdict::Failed(Failure::permanent(fault.code(), fault.to_string()))
        }
    }
}
