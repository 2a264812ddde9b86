//! Gzip members, as CloudWatch Logs subscriptions and many producers put them.

use std::io::Read;

use flate2::read::MultiGzDecoder;

/// No record that unpacks to more is worth a terminal: a small record could unpack to gigabytes.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The unpacked bytes, or `None` where `data` is not gzip, is broken, or unpacks to too much.
pub(crate) fn gunzip(data: &[u8]) -> Option<Vec<u8>> {
    if !data.starts_with(&[0x1f, 0x8b, 8]) {
        return None;
    }
    let mut unpacked = Vec::new();
    let mut limited = MultiGzDecoder::new(data).take(UNPACKED_BYTES_MAX + 1);
    limited.read_to_end(&mut unpacked).ok()?;
    (unpacked.len() as u64 <= UNPACKED_BYTES_MAX).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pack(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_unpacks_and_all_else_is_left_alone() {
        assert_eq!(gunzip(&pack(b"hello")).as_deref(), Some(&b"hello"[..]));
        assert_eq!(gunzip(b"hello"), None);
        assert_eq!(gunzip(&pack(b"hello")[..12]), None);
    }

    #[test]
    fn a_bomb_is_left_packed() {
        let size = usize::try_from(UNPACKED_BYTES_MAX).unwrap() + 1;
        assert_eq!(gunzip(&pack(&vec![0; size])), None);
    }
}
