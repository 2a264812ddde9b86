//! Seals secrets at rest: access keys, tokens handed to clients, and the keys of records.
//!
//! Owns the master keys and all use of AES-256-GCM. A sealed thing is
//! `version 1 | master key id 4 | salt 12 | counter 8 | ciphertext | tag 16`; its key is derived
//! from the master key, the purpose and the salt (HKDF-SHA-256, RFC 5869), its nonce is the
//! counter.
//!
//! Invariant: no nonce is used twice under one key. Each [`Sealer`] draws its own salt of 96 bits
//! and counts from 0, so a restart, a copied disk and a second process all seal under other keys.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::Rand;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hkdf};
use zeroize::Zeroizing;

/// Bytes of a master key or a data key.
pub const KEY_LENGTH: usize = 32;
const KEY_ID_LENGTH: usize = 4;
const SALT_LENGTH: usize = 12;
const COUNTER_LENGTH: usize = 8;
const TAG_LENGTH: usize = 16;
const VERSION: u8 = 1;
const HEAD_LENGTH: usize = 1 + KEY_ID_LENGTH + SALT_LENGTH + COUNTER_LENGTH;
/// How many bytes a sealed thing is longer than what it holds.
pub const SEALED_OVERHEAD_BYTES: usize = HEAD_LENGTH + TAG_LENGTH;
/// How many bytes a record sealed by a data key is longer than the record.
pub const RECORD_OVERHEAD_BYTES: usize = COUNTER_LENGTH + TAG_LENGTH;
/// How many foreign salts' keys are remembered: those of the last few starts.
const FOREIGN_KEYS_MAX: usize = 8;

type Salt = [u8; SALT_LENGTH];
type KeyId = [u8; KEY_ID_LENGTH];

/// The key that all others hang on. Kept apart from the data, by file or by environment.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_LENGTH]>);

impl MasterKey {
    /// A new one, at random.
    pub fn generate(rand: &dyn Rand) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        rand.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits, blanks around them ignored.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes();
        if digits.len() != KEY_LENGTH * 2 {
            return None;
        }
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The 64 hexadecimal digits to keep in the key file.
    pub fn to_hex(&self) -> Zeroizing<String> {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let digits = digits.filter_map(|nibble| char::from_digit(u32::from(nibble), 16));
        Zeroizing::new(digits.collect())
    }

