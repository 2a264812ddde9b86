//! The engine in a small world: see `world`.
