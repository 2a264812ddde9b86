//! What is durable of a delivery: one record in a small log of its own, written anew each time.
//!
//! Owns the form of that record and the log it is in. A log of its own and not the catalog,
//! because of cost: a checkpoint is written twice for each delivery, and with 500 partitions
//! holds tens of KiB; through the catalog each would wait for every other command of every
//! delivery stream, and would soon make all of the catalog be written again. Here it is one
//! append that shares its sync with whatever else is written at the time.
//!
//! Invariant: the last whole record says all. Those below it are trimmed now and then.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_destinations::DocumentId;
use millstream_log::{AppendError, Batch, Log, LogId, Position, ReadError, ReadLimit};

use super::lane::Lane;
use super::progress::Progress;
use super::varint::{self, Reader};

/// The form's version.
const FORM: u8 = 2;
/// The form before: nothing in it says what was launched.
const FORM_WITHOUT_LAUNCHED: u8 = 1;
/// Records written between two trims of the log.
const TRIM_INTERVAL: u64 = 64;

/// A delivery that was decided on: after a restart the same records are delivered together, so
/// that what it is called and what it holds are the same as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pledge {
    pub(super) first: DocumentId,
    pub(super) last: DocumentId,
}

/// How far a delivery stream has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The version of the configuration that it was written under.
    pub(super) version: u64,
    /// Which life of the source its positions are of.
    pub(super) life: u64,
    pub(super) progress: Progress,
    pub(super) pledges: BTreeMap<Lane, Pledge>,
}

/// Why there is no checkpoint to begin from.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("cannot read the checkpoint: {0}")]
    Read(#[from] ReadError),
    /// Never repaired by forgetting: records would be lost or delivered again, and nobody knew.
    #[error("the checkpoint at position {0} makes no sense")]
    Damaged(u64),
}

impl Checkpoint {
    /// Begins to work under another version: what was decided under the last one is open again.
    pub(super) fn adopt(&mut self, version: u64) {
        if self.version != version {
            self.version = version;
            self.pledges.clear();
            self.progress.forget_pieces();
        }
    }

    /// Begins to read another life of the source; says how many records of the last one were
    /// outstanding.
    pub(super) fn be_born_again(&mut self, life: u64) -> u64 {
        if self.life == life {
            return 0;
        }
        let outstanding = self.progress.outstanding();
        self.life = life;
        self.pledges.clear();
        self.progress.forget_all();
        outstanding
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        varint::put(&mut out, self.version);
        varint::put(&mut out, self.life);
        self.progress.encode(&mut out);
        varint::put(&mut out, self.pledges.len() as u64);
        for (lane, Pledge { first, last }) in &self.pledges {
            lane.encode(&mut out);
            put_id(&mut out, *first);
            put_id(&mut out, *last);
        }
        self.progress.encode_launched(&mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let form = reader.byte()?;
        if !matches!(form, FORM | FORM_WITHOUT_LAUNCHED) {
            return None;
        }
        let version = reader.number()?;
        let life = reader.number()?;
        let mut progress = Progress::decode(&mut reader)?;
        let mut pledges = BTreeMap::new();
        for _ in 0..reader.number()? {
            let lane = Lane::decode(&mut reader)?;
            let (first, last) = (read_id(&mut reader)?, read_id(&mut reader)?);
            pledges.insert(lane, Pledge { first, last });
        }
        if form == FORM {
            progress.decode_launched(&mut reader)?;
        }
        let checkpoint = Self { version, life, progress, pledges };
        Some(checkpoint).filter(|_| reader.rest().is_empty())
    }
}

fn put_id(out: &mut Vec<u8>, id: DocumentId) {
    varint::put(out, id.part);
    varint::put(out, id.position);
    varint::put(out, u64::from(id.index));
}

fn read_id(reader: &mut Reader<'_>) -> Option<DocumentId> {
    let (part, position) = (reader.number()?, reader.number()?);
    Some(DocumentId { part, position, index: reader.number_u32()? })
}

/// The log that checkpoints are in.
#[derive(Clone)]
pub(super) struct CheckpointLog {
    log: Arc<dyn Log>,
    id: LogId,
    writes: u64,
}

impl CheckpointLog {
    pub(super) fn new(log: Arc<dyn Log>, id: LogId) -> Self {
        Self { log, id, writes: 0 }
    }

    /// The last checkpoint; `None` where none was ever written.
    pub(super) async fn load(&self) -> Result<Option<Checkpoint>, LoadError> {
        let limit = ReadLimit { records: 16, bytes: 4 << 20 };
        let (mut from, mut last) = (Position(0), None);
        loop {
            let read = self.log.read(self.id, from, limit).await?;
            let Some(record) = read.records.into_iter().last() else { break };
            last = Some(record);
            from = read.next;
        }
        let Some(record) = last else { return Ok(None) };
        let checkpoint = Checkpoint::decode(&record.payload);
        checkpoint.map(Some).ok_or(LoadError::Damaged(record.position.0))
    }

