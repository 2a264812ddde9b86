//! Where in a shard a caller wants to begin.

use millstream_core::{SequenceNumber, Timestamp};
use millstream_log::{Position, ReadError};

use crate::refusal::Refusal;
use crate::state::{Shard, Stream};
use crate::streams::Streams;

/// A starting position, checked for having what its type needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start<'a> {
    AtSequenceNumber(&'a str),
    AfterSequenceNumber(&'a str),
    TrimHorizon,
    Latest,
    AtTimestamp(Timestamp),
}

/// The types of starting positions, as the API has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartType {
    AtSequenceNumber,
    AfterSequenceNumber,
    TrimHorizon,
    Latest,
    AtTimestamp,
}

impl StartType {
    fn as_str(self) -> &'static str {
        match self {
            Self::AtSequenceNumber => "AT_SEQUENCE_NUMBER",
            Self::AfterSequenceNumber => "AFTER_SEQUENCE_NUMBER",
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::AtTimestamp => "AT_TIMESTAMP",
        }
    }
}

impl<'a> Start<'a> {
    /// Checks that `number` and `at` fit the type.
    pub(crate) fn new(
        kind: StartType,
        number: Option<&'a str>,
        at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let missing = || Refusal::SequenceNumberMissing(kind.as_str().to_owned());
        match (kind, number) {
            (StartType::AtSequenceNumber, number) => {
                number.map(Self::AtSequenceNumber).ok_or_else(missing)
            }
            (StartType::AfterSequenceNumber, number) => {
                number.map(Self::AfterSequenceNumber).ok_or_else(missing)
            }
            (StartType::TrimHorizon | StartType::Latest | StartType::AtTimestamp, Some(_)) => {
                Err(Refusal::SequenceNumberUnwanted(kind.as_str().to_owned()))
            }
            (StartType::TrimHorizon, None) => Ok(Self::TrimHorizon),
            (StartType::Latest, None) => Ok(Self::Latest),
            (StartType::AtTimestamp, None) => match at {
                None => Err(Refusal::TimestampMissing),
                Some(at) if at > now => Err(Refusal::TimestampInTheFuture { at, now }),
                Some(at) => Ok(Self::AtTimestamp(at)),
            },
        }
    }
}

impl Streams {
    /// The position that `start` means on a shard. `operation` is named in refusals.
    pub(crate) async fn position(
        &self,
        stream: &Stream,
        shard: &Shard,
        start: Start<'_>,
        operation: &'static str,
    ) -> Result<Position, Refusal> {
        let unreadable = |error: ReadError| match error {
            ReadError::NotFound => {
                Refusal::ShardMissing { shard: shard.id, stream: stream.named() }
            }
            ReadError::Corrupt { .. } | ReadError::Io { .. } => {
                tracing::error!(%error, stream = %stream.name, shard = %shard.id, "unreadable");
                Refusal::Internal
            }
        };
        match start {
            Start::AtSequenceNumber(text) => {
                let number = sequence_number(stream, shard, text, operation)?;
                Ok(Position(number.index.saturating_sub(1)))
            }
            Start::AfterSequenceNumber(text) => {
                Ok(Position(sequence_number(stream, shard, text, operation)?.index))
            }
            Start::TrimHorizon => Ok(self.log.bounds(shard.log()).map_err(unreadable)?.start),
            Start::Latest => Ok(self.log.bounds(shard.log()).map_err(unreadable)?.end),
            Start::AtTimestamp(at) => {
                self.log.position_at(shard.log(), at).await.map_err(unreadable)
            }
        }
    }
}

/// The number behind `text`, if it is one of this very shard.
fn sequence_number(
    stream: &Stream,
    shard: &Shard,
    text: &str,
    operation: &'static str,
) -> Result<SequenceNumber, Refusal> {
    let number: SequenceNumber = text.parse().map_err(|_| Refusal::SequenceNumberInvalid {
        number: text.to_owned(),
        operation,
        shard: shard.id,
        stream: stream.named(),
    })?;
    if number.shard != shard.id {
        let (encoded, shard) = (number.shard, shard.id);
        return Err(Refusal::SequenceNumberOfAnotherShard { encoded, shard });
    }
    if number.shard_created_seconds != shard.created_seconds {
        return Err(Refusal::SequenceNumberOfAnotherStream {
            number: text.to_owned(),
            operation,
            shard: shard.id,
            stream: stream.named(),
        });
    }
    Ok(number)
}
