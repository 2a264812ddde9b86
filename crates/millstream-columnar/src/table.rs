//! Rows of typed values as the files of a table: Parquet with field numbers and statistics.
//!
//! For table formats that keep their own schema (Apache Iceberg): columns are told by number, types
//! are as the format has them, and whoever records a file in the table wants to know what is in
//! it. Source: Iceberg's table specification, "Parquet" of its appendix A.
//!
//! Every column is written as optional, whatever the table says: a reader takes the levels from
//! the file.

use bytes::Bytes;

use crate::batch::{Batch, Column, Values};
use crate::options::{ParquetOptions, ParquetVersion};
use crate::parquet::{Annotation, Bounds, LeafSummary, Logical, ParquetFile};
use crate::schema::{Field as StoredField, Schema, Type as Stored};

/// Rows are encoded when their values reach this.
const BATCH_BYTES: usize = 256 << 10;

/// A column, or a member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its number.
    pub id: i32,
    /// As the table spells it.
    pub name: String,
    /// What it holds.
    pub kind: Type,
}

/// A type of Iceberg's second version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Boolean,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// 32 bits, binary point.
    Float,
    /// 64 bits, binary point.
    Double,
    /// Decimal point: `precision` digits, `scale` of them behind the point.
    Decimal {
        /// 1 to 38.
        precision: u8,
        /// 0 to the precision.
        scale: u8,
    },
    /// A day.
    Date,
    /// A time of the day, in microseconds.
    Time,
    /// A moment in microseconds: in UTC, or without a time zone.
    Timestamp {
        /// Whether it is in UTC.
        utc: bool,
    },
    /// Text.
    String,
    /// 16 bytes.
    Uuid,
    /// So many bytes.
    Fixed(usize),
    /// Bytes.
    Binary,
    /// Values in order, with the element's number.
    List(i32, Box<Type>),
    /// Values by key, with the numbers of both.
    Map((i32, Box<Type>), (i32, Box<Type>)),
    /// Named members.
    Struct(Vec<Field>),
}

/// A value, which must be of its column's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// Of a boolean.
    Boolean(bool),
    /// Of an int; of a date, days since 1970.
    Int(i32),
    /// Of a long; microseconds of a time or a timestamp.
    Long(i64),
    /// Of a float.
    Float(f32),
    /// Of a double.
    Double(f64),
    /// Of a decimal, times ten to its scale.
    Decimal(i128),
    /// Of text, and whatever else is bytes.
    Bytes(Vec<u8>),
    /// Of a list.
    List(Vec<Cell>),
    /// Of a map, each key once.
    Map(Vec<(Cell, Cell)>),
    /// Of a struct, one for each member.
    Struct(Vec<Cell>),
}

/// What a file holds of one column, or of one leaf below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSummary {
    /// The field's number.
    pub id: i32,
    /// Bytes in the file.
    pub bytes: u64,
    /// How many values there are, nulls among them; `None` below lists and maps, where values are
    /// not rows.
    pub counts: Option<Counts>,
    /// No value is below the first or above the second. Numbers are little-endian, decimals
    /// big-endian and as short as can be.
    pub bounds: Option<(Vec<u8>, Vec<u8>)>,
}

/// How many values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Nulls among them.
    pub values: u64,
    /// Those that are null.
    pub nulls: u64,
}

/// A file that is whole.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its bytes, in order.
    pub chunks: Vec<Bytes>,
    /// Rows in it.
    pub rows: u64,
    /// What is in it.
    pub columns: Vec<ColumnSummary>,
    /// Where its row groups begin.
    pub row_groups: Vec<u64>,
}

/// A file that is being written.
#[derive(Debug)]
pub struct TableFile {
    file: ParquetFile,
    batch: Batch,
    /// About how many bytes are in the batch.
    batch_bytes: usize,
    rows: u64,
    /// Numbers of decimals that are stored as integers.
    decimals: Vec<i32>,
}

