//! Where connections come in.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::tls::TlsIdentity;

/// A port that is bound, in clear text or TLS.
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

impl Listener {
    /// Binds a port for clear text: HTTP/1.1, and HTTP/2 by its preface. Port 0 is any free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, tls: None, address })
    }

    /// Binds a port for TLS: HTTP/2 and HTTP/1.1, by ALPN or by preface.
    pub async fn bind_tls(address: SocketAddr, identity: &TlsIdentity) -> io::Result<Self> {
        let mut listener = Self::bind(address).await?;
        listener.tls = Some(TlsAcceptor::from(identity.0.clone()));
        Ok(listener)
    }

    /// Where it is bound.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_tls() { "tls" } else { "clear" };
        write!(f, "Listener({kind} {})", self.address)
    }
}
