//! Redshift, or a PostgreSQL server that stands for one.
//!
//! Owns the load of objects that lie in a bucket already into a table. Redshift fetches them
//! itself: a manifest names them, `COPY ... FROM 's3://...' MANIFEST` loads them. PostgreSQL
//! cannot, so there the same configuration becomes `COPY ... FROM STDIN`, which this process
//! feeds with the objects' rows in the form that the options describe.
//!
//! Invariants:
//! * In PostgreSQL a load lands once: its id is kept in a ledger table in the same transaction,
//!   so a repeat after a lost answer finds it there. Redshift has no such ledger: at least once.
//! * No text of the configuration becomes SQL but as an identifier, a quoted text or a plain
//!   word (injection).
//!
//! Sources: the Firehose guide, "Redshift data delivery errors"; the Redshift `COPY` reference.

mod connect;
mod error;
mod identifiers;
mod jdbc;
mod options;
mod postgres;
mod rows;
mod rules;

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_auth::Secret;
use serde_json::json;

use crate::objects::{Bucket, PutOptions, in_memory};
use crate::outbound::Outbound;
use crate::{ConfigError, Failure};

pub use jdbc::{JdbcError, JdbcUrl, TlsMode};

use connect::Session;
use identifiers::{columns, quoted_path, table_path};
use options::CopyOptions;
use rules::Rules;

/// How long one load may take (ours: COPY's are minutes).
const LOAD_MAX: Duration = Duration::from_secs(3_600);

/// What the database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redshift's own.
    Redshift,
    /// PostgreSQL's.
    PostgreSql,
}

/// How a table is loaded.
#[derive(Clone, Debug)]
pub struct RedshiftConfig {
    /// `jdbc:redshift://host:port/database`
    pub jdbc_url: String,
    /// What the database speaks.
    pub dialect: Dialect,
    /// Who loads.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The table, with its schema where that is not the user's default.
    pub table: String,
    /// Columns, separated by commas; all of them where none are given.
    pub columns: Option<String>,
    /// What stands behind `COPY` otherwise.
    pub options: Option<String>,
    /// In whose name Redshift reads the bucket.
    pub role_arn: String,
}

/// An object to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedObject {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// Objects to load together.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The same in every attempt, also after a restart.
    pub id: &'a str,
    /// Where the objects lie.
    pub bucket: &'a Bucket,
    /// The objects, in order.
    pub objects: &'a [StagedObject],
    /// The key that the manifest is put under (in Redshift's dialect).
    pub manifest_key: &'a str,
}

/// One table.
pub struct Redshift {
    url: JdbcUrl,
    user: String,
    password: Secret,
    table: Vec<String>,
    columns: Vec<String>,
    dialect: Spoken,
    outbound: Outbound,
    load_max: Duration,
}

enum Spoken {
    Redshift { options: CopyOptions, role_arn: String },
    PostgreSql(Arc<Rules>),
}

impl fmt::Debug for Redshift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = quoted_path(&self.table);
        f.debug_struct("Redshift").field("url", &self.url).field("table", &table).finish()
    }
}

impl Redshift {
    /// A table as `config` says.
    pub fn new(config: &RedshiftConfig, outbound: Outbound) -> Result<Self, ConfigError> {
        let url: JdbcUrl = config
            .jdbc_url
            .parse()
            .map_err(|error: JdbcError| ConfigError::invalid("the JDBC URL", error.to_string()))?;
        if url.tls == TlsMode::Disable {
            outbound.allow().check_scheme(false)?;
        }
        let invalid = |field| move |reason: String| ConfigError::invalid(field, reason);
        let table = table_path(&config.table).map_err(invalid("the table"))?;
        let columns = config.columns.as_deref().unwrap_or_default();
        let columns = self::columns(columns).map_err(invalid("the columns"))?;
        let options = config.options.as_deref().unwrap_or_default();
        let options = CopyOptions::parse(options).map_err(invalid("the COPY options"))?;
        let dialect = match config.dialect {
            Dialect::Redshift => Spoken::Redshift { options, role_arn: config.role_arn.clone() },
            Dialect::PostgreSql => {
                let rules = Rules::of(&options).map_err(invalid("the COPY options"))?;
                Spoken::PostgreSql(Arc::new(rules))
            }
        };
        let (user, password) = (config.user.clone(), config.password.clone());
        Ok(Self { url, user, password, table, columns, dialect, outbound, load_max: LOAD_MAX })
    }

