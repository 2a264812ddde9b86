//! A topic of a cluster: who leads its partitions, and what can be asked of them.
//!
//! Owns the brokers' addresses, the leaders as they were last known, and idle connections. After
//! whatever fails the leaders are asked for again; trying again is the caller's.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::KafkaError;
use super::batch::Run;
use super::connection::{Access, Connection};
use super::message::{Fetched, Found, OffsetAt, Request, TopicMetadata, read_offsets};
use super::wire::Reader;

/// Connections that are kept for later, to one broker: one for reading, one for looking.
const IDLE_MAX: usize = 2;

/// The brokers in a text of `HOST:PORT` with commas between; the error is what is wrong.
pub(crate) fn brokers(text: &str) -> Result<Vec<String>, String> {
    let each = |broker: &str| {
        let broker = broker.trim();
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        match port.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Ok(broker.to_owned()),
            _ => Err(format!("{broker:?} is not HOST:PORT")),
        }
    };
    text.split(',').map(each).collect()
}

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    name: String,
    /// Where the cluster is found at first, and whenever nobody else is known.
    bootstrap: Vec<String>,
    access: Access,
    known: Mutex<Known>,
    idle: Mutex<BTreeMap<String, Vec<Connection>>>,
}

#[derive(Debug, Default)]
struct Known {
    brokers: Vec<String>,
    /// By partition.
    leaders: BTreeMap<i32, String>,
    /// Whether they need not be asked for again: each partition had one.
    are_settled: bool,
}

