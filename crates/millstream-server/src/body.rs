//! Receives bodies and holds answers, within bounds.
//!
//! Owns the budget of bytes under way, in and out, and the deadlines of a body. A body that comes in one
//! piece, as small ones do, is taken as it is; others are put together once.
//!
//! Invariant: no byte of a body is held that the budget has not granted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::limits::{ANSWER_BYTES_COUNTED_MIN, DISCARDED_BYTES_MAX, REQUEST_BYTES, ServerLimits};

/// How many bytes of requests are under way, and may be.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// `answer`, counted until its last byte has left; `None` if there is no room. HTTP/2 keeps
    /// a whole answer for a client that takes none of it, so answers must be counted too.
    pub(crate) fn hold(self: &Arc<Self>, answer: Bytes) -> Option<Bytes> {
        if answer.len() < ANSWER_BYTES_COUNTED_MIN {
            return Some(answer);
        }
        let mut share = Share { budget: self.clone(), bytes: 0 };
        share.grow(answer.len()).then(|| Bytes::from_owner(Held { answer, _share: share }))
    }

    /// A request's share, its head first; `None` if there is no room.
    pub(crate) fn share(self: &Arc<Self>) -> Option<Share> {
        let mut share = Share { budget: self.clone(), bytes: 0 };
        share.grow(REQUEST_BYTES).then_some(share)
    }
}

/// An answer on its way out.
struct Held {
    answer: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

/// The bytes granted to one request, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, more: usize) -> bool {
        let max = self.budget.max;
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= max)
        });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Longer than it may be.
    TooLarge,
    /// It stood still, or crept.
    TooSlow,
    /// No room for it now.
    NoRoom,
    /// The connection broke, or the framing did.
    Broken,
}

/// Receives a body of at most `bytes_max`.
pub(crate) async fn receive<B>(
    mut body: B,
    bytes_max: usize,
    limits: &ServerLimits,
    share: &mut Share,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let hint = body.size_hint();
    let announced = hint.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(BodyError::TooLarge);
    }
    // What is announced is granted at once, so that half a body is never waited for in vain.
    let mut granted = announced.unwrap_or(0);
    if !share.grow(granted) {
        return Err(BodyError::NoRoom);
    }
    let deadline = deadline(announced.unwrap_or(bytes_max), limits);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        let idle = Instant::now() + limits.body_idle_deadline;
        let frame = timeout_at(idle.min(deadline), body.frame());
        let frame = match frame.await.map_err(|_| BodyError::TooSlow)? {
            None => break,
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => frame,
        };
        // Trailers mean nothing to us.
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + all.len() + data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge);
        }
        if length > granted {
            if !share.grow(length - granted) {
                return Err(BodyError::NoRoom);
            }
            granted = length;
        }
        if length == data.len() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.reserve(announced.unwrap_or(length * 2).max(length));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads and throws away what is left of a body, so that the client comes to read its answer.
pub(crate) async fn discard<B>(mut body: B, limits: &ServerLimits)
where
    B: Body<Data = Bytes> + Unpin,
{
    let deadline = deadline(DISCARDED_BYTES_MAX, limits);
    let mut bytes = 0;
    while bytes <= DISCARDED_BYTES_MAX && !body.is_end_stream() {
        let idle = Instant::now() + limits.body_idle_deadline;
        let Ok(Some(Ok(frame))) = timeout_at(idle.min(deadline), body.frame()).await else {
            return;
        };
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// When a body of `bytes` must be there.
fn deadline(bytes: usize, limits: &ServerLimits) -> Instant {
    let seconds = bytes / limits.body_bytes_per_second_min.max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX).min(86_400);
    Instant::now() + limits.body_idle_deadline + std::time::Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn pieces(pieces: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = stream::iter(pieces).map(|piece| Ok(Frame::data(Bytes::from_static(piece))));
        StreamBody::new(frames)
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied() {
        let budget = Budget::new(1_000_000);
        let mut share = budget.share().unwrap();
        let data = Bytes::from(vec![7; 1_000]);
        let limits = ServerLimits::default();
        let body = receive(Full::new(data.clone()), 1_000, &limits, &mut share).await.unwrap();
        assert_eq!(body.as_ptr(), data.as_ptr());
        assert_eq!(budget.used(), REQUEST_BYTES + 1_000);
        drop(share);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_answer_is_counted_until_its_last_byte_is_dropped() {
        let budget = Budget::new(20_000);
        let answer = budget.hold(Bytes::from(vec![1; 15_000])).unwrap();
        assert_eq!(budget.used(), 15_000);
        assert!(budget.hold(Bytes::from(vec![1; 6_000])).is_none());
        assert_eq!(budget.hold(Bytes::from_static(b"small")).unwrap(), "small");
        let last = answer.slice(14_999..);
        drop(answer);
        assert_eq!(budget.used(), 15_000);
        drop(last);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn pieces_are_put_together_and_counted() {
        let budget = Budget::new(REQUEST_BYTES + 10);
        let mut share = budget.share().unwrap();
        let limits = ServerLimits::default();
        let body = pieces(vec![b"", b"ab", b"", b"cd", b"e"]);
        assert_eq!(receive(body, 10, &limits, &mut share).await.unwrap(), "abcde");
        let body = pieces(vec![b"abc", b"def"]);
        let mut next = Share { budget: budget.clone(), bytes: 0 };
        assert_eq!(receive(body, 10, &limits, &mut next).await, Err(BodyError::NoRoom));
        drop((share, next));
        assert_eq!(budget.used(), 0);
        let mut share = budget.share().unwrap();
        let long = pieces(vec![b"abcdef", b"ghijkl"]);
        assert_eq!(receive(long, 10, &limits, &mut share).await, Err(BodyError::TooLarge));
        assert!(budget.share().is_none(), "what is granted is granted once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_or_creeps_is_given_up() {
        let budget = Budget::new(usize::MAX);
        let limits = ServerLimits::default();
        let mut share = budget.share().unwrap();
        let still = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(receive(still, 10, &limits, &mut share).await, Err(BodyError::TooSlow));
        let start = Instant::now();
        let creeping = StreamBody::new(Box::pin(stream::unfold((), |()| async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        })));
        assert_eq!(receive(creeping, 1_000, &limits, &mut share).await, Err(BodyError::TooSlow));
        assert!(start.elapsed() <= limits.body_idle_deadline * 2);
    }
}
