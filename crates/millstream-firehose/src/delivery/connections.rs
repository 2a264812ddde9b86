//! The world as it is: the engine's ports, joined to the real destinations.
//!
//! Owns the way from a plan's nouns to a destination's configuration, and which settings of the
//! server stand behind the names in it. Nothing here waits or decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use millstream_auth::Secret as AuthSecret;
use millstream_auth::sigv4::SigningCredentials;
use millstream_columnar::Schema;
use millstream_core::{Clock, Rand};
use millstream_destinations::glue::{Catalog, CatalogError, TableVersion};
use millstream_destinations::http_endpoint::{HttpEndpoint, HttpEndpointConfig};
use millstream_destinations::lambda::{Function as Lambda, FunctionEndpoint, Invocation, Verdict};
use millstream_destinations::objects::{Bucket, Buckets, Chunks, PutOptions};
use millstream_destinations::opensearch::{self, Search, SearchAuth, SearchConfig};
use millstream_destinations::outbound::Outbound;
use millstream_destinations::redshift::{Dialect, Load, Redshift, RedshiftConfig, StagedObject};
use millstream_destinations::splunk::{EventKind, Splunk, SplunkConfig};
use millstream_destinations::{ConfigError, Destination, Failure};

use super::naming::{self, Origin};
use super::outlets::{ObjectSink, Outlets, Transformer, Warehouse};
#[cfg(feature = "kafka")]
use super::source::KafkaSource;
use super::source::RecordSource;
use crate::plan::{
    Function, HttpTarget, Objects, RedshiftTarget, Rotation, SchemaSource, SearchTarget, Secret,
    Source, SplunkTarget, Target,
};
use crate::settings::FunctionSetting;

/// Where Lambda functions are that have no URL of their own.
#[derive(Clone, Debug)]
pub struct LambdaSettings {
    /// Of the Lambda API; AWS's own for the region where none is given.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// In whose name; unsigned where none are given.
    pub credentials: Option<SigningCredentials>,
}

/// What deliveries are made over.
#[derive(Clone)]
pub struct Connections {
    /// Where buckets are.
    pub buckets: Buckets,
    /// Where tables' schemas are; none: conversion fails, and says so.
    pub catalog: Option<Catalog>,
    /// Connections to where a configuration says, and the guard before them.
    pub outbound: Outbound,
    /// Connections to where the server's own settings say: functions.
    pub operator: Outbound,
    /// Where functions are that have no setting.
    pub lambda: LambdaSettings,
    /// Functions with a setting of their own, by ARN.
    pub functions: BTreeMap<String, FunctionSetting>,
    /// The WebAssembly modules that functions' settings name.
    #[cfg(feature = "wasm")]
    pub modules: super::Modules,
    /// Where Iceberg tables are.
    #[cfg(feature = "iceberg")]
    pub tables: millstream_destinations::iceberg::Tables,
    /// In whose name OpenSearch is spoken to, with the region; else as its URL says.
    pub search: Option<(SigningCredentials, String)>,
    /// Whether Redshift destinations are PostgreSQL servers.
    pub redshift_is_postgresql: bool,
    /// For signatures.
    pub clock: Arc<dyn Clock>,
    /// For channels.
    pub rand: Arc<dyn Rand>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}

fn secret(secret: &Secret) -> AuthSecret {
    AuthSecret::new(secret.as_str().to_owned())
}

fn invalid(field: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { field, reason: reason.into() }
}

impl ObjectSink for Bucket {
    fn put<'a>(
        &'a self,
        key: &'a str,
        chunks: Chunks,
        options: &'a PutOptions,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(Self::put(self, key, chunks, options))
    }
}

impl Transformer for Lambda {
    fn invoke<'a>(
        &'a self,
        invocation: &'a Invocation<'a>,
    ) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(Self::invoke(self, invocation))
    }
}

/// A database, and the bucket that it loads from.
#[derive(Debug)]
struct Loading {
    redshift: Redshift,
    bucket: Bucket,
}

