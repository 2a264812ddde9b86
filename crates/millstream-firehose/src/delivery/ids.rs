//! Lists of document ids, small.
//!
//! Owns the list that a delivery hands back of what it settled. A delivery may hold a million
//! records: they are kept as steps from one to the next, a byte or two each.

use millstream_destinations::DocumentId;

use super::varint::{self, Reader};

/// Ids in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    steps: Vec<u8>,
    count: u64,
    /// What would be the smallest step: the next position, first piece.
    expected: (u64, u64),
}

/// Bit 0 of a step: part and index follow.
const IS_ODD: u64 = 1;

fn zigzag(step: i128) -> u128 {
    ((step << 1) ^ (step >> 127)).cast_unsigned()
}

impl Ids {
    pub(super) fn push(&mut self, id: DocumentId) {
        let (part, position) = self.expected;
        let is_odd = id.part != part || id.index != 0;
        let step = zigzag(i128::from(id.position) - i128::from(position));
        // A step of 65 bits and a flag do not fit a number: far jumps are written out.
        let near = u64::try_from(step).ok().filter(|step| *step < u64::MAX >> 2);
        let head = near.map_or(u64::MAX, |step| (step << 1) | u64::from(is_odd));
        varint::put(&mut self.steps, head);
        if near.is_none() {
            varint::put(&mut self.steps, id.position);
        }
        if near.is_none() || is_odd {
            varint::put(&mut self.steps, id.part);
            varint::put(&mut self.steps, u64::from(id.index));
        }
        self.count += 1;
        self.expected = (id.part, id.position.wrapping_add(1));
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = DocumentId> + '_ {
        let mut reader = Reader::new(&self.steps);
        let mut expected = (0_u64, 0_u64);
        std::iter::from_fn(move || {
            let head = reader.number()?;
            let mut id = DocumentId { part: expected.0, position: 0, index: 0 };
            if head == u64::MAX {
                id.position = reader.number()?;
            } else {
                let zigzag = head >> 1;
                let step = (zigzag >> 1) ^ (zigzag & 1).wrapping_neg();
                id.position = expected.1.wrapping_add(step);
            }
            if head & IS_ODD != 0 {
                id.part = reader.number()?;
                id.index = reader.number_u32()?;
            }
            expected = (id.part, id.position.wrapping_add(1));
            Some(id)
        })
    }
}

impl FromIterator<DocumentId> for Ids {
    fn from_iter<I: IntoIterator<Item = DocumentId>>(ids: I) -> Self {
        let mut list = Self::default();
        ids.into_iter().for_each(|id| list.push(id));
        list
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = u64> {
        prop_oneof![0..50_u64, any::<u64>(), u64::MAX - 5..=u64::MAX]
    }

    proptest! {
        #[test]
        fn what_was_pushed_is_there_in_order(
            ids in proptest::collection::vec((0..3_u64, position(), 0..4_u32), 0..60),
        ) {
            let ids: Vec<DocumentId> = ids
                .into_iter()
                .map(|(part, position, index)| DocumentId { part, position, index })
                .collect();
            let list: Ids = ids.iter().copied().collect();
            prop_assert_eq!(list.count(), ids.len() as u64);
            prop_assert!(list.iter().eq(ids));
        }
    }

    #[test]
    fn every_third_record_costs_a_byte() {
        let ids = (0..9_000).step_by(3);
        let list: Ids = ids.map(|position| DocumentId { part: 0, position, index: 0 }).collect();
        assert_eq!(list.steps.len(), 3_000);
    }
}
