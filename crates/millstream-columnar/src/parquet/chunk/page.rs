//! Pages: levels and values, encoded, compressed and behind their headers.

use std::ops::Range;

use bytes::Bytes;

use super::super::bounds::Bounds;
use super::super::leaf::Physical;
use super::super::thrift::Struct;
use super::super::{delta, plain, rle};
use super::{Chunk, Page};
use crate::batch::Values;
use crate::dictionary::Dictionary;
use crate::options::ParquetVersion;

/// Types of pages.
const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;
const DATA_PAGE_V2: i32 = 3;

/// How values, or levels, are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Rle,
    DeltaBinaryPacked,
    DeltaLengthByteArray,
    RleDictionary,
}

impl Encoding {
    pub(super) fn code(self) -> i32 {
        match self {
            Self::Plain => 0,
            Self::Rle => 3,
            Self::DeltaBinaryPacked => 5,
            Self::DeltaLengthByteArray => 6,
            Self::RleDictionary => 8,
        }
    }
}

/// What the page index says of a page.
#[derive(Debug)]
pub(crate) struct PageMeta {
    /// Bytes with its header.
    pub(crate) bytes: usize,
    /// The row group's row that it starts with.
    pub(crate) first_row: usize,
    pub(crate) nulls: usize,
    pub(crate) bounds: Bounds,
    entries: usize,
}

impl PageMeta {
    /// Whether it has no value.
    pub(crate) fn is_null(&self) -> bool {
        self.nulls == self.entries
    }
}

/// The values of a page, as far encoded as they can be before its end.
#[derive(Debug)]
pub(super) enum PageValues {
    Plain(Vec<u8>),
    /// Booleans, one a byte.
    Booleans(Vec<u8>),
    Integers(Vec<i64>),
    Texts {
        lengths: Vec<i64>,
        data: Vec<u8>,
    },
    Indices(Vec<u32>),
}

impl PageValues {
    pub(super) fn new(physical: Physical, version: ParquetVersion, dictionary: bool) -> Self {
        let delta = version == ParquetVersion::V2;
        match physical {
            _ if dictionary => Self::Indices(Vec::new()),
            Physical::Boolean => Self::Booleans(Vec::new()),
            Physical::Int32 | Physical::Int64 | Physical::Micros if delta => {
                Self::Integers(Vec::new())
            }
            Physical::Bytes if delta => Self::Texts { lengths: Vec::new(), data: Vec::new() },
            _ => Self::Plain(Vec::new()),
        }
    }

    /// About how many bytes the values will take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) => bytes.len(),
            Self::Booleans(values) => values.len() / 8,
            Self::Integers(values) => values.len() * 4,
            Self::Texts { lengths, data } => lengths.len() + data.len(),
            Self::Indices(values) => values.len() * 2,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Booleans(bytes) => bytes.capacity(),
            Self::Integers(values) => values.capacity() * 8,
            Self::Texts { lengths, data } => lengths.capacity() * 8 + data.capacity(),
            Self::Indices(values) => values.capacity() * 4,
        }
    }

    pub(super) fn append(&mut self, physical: Physical, values: &Values, range: Range<usize>) {
        match (self, values) {
            (Self::Plain(out), values) => plain::append(out, physical, values, range),
            (Self::Booleans(out), Values::Boolean(bits)) => {
                out.extend(range.map(|index| u8::from(bits.get(index))));
            }
            (Self::Integers(out), Values::Int(values)) => {
                out.extend(values[range].iter().map(|value| i64::from(*value)));
            }
            (Self::Integers(out), Values::BigInt(values)) => out.extend_from_slice(&values[range]),
            (Self::Integers(out), Values::Timestamp(values)) => {
                out.extend(values[range].iter().map(|stamp| plain::micros(*stamp)));
            }
            (Self::Texts { lengths, data }, Values::Bytes(values)) => {
                for value in values.slices(range) {
                    lengths.push(i64::try_from(value.len()).expect("far below 4 GiB"));
                    data.extend_from_slice(value);
                }
            }
            _ => unreachable!("indices have their own way, other pairs are not made"),
        }
    }

    pub(super) fn append_indices(
        &mut self,
        dictionary: &mut Dictionary,
        physical: Physical,
        values: &Values,
        range: Range<usize>,
    ) {
        let Self::Indices(out) = self else { unreachable!("a page with a dictionary has indices") };
        out.reserve(range.len());
        match values {
            Values::Bytes(values) => {
                out.extend(values.slices(range).map(|value| dictionary.index(value)));
            }
            Values::Int(values) => {
                let indices =
                    values[range].iter().map(|value| dictionary.index(&value.to_le_bytes()));
                out.extend(indices);
            }
            Values::BigInt(values) => {
                let indices =
                    values[range].iter().map(|value| dictionary.index(&value.to_le_bytes()));
                out.extend(indices);
            }
            values => {
                let mut plain = Vec::with_capacity(16);
                for index in range {
                    plain.clear();
                    plain::append(&mut plain, physical, values, index..index + 1);
                    out.push(dictionary.index(&plain));
                }
            }
        }
    }

    /// The values as they stand in a page, and their encoding.
    fn encoded(
        self,
        physical: Physical,
        version: ParquetVersion,
        distinct: usize,
    ) -> (Vec<u8>, Encoding) {
        let mut out = Vec::new();
        match self {
            Self::Plain(bytes) => (bytes, Encoding::Plain),
            Self::Booleans(values) if version == ParquetVersion::V1 => {
                (values.chunks(8).map(packed).collect(), Encoding::Plain)
            }
            Self::Booleans(values) => {
                out.extend_from_slice(&[0; 4]);
                rle::encode(&mut out, &values, 1);
                let length = u32::try_from(out.len() - 4).expect("pages are far below 4 GiB");
                out[..4].copy_from_slice(&length.to_le_bytes());
                (out, Encoding::Rle)
            }
            Self::Integers(values) => {
                delta::integers(
                    &mut out,
                    &values,
                    if physical == Physical::Int32 { 32 } else { 64 },
                );
                (out, Encoding::DeltaBinaryPacked)
            }
            Self::Texts { lengths, data } => {
                delta::integers(&mut out, &lengths, 32);
                out.extend_from_slice(&data);
                (out, Encoding::DeltaLengthByteArray)
            }
            Self::Indices(values) => {
                let width =
                    rle::width(u32::try_from(distinct.saturating_sub(1)).expect("indices fit"));
                let [width_byte, ..] = width.to_le_bytes();
                out.push(width_byte);
                rle::encode(&mut out, &values, width);
                (out, Encoding::RleDictionary)
            }
        }
    }
}

