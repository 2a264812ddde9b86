//! A table's schema: the columns' types as metadata's JSON has them.

use std::collections::BTreeSet;

use millstream_columnar::table::{Field, Type};
use serde_json::Value;

use crate::error::TableError;

/// Types may be nested this deep: beyond what any table is known to have.
const DEPTH_MAX: usize = 32;

/// The columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    pub(crate) id: i64,
    pub(crate) fields: Vec<Field>,
    /// Fields that may not be null, by number.
    pub(crate) required: BTreeSet<i32>,
    /// Fields that tell rows apart, by number.
    pub(crate) identifiers: Vec<i32>,
    /// As the metadata has it.
    document: Value,
}

/// Where a column is: the places in its parents, from the row on.
pub(crate) type Path = Vec<usize>;

impl TableSchema {
    /// Reads a schema of the table's metadata.
    pub fn parse(document: &Value) -> Result<Self, TableError> {
        let mut schema = Self {
            id: document.get("schema-id").and_then(Value::as_i64).unwrap_or(0),
            fields: Vec::new(),
            required: BTreeSet::new(),
            identifiers: Vec::new(),
            document: document.clone(),
        };
        schema.fields = members(document, &mut schema.required, 0)?;
        if schema.fields.is_empty() {
            return Err(TableError::malformed("a schema without columns"));
        }
        if let Some(ids) = document.get("identifier-field-ids") {
            let ids = ids.as_array().into_iter().flatten();
            schema.identifiers =
                ids.map(|id| number(Some(id), "identifier-field-ids")).collect::<Result<_, _>>()?;
        }
        Ok(schema)
    }

    /// Its number.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// As the metadata has it.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// The column of a number, which is in no list or map, and where it is.
    pub(crate) fn find(&self, id: i32) -> Option<(Path, &Field)> {
        find(&self.fields, &|field| field.id == id)
    }

    /// The one column of a name, wherever in structs it is (documented by Firehose: a name that is
    /// there twice is no key).
    pub(crate) fn find_name(&self, name: &str) -> Option<(Path, &Field)> {
        let mut count = 0;
        count_name(&self.fields, name, &mut count);
        if count != 1 {
            return None;
        }
        find(&self.fields, &|field| field.name == name)
    }
}

fn find<'a>(fields: &'a [Field], is_it: &dyn Fn(&Field) -> bool) -> Option<(Path, &'a Field)> {
    for (place, field) in fields.iter().enumerate() {
        if is_it(field) {
            return Some((vec![place], field));
        }
        if let Type::Struct(members) = &field.kind
            && let Some((mut path, found)) = find(members, is_it)
        {
            path.insert(0, place);
            return Some((path, found));
        }
    }
    None
}

fn count_name(fields: &[Field], name: &str, count: &mut usize) {
    for field in fields {
        *count += usize::from(field.name == name);
        if let Type::Struct(members) = &field.kind {
            count_name(members, name, count);
        }
    }
}

pub(crate) fn number(value: Option<&Value>, what: &str) -> Result<i32, TableError> {
    let number = value.and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| TableError::malformed(format!("{what} is no number")))
}

fn members(
    document: &Value,
    required: &mut BTreeSet<i32>,
    depth: usize,
) -> Result<Vec<Field>, TableError> {
    let fields = document.get("fields").and_then(Value::as_array);
    let fields = fields.ok_or_else(|| TableError::malformed("a struct without fields"))?;
    let mut found = Vec::with_capacity(fields.len());
    for field in fields {
        let id = number(field.get("id"), "a field's id")?;
        let name = field.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| TableError::malformed("a field without a name"))?.to_owned();
        let kind =
            field.get("type").ok_or_else(|| TableError::malformed("a field without a type"))?;
        note(field, "required", id, required);
        found.push(Field { id, name, kind: kind_of(kind, required, depth + 1)? });
    }
    Ok(found)
}

fn note(document: &Value, name: &str, id: i32, required: &mut BTreeSet<i32>) {
    if document.get(name).and_then(Value::as_bool).unwrap_or(false) {
        required.insert(id);
    }
}

