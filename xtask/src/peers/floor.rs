//! The processor work that no server of this protocol can leave out, with the crates we use.
//!
//! Owns the rates of SHA-256 (the signed body), base64 (the records of a JSON request), MD5 (the
//! ring) and CRC-32C (the frame), on one core, on inputs of the shape of a PutRecords of 500 × 1 KiB.
//! Built only with the feature `floor`, which `bench-peers` turns on in a release build.

use serde::{Deserialize, Serialize};

/// Rates of one core.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[allow(clippy::struct_field_names)] // All are rates, and the unit comes last.
pub(super) struct Floor {
    /// Of bytes hashed.
    pub(super) sha256_bytes_per_second: f64,
    /// Of bytes that come out.
    pub(super) base64_bytes_per_second: f64,
    /// Keys of 16 bytes.
    pub(super) md5_keys_per_second: f64,
    /// Of bytes summed.
    pub(super) crc32c_bytes_per_second: f64,
}

/// Bytes of one JSON record of a request: the data in base64, a key of 16 bytes, punctuation.
const RECORD_JSON_OVERHEAD_BYTES: f64 = 49.0;

impl Floor {
    /// The work of taking one record of `record_bytes` out of a JSON PutRecords, in microseconds,
    /// with the share of the body's SHA-256 and without it.
    pub(super) fn put_microseconds(&self, record_bytes: f64) -> (f64, f64) {
        let body_bytes = record_bytes * 4.0 / 3.0 + RECORD_JSON_OVERHEAD_BYTES;
        let signature = body_bytes / self.sha256_bytes_per_second;
        let rest = record_bytes / self.base64_bytes_per_second
            + 1.0 / self.md5_keys_per_second
            + record_bytes / self.crc32c_bytes_per_second;
        ((signature + rest) * 1e6, rest * 1e6)
    }
}

/// Measures all four; none when this build has not the crates for it.
#[cfg(not(feature = "floor"))]
pub(super) fn measure() -> Option<Floor> {
    None
}

/// Measures all four; none when this build has not the crates for it.
#[cfg(feature = "floor")]
#[allow(clippy::unnecessary_wraps)] // The other build has none.
pub(super) fn measure() -> Option<Floor> {
    use std::hint::black_box;

    use base64_simd::STANDARD;
    use md5::{Digest, Md5};

    const RECORD_BYTES: u32 = 1_024;
    const BODY_BYTES: u32 = 700_000;
    let record: Vec<u8> =
        (0..RECORD_BYTES).map(|at| (at.wrapping_mul(31) >> 3).to_le_bytes()[0]).collect();
    let encoded = STANDARD.encode_to_string(&record).into_bytes();
    let body: Vec<u8> = encoded.iter().copied().cycle().take(BODY_BYTES as usize).collect();
    let key = b"partition-key-16";
    let mut decoded = vec![0_u8; record.len() + 4];

    let sha256 = calls_per_second(|| {
        black_box(ring::digest::digest(&ring::digest::SHA256, black_box(&body)));
    });
    let base64 = calls_per_second(|| {
        use base64_simd::AsOut;
        let out = STANDARD.decode(black_box(&encoded), decoded.as_mut_slice().as_out());
        black_box(out.is_ok());
    });
    let md5 = calls_per_second(|| {
        black_box(Md5::digest(black_box(key)));
    });
    let crc32c = calls_per_second(|| {
        black_box(crc32c::crc32c(black_box(&record)));
    });
    Some(Floor {
        sha256_bytes_per_second: sha256 * f64::from(BODY_BYTES),
        base64_bytes_per_second: base64 * f64::from(RECORD_BYTES),
        md5_keys_per_second: md5,
        crc32c_bytes_per_second: crc32c * f64::from(RECORD_BYTES),
    })
}

/// The best of three, each of a quarter of a second: a floor is what is possible.
#[cfg(feature = "floor")]
fn calls_per_second(mut call: impl FnMut()) -> f64 {
    use std::time::{Duration, Instant};

    const TURN: Duration = Duration::from_millis(250);
    const CALLS_PER_LOOK: u32 = 64;
    let mut best = 0.0_f64;
    for _ in 0..3 {
        let (begun, mut calls) = (Instant::now(), 0_u32);
        while begun.elapsed() < TURN {
            (0..CALLS_PER_LOOK).for_each(|_| call());
            calls += CALLS_PER_LOOK;
        }
        best = best.max(f64::from(calls) / begun.elapsed().as_secs_f64());
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_adds_the_time_of_each_step() {
        let floor = Floor {
            sha256_bytes_per_second: 1e9,
            base64_bytes_per_second: 1e9,
            md5_keys_per_second: 1e6,
            crc32c_bytes_per_second: 1e9,
        };
        let (with, without) = floor.put_microseconds(1_000.0);
        assert!((without - 3.0).abs() < 1e-9, "{without}");
        assert!((with - without - 1.382_333).abs() < 1e-3, "{with}");
    }
}
