//! Buckets: a directory each, or an S3-compatible endpoint's.
//!
//! Owns putting an object whole, reading it back in pieces, and listing. An object is there with
//! all its bytes or not at all, and once a put has answered it stays, also through a loss of
//! power. Putting the same key again replaces the object, so a put may be repeated.
//!
//! Objects come as chunks from an iterator, which is pulled on a thread that may block: it can
//! read files. Memory held is two parts of a multipart upload at most.

mod directory;
mod s3;
mod xml;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::{Clock, Timestamp};

use crate::outbound::Outbound;
use crate::{ConfigError, Failure};

pub use s3::S3Settings;

use directory::{Directory, Wanted};
use s3::S3;

/// The bytes of an object, in order. An error ends the put, which then fails.
pub type Chunks = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;

/// The chunks of an object that is all in memory.
pub fn in_memory(chunks: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> Chunks {
    Box::new(chunks.into_iter().map(Ok))
}

/// What is said of an object beside its bytes. A directory keeps none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// The key that the bucket is to encrypt with (`aws:kms`).
    pub kms_key: Option<String>,
    /// Its media type; `application/octet-stream` where none is given.
    pub content_type: Option<String>,
    /// How it is compressed, for clients that undo that.
    pub content_encoding: Option<String>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSummary {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was put, where that is known.
    pub modified: Option<Timestamp>,
}

/// Some of the objects of a bucket, in the order of their keys' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects.
    pub objects: Vec<ObjectSummary>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

/// Where buckets are.
#[derive(Clone)]
pub struct Buckets(Arc<Place>);

enum Place {
    Directory(Arc<Directory>),
    S3(Arc<S3>),
}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Place::Directory(all) => write!(f, "Buckets({})", all.root().display()),
            Place::S3(s3) => write!(f, "Buckets({s3:?})"),
        }
    }
}

impl Buckets {
    /// Buckets that are folders of `root`, made when they are first put into.
    pub fn directory(root: PathBuf) -> Self {
        Self(Arc::new(Place::Directory(Arc::new(Directory::new(root)))))
    }

    /// Buckets of an S3-compatible service.
    pub fn s3(
        settings: &S3Settings,
        outbound: Outbound,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Place::S3(Arc::new(S3::new(settings, outbound, clock)?)))))
    }

    /// Where buckets are that are directories.
    pub fn root(&self) -> Option<&std::path::Path> {
        match &*self.0 {
            Place::Directory(all) => Some(all.root()),
            Place::S3(_) => None,
        }
    }

    /// The bucket `name`; whether it exists shows when it is used.
    pub fn bucket(&self, name: &str) -> Result<Bucket, ConfigError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        // Beyond today's rules there are buckets with capitals and `_` from before them.
        let is_name = (1..=255).contains(&name.len())
            && name.bytes().all(plain)
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !name.contains("..");
        if !is_name {
            return Err(ConfigError::invalid(
                "the bucket",
                format!("{name:?} is no bucket's name"),
            ));
        }
        Ok(Bucket { name: name.to_owned(), place: Arc::clone(&self.0) })
    }
}

/// One bucket; clones are the same bucket.
#[derive(Clone)]
pub struct Bucket {
    name: String,
    place: Arc<Place>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.name)
    }
}

impl Bucket {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts an object whole, instead of any that has its key.
    pub async fn put(
        &self,
        key: &str,
        chunks: Chunks,
        options: &PutOptions,
    ) -> Result<(), Failure> {
        match &*self.place {
            Place::Directory(all) => all.put(&self.name, key, chunks).await,
            Place::S3(s3) => s3.put(&self.name, key, chunks, options).await,
        }
    }

    /// Puts an object unless its key has one already: false says so. In directories only.
    pub async fn put_new(&self, key: &str, body: Bytes) -> Result<bool, Failure> {
        match &*self.place {
            Place::Directory(all) => all.put_new(&self.name, key, body).await,
            Place::S3(_) => {
                let message = "only a directory can tell whether an object is new";
                Err(Failure::permanent("InternalError", message))
            }
        }
    }

    /// The object's bytes from `offset` on, at most `bytes_max` of them; none behind its end.
    pub async fn read(&self, key: &str, offset: u64, bytes_max: usize) -> Result<Bytes, Failure> {
        match &*self.place {
            Place::Directory(all) => all.read(&self.name, key, offset, bytes_max).await,
            Place::S3(s3) => s3.read(&self.name, key, offset, bytes_max).await,
        }
    }

    /// Objects whose keys begin with `prefix` and come behind `after`, at most `count_max` (and
    /// a thousand).
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        count_max: usize,
    ) -> Result<Page, Failure> {
        let count_max = count_max.clamp(1, 1_000);
        match &*self.place {
            Place::Directory(all) => {
                let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
                all.list(&self.name, Wanted { prefix, after, count_max }).await
            }
            Place::S3(s3) => s3.list(&self.name, prefix, after, count_max).await,
        }
    }
}
