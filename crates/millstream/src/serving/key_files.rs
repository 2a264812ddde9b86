//! The keys on disk: the master key in the clear for its owner only, access keys sealed under it.
//!
//! Owns both files. Whoever can read the master key can open all else, so it is the one thing to
//! keep apart from backups of the rest.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_auth::{
    AccessKeys, CreatedAccessKey, Keyring, MasterKey, NewAccessKey, ReadAccessKeysError,
};
use millstream_core::{Clock, SystemClock, SystemRand};

use super::data_dir::{DataDir, Privacy, lock, read, write};
use crate::exit::{Failure, Outcome};

/// The keys of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct KeyFiles {
    folder: PathBuf,
    keyring: Keyring,
}

impl KeyFiles {
    /// Opens the keys in `data_dir`; the master key is made where there is none.
    pub(crate) fn open(data_dir: &DataDir) -> Outcome<Self> {
        let folder = data_dir.keys();
        let _lock = lock(&folder)?;
        let path = folder.join("master.key");
        let rand = SystemRand::new();
        let master = if let Some(bytes) = read(&path, Privacy::Secret)? {
            let text = String::from_utf8_lossy(&bytes);
            MasterKey::from_hex(text.trim()).ok_or_else(|| {
                Failure::failed(format!("{} holds no master key", path.display()))
                    .advise("restore it from a backup: without it sealed data cannot be read")
            })?
        } else {
            if folder.join("access-keys").exists() {
                return Err(Failure::failed(format!("{} is missing", path.display()))
                    .advise("restore it from a backup: the access keys beside it need it"));
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
    pub(crate) fn access_keys_path(&self) -> PathBuf {
        self.folder.join("access-keys")
    }

    /// All access keys.
    pub(crate) fn read(&self) -> Outcome<AccessKeys> {
        let path = self.access_keys_path();
        let Some(bytes) = read(&path, Privacy::Secret)? else { return Ok(AccessKeys::new()) };
        AccessKeys::from_bytes(&bytes, &self.keyring).map_err(|error: ReadAccessKeysError| {
            Failure::failed(format!("{}: {error}", path.display()))
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
            keys.create(new, SystemClock.now(), &SystemRand::new()).map_err(Failure::usage)
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
    fn without_its_master_key_nothing_is_made_anew_over_the_old_keys() {
        let place = TestDir::new();
        let data_dir = DataDir::open(&place.0).unwrap();
        KeyFiles::open(&data_dir).unwrap().create(new_key("ada")).unwrap();
        std::fs::remove_file(data_dir.keys().join("master.key")).unwrap();
        let failure = KeyFiles::open(&data_dir).unwrap_err();
        assert!(failure.advice.unwrap().contains("backup"));
    }
}
