//! Natives on arrays and objects.

use std::rc::Rc;

use jaq_core::box_iter::box_once;
use jaq_core::native::{bome, unary, v};
use jaq_core::val::{ValX, ValXs};
use jaq_core::{Exn, ValT};
use memchr::memmem;

use super::engine::Context;
use super::json;
use super::meter;
use super::natives::{Native, filter};
use super::number::Number;
use super::object::Object;
use super::text::Text;
use super::value::{Array, Val, ValR, fault};

pub(super) fn natives() -> Vec<Native> {
    vec![
        ("length", v(0), |cv| bome(length(&cv.1))),
        ("keys", v(0), |cv| bome(keys(&cv.1, true))),
        ("keys_unsorted", v(0), |cv| bome(keys(&cv.1, false))),
        ("has", v(1), |cv| unary(cv, |value, key| has(&value, &key))),
        ("contains", v(1), |cv| unary(cv, |value, part| contains(&value, &part).map(Val::Bool))),
        ("indices", v(1), |cv| unary(cv, |value, part| indices(&value, &part))),
        ("add", v(0), |cv| bome(cv.1.values().try_fold(Val::Null, |sum, value| sum + value?))),
        ("join", v(1), |cv| unary(cv, |value, separator| join(value, &separator))),
        ("flatten", v(0), |cv| bome(flatten(&cv.1, f64::INFINITY))),
        ("flatten", v(1), |cv| {
            unary(cv, |value, depth| match depth.number()?.float() {
                depth if depth < 0.0 => Err(fault("flatten depth must not be negative")),
                depth => flatten(&value, depth),
            })
        }),
        ("range", v(3), |mut cv| {
            let by = cv.0.pop_var();
            let to = cv.0.pop_var();
            let from = cv.0.pop_var();
            range(&from, &to, &by)
        }),
        ("reverse", v(0), |cv| bome(reverse(cv.1))),
        ("to_entries", v(0), |cv| bome(to_entries(cv.1))),
        ("bsearch", v(1), |cv| unary(cv, |value, target| bsearch(value, &target))),
        ("sort", v(0), |cv| bome(sort(cv.1, "sorted", |items| items.sort()))),
        ("unique", v(0), |cv| {
            bome(sort(cv.1, "sorted", |items| {
                items.sort();
                items.dedup();
            }))
        }),
        ("min", v(0), |cv| bome(extreme(cv.1, |items| items.into_iter().reduce(lesser)))),
        ("max", v(0), |cv| bome(extreme(cv.1, |items| items.into_iter().reduce(greater)))),
        ("sort_by", filter(), |cv| {
            by_key(cv, "sorted", |keyed| keyed.map(|(_, item)| item).collect())
        }),
        ("group_by", filter(), |cv| by_key(cv, "grouped", grouped)),
        ("unique_by", filter(), |cv| by_key(cv, "grouped", firsts)),
        ("min_by", filter(), |cv| by_key(cv, "sorted", |mut keyed| second(keyed.next()))),
        ("max_by", filter(), |cv| by_key(cv, "sorted", |keyed| second(keyed.last()))),
    ]
}

fn length(value: &Val) -> ValR {
    Ok(match value {
        Val::Null => Val::int(0),
        Val::Bool(_) => return Err(fault(&format!("{} has no length", value.shown()))),
        Val::Num(number) if number.float() < 0.0 => Val::Num(number.negate()),
        Val::Num(number) => Val::Num(*number),
        Val::Str(text) => {
            meter::spend_text(text.len());
            Val::int(text.as_str().chars().count())
        }
        Val::Arr(array) => Val::int(array.items().len()),
        Val::Obj(object) => Val::int(object.len()),
    })
}

fn keys(value: &Val, sorted: bool) -> ValR {
    match value {
        Val::Arr(array) => Ok((0..array.items().len()).map(Val::int).collect()),
        Val::Obj(object) if sorted => {
            Ok(object.sorted_keys().into_iter().cloned().map(Val::Str).collect())
        }
        Val::Obj(object) => {
            Ok(object.entries().iter().map(|(key, _)| Val::Str(key.clone())).collect())
        }
        other => Err(fault(&format!("{} has no keys", other.shown()))),
    }
}

fn has(value: &Val, key: &Val) -> ValR {
    match (value, key) {
        (Val::Obj(object), Val::Str(key)) => Ok(Val::Bool(object.get(key.as_str()).is_some())),
        (Val::Arr(array), Val::Num(at)) => {
            let len = array.items().len();
            Ok(Val::Bool(usize::try_from(at.integer()).is_ok_and(|at| at < len) && !at.is_nan()))
        }
        (value, key) => Err(fault(&format!(
            "Cannot check whether {} has a {} key",
            value.kind(),
            if let Val::Str(_) = key { "string" } else { key.kind() }
        ))),
    }
}

