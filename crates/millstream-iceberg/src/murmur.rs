//! The hash of bucket partitions: MurmurHash3, 32 bits, x86, seed 0 (appendix B).

/// The hash of some bytes.
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    let mut hash = 0_u32;
    let mut blocks = bytes.chunks_exact(4);
    for block in &mut blocks {
        let block = u32::from_le_bytes(block.try_into().expect("blocks have four bytes"));
        hash = (hash ^ mixed(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = blocks.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u32::from(*byte));
        hash ^= mixed(last);
    }
    // Lengths beyond 32 bits do not occur in a row.
    #[allow(clippy::cast_possible_truncation)]
    let length = bytes.len() as u32;
    hash ^= length;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

fn mixed(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the specification's appendix B.
    #[test]
    fn hashes_are_the_specifications() {
        assert_eq!(hash(&34_i64.to_le_bytes()).cast_signed(), 2_017_239_379);
        assert_eq!(hash(&17_486_i64.to_le_bytes()).cast_signed(), -653_330_422);
        assert_eq!(hash(&81_068_000_000_i64.to_le_bytes()).cast_signed(), -662_762_989);
        assert_eq!(hash("iceberg".as_bytes()).cast_signed(), 1_210_000_089);
        assert_eq!(hash(&[0, 1, 2, 3]).cast_signed(), -188_683_207);
        assert_eq!(hash(&[0x05, 0x8C]).cast_signed(), -500_754_589);
        let uuid = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128.to_be_bytes();
        assert_eq!(hash(&uuid).cast_signed(), 1_488_055_340);
    }
}
