//! Connections to the outside, and the guard before them.
