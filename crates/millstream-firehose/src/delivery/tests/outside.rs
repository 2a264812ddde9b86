//! What is outside: buckets, a destination of documents, a function, a database, a catalog.
//! All outlive the server, and do what their mood says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millstream_columnar::Schema;
use millstream_destinations::lambda::{Invocation, SourceRecord, Verdict};
use millstream_destinations::objects::{Chunks, PutOptions};
use millstream_destinations::redshift::StagedObject;
use millstream_destinations::{
    ConfigError, Delivery, Destination, Document, DocumentId, Failure, Limits,
};

use crate::delivery::naming::Origin;
use crate::delivery::outlets::{ObjectSink, Outlets, Transformer, Warehouse};
use crate::delivery::source::RecordSource;
use crate::plan::{Function, Objects, RedshiftTarget, SchemaSource, Source, Target};

/// How something outside behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Refuses everything, and says that it may pass.
    Down,
    /// Refuses everything for good.
    Refusing,
    /// Takes so many seconds.
    Slow(u64),
    /// Takes all, and then says that it failed.
    Forgetful,
    /// Takes every other document, and asks for the rest again.
    Half,
    /// Refuses every other document for good.
    HalfForGood,
    /// Takes nothing, and names documents that were not sent.
    Lying,
    /// Never answers.
    Silent,
}

pub(crate) const MAIN: &str = "main";
pub(crate) const ERRORS: &str = "errors";
pub(crate) const BACKUP: &str = "backup";

#[derive(Debug, Default)]
pub(crate) struct World {
    /// By bucket and key.
    pub(crate) objects: BTreeMap<(String, String), Vec<u8>>,
    /// Objects in the order in which they were first put.
    pub(crate) order: Vec<(String, String)>,
    /// How often each was put.
    pub(crate) puts: BTreeMap<(String, String), u64>,
    pub(crate) documents: Vec<(DocumentId, Bytes)>,
    /// Ids of the deliveries that were taken, in order.
    pub(crate) deliveries: Vec<String>,
    /// Sizes of the deliveries that were tried.
    pub(crate) delivery_sizes: Vec<usize>,
    pub(crate) invocations: Vec<Vec<SourceRecord>>,
    /// Rows in the database, and the loads that it knows.
    pub(crate) rows: Vec<Bytes>,
    pub(crate) loads: BTreeSet<String>,
    pub(crate) columns: Vec<(String, String)>,
    moods: BTreeMap<String, Mood>,
    /// How the next attempts of anything go, before moods count again.
    pub(crate) script: VecDeque<Mood>,
    pub(crate) limits: Option<Limits>,
}

/// What a function does with a record, and how often it was asked before.
pub(crate) type Rework = Arc<dyn Fn(&SourceRecord, usize) -> Verdict + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Outside {
    world: Arc<Mutex<World>>,
    pub(crate) rework: Rework,
    #[cfg(feature = "wasm")]
    pub(crate) modules: crate::delivery::Modules,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

fn failure(is_retryable: bool) -> Failure {
    let (code, message) = ("Test.Refused", "not now");
    if is_retryable { Failure::retryable(code, message) } else { Failure::permanent(code, message) }
}

impl Outside {
    pub(crate) fn new() -> Self {
        let columns = vec![("id".to_owned(), "bigint".to_owned())];
        let world = World { columns, ..World::default() };
        let rework: Rework = Arc::new(|record, _| Verdict::Ok {
            data: record.data.clone(),
            partition_keys: BTreeMap::new(),
        });
        Self {
            world: Arc::new(Mutex::new(world)),
            rework,
            #[cfg(feature = "wasm")]
            modules: crate::delivery::Modules::default(),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Has `who` (a bucket, `documents`, `function`, `database`, `catalog`) behave so from now on.
    pub(crate) fn set(&self, who: &str, mood: Mood) {
        self.world().moods.insert(who.to_owned(), mood);
    }

    fn mood(&self, who: &str) -> Mood {
        let mut world = self.world();
        let scripted = world.script.pop_front();
        scripted.or_else(|| world.moods.get(who).copied()).unwrap_or_default()
    }

    /// What happens before anything is taken.
    async fn suffer(&self, who: &str) -> Result<Mood, Failure> {
        let mood = self.mood(who);
        match mood {
            Mood::Down => Err(failure(true)),
            Mood::Refusing => Err(failure(false)),
            Mood::Slow(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(mood)
            }
            Mood::Silent => std::future::pending().await,
            Mood::Well | Mood::Forgetful | Mood::Half | Mood::HalfForGood | Mood::Lying => Ok(mood),
        }
    }

    /// All objects of a bucket, by key.
    pub(crate) fn bucket_objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let world = self.world();
        let of = world.objects.iter().filter(|((name, _), _)| name == bucket);
        of.map(|((_, key), bytes)| (key.clone(), bytes.clone())).collect()
    }
}

#[derive(Debug)]
struct FakeBucket {
    name: String,
    outside: Outside,
}

impl ObjectSink for FakeBucket {
    fn put<'a>(
        &'a self,
        key: &'a str,
        chunks: Chunks,
        _: &'a PutOptions,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mood = self.outside.suffer(&self.name).await?;
            let mut bytes = Vec::new();
            for chunk in chunks {
                let chunk = chunk.map_err(|error| Failure::retryable("S3", error.to_string()))?;
                bytes.extend_from_slice(&chunk);
                // Uploads take a while: the world turns meanwhile.
                tokio::task::yield_now().await;
            }
            let place = (self.name.clone(), key.to_owned());
            let mut world = self.outside.world();
            if world.objects.insert(place.clone(), bytes).is_none() {
                world.order.push(place.clone());
            }
            *world.puts.entry(place).or_default() += 1;
            if mood == Mood::Forgetful { Err(failure(true)) } else { Ok(()) }
        })
    }
}

