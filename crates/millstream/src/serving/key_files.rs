//! The keys on disk: the master key in the clear for its owner only, access keys sealed under it.
//!
//! Owns both files. Whoever can read the master key can open all else, so it is the one thing to
//! keep apart from backups of the rest; it can also be given by the environment, and is then on no
//! disk at all.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_auth::{
    AccessKeys, CreatedAccessKey, Keyring, MasterKey, NewAccessKey, ReadAccessKeysError,
};
use millstream_core::{Clock, SystemClock, SystemRand};

use super::data_dir::{DataDir, Privacy, lock, read, write};
use crate::exit::{Failure, Outcome};

/// The variable that gives the master key; not a setting, since settings are shown.
pub(crate) const MASTER_KEY_VARIABLE: &str = "MILLSTREAM_MASTER_KEY";

/// Tells one state of the access keys' file from another: it is always replaced, never written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyStamp {
    inode: u64,
    changed_s: i64,
    changed_ns: i64,
}

/// The keys of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct KeyFiles {
    folder: PathBuf,
    keyring: Keyring,
}

impl KeyFiles {
    /// Opens the keys in `data_dir`; the master key is the environment's, or else made where there
    /// is none.
    pub(crate) fn open(data_dir: &DataDir) -> Outcome<Self> {
        Self::open_with(data_dir, std::env::var(MASTER_KEY_VARIABLE).ok().as_deref())
    }

    fn open_with(data_dir: &DataDir, given: Option<&str>) -> Outcome<Self> {
        let folder = data_dir.keys();
        let _lock = lock(&folder)?;
        let path = folder.join("master.key");
        let rand = SystemRand::new();
        let master = if let Some(text) = given {
            MasterKey::from_hex(text.trim()).ok_or_else(|| {
                Failure::usage(format!("{MASTER_KEY_VARIABLE} holds no master key"))
                    .advise("it is 64 hexadecimal digits, such as `openssl rand -hex 32` makes")
            })?
        } else if let Some(bytes) = read(&path, Privacy::Secret)? {
            let text = String::from_utf8_lossy(&bytes);
            MasterKey::from_hex(text.trim()).ok_or_else(|| {
                Failure::failed(format!("{} holds no master key", path.display()))
                    .advise("restore it from a backup: without it sealed data cannot be read")
            })?
        } else {
            if folder.join("access-keys").exists() {
                return Err(Failure::failed(format!("{} is missing", path.display())).advise(
                    format!(
                        "restore it from a backup, or give it in {MASTER_KEY_VARIABLE}: the \
                         access keys beside it need it"
                    ),
                ));
            }
            let master = MasterKey::generate(&rand);
            write(&path, format!("{}\n", &*master.to_hex()).as_bytes(), Privacy::Secret)?;
            master
        };
        Ok(Self { folder, keyring: Keyring::new(master, Vec::new(), Arc::new(rand)) })
    }

    /// What seals and opens under the master key.
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Where the sealed access keys lie.
    fn access_keys_path(&self) -> PathBuf {
        self.folder.join("access-keys")
    }

    /// In which state the access keys are; `None` where there are none.
    pub(crate) fn stamp(&self) -> Option<KeyStamp> {
        let found = std::fs::metadata(self.access_keys_path()).ok()?;
        Some(KeyStamp {
            inode: found.ino(),
            changed_s: found.ctime(),
            changed_ns: found.ctime_nsec(),
        })
    }

    /// All access keys.
    pub(crate) fn read(&self) -> Outcome<AccessKeys> {
        let path = self.access_keys_path();
        let Some(bytes) = read(&path, Privacy::Secret)? else { return Ok(AccessKeys::new()) };
        AccessKeys::from_bytes(&bytes, &self.keyring).map_err(|error: ReadAccessKeysError| {
            Failure::failed(format!("{}: {error}", path.display())).advise(format!(
                "were they sealed under another master key? See {MASTER_KEY_VARIABLE}"
            ))
        })
    }

    /// Changes the access keys, one change after the other.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut AccessKeys) -> Outcome<T>,
    ) -> Outcome<T> {
        let _lock = lock(&self.folder)?;
        let mut keys = self.read()?;
        let outcome = change(&mut keys)?;
        write(&self.access_keys_path(), &keys.to_bytes(&self.keyring), Privacy::Secret)?;
        Ok(outcome)
    }

    /// Makes an access key.
    pub(crate) fn create(&self, new: NewAccessKey) -> Outcome<CreatedAccessKey> {
        self.change(|keys| {
            keys.create(new, SystemClock.now(), &SystemRand::new()).map_err(|error| {
                Failure::usage(error)
                    .advise("`millstream keys list` shows what is there, `keys delete` makes room")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::data_dir::tests::TestDir;
    use super::*;

    fn new_key(user: &str) -> NewAccessKey {
        NewAccessKey {
            account: "000000000000".parse().unwrap(),
            user_name: Some(user.to_owned()),
            policies: Vec::new(),
        }
    }

    #[test]
    fn keys_are_there_again_after_a_restart_and_their_secrets_are_not_on_disk() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        let created = KeyFiles::open(&data_dir).unwrap().create(new_key("ada")).unwrap();
        let again = KeyFiles::open(&data_dir).unwrap();
        let ids: Vec<String> =
            again.read().unwrap().list().map(|key| key.access_key_id.clone()).collect();
        assert_eq!(ids, [created.access_key_id.as_str()]);
        let stored = read(&again.access_keys_path(), Privacy::Secret).unwrap().unwrap();
        let secret = created.secret_access_key.expose().as_bytes();
        assert!(!stored.windows(secret.len()).any(|window| window == secret));
    }

    #[test]
    fn a_master_key_of_the_environment_is_on_no_disk_and_opens_what_it_sealed() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        let (mine, other) = ("ab".repeat(32), "cd".repeat(32));
        let files = KeyFiles::open_with(&data_dir, Some(&mine)).unwrap();
        assert_eq!(files.stamp(), None);
        files.create(new_key("ada")).unwrap();
        assert!(!data_dir.keys().join("master.key").exists());
        let again = KeyFiles::open_with(&data_dir, Some(&mine)).unwrap();
        assert_eq!(again.read().unwrap().list().count(), 1);
        let wrong = KeyFiles::open_with(&data_dir, Some(&other)).unwrap().read().unwrap_err();
        assert!(wrong.advice.unwrap().contains(MASTER_KEY_VARIABLE));
        let failure = KeyFiles::open_with(&data_dir, None).unwrap_err();
        assert!(failure.advice.unwrap().contains(MASTER_KEY_VARIABLE));
        assert!(KeyFiles::open_with(&data_dir, Some("short")).is_err());
    }

    #[test]
    fn each_change_of_the_keys_has_a_stamp_of_its_own() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        let files = KeyFiles::open(&data_dir).unwrap();
        let mut stamps = vec![files.stamp()];
        for user in ["ada", "bob", "eve"] {
            files.create(new_key(user)).unwrap();
            stamps.push(files.stamp());
        }
        stamps.dedup();
        assert_eq!(stamps.len(), 4);
    }

    #[test]
    fn without_its_master_key_nothing_is_made_anew_over_the_old_keys() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        KeyFiles::open(&data_dir).unwrap().create(new_key("ada")).unwrap();
        std::fs::remove_file(data_dir.keys().join("master.key")).unwrap();
        let failure = KeyFiles::open(&data_dir).unwrap_err();
        assert!(failure.advice.unwrap().contains("backup"));
    }
}
