//! The tree of columns: each writes its nulls and values, and keeps its row index.

use super::bloom::Bloom;
use super::body::{self, Body, Encoding};
use super::proto::Message;
use super::runs::BitRuns;
use super::statistics::Statistics;
use super::stream::section;
use crate::batch::{Column, Values};
use crate::compress::Codec;
use crate::options::OrcOptions;
use crate::schema::{Schema, Type};

/// A column, with those below it.
#[derive(Debug)]
pub(super) struct Node {
    /// Its number, in depth first order; the root is 0.
    id: usize,
    kind: Type,
    present: BitRuns,
    has_null: bool,
    body: Body,
    children: Vec<Node>,
    /// Of the rows since the last entry of the index, of the stripe, and of the file.
    group: Statistics,
    stripe: Statistics,
    file: Statistics,
    entries: Vec<Entry>,
    /// Where the present entry of the index began.
    start: Places,
    bloom: Option<Bloom>,
    blooms: Vec<Message>,
    /// What was taken of the batch at hand.
    taken: Taken,
}

#[derive(Debug, Default)]
struct Taken {
    slots: usize,
    values: usize,
}

/// Where a row begins in the streams of a column.
#[derive(Clone, Debug, Default)]
struct Places {
    /// Among the bits that say what is null: left out if nothing is.
    present: Vec<u64>,
    values: Vec<u64>,
}

/// An entry of the row index.
#[derive(Debug)]
struct Entry {
    places: Places,
    statistics: Message,
}

/// A stream of a stripe.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) kind: u64,
    pub(super) column: usize,
    pub(super) bytes: Vec<u8>,
}

/// What all columns of a file have in common.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) codec: Codec,
    pub(super) options: OrcOptions,
}

impl Node {
    /// Numbers the column and those below it from `next` on.
    pub(super) fn new(kind: &Type, next: &mut usize, settings: &Settings, bloom: bool) -> Self {
        let id = *next;
        *next += 1;
        let mut child = |kind: &Type| Self::new(kind, next, settings, false);
        let children = match kind {
            Type::Array(element) => vec![child(element)],
            Type::Map(key, value) => vec![child(key), child(value)],
            Type::Struct(fields) => fields.iter().map(|field| child(&field.kind)).collect(),
            _ => Vec::new(),
        };
        let statistics = Statistics::new(kind);
        let mut node = Self {
            id,
            kind: kind.clone(),
            present: BitRuns::new(settings.codec),
            has_null: false,
            body: Body::new(kind, settings.codec, &settings.options),
            children,
            group: statistics.clone(),
            stripe: statistics.clone(),
            file: statistics,
            entries: Vec::new(),
            start: Places::default(),
            bloom: None,
            blooms: Vec::new(),
            taken: Taken::default(),
        };
        if bloom {
            node.bloom = Some(new_bloom(settings));
        }
        node
    }

    /// The table itself: a struct that is never null.
    pub(super) fn root(schema: &Schema, settings: &Settings) -> Self {
        let mut root = Self::new(&Type::Struct(Vec::new()), &mut 0, settings, false);
        let mut next = 1;
        for field in schema.fields() {
            let names = &settings.options.bloom_filter_columns;
            let bloom = names.iter().any(|name| field.name.eq_ignore_ascii_case(name));
            root.children.push(Self::new(&field.kind, &mut next, settings, bloom));
        }
        root
    }

    /// A batch begins.
    pub(super) fn rewind(&mut self) {
        self.taken = Taken::default();
        self.children.iter_mut().for_each(Self::rewind);
    }

    /// Writes the next `slots` slots of the batch's column.
    pub(super) fn append(&mut self, column: &Column, slots: usize) {
        let range = self.taken.slots..self.taken.slots + slots;
        let count = column.valid.count(range.clone());
        let values = self.taken.values..self.taken.values + count;
        self.taken = Taken { slots: range.end, values: values.end };
        self.present.extend(&column.valid, range);
        self.has_null |= count < slots;
        self.group.count(slots, count);
        self.group.extend(&column.values, values.clone());
        if let Some(bloom) = &mut self.bloom {
            let scale = if let Type::Decimal { scale, .. } = self.kind { scale } else { 0 };
            bloom.extend(&column.values, values.clone(), scale);
        }
        self.body.extend(&column.values, values.clone());
        match &column.values {
            Values::Array(lengths, element) => {
                let elements = sum(&lengths.counts[values]);
                self.children[0].append(element, elements);
            }
            Values::Map(lengths, entries) => {
                let elements = sum(&lengths.counts[values]);
                self.children[0].append(&entries.0, elements);
                self.children[1].append(&entries.1, elements);
            }
            Values::Struct(columns) => {
                for (child, column) in self.children.iter_mut().zip(columns) {
                    child.append(column, count);
                }
            }
            _ => {}
        }
    }

