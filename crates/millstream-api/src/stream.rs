//! Event streams: typed events out as frames, frames in as typed events.
//!
//! Invariant: the first frame out is the initial response; after an error nothing follows.

use std::fmt;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use millstream_wire::event_stream::{
    FrameError, FrameReader, INITIAL_RESPONSE, event_frame, exception_frame,
};
use millstream_wire::{Codec, DecodeError, Encode, Encoder, ErrorBody, decode_output};

use crate::error::OperationError;

/// What an event stream's enum of events can say of itself.
pub trait Event: Send + Sized + 'static {
    /// The event as a frame.
    fn encode_frame(&self, codec: Codec) -> Bytes;

    /// The event called `event_type`; `None` where the stream has none such.
    fn decode_payload(
        event_type: &str,
        codec: Codec,
        payload: &Bytes,
    ) -> Option<Result<Self, DecodeError>>;
}

/// Events as an operation answers them: an error is the last item.
pub struct EventStream<V, X>(pub BoxStream<'static, Result<V, X>>);

impl<V: Send + 'static, X: Send + 'static> EventStream<V, X> {
    /// Answers with `events`.
    pub fn new(events: impl Stream<Item = Result<V, X>> + Send + 'static) -> Self {
        Self(events.boxed())
    }
}

impl<V, X> fmt::Debug for EventStream<V, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream")
    }
}

/// The frames of an answer: initial response, events, at most one exception.
pub(crate) fn frames<V: Event, X: OperationError>(
    codec: Codec,
    events: EventStream<V, X>,
) -> BoxStream<'static, Bytes> {
    let first = event_frame(codec, INITIAL_RESPONSE, &Empty);
    let rest = events.0.scan(false, move |is_over, item| {
        if std::mem::replace(is_over, item.is_err()) {
            return std::future::ready(None);
        }
        std::future::ready(Some(match item {
            Ok(event) => event.encode_frame(codec),
            Err(error) => exception_frame(codec, error.code(), &error.to_wire().encode(codec)),
        }))
    });
    stream::iter([first]).chain(rest).boxed()
}

/// The structure without members: what the initial response carries.
struct Empty;

impl Encode for Empty {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.begin_structure();
        encoder.end_structure();
    }
}

/// Why a client loses an event stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamFault<X, T> {
    /// The service ended it with one of its errors.
    #[error("{0}")]
    Service(X),
    /// The service ended it with an error that the model does not know.
    #[error("{code}: {message}")]
    Unknown {
        /// As it came.
        code: String,
        /// As it came.
        message: String,
    },
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came in a frame is no event.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The body ended within a frame.
    #[error("the stream ended within a frame")]
    Cut,
    /// The transport failed.
    #[error("{0}")]
    Transport(T),
}

/// Events out of a response's body, for clients. `codec` stands in where a frame names none.
/// Frames that are no events of the model (the initial response, newer events) are passed over.
pub fn read_events<V, X, T, S>(
    codec: Codec,
    pieces: S,
) -> impl Stream<Item = Result<V, StreamFault<X, T>>> + Send
where
    V: Event,
    X: OperationError,
    T: Send + 'static,
    S: Stream<Item = Result<Bytes, T>> + Send + Unpin + 'static,
{
    let start = Some((FrameReader::new(), pieces));
    stream::unfold(start, move |state| async move {
        let (mut reader, mut pieces) = state?;
        loop {
            match next_event(&mut reader, codec) {
                Ok(Some(event)) => return Some((Ok(event), Some((reader, pieces)))),
                Err(fault) => return Some((Err(fault), None)),
                Ok(None) => {}
            }
            match pieces.next().await {
                Some(Ok(piece)) => reader.push(&piece),
                Some(Err(error)) => return Some((Err(StreamFault::Transport(error)), None)),
                None if reader.is_between_frames() => return None,
                None => return Some((Err(StreamFault::Cut), None)),
            }
        }
    })
}

/// The next event among the frames that have come whole.
fn next_event<V: Event, X: OperationError, T>(
    reader: &mut FrameReader,
    codec: Codec,
) -> Result<Option<V>, StreamFault<X, T>> {
    while let Some(frame) = reader.next_frame()? {
        let codec = frame.codec().unwrap_or(codec);
        if let Some(code) = frame.exception_type() {
            let code = code.to_owned();
            let body: ErrorBody = decode_output(codec, &frame.payload)?;
            return Err(match X::from_code(&code, body.message.clone()) {
                Some(error) => StreamFault::Service(error),
                None => StreamFault::Unknown { code, message: body.message },
            });
        }
        if let Some(name) = frame.event_type()
            && let Some(event) = V::decode_payload(name, codec, &frame.payload)
        {
            return Ok(Some(event?));
        }
    }
    Ok(None)
}
