//! What the model cannot say of a configuration: each rule, as a row.

use serde_json::{Value, json};

use super::world::*;

const PREFACE: &str = "Ths supplied prefix(es) do not satisfy the following constraint: ";
const LAMBDA: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";

/// Creates with `input`, and returns what was told where it was refused.
async fn create(input: Value) -> Result<Value, Told> {
    World::new().await.create("orders", input).await
}

async fn check(rows: Vec<(Value, String)>) {
    for (input, text) in rows {
        let told = create(input.clone()).await.expect_err(&format!("refused: {input}"));
        assert_eq!(told.code, "InvalidArgumentException", "{input}: {}", told.text);
        assert_eq!(told.text, text, "{input}");
    }
}

async fn check_taken(rows: Vec<Value>) {
    for input in rows {
        let created = create(input.clone()).await;
        created.unwrap_or_else(|told| panic!("{input}: {told:?}"));
    }
}

fn row(input: Value, text: impl Into<String>) -> (Value, String) {
    (input, text.into())
}

fn hints(mebibytes: u32, seconds: u32) -> Value {
    json!({"SizeInMBs": mebibytes, "IntervalInSeconds": seconds})
}

fn kinesis(more: Value) -> Value {
    let base = json!({
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": STREAM_ARN, "RoleARN": ROLE},
    });
    with(with(s3(), base), more)
}

#[tokio::test(start_paused = true)]
async fn a_delivery_stream_has_one_destination_and_one_source() {
    let one = "Exactly one destination configuration is supported for a Firehose";
    let snowflake = json!({
        "AccountUrl": "https://account.snowflakecomputing.com",
        "Database": "d", "Schema": "s", "Table": "t",
        "RoleARN": ROLE, "S3Configuration": bucket(),
    });
    let snowflake = json!({"SnowflakeDestinationConfiguration": snowflake});
    let msk = json!({
        "MSKClusterARN": "arn:aws:kafka:us-east-1:123456789012:cluster/c/uuid",
        "TopicName": "t",
        "AuthenticationConfiguration": {"RoleARN": ROLE, "Connectivity": "PUBLIC"},
    });
    let stream = |arn: &str| json!({"KinesisStreamSourceConfiguration": {"KinesisStreamARN": arn, "RoleARN": ROLE}});
    let abroad = STREAM_ARN.replace("us-east-1", "eu-west-1");
    check(vec![
        row(json!({}), one),
        row(with(s3(), extended(json!({}))), one),
        row(with(s3(), snowflake.clone()), one),
        row(snowflake, "A Snowflake destination is not supported by this server."),
        row(
            with(s3(), json!({"DeliveryStreamType": "DatabaseAsSource"})),
            "DatabaseAsSource is not supported by this server.",
        ),
        row(
            with(s3(), stream(STREAM_ARN)),
            "KinesisSourceStreamConfig is only applicable for KinesisStreamAsSource stream type",
        ),
        row(
            with(s3(), json!({"MSKSourceConfiguration": msk})),
            "MSKSourceConfiguration is only applicable for MSKAsSource stream type",
        ),
        row(
            kinesis(json!({"DirectPutSourceConfiguration": {"ThroughputHintInMBs": 1}})),
            "DirectPutSourceConfiguration is only applicable for DirectPut stream type",
        ),
        row(
            kinesis(json!({"KinesisStreamSourceConfiguration": null})),
            "KinesisStreamSourceConfiguration must be given for KinesisStreamAsSource stream type.",
        ),
        row(
            kinesis(stream(&abroad)),
            format!("{abroad} is not an ARN of a stream in region us-east-1."),
        ),
        row(
            with(s3(), json!({"DeliveryStreamType": "MSKAsSource", "MSKSourceConfiguration": msk})),
            if cfg!(feature = "kafka") {
                "No brokers are known for the cluster \
                 arn:aws:kafka:us-east-1:123456789012:cluster/c/uuid: they are named in the \
                 server's settings."
            } else {
                "MSKAsSource is not supported by this server."
            },
        ),
    ])
    .await;
    check_taken(vec![kinesis(json!({}))]).await;
}

