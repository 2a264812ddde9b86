//! What a request carries: bytes that may lie in pieces, and go out without being put together.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The body of a request, whose length is known.
#[derive(Clone, Debug, Default)]
pub struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Adds `piece` at the end.
    pub(crate) fn push(&mut self, piece: Bytes) {
        // An empty frame would be one on the wire too, where frames are.
        if !piece.is_empty() {
            self.0.push_back(piece);
        }
    }

    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// The pieces, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl From<Bytes> for Pieces {
    fn from(whole: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(whole);
        pieces
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn pieces_are_announced_as_one_and_go_one_by_one() {
        let mut body = Pieces::from(Bytes::from_static(b"one"));
        body.push(Bytes::new());
        body.push(Bytes::from_static(b"two"));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(6), false));
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "one");
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.clone().collect().await.unwrap().to_bytes(), "two");
        assert!(Pieces::from(Bytes::new()).is_end_stream());
    }
}
