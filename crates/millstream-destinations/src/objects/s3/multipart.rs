//! Multipart uploads.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::parts::{Part, Parts};
use super::{ANSWER_BYTES_MAX, Ask, S3, answered, error, percent_encoded, xml};
use crate::Failure;

/// An upload under way. One that goes before it is completed is aborted: also when whoever put
/// the object lost patience, and the put just stops.
struct Upload {
    s3: Arc<S3>,
    bucket: String,
    key: String,
    /// Encoded for a query.
    id: String,
    is_complete: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let (bucket, key) = (std::mem::take(&mut self.bucket), std::mem::take(&mut self.key));
        let (s3, id) = (Arc::clone(&self.s3), std::mem::take(&mut self.id));
        // Without a runtime the process is ending, and the bucket's own rule has to do.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { s3.abort(&bucket, &key, &id).await });
        }
    }
}

impl S3 {
    /// Puts an object of more than one part. While one part travels the next is gathered.
    pub(super) async fn put_in_parts(
        self: &Arc<Self>,
        bucket: &str,
        key: &str,
        headers: HeaderMap,
        first: Part,
        parts: Parts,
    ) -> Result<(), Failure> {
        let create = Ask { headers, ..Ask::new(Method::POST, bucket, key, "?uploads") };
        let answer = self.ask(create, ANSWER_BYTES_MAX).await?;
        answered(&answer, &[StatusCode::OK])?;
        let id = xml::text(&String::from_utf8_lossy(&answer.body), "UploadId");
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| error::failure(&answer))?;
        let mut upload = Upload {
            s3: Arc::clone(self),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: percent_encoded(&id, b""),
            is_complete: false,
        };
        self.send_all(&upload, first, parts).await?;
        upload.is_complete = true;
        Ok(())
    }

    async fn send_all(
        &self,
        upload: &Upload,
        first: Part,
        mut parts: Parts,
    ) -> Result<(), Failure> {
        let mut manifest = String::from("<CompleteMultipartUpload>");
        let mut number = 1;
        let mut next = Some(first);
        while let Some(part) = next {
            let (sent, gathered) = tokio::join!(self.send(upload, number, part), parts.next());
            let tag = xml::escaped(&sent?);
            write!(manifest, "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
                .expect("a string takes what is written");
            next = gathered?;
            number += 1;
        }
        manifest.push_str("</CompleteMultipartUpload>");
        self.complete(upload, manifest).await
    }

    /// Sends a part: its tag.
    async fn send(&self, upload: &Upload, number: u32, part: Part) -> Result<String, Failure> {
        let query = format!("?partNumber={number}&uploadId={}", upload.id);
        let ask = Ask {
            body: part.body,
            body_hash: Some(&part.hash),
            ..Ask::new(Method::PUT, &upload.bucket, &upload.key, &query)
        };
        let answer = self.ask(ask, ANSWER_BYTES_MAX).await?;
        answered(&answer, &[StatusCode::OK])?;
        let tag = answer.header("etag").map(str::to_owned);
        tag.ok_or_else(|| Failure::retryable("InternalError", "a part was taken without a tag"))
    }

    /// Makes the parts an object. The status comes before the outcome: S3 answers 200 at once,
    /// keeps the connection alive, and may then say in the body that it failed (documented).
    async fn complete(&self, upload: &Upload, manifest: String) -> Result<(), Failure> {
        let query = format!("?uploadId={}", upload.id);
        let ask = Ask {
            body: Bytes::from(manifest).into(),
            ..Ask::new(Method::POST, &upload.bucket, &upload.key, &query)
        };
        let answer = self.ask(ask, ANSWER_BYTES_MAX).await?;
        answered(&answer, &[StatusCode::OK])?;
        let body = String::from_utf8_lossy(&answer.body);
        if body.contains("<CompleteMultipartUploadResult") {
            return Ok(());
        }
        Err(error::failure(&answer))
    }

    /// Lets go of an upload that will not be completed. What fails here costs space only, until
    /// the bucket's own rule for abandoned uploads removes it.
    async fn abort(&self, bucket: &str, key: &str, id: &str) {
        let query = format!("?uploadId={id}");
        let aborted = self.ask(Ask::new(Method::DELETE, bucket, key, &query), ANSWER_BYTES_MAX);
        // Gone already where completing it was done and only its answer lost.
        let good = [StatusCode::NO_CONTENT, StatusCode::OK, StatusCode::NOT_FOUND];
        if let Err(failure) = aborted.await.and_then(|answer| answered(&answer, &good)) {
            tracing::warn!(bucket, key, %failure, "an unfinished upload stays behind");
        }
    }
}
