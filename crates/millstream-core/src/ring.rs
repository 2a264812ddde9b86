//! The 128-bit ring that partition keys fall on.
//!
//! Owns the map from a partition key to a point, and the ranges that shards cover.
//! Source: API_PutRecord (documented); the digest is read big-endian (observed by
//! implementations whose tests were recorded against the service).

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// A point on the ring, `0..=2^128-1`, printed in decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

/// Why a text is not a hash key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash key is a decimal number from 0 to 2^128-1 without leading zeros")]
pub struct HashKeyError;

impl HashKey {
    /// The lowest point.
    pub const MIN: Self = Self(0);
    /// The highest point, 2^128-1.
    pub const MAX: Self = Self(u128::MAX);

    /// Where `partition_key` falls: the MD5 of its UTF-8, read big-endian.
    pub fn of_partition_key(partition_key: &str) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into()))
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        let plain = text == "0" || (!text.starts_with('0') && !text.starts_with('+'));
        if !plain {
            return Err(HashKeyError);
        }
        text.parse().map(Self).map_err(|_| HashKeyError)
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for HashKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A stretch of the ring, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HashKeyRange {
    /// First point covered.
    pub start: HashKey,
    /// Last point covered.
    pub end: HashKey,
}

impl HashKeyRange {
    /// The whole ring.
    pub const FULL: Self = Self { start: HashKey::MIN, end: HashKey::MAX };

    /// Whether `point` lies in this range.
    pub fn contains(&self, point: HashKey) -> bool {
        self.start <= point && point <= self.end
    }

    /// Whether one range ends where the other starts.
    pub fn is_adjacent(&self, other: &Self) -> bool {
        let follows = |left: &Self, right: &Self| left.end.0.checked_add(1) == Some(right.start.0);
        follows(self, other) || follows(other, self)
    }

    /// The two parts when `start` becomes the first point of the second;
    /// `None` unless `start` is strictly above this range's start and inside it.
    pub fn split_at(&self, start: HashKey) -> Option<(Self, Self)> {
        if start <= self.start || start > self.end {
            return None;
        }
        let low = Self { start: self.start, end: HashKey(start.0 - 1) };
        Some((low, Self { start, end: self.end }))
    }

    /// `count` ranges that tile the ring: range `i` starts at `i * floor(2^128 / count)`
    /// and the last ends at 2^128-1 (observed). `count` is at least 1.
    pub fn tile(count: u32) -> Vec<Self> {
        assert!(count > 0, "a stream has at least one shard");
        let count = u128::from(count);
        // floor(2^128 / n) without 129 bits: floor((2^128 - 1) / n), and one more where n divides.
        let divides = u128::from(u128::MAX % count == count - 1);
        let step = (u128::MAX / count).wrapping_add(divides);
        (0..count)
            .map(|i| Self {
                // With one shard the step would be 2^128 and wrap to 0, which is its start anyway.
                start: HashKey(i.wrapping_mul(step)),
                end: if i + 1 == count {
                    HashKey::MAX
                } else {
                    HashKey((i + 1).wrapping_mul(step) - 1)
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_falls_where_the_service_puts_it() {
        // MD5("a") = 0cc175b9c0f1b6a831c399e269772661 (RFC 1321, test suite).
        assert_eq!(HashKey::of_partition_key("a").0, 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn tiles_leave_no_gap_and_no_overlap() {
        for count in [1, 2, 3, 4, 5, 7, 10, 1_000, 10_000] {
            let tiles = HashKeyRange::tile(count);
            assert_eq!(tiles.len(), count as usize);
            assert_eq!(tiles[0].start, HashKey::MIN);
            assert_eq!(tiles[tiles.len() - 1].end, HashKey::MAX);
            assert!(tiles.windows(2).all(|pair| pair[0].end.0 + 1 == pair[1].start.0));
        }
    }

    #[test]
    fn three_shards_have_the_ranges_that_the_service_prints() {
        let tiles = HashKeyRange::tile(3);
        assert_eq!(tiles[0].end.to_string(), "113427455640312821154458202477256070484");
        assert_eq!(tiles[1].start.to_string(), "113427455640312821154458202477256070485");
        assert_eq!(tiles[2].start.to_string(), "226854911280625642308916404954512140970");
    }

    #[test]
    fn hash_keys_refuse_signs_zeros_and_overflow() {
        for text in ["", "00", "01", "+1", "-1", " 1", "1x"] {
            assert_eq!(text.parse::<HashKey>(), Err(HashKeyError), "{text:?}");
        }
        assert_eq!("0".parse(), Ok(HashKey::MIN));
        assert_eq!("340282366920938463463374607431768211455".parse(), Ok(HashKey::MAX));
        assert!("340282366920938463463374607431768211456".parse::<HashKey>().is_err());
    }
}
