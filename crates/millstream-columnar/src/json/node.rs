//! The schema as the reader walks it: what each column takes, ready to be matched.

use super::keys::{KeyRules, Keys};
use crate::schema::{Field, Type};

/// A type, with what reading it needs.
#[derive(Debug)]
pub(super) enum Node {
    Boolean,
    /// Integers of at most 32 bits.
    Int {
        low: i64,
        high: i64,
    },
    BigInt,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// Text of at most so many characters, with or without the blanks at its end.
    Text {
        characters_max: Option<u32>,
        trimmed: bool,
    },
    Binary,
    Date,
    Timestamp,
    Array(Box<Node>),
    Map(Box<(Node, Node)>),
    Struct(Members),
}

/// A struct's members, or a table's columns.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) nodes: Vec<Node>,
    pub(super) keys: Keys,
}

impl Members {
    pub(super) fn new(fields: &[Field], rules: &KeyRules) -> Self {
        let nodes = fields.iter().map(|field| Node::new(&field.kind, rules)).collect();
        Self { nodes, keys: Keys::new(fields, rules) }
    }
}

impl Node {
    fn new(kind: &Type, rules: &KeyRules) -> Self {
        let int = |low: i64, high: i64| Self::Int { low, high };
        match kind {
            Type::Boolean => Self::Boolean,
            Type::TinyInt => int(i8::MIN.into(), i8::MAX.into()),
            Type::SmallInt => int(i16::MIN.into(), i16::MAX.into()),
            Type::Int => int(i32::MIN.into(), i32::MAX.into()),
            Type::BigInt => Self::BigInt,
            Type::Float => Self::Float,
            Type::Double => Self::Double,
            Type::Decimal { precision, scale } => {
                Self::Decimal { precision: *precision, scale: *scale }
            }
            Type::String => Self::Text { characters_max: None, trimmed: false },
            Type::Varchar(length) => Self::Text { characters_max: Some(*length), trimmed: false },
            Type::Char(length) => Self::Text { characters_max: Some(*length), trimmed: true },
            Type::Binary => Self::Binary,
            Type::Date => Self::Date,
            Type::Timestamp => Self::Timestamp,
            Type::Array(element) => Self::Array(Box::new(Self::new(element, rules))),
            Type::Map(key, value) => {
                Self::Map(Box::new((Self::new(key, rules), Self::new(value, rules))))
            }
            Type::Struct(fields) => Self::Struct(Members::new(fields, rules)),
        }
    }
}
