//! A connection to the database: guarded like any other, and encrypted as the URL says.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use millstream_auth::Secret;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};

use super::error::{connection_failed, failure};
use super::jdbc::{JdbcUrl, TlsMode};
use crate::Failure;
use crate::outbound::Outbound;

/// How long logging in may take (ours).
const LOGIN_MAX: Duration = Duration::from_secs(30);

/// A session; the server ends what is unfinished in it when it goes.
pub(super) struct Session {
    pub(super) client: Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Also where the server does not answer any more.
        self.driver.abort();
    }
}

impl Session {
    pub(super) async fn open(
        outbound: &Outbound,
        url: &JdbcUrl,
        user: &str,
        password: &Secret,
    ) -> Result<Self, Failure> {
        let stream = outbound.connect(&url.host, url.port).await;
        let stream = stream.map_err(|error| connection_failed(&error.to_string()))?;
        let mut config = Config::new();
        config.user(user).password(password.expose()).dbname(&url.database);
        config.application_name("millstream");
        // Clear text needs leave, whatever the URL prefers.
        let may_be_clear = outbound.allow().check_scheme(false).is_ok();
        config.ssl_mode(match url.tls {
            TlsMode::Disable if may_be_clear => SslMode::Disable,
            TlsMode::Prefer if may_be_clear => SslMode::Prefer,
            TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => SslMode::Require,
        });
        let tls = Tls { config: outbound.bare_tls(), host: url.host.clone() };
        let login = tokio::time::timeout(LOGIN_MAX, config.connect_raw(stream, tls)).await;
        let login = login.map_err(|_| connection_failed("logging in took too long"))?;
        let (client, connection) = login.map_err(|error| failure(&error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever waits for an answer is told too.
                tracing::debug!(%error, "a database connection broke");
            }
        });
        Ok(Self { client, driver })
    }

    /// Runs one statement that answers with nothing.
    pub(super) async fn execute(&self, statement: &str) -> Result<(), Failure> {
        self.client.batch_execute(statement).await.map_err(|error| failure(&error))
    }
}

/// TLS in the way that the PostgreSQL client asks for it.
struct Tls {
    config: Arc<rustls::ClientConfig>,
    host: String,
}

impl TlsConnect<TcpStream> for Tls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from(self.host).map_err(io::Error::other)?;
            let connector = tokio_rustls::TlsConnector::from(self.config);
            connector.connect(name, stream).await.map(|stream| Encrypted(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
struct Encrypted(Box<tokio_rustls::client::TlsStream<TcpStream>>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        // The certificate is checked against the name, so there is no one in between to bind out.
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
