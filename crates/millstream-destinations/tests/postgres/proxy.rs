//! A connection in between that breaks at a chosen moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// When the connection breaks; once, and then no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// When the server has answered to the commit, before the client learns of it.
    CommitAnswered,
    /// When the client sends the commit, before the server learns of it.
    CommitSent,
    /// When rows are under way.
    RowsSent,
}

/// A way to the server.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) broke: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(server: u16, moment: Moment) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let broke = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&broke);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let flag = Arc::clone(&flag);
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    // Both ends close when this ends.
                    let _ = pass_on(client, server, moment, &flag).await;
                });
            }
        });
        Self { port, broke, task }
    }
}

async fn pass_on(
    mut client: TcpStream,
    mut server: TcpStream,
    moment: Moment,
    broke: &AtomicBool,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut commits = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                let may_break = !broke.load(Ordering::SeqCst);
                let is_commit = bytes.windows(7).any(|part| part == b"COMMIT\0");
                let has_rows = bytes.windows(5).any(|part| part == b"cut\tx");
                let breaks = match moment {
                    Moment::CommitSent => is_commit,
                    Moment::RowsSent => has_rows,
                    Moment::CommitAnswered => false,
                };
                if may_break && breaks {
                    broke.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                commits |= may_break && is_commit;
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                // What is still coming of the answers before it is not the commit's.
                let is_commit = bytes.windows(7).any(|part| part == b"COMMIT\0");
                if commits && is_commit && moment == Moment::CommitAnswered {
                    broke.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}
