//! The whole thing in one process: a server on real files, and clients that talk to it; and what
//! is written about it, which must be true.

mod command_line;
mod end_to_end;
mod packaging;
