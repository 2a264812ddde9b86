//! One object of a document, read by the model's names.
//!
//! Owns nothing but the reading. A member that is not there is `None`; one of another type than
//! the model's cannot be, because documents are encoded from the model's types.

use serde_json::{Map, Value};

/// An object.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Node<'a> {
    /// A text.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    /// A text that is not empty: where the API takes an empty one, it stands for none.
    pub(super) fn filled(self, name: &str) -> Option<&'a str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// An integer. The model's are of 32 bits, and none that is read here may be negative.
    pub(super) fn integer(self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// A number.
    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// A boolean.
    pub(super) fn truth(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// An object.
    pub(super) fn child(self, name: &str) -> Option<Node<'a>> {
        self.0.get(name)?.as_object().map(Node)
    }

    /// The objects of a list; none where there is no list.
    pub(super) fn children(self, name: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let items = self.0.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(Value::as_object).map(Node)
    }

    /// The texts of a list; none where there is no list.
    pub(super) fn texts(self, name: &str) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}
