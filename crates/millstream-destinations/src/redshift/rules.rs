//! COPY options as rules for reading rows, for a database that cannot follow them itself.
//!
//! Owns which options are understood. One that is not is refused when the table is set up: rows
//! that were read by other rules than those that were asked for would be wrong in silence.
//!
//! Source: the Redshift reference, "COPY parameters" (data format, conversion, load operations).

use super::options::{CopyOptions, Token};

/// The form of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Fields between delimiters.
    Delimited {
        /// Whether a backslash takes the next character as it is.
        escape: bool,
        /// Whether quotes around a field are removed.
        remove_quotes: bool,
    },
    /// Fields that may stand in quotes.
    Csv {
        /// The quote.
        quote: u8,
    },
    /// Objects whose members are named as columns.
    Json {
        /// Whether capitals do not matter.
        ignore_case: bool,
    },
}

/// How rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) format: Format,
    pub(super) delimiter: u8,
    /// What stands for no value.
    pub(super) null: String,
    pub(super) gzip: bool,
    /// Lines at the start of each object that are no rows.
    pub(super) header_lines: u64,
    pub(super) ignore_blank_lines: bool,
    /// A text of blanks is no value.
    pub(super) blanks_as_null: bool,
    /// An empty text is no value.
    pub(super) empty_as_null: bool,
    /// Blanks behind a text go.
    pub(super) trim_blanks: bool,
    /// Columns that a row lacks at its end have no value.
    pub(super) fill_record: bool,
}

/// Walks over the options.
struct Walk<'a> {
    tokens: std::iter::Peekable<std::slice::Iter<'a, Token>>,
}

impl<'a> Walk<'a> {
    /// Whether one of `words` is next; goes past it.
    fn takes(&mut self, words: &[&str]) -> bool {
        let is_one = |token: &&&Token| {
            let Token::Word(found) = token else { return false };
            words.iter().any(|word| found.eq_ignore_ascii_case(word))
        };
        let found = self.tokens.peek().as_ref().is_some_and(is_one);
        if found {
            self.tokens.next();
        }
        found
    }

    /// A text that may stand here, behind an `AS` that may stand before it.
    fn maybe_text(&mut self) -> Option<&'a str> {
        self.takes(&["AS"]);
        if let Some(Token::Text(text)) = self.tokens.peek() {
            self.tokens.next();
            return Some(text);
        }
        None
    }

    fn text(&mut self, option: &str) -> Result<&'a str, String> {
        self.maybe_text().ok_or_else(|| format!("{option} needs a text"))
    }

    fn character(&mut self, option: &str) -> Result<u8, String> {
        let text = unescaped(self.text(option)?);
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
            _ => Err(format!("{option} takes one ASCII character here")),
        }
    }

    fn number(&mut self, option: &str) -> Result<u64, String> {
        self.takes(&["AS"]);
        match self.tokens.next() {
            Some(Token::Number(digits)) => {
                digits.parse().map_err(|_| format!("{digits} is too large for {option}"))
            }
            _ => Err(format!("{option} needs a number")),
        }
    }
}

/// The escapes that COPY's own texts know.
fn unescaped(text: &str) -> String {
    match text {
        "\\t" => "\t".to_owned(),
        "\\\\" => "\\".to_owned(),
        "\\\\N" => "\\N".to_owned(),
        other => other.to_owned(),
    }
}

impl Rules {
    /// The rules that `options` ask for.
    pub(super) fn of(options: &CopyOptions) -> Result<Self, String> {
        let mut rules = Self {
            format: Format::Delimited { escape: false, remove_quotes: false },
            delimiter: b'|',
            null: "\\N".to_owned(),
            gzip: false,
            header_lines: 0,
            ignore_blank_lines: false,
            blanks_as_null: false,
            empty_as_null: false,
            trim_blanks: false,
            fill_record: false,
        };
        let mut walk = Walk { tokens: options.tokens().iter().peekable() };
        let mut delimiter = None;
        while let Some(token) = walk.tokens.next() {
            let Token::Word(word) = token else {
                return Err(format!("an option was expected, not {token:?}"));
            };
            rules.take(&word.to_ascii_uppercase(), &mut walk, &mut delimiter)?;
        }
        let default = if matches!(rules.format, Format::Csv { .. }) { b',' } else { b'|' };
        rules.delimiter = delimiter.unwrap_or(default);
        rules.check()
    }

    fn take(
        &mut self,
        option: &str,
        walk: &mut Walk<'_>,
        delimiter: &mut Option<u8>,
    ) -> Result<(), String> {
        match option {
            "FORMAT" => {
                walk.takes(&["AS"]);
            }
            "CSV" => self.take_csv(walk)?,
            "QUOTE" => {
                let quote = walk.character(option)?;
                self.format = Format::Csv { quote };
            }
            "JSON" => self.take_json(walk)?,
            "DELIMITER" => *delimiter = Some(walk.character(option)?),
            "ESCAPE" => *self.delimited(option)?.0 = true,
            "REMOVEQUOTES" => *self.delimited(option)?.1 = true,
            "NULL" => self.null = unescaped(walk.text(option)?),
            "GZIP" => self.gzip = true,
            "IGNOREHEADER" => self.header_lines = walk.number(option)?,
            "IGNOREBLANKLINES" => self.ignore_blank_lines = true,
            "BLANKSASNULL" => self.blanks_as_null = true,
            "EMPTYASNULL" => self.empty_as_null = true,
            "TRIMBLANKS" => self.trim_blanks = true,
            "FILLRECORD" => self.fill_record = true,
            other => Self::pass(other, walk)?,
        }
        Ok(())
    }

