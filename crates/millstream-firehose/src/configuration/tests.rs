//! Documents and the plans that are read from them.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_columnar::{
    FileFormat, JsonReader, OrcCompression, OrcOptions, OrcVersion, ParquetCompression,
    ParquetOptions, ParquetVersion,
};
use millstream_core::{AccountId, Region, Timestamp};
use millstream_formats::compression::Compression;
use serde_json::{Value, json};

use super::*;
use crate::plan::*;
use crate::settings::World;
use crate::state::{self, KafkaSource, KinesisSource, NewSource};

const ROLE: &str = "arn:aws:iam::123456789012:role/r";
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn read_from(source: &state::Source, kind: DestinationKind, body: Value) -> Result<Plan, Invalid> {
    let Value::Object(body) = body else { panic!("an object") };
    let (account, region): (AccountId, Region) =
        ("123456789012".parse().unwrap(), "us-east-1".parse().unwrap());
    let world = World {
        search_domains: [("domain".to_owned(), "https://search".to_owned())].into(),
        kafka_clusters: [(
            "cluster".to_owned(),
            crate::settings::KafkaCluster::open("broker:9092"),
        )]
        .into(),
        ..World::default()
    };
    let place = Place { account: &account, region: &region };
    plan(&Document { kind, body }, (source, 7), place, &world)
}

fn read(kind: DestinationKind, body: Value) -> Plan {
    let source = NewSource::DirectPut { throughput_hint_mibps: None }.numbered(|| 1);
    read_from(&source, kind, body).unwrap()
}

fn bucket() -> Value {
    json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"})
}

fn with(base: Value, more: Value) -> Value {
    let (mut base, Value::Object(more)) = (base, more) else { panic!("an object") };
    for (name, value) in more {
        base[name] = value;
    }
    base
}

fn objects(plan: &Plan) -> &Objects {
    let Target::Objects(objects) = &plan.target else { panic!("objects: {:?}", plan.target) };
    objects
}

fn processor(kind: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, value)| json!({"ParameterName": name, "ParameterValue": value}))
        .collect();
    json!({"Type": kind, "Parameters": parameters})
}

fn processing(processors: &[Value]) -> Value {
    json!({"ProcessingConfiguration": {"Enabled": true, "Processors": processors}})
}

#[test]
fn a_bucket_of_which_nothing_is_said_has_the_documented_defaults() {
    let plan = read(DestinationKind::ExtendedS3, bucket());
    assert_eq!(plan.version, 7);
    assert!(matches!(plan.source, Source::DirectPut));
    assert_eq!(plan.buffering, Buffering { bytes: 5 * MIB, interval: seconds(300) });
    let objects = objects(&plan);
    assert_eq!(objects.bucket, "lake");
    assert_eq!((objects.prefix.text(), objects.compression), ("", Compression::None));
    assert_eq!((objects.zone.name(), &objects.extension), ("UTC", &None));
    assert_eq!((objects.partitions_max, &objects.kms_key), (None, &None));
    assert_eq!(objects.retry, seconds(24 * 3_600));
    assert!(objects.conversion.is_none() && plan.backup.all.is_none() && plan.error_log.is_none());
    assert_eq!(plan.backup.errors.bucket, "lake");
    assert!(plan.processing.transform.is_none() && !plan.processing.append_delimiter);
}

