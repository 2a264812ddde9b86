//! Receives bodies and holds answers, within bounds.
//!
//! Owns the budget of bytes under way, in and out, and the deadlines of a body. A body that comes in
//! one piece, as small ones do, is taken as it is; others are put together once.
//!
//! Invariant: no byte of a body is held that the budget has not granted, and no answer, however
//! small, is held for a client that does not take it without being counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::limits::{
    ANSWER_BYTES_COUNTED_MIN, DISCARDED_BYTES_MAX, REFUSALS_PART, REQUEST_BYTES, ServerLimits,
};
use crate::untaken::Wait;

/// How many bytes of requests are under way, and may be.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
    /// What may be used where the rest is used for refusals.
    max_with_refusals: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let max_with_refusals = max.saturating_add((max / REFUSALS_PART).max(REQUEST_BYTES));
        Arc::new(Self { used: AtomicUsize::new(0), max, max_with_refusals })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A request's share, its head first. Without room for it the share is for a refusal only;
    /// `None` where refusals have no room either.
    pub(crate) fn share(self: &Arc<Self>) -> Option<Share> {
        let mut share = Share { budget: self.clone(), bytes: 0, is_for_refusal: false };
        if !share.grow(REQUEST_BYTES) {
            share.is_for_refusal = true;
            let max = self.max_with_refusals;
            return share.grow_to(REQUEST_BYTES, max).then_some(share);
        }
        Some(share)
    }

    /// A share for one piece of a stream; `None` where there is no room.
    pub(crate) fn share_of(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut share = Share { budget: self.clone(), bytes: 0, is_for_refusal: false };
        share.grow(bytes).then_some(share)
    }
}

/// An answer on its way out.
struct Held {
    answer: Bytes,
    _share: Share,
    _wait: Wait,
}

/// `answer`, counted and waited for until its last byte has left. HTTP/2 keeps a whole answer for
/// a client that takes none of it, so answers must be counted too.
pub(crate) fn hold(answer: Bytes, share: Share, wait: Wait) -> Bytes {
    Bytes::from_owner(Held { answer, _share: share, _wait: wait })
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
    is_for_refusal: bool,
}

impl Share {
    /// Gives the body's bytes back, and takes those of the answer; false if there is no room.
    pub(crate) fn turn_to_answer(&mut self, bytes: usize) -> bool {
        let body_bytes = self.bytes.saturating_sub(REQUEST_BYTES);
        self.budget.used.fetch_sub(body_bytes, Ordering::Relaxed);
        self.bytes -= body_bytes;
        bytes < ANSWER_BYTES_COUNTED_MIN || self.grow(bytes)
    }

    fn grow(&mut self, more: usize) -> bool {
        !self.is_for_refusal && self.grow_to(more, self.budget.max)
    }

    fn grow_to(&mut self, more: usize, max: usize) -> bool {
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
    if share.is_for_refusal || !share.grow(granted) {
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
    use crate::untaken::Untaken;

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

    #[tokio::test]
    async fn an_answer_is_counted_until_its_last_byte_is_dropped() {
        let budget = Budget::new(30_000);
        let untaken = Untaken::new(&ServerLimits::default());
        let held = |share: Share, length: usize| {
            let wait = untaken.wait(std::time::Duration::from_secs(1), length);
            hold(Bytes::from(vec![1; length]), share, wait)
        };
        let mut share = budget.share().unwrap();
        assert!(share.turn_to_answer(15_000));
        let answer = held(share, 15_000);
        assert_eq!(budget.used(), REQUEST_BYTES + 15_000);
        assert!(budget.share_of(8_000).is_none());
        let last = answer.slice(14_999..);
        drop(answer);
        assert_eq!(budget.used(), REQUEST_BYTES + 15_000);
        drop(last);
        assert_eq!(budget.used(), 0);
        // A small one counts for what its request counted for.
        let mut share = budget.share().unwrap();
        assert!(share.turn_to_answer(100));
        let small = held(share, 100);
        assert_eq!(budget.used(), REQUEST_BYTES);
        drop(small);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn where_requests_have_no_room_refusals_have_a_little() {
        let budget = Budget::new(REQUEST_BYTES * 64);
        let requests: Vec<Share> = (0..64).map(|_| budget.share().unwrap()).collect();
        assert!(requests.iter().all(|share| !share.is_for_refusal));
        let mut refusals: Vec<Share> = std::iter::from_fn(|| budget.share()).collect();
        assert_eq!(refusals.len(), 64 / REFUSALS_PART);
        let refusal = &mut refusals[0];
        assert!(refusal.is_for_refusal && !refusal.grow(1));
        assert!(refusal.turn_to_answer(100) && !refusal.turn_to_answer(1_000_000));
        drop(refusals);
        drop(requests);
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
        let mut next = Share { budget: budget.clone(), bytes: 0, is_for_refusal: false };
        assert_eq!(receive(body, 10, &limits, &mut next).await, Err(BodyError::NoRoom));
        drop((share, next));
        assert_eq!(budget.used(), 0);
        let mut share = budget.share().unwrap();
        let long = pieces(vec![b"abcdef", b"ghijkl"]);
        assert_eq!(receive(long, 10, &limits, &mut share).await, Err(BodyError::TooLarge));
        assert!(budget.share().unwrap().is_for_refusal, "what is granted is granted once");
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