impl TableFile {
    /// Begins a file of these columns. `options` say how it is laid out; its dictionaries are on.
    pub fn new(fields: &[Field], options: &ParquetOptions) -> Self {
        let mut annotations = Vec::new();
        let stored: Vec<StoredField> =
            fields.iter().map(|field| store(field, &mut annotations)).collect();
        let is_decimal =
            |annotation: &&Annotation| matches!(annotation.logical, Logical::Decimal { .. });
        let decimals = annotations.iter().filter(is_decimal).map(|one| one.id).collect();
        let schema = Schema::of(stored);
        let batch = Batch::new(&schema);
        let options =
            ParquetOptions { dictionary: true, version: ParquetVersion::V1, ..options.clone() };
        let file = ParquetFile::annotated(&schema, annotations, &options);
        Self { file, batch, batch_bytes: 0, rows: 0, decimals }
    }

    /// Appends a row: a cell for each column, of its type.
    pub fn push(&mut self, row: &[Cell]) {
        assert_eq!(row.len(), self.batch.columns.len(), "a row has a cell for each column");
        for (cell, column) in row.iter().zip(&mut self.batch.columns) {
            self.batch_bytes += push(cell, column);
        }
        self.batch.rows += 1;
        self.rows += 1;
        if self.batch_bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The whole file, with what is in it.
    pub fn finish(mut self) -> Finished {
        self.flush();
        let (leaves, row_groups) = self.file.summary();
        let columns = leaves.iter().map(|leaf| summary(leaf, &self.decimals)).collect();
        Finished { chunks: self.file.finish(), rows: self.rows, columns, row_groups }
    }

    fn flush(&mut self) {
        self.file.append(&self.batch);
        self.batch.clear();
        self.batch_bytes = 0;
    }
}

/// The column that stores a field; notes what its metadata says, depth first.
fn store(field: &Field, annotations: &mut Vec<Annotation>) -> StoredField {
    let kind = stored(field.id, &field.kind, annotations);
    StoredField { name: field.name.clone(), kind }
}

fn stored(id: i32, kind: &Type, annotations: &mut Vec<Annotation>) -> Stored {
    let (stored, logical) = match kind {
        Type::Boolean => (Stored::Boolean, Logical::Own),
        Type::Int => (Stored::Int, Logical::Own),
        Type::Long => (Stored::BigInt, Logical::Own),
        Type::Float => (Stored::Float, Logical::Own),
        Type::Double => (Stored::Double, Logical::Own),
        Type::Decimal { precision, scale } => {
            let (precision, scale) = (*precision, *scale);
            match precision {
                0..=9 => (Stored::Int, Logical::Decimal { precision, scale }),
                10..=18 => (Stored::BigInt, Logical::Decimal { precision, scale }),
                _ => (Stored::Decimal { precision, scale }, Logical::Own),
            }
        }
        Type::Date => (Stored::Date, Logical::Own),
        Type::Time => (Stored::BigInt, Logical::Time),
        Type::Timestamp { utc } => (Stored::BigInt, Logical::Timestamp { utc: *utc }),
        Type::String => (Stored::String, Logical::Own),
        Type::Uuid => (Stored::Binary, Logical::Uuid),
        Type::Fixed(bytes) => (Stored::Binary, Logical::Fixed(*bytes)),
        Type::Binary => (Stored::Binary, Logical::Own),
        Type::List(element_id, element) => {
            annotations.push(Annotation { id, logical: Logical::Own });
            return Stored::Array(Box::new(stored(*element_id, element, annotations)));
        }
        Type::Map((key_id, key), (value_id, value)) => {
            annotations.push(Annotation { id, logical: Logical::Own });
            let key = stored(*key_id, key, annotations);
            return Stored::Map(Box::new(key), Box::new(stored(*value_id, value, annotations)));
        }
        Type::Struct(fields) => {
            annotations.push(Annotation { id, logical: Logical::Own });
            return Stored::Struct(fields.iter().map(|one| store(one, annotations)).collect());
        }
    };
    annotations.push(Annotation { id, logical });
    stored
}

/// Appends a value to its column; about how many bytes it takes.
fn push(cell: &Cell, column: &mut Column) -> usize {
    if *cell == Cell::Null {
        column.push_null();
        return 1;
    }
    let bytes = match (cell, &mut column.values) {
        (Cell::Boolean(value), Values::Boolean(values)) => {
            values.push(*value);
            1
        }
        (Cell::Int(value), Values::Int(values)) => {
            values.push(*value);
            4
        }
        (Cell::Long(value), Values::BigInt(values)) => {
            values.push(*value);
            8
        }
        (Cell::Float(value), Values::Float(values)) => {
            values.push(*value);
            4
        }
        (Cell::Double(value), Values::Double(values)) => {
            values.push(*value);
            8
        }
        (Cell::Decimal(value), Values::Int(values)) => {
            values.push(i32::try_from(*value).expect("nine digits fit"));
            4
        }
        (Cell::Decimal(value), Values::BigInt(values)) => {
            values.push(i64::try_from(*value).expect("eighteen digits fit"));
            8
        }
        (Cell::Decimal(value), Values::Decimal(values)) => {
            values.push(*value);
            16
        }
        (Cell::Bytes(value), Values::Bytes(values)) => {
            values.data.extend_from_slice(value);
            values.close();
            value.len() + 4
        }
        (cell, values) => push_nested(cell, values),
    };
    column.valid.push(true);
    bytes
}

fn push_nested(cell: &Cell, values: &mut Values) -> usize {
    match (cell, values) {
        (Cell::List(cells), Values::Array(lengths, element)) => {
            let bytes: usize = cells.iter().map(|cell| push(cell, element)).sum();
            lengths.close(element.len());
            bytes + 4
        }
        (Cell::Map(pairs), Values::Map(lengths, entries)) => {
            let (keys, values) = &mut **entries;
            let each = |(key, value): &(Cell, Cell)| push(key, keys) + push(value, values);
            let bytes: usize = pairs.iter().map(each).sum();
            lengths.close(entries.0.len());
            bytes + 4
        }
        (Cell::Struct(cells), Values::Struct(columns)) => {
            assert_eq!(cells.len(), columns.len(), "a struct has a cell for each member");
            cells.iter().zip(columns).map(|(cell, column)| push(cell, column)).sum()
        }
        (cell, _) => unreachable!("{cell:?} is not of its column's type"),
    }
}

fn summary(leaf: &LeafSummary, decimals: &[i32]) -> ColumnSummary {
    let counts = Counts { values: leaf.entries, nulls: leaf.nulls };
    let bounds = match &leaf.bounds {
        _ if leaf.repeats => None,
        Bounds::Int(bounds) if decimals.contains(&leaf.id) => {
            bounds.map(|(low, high)| (decimal_bytes(low.into()), decimal_bytes(high.into())))
        }
        Bounds::BigInt(bounds) if decimals.contains(&leaf.id) => {
            bounds.map(|(low, high)| (decimal_bytes(low.into()), decimal_bytes(high.into())))
        }
        Bounds::Decimal(bounds, _) => {
            bounds.map(|(low, high)| (decimal_bytes(low), decimal_bytes(high)))
        }
        bounds => bounds.encoded().map(|bounds| (bounds.min, bounds.max)),
    };
    let counts = (!leaf.repeats).then_some(counts);
    ColumnSummary { id: leaf.id, bytes: leaf.bytes, counts, bounds }
}

/// The fewest bytes that hold a number with its sign, the high one first.
pub fn decimal_bytes(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let filler = if value < 0 { 0xFF } else { 0 };
    let is_needed = |at: &usize| bytes[*at] != filler || (bytes[at + 1] & 0x80 != 0) != (value < 0);
    let start = (0..15).find(is_needed).unwrap_or(15);
    bytes[start..].to_vec()
}

#[cfg(test)]
mod tests {
    use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field as Read;

