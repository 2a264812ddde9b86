//! Which column a key stands for.
//!
//! Records of one producer have the same keys in the same order, spelled the same way. So each
//! struct remembers the keys of the last object, byte for byte, with what they stood for: one
//! comparison then replaces unescaping, lowering and hashing. What is remembered is bounded.

use std::collections::{BTreeMap, HashMap};

use crate::options::JsonReader;
use crate::schema::Field;

/// Keys beyond these are looked up each time.
const REMEMBERED_MAX: usize = 512;
/// Longer keys are looked up each time.
const REMEMBERED_BYTES_MAX: usize = 64;

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// No column: the value is stepped over.
    Nothing,
    /// The column of this index.
    Field(usize),
    /// The column of this index, unless another key names it more exactly.
    Dotted(usize),
}

/// How keys are compared with names.
#[derive(Clone, Debug)]
pub(super) struct KeyRules {
    pub(super) case_insensitive: bool,
    dots: bool,
    mappings: BTreeMap<String, String>,
}

impl KeyRules {
    pub(super) fn new(reader: &JsonReader) -> Self {
        match reader {
            JsonReader::OpenX { case_insensitive, dots_to_underscores, mappings } => Self {
                case_insensitive: *case_insensitive,
                dots: *dots_to_underscores,
                mappings: mappings.clone(),
            },
            JsonReader::Hive { .. } => {
                Self { case_insensitive: true, dots: false, mappings: BTreeMap::new() }
            }
        }
    }

    /// A key as it is compared.
    pub(super) fn folded(&self, key: &mut Vec<u8>) {
        if self.case_insensitive {
            fold(key);
        }
    }
}

/// Lowers a key in place.
pub(super) fn fold(key: &mut Vec<u8>) {
    if key.is_ascii() {
        key.make_ascii_lowercase();
    } else if let Ok(text) = std::str::from_utf8(key) {
        *key = text.to_lowercase().into_bytes();
    }
}

/// The keys of one struct, or of the table.
#[derive(Debug)]
pub(super) struct Keys {
    /// By folded key; more than one column can be mapped to one key.
    table: HashMap<Vec<u8>, usize>,
    /// Another column with the same key.
    pub(super) next: Vec<Option<usize>>,
    /// By folded name: what a key with dots is compared with.
    dotted: HashMap<Vec<u8>, usize>,
    rules: KeyRules,
    /// The keys of the last object, each with both quotes, and a colon where it came at once.
    remembered: Vec<(Vec<u8>, Target)>,
}

impl Keys {
    pub(super) fn new(fields: &[Field], rules: &KeyRules) -> Self {
        let mut table = HashMap::new();
        let mut dotted = HashMap::new();
        let mut next = vec![None; fields.len()];
        for (index, field) in fields.iter().enumerate() {
            let mapped = rules.mappings.iter().find(|(column, _)| same(column, &field.name, rules));
            let mut key = mapped.map_or(&field.name, |(_, key)| key).clone().into_bytes();
            rules.folded(&mut key);
            next[index] = table.insert(key, index);
            if rules.dots {
                let mut name = field.name.clone().into_bytes();
                rules.folded(&mut name);
                dotted.insert(name, index);
            }
        }
        Self { table, next, dotted, rules: rules.clone(), remembered: Vec::new() }
    }

    /// What the key at `position` of an object stands for, if it is spelled as it was the last
    /// time; with it, how many bytes the key takes, and whether a colon was among them.
    #[inline]
    pub(super) fn recall(&self, position: usize, rest: &[u8]) -> Option<(Target, usize, bool)> {
        let (key, target) = self.remembered.get(position)?;
        rest.starts_with(key).then(|| (*target, key.len(), key.ends_with(b":")))
    }

    /// Looks a key up, and remembers it for objects to come. `raw` is how it stands in the text.
    #[cold]
    pub(super) fn look_up(&mut self, position: usize, raw: &[u8], mut key: Vec<u8>) -> Target {
        self.rules.folded(&mut key);
        let found = self.table.get(&key).map(|index| Target::Field(*index));
        let target = found.or_else(|| self.look_up_dotted(key)).unwrap_or(Target::Nothing);
        if raw.len() <= REMEMBERED_BYTES_MAX && position < REMEMBERED_MAX {
            let entry = (raw.to_vec(), target);
            if position < self.remembered.len() {
                self.remembered[position] = entry;
            } else if position == self.remembered.len() {
                self.remembered.push(entry);
            }
        }
        target
    }

    fn look_up_dotted(&self, mut key: Vec<u8>) -> Option<Target> {
        if !self.rules.dots || !key.contains(&b'.') {
            return None;
        }
        key.iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b'_');
        self.dotted.get(&key).map(|index| Target::Dotted(*index))
    }
}

/// Whether an option's name of a column is that column's.
fn same(option: &str, column: &str, rules: &KeyRules) -> bool {
    option == column || rules.case_insensitive && option.to_lowercase() == column.to_lowercase()
}
