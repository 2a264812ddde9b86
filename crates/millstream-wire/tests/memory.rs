//! Memory stays in proportion to the body, whatever the body says of itself.

#![allow(unsafe_code)] // An allocator that counts cannot be written without; it only forwards.

mod sample;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use millstream_wire::{Codec, decode_input};
use sample::Sample;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes held at most while `body` was decoded, beyond what was held before.
fn peak_of(codec: Codec, body: &Bytes) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let _ = decode_input::<Sample>(codec, body);
    PEAK.load(Ordering::Relaxed) - before
}

// One test: the counters are the process's.
#[test]
fn no_body_costs_more_than_a_few_times_its_size() {
    const BODY: usize = 1024 * 1024;
    let repeat = |head: &str, item: &str, tail: &str| {
        Bytes::from(format!("{head}{}{tail}", item.repeat(BODY / item.len())))
    };
    let cbor = |name: &str, head: &[u8], item: u8| {
        let mut body = vec![0xbf, 0x60 | u8::try_from(name.len()).expect("short")];
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(head);
        body.resize(BODY, item);
        Bytes::from(body)
    };
    let rows = [
        ("nesting", Codec::Json11, repeat("{\"Unknown\":", "[", "")),
        ("empty items", Codec::Json11, repeat("{\"List\":[{}", ",{}", "]}")),
        ("too many items", Codec::Json11, repeat("{\"Few\":[{}", ",{}", "]}")),
        ("nulls", Codec::Json11, repeat("{\"Few\":[null", ",null", "]}")),
        ("blobs", Codec::Json11, repeat("{\"List\":[{}", ",{\"Blob\":\"QUJD\"}", "]}")),
        ("one blob", Codec::Json11, repeat("{\"Blob\":\"", "QUJD", "\"}")),
        ("bad blob", Codec::Json11, repeat("{\"Blob\":\"", "QUJ_", "\"}")),
        ("escapes", Codec::Json11, repeat("{\"Text\":\"", "\\n", "\"}")),
        ("digits", Codec::Json11, repeat("{\"Integer\":", "9", "}")),
        ("unknown members", Codec::Json11, repeat("{\"x\":0", ",\"x\":0", "}")),
        ("spaces", Codec::Json11, repeat("", " ", "")),
        ("tags", Codec::Cbor11, cbor("List", b"", 0xc1)),
        ("lists", Codec::Cbor11, cbor("List", b"", 0x81)),
        ("empty maps", Codec::Cbor11, cbor("Few", b"\x9f", 0xa0)),
        ("huge list", Codec::Cbor11, cbor("List", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 0xa0)),
        ("huge blob", Codec::Cbor11, cbor("Blob", b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", 0)),
        ("chunks", Codec::Cbor11, cbor("Text", b"\x7f", 0x60)),
    ];
    for (name, codec, body) in rows {
        let peak = peak_of(codec, &body);
        // Items kept have a ceiling of their own: ITEMS_MAX of a few hundred bytes each.
        assert!(peak <= 8 * BODY, "{name}: {peak} bytes for a body of {}", body.len());
    }
}
