//! The server put together: what lies in the data directory, the log, the services, the listener.

pub(crate) mod data_dir;
pub(crate) mod key_files;
