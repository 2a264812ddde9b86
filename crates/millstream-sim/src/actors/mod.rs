//! Those who act in a world: clients of every kind, and chaos.

pub mod chaos;
pub mod operator;
pub mod producer;
pub mod reader;
pub mod subscriber;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::dice::Dice;
use crate::history::{Event, ListedShard};
use crate::ledger::Ledger;
use crate::network::{CallError, Network};
use crate::service::{Answer, Request};

/// What every client has.
pub struct Client {
    /// Its name in the books.
    pub name: String,
    /// Its own chance.
    pub dice: Dice,
    /// The way to the service.
    pub network: Arc<Network>,
    /// The books.
    pub ledger: Ledger,
    /// Raised when the world asks everyone to come to an end.
    pub over: Arc<AtomicBool>,
}

impl Client {
    /// Whether the world asks everyone to come to an end.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits up to `ms_max`.
    pub async fn think(&self, ms_max: u64) {
        sleep(Duration::from_millis(self.dice.below(ms_max) + 1)).await;
    }

    /// Calls the service.
    pub async fn call(&self, request: Request) -> Result<Answer, CallError> {
        self.network.call(&self.name, request).await
    }

    /// Notes what this client saw.
    pub fn note(&self, event: Event) {
        self.ledger.note(event);
    }

    /// All shards.
    pub async fn list_shards(&self) -> Result<Vec<ListedShard>, CallError> {
        match self.call(Request::ListShards).await? {
            Answer::Shards(shards) => Ok(shards),
            other => panic!("not an answer to ListShards: {other:?}"),
        }
    }

    /// A text answer.
    pub async fn call_for_text(&self, request: Request) -> Result<String, CallError> {
        match self.call(request).await? {
            Answer::Text(text) => Ok(text),
            other => panic!("not a text answer: {other:?}"),
        }
    }
}
