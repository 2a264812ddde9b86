//! The extended S3 destination: what it has beyond a bucket.
//!
//! Owns dynamic partitioning, data format conversion, time zone, extension and source backup, and
//! the rules between them.

use std::collections::BTreeMap;

use millstream_columnar::{
    FileFormat, JsonReader, OrcCompression, OrcOptions, OrcVersion, ParquetCompression,
    ParquetOptions, ParquetVersion,
};
use millstream_core::limits;
use millstream_formats::compression::Compression;
use millstream_formats::prefix::Rules;
use millstream_formats::zone::Zone;
use serde_json::Value;

use super::bucket::{BUFFERING_DEFAULT, BucketRules, objects, retry};
use super::invalid::Invalid;
use super::node::Node;
use crate::plan::{Conversion, Objects, Processing, SchemaSource};

/// The least buffer where objects are columnar or many (documented).
const LARGE_BUFFER_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Buffering by default where objects are columnar or many (documented).
const LARGE_BUFFERING_DEFAULT: (u64, u64) = (128, 300);
/// How long records are tried to be partitioned by default (observed).
const PARTITIONING_RETRY_SECONDS: u64 = 300;

/// The objects of the destination.
pub(super) fn destination(node: Node<'_>, processing: &Processing) -> Result<Objects, Invalid> {
    let partitioning = enabled(node, "DynamicPartitioningConfiguration");
    let conversion = enabled(node, "DataFormatConversionConfiguration");
    let is_large = partitioning.is_some() || conversion.is_some();
    let rules = BucketRules {
        prefix: if partitioning.is_some() { Rules::Partitioned } else { Rules::Objects },
        buffering: if is_large { LARGE_BUFFERING_DEFAULT } else { BUFFERING_DEFAULT },
    };
    let mut objects = objects(node, rules)?;
    objects.zone = node.filled("CustomTimeZone").map_or(Ok(Zone::UTC), Zone::parse)?;
    objects.extension = node.filled("FileExtension").map(str::to_owned);
    let is_small = objects.buffering.bytes < LARGE_BUFFER_BYTES_MIN;
    if let Some(conversion) = conversion {
        if is_small {
            return Err(Invalid::SmallBuffer("data format conversion"));
        }
        if objects.compression != Compression::None {
            return Err(Invalid::ConversionCompressed);
        }
        objects.conversion = Some(read_conversion(conversion)?);
    }
    if let Some(partitioning) = partitioning {
        if is_small {
            return Err(Invalid::SmallBuffer("Dynamic Partitioning"));
        }
        check_partition_keys(&objects, processing)?;
        objects.partitions_max = Some(limits::FIREHOSE_PARTITIONS_MAX);
        objects.retry = retry(partitioning, PARTITIONING_RETRY_SECONDS);
    } else if processing.partition_query.is_some() {
        return Err(Invalid::ExtractionUnwanted);
    }
    Ok(objects)
}

/// All source records as they came, where that is wanted.
pub(super) fn backup(node: Node<'_>) -> Result<Option<Objects>, Invalid> {
    if node.text("S3BackupMode") != Some("Enabled") {
        // Judged all the same: it is kept, and may be enabled by and by.
        let unused = node.child("S3BackupConfiguration");
        return unused.map(|unused| objects(unused, BucketRules::PLAIN)).transpose().map(|_| None);
    }
    let bucket = node.child("S3BackupConfiguration").ok_or(Invalid::BackupMissing)?;
    objects(bucket, BucketRules::PLAIN).map(Some)
}

fn enabled<'a>(node: Node<'a>, name: &str) -> Option<Node<'a>> {
    node.child(name).filter(|inner| is_enabled(*inner, name))
}

/// Conversion is on unless it is said to be off; partitioning only where it is said to be on
/// (documented, both).
fn is_enabled(node: Node<'_>, name: &str) -> bool {
    let default = name == "DataFormatConversionConfiguration";
    node.truth("Enabled").unwrap_or(default)
}

fn check_partition_keys(objects: &Objects, processing: &Processing) -> Result<(), Invalid> {
    let unprovided =
        |namespace, processor| Err(Invalid::PartitionKeyUnprovided { namespace, processor });
    if objects.prefix.query_keys().next().is_some() && processing.partition_query.is_none() {
        return unprovided("partitionKeyFromQuery", "MetadataExtraction");
    }
    if objects.prefix.lambda_keys().next().is_some() && processing.transform.is_none() {
        return unprovided("partitionKeyFromLambda", "Lambda");
    }
    Ok(())
}

