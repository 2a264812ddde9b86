//! What is collected together: a partition, the backup, or one kind of error output.
//!
//! Owns the key of buffers, of deliveries under way, and of the pledges in a checkpoint. Within a
//! lane deliveries follow one another: the next begins once the checkpoint knows of the last.

use std::sync::Arc;

use super::varint::{self, Reader};

/// Where a record goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lane {
    /// To the destination, in the partition that is called this; without dynamic partitioning
    /// all are in the one called nothing.
    Main(Arc<str>),
    /// To the bucket that keeps all source records.
    Backup,
    /// To the error output.
    Errors(ErrorOutput),
}

/// Why records are in the error output: the value of `!{firehose:error-output-type}`.
///
/// Source: the guide's lists (decompression, processing, conversion, destinations) and, for
/// `partitioning-failed` and `metadata-extraction-failed`, what its integration tests expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ErrorOutput {
    Decompression,
    Processing,
    MetadataExtraction,
    Partitioning,
    FormatConversion,
    HttpEndpoint,
    OpenSearch,
    Splunk,
    Iceberg,
    Redshift,
}

impl ErrorOutput {
    const ALL: [Self; 10] = [
        Self::Decompression,
        Self::Processing,
        Self::MetadataExtraction,
        Self::Partitioning,
        Self::FormatConversion,
        Self::HttpEndpoint,
        Self::OpenSearch,
        Self::Splunk,
        Self::Iceberg,
        Self::Redshift,
    ];

    /// As it stands in keys.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Decompression => "decompression-failed",
            Self::Processing => "processing-failed",
            Self::MetadataExtraction => "metadata-extraction-failed",
            Self::Partitioning => "partitioning-failed",
            Self::FormatConversion => "format-conversion-failed",
            Self::HttpEndpoint => "http-endpoint-failed",
            Self::OpenSearch => "AmazonOpenSearchService-failed",
            Self::Splunk => "splunk-failed",
            Self::Iceberg => "iceberg-failed",
            Self::Redshift => "redshift-failed",
        }
    }
}

const MAIN: u8 = 0;
const BACKUP: u8 = 1;
const ERRORS: u8 = 2;

impl Lane {
    /// The one lane of a delivery stream without partitions.
    pub(super) fn main() -> Self {
        Self::Main("".into())
    }

    /// Appends the durable form.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Main(partition) => {
                out.push(MAIN);
                varint::put_bytes(out, partition.as_bytes());
            }
            Self::Backup => out.push(BACKUP),
            Self::Errors(output) => {
                out.push(ERRORS);
                varint::put_bytes(out, output.as_str().as_bytes());
            }
        }
    }

    /// Reads the durable form; `None` where it makes no sense.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            MAIN => Some(Self::Main(std::str::from_utf8(reader.bytes()?).ok()?.into())),
            BACKUP => Some(Self::Backup),
            ERRORS => {
                let name = reader.bytes()?;
                let mut all = ErrorOutput::ALL.into_iter();
                all.find(|output| output.as_str().as_bytes() == name).map(Self::Errors)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_a_durable_form_of_its_own() {
        let lanes: Vec<Lane> = [Lane::main(), Lane::Main("1:a".into()), Lane::Backup]
            .into_iter()
            .chain(ErrorOutput::ALL.map(Lane::Errors))
            .collect();
        for lane in lanes {
            let mut bytes = Vec::new();
            lane.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(Lane::decode(&mut reader), Some(lane));
            assert!(reader.rest().is_empty());
        }
    }
}
