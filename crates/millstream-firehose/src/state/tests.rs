//! The state machine by itself.

use std::collections::BTreeMap;

use millstream_auth::{Keyring, MasterKey};
use millstream_core::SeededRand;
use proptest::prelude::*;

use super::*;
use crate::configuration::{DestinationKind, Document, Secrets};

fn new(name: &str) -> Command {
    let rand = Arc::new(SeededRand::new(1));
    let keyring = Keyring::new(MasterKey::generate(rand.as_ref()), Vec::new(), rand);
    let secrets = Secrets::new(keyring.sealer("test"));
    let document = Document { kind: DestinationKind::ExtendedS3, body: serde_json::Map::new() };
    Command::Create(Box::new(NewDeliveryStream {
        account: "123456789012".parse().unwrap(),
        name: name.parse().unwrap(),
        created: Timestamp::from_ms(1),
        source: NewSource::DirectPut { throughput_hint_mibps: None },
        destination: secrets.seal(document, name),
        encryption: None,
        tags: BTreeMap::new(),
    }))
}

/// A change of one of a few delivery streams, as far as it makes sense.
fn step(registry: &mut Registry, name: &str, step: u8) {
    let account = "123456789012".parse().unwrap();
    let found = registry.by_name(&account, &name.parse().unwrap()).cloned();
    let command = match (found.map(|stream| (stream.uid, stream.status.clone())), step) {
        (None, _) => new(name),
        (Some((stream, Status::Creating)), 0) => {
            Command::Fail { stream, failure: Failure { details: "why".to_owned() } }
        }
        (Some((stream, Status::Creating)), _) => Command::Activate { stream },
        (Some((stream, Status::Deleting)), _) => Command::Remove { stream },
        (Some((stream, Status::CreatingFailed(_))), _) | (Some((stream, Status::Active)), 0) => {
            Command::Delete { stream }
        }
        (Some((stream, Status::Active)), 1 | 2) => {
            let status =
                if step == 1 { EncryptionStatus::Enabling } else { EncryptionStatus::Disabling };
            let encryption = Encryption { status, key: Some(KeyType::AwsOwned) };
            Command::Encrypt { stream, encryption, at: Timestamp::from_ms(2) }
        }
        (Some((stream, Status::Active)), _) => Command::SettleEncryption { stream },
    };
    registry.apply(command);
}

proptest! {
    #[test]
    fn logs_and_uids_are_never_reused_and_what_is_unfinished_is_known(
        steps in prop::collection::vec((0..3_u8, 0..5_u8), 0..200),
    ) {
        let mut registry = Registry::default();
        let mut given = BTreeMap::new();
        for (name, change) in steps {
            step(&mut registry, ["a", "b", "c"][usize::from(name)], change);
            for stream in registry.streams() {
                for log in stream.logs() {
                    prop_assert!(log.0 >= FIRST_LOG);
                    let owner = *given.entry(log.0).or_insert(stream.uid);
                    prop_assert_eq!(owner, stream.uid);
                    prop_assert!(!registry.condemned().contains(&log.0));
                }
                prop_assert_eq!(registry.busy().contains(&stream.uid), stream.is_busy());
                prop_assert_eq!(registry.by_uid(stream.uid), Some(stream));
            }
            let alive: usize = registry.streams().map(|stream| stream.logs().count()).sum();
            prop_assert_eq!(alive + registry.condemned().len(), given.len());
            let text = serde_json::to_string(&registry).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Registry>(&text).unwrap(), &registry);
        }
    }
}

#[test]
fn of_many_calls_as_many_are_kept_as_there_may_be_a_day() {
    let mut registry = Registry::default();
    registry.apply(new("orders"));
    let stream = DeliveryStreamUid(1);
    registry.apply(Command::Activate { stream });
    for ms in 0..1_000 {
        let (encryption, at) = (Encryption::NONE, Timestamp::from_ms(ms));
        registry.apply(Command::Encrypt { stream, encryption, at });
    }
    let calls = &registry.by_uid(stream).unwrap().encryption_calls;
    assert_eq!((calls.len(), calls[0]), (25, Timestamp::from_ms(975)));
}
