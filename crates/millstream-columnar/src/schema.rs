//! The columns of a table: Hive's types, nested at will.
//!
//! Names are kept as they are written; two that differ only in case are refused, because readers
//! of tables do not tell them apart.

mod parse;

use crate::error::SchemaError;

/// The columns of a table, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
}

/// A column, or a member of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As the table spells it.
    pub name: String,
    /// What it holds.
    pub kind: Type,
}

/// A Hive type. Anything may be null, save the keys of maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Boolean,
    /// 8 bits.
    TinyInt,
    /// 16 bits.
    SmallInt,
    /// 32 bits.
    Int,
    /// 64 bits.
    BigInt,
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
    /// Text.
    String,
    /// Text of at most so many characters, blanks at its end left off.
    Char(u32),
    /// Text of at most so many characters.
    Varchar(u32),
    /// Bytes.
    Binary,
    /// A day.
    Date,
    /// A moment without a time zone, to the nanosecond; read and written as UTC.
    Timestamp,
    /// Values in order.
    Array(Box<Type>),
    /// Values by key; the key is none of array, map and struct.
    Map(Box<Type>, Box<Type>),
    /// Named members.
    Struct(Vec<Field>),
}

impl Schema {
    /// Reads columns, each a name and a type such as `array<struct<a:int,b:decimal(10,2)>>`.
    pub fn parse(columns: &[(String, String)]) -> Result<Self, SchemaError> {
        let mut fields = Vec::with_capacity(columns.len());
        for (position, (name, text)) in columns.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(SchemaError::NoName { position });
            }
            fields.push(Field { name: name.clone(), kind: parse::parse(name, text)? });
        }
        if fields.is_empty() {
            return Err(SchemaError::NoColumns);
        }
        if let Some(name) = duplicate(&fields) {
            return Err(SchemaError::Duplicate { column: name.clone(), name });
        }
        Ok(Self { fields })
    }

    /// Columns whose types are known already, by names that need not differ beyond case.
    pub(crate) fn of(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// The columns, in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// The first name that appears twice, whatever its case.
fn duplicate(fields: &[Field]) -> Option<String> {
    let mut seen = std::collections::HashSet::with_capacity(fields.len());
    fields
        .iter()
        .find(|field| !seen.insert(field.name.to_lowercase()))
        .map(|field| field.name.clone())
}
