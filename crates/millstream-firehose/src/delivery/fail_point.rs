//! Named points at which a test, or a person with the `faults` feature, can have the process die.
//!
//! Owns nothing in a release: there [`reached`] is empty. In tests the point is armed for the
//! thread, whose runtime is the world, and whoever reaches it stops there for good, as a killed
//! process would. With `faults`, `FIREHOSE_FAIL_POINT=NAME:NTH` aborts the process when it comes
//! to the point for that time (`:1` may be left out), without a word to anyone, as kill -9 does.

/// A place where dying matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailPoint {
    /// Records are durable, and who put them has not heard it.
    AfterAppend,
    /// Records were read and are in buffers; nothing durable knows of them.
    AfterBuffering,
    /// A delivery is pledged, and nothing of it is out.
    AfterPledge,
    /// What was refused of a delivery is in the error output, and nothing settled.
    AfterErrorOutput,
    /// The destination has all, and the checkpoint does not know.
    AfterDelivery,
    /// The checkpoint knows, and the source is not trimmed.
    AfterCheckpoint,
    /// The source is trimmed.
    AfterTrim,
    /// An object for the warehouse is staged, and not copied.
    AfterStaging,
    /// A function has answered, and nobody has heard it.
    AfterInvocation,
    /// The new version of a configuration was seen, and the old one is being left.
    WhileReconfiguring,
}

#[cfg(test)]
thread_local! {
    static ARMED: std::cell::Cell<Option<(FailPoint, u32)>> = const { std::cell::Cell::new(None) };
}

/// Has the `nth` to reach `point` on this thread (1 is the next) stop there for good.
#[cfg(test)]
pub(crate) fn arm(point: FailPoint, nth: u32) {
    ARMED.set(Some((point, nth)));
}

/// Whether what was armed has been reached.
#[cfg(test)]
pub(crate) fn has_died() -> bool {
    ARMED.get().is_some_and(|(_, left)| left == 0)
}

/// Lets nothing die any more.
#[cfg(test)]
pub(crate) fn disarm() {
    ARMED.set(None);
}

/// The point is reached.
#[cfg(test)]
pub(crate) async fn reached(point: FailPoint) {
    match ARMED.get() {
        Some((armed, left)) if armed == point || left == 0 => {
            ARMED.set(Some((armed, left.saturating_sub(1))));
            if left <= 1 {
                std::future::pending::<()>().await;
            }
        }
        _ => {}
    }
}

/// The point is reached.
#[cfg(all(not(test), feature = "faults"))]
#[expect(clippy::unused_async, reason = "in tests it stops")]
pub(crate) async fn reached(point: FailPoint) {
    use std::sync::atomic::{AtomicU32, Ordering};

    static TIMES: AtomicU32 = AtomicU32::new(0);
    let Ok(order) = std::env::var("FIREHOSE_FAIL_POINT") else { return };
    let (name, nth) = order.split_once(':').unwrap_or((&order, "1"));
    if name != format!("{point:?}") {
        return;
    }
    let times = TIMES.fetch_add(1, Ordering::Relaxed) + 1;
    if nth.parse().is_ok_and(|nth: u32| times >= nth) {
        tracing::error!(?point, times, "dying as ordered");
        std::process::abort();
    }
}

/// The point is reached.
#[cfg(not(any(test, feature = "faults")))]
#[expect(clippy::unused_async, reason = "in tests it stops")]
pub(crate) async fn reached(_: FailPoint) {}
