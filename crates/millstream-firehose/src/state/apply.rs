//! What each command does to the state.
//!
//! Commands were judged against exactly the state they meet, so a delivery stream they name is
//! there; where it is not, the command does nothing.

use std::sync::Arc;

use super::command::{Command, NewDeliveryStream};
use super::delivery_stream::{DeliveryStream, DeliveryStreamUid, EncryptionStatus, Status};
use super::{DAY_MS, Registry};

const CALLS_MAX: usize = millstream_core::limits::FIREHOSE_ENCRYPTION_CALLS_PER_DAY;

pub(super) fn apply(registry: &mut Registry, command: Command) {
    match command {
        Command::Create(new) => create(registry, *new),
        Command::Activate { stream } => on(registry, stream, |stream| {
            stream.status = Status::Active;
            settle_encryption(stream);
        }),
        Command::Fail { stream, failure } => {
            on(registry, stream, |stream| stream.status = Status::CreatingFailed(failure));
        }
        Command::Update { stream, destination, at } => on(registry, stream, |stream| {
            stream.destination = destination;
            stream.version += 1;
            stream.updated = Some(at);
        }),
        Command::Encrypt { stream, encryption, at } => on(registry, stream, |stream| {
            stream.encryption_calls.retain(|time| at.ms_since(*time) < DAY_MS);
            stream.encryption_calls.push(at);
            // Without quotas there may be any number of calls: as many are kept as could be judged.
            let spare = stream.encryption_calls.len().saturating_sub(CALLS_MAX);
            stream.encryption_calls.drain(..spare);
            stream.encryption = encryption;
        }),
        Command::SettleEncryption { stream } => on(registry, stream, settle_encryption),
        Command::AddDataKey { stream, key } => on(registry, stream, |stream| {
            stream.next_data_key = key.id + 1;
            stream.data_keys.push(key);
        }),
        Command::ForgetDataKeys { stream, below } => {
            on(registry, stream, |stream| stream.data_keys.retain(|key| key.id >= below));
        }
        Command::Tag { stream, set, remove } => on(registry, stream, |stream| {
            stream.tags.retain(|key, _| !remove.contains(key));
            stream.tags.extend(set);
        }),
        Command::Delete { stream } => {
            on(registry, stream, |stream| stream.status = Status::Deleting);
        }
        Command::Remove { stream } => remove(registry, stream),
        Command::LogsDeleted { logs } => {
            for log in logs {
                registry.condemned.remove(&log);
            }
        }
    }
}

/// Changes a delivery stream, and keeps `busy` in step.
fn on(registry: &mut Registry, uid: DeliveryStreamUid, change: impl FnOnce(&mut DeliveryStream)) {
    let Registry { accounts, names, busy, .. } = registry;
    let found = names.get(&uid.0).and_then(|(account, name)| {
        accounts.get_mut(account).and_then(|account| account.streams.get_mut(name))
    });
    let Some(stream) = found else {
        debug_assert!(false, "a command names a delivery stream that was there when judged");
        return;
    };
    let stream = Arc::make_mut(stream);
    change(stream);
    if stream.is_busy() {
        busy.insert(uid.0);
    } else {
        busy.remove(&uid.0);
    }
}

fn draw(counter: &mut u64) -> u64 {
    let drawn = *counter;
    *counter += 1;
    drawn
}

fn create(registry: &mut Registry, new: NewDeliveryStream) {
    let uid = DeliveryStreamUid(draw(&mut registry.next_stream));
    let checkpoints = draw(&mut registry.next_log);
    let source = new.source.clone().numbered(|| draw(&mut registry.next_log));
    registry.names.insert(uid.0, (new.account.clone(), new.name.clone()));
    registry.busy.insert(uid.0);
    let account = registry.accounts.entry(new.account.clone()).or_default();
    let name = new.name.clone();
    let stream = DeliveryStream::new(uid, new, source, checkpoints);
    let before = account.streams.insert(name, Arc::new(stream));
    debug_assert!(before.is_none(), "a name is given to one delivery stream at a time");
}

fn settle_encryption(stream: &mut DeliveryStream) {
    stream.encryption.status = match stream.encryption.status {
        EncryptionStatus::Enabling | EncryptionStatus::Enabled => EncryptionStatus::Enabled,
        EncryptionStatus::Disabling | EncryptionStatus::Disabled => {
            stream.encryption.key = None;
            EncryptionStatus::Disabled
        }
    };
}

fn remove(registry: &mut Registry, uid: DeliveryStreamUid) {
    let Some((account, name)) = registry.names.remove(&uid.0) else { return };
    registry.busy.remove(&uid.0);
    let Some(account) = registry.accounts.get_mut(&account) else { return };
    let Some(stream) = account.streams.remove(&name) else { return };
    registry.condemned.extend(stream.logs().map(|log| log.0));
}
