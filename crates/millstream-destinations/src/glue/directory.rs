//! A catalog of files.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::{CatalogError, Columns, Table, TableVersion};

/// What a file may hold: `GetTable`'s answer, or the table itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Answer {
        #[serde(rename = "Table")]
        table: Table,
    },
    Table(Table),
}

pub(super) async fn columns(root: &Path, of: &TableVersion) -> Result<Columns, CatalogError> {
    let name = format!("{}.{}.json", of.database, of.table);
    // A name is one file's, and no way out of the directory.
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['/', '\\', '\0']);
    if !is_plain(&of.database) || !is_plain(&of.table) || of.database.starts_with('.') {
        return Err(CatalogError::NotFound(name));
    }
    let path = root.join(&name);
    let read = tokio::task::spawn_blocking(move || {
        #[allow(clippy::disallowed_methods)] // A catalog of files lives here.
        std::fs::read(path)
    });
    let read = read.await.map_err(|error| CatalogError::Unavailable(error.to_string()))?;
    let text = read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CatalogError::NotFound(name.clone()),
        io::ErrorKind::PermissionDenied => CatalogError::AccessDenied(name.clone()),
        _ => CatalogError::Unavailable(format!("{name}: {error}")),
    })?;
    parse(&text)
        .map_err(|reason| CatalogError::Unusable(format!("{name}: {reason}")))?
        .into_columns(None)
}

fn parse(text: &[u8]) -> Result<Table, serde_json::Error> {
    Ok(match serde_json::from_slice(text)? {
        Form::Answer { table } | Form::Table(table) => table,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_table_or_the_answer_that_holds_it() {
        let table = r#"{"Name":"t","PartitionKeys":[{"Name":"p","Type":"string"}],
            "StorageDescriptor":{"Columns":[{"Name":"a","Type":"int","Comment":""},
            {"Name":"b","Type":"array<string>"}]}}"#;
        let expected = [("a", "int"), ("b", "array<string>")];
        let expected = expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        for text in [table.to_owned(), format!(r#"{{"Table":{table}}}"#)] {
            let columns = parse(text.as_bytes()).unwrap().into_columns(None).unwrap();
            assert_eq!(columns.columns, expected);
        }
        for text in [
            "{}",
            r#"{"StorageDescriptor":{}}"#,
            r#"{"StorageDescriptor":{"Columns":[{"Name":"a"}]}}"#,
        ] {
            let table = parse(text.as_bytes()).unwrap();
            assert!(matches!(table.into_columns(None), Err(CatalogError::Unusable(_))), "{text}");
        }
    }
}