    fn take_csv(&mut self, walk: &mut Walk<'_>) -> Result<(), String> {
        let quote = if walk.takes(&["QUOTE"]) { walk.character("QUOTE")? } else { b'"' };
        self.format = Format::Csv { quote };
        Ok(())
    }

    fn take_json(&mut self, walk: &mut Walk<'_>) -> Result<(), String> {
        let ignore_case = match walk.maybe_text().unwrap_or("auto").to_lowercase().as_str() {
            "auto" => false,
            "auto ignorecase" => true,
            other => return Err(format!("JSON {other:?} is not supported with PostgreSQL")),
        };
        self.format = Format::Json { ignore_case };
        Ok(())
    }

    /// The flags of delimited rows: escape, and remove quotes.
    fn delimited(&mut self, option: &str) -> Result<(&mut bool, &mut bool), String> {
        match &mut self.format {
            Format::Delimited { escape, remove_quotes } => Ok((escape, remove_quotes)),
            Format::Csv { .. } | Format::Json { .. } => {
                Err(format!("{option} does not go with this format"))
            }
        }
    }

    /// Goes past options that mean nothing here, and refuses those that would.
    fn pass(option: &str, walk: &mut Walk<'_>) -> Result<(), String> {
        match option {
            "MANIFEST" => {}
            "REGION" => {
                walk.text(option)?;
            }
            "STATUPDATE" | "COMPUPDATE" => {
                walk.takes(&["ON", "OFF", "TRUE", "FALSE", "PRESET"]);
            }
            "COMPROWS" | "READRATIO" => {
                walk.number(option)?;
            }
            "ENCODING" => {
                walk.takes(&["AS"]);
                if !walk.takes(&["UTF8"]) {
                    return Err("only ENCODING UTF8 is supported with PostgreSQL".to_owned());
                }
            }
            "TIMEFORMAT" | "DATEFORMAT" => {
                let format = walk.text(option)?;
                if !format.eq_ignore_ascii_case("auto") {
                    return Err(format!("{option} {format:?} is not supported with PostgreSQL"));
                }
            }
            "MAXERROR" => {
                if walk.number(option)? > 0 {
                    return Err("MAXERROR above 0 is not supported with PostgreSQL".to_owned());
                }
            }
            other => return Err(format!("{other} is not supported with PostgreSQL")),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, String> {
        let clashes = match self.format {
            Format::Csv { quote } => quote == self.delimiter,
            Format::Delimited { escape, .. } => escape && self.delimiter == b'\\',
            Format::Json { .. } => false,
        };
        if clashes {
            return Err("the delimiter and the quote must differ".to_owned());
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(options: &str) -> Result<Rules, String> {
        Rules::of(&CopyOptions::parse(options)?)
    }

    #[test]
    fn options_become_rules() {
        let plain = rules("").unwrap();
        assert_eq!(plain.format, Format::Delimited { escape: false, remove_quotes: false });
        assert_eq!((plain.delimiter, plain.null.as_str()), (b'|', "\\N"));
        let json =
            rules("FORMAT AS JSON 'auto ignorecase' GZIP REGION 'x' STATUPDATE OFF").unwrap();
        assert_eq!(json.format, Format::Json { ignore_case: true });
        assert!(json.gzip);
        assert_eq!(rules("json").unwrap().format, Format::Json { ignore_case: false });
        let csv = rules("csv quote as '%' ignoreheader as 2 emptyasnull").unwrap();
        assert_eq!(csv.format, Format::Csv { quote: b'%' });
        assert_eq!((csv.delimiter, csv.header_lines, csv.empty_as_null), (b',', 2, true));
        let tabs = rules("delimiter '\\t' escape null as '' timeformat 'auto' maxerror 0").unwrap();
        assert_eq!(tabs.format, Format::Delimited { escape: true, remove_quotes: false });
        assert_eq!((tabs.delimiter, tabs.null.as_str()), (b'\t', ""));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for options in [
            "json 's3://bucket/paths.json'",
            "json 'noshred'",
            "parquet",
            "format as orc",
            "fixedwidth 'a:1'",
            "maxerror 10",
            "timeformat 'epochsecs'",
            "encoding utf16",
            "acceptinvchars",
            "truncatecolumns",
            "bzip2",
            "delimiter '||'",
            "delimiter",
            "csv escape",
            "csv quote ','",
            "ignoreheader 'x'",
            "'text'",
            "credentials 'x'",
        ] {
            assert!(rules(options).is_err(), "{options}");
        }
    }
}