/// Eight booleans in a byte, the first one lowest.
fn packed(values: &[u8]) -> u8 {
    values.iter().rev().fold(0, |byte, value| byte << 1 | value)
}

impl Chunk {
    /// Ends the page, if it has entries.
    pub(super) fn end_page(&mut self) {
        if self.page.entries == 0 {
            return;
        }
        if self.pages.is_empty() {
            self.judge_dictionary();
        }
        let next = Page::new(&self.leaf, self.fresh_values());
        let mut page = std::mem::replace(&mut self.page, next);
        let distinct = self.dictionary.as_ref().map_or(0, Dictionary::len);
        let values = std::mem::replace(&mut page.values, PageValues::Plain(Vec::new()));
        let (values, encoding) = values.encoded(self.leaf.physical, self.version, distinct);
        let (header, body) = match self.version {
            ParquetVersion::V1 => self.page_v1(&page, &values, encoding),
            ParquetVersion::V2 => self.page_v2(&page, &values, encoding),
        };
        let bytes = self.keep(header, &body);
        for used in [Encoding::Rle, encoding] {
            if !self.totals.encodings.contains(&used) {
                self.totals.encodings.push(used);
            }
        }
        let first_row = self.totals.rows;
        self.totals.rows += page.rows;
        self.totals.entries += page.entries;
        self.totals.nulls += page.nulls;
        let (nulls, bounds, entries) = (page.nulls, page.bounds, page.entries);
        self.pages.push(PageMeta { bytes, first_row, nulls, bounds, entries });
    }

    /// Gives the dictionary up where the first page shows that it saves nothing.
    fn judge_dictionary(&mut self) {
        let (Some(dictionary), PageValues::Indices(indices)) =
            (&self.dictionary, &self.page.values)
        else {
            return;
        };
        let width = rle::width(u32::try_from(dictionary.len()).expect("indices fit")) as usize;
        if dictionary.data().len() + indices.len() * width / 8 < self.page.plain_bytes {
            return;
        }
        let mut values = PageValues::new(self.leaf.physical, self.version, false);
        for index in indices {
            values.append_plain(self.leaf.physical, dictionary.get(*index as usize));
        }
        self.page.values = values;
        self.dictionary = None;
    }

