//! Reads back what was put, and compares: every acknowledged record, each byte, and the order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_client::{CallError, Client, ReadFrom};
use tokio::task::JoinSet;

use super::record::{Identity, Read, RecordForm, Seen};
use super::work::Sent;

/// Records asked for at once.
const LIMIT: i32 = 10_000;

/// What reading back came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Distinct records of the run that were read, whole.
    pub(crate) read: u64,
    /// Acknowledged records that were not there.
    pub(crate) missing: u64,
    /// Records that were there more than once.
    pub(crate) duplicate: u64,
    /// Records with other bytes than they were put with.
    pub(crate) corrupt: u64,
    /// Records that came before an earlier one of the same writer in the same shard.
    pub(crate) reordered: u64,
    /// Records that were there although nobody had acknowledged them: allowed, since a failed
    /// answer says nothing of the record's fate.
    pub(crate) unacknowledged: u64,
}

impl Verdict {
    /// Whether the service kept its word.
    pub(crate) fn is_good(&self) -> bool {
        self.missing == 0 && self.duplicate == 0 && self.corrupt == 0 && self.reordered == 0
    }
}

/// Reads the whole stream, all shards at once, and compares it with what was `sent`.
pub(crate) async fn verify(
    client: &Client,
    stream: &str,
    form: &Arc<RecordForm>,
    sent: &BTreeMap<u32, Sent>,
    read_so_far: &Arc<AtomicU64>,
) -> Result<Verdict, CallError> {
    let mut tasks = JoinSet::new();
    for shard in client.list_shards(stream).await? {
        let task = ShardCheck {
            client: client.clone(),
            stream: stream.to_owned(),
            shard: shard.shard_id,
            form: Arc::clone(form),
            read_so_far: Arc::clone(read_so_far),
        };
        tasks.spawn(task.run());
    }
    let mut seen = Seen::default();
    let mut reordered = 0;
    while let Some(task) = tasks.join_next().await {
        let (part, part_reordered) = task.expect("a check does not panic")?;
        seen.add(&part);
        reordered += part_reordered;
    }
    Ok(judge(&seen, sent, reordered))
}

fn judge(seen: &Seen, sent: &BTreeMap<u32, Sent>, reordered: u64) -> Verdict {
    let mut missing = 0;
    let mut unacknowledged = 0;
    for (writer, sent) in sent {
        let mut refused = sent.unacknowledged.iter().peekable();
        for number in 0..sent.end {
            let is_there = seen.contains(Identity { writer: *writer, number });
            let is_acknowledged = refused.next_if(|refused| **refused == number).is_none();
            missing += u64::from(is_acknowledged && !is_there);
            unacknowledged += u64::from(!is_acknowledged && is_there);
        }
    }
    Verdict {
        read: seen.distinct,
        missing,
        duplicate: seen.duplicate,
        corrupt: seen.corrupt,
        reordered,
        unacknowledged,
    }
}

struct ShardCheck {
    client: Client,
    stream: String,
    shard: String,
    form: Arc<RecordForm>,
    read_so_far: Arc<AtomicU64>,
}

const EMPTY_WAIT: Duration = Duration::from_millis(20);
/// The service allows five reads a second of a shard (documented).
const THROTTLED_WAIT: Duration = Duration::from_millis(250);

impl ShardCheck {
    async fn run(self) -> Result<(Seen, u64), CallError> {
        let mut seen = Seen::default();
        let mut order = Order::default();
        let start =
            self.client.shard_iterator(&self.stream, &self.shard, &ReadFrom::TrimHorizon).await?;
        let mut iterator = Some(start);
        while let Some(at) = iterator {
            let answer = match self.client.get_records(at.clone(), Some(LIMIT)).await {
                Err(error) if error.is_throttling() => {
                    iterator = Some(at);
                    tokio::time::sleep(THROTTLED_WAIT).await;
                    continue;
                }
                answer => answer?,
            };
            for record in &answer.records {
                let (read, _) = self.form.judge(&record.data);
                seen.note(read);
                order.note(read);
            }
            let count = answer.records.len() as u64;
            self.read_so_far.fetch_add(count, Ordering::Relaxed);
            let is_end = answer.millis_behind_latest.is_none_or(|behind| behind == 0);
            // Only an empty answer at the end is the end: one peer says 0 with more to come.
            iterator = answer.next_shard_iterator.filter(|_| !(is_end && count == 0));
            if count == 0 && iterator.is_some() {
                tokio::time::sleep(EMPTY_WAIT).await;
            }
        }
        Ok((seen, order.reordered))
    }
}

/// Each writer sends its records one request after the other, so in a shard they must ascend.
#[derive(Debug, Default)]
struct Order {
    last: BTreeMap<u32, u64>,
    reordered: u64,
}

impl Order {
    fn note(&mut self, read: Read) {
        let Read::Whole(Identity { writer, number }) = read else { return };
        match self.last.insert(writer, number) {
            // An equal number is a duplicate, which is counted as such.
            Some(last) if last > number => self.reordered += 1,
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(writer: u32, number: u64) -> Read {
        Read::Whole(Identity { writer, number })
    }

    #[test]
    fn each_way_of_breaking_the_promise_is_counted() {
        let sent = BTreeMap::from([(0, Sent { end: 5, unacknowledged: vec![3, 4] })]);
        let (mut seen, mut order) = (Seen::default(), Order::default());
        for read in [whole(0, 0), whole(0, 2), whole(0, 2), whole(0, 3)] {
            seen.note(read);
            order.note(read);
        }
        seen.note(Read::Corrupt(Identity { writer: 0, number: 1 }));
        let verdict = judge(&seen, &sent, order.reordered);
        let expected = Verdict {
            read: 3,
            missing: 1,
            duplicate: 1,
            corrupt: 1,
            reordered: 0,
            unacknowledged: 1,
        };
        assert_eq!(verdict, expected);
        assert!(!verdict.is_good());
        order.note(whole(0, 1));
        order.note(whole(1, 0));
        assert_eq!(order.reordered, 1);
    }

    #[test]
    fn what_was_refused_need_not_be_there() {
        let sent = BTreeMap::from([(7, Sent { end: 2, unacknowledged: vec![1] })]);
        let mut seen = Seen::default();
        seen.note(whole(7, 0));
        assert!(judge(&seen, &sent, 0).is_good());
    }
}
