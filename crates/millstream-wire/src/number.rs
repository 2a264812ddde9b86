//! Numbers as they come off the wire, before a member's type narrows them.

use millstream_core::Timestamp;

/// A number of any form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// Without fraction and within 64 bits.
    Integer(i64),
    /// With fraction, exponent, or beyond 64 bits. May be infinite in CBOR, and for `1e999`.
    Float(f64),
}

impl Number {
    /// Cut to 64 bits: fractions are dropped, what is too large is the largest (observed:
    /// a `ShardCount` of 100000000000 was taken for 2147483647).
    #[allow(clippy::cast_possible_truncation)] // `as` saturates, and makes NaN zero: the meaning wanted.
    pub(crate) fn to_i64(self) -> i64 {
        match self {
            Self::Integer(value) => value,
            Self::Float(value) => value as i64,
        }
    }

    /// Cut to 32 bits, as [`Number::to_i64`].
    #[allow(clippy::cast_possible_truncation)] // Clamped on the line itself.
    pub(crate) fn to_i32(self) -> i32 {
        self.to_i64().clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }

    /// As a double.
    #[allow(clippy::cast_precision_loss)] // What a double is.
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// As seconds since the epoch, kept to the millisecond; times before it are the epoch.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates.
    pub(crate) fn seconds_to_timestamp(self) -> Timestamp {
        match self {
            Self::Integer(seconds) => Timestamp::from_seconds(seconds.max(0).unsigned_abs()),
            Self::Float(seconds) => Timestamp::from_ms((seconds * 1_000.0).round() as u64),
        }
    }

    /// As milliseconds since the epoch; times before it are the epoch.
    pub(crate) fn ms_to_timestamp(self) -> Timestamp {
        Timestamp::from_ms(self.to_i64().max(0).unsigned_abs())
    }
}
