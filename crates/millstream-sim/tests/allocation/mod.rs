//! The largest single allocation that a thread makes.
//!
//! Owns the only unsafe code of the simulation: an allocator that looks and passes on.

#![allow(unsafe_code)] // An allocator cannot be safe; this one only reads sizes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, watched.
pub(crate) struct LargestAllocation;

fn see(bytes: usize) {
    // A thread that is coming to its end has no such cell any more, and is not watched.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for LargestAllocation {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        see(layout.size());
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by our caller; the pointer came from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        see(bytes);
        // SAFETY: as promised by our caller; the pointer came from the same allocator.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

/// The largest allocation that `work` makes on this thread, in bytes.
pub(crate) fn largest_during(work: impl FnOnce()) -> usize {
    LARGEST.set(0);
    work();
    LARGEST.get()
}