fn contains(value: &Val, part: &Val) -> Result<bool, super::value::Error> {
    meter::spend(1);
    match (value, part) {
        (Val::Obj(value), Val::Obj(part)) => {
            for (key, part) in part.entries() {
                match value.get(key.as_str()) {
                    Some(value) if contains(value, part)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Val::Arr(value), Val::Arr(part)) => {
            'parts: for part in part.items() {
                for value in value.items() {
                    if value.kind() == part.kind() && contains(value, part)? {
                        continue 'parts;
                    }
                }
                return Ok(false);
            }
            Ok(true)
        }
        (Val::Str(value), Val::Str(part)) => {
            meter::spend_text(value.len());
            Ok(memmem::find(value.as_str().as_bytes(), part.as_str().as_bytes()).is_some())
        }
        (value, part) if value.kind() == part.kind() => Ok(value == part),
        (value, part) => Err(fault(&format!(
            "{} and {} cannot have their containment checked",
            value.shown(),
            part.shown()
        ))),
    }
}

/// Where `part` begins in `value`, in characters or elements.
pub(super) fn indices(value: &Val, part: &Val) -> ValR {
    match (value, part) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Str(_), Val::Str(part)) if part.len() == 0 => Ok(Val::Null),
        (Val::Str(text), Val::Str(part)) => Ok(text_indices(text.as_str(), part.as_str())),
        (Val::Arr(_), Val::Arr(part)) if part.items().is_empty() => Ok(Val::Null),
        (Val::Arr(array), Val::Arr(part)) => {
            let windows = array.items().windows(part.items().len()).enumerate();
            Ok(windows.filter(|(_, w)| *w == part.items()).map(|(at, _)| Val::int(at)).collect())
        }
        (Val::Arr(array), part) => {
            let items = array.items().iter().enumerate();
            Ok(items.filter(|(_, item)| *item == part).map(|(at, _)| Val::int(at)).collect())
        }
        (value, part) => {
            let (value, part) = (value.kind(), part.kind());
            Err(fault(&format!("Cannot determine indices of {part} in {value}")))
        }
    }
}

/// Overlapping occurrences count.
fn text_indices(text: &str, part: &str) -> Val {
    meter::spend_text(text.len());
    let finder = memmem::Finder::new(part);
    let first = part.chars().next().map_or(1, char::len_utf8);
    let (mut from, mut counted, mut characters) = (0, 0, 0);
    std::iter::from_fn(|| {
        let at = from + finder.find(text.get(from..)?.as_bytes())?;
        from = at + first;
        characters += text[counted..at].chars().count();
        counted = at;
        Some(Val::int(characters))
    })
    .collect()
}

fn join(value: Val, separator: &Val) -> ValR {
    let mut output: Option<Val> = None;
    for item in value.values() {
        let item = match item? {
            Val::Null => Val::str(""),
            item @ (Val::Bool(_) | Val::Num(_)) => item.into_string(),
            item => item,
        };
        output = Some(match output {
            None => (Val::str("") + item)?,
            Some(output) => ((output + separator.clone())? + item)?,
        });
    }
    Ok(output.unwrap_or_else(|| Val::str("")))
}

fn flatten(value: &Val, depth: f64) -> ValR {
    fn into(value: &Val, depth: f64, output: &mut Array) {
        match value {
            Val::Arr(array) if depth >= 0.0 => {
                array.items().iter().for_each(|item| into(item, depth - 1.0, output));
            }
            other => output.push(other.clone()),
        }
    }
    let mut output = Array::default();
    match value {
        Val::Arr(_) => into(value, depth, &mut output),
        other => {
            for item in other.clone().values() {
                into(&item?, depth - 1.0, &mut output);
            }
        }
    }
    Ok(Val::Arr(Rc::new(output)))
}

/// Counts each number, as nothing else might: `last(range(infinite))` evaluates no term.
fn range<'a>(from: &Val, to: &Val, by: &Val) -> ValXs<'a, Val> {
    let bounds = match (from, to, by) {
        (Val::Num(from), Val::Num(to), Val::Num(by)) => Ok((*from, *to, *by)),
        _ => Err(fault("Range bounds must be numeric")),
    };
    let (mut next, to, by) = match bounds {
        Ok(bounds) => bounds,
        Err(error) => return bome(Err(error)),
    };
    Box::new(std::iter::from_fn(move || {
        meter::spend(1);
        let (at, end, step) = (next.float(), to.float(), by.float());
        let within = if step > 0.0 {
            at < end
        } else if step < 0.0 {
            at > end
        } else {
            at < end
        };
        within.then(|| {
            let number = next;
            next = next.add(by);
            Ok(Val::Num(number))
        })
    }))
}

fn reverse(value: Val) -> ValR {
    match value {
        Val::Str(text) => Ok(Val::str(&text.as_str().chars().rev().collect::<String>())),
        Val::Null => Ok([].into_iter().collect()),
        Val::Arr(array) => Ok(array.items().iter().rev().cloned().collect()),
        other => Err(fault(&format!("Cannot reverse {}", other.shown()))),
    }
}

