//! Records in, a file out.

use bytes::Bytes;

use crate::batch::Batch;
use crate::error::{ConversionError, SchemaError};
use crate::json::Reader;
use crate::options::{FileFormat, JsonReader};
use crate::orc::OrcFile;
use crate::parquet::ParquetFile;
use crate::schema::Schema;

/// Rows are handed on to the file when their JSON reaches this: few enough for their values to stay
/// in the processor's cache between being read and being written.
const BATCH_BYTES: usize = 256 << 10;

/// Records beyond this are refused: far above any service's limit, far below what counts as 32
/// bits inside.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// A file that is being written from records.
#[derive(Debug)]
pub struct Writer {
    reader: Reader,
    batch: Batch,
    /// Bytes of the records in the batch.
    batch_json_bytes: usize,
    rows: u64,
    file: File,
}

#[derive(Debug)]
enum File {
    Parquet(Box<ParquetFile>),
    Orc(Box<OrcFile>),
}

impl Writer {
    /// Begins a file for the columns of `schema`.
    ///
    /// Fails for options that cannot be used: a timestamp pattern that is none, a bloom filter on
    /// a column that is not there.
    pub fn new(
        schema: &Schema,
        reader: &JsonReader,
        format: &FileFormat,
    ) -> Result<Self, SchemaError> {
        let file = match format {
            FileFormat::Parquet(options) => {
                File::Parquet(Box::new(ParquetFile::new(schema, options)))
            }
            FileFormat::Orc(options) => File::Orc(Box::new(OrcFile::new(schema, options)?)),
        };
        let reader = Reader::new(schema, reader)?;
        Ok(Self { reader, batch: Batch::new(schema), batch_json_bytes: 0, rows: 0, file })
    }

    /// Appends a record's objects, each a row. A record that cannot be converted leaves no trace,
    /// whichever of its objects was wrong.
    pub fn push(&mut self, record: &[u8]) -> Result<(), ConversionError> {
        if record.len() > RECORD_BYTES_MAX {
            let what = format!("The record has more than {RECORD_BYTES_MAX} bytes.");
            return Err(ConversionError::malformed(what));
        }
        let before = self.batch.rows;
        self.reader.read(record, &mut self.batch)?;
        self.rows += (self.batch.rows - before) as u64;
        self.batch_json_bytes += record.len();
        if self.batch_json_bytes >= BATCH_BYTES {
            self.flush();
        }
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of memory that the file takes at present.
    pub fn memory_bytes(&self) -> usize {
        let file = match &self.file {
            File::Parquet(file) => file.memory_bytes(),
            File::Orc(file) => file.memory_bytes(),
        };
        file + self.batch.memory_bytes()
    }

    /// Bytes of the file that will not change any more, to be sent on before it is finished.
    /// What `take` and [`finish`](Self::finish) return, in order, is the file.
    pub fn take(&mut self) -> Vec<Bytes> {
        match &mut self.file {
            File::Parquet(file) => file.take(),
            File::Orc(file) => file.take(),
        }
    }

    /// The rest of the file, in pieces to be put one behind the other. A file without rows is
    /// whole too.
    pub fn finish(mut self) -> Vec<Bytes> {
        self.flush();
        match self.file {
            File::Parquet(file) => file.finish(),
            File::Orc(file) => file.finish(),
        }
    }

    fn flush(&mut self) {
        match &mut self.file {
            File::Parquet(file) => file.append(&self.batch),
            File::Orc(file) => file.append(&self.batch),
        }
        self.batch.clear();
        self.batch_json_bytes = 0;
    }
}
