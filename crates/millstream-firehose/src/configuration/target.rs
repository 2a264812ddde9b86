//! Destinations other than buckets.
//!
//! Owns what each of them needs beside its backup bucket: endpoints, credentials, retries. A
//! secret is given in the configuration, or by the ARN of one that the server's settings hold,
//! which then counts (documented: SecretsManagerConfiguration).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::bucket::{BucketRules, retry};
use super::invalid::Invalid;
use super::node::Node;
use crate::plan::{
    HttpTarget, IcebergTable, IcebergTarget, Objects, RedshiftTarget, Rotation, SearchTarget,
    Secret, SplunkTarget,
};
use crate::settings::World;

/// How long a document is tried again by default (documented for OpenSearch; observed else).
const RETRY_SECONDS: u64 = 300;
/// The same for Redshift (documented) and Splunk (observed).
const RETRY_SECONDS_LONG: u64 = 3_600;
/// How long Splunk may take to acknowledge by default (documented).
const ACK_SECONDS: u64 = 180;

/// What Redshift copies from: no expressions, no compression that it cannot read.
pub(super) const STAGING: BucketRules =
    BucketRules { prefix: millstream_formats::prefix::Rules::Redshift, ..BucketRules::PLAIN };

fn secret(text: &str) -> Secret {
    Arc::new(Zeroizing::new(text.to_owned()))
}

/// The members `names` of the secret that `node` names, all or an error; `None` where it names
/// none, or has that switched off.
fn managed(
    node: Node<'_>,
    names: &'static [&'static str],
    world: &World,
) -> Result<Option<Vec<Secret>>, Invalid> {
    let configuration = node.child("SecretsManagerConfiguration");
    let enabled = configuration.filter(|inner| inner.truth("Enabled") == Some(true));
    let Some(configuration) = enabled else { return Ok(None) };
    let arn = configuration
        .text("SecretARN")
        .ok_or(Invalid::Missing("SecretsManagerConfiguration.SecretARN"))?;
    let held = world.secrets.get(arn).map(|held| serde_json::from_str::<Value>(held.expose()));
    let held = held.and_then(Result::ok);
    let members = names.iter().map(|name| {
        let text = held.as_ref().and_then(|held| held.get(name)?.as_str());
        text.map(secret).ok_or_else(|| Invalid::UnknownSecret(arn.to_owned(), name))
    });
    members.collect::<Result<_, _>>().map(Some)
}

/// A URL that may be reached.
fn url(text: &str, member: &'static str, world: &World) -> Result<String, Invalid> {
    if text.starts_with("http://") {
        if !world.allows_plain_http {
            return Err(Invalid::PlainHttp(member));
        }
    } else if !text.starts_with("https://") {
        return Err(Invalid::NotAUrl(member));
    }
    let authority = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let is_url = !host.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if is_url { Ok(text.to_owned()) } else { Err(Invalid::NotAUrl(member)) }
}

/// An HTTP endpoint.
pub(super) fn http(node: Node<'_>, world: &World) -> Result<HttpTarget, Invalid> {
    let missing = Invalid::Missing("EndpointConfiguration.Url");
    let endpoint = node.child("EndpointConfiguration").ok_or(missing.clone())?;
    let given = endpoint.filled("AccessKey").map(secret);
    let managed = managed(node, &["api_key"], world)?;
    let request = node.child("RequestConfiguration");
    let attribute = |node: Node<'_>| {
        let text = |name| node.text(name).unwrap_or_default().to_owned();
        (text("AttributeName"), text("AttributeValue"))
    };
    Ok(HttpTarget {
        url: url(endpoint.text("Url").ok_or(missing)?, "Url", world)?,
        name: endpoint.text("Name").map(str::to_owned),
        access_key: managed.and_then(|all| all.into_iter().next()).or(given),
        gzip: request.is_some_and(|request| request.text("ContentEncoding") == Some("GZIP")),
        attributes: request
            .map(|request| request.children("CommonAttributes").map(attribute).collect())
            .unwrap_or_default(),
        retry: retry(node, RETRY_SECONDS),
    })
}

/// An OpenSearch or Elasticsearch domain or cluster.
pub(super) fn search(node: Node<'_>, world: &World) -> Result<SearchTarget, Invalid> {
    let endpoint = match (node.text("DomainARN"), node.text("ClusterEndpoint")) {
        (Some(arn), None) => {
            let known = world.search_domains.get(arn);
            known.cloned().ok_or_else(|| Invalid::UnknownDomain(arn.to_owned()))?
        }
        (None, Some(endpoint)) => url(endpoint, "ClusterEndpoint", world)?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Invalid::NotOneOf("DomainARN", "ClusterEndpoint"));
        }
    };
    let ids = node.child("DocumentIdOptions");
    let id_format = ids.and_then(|ids| ids.text("DefaultDocumentIdFormat"));
    Ok(SearchTarget {
        endpoint,
        index: node.text("IndexName").ok_or(Invalid::Missing("IndexName"))?.to_owned(),
        type_name: node.filled("TypeName").map(str::to_owned),
        rotation: match node.text("IndexRotationPeriod") {
            Some("NoRotation") => Rotation::None,
            Some("OneHour") => Rotation::Hour,
            Some("OneWeek") => Rotation::Week,
            Some("OneMonth") => Rotation::Month,
            Some(_) | None => Rotation::Day,
        },
        with_ids: id_format != Some("NO_DOCUMENT_ID"),
        serverless: false,
        retry: retry(node, RETRY_SECONDS),
    })
}

