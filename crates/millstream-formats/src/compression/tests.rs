//! Compression, read back by decoders that are not ours.

use std::io::Read;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

const ALL: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Zip,
    Compression::Snappy,
    Compression::HadoopSnappy,
];

fn compress(compression: Compression, chunks: &[&[u8]]) -> Vec<u8> {
    let mut compressor = Compressor::new(compression, "entry.json");
    let mut object = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        compressor.write(chunk);
        if index % 2 == 0 {
            let ready = compressor.ready_bytes();
            let taken = compressor.take();
            assert_eq!(taken.len(), ready);
            object.extend_from_slice(&taken);
        }
    }
    object.extend_from_slice(&compressor.finish());
    object
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Reads an archive the way readers do: from its end.
fn unzip(archive: &[u8]) -> (String, Vec<u8>) {
    let end = archive.len() - 22;
    assert_eq!(u32_at(archive, end), 0x0605_4b50);
    let directory = u32_at(archive, end + 16);
    assert_eq!(u32_at(archive, directory), 0x0201_4b50);
    assert_eq!(directory + u32_at(archive, end + 12), end);
    let (deflated, size) = (u32_at(archive, directory + 20), u32_at(archive, directory + 24));
    let name_bytes = usize::from(archive[directory + 28]);
    let name = String::from_utf8(archive[directory + 46..][..name_bytes].to_vec()).unwrap();
    let local = u32_at(archive, directory + 42);
    assert_eq!(u32_at(archive, local), 0x0403_4b50);
    let data = &archive[local + 30 + name_bytes..][..deflated];
    let mut content = Vec::new();
    flate2::read::DeflateDecoder::new(data).read_to_end(&mut content).unwrap();
    assert_eq!(content.len(), size);
    let mut crc = flate2::Crc::new();
    crc.update(&content);
    assert_eq!(crc.sum() as usize, u32_at(archive, directory + 16));
    (name, content)
}

/// Reads blocks as Hadoop's `BlockDecompressorStream` does: a block may hold several chunks.
fn unblock(mut object: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let number = |bytes: &mut &[u8]| {
        let (head, rest) = bytes.split_at(4);
        *bytes = rest;
        u32::from_be_bytes(head.try_into().unwrap()) as usize
    };
    while !object.is_empty() {
        let end = content.len() + number(&mut object);
        while content.len() < end {
            let chunk_bytes = number(&mut object);
            assert!(chunk_bytes <= 256 * 1024, "a chunk that no reader's buffer holds");
            let (chunk, rest) = object.split_at(chunk_bytes);
            content.extend(snap::raw::Decoder::new().decompress_vec(chunk).unwrap());
            object = rest;
        }
        assert_eq!(content.len(), end);
    }
    content
}

fn decompress(compression: Compression, object: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match compression {
        Compression::None => object.to_vec(),
        Compression::Gzip => {
            flate2::read::GzDecoder::new(object).read_to_end(&mut content).unwrap();
            content
        }
        Compression::Zip => unzip(object).1,
        Compression::Snappy => {
            snap::read::FrameDecoder::new(object).read_to_end(&mut content).unwrap();
            content
        }
        Compression::HadoopSnappy => unblock(object),
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Workers of every temper.
#[derive(Default)]
struct Team {
    /// What becomes of each work that is offered, in turn and over again.
    tempers: Vec<Temper>,
    offered: Mutex<usize>,
    put_aside: Mutex<Vec<Work>>,
}

#[derive(Clone, Copy, Debug)]
enum Temper {
    Works,
    Refuses,
    PutsAside,
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.tempers)
    }
}

impl Workers for Team {
    fn count(&self) -> usize {
        3
    }

    fn try_run(&self, work: Work) -> bool {
        let mut offered = self.offered.lock().unwrap();
        let temper = self.tempers[*offered % self.tempers.len()];
        *offered += 1;
        match temper {
            Temper::Works => drop(std::thread::spawn(work)),
            Temper::Refuses => return false,
            Temper::PutsAside => self.put_aside.lock().unwrap().push(work),
        }
        true
    }
}

/// An object of `data`, made with workers, and how many blocks were offered to them.
fn helped(compression: Compression, data: &[u8], tempers: &[Temper]) -> (Vec<u8>, usize) {
    let team = Arc::new(Team { tempers: tempers.to_vec(), ..Team::default() });
    let workers: Arc<dyn Workers> = Arc::clone(&team) as _;
    let mut compressor = Compressor::helped(compression, "entry.json", workers);
    let mut object = Vec::new();
    for piece in data.chunks(100_000) {
        compressor.write(piece);
        object.extend_from_slice(&compressor.take());
    }
    object.extend_from_slice(&compressor.finish());
    // Whoever comes late finds nothing to do.
    team.put_aside.lock().unwrap().drain(..).for_each(|work| work());
    let offered = *team.offered.lock().unwrap();
    (object, offered)
}

