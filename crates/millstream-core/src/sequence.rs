//! Sequence numbers, version 2: a 186-bit integer printed in decimal.
//!
//! Owns the layout and nothing else. As 47 hexadecimal digits from the most significant:
//! `2`, 9 digits shard creation second, 1 digit low nibble of the shard number, 16 digits
//! sequence index (first at most 7), `00`, 9 digits record second, 8 digits shard number, `2`.
//! Source: observed by implementations whose tests were recorded against the service.
//!
//! Invariant: within a shard numbers grow with the index; a child shard, created in a later
//! second than its parent, has only greater ones. The printed form has 56 digits for every
//! creation second from 1970 to 2^36, so text order is number order.

use std::fmt;
use std::str::FromStr;

use crate::ShardId;

/// The largest sequence index, which closes a shard.
const INDEX_MAX: u64 = 0x7fff_ffff_ffff_ffff;
const SECONDS_MAX: u64 = (1 << 36) - 1;
const TEN_TO_19: u64 = 10_000_000_000_000_000_000;

/// The place of a record in its shard, and what it says of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber {
    /// When the shard was created, in seconds since the epoch.
    pub shard_created_seconds: u64,
    /// The shard.
    pub shard: ShardId,
    /// Order within the shard: 0 is the shard's start, records count from 1.
    pub index: u64,
    /// When the record arrived, in seconds since the epoch.
    pub arrived_seconds: u64,
}

/// Why a text is not a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number of version 2")]
pub struct SequenceError;

impl SequenceNumber {
    /// The number a shard starts at, before its first record.
    pub fn start_of(shard: ShardId, created_seconds: u64) -> Self {
        Self {
            shard_created_seconds: created_seconds,
            shard,
            index: 0,
            arrived_seconds: created_seconds,
        }
    }

    /// The number a shard ends at once closed, above each of its records'.
    pub fn end_of(shard: ShardId, created_seconds: u64, closed_seconds: u64) -> Self {
        Self {
            shard_created_seconds: created_seconds,
            shard,
            index: INDEX_MAX,
            arrived_seconds: closed_seconds,
        }
    }

    /// The 186 bits as three limbs, least significant first.
    fn limbs(self) -> [u64; 3] {
        let created = self.shard_created_seconds & SECONDS_MAX;
        let arrived = self.arrived_seconds & SECONDS_MAX;
        let shard = u64::from(self.shard.0);
        // Bits from the least: 4 version, 32 shard, 36 arrival, 8 zero, 64 index, 4 shard
        // nibble, 36 creation, 4 version.
        let low = 0x2 | (shard << 4) | (arrived << 36);
        let mid = (arrived >> 28) | (self.index << 16);
        let high = (self.index >> 48) | ((shard & 0xf) << 16) | (created << 20) | (0x2 << 56);
        [low, mid, high]
    }

    fn from_limbs([low, mid, high]: [u64; 3]) -> Result<Self, SequenceError> {
        let shard = u32::try_from((low >> 4) & 0xffff_ffff).map_err(|_| SequenceError)?;
        let number = Self {
            shard_created_seconds: (high >> 20) & SECONDS_MAX,
            shard: ShardId(shard),
            index: (mid >> 16) | ((high & 0xffff) << 48),
            arrived_seconds: (low >> 36) | ((mid & 0xff) << 28),
        };
        // Whatever the fields do not hold must be as printed by us: versions, zeros, nibble.
        let sane = number.index <= INDEX_MAX && number.limbs() == [low, mid, high];
        sane.then_some(number).ok_or(SequenceError)
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.limbs().into_iter().rev().cmp(other.limbs().into_iter().rev())
    }
}

/// Divides three limbs in place by ten to the 19th and returns the remainder.
#[allow(clippy::cast_possible_truncation)] // Quotient and remainder fit: remainder < divisor < 2^64.
fn divide(limbs: &mut [u64; 3]) -> u64 {
    let mut remainder = 0_u64;
    for limb in limbs.iter_mut().rev() {
        let value = (u128::from(remainder) << 64) | u128::from(*limb);
        *limb = (value / u128::from(TEN_TO_19)) as u64;
        remainder = (value % u128::from(TEN_TO_19)) as u64;
    }
    remainder
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.limbs();
        let low = divide(&mut limbs);
        let mid = divide(&mut limbs);
        let high = divide(&mut limbs);
        write!(f, "{high}{mid:019}{low:019}")
    }
}

impl FromStr for SequenceNumber {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || !(1..=58).contains(&text.len()) {
            return Err(SequenceError);
        }
        let mut limbs = [0_u64; 3];
        for digit in text.bytes().map(|byte| u64::from(byte - b'0')) {
            let mut carry = u128::from(digit);
            for limb in &mut limbs {
                let value = u128::from(*limb) * 10 + carry;
                *limb = u64::try_from(value & u128::from(u64::MAX)).map_err(|_| SequenceError)?;
                carry = value >> 64;
            }
            if carry != 0 {
                return Err(SequenceError);
            }
        }
        Self::from_limbs(limbs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_seen_in_the_service_decodes_to_its_parts() {
        // Published in the developer guide's examples: a record on shard 0, September 2014.
        let text = "49543463076548007577105092703039560359975228518395019266";
        let number: SequenceNumber = text.parse().unwrap();
        assert_eq!(number.shard, ShardId(0));
        assert_eq!(number.shard_created_seconds, 1_411_403_981);
        assert_eq!(number.arrived_seconds, 1_411_431_220);
        assert_eq!(number.index, 5_501);
        assert_eq!(number.to_string(), text);
    }

    #[test]
    fn text_order_is_number_order() {
        let mut numbers = Vec::new();
        for created in [1, 1_400_000_000, 1_800_000_000, SECONDS_MAX] {
            for shard in [0, 1, 15, 16, 70_000] {
                for index in [0, 1, 255, 1 << 40, INDEX_MAX] {
                    numbers.push(SequenceNumber {
                        shard_created_seconds: created,
                        shard: ShardId(shard),
                        index,
                        arrived_seconds: created,
                    });
                }
            }
        }
        for number in &numbers {
            assert_eq!(number.to_string().len(), 56);
            assert_eq!(number.to_string().parse(), Ok(*number));
        }
        for pair in numbers.windows(2) {
            assert_eq!(pair[0].cmp(&pair[1]), pair[0].to_string().cmp(&pair[1].to_string()));
        }
    }

    #[test]
    fn a_child_starts_above_its_parents_end() {
        let parent = SequenceNumber::end_of(ShardId(7), 1_700_000_000, 1_800_000_000);
        let child = SequenceNumber::start_of(ShardId(0), 1_700_000_001);
        assert!(child > parent);
    }

    #[test]
    fn what_is_not_a_sequence_number_is_refused() {
        for text in ["", "0", "1", "abc", "-1", &"9".repeat(58), &"1".repeat(56), &"1".repeat(80)] {
            assert_eq!(text.parse::<SequenceNumber>(), Err(SequenceError), "{text:?}");
        }
    }
}