#[test]
fn everything_that_is_said_of_a_bucket_is_in_the_plan() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    let log = json!({"Enabled": true, "LogGroupName": "group", "LogStreamName": "stream"});
    let plan = read(
        DestinationKind::ExtendedS3,
        with(
            bucket(),
            json!({
                "Prefix": "a/",
                "BufferingHints": {"SizeInMBs": 9, "IntervalInSeconds": 0},
                "EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": key}},
                "CloudWatchLoggingOptions": log,
                "FileExtension": ".log",
                "CustomTimeZone": "Asia/Tokyo",
                "S3BackupMode": "Enabled",
                "S3BackupConfiguration": {
                    "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::all", "CompressionFormat": "ZIP",
                },
            }),
        ),
    );
    assert_eq!(plan.buffering, Buffering { bytes: 9 * MIB, interval: seconds(0) });
    let log = ErrorLog { group: "group".to_owned(), stream: "stream".to_owned() };
    assert_eq!(plan.error_log, Some(log));
    let objects = objects(&plan);
    assert_eq!(objects.prefix.text(), "a/");
    assert_eq!(objects.extension.as_deref(), Some(".log"));
    assert_eq!(objects.zone.name(), "Asia/Tokyo");
    assert_eq!(objects.kms_key.as_deref(), Some(key));
    let all = plan.backup.all.as_ref().unwrap();
    assert_eq!((&*all.bucket, all.compression), ("all", Compression::Zip));
    assert_eq!(all.zone.name(), "UTC");
    for (format, compression) in [
        ("UNCOMPRESSED", Compression::None),
        ("GZIP", Compression::Gzip),
        ("ZIP", Compression::Zip),
        ("Snappy", Compression::Snappy),
        ("HADOOP_SNAPPY", Compression::HadoopSnappy),
    ] {
        let body = with(bucket(), json!({"CompressionFormat": format}));
        assert_eq!(
            self::objects(&read(DestinationKind::ExtendedS3, body)).compression,
            compression
        );
    }
}

#[test]
fn partitions_have_their_keys_their_number_and_their_retries() {
    let lambda = processor("Lambda", &[("LambdaArn", "arn:aws:lambda:r:123456789012:function:f")]);
    let partitioned = |retry: Value| {
        let more = json!({
            "Prefix": "!{partitionKeyFromLambda:k}/",
            "ErrorOutputPrefix": "e/",
            "DynamicPartitioningConfiguration": {"Enabled": true, "RetryOptions": retry},
        });
        let body = with(with(bucket(), more), processing(std::slice::from_ref(&lambda)));
        read(DestinationKind::ExtendedS3, body)
    };
    let plan = partitioned(json!({"DurationInSeconds": 9}));
    assert_eq!(objects(&plan).partitions_max, Some(500));
    assert_eq!(objects(&plan).retry, seconds(9));
    assert_eq!(plan.buffering, Buffering { bytes: 128 * MIB, interval: seconds(300) });
    assert_eq!(objects(&partitioned(json!({}))).retry, seconds(300));
}

fn conversion(reader: &Value, writer: &Value) -> Conversion {
    let conversion = json!({
        "SchemaConfiguration": {"RoleARN": ROLE, "DatabaseName": "d", "TableName": "t"},
        "InputFormatConfiguration": {"Deserializer": reader},
        "OutputFormatConfiguration": {"Serializer": writer},
    });
    let body = with(bucket(), json!({"DataFormatConversionConfiguration": conversion}));
    let plan = read(DestinationKind::ExtendedS3, body);
    objects(&plan).conversion.clone().unwrap()
}

