//! Rows as columns, in memory, between the reader and the file.
//!
//! Dense at every level: a column has one bit a slot that says whether it is null, and values only
//! for slots that are not; the members of a struct have slots only where the struct is not null.
//! So a row that failed can be taken off again by counting the bits that are popped, which is why
//! these are not Arrow's builders.

mod bits;

pub(crate) use bits::Bits;

use std::ops::Range;

use crate::schema::{Schema, Type};

/// A piece of a file: some rows of every column.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: usize,
}

/// One column, or one node below it.
#[derive(Debug)]
pub(crate) struct Column {
    /// One bit a slot; set where there is a value.
    pub(crate) valid: Bits,
    pub(crate) values: Values,
}

/// The values of a column, without its nulls.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Bits),
    /// Also the smaller ones, and days since 1970.
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    /// Times ten to the scale.
    Decimal(Vec<i128>),
    Bytes(ByteValues),
    Timestamp(Vec<Stamp>),
    Array(Lengths, Box<Column>),
    /// Keys, which are never null, and values.
    Map(Lengths, Box<(Column, Column)>),
    Struct(Vec<Column>),
}

/// How many elements each array or map has.
#[derive(Debug, Default)]
pub(crate) struct Lengths {
    pub(crate) counts: Vec<u32>,
    /// Their sum: elements beyond it belong to an array that never ended.
    total: usize,
}

impl Lengths {
    /// Ends an array whose elements reach up to `len` of its element column.
    pub(crate) fn close(&mut self, len: usize) {
        self.counts.push(u32::try_from(len - self.total).expect("a batch is cut far below 4 Gi"));
        self.total = len;
    }

    fn truncate(&mut self, len: usize) {
        if len < self.counts.len() {
            self.total -= self.counts.drain(len..).map(|count| count as usize).sum::<usize>();
        }
    }
}

/// A moment: seconds since 1970, UTC, and nanoseconds above them (less than 1e9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

/// Strings of bytes, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct ByteValues {
    pub(crate) data: Vec<u8>,
    /// Where each one ends in `data`.
    pub(crate) ends: Vec<u32>,
}

impl Values {
    /// How many there are, without nulls.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Boolean(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::BigInt(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Decimal(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Timestamp(values) => values.len(),
            Self::Array(lengths, _) | Self::Map(lengths, _) => lengths.counts.len(),
            Self::Struct(columns) => columns.first().map_or(0, Column::len),
        }
    }
}

impl ByteValues {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the next value will start.
    pub(crate) fn end(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// Makes what was appended to `data` since the last value the next value.
    pub(crate) fn close(&mut self) {
        let end = u32::try_from(self.data.len()).expect("a batch is cut far below 4 GiB");
        self.ends.push(end);
    }

    /// The values of `range`.
    pub(crate) fn slices(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let mut start = if range.start == 0 { 0 } else { self.ends[range.start - 1] as usize };
        self.ends[range].iter().map(move |end| {
            let value = &self.data[start..*end as usize];
            start = *end as usize;
            value
        })
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.data.truncate(self.end());
    }
}

impl Batch {
    pub(crate) fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|field| Column::new(&field.kind)).collect();
        Self { columns, rows: 0 }
    }

    /// Takes rows off the end until there are `rows`, whether or not the last one was whole.
    pub(crate) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = rows;
    }

    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    /// Bytes that are allocated.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.columns.iter().map(Column::memory_bytes).sum()
    }
}

impl Column {
    pub(crate) fn new(kind: &Type) -> Self {
        let values = match kind {
            Type::Boolean => Values::Boolean(Bits::default()),
            Type::TinyInt | Type::SmallInt | Type::Int | Type::Date => Values::Int(Vec::new()),
            Type::BigInt => Values::BigInt(Vec::new()),
            Type::Float => Values::Float(Vec::new()),
            Type::Double => Values::Double(Vec::new()),
            Type::Decimal { .. } => Values::Decimal(Vec::new()),
            Type::String | Type::Char(_) | Type::Varchar(_) | Type::Binary => {
                Values::Bytes(ByteValues::default())
            }
            Type::Timestamp => Values::Timestamp(Vec::new()),
            Type::Array(element) => Values::Array(Lengths::default(), Box::new(Self::new(element))),
            Type::Map(key, value) => {
                Values::Map(Lengths::default(), Box::new((Self::new(key), Self::new(value))))
            }
            Type::Struct(fields) => {
                Values::Struct(fields.iter().map(|field| Self::new(&field.kind)).collect())
            }
        };
        Self { valid: Bits::default(), values }
    }

    /// Slots, null or not.
    pub(crate) fn len(&self) -> usize {
        self.valid.len()
    }

    pub(crate) fn push_null(&mut self) {
        self.valid.push(false);
    }

    /// Takes slots off the end until there are `len`. Costs what is taken off, not what stays.
    /// Values that were pushed without their slot, when a record failed half way, go as well.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.valid.truncate(len);
        let len = self.valid.ones();
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::Int(values) => values.truncate(len),
            Values::BigInt(values) => values.truncate(len),
            Values::Float(values) => values.truncate(len),
            Values::Double(values) => values.truncate(len),
            Values::Decimal(values) => values.truncate(len),
            Values::Bytes(values) => values.truncate(len),
            Values::Timestamp(values) => values.truncate(len),
            Values::Array(lengths, element) => {
                lengths.truncate(len);
                element.truncate(lengths.total);
            }
            Values::Map(lengths, entries) => {
                lengths.truncate(len);
                entries.0.truncate(lengths.total);
                entries.1.truncate(lengths.total);
            }
            Values::Struct(columns) => {
                for column in columns {
                    column.truncate(len);
                }
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Boolean(values) => values.memory_bytes(),
            Values::Int(values) => values.capacity() * size_of::<i32>(),
            Values::BigInt(values) => values.capacity() * size_of::<i64>(),
            Values::Float(values) => values.capacity() * size_of::<f32>(),
            Values::Double(values) => values.capacity() * size_of::<f64>(),
            Values::Decimal(values) => values.capacity() * size_of::<i128>(),
            Values::Timestamp(values) => values.capacity() * size_of::<Stamp>(),
            Values::Bytes(values) => values.data.capacity() + values.ends.capacity() * 4,
            Values::Array(lengths, element) => {
                lengths.counts.capacity() * 4 + element.memory_bytes()
            }
            Values::Map(lengths, entries) => {
                lengths.counts.capacity() * 4 + entries.0.memory_bytes() + entries.1.memory_bytes()
            }
            Values::Struct(columns) => columns.iter().map(Self::memory_bytes).sum(),
        };
        values + self.valid.memory_bytes()
    }
}
