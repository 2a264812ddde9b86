//! Values outside of data files: their bytes as bounds, their order, and what tells them apart.

use std::cmp::Ordering;

use millstream_columnar::table::{Cell, decimal_bytes};

/// A value as metadata holds it (appendix D, "Single-value serialization"); `None` for null and
/// for what has no such form.
pub(crate) fn bytes(cell: &Cell) -> Option<Vec<u8>> {
    Some(match cell {
        Cell::Boolean(value) => vec![u8::from(*value)],
        Cell::Int(value) => value.to_le_bytes().to_vec(),
        Cell::Long(value) => value.to_le_bytes().to_vec(),
        Cell::Float(value) => value.to_le_bytes().to_vec(),
        Cell::Double(value) => value.to_le_bytes().to_vec(),
        Cell::Decimal(value) => decimal_bytes(*value),
        Cell::Bytes(value) => value.clone(),
        Cell::Null | Cell::List(_) | Cell::Map(_) | Cell::Struct(_) => return None,
    })
}

/// The order of two values of one type; `None` where one of them has no place in it.
pub(crate) fn compare(one: &Cell, other: &Cell) -> Option<Ordering> {
    match (one, other) {
        (Cell::Boolean(one), Cell::Boolean(other)) => Some(one.cmp(other)),
        (Cell::Int(one), Cell::Int(other)) => Some(one.cmp(other)),
        (Cell::Long(one), Cell::Long(other)) => Some(one.cmp(other)),
        (Cell::Float(one), Cell::Float(other)) => one.partial_cmp(other),
        (Cell::Double(one), Cell::Double(other)) => one.partial_cmp(other),
        (Cell::Decimal(one), Cell::Decimal(other)) => Some(one.cmp(other)),
        (Cell::Bytes(one), Cell::Bytes(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

/// Whether a value is a number that is none.
pub(crate) fn is_nan(cell: &Cell) -> bool {
    match cell {
        Cell::Float(value) => value.is_nan(),
        Cell::Double(value) => value.is_nan(),
        _ => false,
    }
}

/// Appends what is the same for equal values and for no others, whatever follows it.
pub(crate) fn identify(cell: &Cell, out: &mut Vec<u8>) {
    match bytes(cell) {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(&bytes);
        }
    }
}
