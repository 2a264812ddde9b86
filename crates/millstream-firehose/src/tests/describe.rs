//! What a description shows: what was given, defaults, and nothing else.

use serde_json::{Value, json};

use super::world::*;

/// Creates a delivery stream with `destination` and returns its destination's description.
async fn described(destination: Value) -> Value {
    let behind = crate::World {
        search_domains: [(DOMAIN.to_owned(), "https://search".to_owned())].into(),
        kafka_clusters: [(CLUSTER.to_owned(), crate::settings::KafkaCluster::open("broker:9092"))]
            .into(),
        ..crate::World::default()
    };
    let world = World::with(crate::Settings { world: behind, ..settings() }).await;
    world.create("orders", destination).await.unwrap();
    world.destination("orders").await
}

const DOMAIN: &str = "arn:aws:es:us-east-1:123456789012:domain/logs";
const CLUSTER: &str = "arn:aws:kafka:us-east-1:123456789012:cluster/c/uuid";

/// A bucket as it is described where nothing is said of it.
fn plain_bucket() -> Value {
    json!({
        "RoleARN": ROLE,
        "BucketARN": BUCKET,
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": false},
    })
}

#[tokio::test(start_paused = true)]
async fn an_s3_destination_is_described_with_its_defaults_in_both_shapes() {
    let extended = json!({"S3BackupMode": "Disabled", "CustomTimeZone": "UTC"});
    let expected = json!({
        "DestinationId": "destinationId-000000000001",
        "S3DestinationDescription": plain_bucket(),
        "ExtendedS3DestinationDescription": with(plain_bucket(), extended),
    });
    assert_eq!(described(s3()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_extended_s3_destination_is_described_in_both_shapes() {
    // As the service answered where a template said just this (recorded), but for the time zone,
    // which came later.
    let processors = json!([{
        "Type": "MetadataExtraction",
        "Parameters": [
            {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{s3Prefix: .tableName}"},
            {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
        ],
    }]);
    let given = json!({
        "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 64},
        "CompressionFormat": "UNCOMPRESSED",
        "DataFormatConversionConfiguration": {"Enabled": false},
        "DynamicPartitioningConfiguration": {"Enabled": true},
        "ErrorOutputPrefix": "firehoseTest-errors/!{firehose:error-output-type}/",
        "Prefix": "firehoseTest/!{partitionKeyFromQuery:s3Prefix}",
        "ProcessingConfiguration": {"Enabled": true, "Processors": processors},
    });
    let shown = described(extended(given.clone())).await;
    let both = with(
        plain_bucket(),
        json!({
            "BufferingHints": given["BufferingHints"],
            "ErrorOutputPrefix": given["ErrorOutputPrefix"],
            "Prefix": given["Prefix"],
        }),
    );
    assert_eq!(shown["S3DestinationDescription"], both);
    let partitioning = json!({"Enabled": true, "RetryOptions": {"DurationInSeconds": 300}});
    let extended = with(
        both,
        json!({
            "CustomTimeZone": "UTC",
            "DataFormatConversionConfiguration": {"Enabled": false},
            "DynamicPartitioningConfiguration": partitioning,
            "ProcessingConfiguration": given["ProcessingConfiguration"],
            "S3BackupMode": "Disabled",
        }),
    );
    assert_eq!(shown["ExtendedS3DestinationDescription"], extended);
}

#[tokio::test(start_paused = true)]
async fn columnar_objects_are_buffered_larger_and_their_schema_is_placed() {
    let conversion = json!({
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    });
    let shown = described(extended(json!({"DataFormatConversionConfiguration": conversion}))).await;
    let shown = &shown["ExtendedS3DestinationDescription"];
    let large = json!({"SizeInMBs": 128, "IntervalInSeconds": 300});
    assert_eq!(shown["BufferingHints"], large);
    let conversion = &shown["DataFormatConversionConfiguration"];
    assert_eq!(conversion["Enabled"], true);
    let schema = json!({
        "RoleARN": ROLE,
        "DatabaseName": "d",
        "TableName": "t",
        "CatalogId": ACCOUNT,
        "Region": REGION,
        "VersionId": "LATEST",
    });
    assert_eq!(conversion["SchemaConfiguration"], schema);
    // Of the SerDes what is not given is not shown (observed: infrastructure tools rely on it).
    let serde = &conversion["OutputFormatConfiguration"]["Serializer"];
    assert_eq!(*serde, json!({"ParquetSerDe": {}}));
}

#[tokio::test(start_paused = true)]
async fn a_lambda_processor_is_described_with_its_defaults() {
    let function = "arn:aws:lambda:us-east-1:123456789012:function:clean";
    let processing = |given: Value| {
        let processors = json!([{"Type": "Lambda", "Parameters": given}]);
        json!({"ProcessingConfiguration": {"Enabled": true, "Processors": processors}})
    };
    let parameter =
        |name: &str, value: &str| json!({"ParameterName": name, "ParameterValue": value});
    let given = json!([parameter("LambdaArn", function), parameter("NumberOfRetries", "5")]);
    let shown = described(extended(processing(given))).await;
    let shown = &shown["ExtendedS3DestinationDescription"]["ProcessingConfiguration"];
    let all = json!([
        parameter("LambdaArn", function),
        parameter("NumberOfRetries", "5"),
        parameter("RoleArn", ROLE),
        parameter("BufferSizeInMBs", "1"),
        parameter("BufferIntervalInSeconds", "60"),
    ]);
    assert_eq!(shown["Processors"][0]["Parameters"], all);
}

/// Each other kind: the least of it, under its name, and what is shown beside what is given.
fn least() -> [(&'static str, Value, Value); 7] {
    let common = |retry: u32, backup: &str| {
        json!({
            "CloudWatchLoggingOptions": {"Enabled": false},
            "RetryOptions": {"DurationInSeconds": retry},
            "S3BackupMode": backup,
            "S3DestinationDescription": plain_bucket(),
        })
    };
    let buffering =
        |seconds: u32| json!({"BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": seconds}});
    let search = with(common(300, "FailedDocumentsOnly"), buffering(300));
    let rotating = with(search.clone(), json!({"IndexRotationPeriod": "OneDay"}));
    [
        (
            "Redshift",
            json!({
                "RoleARN": ROLE,
                "ClusterJDBCURL": "jdbc:redshift://c.redshift.amazonaws.com:5439/dev",
                "CopyCommand": {"DataTableName": "t"},
                "Username": "user",
                "Password": "password",
            }),
            common(3_600, "Disabled"),
        ),
        (
            "Elasticsearch",
            json!({"RoleARN": ROLE, "DomainARN": DOMAIN, "IndexName": "i"}),
            rotating.clone(),
        ),
        (
            "Amazonopensearchservice",
            json!({"RoleARN": ROLE, "ClusterEndpoint": "https://search", "IndexName": "i"}),
            rotating,
        ),
        (
            "AmazonOpenSearchServerless",
            json!({"RoleARN": ROLE, "CollectionEndpoint": "https://search", "IndexName": "i"}),
            search,
        ),
        (
            "Splunk",
            json!({"HECEndpoint": "https://s", "HECEndpointType": "Raw", "HECToken": "t"}),
            with(
                with(common(3_600, "FailedEventsOnly"), buffering(60)),
                json!({"HECAcknowledgmentTimeoutInSeconds": 180}),
            ),
        ),
        (
            "HttpEndpoint",
            json!({"EndpointConfiguration": {"Url": "https://h", "Name": "h"}}),
            with(common(300, "FailedDataOnly"), buffering(300)),
        ),
        ("Iceberg", json!({"RoleARN": ROLE, "CatalogConfiguration": {}}), {
            let more = json!({"AppendOnly": false});
            with(with(common(300, "FailedDataOnly"), buffering(300)), more)
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_other_destination_is_described_with_its_defaults() {
    for (name, given, shown) in least() {
        if name == "Iceberg" && !cfg!(feature = "iceberg") {
            continue;
        }
        let configuration = with(given.clone(), json!({"S3Configuration": bucket()}));
        let input = json!({format!("{name}DestinationConfiguration"): configuration});
        let described = described(input).await;
        let expected = with(with(given, json!({"Password": null})), shown);
        assert_eq!(described[format!("{name}DestinationDescription")], expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_vpc_is_described_with_an_id() {
    let vpc = json!({"SubnetIds": ["subnet"], "RoleARN": ROLE, "SecurityGroupIds": ["group"]});
    let given = json!({
        "RoleARN": ROLE,
        "ClusterEndpoint": "https://search",
        "IndexName": "i",
        "VpcConfiguration": vpc,
        "S3Configuration": bucket(),
    });
    let shown = described(json!({"AmazonopensearchserviceDestinationConfiguration": given})).await;
    let shown = &shown["AmazonopensearchserviceDestinationDescription"];
    let id = json!({"VpcId": "vpc-00000000000000000"});
    assert_eq!(shown["VpcConfigurationDescription"], with(vpc, id));
}

#[cfg(feature = "kafka")]
#[tokio::test(start_paused = true)]
async fn sources_are_described_as_they_were_given() {
    let behind = crate::World {
        kafka_clusters: [(CLUSTER.to_owned(), crate::settings::KafkaCluster::open("broker:9092"))]
            .into(),
        ..crate::World::default()
    };
    let world = World::with(crate::Settings { world: behind, ..settings() }).await;
    let kafka = json!({
        "MSKClusterARN": CLUSTER,
        "TopicName": "clicks",
        "AuthenticationConfiguration": {"RoleARN": ROLE, "Connectivity": "PRIVATE"},
        "ReadFromTimestamp": 1_600_000_000.5,
    });
    let msk = json!({"DeliveryStreamType": "MSKAsSource", "MSKSourceConfiguration": kafka});
    world.create("kafka", with(s3(), msk)).await.unwrap();
    let described = world.describe("kafka").await.unwrap();
    assert_eq!(described["DeliveryStreamType"], "MSKAsSource");
    let mut source = described["Source"]["MSKSourceDescription"].clone();
    let started = source.as_object_mut().unwrap().remove("DeliveryStartTimestamp");
    assert_eq!(started.unwrap().as_f64(), Some(1_700_000_000.0));
    assert_eq!(source, kafka);
    let hint = json!({"DirectPutSourceConfiguration": {"ThroughputHintInMBs": 7}});
    world.create("hinted", with(s3(), hint)).await.unwrap();
    let described = world.describe("hinted").await.unwrap();
    let source = json!({"DirectPutSourceDescription": {"ThroughputHintInMBs": 7}});
    assert_eq!(described["Source"], source);
    world.create("plain", s3()).await.unwrap();
    assert_eq!(world.describe("plain").await.unwrap().get("Source"), None);
}
