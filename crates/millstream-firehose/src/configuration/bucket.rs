//! The configuration of objects in a bucket.
//!
//! Owns what holds of every bucket: buffering, prefixes, compression, encryption, logging. What
//! only the extended S3 destination has is in `extended`.

use std::time::Duration;

use millstream_core::Arn;
use millstream_formats::compression::Compression;
use millstream_formats::prefix::{ErrorPrefix, Prefix, Rules};
use millstream_formats::zone::Zone;

use super::invalid::Invalid;
use super::node::Node;
use crate::plan::{Buffering, ErrorLog, Objects};

const MEBIBYTE: u64 = 1024 * 1024;
/// How long a failed object is tried again where nothing else is said (documented: 24 hours).
const RETRY: Duration = Duration::from_secs(24 * 3_600);

/// Buffering where a configuration says nothing of it, in mebibytes and seconds.
pub(super) const BUFFERING_DEFAULT: (u64, u64) = (5, 300);

/// What of a bucket depends on whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketRules {
    pub(super) prefix: Rules,
    /// Mebibytes and seconds.
    pub(super) buffering: (u64, u64),
}

impl BucketRules {
    /// For a backup.
    pub(super) const PLAIN: Self = Self { prefix: Rules::Objects, buffering: BUFFERING_DEFAULT };
}

/// Objects in the bucket that `node` configures.
pub(super) fn objects(node: Node<'_>, rules: BucketRules) -> Result<Objects, Invalid> {
    let prefix = Prefix::parse(node.text("Prefix").unwrap_or_default(), rules.prefix)?;
    let error_prefix =
        ErrorPrefix::parse_by(node.text("ErrorOutputPrefix"), &prefix, rules.prefix)?;
    // Judged, although only the destination's own log is used.
    error_log(node)?;
    Ok(Objects {
        bucket: bucket_name(node)?,
        prefix,
        error_prefix,
        zone: Zone::UTC,
        compression: compression(node),
        extension: None,
        buffering: buffering(node, rules.buffering)?,
        conversion: None,
        partitions_max: None,
        retry: RETRY,
        kms_key: kms_key(node)?,
    })
}

fn bucket_name(node: Node<'_>) -> Result<String, Invalid> {
    let text = node.text("BucketARN").unwrap_or_default();
    let not_a_bucket = || Invalid::NotABucket(text.to_owned());
    let arn = Arn::parse(text).map_err(|_| not_a_bucket())?;
    let is_bucket = arn.service == "s3" && !arn.resource.is_empty() && !is_dots(arn.resource);
    if is_bucket { Ok(arn.resource.to_owned()) } else { Err(not_a_bucket()) }
}

/// A name that is a path of its own where buckets are directories.
fn is_dots(name: &str) -> bool {
    name == "." || name == ".."
}

fn compression(node: Node<'_>) -> Compression {
    match node.text("CompressionFormat") {
        Some("GZIP") => Compression::Gzip,
        Some("ZIP") => Compression::Zip,
        Some("Snappy") => Compression::Snappy,
        Some("HADOOP_SNAPPY") => Compression::HadoopSnappy,
        Some(_) | None => Compression::None,
    }
}

/// The `BufferingHints` of `node`: both or neither; `default` in mebibytes and seconds.
pub(super) fn buffering(node: Node<'_>, default: (u64, u64)) -> Result<Buffering, Invalid> {
    let (mebibytes, seconds) = match node.child("BufferingHints") {
        None => default,
        Some(hints) => match (hints.integer("SizeInMBs"), hints.integer("IntervalInSeconds")) {
            (Some(mebibytes), Some(seconds)) => (mebibytes, seconds),
            (None, None) => default,
            (Some(_), None) | (None, Some(_)) => return Err(Invalid::HalfBuffering),
        },
    };
    Ok(sized(mebibytes, seconds))
}

/// The `BufferingHints` of `node` where each stands for itself, as Splunk's do (documented).
pub(super) fn buffering_apart(node: Node<'_>, default: (u64, u64)) -> Buffering {
    let hints = node.child("BufferingHints");
    let given = |name| hints.and_then(|hints| hints.integer(name));
    let mebibytes = given("SizeInMBs").unwrap_or(default.0);
    sized(mebibytes, given("IntervalInSeconds").unwrap_or(default.1))
}

fn sized(mebibytes: u64, seconds: u64) -> Buffering {
    Buffering { bytes: mebibytes * MEBIBYTE, interval: Duration::from_secs(seconds) }
}

fn kms_key(node: Node<'_>) -> Result<Option<String>, Invalid> {
    let Some(encryption) = node.child("EncryptionConfiguration") else { return Ok(None) };
    let key = encryption.child("KMSEncryptionConfig").and_then(|key| key.text("AWSKMSKeyARN"));
    match (key, encryption.text("NoEncryptionConfig")) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        (None, Some(_)) => Ok(None),
        (Some(_), Some(_)) | (None, None) => Err(Invalid::NotOneEncryption),
    }
}

/// Where `node` has errors logged.
pub(super) fn error_log(node: Node<'_>) -> Result<Option<ErrorLog>, Invalid> {
    let options = node.child("CloudWatchLoggingOptions");
    let Some(options) = options.filter(|options| options.truth("Enabled") == Some(true)) else {
        return Ok(None);
    };
    match (options.filled("LogGroupName"), options.filled("LogStreamName")) {
        (Some(group), Some(stream)) => {
            Ok(Some(ErrorLog { group: group.to_owned(), stream: stream.to_owned() }))
        }
        (Some(_) | None, _) => Err(Invalid::LogNameMissing),
    }
}

/// The `RetryOptions` of `node`.
pub(super) fn retry(node: Node<'_>, default_seconds: u64) -> Duration {
    let options = node.child("RetryOptions");
    let given = options.and_then(|options| options.integer("DurationInSeconds"));
    Duration::from_secs(given.unwrap_or(default_seconds))
}