    /// Names the key without telling anything of it.
    fn id(&self) -> KeyId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"millstream master key id");
        context.update(self.0.as_slice());
        let mut id = [0; KEY_ID_LENGTH];
        id.copy_from_slice(&context.finish().as_ref()[..KEY_ID_LENGTH]);
        id
    }

    fn derive(&self, purpose: &str, salt: &Salt) -> LessSafeKey {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(self.0.as_slice());
        let info = [b"millstream seal".as_slice(), purpose.as_bytes()];
        let okm = prk.expand(&info, &AES_256_GCM).expect("32 bytes are within HKDF's reach");
        LessSafeKey::new(UnboundKey::from(okm))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

fn counter_nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// The key of another sealer's things, by its master key and salt.
struct ForeignKey {
    id: KeyId,
    salt: Salt,
    key: Arc<LessSafeKey>,
}

/// Seals and opens things of one purpose; one purpose's things are nothing to another.
pub struct Sealer {
    masters: Arc<[MasterKey]>,
    purpose: &'static str,
    own_id: KeyId,
    salt: Salt,
    key: LessSafeKey,
    counter: AtomicU64,
    foreign: Mutex<VecDeque<ForeignKey>>,
}

impl Sealer {
    /// Seals `plaintext`; it opens only with the same `aad`.
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut sealed = Vec::with_capacity(plaintext.len() + SEALED_OVERHEAD_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.own_id);
        sealed.extend_from_slice(&self.salt);
        sealed.extend_from_slice(&counter.to_be_bytes());
        sealed.extend_from_slice(plaintext);
        let body = &mut sealed[HEAD_LENGTH..];
        let tag = self.key.seal_in_place_separate_tag(counter_nonce(counter), Aad::from(aad), body);
        let tag = tag.expect("nothing we seal comes near 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// What was sealed, or `None` if a single bit of it, of `aad` or of the key differs.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (head, body) = sealed.split_at_checked(HEAD_LENGTH)?;
        let (version, rest) = head.split_first()?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID_LENGTH>()?;
        let (salt, counter) = rest.split_first_chunk::<SALT_LENGTH>()?;
        let counter = u64::from_be_bytes(counter.try_into().ok()?);
        if *version != VERSION || body.len() < TAG_LENGTH {
            return None;
        }
        let mut body = body.to_vec();
        let nonce = counter_nonce(counter);
        let length = if *id == self.own_id && *salt == self.salt {
            self.key.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len()
        } else {
            let (key, is_known) = self.foreign_key(*id, *salt)?;
            let length = key.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
            // Remembered only once something opened, so that forgeries evict nothing.
            if !is_known {
                self.remember(*id, *salt, key);
            }
            length
        };
        body.truncate(length);
        Some(body)
    }

    fn foreign_key(&self, id: KeyId, salt: Salt) -> Option<(Arc<LessSafeKey>, bool)> {
        let foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        let known = foreign.iter().find(|other| other.id == id && other.salt == salt);
        if let Some(known) = known {
            return Some((known.key.clone(), true));
        }
        drop(foreign);
        let master = self.masters.iter().find(|master| master.id() == id)?;
        Some((Arc::new(master.derive(self.purpose, &salt)), false))
    }

    fn remember(&self, id: KeyId, salt: Salt, key: Arc<LessSafeKey>) {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        if foreign.len() == FOREIGN_KEYS_MAX {
            foreign.pop_front();
        }
        foreign.push_back(ForeignKey { id, salt, key });
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

/// The master keys at work.
#[derive(Clone)]
pub struct Keyring {
    masters: Arc<[MasterKey]>,
    rand: Arc<dyn Rand>,
    general: Arc<Sealer>,
    data_keys: Arc<Sealer>,
}

impl Keyring {
    /// A keyring that seals under `master` and also opens what `retired` keys have sealed.
    pub fn new(master: MasterKey, retired: Vec<MasterKey>, rand: Arc<dyn Rand>) -> Self {
        let masters: Arc<[MasterKey]> = std::iter::once(master).chain(retired).collect();
        let general = Arc::new(new_sealer(&masters, "general", rand.as_ref()));
        let data_keys = Arc::new(new_sealer(&masters, "data key", rand.as_ref()));
        Self { masters, rand, general, data_keys }
    }

    /// A sealer of its own for `purpose`: one for iterators, one for key files, and so on.
    pub fn sealer(&self, purpose: &'static str) -> Sealer {
        new_sealer(&self.masters, purpose, self.rand.as_ref())
    }

    /// Seals `plaintext`, which opens only with the same `aad`.
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        self.general.seal(plaintext, aad)
    }

    /// Opens what [`Keyring::seal`] sealed.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        self.general.open(sealed, aad)
    }

    /// A new data key to seal records with, and its wrapped form to keep beside them.
    pub fn new_data_key(&self) -> (DataKey, Vec<u8>) {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        self.rand.fill(bytes.as_mut_slice());
        let wrapped = self.data_keys.seal(bytes.as_slice(), b"");
        let opener = DataKeyOpener(Arc::new(record_key(&bytes)));
        (DataKey { opener, counter: AtomicU64::new(0) }, wrapped)
    }

    /// The key behind its wrapped form, to open records with. It does not seal: it cannot know
    /// how far the counter had come.
    pub fn unwrap_data_key(&self, wrapped: &[u8]) -> Option<DataKeyOpener> {
        let bytes = Zeroizing::new(self.data_keys.open(wrapped, b"")?);
        let bytes: &[u8; KEY_LENGTH] = bytes.as_slice().try_into().ok()?;
        Some(DataKeyOpener(Arc::new(record_key(bytes))))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("master_keys", &self.masters.len()).finish_non_exhaustive()
    }
}

fn new_sealer(masters: &Arc<[MasterKey]>, purpose: &'static str, rand: &dyn Rand) -> Sealer {
    let master = masters.first().expect("a keyring has a master key");
    let mut salt = [0; SALT_LENGTH];
    rand.fill(&mut salt);
    Sealer {
        purpose,
        own_id: master.id(),
        key: master.derive(purpose, &salt),
        salt,
        counter: AtomicU64::new(0),
        foreign: Mutex::new(VecDeque::new()),
        masters: masters.clone(),
    }
}

fn record_key(bytes: &[u8; KEY_LENGTH]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes are an AES-256 key"))
}

/// Seals records, each as `counter 8 | ciphertext | tag 16`.
///
/// Rotate it (every five minutes, as the service does) by asking for a new one.
pub struct DataKey {
    opener: DataKeyOpener,
    counter: AtomicU64,
}

impl DataKey {
    /// Appends the sealed form of `plaintext` to `out`.
    pub fn seal_into(&self, plaintext: &[u8], aad: &[u8], out: &mut Vec<u8>) {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        out.reserve(plaintext.len() + RECORD_OVERHEAD_BYTES);
        out.extend_from_slice(&counter.to_be_bytes());
        let start = out.len();
        out.extend_from_slice(plaintext);
        let key = &self.opener.0;
        let nonce = counter_nonce(counter);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut out[start..]);
        out.extend_from_slice(tag.expect("no record comes near 64 GiB").as_ref());
    }

    /// The sealed form of `plaintext`.
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.seal_into(plaintext, aad, &mut out);
        out
    }

    /// Opens what this key has sealed.
    pub fn opener(&self) -> DataKeyOpener {
        self.opener.clone()
    }

    /// How many records it has sealed.
    pub fn sealed_count(&self) -> u64 {
        self.counter.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}

