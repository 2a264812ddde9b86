//! Updates: what they change, keep, and may not change.

use serde_json::{Value, json};

use super::world::*;

const ID: &str = "destinationId-000000000001";

async fn update(world: &World, version: &str, update: Value) -> Result<Value, Told> {
    let input = json!({
        "DeliveryStreamName": "orders",
        "CurrentDeliveryStreamVersionId": version,
        "DestinationId": ID,
    });
    world.call("UpdateDestination", with(input, update)).await
}

fn parquet() -> Value {
    serializer(&json!({"ParquetSerDe": {"Compression": "GZIP"}}))
}

fn serializer(serializer: &Value) -> Value {
    json!({
        "Enabled": true,
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"HiveJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": serializer},
    })
}

fn large() -> Value {
    json!({"SizeInMBs": 64, "IntervalInSeconds": 60})
}

fn http(more: Value) -> Value {
    let endpoint = json!({"Url": "https://h", "Name": "h", "AccessKey": "key"});
    let base = json!({"EndpointConfiguration": endpoint, "S3Configuration": bucket()});
    json!({"HttpEndpointDestinationConfiguration": with(base, more)})
}

fn redshift() -> Value {
    json!({
        "RoleARN": ROLE,
        "ClusterJDBCURL": "jdbc:redshift://c.redshift.amazonaws.com:5439/dev",
        "CopyCommand": {"DataTableName": "t", "CopyOptions": "json 'auto'"},
        "Username": "user",
        "Password": "password",
        "S3Configuration": bucket(),
    })
}

