//! The bytes that this process has allocated and not freed.
//!
//! Owns the only unsafe code of these tests: an allocator that counts and passes on.

#![allow(unsafe_code)] // An allocator cannot be safe; this one only adds up sizes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub(crate) struct CountedHeap;

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for CountedHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by our caller; the pointer came from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        LIVE.fetch_add(bytes, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by our caller; the pointer came from the same allocator.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

/// Bytes allocated and not freed, by all threads.
pub(crate) fn live_bytes() -> usize {
    LIVE.load(Ordering::Relaxed)
}
