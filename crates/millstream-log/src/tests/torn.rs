//! Torn tails are cut and reported; damage before the tail is refused.

use super::{ALL, World, append, payload, payloads, read_all, run};
use crate::storage::BLOCK_BYTES;
use crate::{Durability, Log, LogId, OpenError};

const WAL: &str = "wal-000001";

/// A world with `commits` commits of one block each on disk, and the file's bytes before the
/// last of them.
fn written(world: &World, commits: u64, last_bytes: usize) -> Vec<u8> {
    run(async {
        let log = world.open();
        log.create(LogId(1)).await.unwrap();
        for tag in 1..commits {
            append(&log, 1, &[payload(tag, 40)]).await.unwrap();
        }
        let before = world.disk.content(WAL).unwrap();
        append(&log, 1, &[payload(commits, last_bytes), payload(0, 9)]).await.unwrap();
        drop(log);
        world.disk.kill();
        before
    })
}

/// Opens a damaged world: the first `sure` records must be there, then all or none of the last
/// two; then it must take and keep more.
fn check_tail(world: &World, sure: usize, what: &str) -> (usize, bool) {
    run(async {
        let (log, report) = world.try_open().unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
        assert!(found.len() == sure || found.len() == sure + 2, "{what}: {}", found.len());
        for (place, payload_found) in found.iter().take(sure).enumerate() {
            assert_eq!(*payload_found, payload(place as u64 + 1, 40), "{what}");
        }
        let appended = append(&log, 1, &[payload(99, 10)]).await.unwrap();
        assert_eq!(appended.first.0, found.len() as u64, "{what}");
        drop(log);
        world.disk.crash(1);
        let log = world.open();
        assert_eq!(read_all(&log, 1, ALL).await.unwrap().len(), found.len() + 1, "{what}");
        (found.len(), report.torn_tail.is_some())
    })
}

#[test]
fn the_last_commit_may_be_torn_at_every_byte() {
    let world = World::seeded(1);
    let before = written(&world, 4, 1_500);
    let after = world.disk.content(WAL).unwrap();
    let begin = (0..after.len()).find(|&at| before[at] != after[at]).unwrap();
    let end = (0..after.len()).rfind(|&at| before[at] != after[at]).unwrap() + 1;
    assert_eq!(begin % BLOCK_BYTES, 0);
    let (mut reported, mut lost) = (0, 0);
    for cut in begin..=end {
        let old = before[cut..end].to_vec();
        let garbage: Vec<u8> =
            (cut..end).map(|at| u8::try_from(at * 31 % 253).unwrap() | 1).collect();
        for (kind, tail) in [("old bytes", old), ("garbage", garbage)] {
            let mut content = after.clone();
            content[cut..end].copy_from_slice(&tail);
            let torn = world.fork();
            torn.disk.set_content(WAL, &content);
            let (found, told) = check_tail(&torn, 3, &format!("{kind} from {cut}"));
            assert_eq!(found == 5, content == after, "{kind} from {cut}: whole or absent");
            lost += u32::from(found == 3);
            reported += u32::from(told);
        }
        // The other way round: the end arrived, the beginning did not.
        let mut content = after.clone();
        content[begin..cut].copy_from_slice(&before[begin..cut]);
        let torn = world.fork();
        torn.disk.set_content(WAL, &content);
        check_tail(&torn, 3, &format!("missing up to {cut}"));
    }
    // A tail that looks like nothing was begun cannot be told from one where nothing was.
    assert!(reported * 10 > lost * 9, "torn tails are reported: {reported} of {lost}");
}

#[test]
fn every_bit_before_the_tail_is_guarded() {
    let world = World::seeded(1);
    written(&world, 4, 100);
    let bytes = world.disk.content(WAL).unwrap();
    let used = |at: usize| {
        let block = &bytes[at / BLOCK_BYTES * BLOCK_BYTES..][..BLOCK_BYTES];
        at % BLOCK_BYTES <= block.iter().rposition(|&byte| byte != 0).unwrap()
    };
    let (mut refused, mut harmless) = (0, 0);
    // The file's header, and all commits but the last: create, three appends.
    for at in 0..BLOCK_BYTES * 4 {
        if !used(at) && at % 16 != 0 {
            continue; // Padding: a sample is enough.
        }
        for bit in 0..8 {
            let damaged = world.fork();
            damaged.disk.flip_bit(WAL, at, bit);
            let held = damaged.disk.content(WAL).unwrap();
            match damaged.try_open_once() {
                Err(OpenError::Corrupt { file, reason, .. }) => {
                    assert!(file.contains(WAL) && !reason.is_empty());
                    assert_eq!(damaged.disk.content(WAL).unwrap(), held, "nothing is changed");
                    refused += 1;
                }
                Ok(found) => {
                    assert_eq!(found, 5, "byte {at} bit {bit}: all or an error");
                    assert!(!used(at), "byte {at} bit {bit} must be guarded");
                    harmless += 1;
                }
                Err(error) => panic!("byte {at} bit {bit}: {error}"),
            }
        }
    }
    assert!(refused > 3_000, "{refused} refused, {harmless} in padding");
}

impl World {
    fn try_open_once(&self) -> Result<usize, OpenError> {
        run(async {
            let (log, _) = self.try_open()?;
            Ok(read_all(&log, 1, ALL).await.unwrap().len())
        })
    }
}

