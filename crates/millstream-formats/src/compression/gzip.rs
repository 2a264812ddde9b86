//! One gzip member. Source: RFC 1952.

use std::sync::Arc;

use super::Workers;
use super::blocks::Blocks;

/// Deflated, with no name and no time, on an unknown system: all that `gzip` adds is left out, so
/// that the object depends on its content alone.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Writes the member.
pub(super) struct GzipEncoder(Blocks);

impl GzipEncoder {
    pub(super) fn new(workers: Option<Arc<dyn Workers>>) -> Self {
        Self(Blocks::new(HEADER.to_vec(), workers))
    }

    pub(super) fn write(&mut self, data: &[u8]) {
        self.0.write(data);
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        self.0.output()
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.0.ready_bytes()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let (mut output, crc, data_bytes) = self.0.finish();
        output.extend_from_slice(&crc.sum().to_le_bytes());
        // Modulo 2^32, as the format has it.
        output.extend_from_slice(&data_bytes.to_le_bytes()[..4]);
        output
    }
}
