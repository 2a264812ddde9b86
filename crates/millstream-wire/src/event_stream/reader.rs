//! Frames out of bytes that come in pieces of any size.

use bytes::{Bytes, BytesMut};

use super::frame::{self, Frame, FrameError, PRELUDE_BYTES};

/// Collects bytes until they are frames. After an error the stream is lost.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// A reader that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole frame, or `None` until more bytes have come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(prelude) = self.buffer.first_chunk::<PRELUDE_BYTES>() else { return Ok(None) };
        let length = frame::length(prelude)?;
        if self.buffer.len() < length {
            return Ok(None);
        }
        let bytes: Bytes = self.buffer.split_to(length).freeze();
        Frame::decode(&bytes).map(Some)
    }

    /// Whether the body ended between two frames.
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }
}
