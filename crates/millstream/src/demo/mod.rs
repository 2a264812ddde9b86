//! The parts of `demo`: where records come from, who follows them, a live view, and the proof at
//! the end.

pub(crate) mod feed;
pub(crate) mod follow;
pub(crate) mod proof;
pub(crate) mod source;
pub(crate) mod view;