#[test]
fn readers_and_writers_have_the_options_that_were_given() {
    let parquet = json!({
        "Compression": "GZIP", "PageSizeBytes": 65_536, "BlockSizeBytes": 67_108_864,
        "EnableDictionaryCompression": true, "WriterVersion": "V2",
    });
    let openx = json!({
        "CaseInsensitive": false, "ConvertDotsInJsonKeysToUnderscores": true,
        "ColumnToJsonKeyMappings": {"column": "key"},
    });
    let read = conversion(&json!({"OpenXJsonSerDe": openx}), &json!({"ParquetSerDe": parquet}));
    let source = SchemaSource {
        catalog: None,
        database: "d".to_owned(),
        table: "t".to_owned(),
        region: None,
        version: "LATEST".to_owned(),
    };
    assert_eq!(read.schema, source);
    let mappings = BTreeMap::from([("column".to_owned(), "key".to_owned())]);
    let reader = JsonReader::OpenX { case_insensitive: false, dots_to_underscores: true, mappings };
    assert_eq!(read.reader, reader);
    let options = ParquetOptions {
        compression: ParquetCompression::Gzip,
        page_bytes: 65_536,
        block_bytes: 67_108_864,
        dictionary: true,
        version: ParquetVersion::V2,
        ..ParquetOptions::default()
    };
    assert_eq!(read.writer, FileFormat::Parquet(options));
    let orc = json!({
        "StripeSizeBytes": 8_388_608, "BlockSizeBytes": 67_108_864, "RowIndexStride": 1_000,
        "EnablePadding": true, "PaddingTolerance": 0.1, "Compression": "ZLIB",
        "BloomFilterColumns": ["a"], "BloomFilterFalsePositiveProbability": 0.2,
        "DictionaryKeyThreshold": 0.3, "FormatVersion": "V0_11",
    });
    let hive = json!({"TimestampFormats": ["millis"]});
    let read = conversion(&json!({"HiveJsonSerDe": hive}), &json!({"OrcSerDe": orc}));
    assert_eq!(read.reader, JsonReader::Hive { timestamp_formats: vec!["millis".to_owned()] });
    let options = OrcOptions {
        compression: OrcCompression::Zlib,
        stripe_bytes: 8_388_608,
        block_bytes: 67_108_864,
        padding: true,
        padding_tolerance: 0.1,
        row_index_stride: 1_000,
        bloom_filter_columns: vec!["a".to_owned()],
        bloom_filter_false_positives: 0.2,
        dictionary_key_threshold: 0.3,
        version: OrcVersion::V0_11,
    };
    assert_eq!(read.writer, FileFormat::Orc(options));
    let read = conversion(&json!({"OpenXJsonSerDe": {}}), &json!({"OrcSerDe": {}}));
    assert_eq!(read.reader, JsonReader::default());
    assert_eq!(read.writer, FileFormat::Orc(OrcOptions::default()));
    let read = conversion(&json!({"OpenXJsonSerDe": {}}), &json!({"ParquetSerDe": {}}));
    assert_eq!(read.writer, FileFormat::Parquet(ParquetOptions::default()));
}

#[test]
fn processors_become_the_steps_of_the_plan() {
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
    let processors = [
        processor("RecordDeAggregation", &[("SubRecordType", "DELIMITED"), ("Delimiter", "Iwo=")]),
        processor("Decompression", &[("CompressionFormat", "GZIP")]),
        processor("CloudWatchLogProcessing", &[("DataMessageExtraction", "true")]),
        processor(
            "Lambda",
            &[
                ("LambdaArn", arn),
                ("NumberOfRetries", "7"),
                ("BufferSizeInMBs", "0.5"),
                ("BufferIntervalInSeconds", "9"),
            ],
        ),
        processor("AppendDelimiterToRecord", &[]),
    ];
    let body = with(bucket(), processing(&processors));
    let plan = read(DestinationKind::ExtendedS3, body).processing;
    assert!(plan.decompress && plan.extract_log_messages && plan.append_delimiter);
    assert_eq!(plan.split, Some(Split::Delimited(b"#\n".to_vec())));
    let transform = plan.transform.unwrap();
    assert_eq!(transform.function, Function::Lambda { arn: arn.to_owned() });
    assert_eq!(transform.retries, 7);
    assert_eq!(transform.buffering, Buffering { bytes: 512 * KIB, interval: seconds(9) });
    assert_eq!(plan.partition_query, None);
    // By default a megabyte and three retries; for Splunk a quarter of it.
    let lambda = [processor("Lambda", &[("LambdaArn", arn)])];
    let extended = read(DestinationKind::ExtendedS3, with(bucket(), processing(&lambda)));
    let transform = extended.processing.transform.unwrap();
    assert_eq!(transform.retries, 3);
    assert_eq!(transform.buffering, Buffering { bytes: MIB, interval: seconds(60) });
    let splunk = read(DestinationKind::Splunk, with(splunk(), processing(&lambda)));
    let transform = splunk.processing.transform.unwrap();
    assert_eq!(transform.buffering, Buffering { bytes: 256 * KIB, interval: seconds(60) });
    // What is switched off is not done, and not judged.
    let off = json!({"ProcessingConfiguration": {"Processors": [processor("Lambda", &[])]}});
    let off = read(DestinationKind::ExtendedS3, with(bucket(), off));
    assert!(off.processing.transform.is_none());
}

