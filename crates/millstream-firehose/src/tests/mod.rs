//! Scenarios through the `Firehose` trait: each rule of the service, as a caller meets it.
