//! Definition and repetition levels: which ancestor of a value is missing, which one repeats.
//!
//! A column is walked once, from the root to its leaves. On the way each entry of a leaf is a
//! definition level so far and a repetition level; an entry is alive, and takes the next slot of
//! the node below, while its definition level is the highest that the node's parent can give.

use std::slice::IterMut;

use super::chunk::Chunk;
use crate::batch::{Bits, Column, Values};

/// The levels of a leaf, for the rows of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Levels<'a> {
    /// A column of the table that is a leaf itself: its level is whether it is there.
    Flat(&'a Bits),
    /// Anything below; repetition levels are empty where nothing repeats.
    Nested { definitions: &'a [u8], repetitions: &'a [u8] },
}

impl Levels<'_> {
    /// Entries, nulls among them.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Flat(valid) => valid.len(),
            Self::Nested { definitions, .. } => definitions.len(),
        }
    }
}

/// Entries on their way down.
struct Entries {
    definitions: Vec<u8>,
    /// As many; empty as long as nothing repeats.
    repetitions: Vec<u8>,
    /// The definition level of entries that are alive.
    alive: u8,
    /// How many ancestors repeat.
    repeated: u8,
}

/// Hands a column's values and levels to the chunks of its leaves, which come next in `chunks`.
pub(super) fn shred(column: &Column, chunks: &mut IterMut<'_, Chunk>) {
    if matches!(column.values, Values::Array(..) | Values::Map(..) | Values::Struct(_)) {
        let entries = Entries {
            definitions: vec![0; column.len()],
            repetitions: Vec::new(),
            alive: 0,
            repeated: 0,
        };
        walk(column, &entries, true, chunks);
    } else {
        let chunk = chunks.next().expect("one chunk a leaf");
        chunk.append(Levels::Flat(&column.valid), &column.values);
    }
}

fn walk(column: &Column, above: &Entries, optional: bool, chunks: &mut IterMut<'_, Chunk>) {
    let here = if optional { above.checked(&column.valid) } else { above.copied() };
    match &column.values {
        Values::Array(lengths, element) => {
            walk(element, &here.repeated(&lengths.counts), true, chunks);
        }
        Values::Map(lengths, entries) => {
            let repeated = here.repeated(&lengths.counts);
            walk(&entries.0, &repeated, false, chunks);
            walk(&entries.1, &repeated, true, chunks);
        }
        Values::Struct(columns) => {
            for column in columns {
                walk(column, &here, true, chunks);
            }
        }
        values => {
            let levels =
                Levels::Nested { definitions: &here.definitions, repetitions: &here.repetitions };
            chunks.next().expect("one chunk a leaf").append(levels, values);
        }
    }
}

impl Entries {
    fn copied(&self) -> Self {
        Self {
            definitions: self.definitions.clone(),
            repetitions: self.repetitions.clone(),
            alive: self.alive,
            repeated: self.repeated,
        }
    }

    /// Raises the entries that are alive and have a value.
    fn checked(&self, valid: &Bits) -> Self {
        let mut next = self.copied();
        let mut slots = valid.iter();
        for level in next.definitions.iter_mut().filter(|level| **level == self.alive) {
            *level += u8::from(slots.next().expect("a slot for each entry alive"));
        }
        next.alive += 1;
        next
    }

    /// Replaces each entry that is alive by as many as it has elements, all of them alive; one
    /// without elements stays, and is not.
    fn repeated(&self, counts: &[u32]) -> Self {
        let level = self.repeated + 1;
        let mut next = Self {
            definitions: Vec::with_capacity(self.definitions.len()),
            repetitions: Vec::with_capacity(self.definitions.len()),
            alive: self.alive + 1,
            repeated: level,
        };
        let mut counts = counts.iter();
        for (index, definition) in self.definitions.iter().enumerate() {
            let repetition = self.repetitions.get(index).copied().unwrap_or(0);
            let alive = *definition == self.alive;
            let count = if alive { *counts.next().expect("a length for each array") } else { 0 };
            next.repetitions.push(repetition);
            next.definitions.push(definition + u8::from(count > 0));
            for _ in 1..count {
                next.repetitions.push(level);
                next.definitions.push(definition + 1);
            }
        }
        next
    }
}
