//! From the text of a Hive type to a [`Type`].
//!
//! The grammar is that of Hive's TypeInfoParser, with blanks allowed between tokens, type names in
//! any case, and names of members in backquotes where they need them.

use super::{Field, Type, duplicate};
use crate::error::SchemaError;

/// Types nested deeper than this are refused: the readers recurse over them.
pub(super) const DEPTH_MAX: usize = 32;

/// Bounds of Hive's own types.
const CHAR_MAX: u32 = 255;
const VARCHAR_MAX: u32 = 65_535;
const PRECISION_MAX: u32 = 38;
/// What `decimal` means without digits.
const DECIMAL_DEFAULT: (u8, u8) = (10, 0);

/// Reads the type `text` of the column `column`.
pub(super) fn parse(column: &str, text: &str) -> Result<Type, SchemaError> {
    let mut parser = Parser { column, text, at: 0 };
    let kind = parser.kind(0)?;
    parser.blanks();
    if parser.at < text.len() {
        return Err(parser.syntax("the end"));
    }
    Ok(kind)
}

struct Parser<'a> {
    column: &'a str,
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn kind(&mut self, depth: usize) -> Result<Type, SchemaError> {
        if depth >= DEPTH_MAX {
            return Err(SchemaError::Depth {
                column: self.column.to_owned(),
                depth_max: DEPTH_MAX,
            });
        }
        let start = self.at;
        let name = self.word();
        match name.as_str() {
            "boolean" => Ok(Type::Boolean),
            "tinyint" => Ok(Type::TinyInt),
            "smallint" => Ok(Type::SmallInt),
            "int" | "integer" => Ok(Type::Int),
            "bigint" => Ok(Type::BigInt),
            "float" | "real" => Ok(Type::Float),
            "double" => {
                // `double precision` is one type in two words.
                let before = self.at;
                if self.word() != "precision" {
                    self.at = before;
                }
                Ok(Type::Double)
            }
            "decimal" | "dec" | "numeric" => self.decimal(),
            "string" => Ok(Type::String),
            "char" => self.length("the length of char", CHAR_MAX, "1 to 255").map(Type::Char),
            "varchar" => {
                self.length("the length of varchar", VARCHAR_MAX, "1 to 65535").map(Type::Varchar)
            }
            "binary" => Ok(Type::Binary),
            "date" => Ok(Type::Date),
            "timestamp" => Ok(Type::Timestamp),
            "array" => {
                self.token('<')?;
                let element = self.kind(depth + 1)?;
                self.token('>')?;
                Ok(Type::Array(Box::new(element)))
            }
            "map" => self.map(depth),
            "struct" => self.members(depth),
            "" => {
                self.at = start;
                Err(self.syntax("a type"))
            }
            _ => Err(SchemaError::Unsupported { column: self.column.to_owned(), kind: name }),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Type, SchemaError> {
        self.token('<')?;
        let key = self.kind(depth + 1)?;
        if matches!(key, Type::Array(_) | Type::Map(..) | Type::Struct(_)) {
            return Err(SchemaError::Unsupported {
                column: self.column.to_owned(),
                kind: "map with a nested key".to_owned(),
            });
        }
        self.token(',')?;
        let value = self.kind(depth + 1)?;
        self.token('>')?;
        Ok(Type::Map(Box::new(key), Box::new(value)))
    }

    fn members(&mut self, depth: usize) -> Result<Type, SchemaError> {
        self.token('<')?;
        let mut fields = Vec::new();
        loop {
            let name = self.member_name()?;
            self.token(':')?;
            fields.push(Field { name, kind: self.kind(depth + 1)? });
            if !self.accept(',') {
                break;
            }
        }
        self.token('>')?;
        match duplicate(&fields) {
            Some(name) => Err(SchemaError::Duplicate { column: self.column.to_owned(), name }),
            None => Ok(Type::Struct(fields)),
        }
    }

    /// A member's name: anything up to the colon, or in backquotes, where two stand for one.
    fn member_name(&mut self) -> Result<String, SchemaError> {
        self.blanks();
        let mut name = String::new();
        if self.accept('`') {
            loop {
                let rest = &self.text[self.at..];
                let Some(end) = rest.find('`') else {
                    return Err(self.syntax("a closing backquote"));
                };
                name.push_str(&rest[..end]);
                self.at += end + 1;
                if !self.text[self.at..].starts_with('`') {
                    break;
                }
                name.push('`');
                self.at += 1;
            }
        } else {
            let rest = &self.text[self.at..];
            let end = rest.find([':', ',', '<', '>', '(', ')']).unwrap_or(rest.len());
            name.push_str(rest[..end].trim_end());
            self.at += end;
        }
        if name.is_empty() { Err(self.syntax("the name of a member")) } else { Ok(name) }
    }

    fn decimal(&mut self) -> Result<Type, SchemaError> {
        if !self.accept('(') {
            return Ok(Type::Decimal { precision: DECIMAL_DEFAULT.0, scale: DECIMAL_DEFAULT.1 });
        }
        let precision = self.number()?;
        let scale = if self.accept(',') { self.number()? } else { 0 };
        self.token(')')?;
        if !(1..=PRECISION_MAX).contains(&precision) {
            return Err(self.size("the precision of decimal", "1 to 38"));
        }
        if scale > precision {
            return Err(self.size("the scale of decimal", "0 to its precision"));
        }
        let small = |number: u32| u8::try_from(number).expect("at most 38");
        Ok(Type::Decimal { precision: small(precision), scale: small(scale) })
    }

    fn length(
        &mut self,
        kind: &'static str,
        max: u32,
        range: &'static str,
    ) -> Result<u32, SchemaError> {
        self.token('(')?;
        let length = self.number()?;
        self.token(')')?;
        if (1..=max).contains(&length) { Ok(length) } else { Err(self.size(kind, range)) }
    }

    fn number(&mut self) -> Result<u32, SchemaError> {
        self.blanks();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        // More digits than any bound has: saturate, so that the bound speaks.
        let number = if end > 9 { Ok(u32::MAX) } else { rest[..end].parse() };
        let number = number.map_err(|_| self.syntax("a number"))?;
        self.at += end;
        Ok(number)
    }

    /// Letters and underscores, lowered.
    fn word(&mut self) -> String {
        self.blanks();
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_ascii_lowercase()
    }

    fn token(&mut self, token: char) -> Result<(), SchemaError> {
        if self.accept(token) {
            return Ok(());
        }
        Err(self.syntax(match token {
            '<' => "<",
            '>' => ">",
            '(' => "(",
            ')' => ")",
            ':' => ":",
            _ => ",",
        }))
    }

    fn accept(&mut self, token: char) -> bool {
        self.blanks();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len_utf8();
        }
        found
    }

    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn syntax(&self, what: &'static str) -> SchemaError {
        SchemaError::Syntax {
            column: self.column.to_owned(),
            text: self.text.to_owned(),
            at: self.at,
            what,
        }
    }

    fn size(&self, kind: &'static str, range: &'static str) -> SchemaError {
        SchemaError::Size { column: self.column.to_owned(), kind, range }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: &str) -> Result<Type, SchemaError> {
        parse("c", kind)
    }

    #[test]
    fn every_type_of_hive_is_read() {
        let rows = [
            ("boolean", Type::Boolean),
            ("TINYINT", Type::TinyInt),
            ("smallint", Type::SmallInt),
            ("int", Type::Int),
            ("integer", Type::Int),
            ("bigint", Type::BigInt),
            ("float", Type::Float),
            ("double", Type::Double),
            ("double precision", Type::Double),
            ("decimal", Type::Decimal { precision: 10, scale: 0 }),
            ("decimal(4)", Type::Decimal { precision: 4, scale: 0 }),
            ("decimal( 38 , 38 )", Type::Decimal { precision: 38, scale: 38 }),
            ("string", Type::String),
            ("char(255)", Type::Char(255)),
            ("varchar(65535)", Type::Varchar(65_535)),
            ("binary", Type::Binary),
            ("date", Type::Date),
            (" timestamp ", Type::Timestamp),
            ("array<int>", Type::Array(Box::new(Type::Int))),
            ("map<string,bigint>", Type::Map(Box::new(Type::String), Box::new(Type::BigInt))),
        ];
        for (given, expected) in rows {
            assert_eq!(text(given), Ok(expected), "{given}");
        }
    }

    #[test]
    fn types_nest_and_members_keep_their_names() {
        let kind =
            text("struct<`a``:b`:array<map<string, struct<When:timestamp,x-y:double>>>, C:int>");
        let inner = Type::Struct(vec![
            Field { name: "When".to_owned(), kind: Type::Timestamp },
            Field { name: "x-y".to_owned(), kind: Type::Double },
        ]);
        let map = Type::Map(Box::new(Type::String), Box::new(inner));
        let expected = Type::Struct(vec![
            Field { name: "a`:b".to_owned(), kind: Type::Array(Box::new(map)) },
            Field { name: "C".to_owned(), kind: Type::Int },
        ]);
        assert_eq!(kind, Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_said_and_where() {
        let rows = [
            ("", "column c: type \"\" is not valid at 0: a type"),
            ("array<string", "column c: type \"array<string\" is not valid at 12: >"),
            ("array<string>x", "column c: type \"array<string>x\" is not valid at 13: the end"),
            ("map<string>", "column c: type \"map<string>\" is not valid at 10: ,"),
            ("struct<a:>", "column c: type \"struct<a:>\" is not valid at 9: a type"),
            (
                "struct<:int>",
                "column c: type \"struct<:int>\" is not valid at 7: the name of a member",
            ),
            ("struct<>", "column c: type \"struct<>\" is not valid at 7: the name of a member"),
            (
                "struct<`a:int>",
                "column c: type \"struct<`a:int>\" is not valid at 8: a closing backquote",
            ),
            ("struct<a:int,A:int>", "column c: A appears twice"),
            ("varchar(6 5535)", "column c: type \"varchar(6 5535)\" is not valid at 10: )"),
            ("varchar", "column c: type \"varchar\" is not valid at 7: ("),
            ("varchar(0)", "column c: the length of varchar must be 1 to 65535"),
            ("char(256)", "column c: the length of char must be 1 to 255"),
            ("decimal(39,2)", "column c: the precision of decimal must be 1 to 38"),
            ("decimal(2,3)", "column c: the scale of decimal must be 0 to its precision"),
            ("decimal(99999999999,0)", "column c: the precision of decimal must be 1 to 38"),
            ("uniontype<int,string>", "column c: type uniontype is not supported"),
            ("map<array<int>,int>", "column c: type map with a nested key is not supported"),
        ];
        for (given, expected) in rows {
            assert_eq!(
                text(given).map_err(|error| error.to_string()),
                Err(expected.to_owned()),
                "{given}"
            );
        }
    }

    #[test]
    fn types_nested_too_deep_are_refused() {
        let nested = |depth: usize| format!("{}int{}", "array<".repeat(depth), ">".repeat(depth));
        assert!(text(&nested(DEPTH_MAX - 1)).is_ok());
        assert!(matches!(text(&nested(DEPTH_MAX)), Err(SchemaError::Depth { .. })));
    }
}