    /// As [`append`](Self::append), for the root: all of its columns, which have no nulls above.
    pub(super) fn append_rows(&mut self, columns: &[Column], rows: usize) {
        self.group.count(rows, rows);
        for (child, column) in self.children.iter_mut().zip(columns) {
            child.append(column, rows);
        }
    }

    /// Ends an entry of the row index.
    pub(super) fn mark(&mut self, settings: &Settings) {
        self.body.settle();
        let next = self.places();
        // The first entry begins where the stripe does; how many streams there are is known now.
        if self.entries.is_empty() {
            self.start = next.zeroed();
        }
        let places = std::mem::replace(&mut self.start, next);
        let empty = self.group.empty();
        let group = std::mem::replace(&mut self.group, empty);
        self.stripe.merge(&group);
        self.entries.push(Entry { places, statistics: group.message() });
        if let Some(bloom) = &mut self.bloom {
            let bloom = std::mem::replace(bloom, new_bloom(settings));
            self.blooms.push(bloom.message());
        }
        self.children.iter_mut().for_each(|child| child.mark(settings));
    }

    fn places(&self) -> Places {
        let mut places = Places::default();
        self.present.position(&mut places.present);
        self.body.position(&mut places.values);
        places
    }

    /// Bytes that the stripe's streams take.
    pub(super) fn bytes(&self) -> usize {
        let below: usize = self.children.iter().map(Self::bytes).sum();
        self.present.bytes() + self.body.bytes() + below
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let below: usize = self.children.iter().map(Self::memory_bytes).sum();
        let blooms = self.bloom.as_ref().map_or(0, Bloom::memory_bytes);
        let index = self.entries.len() * size_of::<Entry>();
        let blooms = blooms * (self.blooms.len() + 1);
        self.present.memory_bytes() + self.body.memory_bytes() + index + blooms + below
    }

    /// The streams of the row index, in the order of the columns; to be taken before
    /// [`take_data`](Self::take_data).
    pub(super) fn take_index(&mut self, codec: Codec, out: &mut Vec<Written>) {
        let has_present = self.has_null;
        let entries = self.entries.drain(..).map(|entry| {
            let present = if has_present { entry.places.present } else { Vec::new() };
            let positions = present.into_iter().chain(entry.places.values);
            Message::new().packed(1, positions).message(2, &entry.statistics)
        });
        let index = Message::new().messages(1, entries);
        let bytes = section(codec, &index.finish());
        out.push(Written { kind: body::ROW_INDEX, column: self.id, bytes });
        if !self.blooms.is_empty() {
            let index = Message::new().messages(1, self.blooms.drain(..));
            let bytes = section(codec, &index.finish());
            out.push(Written { kind: body::BLOOM_FILTER_UTF8, column: self.id, bytes });
        }
        self.children.iter_mut().for_each(|child| child.take_index(codec, out));
    }

    /// The streams of the values, and how each column is encoded. The next stripe begins.
    pub(super) fn take_data(
        &mut self,
        settings: &Settings,
        out: &mut Vec<Written>,
        encodings: &mut Vec<Encoding>,
    ) {
        let present = self.present.take();
        if self.has_null {
            out.push(Written { kind: body::PRESENT, column: self.id, bytes: present });
        }
        self.has_null = false;
        let (streams, encoding) = self.body.take(settings.options.version);
        // Readers look for a stream even where it has nothing in it.
        let streams = streams.into_iter();
        out.extend(streams.map(|(kind, bytes)| Written { kind, column: self.id, bytes }));
        encodings.push(encoding);
        self.start = Places::default();
        self.children.iter_mut().for_each(|child| child.take_data(settings, out, encodings));
    }

    /// The statistics of the stripe that ends, of each column.
    pub(super) fn take_statistics(&mut self, out: &mut Vec<Message>) {
        let empty = self.stripe.empty();
        let stripe = std::mem::replace(&mut self.stripe, empty);
        self.file.merge(&stripe);
        out.push(stripe.message());
        self.children.iter_mut().for_each(|child| child.take_statistics(out));
    }

    /// The statistics of the file, of each column.
    pub(super) fn file_statistics(&self, out: &mut Vec<Message>) {
        out.push(self.file.message());
        self.children.iter().for_each(|child| child.file_statistics(out));
    }
}

impl Places {
    fn zeroed(&self) -> Self {
        Self { present: vec![0; self.present.len()], values: vec![0; self.values.len()] }
    }
}

fn new_bloom(settings: &Settings) -> Bloom {
    Bloom::new(settings.options.row_index_stride, settings.options.bloom_filter_false_positives)
}

fn sum(counts: &[u32]) -> usize {
    counts.iter().map(|count| *count as usize).sum()
}
