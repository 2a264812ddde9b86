//! A zip archive of one deflated entry, written front to back.
//!
//! Sizes and checksum follow the data (general purpose bit 3), so nothing is held back for them.
//! Source: PKWARE's APPNOTE.TXT 6.3.x, sections 4.3.7, 4.3.9, 4.3.12 and 4.3.16.

use std::sync::Arc;

use super::Workers;
use super::blocks::Blocks;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DATA_DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_OF_CENTRAL_DIRECTORY: u32 = 0x0605_4b50;

/// 2.0: deflate.
const VERSION: u16 = 20;
/// Made on Unix (3), so that the external attributes hold a file mode.
const MADE_BY: u16 = (3 << 8) | VERSION;
/// Sizes follow the data (bit 3); the name is UTF-8 (bit 11).
const FLAGS: u16 = (1 << 3) | (1 << 11);
const METHOD_DEFLATE: u16 = 8;
/// Midnight.
const DOS_TIME: u16 = 0;
/// 1 January 1980, the earliest there is: the archive does not depend on when it was made.
const DOS_DATE: u16 = (1 << 5) | 1;
/// A regular file, `rw-r--r--`.
const EXTERNAL_ATTRIBUTES: u32 = 0o100_644 << 16;

/// Writes the archive.
pub(super) struct ZipEncoder {
    name: Vec<u8>,
    blocks: Blocks,
    /// Bytes that were taken already: offsets count from the archive's start.
    taken_bytes: u64,
}

impl ZipEncoder {
    pub(super) fn new(entry_name: &str, workers: Option<Arc<dyn Workers>>) -> Self {
        let length = floor_char_boundary(entry_name, usize::from(u16::MAX));
        let name = entry_name.as_bytes()[..length].to_vec();
        let mut output = Vec::new();
        put_u32(&mut output, LOCAL_HEADER);
        put_u16(&mut output, VERSION);
        put_shared_fields(&mut output, 0, 0, 0);
        put_u16(&mut output, length_u16(&name));
        put_u16(&mut output, 0); // No extra field.
        output.extend_from_slice(&name);
        Self { name, blocks: Blocks::new(output, workers), taken_bytes: 0 }
    }

    pub(super) fn write(&mut self, data: &[u8]) {
        self.blocks.write(data);
    }

    /// What is ready, which the caller takes away.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        self.taken_bytes += self.blocks.ready_bytes() as u64;
        self.blocks.output()
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.blocks.ready_bytes()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let header_bytes = 30 + self.name.len() as u64;
        let (mut output, crc, data_bytes) = self.blocks.finish();
        let deflated = field_u32(self.taken_bytes + output.len() as u64 - header_bytes);
        let (crc, size) = (crc.sum(), field_u32(data_bytes));

        put_u32(&mut output, DATA_DESCRIPTOR);
        put_u32(&mut output, crc);
        put_u32(&mut output, deflated);
        put_u32(&mut output, size);

        let directory_at = self.taken_bytes + output.len() as u64;
        put_u32(&mut output, CENTRAL_HEADER);
        put_u16(&mut output, MADE_BY);
        put_u16(&mut output, VERSION);
        put_shared_fields(&mut output, crc, deflated, size);
        put_u16(&mut output, length_u16(&self.name));
        put_u16(&mut output, 0); // No extra field.
        put_u16(&mut output, 0); // No comment.
        put_u16(&mut output, 0); // The first disk.
        put_u16(&mut output, 0); // Nothing known of the content.
        put_u32(&mut output, EXTERNAL_ATTRIBUTES);
        put_u32(&mut output, 0); // The local header is at the start.
        output.extend_from_slice(&self.name);
        let directory_bytes = self.taken_bytes + output.len() as u64 - directory_at;

        put_u32(&mut output, END_OF_CENTRAL_DIRECTORY);
        put_u32(&mut output, 0); // This disk, and the directory's: the first.
        put_u16(&mut output, 1); // Entries on this disk.
        put_u16(&mut output, 1); // Entries in all.
        put_u32(&mut output, field_u32(directory_bytes));
        put_u32(&mut output, field_u32(directory_at));
        put_u16(&mut output, 0); // No comment.
        output
    }
}

/// What the local and the central header both hold, from the flags to the sizes.
fn put_shared_fields(output: &mut Vec<u8>, crc: u32, deflated: u32, size: u32) {
    put_u16(output, FLAGS);
    put_u16(output, METHOD_DEFLATE);
    put_u16(output, DOS_TIME);
    put_u16(output, DOS_DATE);
    put_u32(output, crc);
    put_u32(output, deflated);
    put_u32(output, size);
}

fn put_u16(output: &mut Vec<u8>, value: u16) {
    output.extend_from_slice(&value.to_le_bytes());
}

fn put_u32(output: &mut Vec<u8>, value: u32) {
    output.extend_from_slice(&value.to_le_bytes());
}

fn length_u16(name: &[u8]) -> u16 {
    u16::try_from(name.len()).expect("the name was cut to what the field holds")
}

/// A size or an offset. Archives of 4 GiB and more have other headers (Zip64): objects are a
/// hundred times smaller (128 MiB and one record, before compression).
fn field_u32(value: u64) -> u32 {
    u32::try_from(value).expect("an object is far below 4 GiB")
}

/// The longest prefix of `text` that has at most `bytes` and ends between characters.
fn floor_char_boundary(text: &str, bytes: usize) -> usize {
    (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