    fn page_v1(&mut self, page: &Page, values: &[u8], encoding: Encoding) -> (Struct, Vec<u8>) {
        let mut plain = Vec::with_capacity(values.len() + 64);
        for (levels, highest) in self.levels(page) {
            let start = plain.len();
            plain.extend_from_slice(&[0; 4]);
            levels.encode(&mut plain, highest);
            let length = u32::try_from(plain.len() - start - 4).expect("pages are below 4 GiB");
            plain[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        plain.extend_from_slice(values);
        let mut body = Vec::new();
        self.compressor.append(&plain, &mut body);
        let header = Struct::new()
            .i32(1, int(page.entries))
            .i32(2, encoding.code())
            .i32(3, Encoding::Rle.code())
            .i32(4, Encoding::Rle.code());
        (self.header(DATA_PAGE, plain.len(), &body).nested(5, header), body)
    }

    fn page_v2(&mut self, page: &Page, values: &[u8], encoding: Encoding) -> (Struct, Vec<u8>) {
        let mut body = Vec::with_capacity(values.len() / 2 + 64);
        let mut lengths = [0; 2];
        for (levels, highest) in self.levels(page) {
            let start = body.len();
            levels.encode(&mut body, highest);
            lengths[usize::from(levels.is_definition())] = body.len() - start;
        }
        let start = body.len();
        self.compressor.append(values, &mut body);
        // Readers are told not to decompress what did not get smaller.
        let compressed = body.len() - start < values.len();
        if !compressed {
            body.truncate(start);
            body.extend_from_slice(values);
        }
        let header = Struct::new()
            .i32(1, int(page.entries))
            .i32(2, int(page.nulls))
            .i32(3, int(page.rows))
            .i32(4, encoding.code())
            .i32(5, int(lengths[1]))
            .i32(6, int(lengths[0]))
            .bool(7, compressed);
        let uncompressed = start + values.len();
        (self.header(DATA_PAGE_V2, uncompressed, &body).nested(8, header), body)
    }

    /// The levels that a page has, with the highest value of each; repetition comes first.
    fn levels<'a>(&self, page: &'a Page) -> Vec<(PageLevels<'a>, u8)> {
        let mut levels = Vec::with_capacity(2);
        if self.leaf.repetition_max > 0 {
            levels.push((PageLevels::Repetitions(&page.repetitions), self.leaf.repetition_max));
        }
        if self.leaf.definition_max > 0 {
            let definitions = if page.definitions.is_empty() {
                PageLevels::AllDefined(page.entries)
            } else {
                PageLevels::Definitions(&page.definitions)
            };
            levels.push((definitions, self.leaf.definition_max));
        }
        levels
    }

    /// The header's common fields; counts the bytes.
    fn header(&mut self, kind: i32, uncompressed: usize, body: &[u8]) -> Struct {
        self.totals.uncompressed += uncompressed;
        let checksum = crc32fast::hash(body).cast_signed();
        Struct::new()
            .i32(1, kind)
            .i32(2, int(uncompressed))
            .i32(3, int(body.len()))
            .i32(4, checksum)
    }

    /// Keeps a page, and says how long it is.
    fn keep(&mut self, header: Struct, body: &[u8]) -> usize {
        let page = self.joined(header, body);
        let bytes = page.len();
        self.body.push(page);
        bytes
    }

    fn joined(&mut self, header: Struct, body: &[u8]) -> Bytes {
        let header = header.finish();
        let mut page = Vec::with_capacity(header.len() + body.len());
        page.extend_from_slice(&header);
        page.extend_from_slice(body);
        self.totals.uncompressed += header.len();
        self.totals.compressed += page.len();
        Bytes::from(page)
    }

    pub(super) fn dictionary_page(&mut self, dictionary: &Dictionary) -> Bytes {
        let mut plain = Vec::new();
        if self.leaf.physical == Physical::Bytes {
            plain.reserve(dictionary.data().len() + dictionary.len() * 4);
            dictionary.iter().for_each(|value| plain::text(&mut plain, value));
        } else {
            plain.extend_from_slice(dictionary.data());
        }
        let mut body = Vec::new();
        self.compressor.append(&plain, &mut body);
        let header = Struct::new().i32(1, int(dictionary.len())).i32(2, Encoding::Plain.code());
        let header = self.header(DICTIONARY_PAGE, plain.len(), &body).nested(7, header);
        self.totals.encodings.push(Encoding::Plain);
        self.joined(header, &body)
    }
}

impl PageValues {
    /// Appends one value from its plain bytes, without the length of text.
    fn append_plain(&mut self, physical: Physical, value: &[u8]) {
        match self {
            Self::Plain(out) if physical == Physical::Bytes => plain::text(out, value),
            Self::Plain(out) => out.extend_from_slice(value),
            Self::Integers(out) => out.push(match value.try_into() {
                Ok(bytes) => i64::from_le_bytes(bytes),
                Err(_) => i32::from_le_bytes(value.try_into().expect("4 or 8 bytes")).into(),
            }),
            Self::Texts { lengths, data } => {
                lengths.push(i64::try_from(value.len()).expect("far below 4 GiB"));
                data.extend_from_slice(value);
            }
            Self::Booleans(_) | Self::Indices(_) => unreachable!("there was a dictionary"),
        }
    }
}

/// Levels of a page.
#[derive(Clone, Copy)]
enum PageLevels<'a> {
    Repetitions(&'a [u8]),
    Definitions(&'a [u8]),
    /// So many entries, all of them there.
    AllDefined(usize),
}

impl PageLevels<'_> {
    fn is_definition(self) -> bool {
        !matches!(self, Self::Repetitions(_))
    }

    fn encode(self, out: &mut Vec<u8>, highest: u8) {
        let width = rle::width(highest.into());
        match self {
            Self::Repetitions(levels) | Self::Definitions(levels) => {
                rle::encode(out, levels, width);
            }
            Self::AllDefined(entries) => rle::repeat(out, entries, highest.into(), width),
        }
    }
}

/// Thrift's lengths and counts are signed; pages are bounded far below.
fn int(count: usize) -> i32 {
    i32::try_from(count).expect("pages are far below 2 GiB")
}
