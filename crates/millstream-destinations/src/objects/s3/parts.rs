//! Cuts an object's chunks into parts, each hashed, on a thread that may block.

use bytes::Bytes;
use millstream_auth::sigv4::sha256_hex_of;

use super::super::Chunks;
use crate::Failure;
use crate::outbound::Pieces;

/// The bytes of a part. An object of this size or less goes in one request; ten thousand parts,
/// the most that S3 takes, are 156 GiB.
pub(super) const PART_BYTES: usize = 16 * 1024 * 1024;

/// One part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) body: Pieces,
    /// SHA-256, in hexadecimal.
    pub(super) hash: String,
}

impl Part {
    /// The only part of an object without bytes.
    pub(super) fn empty() -> Self {
        Self { body: Pieces::default(), hash: sha256_hex_of([]) }
    }
}

/// What is left of an object.
pub(super) struct Parts {
    /// None: over.
    source: Option<Source>,
    part_bytes: usize,
}

struct Source {
    chunks: Chunks,
    /// What the last chunk held beyond the last part.
    rest: Bytes,
}

impl Parts {
    pub(super) fn new(chunks: Chunks, part_bytes: usize) -> Self {
        Self { source: Some(Source { chunks, rest: Bytes::new() }), part_bytes }
    }

    /// Whether the last part was the object's last.
    pub(super) fn is_over(&self) -> bool {
        self.source.is_none()
    }

    /// The next part: a full one, or the last; none behind that.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, Failure> {
        let Some(mut source) = self.source.take() else { return Ok(None) };
        let part_bytes = self.part_bytes;
        let gathered = tokio::task::spawn_blocking(move || {
            let body = source.gather(part_bytes)?;
            let is_last = source.is_over()?;
            let hash = sha256_hex_of(body.iter());
            Ok::<_, std::io::Error>((Part { body, hash }, (!is_last).then_some(source)))
        });
        let unreadable = |reason: String| {
            Failure::retryable("InternalError", format!("the object cannot be read: {reason}"))
        };
        let gathered = gathered.await.map_err(|error| unreadable(error.to_string()))?;
        let (part, source) = gathered.map_err(|error| unreadable(error.to_string()))?;
        self.source = source;
        Ok((part.body.bytes() > 0).then_some(part))
    }
}

impl Source {
    /// Takes `part_bytes`, or all that is left. Nothing is copied.
    fn gather(&mut self, part_bytes: usize) -> std::io::Result<Pieces> {
        let mut part = Pieces::default();
        let mut left = part_bytes;
        loop {
            let taken = self.rest.split_to(self.rest.len().min(left));
            left -= taken.len();
            part.push(taken);
            if left == 0 {
                return Ok(part);
            }
            match self.chunks.next() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(part),
            }
        }
    }

    /// Whether nothing is left; looks ahead past empty chunks.
    fn is_over(&mut self) -> std::io::Result<bool> {
        while self.rest.is_empty() {
            match self.chunks.next() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(true),
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use millstream_auth::sigv4::sha256_hex;

    use super::super::super::in_memory;
    use super::*;

    async fn sizes(chunks: &[usize], part_bytes: usize) -> Vec<usize> {
        let chunks: Vec<Bytes> = chunks.iter().map(|size| Bytes::from(vec![1; *size])).collect();
        let mut parts = Parts::new(in_memory(chunks), part_bytes);
        let mut sizes = Vec::new();
        while let Some(part) = parts.next().await.unwrap() {
            let whole: Vec<u8> = part.body.iter().flatten().copied().collect();
            assert_eq!(part.hash, sha256_hex(&whole));
            sizes.push(whole.len());
        }
        assert!(parts.is_over());
        sizes
    }

    #[tokio::test]
    async fn all_parts_are_full_but_the_last() {
        assert_eq!(sizes(&[], 4).await, [0; 0]);
        assert_eq!(sizes(&[0, 0], 4).await, [0; 0]);
        assert_eq!(sizes(&[4, 0], 4).await, [4]);
        assert_eq!(sizes(&[4, 0, 1], 4).await, [4, 1]);
        assert_eq!(sizes(&[1, 1, 1, 1, 1], 4).await, [4, 1]);
        assert_eq!(sizes(&[11], 4).await, [4, 4, 3]);
        assert_eq!(sizes(&[3, 9], 4).await, [4, 4, 4]);
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_read_is_not_cut_short() {
        let broken = || Err(std::io::Error::other("gone"));
        let chunks: Chunks = Box::new(vec![Ok(Bytes::from_static(b"1234")), broken()].into_iter());
        let mut parts = Parts::new(chunks, 4);
        let failure = parts.next().await.unwrap_err();
        assert!(failure.message.contains("gone"));
    }
}
