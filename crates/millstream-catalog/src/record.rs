//! What one record of the catalog's log looks like, and how the records make a state again.
//!
//! Owns the framing: one tag byte, then
//! * `G`: genesis, nothing more: the state before any command;
//! * `C`: a command in JSON;
//! * `S`: part `index` of `count` of a snapshot (two little-endian u32), then bytes of the state
//!   in JSON.
//!
//! Invariant: commands are applied only onto a base, genesis or a snapshot whose parts are all
//! there. A snapshot cut short by a crash is passed over; trimming that a crash undid puts
//! commands before the base, and they are passed over too.

use crate::Machine;

const GENESIS: u8 = b'G';
const COMMAND: u8 = b'C';
const SNAPSHOT: u8 = b'S';
/// Bytes of state in one part of a snapshot: far below what any engine takes at once.
const PART_BYTES: usize = 256 * 1024;

/// Why the records do not make a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("a record of unknown kind {0:#04x}")]
    UnknownKind(u8),
    #[error("an empty record")]
    Empty,
    #[error("a snapshot part cut short")]
    ShortPart,
    #[error("JSON that does not read: {0}")]
    Json(String),
    #[error("commands without a state that they follow")]
    NoBase,
}

/// The record that a log starts with.
pub(crate) fn genesis() -> Vec<u8> {
    vec![GENESIS]
}

/// The record of a command.
pub(crate) fn command<C: serde::Serialize>(command: &C) -> Vec<u8> {
    let mut bytes = vec![COMMAND];
    serde_json::to_writer(&mut bytes, command).expect("a command's keys are strings");
    bytes
}

/// The records of a snapshot of `state`.
pub(crate) fn snapshot<M: Machine>(state: &M) -> Vec<Vec<u8>> {
    let json = serde_json::to_vec(state).expect("a state's keys are strings");
    let parts: Vec<&[u8]> = json.chunks(PART_BYTES).collect();
    let count = u32::try_from(parts.len()).expect("a state is far below 2^50 bytes");
    (0..count)
        .zip(parts)
        .map(|(index, part)| {
            let mut bytes = Vec::with_capacity(part.len() + 9);
            bytes.push(SNAPSHOT);
            bytes.extend_from_slice(&index.to_le_bytes());
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes.extend_from_slice(part);
            bytes
        })
        .collect()
}

/// Makes a state of records, one after the other.
pub(crate) struct Replay<M> {
    state: Option<M>,
    parts: Vec<u8>,
    parts_seen: u32,
    orphans: u64,
    /// Commands applied since the base.
    pub(crate) commands: u64,
}

impl<M: Machine> Replay<M> {
    pub(crate) fn new() -> Self {
        Self { state: None, parts: Vec::new(), parts_seen: 0, orphans: 0, commands: 0 }
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &[u8]) -> Result<(), ReplayError> {
        let (kind, rest) = record.split_first().ok_or(ReplayError::Empty)?;
        match *kind {
            GENESIS => {
                self.state = Some(M::default());
                self.parts_seen = 0;
                Ok(())
            }
            COMMAND => {
                self.parts_seen = 0;
                self.take_command(rest)
            }
            SNAPSHOT => self.take_part(rest),
            other => Err(ReplayError::UnknownKind(other)),
        }
    }

    fn take_command(&mut self, json: &[u8]) -> Result<(), ReplayError> {
        let Some(state) = &mut self.state else {
            self.orphans += 1;
            return Ok(());
        };
        let command = serde_json::from_slice(json).map_err(json_error)?;
        state.apply(command);
        self.commands += 1;
        Ok(())
    }

    fn take_part(&mut self, part: &[u8]) -> Result<(), ReplayError> {
        let (index, rest) = part.split_first_chunk::<4>().ok_or(ReplayError::ShortPart)?;
        let (count, bytes) = rest.split_first_chunk::<4>().ok_or(ReplayError::ShortPart)?;
        let (index, count) = (u32::from_le_bytes(*index), u32::from_le_bytes(*count));
        if index == 0 {
            self.parts.clear();
            self.parts_seen = 0;
        }
        if index != self.parts_seen {
            // The front of this snapshot is trimmed, or it was cut short: it is no base.
            self.parts_seen = 0;
            return Ok(());
        }
        self.parts.extend_from_slice(bytes);
        self.parts_seen += 1;
        if self.parts_seen == count {
            self.state = Some(serde_json::from_slice(&self.parts).map_err(json_error)?);
            self.parts = Vec::new();
            self.parts_seen = 0;
            self.commands = 0;
        }
        Ok(())
    }

    /// The state after all records; `None` where there was no record at all.
    pub(crate) fn finish(self) -> Result<Option<M>, ReplayError> {
        if self.state.is_none() && self.orphans > 0 {
            return Err(ReplayError::NoBase);
        }
        Ok(self.state)
    }
}

#[allow(clippy::needless_pass_by_value)] // Shaped for `map_err`.
fn json_error(error: serde_json::Error) -> ReplayError {
    ReplayError::Json(error.to_string())
}
