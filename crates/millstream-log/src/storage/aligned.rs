//! Memory that starts at a multiple of a disk block, as direct I/O demands.
//!
//! Owns one growing buffer. Invariant: `as_slice` starts at a multiple of [`BLOCK_BYTES`].

/// What offsets, lengths and addresses of direct I/O are multiples of.
pub const BLOCK_BYTES: usize = 4_096;

/// A byte buffer whose first byte lies on a block boundary.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Self::default();
        buffer.reserve(bytes);
        buffer
    }

    /// A buffer of `bytes` zeros.
    pub fn zeroed(bytes: usize) -> Self {
        let mut buffer = Self::with_capacity(bytes);
        buffer.length = bytes;
        buffer
    }

    /// Forgets the content, keeps the memory.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Bytes that fit without new memory.
    pub fn capacity(&self) -> usize {
        self.memory.len().saturating_sub(self.start)
    }

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.reserve(end);
        self.memory[self.start + self.length..self.start + end].copy_from_slice(bytes);
        self.length = end;
    }

    /// Appends zeros up to the next block boundary.
    pub fn pad(&mut self) {
        let end = self.length.next_multiple_of(BLOCK_BYTES);
        self.reserve(end);
        self.memory[self.start + self.length..self.start + end].fill(0);
        self.length = end;
    }

    /// The content.
    pub fn as_slice(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }

    /// The content, to change in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }

    fn reserve(&mut self, bytes: usize) {
        if bytes <= self.capacity() {
            return;
        }
        let room = bytes.max(self.length * 2).next_multiple_of(BLOCK_BYTES);
        let mut memory = vec![0; room + BLOCK_BYTES];
        let start = memory.as_ptr().align_offset(BLOCK_BYTES);
        // `align_offset` may give up in theory; then direct I/O is refused by the system, loudly.
        let start = if start < BLOCK_BYTES { start } else { 0 };
        memory[start..start + self.length].copy_from_slice(self.as_slice());
        self.memory = memory;
        self.start = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_survives_growth_and_stays_aligned() {
        let mut buffer = AlignedBuffer::default();
        for byte in 0..200_u8 {
            buffer.extend(&[byte; 100]);
            assert_eq!(buffer.as_slice().as_ptr() as usize % BLOCK_BYTES, 0);
        }
        assert!(buffer.as_slice().chunks(100).zip(0_u8..).all(|(part, byte)| part == [byte; 100]));
        buffer.pad();
        assert_eq!(buffer.as_slice().len(), 20_480);
        assert!(buffer.as_slice()[20_000..].iter().all(|&byte| byte == 0));
    }
}
