//! The data of a record: its name, and filler that follows from the name.
//!
//! Invariant: data that differs in any byte from what was made for a name reads as a name that
//! nobody sent.

use bytes::Bytes;

use crate::dice::Dice;
use crate::history::RecordName;

/// The data for `record`, `bytes` long or as long as its name needs.
pub fn make(record: &str, bytes: usize) -> Bytes {
    let mut data = format!("{record}|").into_bytes();
    let dice = Dice::new(0, record);
    while data.len() < bytes {
        data.extend_from_slice(&dice.seed().to_le_bytes());
    }
    data.into()
}

/// The name that `data` was made for; a name that nobody uses where it was made for none.
pub fn name_of(data: &[u8]) -> RecordName {
    let end = data.iter().position(|byte| *byte == b'|');
    let name = end.and_then(|end| std::str::from_utf8(&data[..end]).ok());
    match name {
        Some(name) if make(name, data.len()) == data => name.to_owned(),
        _ => format!("garbled:{} bytes:{:02x?}", data.len(), &data[..data.len().min(24)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_names_its_record_until_a_bit_flips() {
        for bytes in [0, 10, 100, 5_000] {
            let data = make("p1-7", bytes);
            assert_eq!(name_of(&data), "p1-7");
            for at in (0..data.len()).step_by(7) {
                let mut flipped = data.to_vec();
                flipped[at] ^= 4;
                assert_ne!(name_of(&flipped), "p1-7", "bit at {at} of {bytes}");
            }
        }
        assert!(name_of(b"").starts_with("garbled"));
        assert!(name_of(b"p1-7|short").starts_with("garbled"));
    }
}
