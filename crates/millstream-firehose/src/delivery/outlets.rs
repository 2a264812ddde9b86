//! What the engine needs of the outside, as ports.
//!
//! Owns the traits that stand between the courier and the world, so that a test can put anything
//! in their place. `connections` implements them with the real destinations.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use millstream_columnar::Schema;
use millstream_destinations::lambda::{Invocation, Verdict};
use millstream_destinations::objects::{Chunks, PutOptions};
use millstream_destinations::redshift::StagedObject;
use millstream_destinations::{ConfigError, Destination, Failure};

use super::naming::Origin;
use super::source::RecordSource;
use crate::plan::{Function, Objects, RedshiftTarget, SchemaSource, Source, Target};

/// A bucket to put objects into.
pub(crate) trait ObjectSink: Send + Sync + fmt::Debug {
    /// Puts an object whole, instead of any that has its key.
    fn put<'a>(
        &'a self,
        key: &'a str,
        chunks: Chunks,
        options: &'a PutOptions,
    ) -> BoxFuture<'a, Result<(), Failure>>;
}

/// A database that loads objects from the staging bucket.
pub(crate) trait Warehouse: Send + Sync + fmt::Debug {
    /// Tries once to load the objects. `id` is the same in every attempt, also after a restart;
    /// `manifest_key` is where a manifest may be put.
    fn load<'a>(
        &'a self,
        id: &'a str,
        objects: &'a [StagedObject],
        manifest_key: &'a str,
    ) -> BoxFuture<'a, Result<(), Failure>>;
}

/// A function that reworks records.
pub(crate) trait Transformer: Send + Sync + fmt::Debug {
    /// Invokes it once: a verdict for each record, in order.
    fn invoke<'a>(
        &'a self,
        invocation: &'a Invocation<'a>,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>>;
}

/// Makes the ends of a delivery.
pub(crate) trait Outlets: Send + Sync + fmt::Debug {
    /// The bucket that `objects` name.
    fn bucket(&self, objects: &Objects) -> Result<Arc<dyn ObjectSink>, ConfigError>;

    /// The destination of documents that `target` names, which must be one.
    fn destination(
        &self,
        target: &Target,
        arn: &str,
        origin: &Origin,
    ) -> Result<Arc<dyn Destination>, ConfigError>;

    /// The database that `target` names.
    fn warehouse(&self, target: &RedshiftTarget) -> Result<Arc<dyn Warehouse>, ConfigError>;

    /// The function that is called out of this process.
    fn function(&self, function: &Function) -> Result<Arc<dyn Transformer>, ConfigError>;

    /// The columns of a table, asked for anew each time.
    fn schema<'a>(&'a self, source: &'a SchemaSource) -> BoxFuture<'a, Result<Schema, Failure>>;

    /// A source that is neither direct puts nor a Data Stream.
    fn source(&self, source: &Source) -> Result<Arc<dyn RecordSource>, ConfigError>;
}
