//! A service that checks every signature, keeps objects and parts, and fails where it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_auth::sigv4::PathForm;
use millstream_destinations::Failure;
use millstream_destinations::objects::{
    Bucket, Buckets, Chunks, PutOptions, S3Settings, in_memory,
};

use super::fake::{Fake, MakeReply, Reply, Seen, assert_signed, clock, credentials, outbound};

const MIB: usize = 1024 * 1024;

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    aborted: usize,
    /// Steps that fail, such as `part 2` or `complete`, and how.
    faults: Vec<(&'static str, MakeReply)>,
}

type Shared = Arc<Mutex<Store>>;

fn xml(status: u16, body: &str) -> Reply {
    Reply::body(status, body.to_owned()).with("content-type", "application/xml")
}

fn error(status: u16, code: &str) -> Reply {
    xml(status, &format!("<Error><Code>{code}</Code><Message>told to</Message></Error>"))
}

impl Store {
    fn fault(&self, step: &str) -> Option<Reply> {
        self.faults.iter().find(|(name, _)| *name == step).map(|(_, reply)| reply())
    }

    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_signed(seen, "s3", PathForm::Once);
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let path = path.to_owned();
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let id = parameter("uploadId").map(str::to_owned);
        match (seen.method.as_str(), id, query) {
            ("PUT", None, "") => self.fault("put").unwrap_or_else(|| {
                self.objects.insert(path, seen.body.to_vec());
                Reply::status(200)
            }),
            ("POST", None, "uploads") => self.fault("create").unwrap_or_else(|| {
                self.uploads.insert("up/load+1".to_owned(), BTreeMap::new());
                xml(200, "<InitiateMultipartUploadResult><UploadId>up/load+1</UploadId></InitiateMultipartUploadResult>")
            }),
            ("PUT", Some(id), _) => {
                assert_eq!(id, "up%2Fload%2B1");
                let number: u32 = parameter("partNumber").unwrap().parse().unwrap();
                if let Some(fault) = self.fault(&format!("part {number}")) {
                    return fault;
                }
                let parts = self.uploads.get_mut("up/load+1").unwrap();
                parts.insert(number, seen.body.to_vec());
                Reply::status(200).with("etag", format!("\"tag-{number}\""))
            }
            ("POST", Some(_), _) => self.fault("complete").unwrap_or_else(|| self.complete(path, seen)),
            ("DELETE", Some(_), _) => {
                self.aborted += usize::from(self.uploads.remove("up/load+1").is_some());
                Reply::status(204)
            }
            ("GET", None, _) => self.get(&path, query, seen),
            other => panic!("{other:?}"),
        }
    }

    fn complete(&mut self, path: String, seen: &Seen) -> Reply {
        let parts = self.uploads.remove("up/load+1").unwrap();
        let mut rest = seen.text().strip_prefix("<CompleteMultipartUpload>").unwrap();
        for number in parts.keys() {
            let tag = format!("<ETag>&quot;tag-{number}&quot;</ETag>");
            let part = format!("<Part><PartNumber>{number}</PartNumber>{tag}</Part>");
            rest = rest.strip_prefix(part.as_str()).unwrap();
        }
        assert_eq!(rest, "</CompleteMultipartUpload>");
        let last = parts.len();
        for (number, part) in parts.values().enumerate() {
            assert!(part.len() >= 5 * MIB || number + 1 == last, "a part is too small for S3");
        }
        let parts: Vec<Vec<u8>> = parts.into_values().collect();
        self.objects.insert(path, parts.concat());
        xml(
            200,
            "<CompleteMultipartUploadResult xmlns=\"x\"><ETag>1</ETag></CompleteMultipartUploadResult>",
        )
    }

    fn get(&self, path: &str, query: &str, seen: &Seen) -> Reply {
        if query.starts_with("list-type=2") {
            return xml(
                200,
                "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a&amp;b</Key>\
                 <LastModified>2009-10-12T17:50:30.000Z</LastModified><Size>7</Size></Contents>\
                 </ListBucketResult>",
            );
        }
        let Some(object) = self.objects.get(path) else { return error(404, "NoSuchKey") };
        let range = seen.header("range").unwrap().strip_prefix("bytes=").unwrap();
        let (start, last) = range.split_once('-').unwrap();
        let (start, last): (usize, usize) = (start.parse().unwrap(), last.parse().unwrap());
        if start >= object.len() {
            return error(416, "InvalidRange");
        }
        Reply::body(206, object[start..object.len().min(last + 1)].to_vec())
    }
}

