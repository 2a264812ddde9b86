//! A configuration as the API describes it.
//!
//! Owns the names that differ between a configuration and its description, the defaults that a
//! description shows, and what it never shows: passwords and access keys. The token of Splunk is
//! shown, as by the real service (observed: infrastructure tools read it back).
//!
//! Source: defaults are documented with each shape's members; those marked below were seen in
//! answers of the service.

use millstream_core::{AccountId, Region};
use serde_json::{Map, Value, json};

use super::document::{DestinationKind, Document};

/// The id of the only VPC there is: a network of the server's own, which needs none.
const VPC_ID: &str = "vpc-00000000000000000";

/// Where a delivery stream is: what some defaults are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) region: &'a Region,
}

/// The members of a `DestinationDescription`, but for its id, in wire form.
pub(crate) fn describe(document: &Document, place: Place<'_>) -> Map<String, Value> {
    let body = &document.body;
    let mut members = Map::new();
    let mut show = |name: &str, description: Map<String, Value>| {
        members.insert(format!("{name}DestinationDescription"), description.into());
    };
    match document.kind {
        DestinationKind::ExtendedS3 => {
            show("ExtendedS3", extended(body, place));
            // Whoever knows only the API's first shape finds it too (observed).
            let mut first = bucket(body);
            let buffering = body.get("BufferingHints").cloned();
            let buffering = buffering.unwrap_or_else(|| buffering_default(body));
            first.insert("BufferingHints".to_owned(), buffering);
            show("S3", first);
        }
        DestinationKind::Redshift => show("Redshift", redshift(body)),
        DestinationKind::Elasticsearch => show("Elasticsearch", search(body, true)),
        DestinationKind::OpenSearch => show("Amazonopensearchservice", search(body, true)),
        DestinationKind::OpenSearchServerless => {
            show("AmazonOpenSearchServerless", search(body, false));
        }
        DestinationKind::Splunk => show("Splunk", splunk(body)),
        DestinationKind::HttpEndpoint => show("HttpEndpoint", http(body)),
        DestinationKind::Iceberg => show("Iceberg", iceberg(body)),
    }
    members
}

fn hints(mebibytes: u32, seconds: u32) -> Value {
    json!({"SizeInMBs": mebibytes, "IntervalInSeconds": seconds})
}

/// Sets a member where it is not there.
fn fill(body: &mut Map<String, Value>, name: &str, default: Value) {
    body.entry(name).or_insert(default);
}

/// Gives a member another name, and shows its value through `show`.
fn rename(
    body: &mut Map<String, Value>,
    from: &str,
    to: &str,
    show: impl FnOnce(&Map<String, Value>) -> Map<String, Value>,
) {
    if let Some(Value::Object(value)) = body.remove(from) {
        body.insert(to.to_owned(), show(&value).into());
    }
}

/// Sets what every kind of destination has defaults for.
fn fill_common(body: &mut Map<String, Value>, retry_seconds: u32, backup: &str) {
    fill(body, "CloudWatchLoggingOptions", json!({"Enabled": false}));
    fill(body, "RetryOptions", json!({"DurationInSeconds": retry_seconds}));
    fill(body, "S3BackupMode", backup.into());
    rename(body, "S3Configuration", "S3DestinationDescription", bucket);
}

/// The description of a bucket, of the configuration of one or of more.
fn bucket(body: &Map<String, Value>) -> Map<String, Value> {
    const MEMBERS: [&str; 8] = [
        "RoleARN",
        "BucketARN",
        "Prefix",
        "ErrorOutputPrefix",
        "BufferingHints",
        "CompressionFormat",
        "EncryptionConfiguration",
        "CloudWatchLoggingOptions",
    ];
    let given = MEMBERS.into_iter().filter_map(|name| Some((name, body.get(name)?)));
    let mut shown: Map<String, Value> =
        given.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    fill_bucket(&mut shown, hints(5, 300));
    shown
}

fn fill_bucket(body: &mut Map<String, Value>, buffering: Value) {
    fill(body, "BufferingHints", buffering);
    fill(body, "CompressionFormat", "UNCOMPRESSED".into());
    fill(body, "EncryptionConfiguration", json!({"NoEncryptionConfig": "NoEncryption"}));
    fill(body, "CloudWatchLoggingOptions", json!({"Enabled": false}));
}

/// Columnar objects, and many partitions, want larger buffers by default.
fn buffering_default(body: &Map<String, Value>) -> Value {
    let enables = |name: &str, default: bool| {
        let given = body.get(name).map(|value| value["Enabled"].as_bool().unwrap_or(default));
        given.unwrap_or(false)
    };
    let is_large = enables("DataFormatConversionConfiguration", true)
        || enables("DynamicPartitioningConfiguration", false);
    if is_large { hints(128, 300) } else { hints(5, 300) }
}

