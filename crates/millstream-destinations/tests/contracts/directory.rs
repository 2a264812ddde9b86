//! Buckets that are directories, on a real file system.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use millstream_destinations::objects::{Buckets, Chunks, PutOptions, in_memory};

/// A directory of the test's own, which goes with it.
pub(crate) struct Scratch(PathBuf);

static SCRATCHES: AtomicU32 = AtomicU32::new(0);

impl Scratch {
    pub(crate) fn new() -> Self {
        let number = SCRATCHES.fetch_add(1, Ordering::Relaxed);
        let name = format!("millstream-destinations-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("there is a place for temporary files");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        #[allow(clippy::disallowed_methods)] // A test's own file.
        std::fs::write(self.0.join(name), bytes).expect("it can be written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        #[allow(clippy::disallowed_methods)] // A test's own file.
        std::fs::read(self.0.join(name)).expect("it can be read")
    }

    fn count(&self, name: &str) -> usize {
        std::fs::read_dir(self.0.join(name)).map_or(0, Iterator::count)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn chunks(parts: &[&str]) -> Chunks {
    let parts: Vec<Bytes> =
        parts.iter().map(|part| Bytes::copy_from_slice(part.as_bytes())).collect();
    in_memory(parts)
}

#[tokio::test]
async fn an_object_is_a_file_in_its_bucket_s_directory() {
    let scratch = Scratch::new();
    let bucket = Buckets::directory(scratch.path().join("s3")).bucket("my-bucket").unwrap();
    let options = PutOptions::default();
    bucket.put("2026/01/02/03/a", chunks(&["one ", "two"]), &options).await.unwrap();
    assert_eq!(scratch.read("s3/my-bucket/2026/01/02/03/a"), b"one two");
    bucket.put("2026/01/02/03/a", chunks(&["again"]), &options).await.unwrap();
    assert_eq!(scratch.read("s3/my-bucket/2026/01/02/03/a"), b"again");
    bucket.put("empty", chunks(&[]), &options).await.unwrap();
    assert_eq!(scratch.read("s3/my-bucket/empty"), b"");
    assert_eq!(scratch.count("s3/.uploads"), 0);
    assert_eq!(bucket.read("2026/01/02/03/a", 1, 3).await.unwrap(), "gai");
    assert_eq!(bucket.read("2026/01/02/03/a", 3, 99).await.unwrap(), "in");
    assert_eq!(bucket.read("2026/01/02/03/a", 5, 99).await.unwrap(), "");
    assert_eq!(bucket.read("none", 0, 1).await.unwrap_err().code, "S3.NoSuchKey");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_to_its_end_is_not_there_at_all() {
    let scratch = Scratch::new();
    let bucket = Buckets::directory(scratch.path().to_owned()).bucket("b").unwrap();
    let broken = || -> Chunks {
        let parts = vec![Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))];
        Box::new(parts.into_iter())
    };
    let failure = bucket.put("a", broken(), &PutOptions::default()).await.unwrap_err();
    assert!(failure.is_retryable);
    assert_eq!(scratch.count("b"), 0);
    assert_eq!(scratch.count(".uploads"), 0);
    bucket.put("a", chunks(&["whole"]), &PutOptions::default()).await.unwrap();
    assert!(bucket.put("a", broken(), &PutOptions::default()).await.is_err());
    assert_eq!(scratch.read("b/a"), b"whole");
}

#[tokio::test]
async fn no_key_and_no_bucket_leaves_its_directory() {
    let scratch = Scratch::new();
    let buckets = Buckets::directory(scratch.path().join("s3"));
    for name in ["", ".", "..", "../x", "a/b", ".uploads", "a..b", "a\0b", "-a"] {
        assert!(buckets.bucket(name).is_err(), "{name:?}");
    }
    let bucket = buckets.bucket("b").unwrap();
    for key in ["../../out", "../up", "/etc/x", "a//b", "./c", "%2E%2E/d"] {
        bucket.put(key, chunks(&[key]), &PutOptions::default()).await.unwrap();
        assert_eq!(bucket.read(key, 0, 99).await.unwrap(), key);
    }
    assert_eq!(scratch.count(""), 1, "nothing beside s3");
    let listed = bucket.list("", None, 99).await.unwrap();
    let keys: Vec<&str> = listed.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["%2E%2E/d", "../../out", "../up", "./c", "/etc/x", "a//b"]);
}

#[tokio::test]
async fn a_key_that_needs_another_s_file_as_a_directory_is_told() {
    let scratch = Scratch::new();
    let bucket = Buckets::directory(scratch.path().to_owned()).bucket("b").unwrap();
    bucket.put("a", chunks(&["file"]), &PutOptions::default()).await.unwrap();
    let failure = bucket.put("a/b", chunks(&["x"]), &PutOptions::default()).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("S3.KeyConflict", false));
    bucket.put("c/d", chunks(&["x"]), &PutOptions::default()).await.unwrap();
    let failure = bucket.put("c", chunks(&["x"]), &PutOptions::default()).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.is_retryable), ("S3.KeyConflict", false));
}

#[tokio::test]
async fn a_list_is_in_the_order_of_keys_and_in_pages() {
    let scratch = Scratch::new();
    let bucket = Buckets::directory(scratch.path().to_owned()).bucket("b").unwrap();
    assert_eq!(bucket.list("", None, 10).await.unwrap().objects, []);
    // `a-` comes before `a/`, which comes before `a0`.
    let all = ["a-", "a/b/c", "a/b0", "a0", "b"];
    for key in all.iter().rev() {
        bucket.put(key, chunks(&[key]), &PutOptions::default()).await.unwrap();
    }
    let mut keys = Vec::new();
    loop {
        let after = keys.last().cloned();
        let page = bucket.list("", after.as_deref(), 2).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(keys, all);
    let page = bucket.list("a/b", None, 10).await.unwrap();
    let keys: Vec<_> =
        page.objects.iter().map(|object| (object.key.as_str(), object.bytes)).collect();
    assert_eq!(keys, [("a/b/c", 5), ("a/b0", 4)]);
    assert!(page.objects[0].modified.is_some());
}
