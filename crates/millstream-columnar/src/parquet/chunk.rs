//! One column of one row group: values become pages as they come.

mod page;

use std::ops::Range;

use bytes::Bytes;

use super::bounds::Bounds;
use super::leaf::{Leaf, Physical};
use super::levels::Levels;
use super::plain;
use crate::batch::Values;
use crate::compress::Compressor;
use crate::dictionary::Dictionary;
use crate::options::{ParquetOptions, ParquetVersion};
use page::{Encoding, PageValues};

pub(super) use page::PageMeta;

/// A dictionary that grows beyond this is given up, as parquet-mr gives it up.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;
/// Entries that are taken in at once while there is a dictionary, so that it is given up in time.
const DICTIONARY_STEP: usize = 8_192;

/// A column of the row group that is being written.
#[derive(Debug)]
pub(super) struct Chunk {
    leaf: Leaf,
    version: ParquetVersion,
    page_bytes: usize,
    wants_dictionary: bool,
    compressor: Compressor,
    dictionary: Option<Dictionary>,
    page: Page,
    pages: Vec<PageMeta>,
    body: Vec<Bytes>,
    totals: Totals,
}

/// The page that is being filled.
#[derive(Debug)]
struct Page {
    /// Entries, nulls among them.
    entries: usize,
    rows: usize,
    nulls: usize,
    /// One an entry, from the first null on; before it all are the highest.
    definitions: Vec<u8>,
    repetitions: Vec<u8>,
    values: PageValues,
    /// Bytes that the values take without a dictionary.
    plain_bytes: usize,
    bounds: Bounds,
}

#[derive(Debug, Default)]
struct Totals {
    entries: usize,
    nulls: usize,
    rows: usize,
    compressed: usize,
    uncompressed: usize,
    encodings: Vec<Encoding>,
}

/// What the footer says of a chunk.
#[derive(Debug)]
pub(super) struct ChunkMeta {
    pub(super) entries: usize,
    pub(super) nulls: usize,
    pub(super) bounds: Bounds,
    pub(super) compressed: usize,
    pub(super) uncompressed: usize,
    /// Codes of the encodings of its pages.
    pub(super) encodings: Vec<i32>,
    pub(super) dictionary_start: Option<usize>,
    /// Where the first data page starts in the file.
    pub(super) start: usize,
    pub(super) pages: Vec<PageMeta>,
}

impl Chunk {
    pub(super) fn new(leaf: &Leaf, options: &ParquetOptions) -> Self {
        let mut chunk = Self {
            leaf: leaf.clone(),
            version: options.version,
            page_bytes: options.page_bytes,
            wants_dictionary: options.dictionary && leaf.physical != Physical::Boolean,
            compressor: Compressor::new(super::codec(options.compression)),
            dictionary: None,
            page: Page::new(leaf, PageValues::Plain(Vec::new())),
            pages: Vec::new(),
            body: Vec::new(),
            totals: Totals::default(),
        };
        chunk.begin();
        chunk
    }

    fn begin(&mut self) {
        self.dictionary = self.wants_dictionary.then(Dictionary::new);
        self.page = Page::new(&self.leaf, self.fresh_values());
        self.totals = Totals::default();
    }

    fn fresh_values(&self) -> PageValues {
        PageValues::new(self.leaf.physical, self.version, self.dictionary.is_some())
    }