    use super::*;

    fn field(id: i32, name: &str, kind: Type) -> Field {
        Field { id, name: name.to_owned(), kind }
    }

    fn read(finished: &Finished) -> SerializedFileReader<Bytes> {
        SerializedFileReader::new(Bytes::from(finished.chunks.concat())).unwrap()
    }

    #[test]
    fn decimals_are_as_short_as_their_sign_allows() {
        let rows: [(i128, &[u8]); 7] = [
            (0, &[0]),
            (-1, &[0xFF]),
            (127, &[0x7F]),
            (128, &[0, 0x80]),
            (-128, &[0x80]),
            (-129, &[0xFF, 0x7F]),
            (0x0123_4567, &[1, 0x23, 0x45, 0x67]),
        ];
        for (value, expected) in rows {
            assert_eq!(decimal_bytes(value), expected, "{value}");
        }
        assert_eq!(decimal_bytes(i128::MIN).len(), 16);
    }

    #[test]
    fn every_node_has_its_number_and_every_leaf_its_statistics() {
        let members = vec![field(7, "x", Type::Float), field(8, "y", Type::Uuid)];
        let fields = [
            field(1, "id", Type::Long),
            field(2, "price", Type::Decimal { precision: 9, scale: 2 }),
            field(3, "at", Type::Timestamp { utc: false }),
            field(4, "tags", Type::List(5, Box::new(Type::String))),
            field(6, "s", Type::Struct(members)),
            field(9, "m", Type::Map((10, Box::new(Type::String)), (11, Box::new(Type::Time)))),
            field(12, "big", Type::Decimal { precision: 38, scale: 0 }),
            field(13, "code", Type::Fixed(3)),
        ];
        let mut file = TableFile::new(&fields, &ParquetOptions::default());
        let text = |text: &str| Cell::Bytes(text.as_bytes().to_vec());
        file.push(&[
            Cell::Long(-5),
            Cell::Decimal(-1250),
            Cell::Long(1_000_000),
            Cell::List(vec![text("a"), Cell::Null]),
            Cell::Struct(vec![Cell::Float(1.5), Cell::Bytes(vec![7; 16])]),
            Cell::Map(vec![(text("k"), Cell::Long(60_000_000))]),
            Cell::Decimal(-129),
            text("abc"),
        ]);
        file.push(&[
            Cell::Long(9),
            Cell::Null,
            Cell::Long(2),
            Cell::Null,
            Cell::Null,
            Cell::Map(Vec::new()),
            Cell::Decimal(1 << 100),
            Cell::Null,
        ]);
        let finished = file.finish();
        assert_eq!((finished.rows, finished.row_groups.as_slice()), (2, &[4][..]));
        let by_id = |id: i32| finished.columns.iter().find(|column| column.id == id).unwrap();
        let long = |value: i64| value.to_le_bytes().to_vec();
        assert_eq!(by_id(1).bounds, Some((long(-5), long(9))));
        assert_eq!(by_id(2).bounds, Some((decimal_bytes(-1250), decimal_bytes(-1250))));
        assert_eq!(by_id(2).counts, Some(Counts { values: 2, nulls: 1 }));
        assert_eq!(by_id(12).bounds, Some((decimal_bytes(-129), decimal_bytes(1 << 100))));
        assert_eq!((by_id(5).counts, by_id(5).bounds.as_ref()), (None, None));
        assert_eq!(by_id(7).counts, Some(Counts { values: 2, nulls: 1 }));
        let reader = read(&finished);
        let schema = reader.metadata().file_metadata().schema();
        let ids: Vec<i32> = schema.get_fields().iter().map(|f| f.get_basic_info().id()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 6, 9, 12, 13]);
        let price = &schema.get_fields()[1];
        assert_eq!(price.get_physical_type(), PhysicalType::INT32);
        assert_eq!(price.get_basic_info().converted_type(), ConvertedType::DECIMAL);
        let at = schema.get_fields()[2].get_basic_info().logical_type_ref().cloned();
        let is_plain =
            matches!(at, Some(LogicalType::Timestamp { is_adjusted_to_u_t_c: false, .. }));
        assert!(is_plain, "{at:?}");
        let element = &schema.get_fields()[3].get_fields()[0].get_fields()[0];
        assert_eq!(element.get_basic_info().id(), 5);
        let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
        let row: Vec<Read> = row.get_column_iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(row[0], Read::Long(-5));
        assert_eq!(row[1].to_string(), "-12.50");
        assert_eq!(row[6].to_string(), "-129.");
        assert_eq!(row[7].to_string(), "[97, 98, 99]");
    }
}