#[tokio::test(start_paused = true)]
async fn buckets_are_configured_by_their_rules() {
    let half = "Both SizeInMBs and IntervalInSeconds must be given in BufferingHints, or neither.";
    let s3 = |more: Value| json!({"S3DestinationConfiguration": with(bucket(), more)});
    let key = json!({"AWSKMSKeyARN": "arn:aws:kms:us-east-1:123456789012:key/k"});
    let encryption = "EncryptionConfiguration must have exactly one of NoEncryptionConfig and \
         KMSEncryptionConfig.";
    let log = "LogGroupName and LogStreamName must be given when CloudWatch logging is enabled.";
    check(vec![
        row(s3(json!({"BufferingHints": {"SizeInMBs": 1}})), half),
        row(s3(json!({"BufferingHints": {"IntervalInSeconds": 60}})), half),
        row(
            s3(json!({"BucketARN": "arn:aws:s3:::.."})),
            "arn:aws:s3:::.. is not an ARN of a bucket.",
        ),
        row(s3(json!({"EncryptionConfiguration": {}})), encryption),
        row(
            s3(json!({"EncryptionConfiguration": {
                "NoEncryptionConfig": "NoEncryption", "KMSEncryptionConfig": key,
            }})),
            encryption,
        ),
        row(s3(json!({"CloudWatchLoggingOptions": {"Enabled": true}})), log),
        row(
            s3(json!({"CloudWatchLoggingOptions": {
                "Enabled": true, "LogGroupName": "g", "LogStreamName": "",
            }})),
            log,
        ),
        row(
            extended(json!({"CustomTimeZone": "Mars/Olympus"})),
            "CustomTimeZone: Unknown time zone: Mars/Olympus",
        ),
        row(
            extended(json!({"S3BackupMode": "Enabled"})),
            "S3BackupConfiguration must be given when S3BackupMode is Enabled.",
        ),
        row(
            extended(json!({
                "S3BackupConfiguration": with(bucket(), json!({"EncryptionConfiguration": {}})),
            })),
            encryption,
        ),
    ])
    .await;
    check_taken(vec![
        s3(json!({"BufferingHints": hints(1, 0), "CompressionFormat": "HADOOP_SNAPPY"})),
        s3(json!({"BufferingHints": {}})),
        s3(json!({"EncryptionConfiguration": {"KMSEncryptionConfig": key}})),
        s3(json!({"Prefix": "", "ErrorOutputPrefix": ""})),
        extended(json!({"CustomTimeZone": "", "FileExtension": ""})),
        extended(json!({"CustomTimeZone": "Asia/Tokyo", "FileExtension": ".json.log"})),
        extended(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": bucket()})),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn prefixes_are_written_by_their_rules() {
    let prefixes = |prefix: &str, error: Value| {
        extended(json!({"Prefix": prefix, "ErrorOutputPrefix": error}))
    };
    let year = "!{timestamp:yyyy}/";
    let error = json!("e/!{firehose:error-output-type}/");
    check(vec![
        row(
            prefixes(year, Value::Null),
            format!("{PREFACE}ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"),
        ),
        row(
            prefixes(year, json!("")),
            format!("{PREFACE}ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"),
        ),
        row(
            prefixes(year, json!("e/!{timestamp:yyyy}/")),
            format!("{PREFACE}ErrorOutputPrefix must contain at least one occurrence of !{{firehose:error-output-type}}"),
        ),
        row(
            prefixes("!{firehose:error-output-type}/", error.clone()),
            format!("{PREFACE}Prefix must not contain any occurrence of !{{firehose:error-output-type}}"),
        ),
        row(prefixes("!{timestamp", error.clone()), "Invalid expression usage"),
        row(
            prefixes("!{partitionKeyFromQuery:k}/", error.clone()),
            "Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic \
             Partitioning is enabled.",
        ),
    ])
    .await;
    check_taken(vec![
        prefixes(year, error),
        prefixes(year, json!("e/")),
        prefixes("a/", json!("!{timestamp:yyyy}/!{firehose:error-output-type}/")),
        prefixes("a/!{firehose:random-string}/", json!("e/")),
    ])
    .await;
}

fn query() -> Value {
    processor(
        "MetadataExtraction",
        &[("MetadataExtractionQuery", "{k: .k}"), ("JsonParsingEngine", "JQ-1.6")],
    )
}

fn partitioned(more: Value) -> Value {
    let base = json!({
        "Prefix": "!{partitionKeyFromQuery:k}/",
        "ErrorOutputPrefix": "e/",
        "DynamicPartitioningConfiguration": {"Enabled": true},
        "ProcessingConfiguration": {"Enabled": true, "Processors": [query()]},
    });
    extended(with(base, more))
}

#[tokio::test(start_paused = true)]
async fn dynamic_partitioning_has_large_buffers_and_its_keys_a_source() {
    let lambda = processor("Lambda", &[("LambdaArn", LAMBDA)]);
    let lambda = json!({"Enabled": true, "Processors": [lambda]});
    let extraction = "The MetadataExtraction processor needs Dynamic Partitioning to be enabled.";
    let processing = json!({"Enabled": true, "Processors": [query()]});
    let http = json!({"HttpEndpointDestinationConfiguration": {
        "EndpointConfiguration": {"Url": "https://h"},
        "S3Configuration": bucket(),
        "ProcessingConfiguration": processing,
    }});
    check(vec![
        row(
            partitioned(json!({"BufferingHints": hints(63, 60)})),
            "BufferingHints.SizeInMBs must be at least 64 when Dynamic Partitioning is enabled.",
        ),
        row(
            partitioned(json!({"Prefix": "a/"})),
            "S3 Prefix should contain Dynamic Partitioning namespaces when Dynamic Partitioning \
             is enabled",
        ),
        row(
            partitioned(json!({"ErrorOutputPrefix": null})),
            format!("{PREFACE}ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"),
        ),
        row(
            partitioned(json!({"ErrorOutputPrefix": "!{partitionKeyFromQuery:k}/"})),
            "Dynamic Partitioning Namespaces can't be part of an error prefix expression",
        ),
        row(
            partitioned(json!({"ProcessingConfiguration": lambda})),
            "partitionKeyFromQuery in Prefix needs a MetadataExtraction processor.",
        ),
        row(
            partitioned(json!({"Prefix": "!{partitionKeyFromLambda:k}/"})),
            "partitionKeyFromLambda in Prefix needs a Lambda processor.",
        ),
        row(extended(json!({"ProcessingConfiguration": processing})), extraction),
        row(http, extraction),
    ])
    .await;
    check_taken(vec![
        partitioned(json!({})),
        partitioned(json!({"BufferingHints": hints(64, 60)})),
        partitioned(json!({
            "Prefix": "!{partitionKeyFromLambda:k}/", "ProcessingConfiguration": lambda,
        })),
        extended(json!({"DynamicPartitioningConfiguration": {"Enabled": false}})),
        extended(json!({"DynamicPartitioningConfiguration": {}})),
    ])
    .await;
}

fn converted(more: Value) -> Value {
    let base = json!({
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
        "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
    });
    json!({"DataFormatConversionConfiguration": with(base, more)})
}

#[tokio::test(start_paused = true)]
async fn data_format_conversion_is_whole_and_has_large_buffers() {
    let lacks =
        |what: &str| format!("{what} must be given when data format conversion is enabled.");
    let schema = |more: Value| {
        let base = json!({"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"});
        extended(converted(json!({"SchemaConfiguration": with(base, more)})))
    };
    let input = |deserializer: Value| {
        extended(converted(json!({"InputFormatConfiguration": {"Deserializer": deserializer}})))
    };
    let output = |serializer: Value| {
        extended(converted(json!({"OutputFormatConfiguration": {"Serializer": serializer}})))
    };
    let readers = "Deserializer must have exactly one of OpenXJsonSerDe and HiveJsonSerDe.";
    let writers = "Serializer must have exactly one of ParquetSerDe and OrcSerDe.";
    check(vec![
        row(
            extended(with(converted(json!({})), json!({"BufferingHints": hints(63, 60)}))),
            "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled.",
        ),
        row(
            extended(with(converted(json!({})), json!({"CompressionFormat": "GZIP"}))),
            "CompressionFormat must be UNCOMPRESSED when data format conversion is enabled.",
        ),
        row(
            extended(converted(json!({"SchemaConfiguration": null}))),
            lacks("SchemaConfiguration"),
        ),
        row(schema(json!({"RoleARN": null})), lacks("SchemaConfiguration.RoleARN")),
        row(schema(json!({"DatabaseName": null})), lacks("SchemaConfiguration.DatabaseName")),
        row(schema(json!({"TableName": null})), lacks("SchemaConfiguration.TableName")),
        row(
            extended(converted(json!({"InputFormatConfiguration": {}}))),
            lacks("InputFormatConfiguration.Deserializer"),
        ),
        row(
            extended(converted(json!({"OutputFormatConfiguration": null}))),
            lacks("OutputFormatConfiguration.Serializer"),
        ),
        row(input(json!({})), readers),
        row(input(json!({"OpenXJsonSerDe": {}, "HiveJsonSerDe": {}})), readers),
        row(output(json!({})), writers),
        row(output(json!({"ParquetSerDe": {}, "OrcSerDe": {}})), writers),
    ])
    .await;
    check_taken(vec![
        extended(converted(json!({}))),
        extended(converted(json!({"Enabled": true}))),
        extended(with(
            json!({"CompressionFormat": "GZIP", "BufferingHints": hints(1, 60)}),
            converted(json!({"Enabled": false})),
        )),
        extended(json!({"DataFormatConversionConfiguration": {"Enabled": false}})),
        output(json!({"OrcSerDe": {"Compression": "ZLIB"}})),
    ])
    .await;
}

fn processor(kind: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, value)| json!({"ParameterName": name, "ParameterValue": value}))
        .collect();
    json!({"Type": kind, "Parameters": parameters})
}

fn processed(processors: &[Value]) -> Value {
    extended(json!({"ProcessingConfiguration": {"Enabled": true, "Processors": processors}}))
}

#[tokio::test(start_paused = true)]
async fn processors_have_their_parameters_and_no_others() {
    let must = |processor: &str, parameter: &str, must: &str| {
        format!("Parameter {parameter} of Processor {processor} must be {must}.")
    };
    let needs = |processor: &str, parameter: &str| {
        format!("Processor {processor} needs the parameter {parameter}.")
    };
    let one = |kind: &str, parameters: &[(&str, &str)]| processed(&[processor(kind, parameters)]);
    let lambda = |more: (&str, &str)| one("Lambda", &[("LambdaArn", LAMBDA), more]);
    let split = |parameters: &[(&str, &str)]| one("RecordDeAggregation", parameters);
    let sizes = must("Lambda", "BufferSizeInMBs", "a number from 0.2 to 3");
    let gunzip = processor("Decompression", &[("CompressionFormat", "GZIP")]);
    let messages = processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]);
    check(vec![
        row(processed(&[]), "At least 1 Processor needs to be supplied when processing is enabled"),
        row(
            processed(&[
                processor("AppendDelimiterToRecord", &[]),
                processor("AppendDelimiterToRecord", &[]),
            ]),
            "Exactly 1 AppendDelimiterToRecord Processor can be supplied.",
        ),
        row(one("Lambda", &[]), needs("Lambda", "LambdaArn")),
        row(
            one("Lambda", &[("LambdaArn", "arn:aws:s3:::bucket")]),
            must("Lambda", "LambdaArn", "the ARN of a Lambda function"),
        ),
        row(lambda(("SubRecordType", "JSON")), "Processor Lambda has no parameter SubRecordType."),
        row(
            lambda(("LambdaArn", LAMBDA)),
            "Processor Lambda has the parameter LambdaArn more than once.",
        ),
        row(
            lambda(("NumberOfRetries", "301")),
            must("Lambda", "NumberOfRetries", "an integer from 0 to 300"),
        ),
        row(
            lambda(("NumberOfRetries", "some")),
            must("Lambda", "NumberOfRetries", "an integer from 0 to 300"),
        ),
        row(
            lambda(("BufferIntervalInSeconds", "901")),
            must("Lambda", "BufferIntervalInSeconds", "an integer from 0 to 900"),
        ),
        row(lambda(("BufferSizeInMBs", "0.1")), sizes.clone()),
        row(lambda(("BufferSizeInMBs", "3.1")), sizes.clone()),
        row(lambda(("BufferSizeInMBs", "NaN")), sizes),
        row(split(&[]), needs("RecordDeAggregation", "SubRecordType")),
        row(
            split(&[("SubRecordType", "CSV")]),
            must("RecordDeAggregation", "SubRecordType", "JSON or DELIMITED"),
        ),
        row(split(&[("SubRecordType", "DELIMITED")]), needs("RecordDeAggregation", "Delimiter")),
        row(
            split(&[("SubRecordType", "DELIMITED"), ("Delimiter", "not base64")]),
            must("RecordDeAggregation", "Delimiter", "base64 of at least one byte"),
        ),
        row(
            split(&[("SubRecordType", "JSON"), ("Delimiter", "IyMjIw==")]),
            must("RecordDeAggregation", "Delimiter", "absent where records are JSON"),
        ),
        row(one("Decompression", &[]), needs("Decompression", "CompressionFormat")),
        row(
            one("Decompression", &[("CompressionFormat", "ZIP")]),
            must("Decompression", "CompressionFormat", "GZIP"),
        ),
        row(
            processed(std::slice::from_ref(&messages)),
            "The CloudWatchLogProcessing processor needs a Decompression processor.",
        ),
        row(
            processed(&[
                gunzip.clone(),
                processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "maybe")]),
            ]),
            must("CloudWatchLogProcessing", "DataMessageExtraction", "true or false"),
        ),
        row(
            one("AppendDelimiterToRecord", &[("Delimiter", ";")]),
            must("AppendDelimiterToRecord", "Delimiter", "\\n"),
        ),
        row(
            one("MetadataExtraction", &[("MetadataExtractionQuery", "{k: .k}")]),
            needs("MetadataExtraction", "JsonParsingEngine"),
        ),
        row(
            one("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6")]),
            needs("MetadataExtraction", "MetadataExtractionQuery"),
        ),
        row(
            one("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.5")]),
            must("MetadataExtraction", "JsonParsingEngine", "JQ-1.6"),
        ),
    ])
    .await;
    let off = json!({"ProcessingConfiguration": {"Enabled": false, "Processors": []}});
    check_taken(vec![
        extended(off),
        lambda(("BufferSizeInMBs", "0.25")),
        lambda(("NumberOfRetries", "0")),
        split(&[("SubRecordType", "DELIMITED"), ("Delimiter", "IyMjIw==")]),
        split(&[("SubRecordType", "JSON")]),
        one("AppendDelimiterToRecord", &[("Delimiter", "\\n")]),
        one("AppendDelimiterToRecord", &[]),
        processed(&[gunzip, messages, processor("AppendDelimiterToRecord", &[])]),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_query_that_does_not_read_is_refused() {
    let broken = processor(
        "MetadataExtraction",
        &[("MetadataExtractionQuery", "{k: .k"), ("JsonParsingEngine", "JQ-1.6")],
    );
    let processing = json!({"Enabled": true, "Processors": [broken]});
    let told = create(partitioned(json!({"ProcessingConfiguration": processing}))).await;
    let told = told.expect_err("refused");
    assert_eq!(told.code, "InvalidArgumentException");
    assert!(told.text.starts_with("The MetadataExtractionQuery does not read: "), "{}", told.text);
}

#[tokio::test(start_paused = true)]
async fn other_destinations_are_configured_by_their_rules() {
    let jdbc = "jdbc:redshift://c.redshift.amazonaws.com:5439/dev";
    let redshift = |more: Value| {
        let base = json!({
            "RoleARN": ROLE, "ClusterJDBCURL": jdbc, "CopyCommand": {"DataTableName": "t"},
            "Username": "user", "Password": "password", "S3Configuration": bucket(),
        });
        json!({"RedshiftDestinationConfiguration": with(base, more)})
    };
    let staging = |more: Value| redshift(json!({"S3Configuration": with(bucket(), more)}));
    let search = |more: Value| {
        let base = json!({"RoleARN": ROLE, "IndexName": "i", "S3Configuration": bucket()});
        json!({"AmazonopensearchserviceDestinationConfiguration": with(base, more)})
    };
    let splunk = |more: Value| {
        let base = json!({
            "HECEndpoint": "https://s", "HECEndpointType": "Event", "HECToken": "t",
            "S3Configuration": bucket(),
        });
        json!({"SplunkDestinationConfiguration": with(base, more)})
    };
    let domain = "arn:aws:es:us-east-1:123456789012:domain/logs";
    let one_of = "Exactly one of DomainARN and ClusterEndpoint must be given.";
    check(vec![
        row(
            staging(json!({"Prefix": "!{timestamp:yyyy}/", "ErrorOutputPrefix": "e/"})),
            format!("{PREFACE}Prefix must not contain expressions when the destination is Amazon Redshift"),
        ),
        row(
            staging(json!({"ErrorOutputPrefix": "e/"})),
            format!("{PREFACE}ErrorOutputPrefix must be null when the destination is Amazon Redshift"),
        ),
        row(
            staging(json!({"CompressionFormat": "Snappy"})),
            "Snappy is not a supported CompressionFormat for an Amazon Redshift destination.",
        ),
        row(
            staging(json!({"CompressionFormat": "ZIP"})),
            "ZIP is not a supported CompressionFormat for an Amazon Redshift destination.",
        ),
        row(
            staging(json!({"CompressionFormat": "HADOOP_SNAPPY"})),
            "HADOOP_SNAPPY is not a supported CompressionFormat for an Amazon Redshift destination.",
        ),
        row(redshift(json!({"Username": null})), "Username must be given."),
        row(redshift(json!({"Password": null})), "Password must be given."),
        row(
            redshift(json!({"S3BackupMode": "Enabled"})),
            "S3BackupConfiguration must be given when S3BackupMode is Enabled.",
        ),
        row(search(json!({})), one_of),
        row(search(json!({"DomainARN": domain, "ClusterEndpoint": "https://e"})), one_of),
        row(
            search(json!({"DomainARN": domain})),
            format!("No endpoint is known for the domain {domain}: it is named in the server's settings."),
        ),
        row(search(json!({"ClusterEndpoint": "https:"})), "ClusterEndpoint is not a URL."),
        row(
            search(json!({
                "ClusterEndpoint": "https://e", "BufferingHints": {"SizeInMBs": 1},
            })),
            "Both SizeInMBs and IntervalInSeconds must be given in BufferingHints, or neither.",
        ),
        row(splunk(json!({"HECToken": null})), "HECToken must be given."),
        row(splunk(json!({"HECEndpoint": "splunk"})), "HECEndpoint is not a URL."),
        row(
            splunk(json!({"HECEndpoint": "http://splunk"})),
            "HECEndpoint must begin with https://: plain http is not allowed by the server's settings.",
        ),
        row(
            splunk(json!({"SecretsManagerConfiguration": {"Enabled": true}})),
            "SecretsManagerConfiguration.SecretARN must be given.",
        ),
    ])
    .await;
    check_taken(vec![
        redshift(json!({})),
        staging(json!({"Prefix": "a/", "ErrorOutputPrefix": "", "CompressionFormat": "GZIP"})),
        redshift(json!({"S3BackupMode": "Enabled", "S3BackupConfiguration": bucket()})),
        search(json!({"ClusterEndpoint": "https://e", "TypeName": ""})),
        splunk(json!({"BufferingHints": {"SizeInMBs": 1}})),
        splunk(json!({"SecretsManagerConfiguration": {"Enabled": false}})),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn iceberg_tables_are_taken_only_where_they_are_built() {
    let iceberg = |more: Value| {
        let base = json!({
            "RoleARN": ROLE,
            "CatalogConfiguration": {
                "CatalogARN": "arn:aws:glue:us-east-1:123456789012:catalog",
            },
            "DestinationTableConfigurationList": [
                {"DestinationTableName": "t", "DestinationDatabaseName": "d", "UniqueKeys": ["k"]},
            ],
            "ProcessingConfiguration": {"Enabled": true, "Processors": [query()]},
            "S3Configuration": bucket(),
        });
        json!({"IcebergDestinationConfiguration": with(base, more)})
    };
    if cfg!(feature = "iceberg") {
        check_taken(vec![iceberg(json!({}))]).await;
        let all = iceberg(json!({"S3BackupMode": "AllData"}));
        let text =
            "S3BackupMode AllData for an Iceberg destination is not supported by this server.";
        check(vec![row(all, text)]).await;
        for name in ["SchemaEvolutionConfiguration", "TableCreationConfiguration"] {
            check_taken(vec![iceberg(json!({name: {"Enabled": false}}))]).await;
            let text = format!("{name} is not supported by this server.");
            check(vec![row(iceberg(json!({name: {"Enabled": true}})), text)]).await;
        }
    } else {
        let text = "An Iceberg destination is not supported by this server.";
        check(vec![row(iceberg(json!({})), text)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_settings_may_allow_what_aws_does_not() {
    let behind = crate::World {
        allows_plain_http: true,
        functions: [(LAMBDA.to_owned(), crate::FunctionSetting::Jq(".".to_owned()))].into(),
        ..crate::World::default()
    };
    let world = World::with(crate::Settings { world: behind, ..settings() }).await;
    let splunk = json!({"SplunkDestinationConfiguration": {
        "HECEndpoint": "http://splunk:8088", "HECEndpointType": "Raw", "HECToken": "t",
        "S3Configuration": bucket(),
    }});
    world.create("splunk", splunk).await.unwrap();
    let jq = processed(&[processor("Lambda", &[("LambdaArn", LAMBDA)])]);
    world.create("jq", jq).await.unwrap();
    let orders = world.firehose.orders();
    let transform = orders.iter().find_map(|order| order.plan.processing.transform.as_ref());
    let function = crate::plan::Function::Jq { arn: LAMBDA.to_owned(), filter: ".".to_owned() };
    assert_eq!(transform.unwrap().function, function);
}