/// Opens records that a [`DataKey`] sealed; cheap to clone.
#[derive(Clone)]
pub struct DataKeyOpener(Arc<LessSafeKey>);

impl DataKeyOpener {
    /// The record, or `None` if a bit of it or of `aad` differs.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (counter, body) = sealed.split_first_chunk::<COUNTER_LENGTH>()?;
        let nonce = counter_nonce(u64::from_be_bytes(*counter));
        let mut body = body.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

impl fmt::Debug for DataKeyOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKeyOpener(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::SeededRand;

    use super::*;

    fn keyring(master_seed: u64, salt_seed: u64) -> Keyring {
        let master = MasterKey::generate(&SeededRand::new(master_seed));
        Keyring::new(master, Vec::new(), Arc::new(SeededRand::new(salt_seed)))
    }

    #[test]
    fn what_is_sealed_opens_again_after_a_restart() {
        let sealed = keyring(1, 1).seal(b"secret", b"aad");
        assert_eq!(sealed.len(), 6 + SEALED_OVERHEAD_BYTES);
        assert_eq!(keyring(1, 1).open(&sealed, b"aad").unwrap(), b"secret");
        let restarted = keyring(1, 2);
        assert_eq!(restarted.open(&sealed, b"aad").unwrap(), b"secret");
        assert_eq!(restarted.open(&sealed, b"aad").unwrap(), b"secret", "from memory");
        assert_eq!(restarted.open(&sealed, b"other"), None);
        assert_eq!(keyring(2, 1).open(&sealed, b"aad"), None);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let keyring = keyring(1, 1);
        let sealed = keyring.seal(b"secret", b"aad");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(keyring.open(&changed, b"aad"), None, "byte {at} bit {bit}");
            }
            assert_eq!(keyring.open(&sealed[..at], b"aad"), None, "cut at {at}");
        }
        assert_eq!(keyring.open(&[sealed, vec![0]].concat(), b"aad"), None);
    }

    #[test]
    fn one_purpose_does_not_open_anothers() {
        let keyring = keyring(1, 1);
        let sealed = keyring.sealer("iterator").seal(b"x", b"");
        assert_eq!(keyring.sealer("iterator").open(&sealed, b"").unwrap(), b"x");
        assert_eq!(keyring.sealer("access key").open(&sealed, b""), None);
        assert_eq!(keyring.open(&sealed, b""), None);
    }

    #[test]
    fn no_two_sealings_are_alike() {
        let keyring = keyring(1, 1);
        let sealer = keyring.sealer("iterator");
        let again = keyring.sealer("iterator");
        let all = [sealer.seal(b"x", b""), sealer.seal(b"x", b""), again.seal(b"x", b"")];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }

    #[test]
    fn a_retired_master_key_still_opens() {
        let old = MasterKey::generate(&SeededRand::new(1));
        let new = MasterKey::generate(&SeededRand::new(2));
        let rand = || Arc::new(SeededRand::new(3));
        let sealed = Keyring::new(old.clone(), Vec::new(), rand()).seal(b"x", b"");
        assert_eq!(Keyring::new(new.clone(), Vec::new(), rand()).open(&sealed, b""), None);
        assert_eq!(Keyring::new(new, vec![old], rand()).open(&sealed, b"").unwrap(), b"x");
    }

    #[test]
    fn a_record_opens_with_the_unwrapped_key_only() {
        let (key, wrapped) = keyring(1, 1).new_data_key();
        let sealed = key.seal(b"record", b"stream 1");
        assert_eq!(sealed.len(), 6 + RECORD_OVERHEAD_BYTES);
        assert!(!sealed.windows(6).any(|window| window == b"record"));
        let opener = keyring(1, 9).unwrap_data_key(&wrapped).unwrap();
        assert_eq!(opener.open(&sealed, b"stream 1").unwrap(), b"record");
        assert_eq!(opener.open(&sealed, b"stream 2"), None);
        assert!(keyring(2, 1).unwrap_data_key(&wrapped).is_none());
        let (other, _) = keyring(1, 1).new_data_key();
        assert_eq!(key.sealed_count(), 1);
        drop(other);
    }

    #[test]
    fn a_master_key_reads_what_it_prints_and_hides_in_debug() {
        let key = MasterKey::generate(&SeededRand::new(1));
        let text = key.to_hex();
        assert_eq!(text.len(), 64);
        let read = MasterKey::from_hex(&format!(" {}\n", text.as_str())).unwrap();
        assert_eq!(read.to_hex().as_str(), text.as_str());
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(63)] {
            assert!(MasterKey::from_hex(bad).is_none(), "{bad:?}");
        }
        assert_eq!(format!("{key:?}"), "MasterKey(redacted)");
    }
}
