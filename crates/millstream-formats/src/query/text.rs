//! Strings of queries: slices of the record they come from, as long as they can be.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use super::meter::{self, Held};

/// A string; cloning and slicing share it.
#[derive(Clone)]
pub(super) struct Text {
    owner: Rc<Owner>,
    start: u32,
    end: u32,
}

struct Owner {
    text: String,
    held: Held,
}

impl Text {
    pub(super) fn new(text: String) -> Self {
        let end = position(text.len());
        let held = Held::new(text.len());
        Self { owner: Rc::new(Owner { text, held }), start: 0, end }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.owner.text[self.start as usize..self.end as usize]
    }

    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// The bytes from `start` to `end`, which are between characters.
    pub(super) fn slice(&self, start: usize, end: usize) -> Self {
        debug_assert!(self.as_str().get(start..end).is_some());
        Self {
            owner: Rc::clone(&self.owner),
            start: self.start + position(start),
            end: self.start + position(end),
        }
    }

    /// What `part`, a part of [`Self::as_str`], is as a slice.
    pub(super) fn slice_of(&self, part: &str) -> Self {
        let start = part.as_ptr().addr() - self.as_str().as_ptr().addr();
        self.slice(start, start + part.len())
    }

    /// This string and then `tail`: in place where nothing else refers to it.
    pub(super) fn append(mut self, tail: &str) -> Self {
        meter::spend_text(tail.len());
        let end = self.end as usize;
        if let Some(owner) = Rc::get_mut(&mut self.owner)
            && owner.text.len() == end
        {
            owner.held.set(end + tail.len());
            owner.text.push_str(tail);
            self.end = position(owner.text.len());
            return self;
        }
        meter::spend_text(self.len());
        let mut text = String::with_capacity(self.len() + tail.len());
        text.push_str(self.as_str());
        text.push_str(tail);
        Self::new(text)
    }
}

/// Texts are shorter than 4 GiB: memory is bounded far below.
fn position(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or_else(|_| meter::stop(meter::Stop::Memory))
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}
