//! Shard iterators and paging tokens: places that a caller carries, sealed.
//!
//! Owns their form. A shard iterator is the base64 of eight bytes `00 .. 01` and a sealed body,
//! its length 152 and a multiple of 16 (observed), at most 512 characters. A paging token is the
//! base64 of a sealed JSON body. Both carry when they were made, live five minutes, and may be
//! used any number of times until then.
//!
//! Invariant: whatever opens was made by a server with this keyring; every other text is refused
//! alike, so nothing can be learnt by trying.

use millstream_auth::{Keyring, SEALED_OVERHEAD_BYTES, Sealer};
use millstream_core::{AccountId, ShardId, StreamName, Timestamp, limits};
use millstream_log::Position;
use serde::{Deserialize, Serialize};

use crate::state::StreamUid;

const HEAD: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const RAW_BYTES_MIN: usize = 152;
const RAW_BYTES_STEP: usize = 16;
/// Bytes of a body beside the stream's name.
const BODY_FIXED_BYTES: usize = 8 + 4 + 8 + 8 + 12 + 1;
/// A paging token's own length limit (documented: NextToken, 1 MiB; ours are small).
const NEXT_TOKEN_LENGTH_MAX: usize = 4_096;

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardIterator {
    pub(crate) account: AccountId,
    pub(crate) name: StreamName,
    pub(crate) stream: StreamUid,
    pub(crate) shard: ShardId,
    pub(crate) position: Position,
    pub(crate) issued: Timestamp,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("not one of our tokens")]
    Invalid,
    #[error("too old")]
    Expired { issued: Timestamp },
}

/// Makes and reads tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    iterators: Seal,
    pages: Seal,
}

/// A sealer; under the mutant feature, one that seals nothing.
struct Seal(#[cfg_attr(feature = "mutant-iterator-seal", allow(dead_code))] Sealer);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(not(feature = "mutant-iterator-seal"))]
impl Seal {
    fn seal(&self, body: &[u8]) -> Vec<u8> {
        self.0.seal(body, b"")
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(sealed, b"")
    }
}

#[cfg(feature = "mutant-iterator-seal")]
#[allow(clippy::unused_self)] // Shaped as the real one.
impl Seal {
    fn seal(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; SEALED_OVERHEAD_BYTES];
        bytes.extend_from_slice(body);
        bytes
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        sealed.get(SEALED_OVERHEAD_BYTES..).map(<[u8]>::to_vec)
    }
}

impl Tokens {
    pub(crate) fn new(keyring: &Keyring) -> Self {
        Self {
            iterators: Seal(keyring.sealer("shard iterator")),
            pages: Seal(keyring.sealer("next token")),
        }
    }

    /// The iterator as callers carry it.
    pub(crate) fn iterator(&self, iterator: &ShardIterator) -> String {
        let name = iterator.name.as_str().as_bytes();
        let mut body = Vec::with_capacity(RAW_BYTES_MIN);
        body.extend_from_slice(&iterator.stream.0.to_le_bytes());
        body.extend_from_slice(&iterator.shard.0.to_le_bytes());
        body.extend_from_slice(&iterator.position.0.to_le_bytes());
        body.extend_from_slice(&iterator.issued.ms().to_le_bytes());
        body.extend_from_slice(iterator.account.as_str().as_bytes());
        body.push(u8::try_from(name.len()).expect("a stream name has at most 128 characters"));
        body.extend_from_slice(name);
        let around = HEAD.len() + SEALED_OVERHEAD_BYTES;
        let raw = (around + body.len()).max(RAW_BYTES_MIN) - RAW_BYTES_MIN;
        let raw = RAW_BYTES_MIN + raw.next_multiple_of(RAW_BYTES_STEP);
        body.resize(raw - around, 0);
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(&self.iterators.seal(&body));
        base64_simd::STANDARD.encode_to_string(bytes)
    }

