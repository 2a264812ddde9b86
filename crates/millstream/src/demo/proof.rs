//! The proof that what came out is what went in: one hash for each shard and each way of reading.
//!
//! A shard's hash runs over its records in the order of their sequence numbers, keys and data
//! with their lengths, so that no record can be lost, doubled, changed or moved unseen.

use std::collections::BTreeMap;

use ring::digest::{Context, SHA256};

use crate::terminal::{Align, Style, Table, count_text};

/// The records of a stream, as one side saw them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    shards: BTreeMap<String, Vec<Entry>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    sequence_number: String,
    digest: [u8; 32],
}

impl Account {
    /// Notes a record.
    pub(crate) fn note(&mut self, shard: &str, sequence_number: &str, key: &str, data: &[u8]) {
        let mut context = Context::new(&SHA256);
        for part in [key.as_bytes(), data] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let digest = context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
        let entry = Entry { sequence_number: sequence_number.to_owned(), digest };
        match self.shards.get_mut(shard) {
            Some(entries) => entries.push(entry),
            None => drop(self.shards.insert(shard.to_owned(), vec![entry])),
        }
    }

    /// Records noted.
    pub(crate) fn count(&self) -> u64 {
        self.shards.values().map(|entries| entries.len() as u64).sum()
    }

    /// Puts each shard's records in the order of their sequence numbers: for acknowledgements,
    /// which come as they come. Readers are taken by their word.
    pub(crate) fn sort(&mut self) {
        for entries in self.shards.values_mut() {
            // Numbers without leading zeros: the longer is the larger.
            entries.sort_by(|a, b| {
                let length = a.sequence_number.len().cmp(&b.sequence_number.len());
                length.then_with(|| a.sequence_number.cmp(&b.sequence_number))
            });
        }
    }

    fn summary(&self, shard: &str) -> (u64, String) {
        let entries = self.shards.get(shard).map_or(&[][..], Vec::as_slice);
        let mut context = Context::new(&SHA256);
        for entry in entries {
            context.update(entry.sequence_number.as_bytes());
            context.update(&entry.digest);
        }
        let digest = context.finish();
        let first = digest.as_ref()[..8].try_into().expect("SHA-256 has 32 bytes");
        (entries.len() as u64, format!("{:016x}", u64::from_be_bytes(first)))
    }
}

/// What the three sides saw.
#[derive(Clone, Debug, Default)]
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
            let verdict = if put == read && put == pushed { "equal" } else { "DIFFERENT" };
            table.row(vec![
                shard.clone(),
                count_text(count),
                put,
                read,
                pushed,
                verdict.to_owned(),
            ]);
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
        let mut put = account(&[RECORDS[2], RECORDS[1], RECORDS[0]]);
        put.sort();
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
