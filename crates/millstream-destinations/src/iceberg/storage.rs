//! Files of tables, by the locations that metadata has for them.
//!
//! Owns the way from a location to a bucket and a key. `s3://BUCKET/KEY` is what it says, wherever
//! buckets are. Where they are directories, a path into one of them is the same, as a program on
//! this machine would have made it; a path to anywhere else is refused.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::Failure;
use crate::objects::{Bucket, Buckets, PutOptions, in_memory};

/// Read at once.
const PART_BYTES: usize = 8 << 20;
/// Metadata and lists of manifests at most.
const FILE_BYTES_MAX: usize = 256 << 20;

/// Where tables' files are.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    buckets: Buckets,
}

impl Storage {
    pub(super) fn new(buckets: Buckets) -> Self {
        Self { buckets }
    }

    /// The bucket and the key of a location.
    pub(super) fn place(&self, location: &str) -> Result<(Bucket, String), Failure> {
        let wrong =
            |why: &str| Failure::permanent("Iceberg.InvalidLocation", format!("{location} {why}"));
        let below = ["s3://", "s3a://", "s3n://"]
            .iter()
            .find_map(|scheme| location.strip_prefix(scheme))
            .map(str::to_owned)
            .or_else(|| self.below_root(location))
            .ok_or_else(|| wrong("is in none of this server's buckets"))?;
        let (bucket, key) = below.split_once('/').ok_or_else(|| wrong("names no file"))?;
        let bucket = self.buckets.bucket(bucket).map_err(|error| wrong(&error.to_string()))?;
        Ok((bucket, key.to_owned()))
    }

    /// What follows the root of buckets that are directories.
    fn below_root(&self, location: &str) -> Option<String> {
        let path = location.strip_prefix("file:").unwrap_or(location);
        // As `file:/a`, `file:///a` and `/a`.
        let path = format!("/{}", path.trim_start_matches('/'));
        let root = self.buckets.root()?;
        let absolute = std::path::absolute(root).ok()?;
        #[allow(clippy::disallowed_methods)] // A link to the root is as good as the root.
        let real = std::fs::canonicalize(root).ok();
        [Some(absolute), real].into_iter().flatten().find_map(|root| {
            let below = std::path::Path::new(&path).strip_prefix(root).ok()?.to_str()?;
            // A path may not leave what it was found in.
            let is_plain = below.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
            is_plain.then(|| below.to_owned())
        })
    }

    /// A whole file.
    pub(super) async fn read(&self, location: &str) -> Result<Bytes, Failure> {
        let (bucket, key) = self.place(location)?;
        read_whole(&bucket, &key).await
    }

    /// A whole file, unpacked where it is compressed: some catalogs do that with metadata.
    pub(super) async fn read_metadata(&self, location: &str) -> Result<Bytes, Failure> {
        unpacked(self.read(location).await?)
    }

    /// Puts a file.
    pub(super) async fn write(&self, location: &str, chunks: Vec<Bytes>) -> Result<(), Failure> {
        let (bucket, key) = self.place(location)?;
        bucket.put(&key, in_memory(chunks), &PutOptions::default()).await
    }
}

fn too_large(what: &str) -> Failure {
    let message = format!("{what} has more than {FILE_BYTES_MAX} bytes");
    Failure::permanent("Iceberg.MetadataTooLarge", message)
}

pub(super) async fn read_whole(bucket: &Bucket, key: &str) -> Result<Bytes, Failure> {
    let first = bucket.read(key, 0, PART_BYTES).await?;
    if first.len() < PART_BYTES {
        return Ok(first);
    }
    let mut whole = first.to_vec();
    loop {
        let part = bucket.read(key, whole.len() as u64, PART_BYTES).await?;
        whole.extend_from_slice(&part);
        if whole.len() > FILE_BYTES_MAX {
            return Err(too_large(key));
        }
        if part.len() < PART_BYTES {
            return Ok(whole.into());
        }
    }
}

pub(super) fn unpacked(file: Bytes) -> Result<Bytes, Failure> {
    if !file.starts_with(&[0x1F, 0x8B]) {
        return Ok(file);
    }
    let mut out = Vec::new();
    let bytes_max = FILE_BYTES_MAX as u64 + 1;
    GzDecoder::new(&*file).take(bytes_max).read_to_end(&mut out).map_err(|error| {
        Failure::permanent("Iceberg.InvalidMetadata", format!("the metadata is broken: {error}"))
    })?;
    if out.len() > FILE_BYTES_MAX {
        return Err(too_large("the metadata"));
    }
    Ok(out.into())
}
