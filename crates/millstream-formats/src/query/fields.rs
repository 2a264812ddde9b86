//! The fast path: keys that are plain fields, read in one walk over the record's bytes.
//!
//! Most queries are `{customer_id: .customer_id, device: .type.device}`. Those need neither values
//! nor an interpreter. Whatever is not plain (a field that is missing, null or no scalar, a key
//! twice or with escapes, bytes that are no JSON) is left to the interpreter, which has the last
//! word, so that both ways have one meaning; a property test holds them to it.

use std::collections::BTreeMap;

use super::json::{NotJson, Scanner, Start, unescape};
use super::number::Number;
use super::program::FieldKeys;

/// Which fields to read.
pub(super) struct Fields {
    names: Vec<String>,
    root: Node,
}

#[derive(Default)]
struct Node {
    children: Vec<(String, Node)>,
    /// Which of the names have this field's value.
    wanted: Vec<usize>,
}

/// What [`Fields::read`] found so far; `None` twice is what it gives up with.
struct Found {
    values: Vec<Option<String>>,
    plain: bool,
}

impl Fields {
    /// `None` where a name or a field is not alone.
    pub(super) fn new(keys: &FieldKeys) -> Option<Self> {
        let mut names: Vec<String> = Vec::new();
        let mut root = Node::default();
        for (index, (name, path)) in keys.iter().enumerate() {
            if names.contains(name) || path.is_empty() {
                return None;
            }
            names.push(name.clone());
            let node = path.iter().fold(&mut root, |node, field| node.child(field));
            node.wanted.push(index);
        }
        root.is_plain().then_some(Self { names, root })
    }

    /// The keys of the record, or `None` where the interpreter has to look.
    pub(super) fn read(&self, record: &str) -> Option<BTreeMap<String, String>> {
        let mut found = Found { values: vec![None; self.names.len()], plain: true };
        let mut scanner = Scanner::new(record);
        scanner.skip_white_space();
        self.root.read(&mut scanner, 0, &mut found).ok()?;
        scanner.end().ok()?;
        if !found.plain {
            return None;
        }
        self.names
            .iter()
            .cloned()
            .zip(found.values)
            .map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

impl Node {
    fn child(&mut self, field: &str) -> &mut Self {
        let at = self.children.iter().position(|(name, _)| name == field).unwrap_or_else(|| {
            self.children.push((field.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    /// Whether no field is wanted for itself and for its own fields too.
    fn is_plain(&self) -> bool {
        (self.wanted.is_empty() || self.children.is_empty())
            && self.children.iter().all(|(_, child)| child.is_plain())
    }

    /// Takes the value of this node's field.
    fn read(
        &self,
        scanner: &mut Scanner<'_>,
        depth: usize,
        found: &mut Found,
    ) -> Result<(), NotJson> {
        if !self.children.is_empty() {
            return self.read_object(scanner, depth, found);
        }
        let text = match scanner.start()? {
            Start::String => match scanner.checked_string()? {
                (text, false) => text.to_owned(),
                (text, true) => unescape(text).ok_or_else(|| scanner.error())?,
            },
            Start::Number => {
                let mut text = String::new();
                Number::from_json(scanner.number()?).write(&mut text);
                text
            }
            Start::True => scanner.word("true").map(|()| "true".to_owned())?,
            Start::False => scanner.word("false").map(|()| "false".to_owned())?,
            Start::Null | Start::Array | Start::Object => {
                found.plain = false;
                return scanner.skip(depth);
            }
        };
        for name in &self.wanted {
            found.plain &= !text.is_empty() && found.values[*name].is_none();
            found.values[*name] = Some(text.clone());
        }
        Ok(())
    }

    fn read_object(
        &self,
        scanner: &mut Scanner<'_>,
        depth: usize,
        found: &mut Found,
    ) -> Result<(), NotJson> {
        if scanner.start()? != Start::Object {
            found.plain = false;
            return scanner.skip(depth);
        }
        let mut seen = 0_u64;
        scanner.object(depth, |scanner, (key, escaped), depth| {
            if escaped {
                found.plain = false;
                return scanner.skip(depth);
            }
            match self.children.iter().position(|(name, _)| name == key) {
                None => scanner.skip(depth),
                Some(at) => {
                    let bit = 1_u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0);
                    found.plain &= bit != 0 && seen & bit == 0;
                    seen |= bit;
                    self.children[at].1.read(scanner, depth, found)
                }
            }
        })
    }
}
