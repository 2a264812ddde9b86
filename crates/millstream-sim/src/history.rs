//! What clients saw, in the order in which they saw it.
//!
//! Owns the events of a history and nothing that judges them. A history is written by clients
//! only: it holds no fact that a user of the service could not have noted down, so that the same
//! checker judges a simulation, a real server under `kill -9`, or the real service.
//!
//! Invariant: an event's place in the history is its place in time. Where a call's outcome
//! stands after another call was sent, the two ran at once; where it stands before, it ended
//! before the other began.

use millstream_core::{HashKey, HashKeyRange};
use serde::{Deserialize, Serialize};

/// Names a record that a client sent; each try to put has its own, so that a client's retry is
/// another record and only the server can make two of one.
pub type RecordName = String;

/// A shard's id, as the service printed it.
pub type ShardName = String;

/// Names one reader on one shard: a new one each time a client begins at a position of its choice.
pub type ReaderName = String;

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Via {
    /// By shard iterators.
    GetRecords,
    /// By enhanced fan-out.
    SubscribeToShard,
}

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum From {
    /// At the oldest record.
    TrimHorizon,
    /// After whatever was the newest record when the service took the call.
    Latest,
    /// At the record of this sequence number.
    At(String),
    /// After the record of this sequence number.
    After(String),
}

/// A shard as ListShards prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedShard {
    /// Its id.
    pub shard: ShardName,
    /// None, one (a split's) or two (a merge's).
    pub parents: Vec<ShardName>,
    /// The part of the ring it covers.
    pub range: HashKeyRange,
    /// StartingSequenceNumber.
    pub start: String,
    /// EndingSequenceNumber; `None` while the shard is open.
    pub end: Option<String>,
}

/// One thing that a client did or saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A record is about to leave for the service.
    Sent {
        /// Which.
        record: RecordName,
        /// Where its key falls on the ring.
        point: HashKey,
    },
    /// The service acknowledged it.
    Acked {
        /// Which.
        record: RecordName,
        /// The shard that took it.
        shard: ShardName,
        /// Its place there.
        sequence: String,
    },
    /// The service answered, or could not be reached, in a way that says nothing was written.
    Refused {
        /// Which.
        record: RecordName,
    },
    /// No answer, or one that leaves open whether the record was written.
    Unknown {
        /// Which.
        record: RecordName,
    },
    /// A reader takes up a position.
    Began {
        /// Which.
        reader: ReaderName,
        /// How it reads.
        via: Via,
        /// On which shard.
        shard: ShardName,
        /// From where.
        from: From,
        /// It belongs to the closing pass, which reads every shard from the start to the end
        /// after all faults are healed and all puts have their outcome.
        audit: bool,
    },
    /// A reader was given a record.
    Read {
        /// Who.
        reader: ReaderName,
        /// The record's place in its shard.
        sequence: String,
        /// The record, or a name that was never sent where the data is not what any client sent.
        record: RecordName,
    },
    /// A reader is about to ask for what follows.
    Asked {
        /// Who.
        reader: ReaderName,
    },
    /// The answer to the last question held nothing, and said that nothing is behind.
    Tip {
        /// Who.
        reader: ReaderName,
    },
    /// The service said that the shard ends here.
    ShardEnd {
        /// Who was told.
        reader: ReaderName,
        /// The shards said to follow.
        children: Vec<ShardName>,
    },
    /// The service listed all shards.
    Listed {
        /// In the order given.
        shards: Vec<ListedShard>,
    },
    /// The service acknowledged a call that closes this shard.
    Closed {
        /// Which.
        shard: ShardName,
    },
    /// A setting of the stream is about to be changed.
    Setting {
        /// Which.
        name: String,
        /// To what.
        value: String,
    },
    /// The service acknowledged the last change of this setting.
    SettingAcked {
        /// Which.
        name: String,
    },
    /// The service said what a setting is, after all faults were healed.
    SettingRead {
        /// Which.
        name: String,
        /// What it is.
        value: String,
    },
}

/// All that the clients of one stream saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// In the order of time.
    pub events: Vec<Event>,
}

impl History {
    /// Adds what was just seen.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// One line of JSON for each event, so that other checkers can judge it too.
    pub fn to_json_lines(&self) -> String {
        let mut lines = String::new();
        for event in &self.events {
            lines.push_str(&serde_json::to_string(event).expect("events hold only text"));
            lines.push('\n');
        }
        lines
    }

    /// Reads what [`History::to_json_lines`] wrote.
    pub fn of_json_lines(text: &str) -> Result<Self, serde_json::Error> {
        let events = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { events })
    }
}