impl Warehouse for Loading {
    fn load<'a>(
        &'a self,
        id: &'a str,
        objects: &'a [StagedObject],
        manifest_key: &'a str,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            self.redshift.load(&Load { id, bucket: &self.bucket, objects, manifest_key }).await
        })
    }
}

impl Connections {
    fn http(&self, target: &HttpTarget, arn: &str) -> Result<Arc<dyn Destination>, ConfigError> {
        let config = HttpEndpointConfig {
            url: target.url.clone(),
            access_key: target.access_key.as_ref().map(secret),
            gzip: target.gzip,
            common_attributes: target.attributes.clone(),
            source_arn: arn.to_owned(),
        };
        let (outbound, clock) = (self.outbound.clone(), Arc::clone(&self.clock));
        Ok(Arc::new(HttpEndpoint::new(&config, outbound, clock)?))
    }

    fn splunk(&self, target: &SplunkTarget) -> Result<Arc<dyn Destination>, ConfigError> {
        let config = SplunkConfig {
            endpoint: target.endpoint.clone(),
            kind: if target.raw { EventKind::Raw } else { EventKind::Event },
            token: secret(&target.token),
            acknowledgement_timeout: target.ack_timeout,
        };
        Ok(Arc::new(Splunk::new(&config, self.outbound.clone(), &*self.rand)?))
    }

    fn search(
        &self,
        target: &SearchTarget,
        id_prefix: String,
    ) -> Result<Arc<dyn Destination>, ConfigError> {
        let auth = match &self.search {
            None => SearchAuth::None,
            Some((credentials, region)) => {
                SearchAuth::SigV4 { credentials: credentials.clone(), region: region.clone() }
            }
        };
        let config = SearchConfig {
            endpoint: target.endpoint.clone(),
            index: target.index.clone(),
            type_name: target.type_name.clone(),
            rotation: match target.rotation {
                Rotation::None => opensearch::Rotation::None,
                Rotation::Hour => opensearch::Rotation::Hour,
                Rotation::Day => opensearch::Rotation::Day,
                Rotation::Week => opensearch::Rotation::Week,
                Rotation::Month => opensearch::Rotation::Month,
            },
            id_prefix: target.with_ids.then_some(id_prefix),
            serverless: target.serverless,
            auth,
        };
        Ok(Arc::new(Search::new(&config, self.outbound.clone(), Arc::clone(&self.clock))?))
    }

    async fn columns(&self, source: &SchemaSource) -> Result<Schema, Failure> {
        let Some(catalog) = &self.catalog else {
            let message = "no catalog of tables is set up on this server";
            return Err(Failure::permanent("DataFormatConversion.EntityNotFound", message));
        };
        let table = TableVersion {
            catalog: source.catalog.clone(),
            database: source.database.clone(),
            table: source.table.clone(),
            version: source.version.clone(),
        };
        let columns = catalog.columns(&table).await.map_err(|error| catalog_failure(&error))?;
        Schema::parse(&columns.columns).map_err(|error| {
            Failure::permanent("DataFormatConversion.InvalidSchema", error.to_string())
        })
    }
}

/// The codes are the service's (documented: "Data format conversion errors").
fn catalog_failure(error: &CatalogError) -> Failure {
    let message = error.to_string();
    match error {
        CatalogError::NotFound(_) => {
            Failure::permanent("DataFormatConversion.EntityNotFound", message)
        }
        CatalogError::AccessDenied(_) => {
            Failure::retryable("DataFormatConversion.AccessDenied", message)
        }
        CatalogError::Unusable(_) => {
            Failure::permanent("DataFormatConversion.InvalidSchema", message)
        }
        CatalogError::Unavailable(_) => {
            Failure::retryable("DataFormatConversion.ConnectionFailed", message)
        }
    }
}

impl Outlets for Connections {
    fn bucket(&self, objects: &Objects) -> Result<Arc<dyn ObjectSink>, ConfigError> {
        Ok(Arc::new(self.buckets.bucket(&objects.bucket)?))
    }

