//! A client that reads by enhanced fan-out, one shard at a time, and goes on at its children.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use super::Client;
use crate::history::{Event, From, Via};
use crate::network::CallError;
use crate::payload;
use crate::service::{Answer, GotRecords, Request, Subscription};

/// A subscriber must hear something at least this often, or takes the connection for dead.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// One reader on one shard.
#[derive(Debug)]
pub struct Follower {
    /// Its name in the history.
    pub name: String,
    /// Which shard.
    pub shard: String,
    from: From,
    continuation: Option<String>,
    audit: bool,
}

/// How a subscription came to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// The shard ended, and these follow.
    Ended(Vec<String>),
    /// It broke, or the client had enough of it.
    Broken,
    /// Nothing is behind (asked for by the closing pass only).
    Tip,
    /// It could not be had.
    Failed(CallError),
}

impl Follower {
    /// A follower that begins at `from` once it is subscribed.
    pub fn new(name: String, shard: String, from: From, audit: bool) -> Self {
        Self { name, shard, from, continuation: None, audit }
    }

    /// Subscribes and reads until the end, a break, or `events_max` events.
    pub async fn follow(&mut self, client: &Client, consumer: &str, events_max: u64) -> Ending {
        let from = self.continuation.clone().map_or_else(|| self.from.clone(), From::After);
        let shard = self.shard.clone();
        let request = Request::Subscribe { consumer: consumer.to_owned(), shard, from };
        let subscription = match client.call(request).await {
            Ok(Answer::Subscribed(subscription)) => subscription,
            Ok(other) => panic!("not an answer to SubscribeToShard: {other:?}"),
            Err(error) => return Ending::Failed(error),
        };
        if self.continuation.is_none() {
            let (reader, shard) = (self.name.clone(), self.shard.clone());
            let (via, from) = (Via::SubscribeToShard, self.from.clone());
            client.note(Event::Began { reader, via, shard, from, audit: self.audit });
        }
        self.drain(client, subscription, events_max).await
    }

    async fn drain(
        &mut self,
        client: &Client,
        mut subscription: Subscription,
        events_max: u64,
    ) -> Ending {
        for _ in 0..events_max {
            let event = match timeout(SILENCE_MAX, subscription.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(fault))) => {
                    client.ledger.say(&client.name, &format!("subscription: {fault:?}"));
                    return Ending::Broken;
                }
                Ok(None) | Err(_) => return Ending::Broken,
            };
            let (empty, behind_ms) = (event.records.is_empty(), event.behind_ms);
            if let Some(children) = self.take(client, event) {
                return Ending::Ended(children);
            }
            if self.audit && empty && behind_ms == 0 {
                return Ending::Tip;
            }
        }
        Ending::Broken
    }

    fn take(&mut self, client: &Client, event: GotRecords) -> Option<Vec<String>> {
        client.ledger.count(|tally| tally.pushed += event.records.len());
        for record in event.records {
            let name = payload::name_of(&record.data);
            let reader = self.name.clone();
            client.note(Event::Read { reader, sequence: record.sequence, record: name });
        }
        if event.next.is_some() {
            self.continuation = event.next;
        }
        if event.children.is_empty() {
            return None;
        }
        let reader = self.name.clone();
        client.note(Event::ShardEnd { reader, children: event.children.clone() });
        Some(event.children)
    }
}

/// Follows shards until the world is over.
pub async fn run(client: Client) {
    let consumer = loop {
        if client.is_over() {
            return;
        }
        let name = client.name.clone();
        match client.call_for_text(Request::RegisterConsumer { name }).await {
            Ok(consumer) => break consumer,
            Err(_) => client.think(2_000).await,
        }
    };
    let mut count = 0_u64;
    let mut follower: Option<Follower> = None;
    while !client.is_over() {
        client.think(500).await;
        let Some(current) = follower.as_mut() else {
            count += 1;
            follower = choose(&client, count).await;
            continue;
        };
        let events_max = client.dice.between(1, 40);
        match current.follow(&client, &consumer, events_max).await {
            Ending::Ended(children) => {
                client.ledger.count(|tally| tally.shard_ends += 1);
                count += 1;
                let child = (!children.is_empty()).then(|| client.dice.pick(&children).clone());
                follower = child.map(|child| fresh(&client, count, child, From::TrimHorizon));
            }
            Ending::Broken | Ending::Tip => {
                if client.dice.chance(100) {
                    follower = None;
                }
            }
            // A subscription taken over too soon is refused for some seconds.
            Ending::Failed(_) => client.think(6_000).await,
        }
    }
}

fn fresh(client: &Client, count: u64, shard: String, from: From) -> Follower {
    Follower::new(format!("{}.{count}", client.name), shard, from, false)
}

async fn choose(client: &Client, count: u64) -> Option<Follower> {
    let shards = client.list_shards().await.ok().filter(|shards| !shards.is_empty())?;
    let shard = client.dice.pick(&shards).shard.clone();
    let from = if client.dice.chance(400) { From::Latest } else { From::TrimHorizon };
    Some(fresh(client, count, shard, from))
}