async fn serve(store: &Shared) -> (Fake, Bucket) {
    let own = Arc::clone(store);
    let fake = Fake::start(move |seen| own.lock().unwrap().answer(seen)).await;
    let settings = S3Settings {
        endpoint: Some(fake.url("")),
        region: "eu-west-1".to_owned(),
        credentials: Some(credentials()),
        path_style: true,
    };
    let bucket = Buckets::s3(&settings, outbound(), clock()).unwrap().bucket("my-bucket").unwrap();
    (fake, bucket)
}

fn large() -> (Chunks, Vec<u8>) {
    let chunks: Vec<Bytes> = (0..33_u8).map(|number| Bytes::from(vec![number; MIB])).collect();
    let whole = chunks.concat();
    (in_memory(chunks), whole)
}

#[tokio::test]
async fn a_small_object_goes_in_one_signed_request() {
    let store = Shared::default();
    let (fake, bucket) = serve(&store).await;
    let options = PutOptions {
        kms_key: Some("arn:aws:kms:eu-west-1:1:key/k".to_owned()),
        content_type: None,
        content_encoding: Some("gzip".to_owned()),
    };
    let key = "2026/01/02/03/a b+c=d%25\u{e9}//~";
    let chunks = in_memory([Bytes::from_static(b"one "), Bytes::from_static(b"two")]);
    bucket.put(key, chunks, &options).await.unwrap();
    let path = "/my-bucket/2026/01/02/03/a%20b%2Bc%3Dd%2525%C3%A9//~";
    assert_eq!(store.lock().unwrap().objects[path], b"one two");
    let seen = &fake.seen()[0];
    assert_eq!(seen.header("x-amz-server-side-encryption"), Some("aws:kms"));
    let kms = seen.header("x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(kms, Some("arn:aws:kms:eu-west-1:1:key/k"));
    assert_eq!(seen.header("content-type"), Some("application/octet-stream"));
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    bucket.put("empty", in_memory([]), &PutOptions::default()).await.unwrap();
    assert_eq!(store.lock().unwrap().objects["/my-bucket/empty"], b"");
    assert_eq!(fake.seen()[1].header("x-amz-server-side-encryption"), None);
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_can_be_read_back() {
    let store = Shared::default();
    let (fake, bucket) = serve(&store).await;
    let (chunks, whole) = large();
    let options = PutOptions { content_type: Some("text/x".to_owned()), ..PutOptions::default() };
    bucket.put("large", chunks, &options).await.unwrap();
    assert_eq!(fake.seen()[0].header("content-type"), Some("text/x"));
    assert!(store.lock().unwrap().objects["/my-bucket/large"] == whole);
    assert_eq!(fake.seen().len(), 5, "create, three parts, complete");
    assert_eq!(store.lock().unwrap().aborted, 0);
    let mut back = Vec::new();
    loop {
        let part = bucket.read("large", back.len() as u64, 16 * MIB).await.unwrap();
        if part.is_empty() {
            break;
        }
        back.extend_from_slice(&part);
    }
    assert!(back == whole);
    assert_eq!(bucket.read("none", 0, 1).await.unwrap_err().code, "S3.NoSuchKey");
}

/// Puts a large object into a service with a fault, waits for what it does about it.
async fn put_with(step: &'static str, reply: MakeReply) -> (Failure, usize, bool) {
    let store = Shared::default();
    store.lock().unwrap().faults.push((step, reply));
    let (_fake, bucket) = serve(&store).await;
    let failure = bucket.put("large", large().0, &PutOptions::default()).await.unwrap_err();
    wait_until(|| store.lock().unwrap().uploads.is_empty()).await;
    let store = store.lock().unwrap();
    (failure, store.aborted, store.objects.is_empty())
}

/// What is let go is let go in the background.
async fn wait_until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it comes to hold");
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted_and_leaves_no_object() {
    let rows: [(&str, MakeReply, &str); 7] = [
        ("create", || error(403, "AccessDenied"), "S3.AccessDenied"),
        ("part 1", || error(503, "SlowDown"), "S3.SlowDown"),
        ("part 3", || Reply::Break, "InternalError"),
        // Taken without a tag is not taken.
        ("part 2", || Reply::status(200), "InternalError"),
        ("complete", || error(404, "NoSuchUpload"), "S3.NoSuchUpload"),
        // The status of a success, and the body of a failure (documented).
        ("complete", || error(200, "InternalError"), "S3.InternalError"),
        ("complete", || Reply::status(200), "InternalError"),
    ];
    for (step, reply, code) in rows {
        let (failure, aborted, nothing_kept) = put_with(step, reply).await;
        assert_eq!((failure.code.as_str(), failure.is_retryable), (code, true), "{step}");
        assert_eq!(aborted, usize::from(step != "create"), "{step}");
        assert!(nothing_kept, "{step}");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_waits_for_any_more_is_aborted() {
    let store = Shared::default();
    store.lock().unwrap().faults.push(("part 2", || Reply::Silence));
    let (_fake, bucket) = serve(&store).await;
    let options = PutOptions::default();
    let put = bucket.put("large", large().0, &options);
    let seen_part = async {
        wait_until(|| store.lock().unwrap().uploads.values().any(|parts| parts.contains_key(&1)))
            .await;
    };
    tokio::select! {
        outcome = put => panic!("{outcome:?}"),
        () = seen_part => {}
    }
    wait_until(|| store.lock().unwrap().aborted == 1).await;
}

#[tokio::test]
async fn an_object_whose_chunks_end_in_an_error_is_not_put() {
    let store = Shared::default();
    let (_fake, bucket) = serve(&store).await;
    for whole_parts in [0, 2] {
        let parts = (0..whole_parts).map(|_| Ok(Bytes::from(vec![1; 16 * MIB])));
        let broken = parts.chain([Err(std::io::Error::other("the spill file is gone"))]);
        let failure = bucket.put("a", Box::new(broken), &PutOptions::default()).await.unwrap_err();
        assert!(failure.message.contains("the spill file is gone"));
    }
    wait_until(|| store.lock().unwrap().uploads.is_empty()).await;
    assert!(store.lock().unwrap().objects.is_empty());
}

#[tokio::test]
async fn a_list_names_objects_and_whether_there_are_more() {
    let store = Shared::default();
    let (fake, bucket) = serve(&store).await;
    let page = bucket.list("a&", Some("a b"), 10).await.unwrap();
    assert!(page.has_more);
    assert_eq!((page.objects[0].key.as_str(), page.objects[0].bytes), ("a&b", 7));
    assert_eq!(page.objects[0].modified.unwrap().ms(), 1_255_369_830_000);
    let target = "/my-bucket/?list-type=2&max-keys=10&prefix=a%26&start-after=a%20b";
    assert_eq!(fake.seen()[0].target, target);
}

#[tokio::test]
async fn a_bucket_may_stand_in_the_host_s_name() {
    let fake = Fake::start(|seen| {
        assert_signed(seen, "s3", PathForm::Once);
        Reply::status(200)
    })
    .await;
    let settings = S3Settings {
        endpoint: Some(format!("http://localhost:{}", fake.address.port())),
        region: "eu-west-1".to_owned(),
        credentials: Some(credentials()),
        path_style: false,
    };
    let bucket = Buckets::s3(&settings, outbound(), clock()).unwrap().bucket("b").unwrap();
    // `b.localhost` is this machine (RFC 6761), where the resolver knows that.
    let outcome = bucket.put("k", in_memory([]), &PutOptions::default()).await;
    if let Some(seen) = fake.seen().first() {
        outcome.unwrap();
        assert_eq!(seen.target, "/k");
        assert_eq!(seen.header("host").unwrap(), format!("b.localhost:{}", fake.address.port()));
    } else {
        assert!(outcome.unwrap_err().message.contains("cannot resolve b.localhost"));
    }
}
