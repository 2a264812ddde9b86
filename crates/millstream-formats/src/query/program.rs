//! A query's text, parsed, judged and compiled.
//!
//! Owns what is refused before anything runs. Parsing and compiling recurse as deep as the text
//! nests, so they have a thread of their own, whose stack holds the longest text there is, nested
//! as deep as it can be. Recursion of a definition that takes filters is refused: each call would
//! hold the one before, and dropping such a chain recurses as deep as it is long. (jq's own
//! `recurse`, `while`, `until` and so on need none.)

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Term};
use jaq_core::load::{Arena, Error as LoadError, File, Loader, parse as parse_term};
use jaq_core::path::Part;

use super::engine::Filter;
use super::natives;

/// Bytes of a query. The service's parameter holds fewer (5,120).
pub(super) const TEXT_BYTES_MAX: usize = 8 * 1024;
/// 32 KiB for each byte of the longest text, and so for each level it can nest; the tests nest it in
/// every way, unoptimized. Only what is touched is taken from the machine.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Parts of a path, arguments of a call, entries of a pattern: the interpreter recurses over
/// them without asking for a term, so that the meter does not see it.
const WIDTH_MAX: usize = 64;

/// Keys that are fields of the record: names, and the fields from the outside in.
pub(super) type FieldKeys = Vec<(String, Vec<String>)>;

/// A compiled query.
pub(super) struct Program {
    pub(super) filter: Filter,
    /// The keys of the object that it gives, where they can be told from the text.
    pub(super) keys: Option<Vec<String>>,
    /// The keys, where all are plain fields.
    pub(super) fields: Option<FieldKeys>,
}

/// Compiles `text`, or says what is wrong with it.
pub(super) fn compile(text: &str) -> Result<Program, String> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let handle = builder
            .spawn_scoped(scope, || compile_here(text))
            .map_err(|error| format!("no thread to compile the query: {error}"))?;
        handle.join().unwrap_or_else(|_| Err("the query cannot be parsed".to_owned()))
    })
}

fn compile_here(text: &str) -> Result<Program, String> {
    let definitions = parse_term(include_str!("definitions.jq"), |parser| parser.defs())
        .expect("the definitions are tested");
    let arena = Arena::default();
    let modules =
        Loader::new(definitions).load(&arena, File { code: text, path: () }).map_err(|errors| {
            errors.first().map_or_else(String::new, |(_, error)| load_error(error))
        })?;
    let filter = jaq_core::Compiler::default().with_funs(natives::all()).compile(modules).map_err(
        |errors| {
            let undefined = errors.first().and_then(|(_, errors)| errors.first());
            undefined.map_or_else(String::new, |(name, what)| {
                format!("undefined {} {name}", what.as_str())
            })
        },
    )?;
    // The loader keeps the term to itself, so it is parsed once more to be looked at.
    let term = parse_term(text, |parser| parser.term()).unwrap_or_default();
    refuse_growing(&term, &mut Vec::new())?;
    let keys = match &term {
        Term::Obj(entries) => entries.iter().map(|(key, _)| key_name(key)).collect(),
        _ => None,
    };
    Ok(Program { filter, keys, fields: fields(&term) })
}

fn load_error(error: &LoadError<&str>) -> String {
    let found = |found: &str| match found {
        "" => "the end".to_owned(),
        found => format!("\"{}\"", found.chars().take(32).collect::<String>()),
    };
    match error {
        LoadError::Io(errors) => {
            errors.first().map_or_else(String::new, |(path, message)| format!("{path}: {message}"))
        }
        LoadError::Lex(errors) => errors.first().map_or_else(String::new, |(expected, rest)| {
            format!("expected {}, found {}", expected.as_str(), found(rest))
        }),
        LoadError::Parse(errors) => errors.first().map_or_else(String::new, |(expected, rest)| {
            format!("expected {}, found {}", expected.as_str(), found(rest))
        }),
    }
}

