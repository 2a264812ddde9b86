//! Tables that are folders: the catalog that needs no server.
//!
//! Laid out as Iceberg's Hadoop catalog has it: `WAREHOUSE/DATABASE/TABLE/metadata` holds a
//! `vN.metadata.json` for each version, and `version-hint.text` with a number that is seldom too
//! low. A commit makes the file of the next version, which only one writer can.
//!
//! Invariant: a version's file is never replaced.

use bytes::Bytes;
use millstream_iceberg::TableMetadata;

use super::catalog::{CommitError, Loaded, Name, Token, table_failure};
use super::storage::{read_whole, unpacked};
use crate::Failure;
use crate::objects::{Bucket, Buckets, PutOptions, in_memory};

/// Where folders are unless a configuration says otherwise.
const WAREHOUSE: &str = "s3://iceberg";
const HINT: &str = "version-hint.text";
/// Versions listed at once.
const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Folder {
    buckets: Buckets,
}

impl Folder {
    pub(super) fn new(buckets: Buckets) -> Self {
        Self { buckets }
    }

    /// The bucket of a table, and what keys of its metadata begin with.
    fn place(&self, name: &Name, warehouse: Option<&str>) -> Result<(Bucket, String), Failure> {
        if self.buckets.root().is_none() {
            let message = "Tables without a catalog need buckets that are directories: set \
                           glue_endpoint or iceberg_endpoint.";
            return Err(Failure::permanent("Iceberg.NoCatalog", message));
        }
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['/', '\\']);
        if !is_plain(&name.database) || !is_plain(&name.table) {
            return Err(name.missing());
        }
        let warehouse = warehouse.unwrap_or(WAREHOUSE);
        let below = warehouse.split_once("://").map_or(warehouse, |(_, below)| below);
        let (bucket, prefix) = below.split_once('/').unwrap_or((below, ""));
        let wrong = |reason: String| {
            let message = format!("The warehouse {warehouse} cannot be used: {reason}.");
            Failure::permanent("Iceberg.InvalidLocation", message)
        };
        let bucket = self.buckets.bucket(bucket).map_err(|error| wrong(error.to_string()))?;
        let prefix = prefix.trim_matches('/');
        let gap = if prefix.is_empty() { "" } else { "/" };
        let Name { database, table } = name;
        Ok((bucket, format!("{prefix}{gap}{database}/{table}/metadata/")))
    }

    pub(super) async fn load(
        &self,
        name: &Name,
        warehouse: Option<&str>,
    ) -> Result<Loaded, Failure> {
        let (bucket, prefix) = self.place(name, warehouse)?;
        let (version, file) = newest(&bucket, &prefix).await?.ok_or_else(|| name.missing())?;
        let read = read_whole(&bucket, &format!("{prefix}{file}")).await?;
        let metadata = TableMetadata::parse(&unpacked(read)?);
        let metadata = metadata.map_err(|error| table_failure(&error))?;
        let location = format!("{}/metadata/{file}", metadata.location());
        Ok(Loaded { metadata, location, token: Token::Version(version) })
    }

    pub(super) async fn commit(
        &self,
        name: &Name,
        warehouse: Option<&str>,
        loaded: &Loaded,
        next: Vec<u8>,
    ) -> Result<(), CommitError> {
        let Token::Version(version) = loaded.token else { unreachable!("it was found by version") };
        let (bucket, prefix) = self.place(name, warehouse)?;
        let version = version + 1;
        let key = format!("{prefix}v{version}.metadata.json");
        // A compressed file of the same version is another name, and as good.
        let packed = format!("{prefix}v{version}.gz.metadata.json");
        if exists(&bucket, &packed).await? || !bucket.put_new(&key, next.into()).await? {
            return Err(CommitError::Conflict(format!("version {version} is there already")));
        }
        let hint = in_memory([Bytes::from(version.to_string())]);
        let hinted = bucket.put(&format!("{prefix}{HINT}"), hint, &PutOptions::default()).await;
        if let Err(error) = hinted {
            // The version is there all the same: whoever reads the old hint looks on from it.
            tracing::debug!(%error, table = %name, "a version hint was not written");
        }
        Ok(())
    }
}

/// The file of the newest version.
async fn newest(bucket: &Bucket, prefix: &str) -> Result<Option<(u64, String)>, Failure> {
    let mut found: Option<(u64, String)> = None;
    let mut after: Option<String> = None;
    loop {
        let page = bucket.list(&format!("{prefix}v"), after.as_deref(), PAGE).await?;
        for object in &page.objects {
            let file = &object.key[prefix.len()..];
            if let Some(version) = version_of(file)
                && found.as_ref().is_none_or(|(highest, _)| version > *highest)
            {
                found = Some((version, file.to_owned()));
            }
        }
        match page.objects.last() {
            Some(last) if page.has_more => after = Some(last.key.clone()),
            _ => return Ok(found),
        }
    }
}

/// The version of `v12.metadata.json`, `v12.gz.metadata.json` or `v12.metadata.json.gz`.
fn version_of(file: &str) -> Option<u64> {
    let (number, rest) = file.strip_prefix('v')?.split_once('.')?;
    let is_one = matches!(rest, "metadata.json" | "gz.metadata.json" | "metadata.json.gz");
    number.parse().ok().filter(|_| is_one)
}

async fn exists(bucket: &Bucket, key: &str) -> Result<bool, Failure> {
    let page = bucket.list(key, None, 1).await?;
    Ok(page.objects.first().is_some_and(|object| object.key == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_off_the_names_of_their_files() {
        assert_eq!(version_of("v12.metadata.json"), Some(12));
        assert_eq!(version_of("v3.gz.metadata.json"), Some(3));
        assert_eq!(version_of("v3.metadata.json.gz"), Some(3));
        for other in ["version-hint.text", "v.metadata.json", "v1.json", "00001-a.metadata.json"] {
            assert_eq!(version_of(other), None, "{other}");
        }
    }
}
