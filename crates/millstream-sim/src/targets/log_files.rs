//! Files of the log, damaged.
//!
//! The input is a list of damages to a directory that the engine wrote itself: the image,
//! then for each damage six bytes (file, kind, offset, value). Opening answers or refuses; what is
//! served afterwards is what was written.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use millstream_core::{ManualClock, SeededRand, Timestamp};
use millstream_log::storage::SimDisk;
use millstream_log::{
    Batch, Driver, EmbeddedLog, Log, LogId, OpenError, Position, ReadLimit, Settings,
};

/// What was written, by log and position.
type Written = BTreeMap<(LogId, Position), Vec<u8>>;

struct Image {
    disk: SimDisk,
    written: Written,
}

const DAMAGES_MAX: usize = 16;
const LIMIT: ReadLimit = ReadLimit { records: 1_000, bytes: 1 << 20 };

fn settings() -> Settings {
    Settings { wal_file_bytes: 64 << 10, own_segment_bytes_min: 2_000, ..Settings::default() }
}

fn open(disk: &SimDisk) -> Result<EmbeddedLog, OpenError> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_767_225_600)));
    let rand = SeededRand::new(1);
    let (log, _) = EmbeddedLog::open(disk.storage(), clock, &rand, settings(), Driver::Task)?;
    Ok(log)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing")
}

/// A directory with write-ahead files only, and one with segments too.
fn images() -> &'static [Image; 2] {
    static IMAGES: OnceLock<[Image; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| [image(false), image(true)])
}

fn image(closed: bool) -> Image {
    let disk = SimDisk::new(1);
    let mut written = Written::new();
    runtime().block_on(async {
        let log = open(&disk).expect("an empty disk opens");
        for id in [1, 2, 3].map(LogId) {
            log.create(id).await.expect("a log can be made");
        }
        for (number, id) in (0_usize..60).zip([1, 2, 3].map(LogId).into_iter().cycle()) {
            let payload = format!("record {number} ").repeat(1 + (number * 7) % 90);
            let appended = log.append(id, Batch::of(payload.as_bytes())).await;
            written.insert((id, appended.expect("the disk is well").first), payload.into_bytes());
        }
        log.seal(LogId(2)).await.expect("a log can be sealed");
        log.trim(LogId(3), Position(2)).await.expect("a log can be trimmed");
        if closed {
            log.close().await.expect("the disk is well");
        }
    });
    disk.kill();
    Image { disk, written }
}

pub(super) fn log_files(data: &[u8]) {
    let Some((image, damages)) = data.split_first() else { return };
    let image = &images()[usize::from(*image) % 2];
    let disk = image.disk.fork();
    for damage in damages.chunks_exact(6).take(DAMAGES_MAX) {
        apply(&disk, damage);
    }
    // Bytes behind the damages stand in for a whole file.
    let rest = damages.get(DAMAGES_MAX * 6..).unwrap_or_default();
    if let (Some((file, content)), false) = (rest.split_first(), disk.names().is_empty()) {
        let names = disk.names();
        disk.set_content(&names[usize::from(*file) % names.len()], content);
    }
    runtime().block_on(async {
        let Ok(log) = open(&disk) else { return };
        for id in log.log_ids() {
            read_all(&log, id, &image.written).await;
        }
    });
}

fn apply(disk: &SimDisk, damage: &[u8]) {
    let names = disk.names();
    if names.is_empty() {
        return;
    }
    let name = &names[usize::from(damage[0]) % names.len()];
    let Some(mut content) = disk.content(name) else { return };
    let offset = u32::from_le_bytes([damage[2], damage[3], damage[4], 0]) as usize;
    let offset = offset % (content.len() + 1);
    match damage[1] % 8 {
        0 => content.truncate(offset),
        1 => content.extend(std::iter::repeat_n(damage[5], 1 + offset % 5_000)),
        2 => disk.remove(name),
        3 => {
            let end = (offset + 512).min(content.len());
            content[offset..end].fill(damage[5]);
        }
        4 => {
            let length = content.len().min(512);
            let place = offset.min(content.len() - length);
            content.copy_within(..length, place);
        }
        _ if offset < content.len() => content[offset] ^= damage[5],
        _ => {}
    }
    if damage[1] % 8 != 2 {
        disk.set_content(name, &content);
    }
}

/// Reads until the end or an error; returns how many records were served.
async fn read_all(log: &EmbeddedLog, id: LogId, written: &Written) -> usize {
    let (mut from, mut count) = (Position(0), 0);
    for _ in 0..100 {
        let Ok(read) = log.read(id, from, LIMIT).await else { return count };
        count += read.records.len();
        for record in &read.records {
            let original = written.get(&(id, record.position));
            let same = original.is_some_and(|original| *original == record.payload);
            assert!(same, "log {id:?} serves at {:?} what nobody wrote", record.position);
        }
        if read.records.is_empty() && read.next <= from {
            return count;
        }
        from = read.next;
    }
    count
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![0], vec![1]];
    for image in 0..2 {
        for kind in 0..8 {
            for file in 0..4 {
                seeds.push(vec![image, file, kind, 30 * kind, 3 * file, 0, 0x20]);
            }
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undamaged_images_serve_what_was_written() {
        for image in images() {
            let disk = image.disk.fork();
            runtime().block_on(async {
                let log = open(&disk).unwrap();
                assert_eq!(log.log_ids(), [1, 2, 3].map(LogId));
                let mut counts = Vec::new();
                for id in log.log_ids() {
                    counts.push(read_all(&log, id, &image.written).await);
                }
                assert_eq!(counts, [20, 20, 18]);
            });
        }
    }
}
