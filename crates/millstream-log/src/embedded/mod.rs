//! The embedded engine: our own append-only files on local disk, fsynced in groups before the ack.
