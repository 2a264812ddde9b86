//! Where in a shard a caller wants to begin.

use millstream_core::{SequenceNumber, ShardId, Timestamp};
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
        let unfit = |given| Refusal::SequenceNumberUnfit { kind: kind.as_str(), given };
        match (kind, number) {
            (StartType::AtSequenceNumber, number) => {
                number.map(Self::AtSequenceNumber).ok_or_else(|| unfit("no"))
            }
            (StartType::AfterSequenceNumber, number) => {
                number.map(Self::AfterSequenceNumber).ok_or_else(|| unfit("no"))
            }
            (StartType::TrimHorizon | StartType::Latest | StartType::AtTimestamp, Some(_)) => {
                Err(unfit("also a"))
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
    let number = text.parse::<SequenceNumber>().ok();
    let encoded = number.map(|number| number.shard).or_else(|| shard_of_first_version(text));
    let encoded = encoded.ok_or_else(|| Refusal::SequenceNumberInvalid {
        number: text.to_owned(),
        operation,
        shard: shard.id,
        stream: stream.named(),
    })?;
    if encoded != shard.id {
        return Err(Refusal::SequenceNumberOfAnotherShard { encoded, shard: shard.id });
    }
    let of_this_life =
        |number: &SequenceNumber| number.shard_created_seconds == shard.created_seconds;
    number.filter(of_this_life).ok_or_else(|| Refusal::SequenceNumberOfAnotherStream {
        number: text.to_owned(),
        operation,
        shard: shard.id,
        stream: stream.named(),
    })
}

/// The shard in a number of the service's first version, which no shard of ours has ever given,
/// but which the service still reads before it refuses: 32 hexadecimal digits, `1`, 9 digits
/// creation second, 18 digits of something, 4 digits shard (observed; the leading digit may be
/// missing).
fn shard_of_first_version(text: &str) -> Option<ShardId> {
    const LEADING: u128 = 1 << 124;
    /// Creation seconds from here on are refused (observed).
    const SECONDS_END: u128 = 16_025_175_000;
    let number: u128 = text.parse().ok()?;
    let digits = if number < LEADING { number } else { number - LEADING };
    let is_read = digits < LEADING && digits >> 88 < SECONDS_END;
    is_read.then(|| ShardId(u32::try_from(digits & 0xffff).expect("sixteen bits")))
}