/// Lines that repeat one another within a window, and differ.
fn lines(bytes: usize) -> Vec<u8> {
    let noise = noise(bytes / 8);
    let lines =
        noise.chunks(4).map(|it| format!("{{\"number\":{it:?},\"text\":\"all the same\"}}\n"));
    let mut lines = lines.collect::<String>().into_bytes();
    lines.truncate(bytes);
    lines
}

/// Bytes that no codec shrinks.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

/// Objects of one byte, `x`. Such objects, and ones of many blocks, were read back once by
/// `gzip -dc`, by `unzip` and Python's `zipfile`, by python-snappy's framing reader and by the
/// `SnappyCodec` of Hadoop 3.5, byte for byte.
#[test]
fn objects_are_the_bytes_that_other_readers_were_seen_to_read() {
    let gzip = "1f8b08000000000000ffab00008316dc8c01000000";
    let snappy = "ff060000734e6150705901050000503daa6178";
    let hadoop_snappy = "0000000100000003010078";
    let zip = "504b0304140008080800000021000000000000000000000000000a000000656e7472792e6a736f6e\
        ab0000504b07088316dc8c0300000001000000504b01021403140008080800000021008316dc8c03\
        000000010000000a0000000000000000000000a48100000000656e7472792e6a736f6e504b050600\
        00000001000100380000003b0000000000";
    for (compression, expected) in [
        (Compression::Gzip, gzip),
        (Compression::Snappy, snappy),
        (Compression::HadoopSnappy, hadoop_snappy),
        (Compression::Zip, zip),
    ] {
        let object = compress(compression, &[b"x"]);
        let bytes =
            expected.as_bytes().chunks(2).map(|digits| std::str::from_utf8(digits).unwrap());
        let bytes: Vec<u8> = bytes.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
        assert_eq!(object, bytes, "{compression:?}");
    }
}

#[test]
fn an_archive_names_its_entry() {
    assert_eq!(
        unzip(&compress(Compression::Zip, &[b"hello"])),
        ("entry.json".into(), b"hello".to_vec())
    );
}

#[test]
fn objects_of_many_blocks_come_back_whole_even_where_nothing_shrinks() {
    let data = noise(1_000_000);
    for compression in ALL {
        assert!(
            decompress(compression, &compress(compression, &[&data])) == data,
            "{compression:?}"
        );
    }
}

#[test]
fn an_object_is_the_same_whoever_helped_to_make_it() {
    use Temper::{PutsAside, Refuses, Works};
    let data = lines(5 * BLOCK_BYTES + 77);
    for compression in [Compression::Gzip, Compression::Zip] {
        let alone = compress(compression, &[&data]);
        assert!(decompress(compression, &alone) == data, "{compression:?}");
        let teams: [&[Temper]; 5] =
            [&[Works], &[Refuses], &[PutsAside], &[PutsAside, Works], &[Works, Refuses, PutsAside]];
        for tempers in teams {
            let (object, offered) = helped(compression, &data, tempers);
            assert!(object == alone, "{compression:?} {tempers:?}");
            assert_eq!(offered, 5, "all blocks but the last");
        }
    }
    for compression in [Compression::None, Compression::Snappy, Compression::HadoopSnappy] {
        let (object, offered) = helped(compression, &data, &[Works]);
        assert!(object == compress(compression, &[&data]), "{compression:?}");
        assert_eq!(offered, 0);
    }
}

#[test]
fn blocks_that_helpers_leave_lying_do_not_pile_up() {
    let team = Arc::new(Team { tempers: vec![Temper::PutsAside], ..Team::default() });
    let workers: Arc<dyn Workers> = Arc::clone(&team) as _;
    let mut compressor = Compressor::helped(Compression::Gzip, "", workers);
    let blocks_max = blocks_max(team.count());
    let block = lines(BLOCK_BYTES);
    for number in 1..=3 * blocks_max {
        compressor.write(&block);
        let is_first_done = compressor.ready_bytes() > HEADER_BYTES;
        assert_eq!(is_first_done, number > blocks_max, "block {number}");
    }
}

/// Of a gzip member.
const HEADER_BYTES: usize = 10;

#[test]
fn cutting_into_blocks_costs_next_to_nothing_in_size() {
    let data = lines(8 * BLOCK_BYTES);
    let mut whole = flate2::read::GzEncoder::new(&data[..], flate2::Compression::new(6));
    let mut in_one = Vec::new();
    whole.read_to_end(&mut in_one).unwrap();
    let in_blocks = compress(Compression::Gzip, &[&data]);
    assert!(in_blocks.len() * 1_000 < in_one.len() * 1_005, "{} {}", in_blocks.len(), in_one.len());
}

proptest! {
    #[test]
    fn what_was_compressed_in_any_pieces_decompresses_to_the_same(
        data in proptest::collection::vec(any::<u8>(), 0..5_000),
        repeat in 1_usize..100,
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let data = data.repeat(repeat);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&data[from..cut]);
            from = cut;
        }
        pieces.push(&data[from..]);
        for compression in ALL {
            let object = compress(compression, &pieces);
            prop_assert!(decompress(compression, &object) == data, "{:?}", compression);
            prop_assert!(compress(compression, &[&data]) == object, "{:?}", compression);
        }
    }
}