fn splunk() -> Value {
    json!({
        "HECEndpoint": "https://s", "HECEndpointType": "Raw", "HECToken": "t",
        "S3Configuration": bucket(),
    })
}

#[test]
fn splunk_is_read_with_its_hints_each_by_itself() {
    let read = |more: Value| read(DestinationKind::Splunk, with(splunk(), more));
    let plan = read(json!({}));
    let Target::Splunk(target) = &plan.target else { panic!("Splunk") };
    assert_eq!(
        (target.endpoint.as_str(), target.raw, target.token.as_str()),
        ("https://s", true, "t")
    );
    assert_eq!((target.ack_timeout, target.retry), (seconds(180), seconds(3_600)));
    assert_eq!(plan.buffering, Buffering { bytes: 5 * MIB, interval: seconds(60) });
    let plan = read(json!({
        "BufferingHints": {"SizeInMBs": 1}, "HECEndpointType": "Event",
        "HECAcknowledgmentTimeoutInSeconds": 200, "RetryOptions": {"DurationInSeconds": 0},
        "S3BackupMode": "AllEvents",
    }));
    let Target::Splunk(target) = &plan.target else { panic!("Splunk") };
    assert_eq!((target.raw, target.ack_timeout, target.retry), (false, seconds(200), seconds(0)));
    assert_eq!(plan.buffering, Buffering { bytes: MIB, interval: seconds(60) });
    assert_eq!(plan.backup.all.unwrap().bucket, "lake");
}

#[test]
fn http_endpoints_are_read_with_key_attributes_and_encoding() {
    let base = json!({
        "EndpointConfiguration": {"Url": "https://h/p", "Name": "n", "AccessKey": "k"},
        "RequestConfiguration": {"ContentEncoding": "GZIP", "CommonAttributes": [
            {"AttributeName": "a", "AttributeValue": "b"},
        ]},
        "S3BackupMode": "FailedDataOnly",
        "S3Configuration": bucket(),
    });
    let plan = read(DestinationKind::HttpEndpoint, base);
    let Target::Http(target) = &plan.target else { panic!("HTTP") };
    assert_eq!((target.url.as_str(), target.name.as_deref()), ("https://h/p", Some("n")));
    assert_eq!(target.access_key.as_ref().unwrap().as_str(), "k");
    assert_eq!(target.attributes, [("a".to_owned(), "b".to_owned())]);
    assert_eq!((target.gzip, target.retry), (true, seconds(300)));
    assert!(plan.backup.all.is_none());
    let least = json!({"EndpointConfiguration": {"Url": "https://h"}, "S3Configuration": bucket()});
    let plan = read(DestinationKind::HttpEndpoint, least);
    let Target::Http(target) = &plan.target else { panic!("HTTP") };
    assert!(target.access_key.is_none() && !target.gzip && target.attributes.is_empty());
}