/// A topic as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Of this topic and no later one of its name; zero from brokers that know no such thing.
    pub(crate) id: u128,
    pub(crate) partitions: Vec<i32>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Topic {
    /// The topic `name` of the cluster that is found at `bootstrap`.
    pub(crate) fn new(name: String, bootstrap: Vec<String>, access: Access) -> Self {
        Self { name, bootstrap, access, known: Mutex::default(), idle: Mutex::default() }
    }

    /// Asks one broker.
    async fn ask(&self, address: &str, request: &Request<'_>) -> Result<(Reader, i16), KafkaError> {
        let idle = locked(&self.idle).get_mut(address).and_then(Vec::pop);
        let outcome = match idle {
            Some(connection) => match self.ask_over(connection, request).await {
                // It was idle for long: the broker may have closed it, or may be another.
                Err(KafkaError::Broken { .. }) => None,
                outcome => Some(outcome),
            },
            None => None,
        };
        match outcome {
            Some(outcome) => outcome,
            None => self.ask_over(Connection::open(&self.access, address).await?, request).await,
        }
    }

    async fn ask_over(
        &self,
        mut connection: Connection,
        request: &Request<'_>,
    ) -> Result<(Reader, i16), KafkaError> {
        let answer = connection.call(request).await?;
        let mut idle = locked(&self.idle);
        let kept = idle.entry(connection.address().to_owned()).or_default();
        if kept.len() < IDLE_MAX {
            kept.push(connection);
        }
        Ok(answer)
    }

    /// Asks whoever answers how the topic is.
    pub(crate) async fn layout(&self) -> Result<Layout, KafkaError> {
        let mut addresses = locked(&self.known).brokers.clone();
        let others = self.bootstrap.iter().filter(|address| !addresses.contains(address));
        let others: Vec<String> = others.cloned().collect();
        addresses.extend(others);
        let mut failed = KafkaError::Malformed("no broker is in it");
        for address in addresses {
            match self.layout_from(&address).await {
                Ok(layout) => return Ok(layout),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn layout_from(&self, address: &str) -> Result<Layout, KafkaError> {
        let request = Request::Metadata { topic: &self.name };
        let (reader, version) = self.ask(address, &request).await?;
        let metadata = TopicMetadata::read(reader, request.is_flexible(version))?;
        let TopicMetadata { brokers, id, partitions } = metadata;
        let brokers: BTreeMap<i32, String> = brokers.into_iter().collect();
        let led = |(partition, leader): &(i32, i32)| {
            brokers.get(leader).map(|address| (*partition, address.clone()))
        };
        let leaders: BTreeMap<i32, String> = partitions.iter().filter_map(led).collect();
        let are_settled = leaders.len() == partitions.len();
        let mut partitions: Vec<i32> = partitions.iter().map(|(index, _)| *index).collect();
        partitions.sort_unstable();
        let brokers: Vec<String> = brokers.into_values().collect();
        locked(&self.idle).retain(|address, _| brokers.contains(address));
        *locked(&self.known) = Known { brokers, leaders, are_settled };
        Ok(Layout { id, partitions })
    }

    fn settled_leaders(&self) -> Option<BTreeMap<i32, String>> {
        let known = locked(&self.known);
        known.are_settled.then(|| known.leaders.clone())
    }

    /// Leaders by partition, asked for where they are not known.
    async fn leaders(&self) -> Result<BTreeMap<i32, String>, KafkaError> {
        if let Some(known) = self.settled_leaders() {
            return Ok(known);
        }
        self.layout().await?;
        Ok(locked(&self.known).leaders.clone())
    }

    async fn leader(&self, partition: i32) -> Result<String, KafkaError> {
        let leader = self.leaders().await?.remove(&partition);
        leader.ok_or(KafkaError::NoLeader(partition))
    }

    /// Has leaders asked for again where the failure may be that they are others by now.
    fn heed<T>(&self, outcome: Result<T, KafkaError>) -> Result<T, KafkaError> {
        if outcome
            .as_ref()
            .is_err_and(|error| *error != KafkaError::Refused { code: super::OFFSET_OUT_OF_RANGE })
        {
            locked(&self.known).are_settled = false;
        }
        outcome
    }

    /// Fetches what is there from `offset` on: `bytes` about, one batch at least where there is
    /// one. Does not wait for any.
    pub(crate) async fn fetch(
        &self,
        partition: i32,
        offset: i64,
        bytes: i32,
    ) -> Result<Run, KafkaError> {
        let fetch = async {
            let leader = self.leader(partition).await?;
            let request = Request::Fetch { topic: &self.name, partition, offset, bytes };
            let (reader, version) = self.ask(&leader, &request).await?;
            Fetched::read(reader, version)
        };
        Ok(Run::new(self.heed(fetch.await)?, offset))
    }

    /// An offset of one partition; `None` where no record is so late.
    pub(crate) async fn offset(
        &self,
        partition: i32,
        at: OffsetAt,
    ) -> Result<Option<i64>, KafkaError> {
        let find = async {
            let leader = self.leader(partition).await?;
            let found = self.offsets(&leader, &[partition], at).await?;
            let found = found.into_iter().find(|(index, _)| *index == partition);
            found.ok_or(KafkaError::Malformed("a partition is missing"))?.1
        };
        self.heed(find.await)
    }

    async fn offsets(
        &self,
        leader: &str,
        partitions: &[i32],
        at: OffsetAt,
    ) -> Result<Vec<Found>, KafkaError> {
        let request = Request::ListOffsets { topic: &self.name, partitions, at };
        let (reader, _) = self.ask(leader, &request).await?;
        read_offsets(reader)
    }

    /// Where partitions end for readers of what is committed, as far as their leaders answer; and
    /// whether all do.
    pub(crate) async fn ends(&self) -> (BTreeMap<i32, i64>, bool) {
        let mut by_leader: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        let Ok(leaders) = self.leaders().await else { return (BTreeMap::new(), false) };
        for (partition, leader) in leaders {
            by_leader.entry(leader).or_default().push(partition);
        }
        let (mut ends, mut are_all) = (BTreeMap::new(), locked(&self.known).are_settled);
        for (leader, partitions) in by_leader {
            let found = self.offsets(&leader, &partitions, OffsetAt::Latest).await;
            let Ok(found) = self.heed(found) else {
                are_all = false;
                continue;
            };
            for (partition, outcome) in found {
                match self.heed(outcome) {
                    Ok(end) => _ = ends.insert(partition, end.unwrap_or_default()),
                    Err(_) => are_all = false,
                }
            }
        }
        (ends, are_all)
    }
}