    fn destination(
        &self,
        target: &Target,
        arn: &str,
        origin: &Origin,
    ) -> Result<Arc<dyn Destination>, ConfigError> {
        match target {
            Target::Http(http) => self.http(http, arn),
            Target::Splunk(splunk) => self.splunk(splunk),
            Target::Search(search) => self.search(search, naming::stream_id(arn, origin)),
            #[cfg(feature = "iceberg")]
            Target::Iceberg(target) => {
                Ok(super::tables::destination(target, &self.tables, naming::stream_id(arn, origin)))
            }
            #[cfg(not(feature = "iceberg"))]
            Target::Iceberg(_) => {
                Err(invalid("the destination", "this server is built without Iceberg tables"))
            }
            Target::Objects(_) | Target::Redshift(_) => {
                Err(invalid("the destination", "it takes objects, not documents"))
            }
        }
    }

    fn warehouse(&self, target: &RedshiftTarget) -> Result<Arc<dyn Warehouse>, ConfigError> {
        let dialect =
            if self.redshift_is_postgresql { Dialect::PostgreSql } else { Dialect::Redshift };
        let config = RedshiftConfig {
            jdbc_url: target.jdbc_url.clone(),
            dialect,
            user: target.user.clone(),
            password: secret(&target.password),
            table: target.table.clone(),
            columns: target.columns.clone(),
            options: target.options.clone(),
            role_arn: target.role_arn.clone(),
        };
        let bucket = self.buckets.bucket(&target.staging.bucket)?;
        Ok(Arc::new(Loading { redshift: Redshift::new(&config, self.outbound.clone())?, bucket }))
    }

    fn function(&self, function: &Function) -> Result<Arc<dyn Transformer>, ConfigError> {
        let arn = match function {
            Function::Lambda { arn } => arn,
            Function::Jq { .. } => {
                return Err(invalid("the function", "a filter runs in this process"));
            }
            #[cfg(feature = "wasm")]
            Function::Wasm { module, .. } => {
                let function = self.modules.function(module);
                return function.ok_or_else(|| {
                    invalid("the function", format!("its module {module} was not read"))
                });
            }
            #[cfg(not(feature = "wasm"))]
            Function::Wasm { .. } => {
                return Err(invalid("the function", "this server is built without WebAssembly"));
            }
        };
        let endpoint = match self.functions.get(arn) {
            Some(FunctionSetting::Url(url)) => FunctionEndpoint::Url(url.clone()),
            Some(FunctionSetting::Jq(_) | FunctionSetting::Wasm(_)) | None => {
                let LambdaSettings { endpoint, region, credentials } = self.lambda.clone();
                let function = arn.clone();
                FunctionEndpoint::Api { endpoint, region, function, credentials }
            }
        };
        let (operator, clock) = (self.operator.clone(), Arc::clone(&self.clock));
        Ok(Arc::new(Lambda::new(&endpoint, operator, clock)?))
    }

    fn schema<'a>(&'a self, source: &'a SchemaSource) -> BoxFuture<'a, Result<Schema, Failure>> {
        Box::pin(self.columns(source))
    }

    fn source(&self, source: &Source) -> Result<Arc<dyn RecordSource>, ConfigError> {
        match source {
            #[cfg(feature = "kafka")]
            Source::Kafka { cluster, topic, from } => {
                let brokers = crate::kafka::brokers(&cluster.bootstrap);
                let brokers = brokers.map_err(|reason| invalid("the cluster's brokers", reason))?;
                let access = crate::kafka::Access::new(cluster, Arc::clone(&self.rand));
                let access = access
                    .map_err(|error| invalid("the cluster's authorities", error.to_string()))?;
                let topic = crate::kafka::Topic::new(topic.clone(), brokers, access);
                Ok(Arc::new(KafkaSource::new(topic, *from, Arc::clone(&self.clock))))
            }
            #[cfg(not(feature = "kafka"))]
            Source::Kafka { .. } => {
                Err(invalid("the source", "this server is built without Kafka sources"))
            }
            Source::DirectPut | Source::KinesisStream { .. } => {
                Err(invalid("the source", "the delivery stream has no log of its own"))
            }
        }
    }
}
