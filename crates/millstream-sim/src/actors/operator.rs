//! A client that reshapes the stream while others use it.
//!
//! It alone notes listings and settings, one call after the other, so that their order in the
//! history is their order in time.

use millstream_core::HashKey;

use super::Client;
use crate::history::{Event, ListedShard};
use crate::network::CallError;
use crate::service::{Answer, Described, Request};

/// Shards open at once at most, so that each sees some traffic.
const OPEN_MAX: usize = 8;
/// The name of a setting in the history.
pub const RETENTION: &str = "retention_hours";
/// The name of a setting in the history.
pub const ENCRYPTION: &str = "encryption";

/// Reshapes until the world is over.
pub async fn run(client: Client, think_ms_max: u64) {
    let mut state = Known { retention_hours: 24, encrypted: false };
    while !client.is_over() {
        client.think(think_ms_max).await;
        let Ok(shards) = client.list_shards().await else { continue };
        client.note(Event::Listed { shards: shards.clone() });
        let open: Vec<&ListedShard> = shards.iter().filter(|shard| shard.end.is_none()).collect();
        match client.dice.below(6) {
            0 | 1 if open.len() < OPEN_MAX => {
                split(&client, client.dice.pick::<&ListedShard>(&open)).await;
            }
            2 => merge(&client, &open).await,
            3 => update_count(&client, &open).await,
            4 => state.change_retention(&client).await,
            5 => state.change_encryption(&client).await,
            _ => {}
        }
    }
}

async fn split(client: &Client, shard: &ListedShard) {
    let width = shard.range.end.0 - shard.range.start.0;
    if width < 4 {
        return;
    }
    let offset = if client.dice.chance(500) { width / 2 } else { client.dice.wide() % (width - 2) };
    let at = HashKey(shard.range.start.0 + 2 + offset.min(width - 2));
    let name = shard.shard.clone();
    close(client, Request::SplitShard { shard: name, at }, &[shard]).await;
}

async fn merge(client: &Client, open: &[&ListedShard]) {
    let mut sorted = open.to_vec();
    sorted.sort_by_key(|shard| shard.range.start);
    if sorted.len() < 2 {
        return;
    }
    let low = client.dice.index(sorted.len() - 1);
    let mut pair = [sorted[low], sorted[low + 1]];
    if client.dice.chance(500) {
        pair.reverse();
    }
    let [shard, adjacent] = pair.map(|shard| shard.shard.clone());
    close(client, Request::MergeShards { shard, adjacent }, &pair).await;
}

async fn update_count(client: &Client, open: &[&ListedShard]) {
    let count = open.len() as u64;
    let target =
        client.dice.between(count.div_ceil(2), (count * 2).min(OPEN_MAX as u64).max(count));
    let target = u32::try_from(target).expect("it is small");
    // Which shards it closes is the service's choice: nothing is noted but that it was done.
    close(client, Request::UpdateShardCount { target }, &[]).await;
}

async fn close(client: &Client, request: Request, closed: &[&ListedShard]) {
    let text = format!("{request:?}");
    if client.call(request).await.is_ok() {
        client.ledger.count(|tally| tally.reshards += 1);
        client.ledger.say(&client.name, &format!("{text} acknowledged"));
        for shard in closed {
            client.note(Event::Closed { shard: shard.shard.clone() });
        }
    }
}

/// What the operator last asked the settings to be.
struct Known {
    retention_hours: u32,
    encrypted: bool,
}

impl Known {
    async fn change_retention(&mut self, client: &Client) {
        let hours = u32::try_from(client.dice.between(24, 48)).expect("it is small");
        // A change with unknown outcome may have happened: ask first.
        if let Ok(Some(known)) = describe(client).await {
            self.retention_hours = known.retention_hours;
        }
        let request = if hours >= self.retention_hours {
            Request::IncreaseRetention { hours }
        } else {
            Request::DecreaseRetention { hours }
        };
        set(client, RETENTION, hours.to_string(), request).await;
    }

    async fn change_encryption(&mut self, client: &Client) {
        if let Ok(Some(known)) = describe(client).await {
            self.encrypted = known.encrypted;
        }
        let on = !self.encrypted;
        set(client, ENCRYPTION, on.to_string(), Request::SetEncryption { on }).await;
    }
}

async fn set(client: &Client, name: &str, value: String, request: Request) {
    let name = name.to_owned();
    client.note(Event::Setting { name: name.clone(), value });
    if client.call(request).await.is_ok() {
        client.ledger.count(|tally| tally.settings += 1);
        client.note(Event::SettingAcked { name });
    }
}

/// What the stream is; `None` while it is changing.
pub async fn describe(client: &Client) -> Result<Option<Described>, CallError> {
    match client.call(Request::Describe).await? {
        Answer::Described(described) if described.status == "ACTIVE" => Ok(Some(described)),
        Answer::Described(_) => Ok(None),
        other => panic!("not an answer to DescribeStreamSummary: {other:?}"),
    }
}
