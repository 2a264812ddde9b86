//! How near a delivery comes to its codec's own speed.
//!
//! Run by hand, alone and optimized, since it measures:
//! `cargo test --release -p millstream-firehose --lib speed -- --ignored --nocapture`.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::Timestamp;
use millstream_destinations::DocumentId;
use millstream_formats::compression::Compression;
use tokio::time::Instant;

use crate::delivery::budget::{Budget, Room};
use crate::delivery::buffer::Buffer;
use crate::delivery::compressors::Compressors;
use crate::delivery::frame::Entry;
use crate::delivery::object::{Packing, plain};

const RECORDS: u64 = 32 * 1_024;
const PASSES: usize = 7;

/// JSON lines of a kilobyte: half of it random letters, half words.
fn records() -> Vec<Bytes> {
    let mut state = 0x9E37_79B9_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words = ["order", "shipped", "customer", "returned", "basket", "paid", "cancelled", "sent"];
    let line = |number: u64| {
        let mut line = format!("{{\"number\":{number},\"id\":\"");
        line.extend((0..30).map(|_| format!("{:016x}", next())));
        line.push_str("\",\"text\":\"");
        while line.len() < 1_021 {
            line.push_str(words[usize::try_from(next() % 8).unwrap()]);
        }
        line.truncate(1_021);
        line.push_str("\"}\n");
        line.into()
    };
    (0..RECORDS).map(line).collect()
}

fn buffer(records: &[Bytes], budget: &Budget) -> Arc<Buffer> {
    let mut room = Room { budget, reserve: &mut None };
    let mut entries = (0..).zip(records).map(|(position, data)| Entry {
        id: DocumentId { part: 0, position, index: 0 },
        arrived: Timestamp::default(),
        sequence: None,
        data: data.clone(),
    });
    let mut buffer = Buffer::open(entries.next().unwrap(), Instant::now(), &mut room).unwrap();
    entries.for_each(|entry| buffer.push(entry, &mut room).unwrap());
    buffer.close();
    Arc::new(buffer)
}

/// Nanoseconds that this thread has worked: a busy machine does not count.
fn worked() -> u64 {
    #[allow(clippy::disallowed_methods)] // The kernel's own clock of a thread.
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The least that `pass` takes.
fn best(mut pass: impl FnMut() -> usize) -> u64 {
    let passes = (0..PASSES).map(|_| {
        let begun = worked();
        assert!(std::hint::black_box(pass()) > 0);
        worked() - begun
    });
    passes.min().unwrap()
}

#[test]
#[ignore = "measures, so it wants an optimized build"]
#[allow(clippy::cast_precision_loss)]
fn speed_of_compressing_a_delivery_is_within_a_tenth_of_the_codecs_own() {
    let records = records();
    let bytes: usize = records.iter().map(Bytes::len).sum();
    let budget = Budget::new(1 << 30);
    let buffer = buffer(&records, &budget);
    let whole = records.concat();
    let delivery = |compression| {
        let packing = Packing { compression, workers: Arc::new(Compressors::new(0)) };
        let (chunks, slip) = plain(&buffer, &packing, "folder/name.gz");
        let made = chunks.map(|chunk| chunk.unwrap().len()).sum();
        assert_eq!(slip.take().unwrap().ids.count(), RECORDS);
        made
    };
    let codec = || {
        let level = flate2::Compression::new(6);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(&whole).unwrap();
        encoder.finish().unwrap().len()
    };
    let rate = |nanoseconds: u64| bytes as f64 * 1e3 / nanoseconds as f64;
    let (ours, codec_alone) = (best(|| delivery(Compression::Gzip)), best(codec));
    println!(
        "gzip: a delivery {:.0} MB/s, the codec alone {:.0} MB/s",
        rate(ours),
        rate(codec_alone)
    );
    println!("sizes: {} and {} of {bytes} bytes", delivery(Compression::Gzip), codec());
    println!("uncompressed: {:.0} MB/s", rate(best(|| delivery(Compression::None))));
    println!("Snappy: {:.0} MB/s", rate(best(|| delivery(Compression::Snappy))));
    assert!(ours * 9 <= codec_alone * 10, "{ours} ns against {codec_alone} ns");
}