fn to_entries(value: Val) -> ValR {
    if !matches!(value, Val::Obj(_)) {
        return keys(&value, false);
    }
    value
        .key_values()
        .map(|entry| entry.map(|(k, v)| Val::obj([("key", k), ("value", v)])))
        .collect()
}

fn bsearch(value: Val, target: &Val) -> ValR {
    let array = value.into_array("searched from")?;
    let number = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
    let at = match array.items().binary_search(target) {
        Ok(at) => number(at),
        Err(at) => -1 - number(at),
    };
    Ok(Val::Num(Number::Integer(at)))
}

fn sort(value: Val, what: &str, change: fn(&mut Vec<Val>)) -> ValR {
    let array = value.into_array(what)?;
    meter::spend(array.items().len());
    Ok(Val::Arr(Rc::new(array.with_items(change))))
}

fn extreme(value: Val, pick: impl FnOnce(Vec<Val>) -> Option<Val>) -> ValR {
    let array = value.into_array("compared")?;
    Ok(pick(array.items().to_vec()).unwrap_or_default())
}

fn lesser(left: Val, right: Val) -> Val {
    if right < left { right } else { left }
}

fn greater(left: Val, right: Val) -> Val {
    if right < left { left } else { right }
}

/// Elements in the order of what the filter gives for each.
type Keyed = std::vec::IntoIter<(Vec<Val>, Val)>;

fn by_key<'a>(
    mut context: Context<'a>,
    what: &'static str,
    finish: impl FnOnce(Keyed) -> Val,
) -> ValXs<'a, Val> {
    let (filter, inner) = context.0.pop_fun();
    let keyed = || -> ValX<'a, Keyed, Val> {
        let array = context.1.into_array(what)?;
        let mut keyed = Vec::new();
        for item in array.items() {
            let key: Result<Vec<Val>, Exn<'a, Val>> =
                filter.run((inner.clone(), item.clone())).collect();
            keyed.push((key?, item.clone()));
        }
        keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(keyed.into_iter())
    };
    box_once(keyed().map(finish))
}

fn grouped(keyed: Keyed) -> Val {
    let mut groups = Array::default();
    let mut open: Option<(Vec<Val>, Array)> = None;
    for (key, item) in keyed {
        match &mut open {
            Some((of, group)) if *of == key => group.push(item),
            _ => {
                let mut group = Array::default();
                group.push(item);
                if let Some((_, group)) = open.replace((key, group)) {
                    groups.push(Val::Arr(Rc::new(group)));
                }
            }
        }
    }
    if let Some((_, group)) = open {
        groups.push(Val::Arr(Rc::new(group)));
    }
    Val::Arr(Rc::new(groups))
}

fn firsts(keyed: Keyed) -> Val {
    let mut last: Option<Vec<Val>> = None;
    let mut output = Array::default();
    for (key, item) in keyed {
        if last.as_ref() != Some(&key) {
            output.push(item);
            last = Some(key);
        }
    }
    Val::Arr(Rc::new(output))
}

fn second(keyed: Option<(Vec<Val>, Val)>) -> Val {
    keyed.map(|(_, item)| item).unwrap_or_default()
}

/// `value` without what is at `path`.
pub(super) fn delete(value: Val, path: &[Val]) -> ValR {
    let Some((first, rest)) = path.split_first() else { return Ok(Val::Null) };
    match (value, first) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Obj(mut shared), Val::Str(key)) => {
            if shared.get(key.as_str()).is_none() {
                return Ok(Val::Obj(shared));
            }
            let object: &mut Object = Rc::make_mut(&mut shared);
            if rest.is_empty() {
                object.remove(key.as_str());
            } else {
                let inner = object.take(key.as_str()).unwrap_or_default();
                object.put(key.clone(), delete(inner, rest)?);
            }
            Ok(Val::Obj(shared))
        }
        (Val::Arr(mut shared), Val::Num(number)) => {
            let len = shared.items().len();
            let at = number.integer();
            let at = if at < 0 { at.saturating_add_unsigned(len as u64) } else { at };
            let Some(at) = usize::try_from(at).ok().filter(|at| *at < len) else {
                return Ok(Val::Arr(shared));
            };
            let array = Rc::make_mut(&mut shared);
            if rest.is_empty() {
                array.remove(at);
            } else {
                let inner = array.take(at);
                array.set(at, delete(inner, rest)?);
            }
            Ok(Val::Arr(shared))
        }
        (value @ Val::Arr(_), Val::Obj(_)) if rest.is_empty() => value
            .map_index(first, jaq_core::path::Opt::Essential, |_| {
                box_once(Ok([].into_iter().collect()))
            })
            .map_err(|_: Exn<'_, Val>| fault("Cannot delete slice")),
        (value, key) => {
            let (value, key) = (value.kind(), key.kind());
            Err(fault(&format!("Cannot delete field at {key} index of {value}")))
        }
    }
}

/// The value as JSON text.
pub(super) fn to_json(value: &Val) -> Val {
    let mut output = String::new();
    json::write(value, &mut output);
    Val::Str(Text::new(output))
}
