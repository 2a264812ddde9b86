//! Objects of queries: entries in the order they were put.
//!
//! Most have few keys, which are found by looking at each; beyond [`SCANNED_MAX`] there is an
//! index, so that an object of many keys cannot make a query slow.

use std::collections::HashMap;

use super::meter::{self, Held};
use super::text::Text;
use super::value::Val;

/// Keys up to which an object has no index.
const SCANNED_MAX: usize = 16;
/// About what an entry holds beside its texts.
const ENTRY_BYTES: usize = 64;

/// An object. Cloning is linear in its keys, and is counted.
#[derive(Default)]
pub(super) struct Object {
    entries: Vec<(Text, Val)>,
    index: Option<HashMap<Text, usize>>,
    /// At least how deep the deepest value nests, this object included.
    depth: usize,
    held: Held,
}

impl Object {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[(Text, Val)] {
        &self.entries
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn get(&self, key: &str) -> Option<&Val> {
        self.position(key).map(|at| &self.entries[at].1)
    }

    /// Puts `value` in the place of the entry of `key`, or at the end.
    pub(super) fn put(&mut self, key: Text, value: Val) {
        self.depth = self.depth.max(meter::deeper(value.depth()));
        if let Some(at) = self.position(key.as_str()) {
            self.entries[at].1 = value;
            return;
        }
        meter::spend(1);
        self.entries.push((key.clone(), value));
        self.hold();
        self.note(key);
    }

    /// Takes the value of `key` out, and leaves null in its place.
    pub(super) fn take(&mut self, key: &str) -> Option<Val> {
        let at = self.position(key)?;
        Some(std::mem::replace(&mut self.entries[at].1, Val::Null))
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(at) = self.position(key) {
            meter::spend(self.entries.len());
            self.entries.remove(at);
            self.hold();
            self.index = None;
            if self.entries.len() > SCANNED_MAX {
                self.build_index();
            }
        }
    }

    /// The keys in the order of their code points.
    pub(super) fn sorted_keys(&self) -> Vec<&Text> {
        meter::spend(self.entries.len());
        let mut keys: Vec<&Text> = self.entries.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|(own, _)| own.as_str() == key),
        }
    }

    fn note(&mut self, key: Text) {
        let last = self.entries.len() - 1;
        if let Some(index) = &mut self.index {
            index.insert(key, last);
        } else if self.entries.len() > SCANNED_MAX {
            self.build_index();
        }
    }

    fn build_index(&mut self) {
        let entries = self.entries.iter().enumerate();
        self.index = Some(entries.map(|(at, (key, _))| (key.clone(), at)).collect());
    }

    fn hold(&mut self) {
        self.held.set(self.entries.len() * ENTRY_BYTES);
    }
}

impl Clone for Object {
    fn clone(&self) -> Self {
        meter::spend(self.entries.len());
        Self {
            entries: self.entries.clone(),
            index: self.index.clone(),
            depth: self.depth,
            held: Held::new(self.entries.len() * ENTRY_BYTES),
        }
    }
}
