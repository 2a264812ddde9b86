//! The bytes of one connection: a writer that does not wait for ever, and a reader that was
//! looked into.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What an HTTP/2 connection starts with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Fails writes once the other side has taken nothing for a while: a reader that stands still
/// would otherwise hold its answer in memory for as long as it likes.
#[derive(Debug)]
pub(crate) struct Unstalled<S> {
    stream: S,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Unstalled<S> {
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, deadline: None }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.deadline = None;
            return progress;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, progress)
    }
}

/// A stream whose first bytes were read, and are read again.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    first: Bytes,
    stream: S,
}

/// Reads as far as it takes to tell HTTP/2 from HTTP/1; `None` if nothing came at all.
pub(crate) async fn sniff<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<Option<(bool, Rewound<S>)>> {
    let mut first = BytesMut::new();
    let is_http2 = loop {
        let mut more = [0; PREFACE.len()];
        let count = stream.read(&mut more[first.len()..]).await?;
        if count == 0 && first.is_empty() {
            return Ok(None);
        }
        let start = first.len();
        first.extend_from_slice(&more[start..start + count]);
        if count == 0 || !PREFACE.starts_with(&first) {
            break false;
        }
        if first.len() == PREFACE.len() {
            break true;
        }
    };
    Ok(Some((is_http2, Rewound { first: first.freeze(), stream })))
}

impl<S> Rewound<S> {
    pub(crate) fn not_read(stream: S) -> Self {
        Self { first: Bytes::new(), stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..count]);
        self.first.advance(count);
        if self.first.is_empty() {
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    async fn sniffed(pieces: &[&[u8]]) -> Option<(bool, Vec<u8>)> {
        let (mut client, server) = duplex(1_024);
        for piece in pieces {
            client.write_all(piece).await.unwrap();
        }
        drop(client);
        let (is_http2, mut stream) = sniff(server).await.unwrap()?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        Some((is_http2, all))
    }

    #[tokio::test]
    async fn the_preface_tells_http_2_and_no_byte_is_lost() {
        let rest = [PREFACE.as_slice(), b"rest"].concat();
        assert_eq!(sniffed(&[&rest]).await, Some((true, rest.clone())));
        assert_eq!(sniffed(&[b"PRI", &PREFACE[3..]]).await, Some((true, PREFACE.to_vec())));
        for bytes in
            [b"POST / HTTP/1.1\r\n\r\n".as_slice(), b"PRI / HTTP/1.1\r\n\r\n", b"P", b"PRI"]
        {
            assert_eq!(sniffed(&[bytes]).await, Some((false, bytes.to_vec())));
        }
        assert_eq!(sniffed(&[]).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_whose_bytes_nobody_takes_gives_up() {
        let (client, server) = duplex(16);
        let mut writer = Unstalled::new(server, Duration::from_secs(60));
        let start = tokio::time::Instant::now();
        let error = writer.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), Duration::from_secs(60));
        drop(client);
    }
}
