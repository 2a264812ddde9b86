//! One connection to one broker.
//!
//! Owns the framing and the limits on it. Requests follow one another; a connection that failed,
//! or whose request was given up, is dropped by its owner and never used again, so that no answer
//! is taken for another's.
//!
//! Addresses come from the operator and from brokers: each is seen by the guard of
//! `millstream_destinations::outbound`, so that no broker sends this server to what serves
//! credentials to the machines of a cloud.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_core::Rand;
use millstream_destinations::outbound::{
    Allow, Outbound, OutboundSettings, Stream, Trust, TrustError,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::KafkaError;
use super::login::Login;
use super::message::{Request, Versions};
use super::wire::Reader;
use crate::settings::KafkaCluster;

/// How long a broker may take to accept, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to answer: nothing here waits for records.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// An answer holds one batch at least, however large: the largest that a record of
/// [`RECORD_BYTES_MAX`](super::batch::RECORD_BYTES_MAX) may be in, and what stands around it.
const ANSWER_BYTES_MAX: usize = (64 << 20) + (64 << 10);
/// What an alert of TLS begins with (RFC 8446, section 5.1), where an answer's length is.
const TLS_ALERT: u32 = 0x1503;

/// How the brokers of a cluster are spoken to.
#[derive(Debug)]
pub(crate) struct Access {
    outbound: Outbound,
    is_tls: bool,
    login: Option<Login>,
}

impl Access {
    /// As a cluster's setting says.
    pub(crate) fn new(cluster: &KafkaCluster, rand: Arc<dyn Rand>) -> Result<Self, TrustError> {
        let pem = cluster.tls.as_ref().and_then(|tls| tls.authorities.clone());
        let trust = Trust { system: cluster.tls.is_some() && pem.is_none(), pem };
        // An operator's setting names the cluster, so it may be anywhere that an operator may mean.
        let settings =
            OutboundSettings { allow: Allow::operator(), trust, connect_timeout: CONNECT_LIMIT };
        let login = cluster.login.clone().map(|login| Login::new(login, rand));
        Ok(Self { outbound: Outbound::new(settings)?, is_tls: cluster.tls.is_some(), login })
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection<S = Stream> {
    stream: S,
    address: String,
    versions: Versions,
    correlation: i32,
}

impl Connection {
    /// Connects to `HOST:PORT`, learns what is spoken there, and logs in.
    pub(super) async fn open(access: &Access, address: &str) -> Result<Self, KafkaError> {
        let Some((host, port)) = host_and_port(address) else {
            return Err(KafkaError::Malformed("a broker has no address"));
        };
        let stream = access.outbound.open(host, port, access.is_tls).await;
        let stream = stream.map_err(|error| broken(address, error.to_string()))?;
        Self::begin(stream, address.to_owned(), access.login.as_ref()).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins to speak on a stream that stands.
    pub(super) async fn begin(
        stream: S,
        address: String,
        login: Option<&Login>,
    ) -> Result<Self, KafkaError> {
        let mut connection =
            Self { stream, address, versions: Versions::default(), correlation: 0 };
        let (reader, _) = connection.call(&Request::ApiVersions).await?;
        connection.versions = Versions::read(reader)?;
        if let Some(login) = login {
            login.over(&mut connection).await?;
        }
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

fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host, port.parse().ok()?))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    frame: Bytes,
) -> io::Result<Bytes> {
    stream.write_all(&frame).await?;
    stream.flush().await?;
    let length = stream.read_u32().await.map_err(hang_up)?;
    if length >> 16 == TLS_ALERT {
        return Err(io::Error::other("it speaks TLS only, which the cluster's setting lacks"));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(io::Error::other(format!("an answer of {length} bytes is too large")));
    }
    let mut answer = Vec::with_capacity(length);
    let read = stream.take(length as u64).read_to_end(&mut answer).await?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer.into())
}

/// Brokers say so in no other way, where a listener wants what it does not get.
fn hang_up(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => io::Error::other(
            "it closed the connection, as one does that wants TLS or a login and gets none",
        ),
        _ => error,
    }
}

fn broken(address: &str, reason: String) -> KafkaError {
    KafkaError::Broken { address: address.to_owned(), reason }
}

async fn within<T>(
    limit: Duration,
    address: &str,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, KafkaError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(broken(address, error.to_string())),
        Err(_) => {
            Err(KafkaError::Late { address: address.to_owned(), limit_ms: limit.as_millis() })
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;

    /// What beginning comes to at a broker that says `said` and closes.
    async fn begun(said: &'static [u8]) -> String {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let saying = tokio::spawn(async move {
            let mut asked = [0; 16];
            far.read_exact(&mut asked).await.unwrap();
            far.write_all(said).await.unwrap();
        });
        let error = Connection::begin(near, "broker:9096".to_owned(), None).await.unwrap_err();
        saying.await.unwrap();
        error.to_string()
    }

    #[tokio::test]
    async fn a_listener_that_wants_more_than_it_gets_is_told_from_one_that_breaks() {
        let alert = begun(&[0x15, 3, 1, 0, 2, 2, 50]).await;
        assert!(alert.starts_with("broker:9096: it speaks TLS only"), "{alert}");
        let closed = begun(&[]).await;
        assert!(closed.starts_with("broker:9096: it closed the connection"), "{closed}");
        let huge = begun(&[0x7f, 0, 0, 0]).await;
        assert!(huge.contains("is too large"), "{huge}");
    }

    #[tokio::test]
    async fn no_broker_sends_a_reader_to_what_serves_credentials() {
        let cluster = KafkaCluster::open("broker:9092");
        let access = Access::new(&cluster, Arc::new(SeededRand::new(7))).unwrap();
        for address in ["169.254.169.254:80", "[fd00:ec2::254]:80"] {
            let error = Connection::open(&access, address).await.unwrap_err();
            assert!(error.to_string().contains("which is not allowed"), "{error}");
        }
    }

    #[test]
    fn addresses_are_taken_apart_at_their_last_colon() {
        assert_eq!(host_and_port("b-1.example:9096"), Some(("b-1.example", 9_096)));
        assert_eq!(host_and_port("[::1]:9092"), Some(("::1", 9_092)));
        assert_eq!(host_and_port("b-1"), None);
        assert_eq!(host_and_port("b-1:-1"), None);
    }
}
