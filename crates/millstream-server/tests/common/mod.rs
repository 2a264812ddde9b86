//! A running server with a service that counts its calls, and clients of every kind.

#![allow(dead_code)] // Each test file uses its part.
#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millstream_api::{Call, Reply, SERVICES, Service, ServiceModel, WireError, kinesis};
use millstream_auth::sigv4::{Payload, Signer, SigningCredentials};
use millstream_auth::{
    AccessKeys, CreatedAccessKey, DevMode, Keyring, MasterKey, NewAccessKey, Policy, Secret,
    Verifier,
};
use millstream_core::{ManualClock, SeededRand, Timestamp};
use millstream_server::{
    Access, Drained, Listener, LocalAuthority, Server, ServerBuilder, ServerLimits, TlsIdentity,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";

/// How much GetRecords answers: more than the window of an HTTP/2 client lets through.
pub(crate) const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Answers every operation of a model, and counts.
pub(crate) struct TestService {
    pub(crate) model: &'static ServiceModel,
    pub(crate) calls: Arc<AtomicUsize>,
    /// DescribeLimits answers once this is notified.
    pub(crate) release: Arc<Notify>,
    /// DescribeLimits notifies this when it was reached.
    pub(crate) reached: Arc<Notify>,
}

impl Service for TestService {
    fn model(&self) -> &'static ServiceModel {
        self.model
    }

    fn call(&self, call: Call, body: Bytes) -> BoxFuture<'static, Reply> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (release, reached) = (self.release.clone(), self.reached.clone());
        async move {
            match call.operation.name {
                "DescribeLimits" => {
                    reached.notify_one();
                    release.notified().await;
                    Reply::Body(Bytes::from_static(b"{}"))
                }
                "ListTagsForResource" => panic!("a fault of ours"),
                "ListShards" => Reply::Error(WireError::new(
                    "ResourceNotFoundException",
                    "No such stream.",
                    400,
                )),
                "SubscribeToShard" => {
                    let first = stream::iter(["one", "two"]).map(Bytes::from_static_str);
                    Reply::Events(first.chain(stream::pending()).boxed())
                }
                "GetRecords" => Reply::Body(vec![b'x'; ANSWER_BYTES].into()),
                "PutRecords" => Reply::Body(body.len().to_string().into()),
                _ => Reply::Body(call.caller.access_key_id().to_owned().into()),
            }
        }
        .boxed()
    }
}

trait FromStaticStr {
    fn from_static_str(text: &'static str) -> Bytes;
}

impl FromStaticStr for Bytes {
    fn from_static_str(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) tls_address: SocketAddr,
    pub(crate) authority: LocalAuthority,
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) release: Arc<Notify>,
    pub(crate) reached: Arc<Notify>,
    pub(crate) key: CreatedAccessKey,
    pub(crate) clock: Arc<ManualClock>,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<Drained>,
}

pub(crate) enum Mode {
    Verified,
    Dev,
}

/// Services of all models, or of Kinesis alone.
#[derive(PartialEq)]
pub(crate) enum Built {
    All,
    Kinesis,
}

pub(crate) async fn start(mode: Mode, limits: ServerLimits) -> Running {
    start_with(mode, Built::Kinesis, limits, |builder| builder).await
}