/// A definition that is open, its arguments, and what hides them.
enum Name<'a> {
    /// A definition within its own body.
    Open { name: &'a str, arity: usize, takes_filters: bool },
    /// A definition after its body, or an argument.
    Other { name: &'a str, arity: usize },
}

/// Refuses definitions that take filters and call themselves.
fn refuse_growing<'a>(term: &'a Term<&'a str>, names: &mut Vec<Name<'a>>) -> Result<(), String> {
    match term {
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Break(_)
        | Term::Var(_)
        | Term::Arr(None) => Ok(()),
        Term::Str(_, parts) => parts.iter().try_for_each(|part| match part {
            StrPart::Term(term) => refuse_growing(term, names),
            StrPart::Str(_) | StrPart::Char(_) => Ok(()),
        }),
        Term::Arr(Some(term)) | Term::Neg(term) | Term::Label(_, term) => {
            refuse_growing(term, names)
        }
        Term::Obj(entries) => entries.iter().try_for_each(|(key, value)| {
            refuse_growing(key, names)?;
            value.iter().try_for_each(|value| refuse_growing(value, names))
        }),
        Term::BinOp(left, operation, right) => {
            if let BinaryOp::Pipe(Some(pattern)) = operation {
                refuse_in_pattern(pattern, names)?;
            }
            refuse_growing(left, names)?;
            refuse_growing(right, names)
        }
        Term::Fold(_, source, pattern, arguments) => {
            refuse_growing(source, names)?;
            refuse_in_pattern(pattern, names)?;
            arguments.iter().try_for_each(|argument| refuse_growing(argument, names))
        }
        Term::TryCatch(attempt, catch) => {
            refuse_growing(attempt, names)?;
            catch.iter().try_for_each(|catch| refuse_growing(catch, names))
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                refuse_growing(condition, names)?;
                refuse_growing(then, names)?;
            }
            otherwise.iter().try_for_each(|otherwise| refuse_growing(otherwise, names))
        }
        Term::Def(definitions, body) => {
            let outside = names.len();
            for definition in definitions {
                refuse_in_definition(definition, names)?;
            }
            refuse_growing(body, names)?;
            names.truncate(outside);
            Ok(())
        }
        Term::Call(name, arguments) => {
            refuse_wide("call", arguments.len())?;
            refuse_call(name, arguments.len(), names)?;
            arguments.iter().try_for_each(|argument| refuse_growing(argument, names))
        }
        Term::Path(term, path) => {
            refuse_wide("path", path.0.len())?;
            refuse_growing(term, names)?;
            path.0.iter().try_for_each(|(part, _)| match part {
                Part::Index(index) => refuse_growing(index, names),
                Part::Range(from, to) => {
                    from.iter().chain(to).try_for_each(|bound| refuse_growing(bound, names))
                }
            })
        }
    }
}

fn refuse_wide(what: &str, count: usize) -> Result<(), String> {
    if count > WIDTH_MAX {
        return Err(format!("a {what} has more than {WIDTH_MAX} parts"));
    }
    Ok(())
}

fn refuse_in_pattern<'a>(
    pattern: &'a jaq_core::load::parse::Pattern<&'a str>,
    names: &mut Vec<Name<'a>>,
) -> Result<(), String> {
    use jaq_core::load::parse::Pattern;
    match pattern {
        Pattern::Var(_) => Ok(()),
        Pattern::Arr(patterns) => {
            refuse_wide("pattern", patterns.len())?;
            patterns.iter().try_for_each(|pattern| refuse_in_pattern(pattern, names))
        }
        Pattern::Obj(entries) => {
            refuse_wide("pattern", entries.len())?;
            entries.iter().try_for_each(|(key, pattern)| {
                refuse_growing(key, names)?;
                refuse_in_pattern(pattern, names)
            })
        }
    }
}

fn refuse_in_definition<'a>(
    definition: &'a Def<&'a str>,
    names: &mut Vec<Name<'a>>,
) -> Result<(), String> {
    let (name, arity) = (definition.name, definition.args.len());
    let takes_filters = definition.args.iter().any(|argument| !argument.starts_with('$'));
    let outside = names.len();
    names.push(Name::Open { name, arity, takes_filters });
    names.extend(definition.args.iter().map(|argument| Name::Other { name: argument, arity: 0 }));
    refuse_growing(&definition.body, names)?;
    names.truncate(outside);
    names.push(Name::Other { name, arity });
    Ok(())
}

fn refuse_call(called: &str, arguments: usize, names: &[Name<'_>]) -> Result<(), String> {
    let meant = names.iter().rev().find(|name| match name {
        Name::Open { name, arity, .. } | Name::Other { name, arity } => {
            *name == called && *arity == arguments
        }
    });
    match meant {
        Some(Name::Open { takes_filters: true, .. }) => Err(format!(
            "the definition {called}/{arguments} takes filters and calls itself, which is not supported"
        )),
        _ => Ok(()),
    }
}

/// The name that a key of an object construction is, where it is fixed.
fn key_name(key: &Term<&str>) -> Option<String> {
    match key {
        Term::Str(None, parts) => match &parts[..] {
            [StrPart::Str(name)] => Some((*name).to_owned()),
            _ => None,
        },
        Term::Var(name) => Some(name[1..].to_owned()),
        _ => None,
    }
}

/// The fields that `{a: .b.c, d}` names; `None` for any other query.
fn fields(term: &Term<&str>) -> Option<FieldKeys> {
    let Term::Obj(entries) = term else { return None };
    let field = |(key, value): &(Term<&str>, Option<Term<&str>>)| {
        if !matches!(key, Term::Str(..)) {
            return None;
        }
        let name = key_name(key)?;
        let path = match value {
            None => vec![name.clone()],
            Some(value) => field_path(value)?,
        };
        Some((name, path))
    };
    entries.iter().map(field).collect()
}

fn field_path(term: &Term<&str>) -> Option<Vec<String>> {
    match term {
        // What becomes a key becomes text anyway.
        Term::BinOp(value, BinaryOp::Pipe(None), call) => match &**call {
            Term::Call("tostring", arguments) if arguments.is_empty() => field_path(value),
            _ => None,
        },
        Term::Path(root, path) if matches!(**root, Term::Id) => {
            let name = |(part, _): &(Part<Term<&str>>, _)| match part {
                Part::Index(index @ Term::Str(..)) => key_name(index),
                _ => None,
            };
            path.0.iter().map(name).collect()
        }
        _ => None,
    }
}
