//! The whole thing in one process: a server on real files, and clients that talk to it.

mod command_line;
mod end_to_end;
