//! Names of tables and columns, read as SQL reads them and written so that they can be nothing
//! else.

/// Names within a table's name: database, schema, table.
const PATH_LENGTH_MAX: usize = 3;
/// A name at most (documented by Redshift; PostgreSQL has 63).
const NAME_BYTES_MAX: usize = 127;

/// The names that make up a table's, outermost first.
pub(super) fn table_path(text: &str) -> Result<Vec<String>, String> {
    let names = list(text, '.')?;
    if names.len() > PATH_LENGTH_MAX {
        return Err(format!("{text:?} has more than {PATH_LENGTH_MAX} names"));
    }
    Ok(names)
}

/// The names of columns; none where the text is blank.
pub(super) fn columns(text: &str) -> Result<Vec<String>, String> {
    if text.trim().is_empty() { Ok(Vec::new()) } else { list(text, ',') }
}

/// `"name"`.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."table"`.
pub(super) fn quoted_path(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(".")
}

fn list(text: &str, separator: char) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (name, behind) = identifier(rest)?;
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("the name {name:?} is above {NAME_BYTES_MAX} bytes"));
        }
        names.push(name);
        let behind = behind.trim_start();
        if behind.is_empty() {
            return Ok(names);
        }
        rest = behind
            .strip_prefix(separator)
            .ok_or_else(|| format!("unexpected {behind:?} in {text:?}"))?
            .trim_start();
    }
}

/// The identifier that `text` begins with, and what is behind it. Outside of quotes capitals
/// are small letters, as in both databases.
fn identifier(text: &str) -> Result<(String, &str), String> {
    if let Some(inner) = text.strip_prefix('"') {
        return quoted_identifier(inner);
    }
    let starts = |first: char| first == '_' || first.is_alphabetic();
    let goes_on = |next: char| next == '_' || next == '$' || next.is_alphanumeric();
    if !text.starts_with(starts) {
        return Err(format!("{text:?} does not begin with a name"));
    }
    let end = text.find(|next| !goes_on(next)).unwrap_or(text.len());
    Ok((text[..end].to_ascii_lowercase(), &text[end..]))
}

fn quoted_identifier(inner: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut rest = inner;
    loop {
        let end = rest.find('"').ok_or_else(|| format!("\"{inner} has no closing quote"))?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(behind) => {
                name.push('"');
                rest = behind;
            }
            None if name.is_empty() || name.contains('\0') => {
                return Err("a name in quotes is empty or holds a zero byte".to_owned());
            }
            None => return Ok((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sql_reads_them() {
        assert_eq!(table_path("Events").unwrap(), ["events"]);
        assert_eq!(table_path("public.events").unwrap(), ["public", "events"]);
        assert_eq!(table_path("\"A.b\" . \"c\"\"d\"").unwrap(), ["A.b", "c\"d"]);
        assert_eq!(columns("a, b_1 ,\"C d\"").unwrap(), ["a", "b_1", "C d"]);
        assert_eq!(columns("  ").unwrap(), [""; 0]);
        assert_eq!(quoted_path(&table_path("s.\"a\"\"b\"").unwrap()), "\"s\".\"a\"\"b\"");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "1a",
            "a;drop table b",
            "a b",
            "a--",
            "a.b.c.d",
            "a.",
            ".a",
            "\"a",
            "\"\"",
            "a/*x*/",
            "a(b)",
            "'a'",
            "a.b;--",
            "\"a\0b\"",
            "$a",
        ] {
            assert!(table_path(text).is_err(), "{text}");
        }
        for text in ["a,", ",a", "a,,b", "a) from 's3://x", "a;b"] {
            assert!(columns(text).is_err(), "{text}");
        }
        assert!(table_path(&"a".repeat(128)).is_err());
    }
}
