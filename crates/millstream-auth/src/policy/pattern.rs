//! Texts with `*`, `?` and `${variables}`, and what they match.
//!
//! Invariant: matching takes at most pattern times text steps, never more: the search goes back
//! only to the last `*`.

use std::borrow::Cow;

use super::{Applies, PolicyError, RequestContext};

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// These characters.
    Text(String),
    /// `?`.
    AnyOne,
    /// `*`.
    AnyMany,
    /// `${key}` or `${key, 'default'}`.
    Variable { key: String, default: Option<String> },
}

/// What a variable stands for.
pub(super) enum Resolved<'a> {
    Value(Cow<'a, str>),
    /// The key is known, and this request has none.
    Absent,
    /// This server does not know the key.
    Unknown,
}

/// A text of a policy in which `*`, `?` and variables can stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// One character of a pattern whose variables are filled in. A variable's value is all
/// [`Symbol::Char`]: a user named `*` is not everyone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Char(char),
    AnyOne,
    AnyMany,
}

impl Pattern {
    /// Reads a pattern. `has_variables`: whether the policy's version knows them.
    pub(super) fn parse(text: &str, has_variables: bool) -> Result<Self, PolicyError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let piece = match next {
                '*' => Some((Piece::AnyMany, 1)),
                '?' => Some((Piece::AnyOne, 1)),
                '$' if has_variables && rest.starts_with("${") => Some(variable(rest)?),
                _ => None,
            };
            if let Some((piece, length)) = piece {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
                rest = &rest[length..];
            } else {
                plain.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// Whether `text` is of this pattern.
    pub(super) fn matches(&self, text: &str, context: &RequestContext<'_>) -> Applies {
        match self.symbols(context, true) {
            Ok(symbols) => Applies::of(glob(&symbols, text)),
            Err(unresolved) => unresolved,
        }
    }

    /// As [`Pattern::matches`], the case of letters aside.
    pub(super) fn matches_any_case(&self, text: &str, context: &RequestContext<'_>) -> Applies {
        match self.symbols(context, true) {
            Ok(symbols) => {
                let lower = symbols.into_iter().flat_map(|symbol| match symbol {
                    Symbol::Char(char) => char.to_lowercase().map(Symbol::Char).collect::<Vec<_>>(),
                    other => vec![other],
                });
                Applies::of(glob(&lower.collect::<Vec<_>>(), &text.to_lowercase()))
            }
            Err(unresolved) => unresolved,
        }
    }

    /// Whether `text` is an ARN of this pattern: the first five parts are compared each with its
    /// own, so that no `*` reaches over a colon into the account; the rest as a whole.
    pub(super) fn matches_arn(&self, text: &str, context: &RequestContext<'_>) -> Applies {
        let symbols = match self.symbols(context, true) {
            Ok(symbols) => symbols,
            Err(unresolved) => return unresolved,
        };
        if symbols == [Symbol::AnyMany] {
            return Applies::Yes;
        }
        let patterns: Vec<&[Symbol]> =
            symbols.splitn(6, |symbol| *symbol == Symbol::Char(':')).collect();
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let same_shape = patterns.len() == parts.len();
        let fits = patterns.iter().zip(parts).all(|(pattern, part)| glob(pattern, part));
        Applies::of(same_shape && fits)
    }

    /// The text with variables filled in and `*` and `?` as themselves.
    pub(super) fn literal(&self, context: &RequestContext<'_>) -> Result<String, Applies> {
        let symbols = self.symbols(context, false)?;
        let text = symbols.into_iter().map(|symbol| match symbol {
            Symbol::Char(char) => char,
            Symbol::AnyOne => '?',
            Symbol::AnyMany => '*',
        });
        Ok(text.collect())
    }

    fn symbols(&self, context: &RequestContext<'_>, wild: bool) -> Result<Vec<Symbol>, Applies> {
        let mut symbols = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => symbols.extend(text.chars().map(Symbol::Char)),
                Piece::AnyOne if wild => symbols.push(Symbol::AnyOne),
                Piece::AnyMany if wild => symbols.push(Symbol::AnyMany),
                Piece::AnyOne => symbols.push(Symbol::Char('?')),
                Piece::AnyMany => symbols.push(Symbol::Char('*')),
                Piece::Variable { key, default } => match context.variable(key) {
                    Resolved::Value(value) => symbols.extend(value.chars().map(Symbol::Char)),
                    Resolved::Absent => match default {
                        Some(default) => symbols.extend(default.chars().map(Symbol::Char)),
                        None => return Err(Applies::No),
                    },
                    Resolved::Unknown => return Err(Applies::Unknown),
                },
            }
        }
        Ok(symbols)
    }
}

/// Reads `${key}` or `${key, 'default'}` at the head of `text`; also how long it is.
fn variable(text: &str) -> Result<(Piece, usize), PolicyError> {
    let malformed = || PolicyError::Variable { text: text.chars().take(80).collect() };
    let end = text.find('}').ok_or_else(malformed)?;
    let inside = &text[2..end];
    let length = end + 1;
    // The three escapes: they stand for the characters themselves.
    if ["*", "?", "$"].contains(&inside) {
        return Ok((Piece::Text(inside.to_owned()), length));
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let default = default.trim();
            let quoted = default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            (key, Some(quoted.ok_or_else(malformed)?.to_owned()))
        }
    };
    if key.trim().is_empty() {
        return Err(malformed());
    }
    Ok((Piece::Variable { key: key.trim().to_owned(), default }, length))
}

fn glob(pattern: &[Symbol], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut in_text) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: one character further.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&char) = text.get(in_text) {
        match pattern.get(at) {
            Some(Symbol::AnyMany) => {
                at += 1;
                retry = Some((at, in_text));
            }
            Some(Symbol::AnyOne) => {
                at += 1;
                in_text += 1;
            }
            Some(Symbol::Char(wanted)) if *wanted == char => {
                at += 1;
                in_text += 1;
            }
            Some(Symbol::Char(_)) | None => match &mut retry {
                Some((pattern_at, text_at)) => {
                    *text_at += 1;
                    (at, in_text) = (*pattern_at, *text_at);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|symbol| *symbol == Symbol::AnyMany)
}
