//! Shard ids: `shardId-` and twelve digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a shard in its stream, counted from 0 in order of creation and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u32);

/// Why a text is not a shard id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard id is `shardId-` and a number below 2^31")]
pub struct ShardIdError;

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl FromStr for ShardId {
    type Err = ShardIdError;

    /// Reads the printed form and the looser ones that the service takes: `shardId-0`, `0`.
    fn from_str(text: &str) -> Result<Self, ShardIdError> {
        let digits = text.strip_prefix("shardId-").unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // The service's numbers are signed, and so end at 2^31 - 1.
        let number = digits.parse::<i32>().ok().filter(|_| plain);
        number.and_then(|number| u32::try_from(number).ok()).map(Self).ok_or(ShardIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_forms_name_the_same_shard() {
        for text in ["shardId-000000000007", "shardId-7", "7", "007"] {
            assert_eq!(text.parse(), Ok(ShardId(7)), "{text:?}");
        }
        for text in ["", "shardId-", "shardId--1", "shard-1", "+1", "2147483648"] {
            assert_eq!(text.parse::<ShardId>(), Err(ShardIdError), "{text:?}");
        }
        assert_eq!(ShardId(7).to_string(), "shardId-000000000007");
    }
}
