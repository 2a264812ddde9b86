//! The closing pass: once all faults are healed, everything is read, in both ways.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::actors::Client;
use crate::actors::operator::{ENCRYPTION, RETENTION, describe};
use crate::actors::reader::{Cursor, Step};
use crate::actors::subscriber::{Ending, Follower};
use crate::history::{Event, From, ListedShard};
use crate::network::CallError;
use crate::service::{Described, Request};

/// How long the service may take, in simulated time, to finish what was begun.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// Calls that one shard may take to be read whole, before the pass gives up.
const STEPS_MAX: usize = 10_000;

/// Reads everything; the error says what could not be had from a healthy service.
pub(crate) async fn run(client: &Client) -> Result<(), String> {
    let described = settle(client).await?;
    let (name, value) = (RETENTION.to_owned(), described.retention_hours.to_string());
    client.note(Event::SettingRead { name, value });
    let (name, value) = (ENCRYPTION.to_owned(), described.encrypted.to_string());
    client.note(Event::SettingRead { name, value });
    let shards =
        client.list_shards().await.map_err(|error| format!("cannot list shards: {error:?}"))?;
    client.note(Event::Listed { shards: shards.clone() });
    for shard in &shards {
        read_whole(client, shard).await?;
    }
    let request = Request::RegisterConsumer { name: client.name.clone() };
    let consumer = client
        .call_for_text(request)
        .await
        .map_err(|error| format!("cannot register a consumer: {error:?}"))?;
    for shard in &shards {
        follow_whole(client, &consumer, shard).await?;
    }
    Ok(())
}

async fn settle(client: &Client) -> Result<Described, String> {
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        let described = describe(client).await;
        if let Ok(Some(described)) = described {
            return Ok(described);
        }
        if Instant::now() >= deadline {
            return Err(format!("the stream does not become ACTIVE: {described:?}"));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn read_whole(client: &Client, shard: &ListedShard) -> Result<(), String> {
    let name = format!("audit-get-{}", shard.shard);
    let mut cursor = Cursor::new(name, shard.shard.clone(), From::TrimHorizon);
    for _ in 0..STEPS_MAX {
        match cursor.step(client, 1_000, true).await {
            Step::More => {}
            Step::Tip if shard.end.is_none() => return Ok(()),
            Step::Ended(_) => return Ok(()),
            Step::Tip => return Err(format!("{} is closed and does not end", shard.shard)),
            Step::Failed(error) => return Err(format!("cannot read {}: {error:?}", shard.shard)),
        }
    }
    Err(format!("{} never comes to an end", shard.shard))
}

async fn follow_whole(client: &Client, consumer: &str, shard: &ListedShard) -> Result<(), String> {
    let name = format!("audit-push-{}", shard.shard);
    let mut follower = Follower::new(name, shard.shard.clone(), From::TrimHorizon, true);
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        match follower.follow(client, consumer, STEPS_MAX as u64).await {
            Ending::Ended(_) => return Ok(()),
            Ending::Tip if shard.end.is_none() => return Ok(()),
            // The consumer is still CREATING.
            Ending::Failed(CallError::Fault(fault))
                if fault.code == "ResourceInUseException" && Instant::now() < deadline =>
            {
                sleep(Duration::from_millis(200)).await;
            }
            other => {
                return Err(format!("cannot follow {} to its end: {other:?}", shard.shard));
            }
        }
    }
}