pub(crate) async fn start_with(
    mode: Mode,
    built: Built,
    limits: ServerLimits,
    and: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> Running {
    let rand = Arc::new(SeededRand::new(1));
    let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand.clone());
    let mut keys = AccessKeys::new();
    let new = NewAccessKey {
        account: "000000000000".parse().unwrap(),
        user_name: Some("ada".to_owned()),
        policies: vec![Policy::allow_all()],
    };
    let key = keys.create(new, NOW, rand.as_ref()).unwrap();
    let region = || "us-east-1".parse().unwrap();
    let access = match mode {
        Mode::Verified => Access::Verified(Arc::new(Verifier::new(region(), &keys, &keyring))),
        Mode::Dev => Access::Dev(DevMode::new("000000000000".parse().unwrap(), region())),
    };
    let clock = Arc::new(ManualClock::new(NOW));
    let calls = Arc::new(AtomicUsize::new(0));
    let (release, reached) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut builder = Server::builder(access, clock.clone(), rand).limits(limits);
    for model in SERVICES {
        if built == Built::All || model.id == kinesis::SERVICE.id {
            builder = builder.service(Arc::new(TestService {
                model,
                calls: calls.clone(),
                release: release.clone(),
                reached: reached.clone(),
            }));
        }
    }
    let authority = LocalAuthority::generate(Timestamp::from_seconds(1_700_000_000)).unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let pair = authority.issue(&names, today()).unwrap();
    let identity = TlsIdentity::from_pair(&pair).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let plain = Listener::bind(any).await.unwrap();
    let tls = Listener::bind_tls(any, &identity).await.unwrap();
    let (address, tls_address) = (plain.local_address(), tls.local_address());
    let server = and(builder).build();
    server.readiness().set(true);
    let (shutdown, asked) = oneshot::channel();
    let asked = async { asked.await.unwrap_or_default() };
    let served = tokio::spawn(async move {
        server.serve(vec![plain, tls], asked, Duration::from_secs(5)).await.unwrap()
    });
    Running {
        address,
        tls_address,
        authority,
        calls,
        release,
        reached,
        key,
        clock,
        shutdown,
        served,
    }
}

/// The machine's own date: a TLS client checks certificates against it.
fn today() -> Timestamp {
    millstream_core::Clock::now(&millstream_core::SystemClock)
}

impl Running {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn credentials(&self) -> SigningCredentials {
        SigningCredentials {
            access_key_id: self.key.access_key_id.clone(),
            secret_access_key: self.key.secret_access_key.clone(),
            session_token: None,
        }
    }

    /// A signed request of Kinesis.
    pub(crate) fn signed(
        &self,
        operation: &str,
        content_type: &str,
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let mut parts = self.head(operation, content_type);
        sign(&mut parts, self.credentials(), "kinesis", body, NOW);
        Request::from_parts(parts, Full::new(Bytes::copy_from_slice(body)))
    }

    pub(crate) fn unsigned(
        &self,
        operation: &str,
        content_type: &str,
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let parts = self.head(operation, content_type);
        Request::from_parts(parts, Full::new(Bytes::copy_from_slice(body)))
    }

    fn head(&self, operation: &str, content_type: &str) -> Parts {
        let request = Request::post(format!("http://{}/", self.address))
            .header("host", self.address.to_string())
            .header("content-type", content_type)
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"));
        request.body(()).unwrap().into_parts().0
    }

    /// Starts the drain without waiting for its end.
    pub(crate) fn stop(self) -> JoinHandle<Drained> {
        let _ = self.shutdown.send(());
        self.served
    }
}

pub(crate) fn sign(
    parts: &mut Parts,
    credentials: SigningCredentials,
    service: &str,
    body: &[u8],
    now: Timestamp,
) {
    let signer = Signer::new(credentials, "us-east-1", service);
    signer.sign(parts, Payload::Bytes(body), now).unwrap();
}

pub(crate) fn with_secret(mut credentials: SigningCredentials, secret: &str) -> SigningCredentials {
    credentials.secret_access_key = Secret::from(secret);
    credentials
}

/// One connection of a client.
pub(crate) enum Client {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        Self::http1_over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn http2(address: SocketAddr) -> Self {
        Self::http2_over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn http1_over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let (client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Self::Http1(client)
    }

    pub(crate) async fn http2_over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream));
        let (client, connection) =
            hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        tokio::spawn(connection);
        Self::Http2(client)
    }

    /// The answer, its body still to come.
    pub(crate) async fn begin(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>, hyper::Error> {
        match self {
            Self::Http1(client) => {
                let path = request.uri().path_and_query().unwrap().clone();
                *request.uri_mut() = path.into();
                client.ready().await?;
                client.send_request(request).await
            }
            Self::Http2(client) => {
                request.headers_mut().remove("host");
                client.ready().await?;
                client.send_request(request).await
            }
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (parts, body) = self.begin(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }
}

/// Connects by TLS, offering `protocols`; also says which was agreed on.
pub(crate) async fn connect_tls(
    running: &Running,
    protocols: &[&[u8]],
) -> (tokio_rustls::client::TlsStream<TcpStream>, Option<Vec<u8>>) {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let pem = running.authority.pem.certificate.as_bytes();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let tcp = TcpStream::connect(running.tls_address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = connector.connect(name, tcp).await.unwrap();
    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    (stream, agreed)
}
