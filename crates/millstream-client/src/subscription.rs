//! SubscribeToShard: a shard's records pushed as they come.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use millstream_api::kinesis::{StartingPosition, SubscribeToShardEvent, SubscribeToShardInput};
use millstream_wire::event_stream::{Frame, FrameReader, INITIAL_RESPONSE};
use millstream_wire::{Codec, ErrorBody, decode_output, encode_body};

use crate::client::Client;
use crate::connection::Connection;
use crate::error::{CallError, ServiceError};
use crate::operations::ReadFrom;

const OPERATION: &str = "SubscribeToShard";
const EVENT: &str = "SubscribeToShardEvent";

/// Events of one shard, until the service ends them (after 5 minutes, or at the shard's end).
pub struct Subscription {
    body: Incoming,
    reader: FrameReader,
    codec: Codec,
    /// Dropping it would close an HTTP/1.1 connection under the body.
    _connection: Connection,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("codec", &self.codec).finish()
    }
}

impl Client {
    /// Subscribes, and returns once the service has said yes.
    pub async fn subscribe_to_shard(
        &self,
        consumer_arn: &str,
        shard: &str,
        from: &ReadFrom,
    ) -> Result<Subscription, CallError> {
        let input = SubscribeToShardInput {
            consumer_arn: consumer_arn.to_owned(),
            shard_id: shard.to_owned(),
            starting_position: StartingPosition {
                r#type: from.kind(),
                sequence_number: from.sequence_number(),
                timestamp: from.timestamp(),
            },
            ..Default::default()
        };
        let body = encode_body(self.codec(), &input);
        let (connection, response) = self.open(OPERATION, body).await?;
        let mut subscription = Subscription {
            body: response.into_body(),
            reader: FrameReader::new(),
            codec: self.codec(),
            _connection: connection,
        };
        match subscription.next_frame().await? {
            Some(frame) if frame.event_type() == Some(INITIAL_RESPONSE) => Ok(subscription),
            Some(frame) => Err(subscription.unexpected(&frame)),
            None => Err(broken("it ended before its first frame")),
        }
    }
}

impl Subscription {
    /// The next event; `None` when the service ended the subscription.
    pub async fn next(&mut self) -> Result<Option<SubscribeToShardEvent>, CallError> {
        let Some(frame) = self.next_frame().await? else { return Ok(None) };
        if frame.event_type() != Some(EVENT) {
            return Err(self.unexpected(&frame));
        }
        decode_output(frame.codec().unwrap_or(self.codec), &frame.payload)
            .map(Some)
            .map_err(|error| CallError::unreadable(OPERATION, &error))
    }

    async fn next_frame(&mut self) -> Result<Option<Frame>, CallError> {
        loop {
            let frame = self.reader.next_frame().map_err(|error| broken(&error.to_string()))?;
            if frame.is_some() {
                return Ok(frame);
            }
            match self.body.frame().await {
                Some(Ok(piece)) => {
                    if let Some(data) = piece.data_ref() {
                        self.reader.push(data);
                    }
                }
                Some(Err(error)) => return Err(broken(&error.to_string())),
                None if self.reader.is_between_frames() => return Ok(None),
                None => return Err(broken("it ended within a frame")),
            }
        }
    }

    /// The error that an exception frame stands for.
    fn unexpected(&self, frame: &Frame) -> CallError {
        let Some(code) = frame.exception_type() else {
            return broken(&format!("an event of type {:?}", frame.event_type()));
        };
        let codec = frame.codec().unwrap_or(self.codec);
        let body = decode_output::<ErrorBody>(codec, &frame.payload).unwrap_or_default();
        CallError::Service(ServiceError {
            operation: OPERATION.to_owned(),
            code: code.to_owned(),
            message: body.message,
            status: 200,
            request_id: String::new(),
        })
    }
}

fn broken(reason: &str) -> CallError {
    CallError::Broken { operation: OPERATION.to_owned(), reason: reason.to_owned() }
}
