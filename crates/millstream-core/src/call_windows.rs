//! How often something may be called.
//!
//! Owns a window of one second for each kind of caller. A call beyond is refused; what is refused
//! does not count. Pure: `now` is an argument.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long calls count together.
pub const CALL_WINDOW: Duration = Duration::from_secs(1);
/// Windows at which those that are over are dropped.
pub const CALL_WINDOWS_MANY: usize = 1_000;

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    calls: u32,
}

/// The calls of the present second, by whatever counts together.
#[derive(Debug)]
pub struct CallWindows<K>(Mutex<BTreeMap<K, Window>>);

impl<K> Default for CallWindows<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord> CallWindows<K> {
    /// Whether one more call of `key` fits into `calls_max` a second at `now`; if so it is counted.
    pub fn admits(&self, key: K, calls_max: u32, now: Instant) -> bool {
        let is_over = |window: &Window| now.duration_since(window.start) >= CALL_WINDOW;
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= CALL_WINDOWS_MANY {
            windows.retain(|_, window| !is_over(window));
        }
        let fresh = Window { start: now, calls: 0 };
        let window = windows.entry(key).or_insert(fresh);
        if is_over(window) {
            *window = fresh;
        }
        let admits = window.calls < calls_max;
        window.calls += u32::from(admits);
        admits
    }

    /// How many windows are kept.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