fn read_conversion(node: Node<'_>) -> Result<Conversion, Invalid> {
    let lacks = Invalid::ConversionLacks;
    let schema = node.child("SchemaConfiguration").ok_or(lacks("SchemaConfiguration"))?;
    schema.text("RoleARN").ok_or(lacks("SchemaConfiguration.RoleARN"))?;
    let database = schema.text("DatabaseName").ok_or(lacks("SchemaConfiguration.DatabaseName"))?;
    let table = schema.text("TableName").ok_or(lacks("SchemaConfiguration.TableName"))?;
    let input = node.child("InputFormatConfiguration");
    let deserializer = input.and_then(|input| input.child("Deserializer"));
    let output = node.child("OutputFormatConfiguration");
    let serializer = output.and_then(|output| output.child("Serializer"));
    Ok(Conversion {
        schema: SchemaSource {
            catalog: schema.text("CatalogId").map(str::to_owned),
            database: database.to_owned(),
            table: table.to_owned(),
            region: schema.text("Region").map(str::to_owned),
            version: schema.text("VersionId").unwrap_or("LATEST").to_owned(),
        },
        reader: reader(deserializer.ok_or(lacks("InputFormatConfiguration.Deserializer"))?)?,
        writer: writer(serializer.ok_or(lacks("OutputFormatConfiguration.Serializer"))?)?,
    })
}

fn reader(node: Node<'_>) -> Result<JsonReader, Invalid> {
    match (node.child("OpenXJsonSerDe"), node.child("HiveJsonSerDe")) {
        (Some(openx), None) => Ok(JsonReader::OpenX {
            case_insensitive: openx.truth("CaseInsensitive").unwrap_or(true),
            dots_to_underscores: openx.truth("ConvertDotsInJsonKeysToUnderscores").unwrap_or(false),
            mappings: mappings(openx),
        }),
        (None, Some(hive)) => {
            Ok(JsonReader::Hive { timestamp_formats: hive.texts("TimestampFormats") })
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(Invalid::NotOneSerDe("Deserializer", "OpenXJsonSerDe", "HiveJsonSerDe"))
        }
    }
}

fn mappings(openx: Node<'_>) -> BTreeMap<String, String> {
    let Some(given) = openx.child("ColumnToJsonKeyMappings") else { return BTreeMap::new() };
    let text = |(column, key): (&String, &Value)| Some((column.clone(), key.as_str()?.to_owned()));
    given.0.iter().filter_map(text).collect()
}

fn writer(node: Node<'_>) -> Result<FileFormat, Invalid> {
    match (node.child("ParquetSerDe"), node.child("OrcSerDe")) {
        (Some(parquet), None) => Ok(FileFormat::Parquet(parquet_options(parquet))),
        (None, Some(orc)) => Ok(FileFormat::Orc(orc_options(orc))),
        (Some(_), Some(_)) | (None, None) => {
            Err(Invalid::NotOneSerDe("Serializer", "ParquetSerDe", "OrcSerDe"))
        }
    }
}

fn size(node: Node<'_>, name: &str, default: usize) -> usize {
    node.integer(name).and_then(|size| usize::try_from(size).ok()).unwrap_or(default)
}

fn parquet_options(node: Node<'_>) -> ParquetOptions {
    let default = ParquetOptions::default();
    ParquetOptions {
        compression: match node.text("Compression") {
            Some("UNCOMPRESSED") => ParquetCompression::Uncompressed,
            Some("GZIP") => ParquetCompression::Gzip,
            Some("SNAPPY") => ParquetCompression::Snappy,
            Some(_) | None => default.compression,
        },
        page_bytes: size(node, "PageSizeBytes", default.page_bytes),
        block_bytes: size(node, "BlockSizeBytes", default.block_bytes),
        dictionary: node.truth("EnableDictionaryCompression").unwrap_or(default.dictionary),
        version: match node.text("WriterVersion") {
            Some("V2") => ParquetVersion::V2,
            Some(_) | None => ParquetVersion::V1,
        },
        ..default
    }
}

fn orc_options(node: Node<'_>) -> OrcOptions {
    let default = OrcOptions::default();
    OrcOptions {
        compression: match node.text("Compression") {
            Some("NONE") => OrcCompression::None,
            Some("ZLIB") => OrcCompression::Zlib,
            Some("SNAPPY") => OrcCompression::Snappy,
            Some(_) | None => default.compression,
        },
        stripe_bytes: size(node, "StripeSizeBytes", default.stripe_bytes),
        block_bytes: size(node, "BlockSizeBytes", default.block_bytes),
        padding: node.truth("EnablePadding").unwrap_or(default.padding),
        padding_tolerance: node.number("PaddingTolerance").unwrap_or(default.padding_tolerance),
        row_index_stride: size(node, "RowIndexStride", default.row_index_stride),
        bloom_filter_columns: node.texts("BloomFilterColumns"),
        bloom_filter_false_positives: node
            .number("BloomFilterFalsePositiveProbability")
            .unwrap_or(default.bloom_filter_false_positives),
        dictionary_key_threshold: node
            .number("DictionaryKeyThreshold")
            .unwrap_or(default.dictionary_key_threshold),
        version: match node.text("FormatVersion") {
            Some("V0_11") => OrcVersion::V0_11,
            Some(_) | None => OrcVersion::V0_12,
        },
    }
}