    /// Makes a checkpoint durable.
    pub(super) async fn write(&mut self, encoded: Vec<u8>) -> Result<(), AppendError> {
        let appended = self.log.append(self.id, Batch::of(&encoded)).await?;
        self.writes += 1;
        if self.writes % TRIM_INTERVAL == 1 {
            // Those below are of no use: that they stay for now is no one's loss.
            if let Err(error) = self.log.trim(self.id, appended.first).await {
                tracing::debug!(%error, "checkpoints were not trimmed");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::memory::MemoryLog;
    use millstream_core::{ManualClock, Timestamp};
    use proptest::prelude::*;

    use super::super::progress::{Obligation, Obligations};
    use super::*;

    const ID: LogId = LogId(1 << 40);

    fn log() -> Arc<MemoryLog> {
        MemoryLog::new(Arc::new(ManualClock::new(Timestamp::from_seconds(1))))
    }

    fn checkpoint(version: u64) -> Checkpoint {
        let mut checkpoint = Checkpoint { version, life: 3, ..Checkpoint::default() };
        let part = checkpoint.progress.part_or(7, Default::default);
        for position in 0..5 {
            assert!(part.take(position));
            part.begin(position, Obligations { pieces: 2, backup: true });
            part.settle(position, Obligation::Piece(1));
        }
        part.launch(3);
        let id = |position| DocumentId { part: 7, position, index: 1 };
        let pledge = Pledge { first: id(1), last: id(4) };
        checkpoint.pledges.insert(Lane::Main("3:abc".into()), pledge);
        checkpoint.pledges.insert(Lane::Backup, pledge);
        checkpoint
    }

    /// As it is after a restart: how many pieces a record has is known once it is read again.
    fn reloaded(checkpoint: &Checkpoint) -> Checkpoint {
        Checkpoint::decode(&checkpoint.encode()).unwrap()
    }

    #[tokio::test]
    async fn the_last_checkpoint_is_there_after_a_crash_and_the_log_stays_short() {
        let log = log();
        log.create(ID).await.unwrap();
        assert!(CheckpointLog::new(log.clone(), ID).load().await.unwrap().is_none());
        let mut checkpoints = CheckpointLog::new(log.clone(), ID);
        for version in 1..200 {
            checkpoints.write(checkpoint(version).encode()).await.unwrap();
        }
        assert!(log.stored(ID).len() as u64 <= TRIM_INTERVAL);
        let loaded = CheckpointLog::new(log.crashed(), ID).load().await.unwrap();
        assert_eq!(loaded, Some(reloaded(&checkpoint(199))));
    }

    #[tokio::test]
    async fn a_damaged_checkpoint_is_refused() {
        let log = log();
        log.create(ID).await.unwrap();
        log.append(ID, Batch::of(b"nonsense")).await.unwrap();
        let loaded = CheckpointLog::new(log, ID).load().await;
        assert!(matches!(loaded, Err(LoadError::Damaged(0))), "{loaded:?}");
    }

    #[test]
    fn what_was_launched_is_kept_until_it_is_settled_and_the_old_form_knows_none() {
        let mut kept = reloaded(&checkpoint(1));
        let launched = |checkpoint: &Checkpoint| {
            let parts = checkpoint.progress.launched().into_iter();
            parts
                .flat_map(|(part, it)| it.iter().map(|at| (part, at)).collect::<Vec<_>>())
                .collect()
        };
        let found: Vec<(u64, u64)> = launched(&kept);
        assert_eq!(found, [(7, 3)]);
        let mut old = kept.clone();
        kept.progress.part_mut(7).begin(3, Obligations { pieces: 2, backup: true });
        kept.progress.part_mut(7).settle(3, Obligation::Piece(0));
        kept.progress.part_mut(7).settle(3, Obligation::Backup);
        assert_eq!(launched(&kept), []);
        old.progress.part_mut(7).launch(9);
        assert_eq!(launched(&old), [(7, 3)], "what is not outstanding is not launched");
        let mut tail = Vec::new();
        old.progress.encode_launched(&mut tail);
        let mut encoded = old.encode();
        encoded.truncate(encoded.len() - tail.len());
        encoded[0] = FORM_WITHOUT_LAUNCHED;
        let read = Checkpoint::decode(&encoded).unwrap();
        assert_eq!((launched(&read), read.pledges == old.pledges), (Vec::new(), true));
    }

    #[test]
    fn another_version_opens_what_was_decided_and_another_life_forgets_all() {
        let mut adopted = checkpoint(4);
        adopted.adopt(4);
        assert_eq!(adopted, checkpoint(4));
        adopted.adopt(5);
        assert!(adopted.pledges.is_empty());
        assert_eq!(adopted.progress.outstanding(), 5);
        assert_eq!((adopted.be_born_again(3), adopted.progress.outstanding()), (0, 5));
        assert_eq!(adopted.be_born_again(4), 5);
        assert_eq!(adopted.progress, Progress::default());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Checkpoint::decode(&bytes);
        }
    }
}
