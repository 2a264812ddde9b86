//! Collects violated constraints and says them the way the service does.
//!
//! Owns the sentence. Violations come in the order of the bytes and are told in the order of the
//! model; the service tells ten at most. Source: sentences recorded against the service.

use std::fmt::Write;

use crate::cut::cut;
use crate::rule::{Member, Rule};

/// Violations told in one sentence (observed).
const TOLD_MAX: usize = 10;
/// Bytes of a value shown in a sentence: ours, so that an answer stays smaller than its question.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a map's key shown in a path, which stands before every violation below it: ours.
const KEY_BYTES_MAX: usize = 1_024;

/// A step on the way from the input to a value.
#[derive(Debug)]
pub(crate) enum Step {
    /// To a member of a structure.
    Member(&'static Member),
    /// To an item of a list.
    Item {
        /// What the list asks of its items.
        rule: Option<&'static Rule>,
        /// From 0.
        index: u32,
        /// Whether some item was found to violate it.
        violated: bool,
        /// Items that no value of their enum stands for, by index.
        strays: Vec<(u32, String)>,
    },
    /// To a value of a map.
    Entry {
        /// What the map asks of its values.
        rule: Option<&'static Rule>,
        /// The value's key.
        key: String,
        /// From 0.
        index: u32,
        /// Whether some value was found to violate it.
        violated: bool,
    },
}

impl Step {
    /// What the value at this step must satisfy.
    pub(crate) fn rule(&self) -> Option<&'static Rule> {
        match self {
            Self::Member(member) => Some(member.rule),
            Self::Item { rule, .. } | Self::Entry { rule, .. } => *rule,
        }
    }

    fn position(&self) -> u32 {
        match self {
            Self::Member(member) => u32::from(member.order),
            Self::Item { index, .. } | Self::Entry { index, .. } => *index,
        }
    }
}

/// What was violated so far.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    /// In the order in which they are told, at most as many as are.
    found: Vec<Violation>,
}

#[derive(Debug)]
struct Violation {
    /// The steps' positions, by which violations are ordered.
    position: Vec<u32>,
    sentence: String,
}

impl Violations {
    /// Notes that the value at `path` violates `constraint`; `None` is null.
    ///
    /// Cost: what would not be told is dropped before anything is written, so that a million
    /// violations cost no more than looking at their paths.
    pub(crate) fn note(&mut self, path: &[Step], value: Option<&str>, constraint: &str) {
        if self.found.len() >= TOLD_MAX
            && let Some(last) = self.found.last()
            && path.iter().map(Step::position).ge(last.position.iter().copied())
        {
            return;
        }
        let mut sentence = String::from("Value ");
        match value {
            None => sentence.push_str("null"),
            Some(value) => {
                sentence.extend(["'", cut(value, VALUE_BYTES_MAX), "'"]);
            }
        }
        sentence.push_str(" at '");
        write_path(&mut sentence, path);
        sentence.extend(["' failed to satisfy constraint: ", constraint]);
        let position = path.iter().map(Step::position).collect();
        self.found.push(Violation { position, sentence });
        // Stable: constraints of one value keep the order in which they are checked.
        self.found.sort_by(|a, b| a.position.cmp(&b.position));
        self.found.truncate(TOLD_MAX);
    }

    /// The whole sentence, where anything was violated.
    pub(crate) fn into_sentence(self) -> Option<String> {
        if self.found.is_empty() {
            return None;
        }
        let count = self.found.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut text = format!("{count} validation error{plural} detected: ");
        for (index, violation) in self.found.iter().enumerate() {
            if index > 0 {
                text.push_str("; ");
            }
            text.push_str(&violation.sentence);
        }
        Some(text)
    }
}

/// `records.1.member.partitionKey`: members with a small first letter, items from 1.
fn write_path(out: &mut String, path: &[Step]) {
    for (depth, step) in path.iter().enumerate() {
        if depth > 0 {
            out.push('.');
        }
        match step {
            Step::Member(member) => {
                let mut characters = member.name.chars();
                out.extend(characters.next().map(|first| first.to_ascii_lowercase()));
                out.push_str(characters.as_str());
            }
            Step::Item { index, .. } => {
                let _ = write!(out, "{}.member", u64::from(*index) + 1);
            }
            Step::Entry { key, .. } => {
                out.extend([cut(key, KEY_BYTES_MAX), ".member"]);
            }
        }
    }
}

/// Says what `rule` asks of a text, a blob, a list or a map, all of it in one bracket, as it
/// stands where items of a list or entries of a map violate it.
pub(crate) fn bracket(rule: &Rule) -> String {
    let mut parts = Vec::new();
    if let Some(max) = rule.max {
        parts.push(length_max(max));
    }
    if let Some(min) = rule.min {
        parts.push(length_min(min));
    }
    if let Some(pattern) = rule.pattern {
        parts.push(pattern_text(pattern.text()));
    }
    if !rule.one_of.is_empty() {
        parts.push(one_of(rule.one_of));
    }
    format!("[{}]", parts.join(", "))
}

pub(crate) fn length_min(min: i64) -> String {
    format!("Member must have length greater than or equal to {min}")
}

pub(crate) fn length_max(max: i64) -> String {
    format!("Member must have length less than or equal to {max}")
}

pub(crate) fn value_min(min: i64) -> String {
    format!("Member must have value greater than or equal to {min}")
}

pub(crate) fn value_max(max: i64) -> String {
    format!("Member must have value less than or equal to {max}")
}

pub(crate) fn pattern_text(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

pub(crate) fn one_of(values: &[&str]) -> String {
    format!("Member must satisfy enum value set: [{}]", values.join(", "))
}
