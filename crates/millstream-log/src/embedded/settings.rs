//! What a person may set of the embedded engine.

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once the device says that the bytes are on it.
    #[default]
    Fsync,
    /// Once the operating system has the bytes: survives the process, not a power cut.
    Buffered,
}

/// Sizes and bounds of the engine. The defaults suit a laptop and a small server alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When an append is acknowledged.
    pub durability: Durability,
    /// Bytes of one write-ahead file.
    pub wal_file_bytes: u64,
    /// Write-ahead files at most, 2 at least: with `wal_file_bytes` the bound on bytes that are
    /// durable but not yet in segments, which are held in memory.
    pub wal_files_max: usize,
    /// Bytes waiting to be written at most; beyond, appends are refused as overloaded.
    pub queue_bytes_max: usize,
    /// Commands waiting at most.
    pub queue_count_max: usize,
    /// Bytes written between two syncs, unless one batch is larger.
    pub commit_bytes_max: usize,
    /// Bytes of one batch.
    pub batch_bytes_max: usize,
    /// Bytes kept in memory after they went to segments, for readers near the tail.
    pub cache_bytes_max: usize,
    /// A log with at least this much in a write-ahead file gets a segment of its own.
    pub own_segment_bytes_min: usize,
    /// Bytes of a segment between two entries of its index.
    pub index_interval_bytes: usize,
    /// Bytes held in reserve, so that on a full disk old records can still be forgotten.
    pub reserve_bytes: usize,
    /// Segment files held open for reading.
    pub open_files_max: usize,
    /// Reads from disk under way at once.
    pub disk_reads_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            wal_file_bytes: 64 << 20,
            wal_files_max: 4,
            queue_bytes_max: 64 << 20,
            queue_count_max: 65_536,
            commit_bytes_max: 8 << 20,
            batch_bytes_max: 32 << 20,
            cache_bytes_max: 256 << 20,
            own_segment_bytes_min: 4 << 20,
            index_interval_bytes: 128 << 10,
            reserve_bytes: 1 << 20,
            open_files_max: 256,
            disk_reads_max: 16,
        }
    }
}

impl Settings {
    /// The same with every bound raised or lowered to what can work.
    pub(super) fn made_sane(mut self) -> Self {
        const FILE_BYTES_MIN: u64 = 64 << 10;
        self.wal_file_bytes = self.wal_file_bytes.clamp(FILE_BYTES_MIN, 1 << 30) & !4_095;
        self.wal_files_max = self.wal_files_max.max(2);
        // One batch must fit a file, with the headers of file, commit and chunk.
        let file = usize::try_from(self.wal_file_bytes).expect("a file is at most 1 GiB");
        self.batch_bytes_max = self.batch_bytes_max.min(file - (16 << 10));
        self.commit_bytes_max = self.commit_bytes_max.clamp(4 << 10, file / 2);
        self.queue_bytes_max = self.queue_bytes_max.clamp(self.batch_bytes_max + 4_096, 1 << 30);
        self.queue_count_max = self.queue_count_max.max(16);
        self.index_interval_bytes = self.index_interval_bytes.max(1_024);
        self.open_files_max = self.open_files_max.max(1);
        self.disk_reads_max = self.disk_reads_max.max(1);
        self
    }
}