/// A row: what is created, what the update says, and where the description then says what. Null
/// stands for a member that is not shown.
type Row = (&'static str, Value, Value, &'static [(&'static str, fn() -> Value)]);

fn rows() -> Vec<Row> {
    vec![
        (
            "members that are not given stay",
            extended(json!({"Prefix": "a/", "CompressionFormat": "GZIP"})),
            json!({"ExtendedS3DestinationUpdate": {"Prefix": "b/"}}),
            &[
                ("/ExtendedS3DestinationDescription/Prefix", || json!("b/")),
                ("/ExtendedS3DestinationDescription/CompressionFormat", || json!("GZIP")),
                ("/ExtendedS3DestinationDescription/BucketARN", || json!(BUCKET)),
                ("/S3DestinationDescription/Prefix", || json!("b/")),
            ],
        ),
        (
            "an encryption is replaced, not merged",
            extended(json!({
                "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
            })),
            json!({"ExtendedS3DestinationUpdate": {"EncryptionConfiguration": {
                "KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k"},
            }}}),
            &[(
                "/ExtendedS3DestinationDescription/EncryptionConfiguration/NoEncryptionConfig",
                || Value::Null,
            )],
        ),
        (
            "so is a serializer",
            extended(json!({
                "BufferingHints": large(),
                "DataFormatConversionConfiguration": parquet(),
            })),
            json!({"ExtendedS3DestinationUpdate": {
                "DataFormatConversionConfiguration": serializer(&json!({"OrcSerDe": {}})),
            }}),
            &[(
                "/ExtendedS3DestinationDescription/DataFormatConversionConfiguration\
                 /OutputFormatConfiguration/Serializer",
                || json!({"OrcSerDe": {}}),
            )],
        ),
        (
            "conversion is switched off whole",
            extended(json!({
                "BufferingHints": large(),
                "DataFormatConversionConfiguration": parquet(),
            })),
            json!({"ExtendedS3DestinationUpdate": {
                "DataFormatConversionConfiguration": {"Enabled": false},
            }}),
            &[(
                "/ExtendedS3DestinationDescription/DataFormatConversionConfiguration",
                || json!({"Enabled": false}),
            )],
        ),
        (
            "a list of processors is replaced",
            extended(json!({"ProcessingConfiguration": {
                "Enabled": true, "Processors": [{"Type": "AppendDelimiterToRecord"}],
            }})),
            json!({"ExtendedS3DestinationUpdate": {
                "ProcessingConfiguration": {"Enabled": false, "Processors": []},
            }}),
            &[(
                "/ExtendedS3DestinationDescription/ProcessingConfiguration",
                || json!({"Enabled": false, "Processors": []}),
            )],
        ),
        (
            "an empty prefix takes the place of one",
            extended(json!({"Prefix": "a/", "ErrorOutputPrefix": "b/"})),
            json!({"ExtendedS3DestinationUpdate": {"Prefix": "", "ErrorOutputPrefix": ""}}),
            &[
                ("/ExtendedS3DestinationDescription/Prefix", || json!("")),
                ("/ExtendedS3DestinationDescription/ErrorOutputPrefix", || json!("")),
            ],
        ),
        (
            "backup is enabled with its bucket, which is then merged into",
            extended(json!({
                "S3BackupMode": "Enabled",
                "S3BackupConfiguration": with(bucket(), json!({"Prefix": "all/"})),
            })),
            json!({"ExtendedS3DestinationUpdate": {
                "S3BackupUpdate": {"CompressionFormat": "GZIP"},
            }}),
            &[
                ("/ExtendedS3DestinationDescription/S3BackupMode", || json!("Enabled")),
                ("/ExtendedS3DestinationDescription/S3BackupDescription/Prefix", || json!("all/")),
                ("/ExtendedS3DestinationDescription/S3BackupDescription/CompressionFormat", || {
                    json!("GZIP")
                }),
            ],
        ),
        (
            "the older shape updates the extended one, which stays",
            extended(json!({"FileExtension": ".log"})),
            json!({"S3DestinationUpdate": {"Prefix": "b/"}}),
            &[
                ("/ExtendedS3DestinationDescription/Prefix", || json!("b/")),
                ("/ExtendedS3DestinationDescription/FileExtension", || json!(".log")),
            ],
        ),
        (
            "the older shape becomes the extended one, and keeps what it had",
            json!({"S3DestinationConfiguration": with(bucket(), json!({"Prefix": "a/"}))}),
            json!({"ExtendedS3DestinationUpdate": {"FileExtension": ".log"}}),
            &[
                ("/ExtendedS3DestinationDescription/Prefix", || json!("a/")),
                ("/ExtendedS3DestinationDescription/FileExtension", || json!(".log")),
            ],
        ),
        (
            "a backup bucket is merged into, member by member",
            http(json!({"S3Configuration": with(bucket(), json!({"Prefix": "a/"}))})),
            json!({"HttpEndpointDestinationUpdate": {
                "S3Update": {"CompressionFormat": "GZIP"},
                "RetryOptions": {"DurationInSeconds": 9},
            }}),
            &[
                ("/HttpEndpointDestinationDescription/S3DestinationDescription/Prefix", || {
                    json!("a/")
                }),
                (
                    "/HttpEndpointDestinationDescription/S3DestinationDescription/CompressionFormat",
                    || json!("GZIP"),
                ),
                ("/HttpEndpointDestinationDescription/RetryOptions/DurationInSeconds", || json!(9)),
                ("/HttpEndpointDestinationDescription/EndpointConfiguration/Name", || json!("h")),
            ],
        ),
        (
            "another kind replaces all",
            s3(),
            json!({"RedshiftDestinationUpdate": with(
                with(redshift(), json!({"S3Configuration": null})),
                json!({"S3Update": bucket()}),
            )}),
            &[
                ("/S3DestinationDescription", || Value::Null),
                ("/RedshiftDestinationDescription/Username", || json!("user")),
                ("/RedshiftDestinationDescription/S3DestinationDescription/BucketARN", || {
                    json!(BUCKET)
                }),
            ],
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_what_it_gives_and_keeps_the_rest() {
    for (row, created, given, expected) in rows() {
        let world = World::new().await;
        world.create("orders", created).await.unwrap();
        update(&world, "1", given).await.unwrap_or_else(|told| panic!("{row}: {told:?}"));
        let described = world.describe("orders").await.unwrap();
        assert_eq!(described["VersionId"], "2", "{row}");
        assert_eq!(described["LastUpdateTimestamp"].as_f64(), Some(1_700_000_000.2), "{row}");
        let destination = &described["Destinations"][0];
        assert_eq!(destination["DestinationId"], ID, "{row}");
        for (pointer, value) in expected {
            let shown = destination.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(*shown, value(), "{row}: {pointer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_an_update_leaves_out_stays() {
    let world = World::new().await;
    world.create("orders", http(json!({}))).await.unwrap();
    let moved = json!({"EndpointConfiguration": {"Url": "https://moved"}});
    update(&world, "1", json!({"HttpEndpointDestinationUpdate": moved})).await.unwrap();
    let orders = world.firehose.orders();
    let crate::plan::Target::Http(target) = &orders[0].plan.target else { panic!("HTTP") };
    assert_eq!(target.url, "https://moved");
    assert_eq!(target.access_key.as_ref().unwrap().as_str(), "key");
    assert_eq!(orders[0].plan.version, 2);
    let cleared = json!({"EndpointConfiguration": {"Url": "https://moved", "AccessKey": ""}});
    update(&world, "2", json!({"HttpEndpointDestinationUpdate": cleared})).await.unwrap();
    let orders = world.firehose.orders();
    let crate::plan::Target::Http(target) = &orders[0].plan.target else { panic!("HTTP") };
    assert!(target.access_key.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_update_of_another_version_or_destination_is_refused() {
    let world = World::new().await;
    world.create("orders", s3()).await.unwrap();
    let given = json!({"S3DestinationUpdate": {"Prefix": "b/"}});
    let text = "Cannot update firehose: orders since the current version id: 1 and specified \
                version id: 2 do not match";
    let told = update(&world, "2", given.clone()).await;
    refused(told, "ConcurrentModificationException", text);
    let other = with(given.clone(), json!({"DestinationId": "destinationId-000000000002"}));
    let text = "Destination Id destinationId-000000000002 not found";
    refused(update(&world, "1", other).await, "InvalidArgumentException", text);
    // Of two at once, one comes first and the other is too late.
    let (first, second) =
        tokio::join!(update(&world, "1", given.clone()), update(&world, "1", given));
    let told = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].code, "ConcurrentModificationException");
}

#[tokio::test(start_paused = true)]
async fn what_was_fixed_at_creation_is_not_updated() {
    let partitioned = json!({
        "Prefix": "!{partitionKeyFromLambda:k}/",
        "ErrorOutputPrefix": "e/",
        "DynamicPartitioningConfiguration": {"Enabled": true},
        "ProcessingConfiguration": {"Enabled": true, "Processors": [{
            "Type": "Lambda",
            "Parameters": [{
                "ParameterName": "LambdaArn",
                "ParameterValue": "arn:aws:lambda:us-east-1:123456789012:function:f",
            }],
        }]},
    });
    let enabled = json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": bucket()});
    let splunk = json!({"SplunkDestinationConfiguration": {
        "HECEndpoint": "https://s", "HECEndpointType": "Raw", "HECToken": "t",
        "S3BackupMode": "AllEvents", "S3Configuration": bucket(),
    }});
    let search = json!({"ElasticsearchDestinationConfiguration": {
        "RoleARN": ROLE, "ClusterEndpoint": "https://e", "IndexName": "i",
        "S3Configuration": bucket(),
    }});
    let kept = "Disabling S3 backup is not currently supported.";
    let fixed = |kind: &str| {
        format!("Changing the destination type to or from {kind} is not supported at this time.")
    };
    let late = "Dynamic Partitioning can be enabled only when a delivery stream is created.";
    let off = "Dynamic Partitioning cannot be disabled once it is enabled.";
    let switch = |enabled: bool| {
        json!({"ExtendedS3DestinationUpdate": {
            "DynamicPartitioningConfiguration": {"Enabled": enabled},
        }})
    };
    let anew = with(bucket(), partitioned.clone());
    let opensearch = json!({"AmazonopensearchserviceDestinationUpdate": {"IndexName": "j"}});
    for (created, given, text) in [
        (extended(json!({})), switch(true), late.to_owned()),
        (splunk.clone(), json!({"ExtendedS3DestinationUpdate": anew}), late.to_owned()),
        (extended(partitioned), switch(false), off.to_owned()),
        (
            extended(enabled),
            json!({"ExtendedS3DestinationUpdate": {"S3BackupMode": "Disabled"}}),
            kept.to_owned(),
        ),
        (
            splunk,
            json!({"SplunkDestinationUpdate": {"S3BackupMode": "FailedEventsOnly"}}),
            kept.to_owned(),
        ),
        (
            http(json!({"S3BackupMode": "AllData"})),
            json!({"HttpEndpointDestinationUpdate": {"S3BackupMode": "FailedDataOnly"}}),
            kept.to_owned(),
        ),
        (search.clone(), json!({"S3DestinationUpdate": bucket()}), fixed("Elasticsearch")),
        (search, opensearch.clone(), fixed("Elasticsearch")),
        (s3(), opensearch, fixed("Amazonopensearchservice")),
        (http(json!({})), json!({"S3DestinationUpdate": bucket()}), fixed("HttpEndpoint")),
    ] {
        let world = World::new().await;
        world.create("orders", created.clone()).await.unwrap();
        let before = world.describe("orders").await.unwrap();
        let told = update(&world, "1", given).await;
        refused(told, "InvalidArgumentException", &text);
        assert_eq!(world.describe("orders").await.unwrap(), before, "{created}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_update_results_in_is_checked_whole() {
    let world = World::new().await;
    let given = json!({"CompressionFormat": "GZIP", "BufferingHints": large()});
    world.create("orders", extended(given)).await.unwrap();
    let conversion = json!({"ExtendedS3DestinationUpdate": {
        "DataFormatConversionConfiguration": parquet(),
    }});
    let text = "CompressionFormat must be UNCOMPRESSED when data format conversion is enabled.";
    refused(update(&world, "1", conversion).await, "InvalidArgumentException", text);
    // A backup bucket that is not there cannot be merged into: it has to be given whole.
    let backup = json!({"ExtendedS3DestinationUpdate": {
        "S3BackupMode": "Enabled", "S3BackupUpdate": {"Prefix": "a/"},
    }});
    let told = update(&world, "1", backup).await.expect_err("refused");
    assert_eq!(told.code, "ValidationException");
    assert!(told.text.contains("'s3BackupConfiguration.roleARN'"), "{}", told.text);
    // So has a destination of another kind.
    let kind = json!({"RedshiftDestinationUpdate": {"Username": "user"}});
    let told = update(&world, "1", kind).await.expect_err("refused");
    assert_eq!(told.code, "ValidationException");
    let told = update(&world, "1", json!({})).await;
    let text = "Exactly one destination configuration is supported for a Firehose";
    refused(told, "InvalidArgumentException", text);
}

#[tokio::test(start_paused = true)]
async fn only_an_active_delivery_stream_is_updated() {
    let world = World::new().await;
    let input = with(s3(), json!({"DeliveryStreamName": "orders"}));
    world.call("CreateDeliveryStream", input).await.unwrap();
    let told = update(&world, "1", json!({"S3DestinationUpdate": {"Prefix": "b/"}})).await;
    assert_eq!(told.expect_err("refused").code, "ResourceInUseException");
}