    /// Bytes that this chunk takes in the file, as far as known.
    pub(super) fn bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map_or(0, |found| found.data().len());
        self.totals.compressed + dictionary + self.page.values.bytes()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map_or(0, Dictionary::memory_bytes);
        let page = self.page.values.memory_bytes()
            + self.page.definitions.capacity()
            + self.page.repetitions.capacity();
        self.totals.compressed + dictionary + page
    }

    /// Takes in the values of some rows.
    pub(super) fn append(&mut self, levels: Levels<'_>, values: &Values) {
        let (mut from, mut from_value) = (0, 0);
        while from < levels.len() {
            let to = self.step(levels, values, from, from_value);
            let to_value = from_value + self.append_levels(levels, from..to);
            self.append_values(values, from_value..to_value);
            (from, from_value) = (to, to_value);
            if self.page.is_full(self.page_bytes) {
                self.end_page();
            }
            let dictionary = self.dictionary.as_ref();
            if dictionary.is_some_and(|found| found.data().len() > DICTIONARY_BYTES_MAX) {
                self.end_page();
                self.end_dictionary();
            }
        }
    }

    /// Where to stop next, so that the page comes out about as long as it should; at a row's end.
    fn step(&self, levels: Levels<'_>, values: &Values, from: usize, from_value: usize) -> usize {
        let len = levels.len();
        let rest_values = values.len() - from_value;
        let bytes = plain::size(self.leaf.physical, values, from_value..values.len());
        let room = self.page_bytes.saturating_sub(self.page.values.bytes());
        let mut to = len;
        if bytes > room && rest_values > 0 {
            // As if nulls and long values were spread evenly.
            let share = room as u128 * (len - from) as u128 / bytes as u128;
            to = from + usize::try_from(share).expect("less than the length").max(1);
        }
        if self.dictionary.is_some() {
            to = to.min(from + DICTIONARY_STEP);
        }
        if let Levels::Nested { repetitions, .. } = levels
            && to < len
        {
            let starts = repetitions.get(to..).unwrap_or_default();
            to = match starts.iter().position(|repetition| *repetition == 0) {
                Some(more) => to + more,
                None if starts.is_empty() => to,
                None => len,
            };
        }
        to
    }

    /// Takes in the levels of `range`, and says how many values are there.
    fn append_levels(&mut self, levels: Levels<'_>, range: Range<usize>) -> usize {
        let highest = self.leaf.definition_max;
        let page = &mut self.page;
        let found = match levels {
            Levels::Flat(valid) => valid.count(range.clone()),
            Levels::Nested { definitions, .. } => count(&definitions[range.clone()], highest),
        };
        let entries = range.len();
        if found < entries || !page.definitions.is_empty() {
            page.definitions.resize(page.entries, highest);
            match levels {
                Levels::Flat(valid) => {
                    page.definitions.extend(range.clone().map(|index| u8::from(valid.get(index))));
                }
                Levels::Nested { definitions, .. } => {
                    page.definitions.extend_from_slice(&definitions[range.clone()]);
                }
            }
        }
        page.rows += match levels {
            Levels::Nested { repetitions, .. } if !repetitions.is_empty() => {
                let repetitions = &repetitions[range];
                page.repetitions.extend_from_slice(repetitions);
                count(repetitions, 0)
            }
            _ => entries,
        };
        page.entries += entries;
        page.nulls += entries - found;
        found
    }

    fn append_values(&mut self, values: &Values, range: Range<usize>) {
        let physical = self.leaf.physical;
        self.page.plain_bytes += plain::size(physical, values, range.clone());
        self.page.bounds.extend(values, range.clone());
        match self.dictionary.as_mut() {
            Some(dictionary) => {
                self.page.values.append_indices(dictionary, physical, values, range);
            }
            None => self.page.values.append(physical, values, range),
        }
    }

    /// From here on values are written as they are.
    fn end_dictionary(&mut self) {
        let uses_it = self.totals.encodings.contains(&Encoding::RleDictionary);
        // The first page may have found that it saves nothing.
        let Some(dictionary) = self.dictionary.take() else { return };
        if uses_it {
            let page = self.dictionary_page(&dictionary);
            self.body.insert(0, page);
        }
        self.page.values = self.fresh_values();
    }

    /// The chunk's pages, and what the footer says of it; it starts at `start` in the file. The
    /// next row group begins.
    pub(super) fn finish(&mut self, start: usize) -> (ChunkMeta, Vec<Bytes>) {
        self.end_page();
        self.end_dictionary();
        let has_dictionary = self.totals.encodings.contains(&Encoding::RleDictionary);
        let first = if has_dictionary { self.body.first().map_or(0, Bytes::len) } else { 0 };
        let mut bounds = self.leaf.bounds.empty();
        for page in &self.pages {
            bounds.merge(&page.bounds);
        }
        let totals = std::mem::take(&mut self.totals);
        let meta = ChunkMeta {
            entries: totals.entries,
            nulls: totals.nulls,
            bounds,
            compressed: totals.compressed,
            uncompressed: totals.uncompressed,
            encodings: totals.encodings.iter().map(|encoding| encoding.code()).collect(),
            dictionary_start: has_dictionary.then_some(start),
            start: start + first,
            pages: std::mem::take(&mut self.pages),
        };
        let body = std::mem::take(&mut self.body);
        self.begin();
        (meta, body)
    }
}

/// How many of `levels` are `level`.
fn count(levels: &[u8], level: u8) -> usize {
    levels.iter().map(|found| usize::from(*found == level)).sum()
}

impl Page {
    fn new(leaf: &Leaf, values: PageValues) -> Self {
        Self {
            entries: 0,
            rows: 0,
            nulls: 0,
            definitions: Vec::new(),
            repetitions: Vec::new(),
            values,
            plain_bytes: 0,
            bounds: leaf.bounds.empty(),
        }
    }

    /// Nulls count too, or a column without values would have one page without end.
    fn is_full(&self, page_bytes: usize) -> bool {
        self.values.bytes() >= page_bytes || self.definitions.len() / 4 >= page_bytes
    }
}