#[derive(Debug)]
struct FakeDestination(Outside);

impl Destination for FakeDestination {
    fn limits(&self) -> Limits {
        self.0.world().limits.unwrap_or(Limits::NONE)
    }

    fn details(&self, document: &Document) -> Vec<(&'static str, String)> {
        vec![("esDocumentId", document.id.to_string())]
    }

    fn attempt<'a>(
        &'a self,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, millstream_destinations::Outcome> {
        Box::pin(async move {
            self.0.world().delivery_sizes.push(delivery.documents.len());
            let mood = self.0.suffer("documents").await?;
            if mood == Mood::Lying {
                return Ok(vec![(delivery.documents.len() + 7, failure(false))]);
            }
            let mut world = self.0.world();
            let mut refused = Vec::new();
            for (index, document) in delivery.documents.iter().enumerate() {
                match mood {
                    Mood::Half if index % 2 == 1 => refused.push((index, failure(true))),
                    Mood::HalfForGood if index % 2 == 1 => refused.push((index, failure(false))),
                    _ => world.documents.push((document.id, document.data.clone())),
                }
            }
            world.deliveries.push(delivery.id.clone());
            if mood == Mood::Forgetful { Err(failure(true)) } else { Ok(refused) }
        })
    }
}

#[derive(Debug)]
struct FakeFunction(Outside);

impl Transformer for FakeFunction {
    fn invoke<'a>(
        &'a self,
        invocation: &'a Invocation<'a>,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(async move {
            let before = {
                let mut world = self.0.world();
                world.invocations.push(invocation.records.to_vec());
                world.invocations.len() - 1
            };
            let mood = self.0.suffer("function").await?;
            let rework = |record| (self.0.rework)(record, before);
            let verdicts = invocation.records.iter().map(rework);
            match mood {
                Mood::Forgetful => Err(failure(true)),
                Mood::Lying => Ok(verdicts.skip(1).collect()),
                _ => Ok(verdicts.collect()),
            }
        })
    }
}

#[derive(Debug)]
struct FakeDatabase {
    staging: String,
    outside: Outside,
}

impl Warehouse for FakeDatabase {
    fn load<'a>(
        &'a self,
        id: &'a str,
        objects: &'a [StagedObject],
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mood = self.outside.suffer("database").await?;
            let mut world = self.outside.world();
            if world.loads.insert(id.to_owned()) {
                for object in objects {
                    let place = (self.staging.clone(), object.key.clone());
                    let bytes = Bytes::from(world.objects[&place].clone());
                    assert_eq!(bytes.len() as u64, object.bytes);
                    world.rows.extend(super::history::lines(&bytes));
                }
            }
            if mood == Mood::Forgetful { Err(failure(true)) } else { Ok(()) }
        })
    }
}

impl Outlets for Outside {
    fn bucket(&self, objects: &Objects) -> Result<Arc<dyn ObjectSink>, ConfigError> {
        Ok(Arc::new(FakeBucket { name: objects.bucket.clone(), outside: self.clone() }))
    }

    fn destination(
        &self,
        _: &Target,
        _: &str,
        _: &Origin,
    ) -> Result<Arc<dyn Destination>, ConfigError> {
        Ok(Arc::new(FakeDestination(self.clone())))
    }

    fn warehouse(&self, target: &RedshiftTarget) -> Result<Arc<dyn Warehouse>, ConfigError> {
        let staging = target.staging.bucket.clone();
        Ok(Arc::new(FakeDatabase { staging, outside: self.clone() }))
    }

    fn function(&self, function: &Function) -> Result<Arc<dyn Transformer>, ConfigError> {
        #[cfg(feature = "wasm")]
        if let Function::Wasm { module, .. } = function {
            return Ok(self.modules.function(module).unwrap());
        }
        assert!(matches!(function, Function::Lambda { .. }), "a filter is not called");
        Ok(Arc::new(FakeFunction(self.clone())))
    }

    fn schema<'a>(&'a self, _: &'a SchemaSource) -> BoxFuture<'a, Result<Schema, Failure>> {
        Box::pin(async move {
            self.suffer("catalog").await?;
            Ok(Schema::parse(&self.world().columns).unwrap())
        })
    }

    fn source(&self, _: &Source) -> Result<Arc<dyn RecordSource>, ConfigError> {
        Err(ConfigError::Invalid { field: "the source", reason: "not in this world".to_owned() })
    }
}
