//! Named points at which a test, or a person with the `faults` feature, can have the process die.
//!
//! Owns nothing in a release: there [`reached`] is empty. In tests the point is armed for the
//! thread, whose runtime is the world, and whoever reaches it stops there for good, as a killed
//! process would. With `faults`, `MILLSTREAM_FAIL_POINT=NAME` aborts the process at the point.

/// A place where dying matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailPoint {
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
pub(super) async fn reached(point: FailPoint) {
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
pub(super) async fn reached(point: FailPoint) {
    let wanted = std::env::var("MILLSTREAM_FAIL_POINT");
    if wanted.is_ok_and(|wanted| wanted == format!("{point:?}")) {
        tracing::error!(?point, "dying as ordered");
        std::process::abort();
    }
}

/// The point is reached.
#[cfg(not(any(test, feature = "faults")))]
#[expect(clippy::unused_async, reason = "in tests it stops")]
pub(super) async fn reached(_: FailPoint) {}
