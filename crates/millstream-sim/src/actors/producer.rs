//! A client that puts records, one or many at a time, and notes what became of each.

use millstream_core::HashKey;

use super::Client;
use crate::history::Event;
use crate::payload;
use crate::service::{Answer, Put, PutOutcome, Request};

/// Partition keys are few, so that each meets many records.
const KEYS: u64 = 16;
/// One record in so many is large, so that files roll over.
const LARGE_PERMILLE: u64 = 40;

/// Puts until the world is over.
pub async fn run(client: Client, think_ms_max: u64) {
    let mut count = 0_u64;
    while !client.is_over() {
        client.think(think_ms_max).await;
        let records = if client.dice.chance(500) { 1 } else { client.dice.between(1, 12) };
        let mut names = Vec::new();
        let mut puts = Vec::new();
        for _ in 0..records {
            count += 1;
            let name = format!("{}-{count}", client.name);
            let put = make(&client, &name);
            let point = put
                .explicit_hash_key
                .unwrap_or_else(|| HashKey::of_partition_key(&put.partition_key));
            client.note(Event::Sent { record: name.clone(), point });
            names.push(name);
            puts.push(put);
        }
        put_all(&client, names, puts).await;
    }
}

fn make(client: &Client, name: &str) -> Put {
    let dice = &client.dice;
    let bytes =
        if dice.chance(LARGE_PERMILLE) { dice.between(2_000, 30_000) } else { dice.below(200) };
    let data = payload::make(name, usize::try_from(bytes).expect("it is small"));
    let explicit_hash_key = dice.chance(300).then(|| match dice.below(10) {
        0 => HashKey::MIN,
        1 => HashKey::MAX,
        2 => HashKey(1 << 127),
        _ => HashKey(dice.wide()),
    });
    Put { data, partition_key: format!("key-{}", dice.below(KEYS)), explicit_hash_key }
}

async fn put_all(client: &Client, names: Vec<String>, mut puts: Vec<Put>) {
    let alone = if puts.len() == 1 && client.dice.chance(800) { puts.pop() } else { None };
    let request = alone.map_or_else(|| Request::PutRecords(puts), Request::PutRecord);
    match client.call(request).await {
        Ok(Answer::Put(outcomes)) => {
            assert_eq!(outcomes.len(), names.len(), "an outcome for each record");
            for (record, outcome) in names.into_iter().zip(outcomes) {
                client.note(match outcome {
                    PutOutcome::Acked { shard, sequence } => {
                        Event::Acked { record, shard, sequence }
                    }
                    PutOutcome::Failed(fault) if fault.says_nothing_written() => {
                        Event::Refused { record }
                    }
                    PutOutcome::Failed(_) => Event::Unknown { record },
                });
            }
        }
        Ok(other) => panic!("not an answer to a put: {other:?}"),
        Err(error) => {
            for record in names {
                client.note(if error.says_nothing_written() {
                    Event::Refused { record }
                } else {
                    Event::Unknown { record }
                });
            }
        }
    }
}