fn kind_of(
    document: &Value,
    required: &mut BTreeSet<i32>,
    depth: usize,
) -> Result<Type, TableError> {
    if depth > DEPTH_MAX {
        return Err(TableError::unsupported(format!("types nested more than {DEPTH_MAX} deep")));
    }
    if let Some(name) = document.as_str() {
        return primitive(name);
    }
    let part = |name: &str| {
        document.get(name).ok_or_else(|| TableError::malformed(format!("a type without {name}")))
    };
    match document.get("type").and_then(Value::as_str) {
        Some("struct") => Ok(Type::Struct(members(document, required, depth)?)),
        Some("list") => {
            let id = number(document.get("element-id"), "element-id")?;
            note(document, "element-required", id, required);
            Ok(Type::List(id, Box::new(kind_of(part("element")?, required, depth + 1)?)))
        }
        Some("map") => {
            let key = number(document.get("key-id"), "key-id")?;
            let value = number(document.get("value-id"), "value-id")?;
            note(document, "value-required", value, required);
            let key_kind = kind_of(part("key")?, required, depth + 1)?;
            let value_kind = kind_of(part("value")?, required, depth + 1)?;
            Ok(Type::Map((key, Box::new(key_kind)), (value, Box::new(value_kind))))
        }
        other => Err(TableError::unsupported(format!("the type {other:?}"))),
    }
}

fn primitive(name: &str) -> Result<Type, TableError> {
    let plain = match name {
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "date" => Type::Date,
        "time" => Type::Time,
        "timestamp" => Type::Timestamp { utc: false },
        "timestamptz" => Type::Timestamp { utc: true },
        "string" => Type::String,
        "uuid" => Type::Uuid,
        "binary" => Type::Binary,
        name => return sized(name),
    };
    Ok(plain)
}

/// Types with numbers in them.
fn sized(name: &str) -> Result<Type, TableError> {
    let wrong = || TableError::unsupported(format!("the type {name:?}"));
    if let Some(length) = name.strip_prefix("fixed[").and_then(|rest| rest.strip_suffix(']')) {
        return length.trim().parse().map(Type::Fixed).map_err(|_| wrong());
    }
    let inner = name.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
    let (precision, scale) = inner.and_then(|inner| inner.split_once(',')).ok_or_else(wrong)?;
    let precision = precision.trim().parse::<u8>().map_err(|_| wrong())?;
    let scale = scale.trim().parse::<u8>().map_err(|_| wrong())?;
    if !(1..=38).contains(&precision) || scale > precision {
        return Err(wrong());
    }
    Ok(Type::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_read_with_all_types_and_numbers() {
        let document = json!({"type": "struct", "schema-id": 3, "identifier-field-ids": [1],
            "fields": [
                {"id": 1, "name": "id", "required": true, "type": "long"},
                {"id": 2, "name": "price", "required": false, "type": "decimal(10, 2)"},
                {"id": 3, "name": "at", "required": false, "type": "timestamptz"},
                {"id": 4, "name": "code", "required": false, "type": "fixed[16]"},
                {"id": 5, "name": "tags", "required": false, "type":
                    {"type": "list", "element-id": 6, "element-required": true, "element": "string"}},
                {"id": 7, "name": "m", "required": false, "type": {"type": "map", "key-id": 8,
                    "key": "string", "value-id": 9, "value-required": false, "value": "int"}},
                {"id": 10, "name": "s", "required": false, "type": {"type": "struct", "fields": [
                    {"id": 11, "name": "x", "required": true, "type": "uuid"},
                    {"id": 12, "name": "id", "required": false, "type": "time"}]}}]});
        let schema = TableSchema::parse(&document).unwrap();
        assert_eq!((schema.id, schema.identifiers.as_slice()), (3, &[1][..]));
        assert_eq!(schema.required, BTreeSet::from([1, 6, 11]));
        assert_eq!(schema.fields[1].kind, Type::Decimal { precision: 10, scale: 2 });
        assert_eq!(schema.find(11).unwrap().0, [6, 0]);
        assert_eq!(schema.find(6), None);
        assert_eq!(schema.find_name("x").unwrap().0, [6, 0]);
        // Firehose's own rule: a name that is there twice is no key.
        assert_eq!(schema.find_name("id"), None);
        for kind in ["timestamp_ns", "variant", "decimal(39,0)", "decimal(3,4)", "fixed[x]"] {
            assert!(matches!(primitive(kind), Err(TableError::Unsupported(_))), "{kind}");
        }
    }
}