#[test]
fn indexes_rotate_and_documents_have_ids_as_said() {
    let search = |more: Value| {
        let base = json!({
            "RoleARN": ROLE, "DomainARN": "domain", "IndexName": "i", "S3Configuration": bucket(),
        });
        let plan = read(DestinationKind::OpenSearch, with(base, more));
        let Target::Search(target) = plan.target else { panic!("OpenSearch") };
        target
    };
    for (period, rotation) in [
        ("NoRotation", Rotation::None),
        ("OneHour", Rotation::Hour),
        ("OneDay", Rotation::Day),
        ("OneWeek", Rotation::Week),
        ("OneMonth", Rotation::Month),
    ] {
        assert_eq!(search(json!({"IndexRotationPeriod": period})).rotation, rotation);
    }
    let target = search(json!({"TypeName": ""}));
    assert_eq!((target.endpoint.as_str(), target.index.as_str()), ("https://search", "i"));
    assert_eq!((target.rotation, target.with_ids, target.serverless), (Rotation::Day, true, false));
    assert_eq!((target.type_name, target.retry), (None, seconds(300)));
    let ids = |format: &str| json!({"DocumentIdOptions": {"DefaultDocumentIdFormat": format}});
    assert!(!search(ids("NO_DOCUMENT_ID")).with_ids);
    assert!(search(ids("FIREHOSE_DEFAULT")).with_ids);
    let collection = json!({
        "RoleARN": ROLE, "CollectionEndpoint": "https://c", "IndexName": "i",
        "S3BackupMode": "AllDocuments", "S3Configuration": bucket(),
    });
    let plan = read(DestinationKind::OpenSearchServerless, collection);
    let Target::Search(target) = &plan.target else { panic!("OpenSearch Serverless") };
    assert_eq!((target.endpoint.as_str(), target.serverless), ("https://c", true));
    assert_eq!(target.rotation, Rotation::None);
    assert!(plan.backup.all.is_some());
}

#[test]
fn redshift_copies_from_its_staging_bucket() {
    let base = json!({
        "RoleARN": ROLE,
        "ClusterJDBCURL": "jdbc:redshift://c.x.redshift.amazonaws.com:5439/dev",
        "CopyCommand": {"DataTableName": "t", "DataTableColumns": "", "CopyOptions": "GZIP"},
        "Username": "u",
        "Password": "p",
        "S3BackupMode": "Enabled",
        "S3BackupConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::all"},
        "S3Configuration": with(bucket(), json!({
            "BufferingHints": {"SizeInMBs": 2, "IntervalInSeconds": 3},
        })),
    });
    let plan = read(DestinationKind::Redshift, base);
    let Target::Redshift(target) = &plan.target else { panic!("Redshift") };
    assert_eq!((&*target.user, target.password.as_str(), &*target.table), ("u", "p", "t"));
    assert_eq!((&target.columns, target.options.as_deref()), (&None, Some("GZIP")));
    assert_eq!((target.role_arn.as_str(), target.retry), (ROLE, seconds(3_600)));
    assert_eq!(target.staging.bucket, "lake");
    assert_eq!(plan.buffering, Buffering { bytes: 2 * MIB, interval: seconds(3) });
    assert_eq!(plan.backup.all.unwrap().bucket, "all");
    assert_eq!(plan.backup.errors.bucket, "lake");
}

#[test]
fn sources_begin_where_they_are_told_to() {
    let start = Timestamp::from_seconds(9);
    let kinesis = state::Source::Kinesis(KinesisSource {
        stream_arn: "arn:aws:kinesis:us-east-1:123456789012:stream/s".to_owned(),
        role_arn: ROLE.to_owned(),
        start,
    });
    let plan = read_from(&kinesis, DestinationKind::ExtendedS3, bucket()).unwrap();
    let Source::KinesisStream { arn, from } = plan.source else { panic!("Kinesis") };
    assert_eq!((arn.name.as_str(), from), ("s", start));
    for (read_from_, expected) in [
        (None, Some(start)),
        (Some(Timestamp::from_seconds(5)), Some(Timestamp::from_seconds(5))),
        (Some(Timestamp::default()), None),
    ] {
        let kafka = state::Source::Kafka(KafkaSource {
            cluster_arn: "cluster".to_owned(),
            topic: "topic".to_owned(),
            role_arn: ROLE.to_owned(),
            is_public: true,
            read_from: read_from_,
            start,
        });
        let plan = read_from(&kafka, DestinationKind::ExtendedS3, bucket()).unwrap();
        let Source::Kafka { cluster, topic, from } = plan.source else { panic!("Kafka") };
        assert_eq!((&*cluster.bootstrap, &*topic, from), ("broker:9092", "topic", expected));
    }
}
