//! The parts of `demo`: a generated feed, a live view, and the proof at the end.

pub(crate) mod feed;
pub(crate) mod proof;
pub(crate) mod view;
