//! The proof that what came out is what went in: one hash for each shard and each way of reading.
//!
//! A shard's hash runs over its records in their order: sequence numbers, keys and data, each with
//! its length, so that no record can be lost, doubled, changed or moved unseen. It is made on the
//! way, so that no record need be kept.

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};

use crate::terminal::{Align, Style, Table, count_text};

/// The records of a stream, as one side saw them.
#[derive(Clone, Default)]
pub(crate) struct Account {
    shards: BTreeMap<String, Chain>,
}

#[derive(Clone)]
struct Chain {
    count: u64,
    hash: Context,
}

impl Default for Chain {
    fn default() -> Self {
        Self { count: 0, hash: Context::new(&SHA256) }
    }
}

/// A record that the service acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged<'a> {
    /// Its shard.
    pub(crate) shard: String,
    /// Its sequence number.
    pub(crate) sequence_number: String,
    /// Its partition key.
    pub(crate) key: &'a str,
    /// Its data.
    pub(crate) data: &'a [u8],
}

impl Account {
    /// Notes a record that comes after all that were noted of its shard.
    pub(crate) fn note(&mut self, shard: &str, sequence_number: &str, key: &str, data: &[u8]) {
        if !self.shards.contains_key(shard) {
            self.shards.insert(shard.to_owned(), Chain::default());
        }
        let chain = self.shards.get_mut(shard).expect("inserted above");
        for part in [sequence_number.as_bytes(), key.as_bytes(), data] {
            chain.hash.update(&(part.len() as u64).to_le_bytes());
            chain.hash.update(part);
        }
        chain.count += 1;
    }

    /// Notes what one request was acknowledged with. Requests come one after the other, and within
    /// one the sequence numbers tell the order; readers are taken by their word.
    pub(crate) fn note_acknowledged(&mut self, mut request: Vec<Acknowledged<'_>>) {
        // Numbers without leading zeros: the longer is the larger.
        request.sort_by(|a, b| {
            let length = a.sequence_number.len().cmp(&b.sequence_number.len());
            length.then_with(|| a.sequence_number.cmp(&b.sequence_number))
        });
        for record in request {
            self.note(&record.shard, &record.sequence_number, record.key, record.data);
        }
    }

    /// Records noted.
    pub(crate) fn count(&self) -> u64 {
        self.shards.values().map(|chain| chain.count).sum()
    }

    fn summary(&self, shard: &str) -> (u64, String) {
        let chain = self.shards.get(shard).cloned().unwrap_or_default();
        let digest = chain.hash.finish();
        let first = digest.as_ref()[..8].try_into().expect("SHA-256 has 32 bytes");
        (chain.count, format!("{:016x}", u64::from_be_bytes(first)))
    }
}

/// What the three sides saw.
#[derive(Clone, Default)]
pub(crate) struct Proof {
    /// What the service acknowledged.
    pub(crate) put: Account,
    /// What GetRecords returned.
    pub(crate) read: Account,
    /// What SubscribeToShard pushed.
    pub(crate) pushed: Account,
}

impl Proof {
    fn shards(&self) -> Vec<&String> {
        let all = [&self.put, &self.read, &self.pushed];
        let mut shards: Vec<&String> =
            all.into_iter().flat_map(|side| side.shards.keys()).collect();
        shards.sort();
        shards.dedup();
        shards
    }

    /// Whether all three are the same.
    pub(crate) fn holds(&self) -> bool {
        self.shards().into_iter().all(|shard| {
            let put = self.put.summary(shard);
            put == self.read.summary(shard) && put == self.pushed.summary(shard)
        })
    }

    /// The hashes, side by side.
    pub(crate) fn table(&self, style: Style) -> String {
        let mut table = Table::new(&[
            ("SHARD", Align::Left),
            ("RECORDS", Align::Right),
            ("PUT", Align::Left),
            ("READ BACK", Align::Left),
            ("PUSHED", Align::Left),
            ("", Align::Left),
        ]);
        for shard in self.shards() {
            let (count, put) = self.put.summary(shard);
            let (read, pushed) = (self.read.summary(shard).1, self.pushed.summary(shard).1);
            let verdict = if put == read && put == pushed {
                style.green("equal")
            } else {
                style.red("DIFFERENT")
            };
            table.row(vec![shard.clone(), count_text(count), put, read, pushed, verdict]);
        }
        table.render(style)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(records: &[(&str, &str, &str, &str)]) -> Account {
        let mut account = Account::default();
        for (shard, number, key, data) in records {
            account.note(shard, number, key, data.as_bytes());
        }
        account
    }

    const RECORDS: [(&str, &str, &str, &str); 3] =
        [("s0", "9", "a", "one"), ("s0", "10", "b", "two"), ("s1", "3", "c", "three")];

    #[test]
    fn acknowledgements_in_any_order_prove_what_was_read_in_order() {
        let mut put = Account::default();
        let request = [RECORDS[2], RECORDS[1], RECORDS[0]].map(|(shard, number, key, data)| {
            let (shard, sequence_number) = (shard.to_owned(), number.to_owned());
            Acknowledged { shard, sequence_number, key, data: data.as_bytes() }
        });
        put.note_acknowledged(request.into());
        let proof = Proof { put, read: account(&RECORDS), pushed: account(&RECORDS) };
        assert!(proof.holds());
        assert!(proof.table(Style::plain()).contains("equal"));
    }

    #[test]
    fn a_record_lost_doubled_changed_or_moved_shows() {
        let moved = [RECORDS[1], RECORDS[0], RECORDS[2]];
        let changed = [("s0", "9", "a", "onE"), RECORDS[1], RECORDS[2]];
        let shifted = [("s0", "9", "ao", "ne"), RECORDS[1], RECORDS[2]];
        let elsewhere = [("s1", "9", "a", "one"), RECORDS[1], RECORDS[2]];
        let doubled = [RECORDS[0], RECORDS[0], RECORDS[1], RECORDS[2]];
        for wrong in [&moved[..], &changed, &shifted, &elsewhere, &doubled, &RECORDS[..2]] {
            let good = account(&RECORDS);
            let read = Proof { put: good.clone(), read: account(wrong), pushed: good.clone() };
            assert!(!read.holds(), "{wrong:?}");
            let pushed = Proof { put: good.clone(), read: good, pushed: account(wrong) };
            assert!(!pushed.holds(), "{wrong:?}");
        }
    }
}
