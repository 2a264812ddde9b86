//! Constraints as data: what the model says of a shape, beside the generated types.
//!
//! Owns the tables' form and the one judgement on a single value; collecting what was judged is
//! `violation`'s business.

use std::fmt::Write;
use std::sync::OnceLock;

use regex::Regex;

/// A structure's name and members, in the order of the model.
#[derive(Debug)]
pub struct Structure {
    /// The shape's full name, as it stands in the sentences about values.
    pub name: &'static str,
    /// At most 64.
    pub members: &'static [Member],
}

impl Structure {
    /// Appends a value of this shape as it stands in a sentence. The service prints the value's
    /// Java hash after the `@`; nothing can be read from it, so here it is the name's.
    pub fn describe(&self, out: &mut String) {
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = self.name.bytes().fold(0x811c_9dc5, mix);
        let _ = write!(out, "{}@{hash:x}", self.name);
    }
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// The name on the wire.
    pub name: &'static str,
    /// Whether an input must have it.
    pub required: bool,
    /// Where its violations stand among those of its siblings.
    pub order: u16,
    /// What its value must satisfy.
    pub rule: &'static Rule,
}

/// What a value must satisfy.
#[derive(Debug)]
pub struct Rule {
    /// Least length (characters, bytes, items) or least value.
    pub min: Option<i64>,
    /// Greatest length or value.
    pub max: Option<i64>,
    /// The expression that the whole text must match.
    pub pattern: Option<&'static Pattern>,
    /// The values allowed, as the sentence lists them; empty where any is.
    pub one_of: &'static [&'static str],
    /// What each item of a list, or each value of a map, must satisfy.
    pub element: Option<&'static Rule>,
    /// What each key of a map must satisfy.
    pub key: Option<&'static Rule>,
}

impl Rule {
    /// The rule that everything satisfies.
    pub const fn any() -> Self {
        Self { min: None, max: None, pattern: None, one_of: &[], element: None, key: None }
    }

    /// The first half of the judgement on a text: pattern, then values allowed.
    pub(crate) fn allows_text(&self, text: &str) -> bool {
        self.pattern.is_none_or(|pattern| pattern.matches(text))
            && (self.one_of.is_empty() || self.one_of.contains(&text))
    }

    /// Whether a text has few and many enough characters. Cost: counts only when bytes alone
    /// do not settle it.
    pub(crate) fn text_length(&self, text: &str) -> i64 {
        let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let settled = self.max.is_none_or(|max| bytes <= max)
            && self.min.is_none_or(|min| min <= 1 || text.is_ascii());
        if settled { bytes } else { i64::try_from(text.chars().count()).unwrap_or(i64::MAX) }
    }

    /// Whether `size` lies between the least and the greatest.
    pub(crate) fn allows_size(&self, size: i64) -> bool {
        self.min.is_none_or(|min| size >= min) && self.max.is_none_or(|max| size <= max)
    }
}

/// A regular expression that is compiled when first needed.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    equivalent: Option<&'static str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// The pattern as the model gives it.
    pub const fn new(text: &'static str) -> Self {
        Self { text, equivalent: None, compiled: OnceLock::new() }
    }

    /// A pattern that cannot be compiled here, and one that means the same and can.
    pub const fn with_equivalent(text: &'static str, equivalent: &'static str) -> Self {
        Self { text, equivalent: Some(equivalent), compiled: OnceLock::new() }
    }

    /// As the model gives it.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// Whether the whole of `text` matches. A pattern that cannot be compiled matches
    /// everything; a test holds that the model has none.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled().is_none_or(|regex| regex.is_match(text))
    }

    /// Whether the pattern can be compiled, for the test that all can.
    pub fn is_valid(&self) -> bool {
        self.compiled().is_some()
    }

    fn compiled(&self) -> Option<&Regex> {
        let compile = || {
            let pattern =
                self.equivalent.map_or_else(|| to_ascii_classes(self.text), str::to_owned);
            Regex::new(&format!("^(?:{pattern})$")).ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

/// The service's expressions mean ASCII by `\d`, `\w` and `\s`; here these mean Unicode.
fn to_ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 32);
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match (character, characters.peek().copied()) {
            ('\\', Some(class @ ('d' | 'w' | 's' | 'D' | 'W' | 'S'))) => {
                characters.next();
                let inner = match class.to_ascii_lowercase() {
                    'd' => "0-9",
                    'w' => "a-zA-Z0-9_",
                    _ => r" \t\n\x0B\f\r",
                };
                let negated = class.is_ascii_uppercase();
                match (in_class, negated) {
                    (true, false) => {
                        out.push_str(inner);
                        // There a class ends no range; here its last character would start one.
                        if characters.next_if_eq(&'-').is_some() {
                            out.push_str("\\-");
                        }
                    }
                    (_, true) => out.extend(["[^", inner, "]"]),
                    (false, false) => out.extend(["[", inner, "]"]),
                }
            }
            ('\\', Some(escaped)) => {
                characters.next();
                out.extend(['\\', escaped]);
            }
            ('[', _) if in_class => out.push_str("\\["),
            ('[', next) => {
                in_class = true;
                out.push('[');
                if next == Some('^') {
                    characters.next();
                    out.push('^');
                }
            }
            (']', _) => {
                in_class = false;
                out.push(']');
            }
            // Twice in a class these are operators here, and plain characters there.
            ('&' | '~', _) if in_class => out.extend(['\\', character]),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text_and_digits_are_ascii() {
        let key = Pattern::new(r"0|([1-9]\d{0,38})");
        assert!(key.matches("0") && key.matches("340282366920938463463374607431768211455"));
        assert!(!key.matches("00") && !key.matches("-1") && !key.matches("1\n"));
        assert!(!key.matches("1\u{0663}"), "an Arabic-Indic digit is no digit here");
        let arn = Pattern::new(r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+");
        assert!(arn.matches("arn:aws:kinesis:us-east-1:000000000000:stream/a"));
        assert!(!arn.matches("arn:aws:kinesis:us-east-1:000000000000:stream/a b"));
    }

    #[test]
    fn lengths_are_characters_and_not_bytes() {
        let rule = Rule { min: Some(2), max: Some(256), ..Rule::any() };
        assert_eq!(rule.text_length(&"\u{1F600}".repeat(256)), 256);
        assert_eq!(rule.text_length("\u{1F600}"), 1);
        assert_eq!(rule.text_length("ab"), 2);
    }
}
