//! Every bit of a sealed segment: flipped, it is noticed, and only its log suffers.

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::{Log, LogId, ReadError};

/// Three logs in one shared segment, closed. Log 2's chunks lie between the others'.
fn three_logs() -> World {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        for id in 1..=3 {
            log.create(LogId(id)).await.unwrap();
            for tag in 0..4 {
                append(&log, id, &[payload(id * 10 + tag, 40), payload(tag, 5)]).await.unwrap();
            }
        }
        log.close().await.unwrap();
        drop(log);
        world.disk.kill();
    });
    world
}

fn expected(id: u64) -> Vec<Vec<u8>> {
    (0..4).flat_map(|tag| [payload(id * 10 + tag, 40), payload(tag, 5)]).collect()
}

/// Reads everything of a damaged world. Returns the logs that failed, and whether damage was
/// reported at the start.
fn harm(world: &World, what: &str) -> (Vec<u64>, bool) {
    run(async {
        let (log, report) = world.try_open().unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut failed = Vec::new();
        for id in 1..=3 {
            match read_all(&log, id, ALL).await {
                Ok(records) => {
                    assert_eq!(payloads(&records), expected(id), "{what}: wrong data served");
                }
                Err(ReadError::Corrupt { file, .. }) => {
                    assert!(file.contains("segment"), "{what}: {file}");
                    failed.push(id);
                }
                Err(error) => panic!("{what}: {error}"),
            }
            // A damaged log takes appends and serves them all the same.
            let appended = append(&log, id, &[payload(5, 5)]).await.unwrap();
            let read = log.read(LogId(id), appended.first, ALL).await.unwrap();
            assert_eq!(read.records.len(), 1, "{what}");
        }
        (failed, !report.damaged_segments.is_empty())
    })
}

#[test]
fn every_flipped_bit_of_a_segment_is_noticed_and_harms_one_log() {
    let world = three_logs();
    let name = "segment-000000000001";
    let length = world.disk.content(name).unwrap().len();
    // Chunks: a header of 48 bytes, two records with 4 bytes each before them.
    let log_bytes = 4 * (48 + 4 + 48 + 4 + 13);
    let mut flips = 0;
    for byte in 0..length {
        for bit in 0..8 {
            let damaged = world.fork();
            damaged.disk.flip_bit(name, byte, bit);
            let what = format!("byte {byte} bit {bit}");
            let (failed, reported) = harm(&damaged, &what);
            let chunk_bytes = 32..32 + 3 * log_bytes;
            if chunk_bytes.contains(&byte) {
                let owner = (byte - 32) / log_bytes + 1;
                assert_eq!(failed, [owner as u64], "{what}: its log fails, and no other");
            } else {
                assert!(reported && failed.is_empty(), "{what}: healed from the chunks, and told");
            }
            flips += 1;
        }
    }
    assert_eq!(flips, length * 8);
}

#[test]
fn a_segment_cut_short_or_gone_is_noticed() {
    let world = three_logs();
    let name = "segment-000000000001";
    let bytes = world.disk.content(name).unwrap();
    for length in (0..bytes.len()).step_by(7) {
        let damaged = world.fork();
        damaged.disk.set_content(name, &bytes[..length]);
        let (_, reported) = harm(&damaged, &format!("cut to {length}"));
        assert!(reported);
    }
    let damaged = world.fork();
    damaged.disk.remove(name);
    assert_eq!(harm(&damaged, "gone"), (vec![1, 2, 3], true));
}

#[test]
fn bytes_of_another_place_are_noticed() {
    // Goal: a write that went astray carries sound checksums; its place gives it away.
    // Method: copy log 1's first chunk over log 2's first, which has the same length.
    let world = three_logs();
    let name = "segment-000000000001";
    let mut bytes = world.disk.content(name).unwrap();
    let log_bytes = 4 * (48 + 4 + 48 + 4 + 13);
    let chunk = bytes[32..32 + log_bytes / 4].to_vec();
    bytes[32 + log_bytes..32 + log_bytes + log_bytes / 4].copy_from_slice(&chunk);
    let other_log = world.fork();
    other_log.disk.set_content(name, &bytes);
    assert_eq!(harm(&other_log, "astray in another log"), (vec![2], false));
    let mut bytes = world.disk.content(name).unwrap();
    bytes[32 + log_bytes / 4..32 + log_bytes / 2].copy_from_slice(&chunk);
    world.disk.set_content(name, &bytes);
    assert_eq!(harm(&world, "astray in its own log"), (vec![1], false));
}
