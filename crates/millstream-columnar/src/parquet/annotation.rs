//! What a table's metadata says of each node of a file's schema.
//!
//! Table formats tell columns by number, and have types that Hive has not. A file of such a table
//! has one annotation for each node, in depth first order: a column or member, the element of a
//! list, the key and the value of a map.

/// Of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Annotation {
    /// The field's number.
    pub(crate) id: i32,
    pub(crate) logical: Logical,
}

/// How a node's type differs from the one that it is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logical {
    /// Not at all.
    Own,
    /// An integer that is a decimal.
    Decimal { precision: u8, scale: u8 },
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 1970, in UTC or of no time zone.
    Timestamp { utc: bool },
    /// 16 bytes.
    Uuid,
    /// So many bytes.
    Fixed(usize),
}