#[test]
fn a_damaged_commit_in_an_earlier_file_is_refused() {
    let world = World::seeded(1);
    run(async {
        let log = world.open();
        log.create(LogId(1)).await.unwrap();
        for tag in 0..14 {
            append(&log, 1, &[payload(tag, 5_000)]).await.unwrap();
        }
        // Killed with two files live: the first is full, its destaging undone by the power cut.
        drop(log);
    });
    let manifest = world.fork();
    let names: Vec<String> =
        world.disk.names().into_iter().filter(|name| name.starts_with("wal-")).collect();
    assert!(names.len() > 1);
    world.disk.kill();
    let _ = manifest;
    for name in names {
        for block in (BLOCK_BYTES..64 << 10).step_by(BLOCK_BYTES) {
            let damaged = world.fork();
            damaged.disk.flip_bit(&name, block + 9, 3);
            // Either it matters and is refused, or it was free, or it was the tail; what is
            // served is then a prefix.
            if let Ok(found) = damaged.try_open_once() {
                assert!(found >= 13, "{name} {block}: {found}");
            }
        }
    }
}

#[test]
fn a_missing_or_damaged_manifest_is_refused() {
    let world = World::seeded(1);
    written(&world, 4, 100);
    let missing = world.fork();
    missing.disk.remove("manifest");
    assert!(matches!(missing.try_open_once(), Err(OpenError::Corrupt { .. })));
    assert_eq!(missing.disk.content(WAL), world.disk.content(WAL));
    for byte in 0..world.disk.content("manifest").unwrap().len() {
        for bit in 0..8 {
            let damaged = world.fork();
            damaged.disk.flip_bit("manifest", byte, bit);
            let refused = damaged.try_open_once().unwrap_err();
            assert!(
                matches!(&refused, OpenError::Corrupt { file, .. } if file.contains("manifest"))
            );
        }
    }
}

#[test]
fn records_that_look_like_commits_are_records() {
    // Goal: no caller can make recovery refuse, or replay, by what it puts into a record.
    // Method: put whole copies of the store's own commits into records, block-aligned or not.
    let world = World::seeded(1);
    written(&world, 6, 100);
    let commits = world.disk.content(WAL).unwrap()[BLOCK_BYTES..BLOCK_BYTES * 6].to_vec();
    let count = run(async {
        let log = world.open();
        for shift in [0, 48, 96, 100, 4_096 - 100] {
            let mut record = vec![0; shift];
            record.extend_from_slice(&commits);
            append(&log, 1, &[record]).await.unwrap();
        }
        drop(log);
        world.disk.crash(3);
        let log = world.open();
        read_all(&log, 1, ALL).await.unwrap().len()
    });
    assert_eq!(count, 7 + 5);
}

#[test]
fn forged_commits_in_records_are_records() {
    // Goal: whoever knows the format but not the store's salt cannot forge a commit.
    // Method: a record whose blocks hold the header of a commit far ahead, which recovery would
    // take for proof of damage.
    for salt in [&[][..], &[0; 8]] {
        let mut header = [0; 48];
        header[0..4].copy_from_slice(b"MSCM");
        header[4] = 1;
        header[8] = 1;
        header[16] = 200;
        let crc = crc32c::crc32c_append(crc32c::crc32c(salt), &header[..44]);
        header[44..48].copy_from_slice(&crc.to_le_bytes());
        let mut record = vec![0; BLOCK_BYTES - 48 - 48 - 4];
        for _ in 0..4 {
            record.extend(header);
            record.resize(record.len().next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES - 100, 0);
        }
        let world = World::seeded(1);
        written(&world, 3, 10);
        run(async {
            let log = world.open();
            append(&log, 1, &[record]).await.unwrap();
            let at = world.disk.content(WAL).unwrap();
            let blocks = at.chunks(BLOCK_BYTES).filter(|block| block.starts_with(&header));
            assert!(blocks.count() > 1, "the forgery must lie where commits do");
            drop(log);
            world.disk.kill();
            // Torn: the block with the commit's own header never arrived, the others did.
            let mut torn = at.clone();
            torn[BLOCK_BYTES * 5..BLOCK_BYTES * 6].fill(0);
            world.disk.set_content(WAL, &torn);
            let (log, _) = world.try_open().unwrap();
            assert_eq!(read_all(&log, 1, ALL).await.unwrap().len(), 4);
        });
    }
}

#[test]
fn a_commit_that_went_to_another_file_is_not_replayed() {
    let world = World::seeded(1);
    let before = written(&world, 4, 100);
    let after = world.disk.content(WAL).unwrap();
    let begin = (0..after.len()).find(|&at| before[at] != after[at]).unwrap();
    world.disk.set_content(WAL, &before);
    let mut spare = world.disk.content("wal-000002").unwrap();
    spare[BLOCK_BYTES..BLOCK_BYTES * 2].copy_from_slice(&after[begin..begin + BLOCK_BYTES]);
    world.disk.set_content("wal-000002", &spare);
    assert_eq!(check_tail(&world, 3, "astray"), (3, true));
}

#[test]
fn buffered_commits_are_cut_at_the_first_gap_for_good() {
    // Goal: commits behind a gap never come back, not even when new ones of the same size fill
    // the gap and then the power goes again.
    for seed in 0..200 {
        let mut world = World::seeded(seed);
        world.settings.durability = Durability::Buffered;
        run(async {
            let mut sent: Vec<Vec<u8>> = Vec::new();
            for round in 0..4_u64 {
                let log = world.open();
                if log.bounds(LogId(1)).is_err() {
                    log.create(LogId(1)).await.unwrap();
                }
                let found = payloads(&read_all(&log, 1, ALL).await.unwrap());
                assert!(sent.starts_with(&found), "seed {seed} round {round}");
                sent = found;
                for tag in 0..if round == 0 { 30 } else { 1 } {
                    let record = payload(round * 100 + tag, 700);
                    append(&log, 1, std::slice::from_ref(&record)).await.unwrap();
                    sent.push(record);
                }
                drop(log);
                world.disk.crash(seed + round);
            }
        });
    }
}