    /// Gives a load no longer than `load_max`, instead of an hour.
    pub fn load_max(mut self, load_max: Duration) -> Self {
        self.load_max = load_max;
        self
    }

    /// Tries once to load objects. Loading the same id again changes nothing in PostgreSQL, and
    /// loads again in Redshift.
    pub async fn load(&self, load: &Load<'_>) -> Result<(), Failure> {
        let loading = async {
            match &self.dialect {
                Spoken::Redshift { options, role_arn } => self.copy(load, options, role_arn).await,
                Spoken::PostgreSql(rules) => {
                    let mut session = self.session().await?;
                    postgres::load(&mut session, &self.table, &self.columns, rules, load).await
                }
            }
        };
        tokio::time::timeout(self.load_max, loading).await.unwrap_or_else(|_| {
            let seconds = self.load_max.as_secs();
            let message = format!("the load was not over after {seconds} seconds");
            Err(Failure::retryable("Redshift.ConnectionFailed", message))
        })
    }

    async fn session(&self) -> Result<Session, Failure> {
        Session::open(&self.outbound, &self.url, &self.user, &self.password).await
    }

    async fn copy(
        &self,
        load: &Load<'_>,
        options: &CopyOptions,
        role_arn: &str,
    ) -> Result<(), Failure> {
        let manifest = manifest(load.bucket.name(), load.objects);
        let put_options = PutOptions {
            content_type: Some("application/json".to_owned()),
            ..PutOptions::default()
        };
        load.bucket.put(load.manifest_key, in_memory([manifest]), &put_options).await?;
        let source = format!("s3://{}/{}", load.bucket.name(), load.manifest_key);
        let statement = copy_statement(&self.table, &self.columns, &source, role_arn, options);
        let session = self.session().await?;
        session.execute(&statement).await
    }
}

/// A manifest of objects for `COPY`: for our own loads, and for those that are left to a person
/// to load later.
pub fn manifest(bucket: &str, objects: &[StagedObject]) -> Bytes {
    let entries: Vec<_> = objects
        .iter()
        .map(|object| json!({"url": format!("s3://{bucket}/{}", object.key), "mandatory": true}))
        .collect();
    Bytes::from(json!({ "entries": entries }).to_string())
}

fn copy_statement(
    table: &[String],
    columns: &[String],
    source: &str,
    role_arn: &str,
    options: &CopyOptions,
) -> String {
    let mut statement = format!("COPY {}", quoted_path(table));
    if !columns.is_empty() {
        let names: Vec<String> = columns.iter().map(|name| identifiers::quoted(name)).collect();
        write!(statement, " ({})", names.join(", ")).expect("a string takes what is written");
    }
    let source = options::quoted(source);
    let credentials = options::quoted(&format!("aws_iam_role={role_arn}"));
    write!(statement, " FROM {source} CREDENTIALS {credentials} MANIFEST")
        .expect("a string takes what is written");
    // Some say it themselves, and twice is an error.
    let rest = options.without("MANIFEST").to_string();
    if !rest.is_empty() {
        statement.push(' ');
        statement.push_str(&rest);
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(table: &str, columns: &str, options: &str) -> String {
        copy_statement(
            &table_path(table).unwrap(),
            &self::columns(columns).unwrap(),
            "s3://b/manifests/it's",
            "arn:aws:iam::1:role/r",
            &CopyOptions::parse(options).unwrap(),
        )
    }

    #[test]
    fn a_copy_is_made_of_quoted_parts() {
        assert_eq!(
            statement("Events", "", "json 'auto' gzip"),
            "COPY \"events\" FROM 's3://b/manifests/it''s' \
             CREDENTIALS 'aws_iam_role=arn:aws:iam::1:role/r' MANIFEST json 'auto' gzip"
        );
        assert_eq!(
            statement("public.\"My Table\"", "a, \"B\"", "MANIFEST delimiter '|'"),
            "COPY \"public\".\"My Table\" (\"a\", \"B\") FROM 's3://b/manifests/it''s' \
             CREDENTIALS 'aws_iam_role=arn:aws:iam::1:role/r' MANIFEST delimiter '|'"
        );
    }

    #[test]
    fn a_manifest_names_every_object() {
        let objects = [StagedObject { key: "a/b \"c\"".to_owned(), bytes: 1 }];
        let found: serde_json::Value =
            serde_json::from_slice(&manifest("bucket", &objects)).unwrap();
        let entry = serde_json::json!({"url": "s3://bucket/a/b \"c\"", "mandatory": true});
        assert_eq!(found, serde_json::json!({"entries": [entry]}));
    }
}
