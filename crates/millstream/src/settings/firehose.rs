//! The settings of Firehose's outside: where its destinations are, and what may be reached.

use std::path::PathBuf;

use super::values::{self, Checker, NotAChoice};

/// A service of AWS's, or one that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Files in the data directory.
    Embedded,
    /// AWS's own, for the region.
    Aws,
    /// At this URL.
    At(String),
}

/// Where deliveries may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destinations {
    /// As the mode has it: anywhere in dev mode, else to public addresses.
    Auto,
    /// To public addresses over TLS.
    Public,
    /// To private networks too, also in clear text.
    Private,
    /// To this machine too.
    Any,
}

/// What Firehose delivers to, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirehoseSettings {
    /// Where buckets are.
    pub(crate) s3: Service,
    /// Where tables' schemas are.
    pub(crate) glue: Service,
    /// Where Iceberg's REST catalog is; `None`: tables are where Glue is.
    pub(crate) iceberg_endpoint: Option<String>,
    /// Which of its warehouses.
    pub(crate) iceberg_warehouse: Option<String>,
    /// Where Lambda functions are that the outside file does not name; `None`: AWS.
    pub(crate) lambda_endpoint: Option<String>,
    /// Where deliveries may go.
    pub(crate) destinations: Destinations,
    /// Whether Redshift destinations are PostgreSQL servers.
    pub(crate) redshift_is_postgresql: bool,
    /// What stands behind ARNs, and in whose name others are spoken to.
    pub(crate) outside_file: Option<PathBuf>,
}

/// Takes Firehose's settings; `None` where one of them is wrong, which `check` remembers.
pub(super) fn check(check: &mut Checker<'_>) -> Option<FirehoseSettings> {
    let s3 = check.take("s3_endpoint", service);
    let glue = check.take("glue_endpoint", service);
    let iceberg_endpoint = check.take("iceberg_endpoint", tables_url);
    let iceberg_warehouse = check.take("iceberg_warehouse", |text| {
        Ok::<_, String>(Some(text.to_owned()).filter(|text| !text.is_empty()))
    });
    let lambda_endpoint = check.take("lambda_endpoint", optional_url);
    let destinations = check.take("firehose_destinations", destinations);
    let redshift_is_postgresql = check.take("redshift_dialect", |text| match text {
        "redshift" => Ok(false),
        "postgresql" => Ok(true),
        _ => Err(NotAChoice.to_string()),
    });
    let outside_file = check.take("outside_file", values::optional_file);
    Some(FirehoseSettings {
        s3: s3?,
        glue: glue?,
        iceberg_endpoint: iceberg_endpoint?,
        iceberg_warehouse: iceberg_warehouse?,
        lambda_endpoint: lambda_endpoint?,
        destinations: destinations?,
        redshift_is_postgresql: redshift_is_postgresql?,
        outside_file: outside_file?,
    })
}

fn service(text: &str) -> Result<Service, String> {
    match text {
        "" => Ok(Service::Embedded),
        "aws" => Ok(Service::Aws),
        _ => optional_url(text).map(|url| url.map_or(Service::Embedded, Service::At)),
    }
}

fn optional_url(text: &str) -> Result<Option<String>, String> {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    match text {
        "" => Ok(None),
        _ if is_url => Ok(Some(text.to_owned())),
        _ => Err("a URL begins with http:// or https:// and a host".to_owned()),
    }
}

fn tables_url(text: &str) -> Result<Option<String>, String> {
    if !cfg!(feature = "iceberg") && !text.is_empty() {
        return Err("this server is built without Iceberg tables: the feature `iceberg`".to_owned());
    }
    optional_url(text)
}

fn destinations(text: &str) -> Result<Destinations, String> {
    match text {
        "auto" => Ok(Destinations::Auto),
        "public" => Ok(Destinations::Public),
        "private" => Ok(Destinations::Private),
        "any" => Ok(Destinations::Any),
        _ => Err(NotAChoice.to_string()),
    }
}
