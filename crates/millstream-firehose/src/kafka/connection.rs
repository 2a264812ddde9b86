//! One connection to one broker.
//!
//! Owns the framing and the limits on it. Requests follow one another; a connection that failed,
//! or whose request was given up, is dropped by its owner and never used again, so that no answer
//! is taken for another's.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::KafkaError;
use super::message::{Request, Versions};
use super::wire::Reader;

/// How long a broker may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long it may take to answer: nothing here waits for records.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// An answer holds one batch at least, however large: the largest that a record of
/// [`RECORD_BYTES_MAX`](super::batch::RECORD_BYTES_MAX) may be in, and what stands around it.
const ANSWER_BYTES_MAX: usize = (64 << 20) + (64 << 10);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    versions: Versions,
    correlation: i32,
}

impl Connection {
    /// Connects to `HOST:PORT`, and learns what is spoken there.
    pub(super) async fn open(address: &str) -> Result<Self, KafkaError> {
        let connecting = TcpStream::connect(address);
        let stream = within(CONNECT_LIMIT, address, connecting).await?;
        // Without it small requests wait for nothing; that it fails is no one's loss.
        let _ = stream.set_nodelay(true);
        let (address, versions) = (address.to_owned(), Versions::default());
        let mut connection = Self { stream, address, versions, correlation: 0 };
        let (reader, _) = connection.call(&Request::ApiVersions).await?;
        connection.versions = Versions::read(reader)?;
        Ok(connection)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and returns its answer, past the header's number, with the version.
    pub(super) async fn call(
        &mut self,
        request: &Request<'_>,
    ) -> Result<(Reader, i16), KafkaError> {
        let version = request.version(&self.versions).map_err(|(key, version)| {
            KafkaError::TooOld { address: self.address.clone(), key, version }
        })?;
        self.correlation = self.correlation.wrapping_add(1);
        let frame = request.frame(version, self.correlation);
        let exchange = exchange(&mut self.stream, frame);
        let answer = within(ANSWER_LIMIT, &self.address, exchange).await?;
        let mut reader = Reader::new(answer, request.is_flexible(version));
        if reader.i32()? != self.correlation {
            return Err(KafkaError::Malformed("an answer is to another request"));
        }
        Ok((reader, version))
    }
}

async fn exchange(stream: &mut TcpStream, frame: Bytes) -> std::io::Result<Bytes> {
    stream.write_all(&frame).await?;
    let length = stream.read_i32().await?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(std::io::Error::other(format!("an answer of {length} bytes is too large")));
    }
    let mut answer = Vec::with_capacity(length);
    let read = stream.take(length as u64).read_to_end(&mut answer).await?;
    if read < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.into())
}

async fn within<T>(
    limit: Duration,
    address: &str,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, KafkaError> {
    let address = || address.to_owned();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(KafkaError::Broken { address: address(), reason: error.to_string() }),
        Err(_) => Err(KafkaError::Late { address: address(), limit_ms: limit.as_millis() }),
    }
}
