//! Which connection a request goes out on.
//!
//! HTTP/1.1: idle connections on a stack, the warmest on top; at most `connections` requests
//! are under way. HTTP/2: `connections` slots used in turn, each shared by many requests.
//!
//! Invariant: no lock is held while anything is awaited; two tasks that find a slot empty may
//! both connect, and the later one's connection stays.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use crate::connection::{Connection, Connector, TransportError};
use crate::tls::HttpVersion;

/// Connections opened side by side: fewer than a listener keeps waiting.
const OPENED_AT_ONCE: usize = 32;

pub(crate) struct Pool {
    connector: Connector,
    kind: Kind,
}

enum Kind {
    Http1 { idle: Mutex<Vec<Connection>>, permits: Semaphore },
    Http2 { slots: Vec<Mutex<Option<Connection>>>, next: AtomicUsize },
}

/// A connection taken from the pool; give it back with [`Pool::give_back`].
pub(crate) struct Taken<'a> {
    pub(crate) connection: Connection,
    _permit: Option<SemaphorePermit<'a>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Pool {
    pub(crate) fn new(connector: Connector, connections: usize) -> Self {
        let kind = match connector.version {
            HttpVersion::Http1 => Kind::Http1 {
                idle: Mutex::new(Vec::with_capacity(connections)),
                permits: Semaphore::new(connections),
            },
            HttpVersion::Http2 => Kind::Http2 {
                slots: (0..connections).map(|_| Mutex::new(None)).collect(),
                next: AtomicUsize::new(0),
            },
        };
        Self { connector, kind }
    }

    /// An open connection; waits while as many as allowed are in use.
    pub(crate) async fn take(&self) -> Result<Taken<'_>, TransportError> {
        match &self.kind {
            Kind::Http1 { idle, permits } => {
                let permit = permits.acquire().await.map_err(|_| TransportError::Stale)?;
                let connection = match warmest(idle) {
                    Some(connection) => connection,
                    None => self.connector.connect().await?,
                };
                Ok(Taken { connection, _permit: Some(permit) })
            }
            Kind::Http2 { slots, next } => {
                let slot = &slots[next.fetch_add(1, Ordering::Relaxed) % slots.len()];
                let open =
                    locked(slot).as_ref().filter(|c| c.is_open()).and_then(Connection::share);
                let connection = if let Some(connection) = open {
                    connection
                } else {
                    let connection = self.connector.connect().await?;
                    *locked(slot) = connection.share();
                    connection
                };
                Ok(Taken { connection, _permit: None })
            }
        }
    }

    /// Opens all connections ahead of their use.
    pub(crate) async fn fill(&self) -> Result<(), TransportError> {
        let count = match &self.kind {
            Kind::Http1 { permits, .. } => permits.available_permits(),
            Kind::Http2 { slots, .. } => slots.len(),
        };
        let mut made = Vec::with_capacity(count);
        while made.len() < count {
            let mut opening = JoinSet::new();
            for _ in made.len()..count.min(made.len() + OPENED_AT_ONCE) {
                let connector = self.connector.clone();
                opening.spawn(async move { connector.connect().await });
            }
            while let Some(connected) = opening.join_next().await {
                made.push(connected.expect("connecting does not panic")?);
            }
        }
        match &self.kind {
            Kind::Http1 { idle, .. } => *locked(idle) = made,
            Kind::Http2 { slots, .. } => {
                for (slot, connection) in slots.iter().zip(made) {
                    *locked(slot) = Some(connection);
                }
            }
        }
        Ok(())
    }

    /// A connection of its own, outside the pool and its count: for answers that last minutes.
    pub(crate) async fn dedicated(&self) -> Result<Connection, TransportError> {
        match &self.kind {
            Kind::Http1 { .. } => self.connector.connect().await,
            Kind::Http2 { .. } => Ok(self.take().await?.connection),
        }
    }

    /// Puts a connection back once its answer was read whole.
    pub(crate) fn give_back(&self, taken: Taken<'_>) {
        if let Kind::Http1 { idle, .. } = &self.kind
            && taken.connection.is_open()
        {
            locked(idle).push(taken.connection);
        }
    }
}

fn warmest(idle: &Mutex<Vec<Connection>>) -> Option<Connection> {
    let mut idle = locked(idle);
    while let Some(connection) = idle.pop() {
        if connection.is_open() {
            return Some(connection);
        }
    }
    None
}
