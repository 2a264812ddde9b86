//! Access keys: who holds one, and what it may do.
//!
//! Owns the list and its form at rest, in which each secret is sealed by the keyring together
//! with all that is said of its key: an entry edited by hand no longer opens. Knows no file: the
//! binary reads and writes the bytes.
//!
//! Invariant: secrets are drawn at random, shown once by [`AccessKeys::create`], and never
//! listed or printed.

use std::collections::BTreeMap;

use millstream_core::{AccountId, Rand, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Keyring, Policy, PolicyKind, Secret};

/// The version of the form at rest.
const FORM_VERSION: u32 = 1;
/// Keys of one user at a time, so that one can replace the other (documented: IAM quotas).
pub const KEYS_PER_USER_MAX: usize = 2;
/// Policies attached to one key (documented: IAM quotas, 10 managed policies a user).
pub const POLICIES_PER_KEY_MAX: usize = 10;
const USER_NAME_LENGTH_MAX: usize = 64;

/// An access key without its secret: what may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeySummary {
    /// Names the key.
    pub access_key_id: String,
    /// The account its holder belongs to.
    pub account: AccountId,
    /// The user's name; `None` for the account itself.
    pub user_name: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is accepted.
    pub enabled: bool,
    /// What it may do.
    pub policies: Vec<Policy>,
}

#[derive(Clone, Debug)]
pub(crate) struct AccessKey {
    pub(crate) summary: AccessKeySummary,
    pub(crate) secret: Secret,
}

/// A new key to make.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// The account its holder belongs to.
    pub account: AccountId,
    /// The user's name; `None` for the account itself, which may do everything.
    pub user_name: Option<String>,
    /// What it may do.
    pub policies: Vec<Policy>,
}

/// A key just made: the only time its secret is seen.
#[derive(Clone, Debug)]
pub struct CreatedAccessKey {
    /// Names the key.
    pub access_key_id: String,
    /// The secret, to be shown once.
    pub secret_access_key: Secret,
}

/// Why a key is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateAccessKeyError {
    /// Not a user's name.
    #[error(
        "a user name is 1 to {USER_NAME_LENGTH_MAX} of the characters a-z A-Z 0-9 + = , . @ _ -"
    )]
    UserName,
    /// The user has two already.
    #[error("a user has at most {KEYS_PER_USER_MAX} access keys: delete one first")]
    TooManyKeys,
    /// Too many policies.
    #[error("an access key has at most {POLICIES_PER_KEY_MAX} policies")]
    TooManyPolicies,
    /// A resource's policy.
    #[error("the policy of an identity names no Principal")]
    PolicyKind,
}

/// Why bytes are not a list of access keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadAccessKeysError {
    /// Not of the form.
    #[error("not a list of access keys: {reason}")]
    Malformed {
        /// What, and where.
        reason: String,
    },
    /// Written by a newer version.
    #[error("the list of access keys has form {got}, and this version reads form {FORM_VERSION}")]
    Version {
        /// The form found.
        got: u32,
    },
    /// Another master key, or an entry that was changed.
    #[error(
        "access key {access_key_id} does not open: it was sealed under another master key, or its \
         entry was changed"
    )]
    Sealed {
        /// The key.
        access_key_id: String,
    },
}

/// All access keys of a server.
#[derive(Clone, Debug, Default)]
pub struct AccessKeys(BTreeMap<String, AccessKey>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    version: u32,
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    about: About,
    sealed_secret: String,
}

/// All that is said of a key; sealed with its secret.
#[derive(Serialize, Deserialize)]
struct About {
    access_key_id: String,
    account: AccountId,
    user_name: Option<String>,
    created: Timestamp,
    enabled: bool,
    policies: Vec<String>,
}

impl About {
    fn of(summary: &AccessKeySummary) -> Self {
        Self {
            access_key_id: summary.access_key_id.clone(),
            account: summary.account.clone(),
            user_name: summary.user_name.clone(),
            created: summary.created,
            enabled: summary.enabled,
            policies: summary.policies.iter().map(|policy| policy.text().to_owned()).collect(),
        }
    }

    /// What the secret is sealed together with.
    fn bound(&self) -> Vec<u8> {
        let text = serde_json::to_vec(self).expect("texts and numbers are JSON");
        [b"millstream access key 1\0".as_slice(), &text].concat()
    }
}