/// An OpenSearch Serverless collection.
pub(super) fn serverless(node: Node<'_>, world: &World) -> Result<SearchTarget, Invalid> {
    let endpoint = node.text("CollectionEndpoint").ok_or(Invalid::Missing("CollectionEndpoint"))?;
    Ok(SearchTarget {
        endpoint: url(endpoint, "CollectionEndpoint", world)?,
        index: node.text("IndexName").ok_or(Invalid::Missing("IndexName"))?.to_owned(),
        type_name: None,
        rotation: Rotation::None,
        with_ids: true,
        serverless: true,
        retry: retry(node, RETRY_SECONDS),
    })
}

/// A Splunk event collector.
pub(super) fn splunk(node: Node<'_>, world: &World) -> Result<SplunkTarget, Invalid> {
    let endpoint = node.text("HECEndpoint").ok_or(Invalid::Missing("HECEndpoint"))?;
    let given = node.filled("HECToken").map(secret);
    let managed = managed(node, &["hec_token"], world)?.and_then(|all| all.into_iter().next());
    let ack_seconds = node.integer("HECAcknowledgmentTimeoutInSeconds").unwrap_or(ACK_SECONDS);
    Ok(SplunkTarget {
        endpoint: url(endpoint, "HECEndpoint", world)?,
        raw: node.text("HECEndpointType") != Some("Event"),
        token: managed.or(given).ok_or(Invalid::Missing("HECToken"))?,
        ack_timeout: Duration::from_secs(ack_seconds),
        retry: retry(node, RETRY_SECONDS_LONG),
    })
}

/// A Redshift cluster that copies from `staging`.
pub(super) fn redshift(
    node: Node<'_>,
    staging: Objects,
    world: &World,
) -> Result<RedshiftTarget, Invalid> {
    let jdbc_url = node.text("ClusterJDBCURL").ok_or(Invalid::Missing("ClusterJDBCURL"))?;
    let host = jdbc_url.split_once("://").and_then(|(_, rest)| rest.split(['/', ':']).next());
    let is_redshift = |host: &str| {
        let mut labels = host.split('.');
        labels.any(|label| label == "redshift" || label == "redshift-serverless")
    };
    if !world.redshift_is_postgresql && !host.is_some_and(is_redshift) {
        return Err(Invalid::NotRedshift);
    }
    let command = node.child("CopyCommand").ok_or(Invalid::Missing("CopyCommand"))?;
    let table = command.text("DataTableName").ok_or(Invalid::Missing("DataTableName"))?;
    let managed = managed(node, &["username", "password"], world)?;
    let (user, password) = if let Some([user, password]) = managed.as_deref() {
        (user.to_string(), password.clone())
    } else {
        let user = node.filled("Username").ok_or(Invalid::Missing("Username"))?;
        let password = node.filled("Password").ok_or(Invalid::Missing("Password"))?;
        (user.to_owned(), secret(password))
    };
    Ok(RedshiftTarget {
        jdbc_url: jdbc_url.to_owned(),
        user,
        password,
        table: table.to_owned(),
        columns: command.filled("DataTableColumns").map(str::to_owned),
        options: command.filled("CopyOptions").map(str::to_owned),
        role_arn: node.text("RoleARN").unwrap_or_default().to_owned(),
        staging,
        retry: retry(node, RETRY_SECONDS_LONG),
    })
}

/// Tables of an Iceberg catalog.
pub(super) fn iceberg(node: Node<'_>) -> Result<IcebergTarget, Invalid> {
    if !cfg!(feature = "iceberg") {
        return Err(Invalid::Unsupported("An Iceberg destination"));
    }
    let catalog =
        node.child("CatalogConfiguration").ok_or(Invalid::Missing("CatalogConfiguration"))?;
    for name in ["SchemaEvolutionConfiguration", "TableCreationConfiguration"] {
        let is_wanted = node.child(name).and_then(|inner| inner.truth("Enabled"));
        if is_wanted == Some(true) {
            return Err(Invalid::Unsupported(name));
        }
    }
    let table = |node: Node<'_>| IcebergTable {
        database: node.text("DestinationDatabaseName").unwrap_or_default().to_owned(),
        table: node.text("DestinationTableName").unwrap_or_default().to_owned(),
        unique_keys: node.texts("UniqueKeys"),
        error_prefix: node.filled("S3ErrorOutputPrefix").map(str::to_owned),
    };
    Ok(IcebergTarget {
        catalog_arn: catalog.text("CatalogARN").map(str::to_owned),
        warehouse: catalog.text("WarehouseLocation").map(str::to_owned),
        tables: node.children("DestinationTableConfigurationList").map(table).collect(),
        retry: retry(node, RETRY_SECONDS),
    })
}
