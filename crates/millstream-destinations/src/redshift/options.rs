//! What stands behind `COPY`, taken apart into words, numbers and quoted texts.
//!
//! Invariant: what is written out again is one statement's tail and no more: nothing in it ends
//! a statement, opens a comment, or is a text in one reading and code in another.

use std::fmt;

/// A piece of the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword.
    Word(String),
    /// A number without sign.
    Number(String),
    /// What stood between quotes.
    Text(String),
}

/// The options, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CopyOptions(Vec<Token>);

impl CopyOptions {
    /// Reads options; a `;` at the end is let pass.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text.trim().trim_end_matches(';').trim_end();
        while let Some(first) = rest.chars().next() {
            let (token, behind) = match first {
                '\'' => text_token(&rest[1..])?,
                'a'..='z' | 'A'..='Z' | '_' => {
                    let end = end_of(rest, |next| next == '_' || next.is_ascii_alphanumeric());
                    (Token::Word(rest[..end].to_owned()), &rest[end..])
                }
                '0'..='9' => {
                    let end = end_of(rest, |next| next.is_ascii_digit());
                    (Token::Number(rest[..end].to_owned()), &rest[end..])
                }
                _ => return Err(format!("unexpected {first:?} in {text:?}")),
            };
            tokens.push(token);
            let trimmed = behind.trim_start();
            // `json'auto'` is as good as `json 'auto'`, but `1a` is nothing.
            let is_joined = trimmed.len() == behind.len() && !behind.is_empty();
            if is_joined && !behind.starts_with('\'') {
                return Err(format!("unexpected {behind:?} in {text:?}"));
            }
            rest = trimmed;
        }
        Ok(Self(tokens))
    }

    /// The pieces.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// All but one keyword.
    pub(super) fn without(&self, word: &str) -> Self {
        let differs = |token: &&Token| !matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word));
        Self(self.0.iter().filter(differs).cloned().collect())
    }
}

fn end_of(text: &str, goes_on: impl Fn(char) -> bool) -> usize {
    text.find(|next| !goes_on(next)).unwrap_or(text.len())
}

/// A text whose opening quote is gone already.
fn text_token(inner: &str) -> Result<(Token, &str), String> {
    let mut text = String::new();
    let mut rest = inner;
    loop {
        let end = rest.find('\'').ok_or_else(|| format!("'{inner} has no closing quote"))?;
        text.push_str(&rest[..end]);
        // Where backslashes escape, this quote would be part of the text, and what follows it
        // too; where they do not, it ends the text. Such a text is not sent at all.
        let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 1 {
            return Err("a backslash before a quote is ambiguous".to_owned());
        }
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(behind) => {
                text.push('\'');
                rest = behind;
            }
            None if text.contains('\0') => return Err("a text holds a zero byte".to_owned()),
            None => return Ok((Token::Text(text), rest)),
        }
    }
}

/// `'text'`.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl fmt::Display for CopyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match token {
                Token::Word(text) | Token::Number(text) => f.write_str(text)?,
                Token::Text(text) => f.write_str(&quoted(text))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_out_as_they_went_in() {
        for text in [
            "",
            "json 'auto' gzip",
            "delimiter '|' NULL AS '\\N' IGNOREHEADER 1 REGION 'eu-west-1'",
            "csv quote as '''' TIMEFORMAT 'YYYY-MM-DD HH:MI:SS'",
            "json 's3://bucket/paths.json'",
            "delimiter ';' null as '--'",
        ] {
            assert_eq!(CopyOptions::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(CopyOptions::parse(" json'auto' ; ").unwrap().to_string(), "json 'auto'");
    }

    #[test]
    fn nothing_ends_the_statement() {
        for text in [
            "gzip; drop table x",
            "gzip -- comment",
            "gzip /* comment */",
            "json 'auto",
            "json \"auto\"",
            "json $$auto$$",
            "json e'\\'; drop table x; --'",
            "quote '\\' gzip '; drop table x; --'",
            "quote 'a\\''b'",
            "(select 1)",
            "maxerror -1",
            "gzip\0",
            "1a",
        ] {
            assert!(CopyOptions::parse(text).is_err(), "{text}");
        }
    }
}
