//! The columns that Parquet stores: the leaves of the schema, and how each type is written.

use super::annotation::{Annotation, Logical};
use super::bounds::Bounds;
use crate::options::ParquetTimestamp;
use crate::schema::{Field, Schema, Type};

/// How a leaf's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    /// Julian day and nanoseconds of a timestamp.
    Int96,
    /// Microseconds of a timestamp.
    Micros,
    Float,
    Double,
    Bytes,
    /// A decimal, the high byte first, in so many bytes.
    Fixed(usize),
    /// Values that all have so many bytes.
    FixedBytes(usize),
}

/// A leaf of the schema.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Names from the root.
    pub(super) path: Vec<String>,
    pub(super) physical: Physical,
    /// The level of a value that is there: how many of its ancestors, and itself, may be missing.
    pub(super) definition_max: u8,
    /// How many of its ancestors repeat.
    pub(super) repetition_max: u8,
    /// Empty statistics of the right kind.
    pub(super) bounds: Bounds,
    /// The number that a table's metadata has for it; 0 without annotations.
    pub(super) id: i32,
}

/// All leaves, in the order of the schema.
///
/// `annotations` has one for each node of the schema, depth first, or none at all.
pub(super) fn leaves(
    schema: &Schema,
    timestamp: ParquetTimestamp,
    annotations: &[Annotation],
) -> Vec<Leaf> {
    let annotations = annotations.iter();
    let mut walk = Walk { leaves: Vec::new(), path: Vec::new(), timestamp, annotations };
    for Field { name, kind } in schema.fields() {
        walk.field(name, kind, (0, 0), true);
    }
    walk.leaves
}

struct Walk<'a> {
    leaves: Vec<Leaf>,
    path: Vec<String>,
    timestamp: ParquetTimestamp,
    annotations: std::slice::Iter<'a, Annotation>,
}

impl Walk<'_> {
    /// Levels are those of the parent.
    fn field(&mut self, name: &str, kind: &Type, levels: (u8, u8), optional: bool) {
        self.path.push(name.to_owned());
        let annotation = self.annotations.next();
        let (definition, repetition) = (levels.0 + u8::from(optional), levels.1);
        match kind {
            Type::Array(element) => {
                self.path.push("list".to_owned());
                self.field("element", element, (definition + 1, repetition + 1), true);
                self.path.pop();
            }
            Type::Map(key, value) => {
                self.path.push("key_value".to_owned());
                self.field("key", key, (definition + 1, repetition + 1), false);
                self.field("value", value, (definition + 1, repetition + 1), true);
                self.path.pop();
            }
            Type::Struct(fields) => {
                for Field { name, kind } in fields {
                    self.field(name, kind, (definition, repetition), true);
                }
            }
            _ => {
                let physical = annotated(kind, self.timestamp, annotation);
                self.leaves.push(Leaf {
                    path: self.path.clone(),
                    physical,
                    definition_max: definition,
                    repetition_max: repetition,
                    bounds: Bounds::new(physical),
                    id: annotation.map_or(0, |annotation| annotation.id),
                });
            }
        }
        self.path.pop();
    }
}

/// How a type that is not nested is stored, where a table's metadata says more of it.
pub(super) fn annotated(
    kind: &Type,
    timestamp: ParquetTimestamp,
    annotation: Option<&Annotation>,
) -> Physical {
    match annotation.map(|annotation| annotation.logical) {
        Some(Logical::Uuid) => Physical::FixedBytes(16),
        Some(Logical::Fixed(bytes)) => Physical::FixedBytes(bytes),
        _ => physical(kind, timestamp),
    }
}

/// How a type that is not nested is stored.
fn physical(kind: &Type, timestamp: ParquetTimestamp) -> Physical {
    match kind {
        Type::Boolean => Physical::Boolean,
        Type::TinyInt | Type::SmallInt | Type::Int | Type::Date => Physical::Int32,
        Type::BigInt => Physical::Int64,
        Type::Float => Physical::Float,
        Type::Double => Physical::Double,
        Type::Decimal { precision, .. } => Physical::Fixed(decimal_bytes(*precision)),
        Type::String | Type::Char(_) | Type::Varchar(_) | Type::Binary => Physical::Bytes,
        Type::Timestamp => match timestamp {
            ParquetTimestamp::Int96 => Physical::Int96,
            ParquetTimestamp::Micros => Physical::Micros,
        },
        Type::Array(_) | Type::Map(..) | Type::Struct(_) => {
            unreachable!("nested types have leaves below them")
        }
    }
}

/// The fewest bytes that hold every number of `precision` digits, with its sign.
fn decimal_bytes(precision: u8) -> usize {
    let largest = 10_u128.pow(precision.into()) - 1;
    let bits = u128::BITS - largest.leading_zeros() + 1;
    bits.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_as_many_bytes_as_hives() {
        let hive = [
            1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 12,
            12, 13, 13, 13, 14, 14, 15, 15, 16, 16, 16,
        ];
        for (precision, bytes) in (1_u8..).zip(hive) {
            assert_eq!(decimal_bytes(precision), bytes, "{precision}");
        }
    }

    #[test]
    fn levels_count_what_may_be_missing_and_what_repeats() {
        let kind = "array<struct<a:int,m:map<string,array<double>>>>";
        let schema = Schema::parse(&[("c".to_owned(), kind.to_owned())]).unwrap();
        let found: Vec<_> = leaves(&schema, ParquetTimestamp::Int96, &[])
            .into_iter()
            .map(|leaf| (leaf.path.join("."), leaf.definition_max, leaf.repetition_max))
            .collect();
        let expected = [
            ("c.list.element.a", 4, 1),
            ("c.list.element.m.key_value.key", 5, 2),
            ("c.list.element.m.key_value.value.list.element", 8, 3),
        ];
        assert_eq!(found, expected.map(|(path, d, r)| (path.to_owned(), d, r)));
    }
}
