//! What tells rows apart: the columns of equality deletes.

use std::collections::BTreeSet;

use millstream_columnar::table::{Cell, Field, Type};

use crate::error::TableError;
use crate::partition::at;
use crate::schema::{Path, TableSchema};
use crate::value;

/// The columns that tell a table's rows apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) ids: Vec<i32>,
    paths: Vec<Path>,
    /// The columns of a file of deletes: these, inside of the structs that they are in.
    pub(crate) fields: Vec<Field>,
    projection: Projection,
}

/// Which members of a row, and of the structs in it, are kept.
type Projection = Vec<(usize, Option<Box<Inner>>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner(Projection);

impl Keys {
    /// The keys that `names` say, or those that the table itself has; `None` where there are none.
    pub(crate) fn new(schema: &TableSchema, names: &[String]) -> Result<Option<Self>, TableError> {
        let mut found = Vec::new();
        for name in names {
            let key = schema.find_name(name);
            let key = key.ok_or_else(|| {
                TableError::UniqueKeys(format!("{name} is not exactly one column's name"))
            })?;
            found.push(key);
        }
        if names.is_empty() {
            for id in &schema.identifiers {
                let key = schema.find(*id);
                found.push(key.ok_or_else(|| {
                    TableError::malformed(format!("identifier field {id} is not there"))
                })?);
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        for (_, field) in &found {
            let is_unfit = matches!(
                field.kind,
                Type::Float | Type::Double | Type::List(..) | Type::Map(..) | Type::Struct(_)
            );
            if is_unfit {
                let what = format!("{} is of a type that tells no rows apart", field.name);
                return Err(TableError::UniqueKeys(what));
            }
        }
        let ids: Vec<i32> = found.iter().map(|(_, field)| field.id).collect();
        let paths = found.into_iter().map(|(path, _)| path).collect();
        let wanted: BTreeSet<i32> = ids.iter().copied().collect();
        let (fields, projection) = project(&schema.fields, &wanted);
        Ok(Some(Self { ids, paths, fields, projection }))
    }

    /// What is the same for rows with the same keys; `None` where one of the keys is null.
    pub(crate) fn identify(&self, row: &[Cell]) -> (Vec<u8>, bool) {
        let (mut out, mut has_null) = (Vec::new(), false);
        for path in &self.paths {
            let cell = at(row, path);
            has_null |= *cell == Cell::Null;
            value::identify(cell, &mut out);
        }
        (out, has_null)
    }

    /// A row of a file of deletes.
    pub(crate) fn project(&self, row: &[Cell]) -> Vec<Cell> {
        keep(row, &self.projection)
    }
}

fn project(fields: &[Field], wanted: &BTreeSet<i32>) -> (Vec<Field>, Projection) {
    let (mut kept, mut projection) = (Vec::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        if wanted.contains(&field.id) {
            kept.push(field.clone());
            projection.push((place, None));
        } else if let Type::Struct(members) = &field.kind {
            let (members, inner) = project(members, wanted);
            if !members.is_empty() {
                kept.push(Field { kind: Type::Struct(members), ..field.clone() });
                projection.push((place, Some(Box::new(Inner(inner)))));
            }
        }
    }
    (kept, projection)
}

fn keep(row: &[Cell], projection: &Projection) -> Vec<Cell> {
    let pick = |(place, inner): &(usize, Option<Box<Inner>>)| match (&row[*place], inner) {
        (cell, None) => cell.clone(),
        (Cell::Struct(members), Some(inner)) => Cell::Struct(keep(members, &inner.0)),
        (_, Some(_)) => Cell::Null,
    };
    projection.iter().map(pick).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_the_configured_ones_or_the_tables_own() {
        let document = json!({"identifier-field-ids": [1], "fields": [
            {"id": 1, "name": "id", "required": true, "type": "long"},
            {"id": 2, "name": "top", "type": {"type": "struct", "fields": [
                {"id": 3, "name": "name", "type": "string"},
                {"id": 4, "name": "_id", "type": "string"}]}},
            {"id": 5, "name": "score", "type": "double"}]});
        let schema = TableSchema::parse(&document).unwrap();
        let own = Keys::new(&schema, &[]).unwrap().unwrap();
        assert_eq!(own.ids, [1]);
        let keys = Keys::new(&schema, &["_id".to_owned()]).unwrap().unwrap();
        assert_eq!(keys.ids, [4]);
        let text = |text: &str| Cell::Bytes(text.as_bytes().to_vec());
        let row = [Cell::Long(1), Cell::Struct(vec![text("n"), text("k")]), Cell::Null];
        assert_eq!(keys.project(&row), [Cell::Struct(vec![text("k")])]);
        assert!(!keys.identify(&row).1);
        assert!(keys.identify(&[Cell::Long(1), Cell::Null, Cell::Null]).1);
        let Type::Struct(members) = &keys.fields[0].kind else { panic!("a struct is kept one") };
        assert_eq!((keys.fields.len(), members.len(), members[0].id), (1, 1, 4));
        for wrong in ["none", "score", "top", "top._id"] {
            let found = Keys::new(&schema, &[wrong.to_owned()]);
            assert!(matches!(found, Err(TableError::UniqueKeys(_))), "{wrong}");
        }
    }
}
