//! Answers on their way out.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};

use crate::body::{Budget, Share, hold};
use crate::untaken::{Untaken, Wait};

/// The body of an answer: bytes, or frames as they come.
pub(crate) enum ReplyBody {
    Bytes(Bytes),
    Frames(Box<Frames>),
}

/// Frames, each of which is counted until it was taken.
pub(crate) struct Frames {
    source: BoxStream<'static, Bytes>,
    budget: Arc<Budget>,
    held: Option<Held>,
}

/// What an answer counts for, and how long it is waited for.
struct Held {
    untaken: Arc<Untaken>,
    _share: Share,
    /// Over while the client waits for us.
    wait: Option<Wait>,
}

impl ReplyBody {
    pub(crate) fn frames(frames: BoxStream<'static, Bytes>, budget: Arc<Budget>) -> Self {
        Self::Frames(Box::new(Frames { source: frames, budget, held: None }))
    }

    /// The same, counted as `share` and waited for until it was taken.
    pub(crate) fn held(self, share: Share, untaken: &Arc<Untaken>) -> Self {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Self::Bytes(bytes),
            Self::Bytes(bytes) => {
                let wait = untaken.wait(untaken.answer_patience, bytes.len());
                Self::Bytes(hold(bytes, share, wait))
            }
            Self::Frames(mut frames) => {
                let wait = Some(untaken.wait(untaken.piece_patience, 0));
                frames.held = Some(Held { untaken: untaken.clone(), _share: share, wait });
                Self::Frames(frames)
            }
        }
    }
}

impl Frames {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        held.wait = None;
        let frame = ready!(self.source.poll_next_unpin(context));
        let Some(frame) = frame else { return Poll::Ready(None) };
        // Without room the stream ends where a frame ends: its client subscribes again, from
        // where it is, and is told to wait.
        let Some(share) = self.budget.share_of(frame.len()) else {
            self.held = None;
            return Poll::Ready(None);
        };
        let patience = held.untaken.piece_patience;
        held.wait = Some(held.untaken.wait(patience, 0));
        let wait = held.untaken.wait(patience, frame.len());
        Poll::Ready(Some(hold(frame, share, wait)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Self::Bytes(bytes) if bytes.is_empty() => None,
            Self::Bytes(bytes) => Some(std::mem::take(bytes)),
            Self::Frames(frames) => ready!(frames.poll(context)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Frames(_) => SizeHint::default(),
        }
    }
}