fn extended(body: &Map<String, Value>, place: Place<'_>) -> Map<String, Value> {
    let mut shown = body.clone();
    fill_bucket(&mut shown, buffering_default(body));
    fill(&mut shown, "S3BackupMode", "Disabled".into());
    fill(&mut shown, "CustomTimeZone", "UTC".into());
    rename(&mut shown, "S3BackupConfiguration", "S3BackupDescription", bucket);
    if let Some(partitioning) = object(&mut shown, "DynamicPartitioningConfiguration")
        && partitioning.get("Enabled") == Some(&Value::Bool(true))
    {
        fill(partitioning, "RetryOptions", json!({"DurationInSeconds": 300}));
    }
    if let Some(conversion) = object(&mut shown, "DataFormatConversionConfiguration") {
        fill(conversion, "Enabled", true.into());
        if let Some(schema) = object(conversion, "SchemaConfiguration") {
            fill(schema, "CatalogId", place.account.as_str().into());
            fill(schema, "Region", place.region.as_str().into());
            fill(schema, "VersionId", "LATEST".into());
        }
    }
    fill_processing(&mut shown, "1");
    shown
}

fn object<'a>(body: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    body.get_mut(name)?.as_object_mut()
}

fn redshift(body: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = body.clone();
    shown.remove("Password");
    fill_common(&mut shown, 3_600, "Disabled");
    rename(&mut shown, "S3BackupConfiguration", "S3BackupDescription", bucket);
    fill_processing(&mut shown, "1");
    shown
}

fn search(body: &Map<String, Value>, rotates: bool) -> Map<String, Value> {
    let mut shown = body.clone();
    fill(&mut shown, "BufferingHints", hints(5, 300));
    if rotates {
        fill(&mut shown, "IndexRotationPeriod", "OneDay".into());
    }
    fill_common(&mut shown, 300, "FailedDocumentsOnly");
    rename(&mut shown, "VpcConfiguration", "VpcConfigurationDescription", |given| {
        let mut shown = given.clone();
        shown.insert("VpcId".to_owned(), VPC_ID.into());
        shown
    });
    fill_processing(&mut shown, "1");
    shown
}

fn splunk(body: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = body.clone();
    if let Some(given) = object(&mut shown, "BufferingHints") {
        fill(given, "SizeInMBs", 5.into());
        fill(given, "IntervalInSeconds", 60.into());
    }
    fill(&mut shown, "BufferingHints", hints(5, 60));
    fill(&mut shown, "HECAcknowledgmentTimeoutInSeconds", 180.into());
    fill_common(&mut shown, 3_600, "FailedEventsOnly");
    fill_processing(&mut shown, "0.25");
    shown
}

fn http(body: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = body.clone();
    if let Some(endpoint) = object(&mut shown, "EndpointConfiguration") {
        endpoint.remove("AccessKey");
    }
    fill(&mut shown, "BufferingHints", hints(5, 300));
    fill_common(&mut shown, 300, "FailedDataOnly");
    fill_processing(&mut shown, "1");
    shown
}

fn iceberg(body: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = body.clone();
    fill(&mut shown, "BufferingHints", hints(5, 300));
    fill(&mut shown, "AppendOnly", false.into());
    fill_common(&mut shown, 300, "FailedDataOnly");
    fill_processing(&mut shown, "1");
    shown
}

/// Shows a Lambda processor's defaults as parameters (observed). `mebibytes` is its buffer's size.
fn fill_processing(body: &mut Map<String, Value>, mebibytes: &str) {
    let role = body.get("RoleARN").cloned();
    let Some(processing) = object(body, "ProcessingConfiguration") else { return };
    let Some(Value::Array(processors)) = processing.get_mut("Processors") else { return };
    for processor in processors.iter_mut().filter_map(Value::as_object_mut) {
        if processor.get("Type").and_then(Value::as_str) != Some("Lambda") {
            continue;
        }
        let parameters = processor.entry("Parameters").or_insert_with(|| json!([]));
        let Value::Array(parameters) = parameters else { continue };
        let defaults = [
            ("NumberOfRetries", Some("3".into())),
            ("RoleArn", role.clone()),
            ("BufferSizeInMBs", Some(mebibytes.into())),
            ("BufferIntervalInSeconds", Some("60".into())),
        ];
        for (name, value) in defaults {
            let is_given = parameters.iter().any(|parameter| parameter["ParameterName"] == name);
            if let (false, Some(value)) = (is_given, value) {
                parameters.push(json!({"ParameterName": name, "ParameterValue": value}));
            }
        }
    }
}