    /// The iterator behind `text`, which may stand in double quotes.
    pub(crate) fn read_iterator(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<ShardIterator, TokenError> {
        let iterator = self.open_iterator(text).ok_or(TokenError::Invalid)?;
        check_age(iterator.issued, now)?;
        Ok(iterator)
    }

    fn open_iterator(&self, text: &str) -> Option<ShardIterator> {
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let bytes = base64_simd::STANDARD.decode_to_vec(quoted.unwrap_or(text)).ok()?;
        let body = self.iterators.open(bytes.strip_prefix(&HEAD)?)?;
        let (fixed, name) = body.split_at_checked(BODY_FIXED_BYTES)?;
        let u64_at = |at: usize| Some(u64::from_le_bytes(*fixed.get(at..)?.first_chunk()?));
        let name = name.get(..usize::from(fixed[BODY_FIXED_BYTES - 1]))?;
        Some(ShardIterator {
            stream: StreamUid(u64_at(0)?),
            shard: ShardId(u32::from_le_bytes(*fixed.get(8..)?.first_chunk()?)),
            position: Position(u64_at(12)?),
            issued: Timestamp::from_ms(u64_at(20)?),
            account: std::str::from_utf8(&fixed[28..40]).ok()?.parse().ok()?,
            name: std::str::from_utf8(name).ok()?.parse().ok()?,
        })
    }

    /// A paging token that holds `page`.
    pub(crate) fn page<T: Serialize>(&self, page: &T, now: Timestamp) -> String {
        let body = serde_json::to_vec(&(now.ms(), page)).expect("a page's keys are strings");
        base64_simd::STANDARD.encode_to_string(self.pages.seal(&body))
    }

    /// The page behind `text`.
    pub(crate) fn read_page<T: for<'de> Deserialize<'de>>(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<T, TokenError> {
        let open = || {
            if text.len() > NEXT_TOKEN_LENGTH_MAX {
                return None;
            }
            let bytes = base64_simd::STANDARD.decode_to_vec(text).ok()?;
            serde_json::from_slice::<(u64, T)>(&self.pages.open(&bytes)?).ok()
        };
        let (issued, page) = open().ok_or(TokenError::Invalid)?;
        check_age(Timestamp::from_ms(issued), now)?;
        Ok(page)
    }
}

fn check_age(issued: Timestamp, now: Timestamp) -> Result<(), TokenError> {
    if now.ms_since(issued) > limits::ITERATOR_LIFE_MS {
        return Err(TokenError::Expired { issued });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_auth::MasterKey;
    use millstream_core::SeededRand;

    use super::*;

    fn tokens(seed: u64) -> Tokens {
        let rand = Arc::new(SeededRand::new(seed));
        Tokens::new(&Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand))
    }

    fn iterator(name: &str) -> ShardIterator {
        ShardIterator {
            account: "123456789012".parse().unwrap(),
            name: name.parse().unwrap(),
            stream: StreamUid(u64::MAX),
            shard: ShardId(7),
            position: Position(u64::MAX - 1),
            issued: Timestamp::from_ms(1_000),
        }
    }

    #[test]
    fn an_iterator_has_the_length_and_the_head_of_the_service() {
        for length in 1..=128 {
            let iterator = iterator(&"n".repeat(length));
            let text = tokens(1).iterator(&iterator);
            assert!(text.len() <= 512);
            let bytes = base64_simd::STANDARD.decode_to_vec(&text).unwrap();
            assert_eq!((bytes.len() - 152) % 16, 0);
            assert_eq!(bytes[..8], HEAD);
            assert_eq!(tokens(1).read_iterator(&text, Timestamp::from_ms(1_000)), Ok(iterator));
        }
    }

    #[test]
    fn an_iterator_changed_in_any_character_is_refused() {
        let tokens = tokens(1);
        let text = tokens.iterator(&iterator("orders"));
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let read = tokens.read_iterator(&changed, Timestamp::from_ms(1_000));
            assert_eq!(read, Err(TokenError::Invalid), "character {index}");
        }
        for text in ["", "\"", "\"\"", "AAAA", &text[..text.len() - 4], &format!("{text}AAAA")] {
            let read = tokens.read_iterator(text, Timestamp::from_ms(1_000));
            assert_eq!(read, Err(TokenError::Invalid), "{text}");
        }
    }

    #[test]
    fn an_iterator_of_another_keyring_is_refused() {
        let text = tokens(1).iterator(&iterator("orders"));
        let read = tokens(2).read_iterator(&text, Timestamp::from_ms(1_000));
        assert_eq!(read, Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_lives_five_minutes_to_the_millisecond() {
        let tokens = tokens(1);
        let text = tokens.iterator(&iterator("orders"));
        assert!(tokens.read_iterator(&text, Timestamp::from_ms(301_000)).is_ok());
        let issued = Timestamp::from_ms(1_000);
        let expired = Err(TokenError::Expired { issued });
        assert_eq!(tokens.read_iterator(&text, Timestamp::from_ms(301_001)), expired);
        let page = tokens.page(&"page".to_owned(), issued);
        assert_eq!(tokens.read_page(&page, Timestamp::from_ms(301_000)), Ok("page".to_owned()));
        let read = tokens.read_page::<String>(&page, Timestamp::from_ms(301_001));
        assert_eq!(read, Err(TokenError::Expired { issued }));
    }
}