impl AccessKeys {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are none: the moment to make the first.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys, without their secrets, by id.
    pub fn list(&self) -> impl Iterator<Item = &AccessKeySummary> {
        self.0.values().map(|key| &key.summary)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &AccessKey> {
        self.0.values()
    }

    /// Makes a key. An account's own key may do everything, whatever its policies.
    pub fn create(
        &mut self,
        new: NewAccessKey,
        now: Timestamp,
        rand: &dyn Rand,
    ) -> Result<CreatedAccessKey, CreateAccessKeyError> {
        let NewAccessKey { account, user_name, mut policies } = new;
        match &user_name {
            Some(name) if !is_user_name(name) => return Err(CreateAccessKeyError::UserName),
            Some(_) => {}
            None => policies = vec![Policy::allow_all()],
        }
        let of_user =
            self.list().filter(|key| key.user_name == user_name && key.account == account);
        if of_user.count() >= KEYS_PER_USER_MAX {
            return Err(CreateAccessKeyError::TooManyKeys);
        }
        if policies.len() > POLICIES_PER_KEY_MAX {
            return Err(CreateAccessKeyError::TooManyPolicies);
        }
        if policies.iter().any(|policy| policy.kind() != PolicyKind::Identity) {
            return Err(CreateAccessKeyError::PolicyKind);
        }
        let access_key_id = new_access_key_id("AKIA", rand);
        let secret_access_key = new_secret(rand);
        let created = CreatedAccessKey {
            access_key_id: access_key_id.clone(),
            secret_access_key: secret_access_key.clone(),
        };
        let summary = AccessKeySummary {
            access_key_id: access_key_id.clone(),
            account,
            user_name,
            created: now,
            enabled: true,
            policies,
        };
        self.0.insert(access_key_id, AccessKey { summary, secret: secret_access_key });
        Ok(created)
    }

    /// Removes a key; whether there was one.
    pub fn delete(&mut self, access_key_id: &str) -> bool {
        self.0.remove(access_key_id).is_some()
    }

    /// Accepts a key from now on, or no longer; whether there is one.
    pub fn set_enabled(&mut self, access_key_id: &str, enabled: bool) -> bool {
        let key = self.0.get_mut(access_key_id);
        key.map(|key| key.summary.enabled = enabled).is_some()
    }

    /// The form at rest.
    pub fn to_bytes(&self, keyring: &Keyring) -> Vec<u8> {
        let entry = |key: &AccessKey| {
            let about = About::of(&key.summary);
            let sealed = keyring.seal(key.secret.expose().as_bytes(), &about.bound());
            Entry { about, sealed_secret: crate::sigv4::hex(&sealed) }
        };
        let list = List { version: FORM_VERSION, keys: self.0.values().map(entry).collect() };
        serde_json::to_vec_pretty(&list).expect("texts and numbers are JSON")
    }

    /// Reads the form at rest.
    pub fn from_bytes(bytes: &[u8], keyring: &Keyring) -> Result<Self, ReadAccessKeysError> {
        let malformed = |reason: String| ReadAccessKeysError::Malformed { reason };
        let list: List =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if list.version != FORM_VERSION {
            return Err(ReadAccessKeysError::Version { got: list.version });
        }
        let mut keys = BTreeMap::new();
        for Entry { about, sealed_secret } in list.keys {
            let bound = about.bound();
            let access_key_id = about.access_key_id.clone();
            let secret = bytes_of_hex(&sealed_secret)
                .and_then(|sealed| keyring.open(&sealed, &bound))
                .and_then(|secret| String::from_utf8(secret).ok())
                .map(Secret::new)
                .ok_or_else(|| ReadAccessKeysError::Sealed {
                    access_key_id: access_key_id.clone(),
                })?;
            let policies: Result<Vec<Policy>, _> =
                about.policies.iter().map(|text| text.parse::<Policy>()).collect();
            let summary = AccessKeySummary {
                access_key_id: about.access_key_id,
                account: about.account,
                user_name: about.user_name,
                created: about.created,
                enabled: about.enabled,
                policies: policies.map_err(|error| malformed(error.to_string()))?,
            };
            keys.insert(access_key_id, AccessKey { summary, secret });
        }
        Ok(Self(keys))
    }
}

fn is_user_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    (1..=USER_NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// `prefix` and 16 characters of base 32.
pub(crate) fn new_access_key_id(prefix: &str, rand: &dyn Rand) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = [0; 16];
    rand.fill(&mut bytes);
    let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    prefix.chars().chain(letters).collect()
}

/// 40 characters of base 64: 240 bits.
pub(crate) fn new_secret(rand: &dyn Rand) -> Secret {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = zeroize::Zeroizing::new([0; 40]);
    rand.fill(bytes.as_mut_slice());
    Secret::new(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect())
}

pub(crate) fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(nibble(pair[0])? << 4 | nibble(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millstream_core::SeededRand;

    use super::*;
    use crate::MasterKey;

    fn keyring(seed: u64) -> Keyring {
        let rand = SeededRand::new(seed);
        Keyring::new(MasterKey::generate(&rand), Vec::new(), Arc::new(rand))
    }

    fn new_key(user_name: Option<&str>) -> NewAccessKey {
        NewAccessKey {
            account: "000000000000".parse().unwrap(),
            user_name: user_name.map(str::to_owned),
            policies: vec![Policy::allow_all()],
        }
    }

    fn two_keys() -> (AccessKeys, CreatedAccessKey) {
        let rand = SeededRand::new(7);
        let mut keys = AccessKeys::new();
        let root = keys.create(new_key(None), Timestamp::from_seconds(1), &rand).unwrap();
        keys.create(new_key(Some("ada")), Timestamp::from_seconds(2), &rand).unwrap();
        (keys, root)
    }

    #[test]
    fn keys_are_random_of_the_usual_form_and_listed_without_secrets() {
        let (keys, root) = two_keys();
        assert_eq!(root.access_key_id.len(), 20);
        assert!(root.access_key_id.starts_with("AKIA"));
        assert_eq!(root.secret_access_key.expose().len(), 40);
        let shown = format!("{keys:?} {root:?} {:?}", keys.list().collect::<Vec<_>>());
        assert!(!shown.contains(root.secret_access_key.expose()));
        assert!(shown.contains(&root.access_key_id));
    }

    #[test]
    fn the_form_at_rest_reads_back_and_holds_no_secret() {
        let (mut keys, root) = two_keys();
        assert!(keys.set_enabled(&root.access_key_id, false));
        let bytes = keys.to_bytes(&keyring(1));
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains(root.secret_access_key.expose()));
        let read = AccessKeys::from_bytes(&bytes, &keyring(1)).unwrap();
        assert!(read.list().eq(keys.list()));
        for (one, other) in read.iter().zip(keys.iter()) {
            assert_eq!(one.secret.expose(), other.secret.expose());
        }
    }

    #[test]
    fn an_entry_changed_by_hand_or_sealed_under_another_key_does_not_open() {
        let (keys, root) = two_keys();
        let text = String::from_utf8(keys.to_bytes(&keyring(1))).unwrap();
        let changes = [
            text.replace(r#""user_name": "ada""#, r#""user_name": "bob""#),
            text.replace(r#""created": 1000"#, r#""created": 1001"#),
            text.replace("Allow", "Deny"),
            text.replace(&root.access_key_id, "AKIAAAAAAAAAAAAAAAAA"),
        ];
        for changed in changes {
            assert_ne!(changed, text);
            let error = AccessKeys::from_bytes(changed.as_bytes(), &keyring(1)).unwrap_err();
            assert!(matches!(error, ReadAccessKeysError::Sealed { .. }), "{error}");
        }
        let error = AccessKeys::from_bytes(text.as_bytes(), &keyring(2)).unwrap_err();
        assert!(matches!(error, ReadAccessKeysError::Sealed { .. }), "{error}");
        let newer = text.replace(r#""version": 1"#, r#""version": 2"#);
        let error = AccessKeys::from_bytes(newer.as_bytes(), &keyring(1)).unwrap_err();
        assert_eq!(error, ReadAccessKeysError::Version { got: 2 });
        for bytes in [b"".as_slice(), b"{}", b"[1]", b"\xff"] {
            let error = AccessKeys::from_bytes(bytes, &keyring(1)).unwrap_err();
            assert!(matches!(error, ReadAccessKeysError::Malformed { .. }));
        }
    }

    #[test]
    fn a_user_has_two_keys_at_most_and_a_sane_name() {
        let rand = SeededRand::new(7);
        let mut keys = AccessKeys::new();
        let now = Timestamp::default();
        let first = keys.create(new_key(Some("ada")), now, &rand).unwrap();
        keys.create(new_key(Some("ada")), now, &rand).unwrap();
        let error = keys.create(new_key(Some("ada")), now, &rand).unwrap_err();
        assert_eq!(error, CreateAccessKeyError::TooManyKeys);
        assert!(keys.delete(&first.access_key_id));
        assert!(!keys.delete(&first.access_key_id));
        keys.create(new_key(Some("ada")), now, &rand).unwrap();
        for name in ["", "a b", "a/b", "\u{e9}", &"a".repeat(65)] {
            let error = keys.create(new_key(Some(name)), now, &rand).unwrap_err();
            assert_eq!(error, CreateAccessKeyError::UserName, "{name:?}");
        }
    }
}
