//! Integers of seven bits a byte, which both formats have.

/// Signs into the lowest bit, so that small negative numbers stay short.
pub(crate) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// As [`zigzag`], of 128 bits.
pub(crate) fn zigzag_128(value: i128) -> u128 {
    (value << 1 ^ value >> 127).cast_unsigned()
}

/// Appends seven bits a byte, lowest first.
#[inline]
pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7F);
            return;
        }
        out.push(low | 0x80);
    }
}

/// As [`varint`], of 128 bits.
pub(crate) fn varint_128(out: &mut Vec<u8>, mut value: u128) {
    while value >> 63 != 0 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    varint(out, u64::try_from(value).expect("shifted below 64 bits"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let written = |value| {
            let mut out = Vec::new();
            varint(&mut out, value);
            out
        };
        assert_eq!(written(0), [0]);
        assert_eq!(written(127), [127]);
        assert_eq!(written(300), [0xAC, 2]);
        assert_eq!(written(u64::MAX).len(), 10);
        for value in [0, 1, 127, 128, u64::MAX >> 1, u64::MAX] {
            let mut wide = Vec::new();
            varint_128(&mut wide, value.into());
            assert_eq!(wide, written(value));
        }
        let mut wide = Vec::new();
        varint_128(&mut wide, u128::MAX);
        assert_eq!(wide.len(), 19);
        assert_eq!([zigzag(0), zigzag(-1), zigzag(1), zigzag(i64::MIN)], [0, 1, 2, u64::MAX]);
        assert_eq!([zigzag_128(-3), zigzag_128(i128::MAX)], [5, u128::MAX - 1]);
    }
}
