//! Natives on regular expressions.
//!
//! Linear in the text, whatever the expression (the `regex` crate: no look-around, no
//! back-references, which jq's has). An expression is compiled once per query, not per record.

use std::sync::{Arc, Mutex, PoisonError};

use jaq_core::native::{bome, v};
use regex::{Regex, RegexBuilder};

use super::engine::Context;
use super::meter;
use super::natives::Native;
use super::number::Number;
use super::text::Text;
use super::value::{Error, Val, ValR, fault};

/// Expressions that a query keeps compiled.
const KEPT_MAX: usize = 16;
/// Bytes that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of an expression.
const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// About what compiling costs, in steps per byte of the expression.
const COMPILE_STEPS: usize = 64;

pub(super) fn natives() -> Vec<Native> {
    vec![
        ("match_", v(2), |cv| bome(find(cv, matches))),
        ("test_", v(2), |cv| {
            bome(find(cv, |regex, _, text| Val::Bool(regex.is_match(text.as_str()))))
        }),
    ]
}

/// A query's compiled expressions, the last used last.
#[derive(Default)]
pub(super) struct Regexes(Mutex<Vec<(Flags, String, Arc<Regex>)>>);

impl Regexes {
    fn get(&self, expression: &str, flags: Flags) -> Result<Arc<Regex>, Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(f, text, _)| *f == flags && text == expression);
        if let Some(at) = found {
            let entry = kept.remove(at);
            let regex = Arc::clone(&entry.2);
            kept.push(entry);
            return Ok(regex);
        }
        let regex = Arc::new(compile(expression, flags)?);
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push((flags, expression.to_owned(), Arc::clone(&regex)));
        Ok(regex)
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    global: bool,
    ignore_case: bool,
    extended: bool,
    dot_all: bool,
    not_empty: bool,
}

impl Flags {
    fn parse(value: &Val) -> Result<Self, Error> {
        let mut flags = Self::default();
        let text = match value {
            Val::Null => return Ok(flags),
            Val::Str(text) => text.as_str(),
            other => return Err(fault(&format!("{} is not a string", other.shown()))),
        };
        for flag in text.chars() {
            match flag {
                'g' => flags.global = true,
                'i' => flags.ignore_case = true,
                'x' => flags.extended = true,
                'p' => flags.dot_all = true,
                'n' => flags.not_empty = true,
                // Single-line is how it is anyway, and longest is not what this engine does.
                's' => {}
                _ => return Err(fault(&format!("{text} is not a valid modifier string"))),
            }
        }
        Ok(flags)
    }
}

fn compile(expression: &str, flags: Flags) -> Result<Regex, Error> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(fault("the regular expression is too long"));
    }
    meter::spend(expression.len() * COMPILE_STEPS);
    RegexBuilder::new(expression)
        .case_insensitive(flags.ignore_case)
        .ignore_whitespace(flags.extended)
        .dot_matches_new_line(flags.dot_all)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| fault(&format!("{expression} (at offset 0) is not a valid regex")))
}

fn find(mut context: Context<'_>, result: fn(&Regex, Flags, &Text) -> Val) -> ValR {
    let flags = context.0.pop_var();
    let expression = context.0.pop_var();
    let (Val::Str(text), Val::Str(expression)) = (&context.1, &expression) else {
        let wrong = if let Val::Str(_) = context.1 { &expression } else { &context.1 };
        return Err(fault(&format!("{} cannot be matched, as it is not a string", wrong.shown())));
    };
    let flags = Flags::parse(&flags)?;
    let regex = context.0.data().regexes.get(expression.as_str(), flags)?;
    meter::spend(text.len() + 1);
    Ok(result(&regex, flags, text))
}

/// Each match as jq gives it; offsets and lengths count characters.
fn matches(regex: &Regex, flags: Flags, text: &Text) -> Val {
    let mut offsets = Offsets { text: text.as_str(), byte: 0, characters: 0 };
    let limit = if flags.global { usize::MAX } else { 1 };
    let found = regex.captures_iter(text.as_str());
    let found = found.filter(|found| !(flags.not_empty && found[0].is_empty()));
    found
        .take(limit)
        .map(|found| {
            let whole = found.get(0).expect("group 0 is the match");
            let start = offsets.at(whole.start());
            let group = |group: Option<regex::Match<'_>>| match group {
                Some(group) => {
                    let before = text.as_str()[whole.start()..group.start()].chars().count();
                    let length = group.as_str().chars().count();
                    (
                        Val::int(start + before),
                        Val::int(length),
                        Val::Str(text.slice_of(group.as_str())),
                    )
                }
                None => (Val::Num(Number::Integer(-1)), Val::int(0), Val::Null),
            };
            let names = regex.capture_names().skip(1);
            let captures = found.iter().skip(1).zip(names).map(|(captured, name)| {
                let there = captured.is_some();
                let (offset, length, string) = group(captured);
                let name = ("name", name.map_or(Val::Null, Val::str));
                let (offset, length) = (("offset", offset), ("length", length));
                let string = ("string", string);
                // jq has this order of them, and they end up in outputs.
                Val::obj(if there {
                    [offset, length, string, name]
                } else {
                    [offset, string, length, name]
                })
            });
            let captures = captures.collect();
            let (offset, length, string) = group(Some(whole));
            Val::obj([
                ("offset", offset),
                ("length", length),
                ("string", string),
                ("captures", captures),
            ])
        })
        .collect()
}

/// Characters before a byte; asked for in rising order.
struct Offsets<'a> {
    text: &'a str,
    byte: usize,
    characters: usize,
}

impl Offsets<'_> {
    fn at(&mut self, byte: usize) -> usize {
        self.characters += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.characters
    }
}
