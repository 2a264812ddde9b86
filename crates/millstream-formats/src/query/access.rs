//! How the interpreter takes values apart and puts them together: paths, slices, updates.

use std::iter;
use std::ops::Range;
use std::rc::Rc;

use jaq_core::path::Opt;
use jaq_core::val::ValX;
use jaq_core::{Exn, ValT};

use super::json;
use super::meter;
use super::number::Number;
use super::object::Object;
use super::text::Text;
use super::value::{Array, Val, ValR, fault};

/// How far behind its end an array can be written, as in jq.
const GAP_MAX: i64 = 536_870_911;

type Boxed<T> = Box<dyn Iterator<Item = T>>;

impl ValT for Val {
    fn from_num(text: &str) -> ValR {
        Ok(Self::Num(Number::from_json(text)))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> ValR {
        let mut object = Object::default();
        for (key, value) in entries {
            match key {
                Self::Str(key) => object.put(key, value),
                other => {
                    return Err(fault(&format!("Cannot use {} as object key", other.shown())));
                }
            }
        }
        Ok(Self::Obj(Rc::new(object)))
    }

    fn key_values(self) -> Boxed<Result<(Self, Self), jaq_core::Error<Self>>> {
        match self {
            Self::Arr(array) => Box::new(
                counted(array.items().len())
                    .map(move |at| Ok((Self::int(at), array.items()[at].clone()))),
            ),
            Self::Obj(object) => Box::new(counted(object.len()).map(move |at| {
                let (key, value) = &object.entries()[at];
                Ok((Self::Str(key.clone()), value.clone()))
            })),
            other => Box::new(iter::once(Err(not_iterable(&other)))),
        }
    }

    fn values(self) -> Boxed<ValR> {
        match self {
            Self::Arr(array) => {
                Box::new(counted(array.items().len()).map(move |at| Ok(array.items()[at].clone())))
            }
            Self::Obj(object) => {
                Box::new(counted(object.len()).map(move |at| Ok(object.entries()[at].1.clone())))
            }
            other => Box::new(iter::once(Err(not_iterable(&other)))),
        }
    }

    fn index(self, index: &Self) -> ValR {
        match (&self, index) {
            (Self::Obj(object), Self::Str(key)) => {
                Ok(object.get(key.as_str()).cloned().unwrap_or_default())
            }
            (Self::Arr(array), Self::Num(at)) => {
                let at = position(*at, array.items().len());
                Ok(at.and_then(|at| array.items().get(at)).cloned().unwrap_or_default())
            }
            (Self::Null, Self::Str(_) | Self::Num(_) | Self::Null) => {
                meter::path_step();
                Ok(Self::Null)
            }
            (Self::Null | Self::Arr(_) | Self::Str(_), Self::Obj(bounds)) => {
                let (from, to) = (bounds.get("start").cloned(), bounds.get("end").cloned());
                self.range(from.as_ref()..to.as_ref())
            }
            (Self::Arr(_), Self::Arr(_)) => super::arrays::indices(&self, index),
            _ => Err(not_indexable(&self, index)),
        }
    }

    fn range(self, range: Range<Option<&Self>>) -> ValR {
        match &self {
            Self::Null => {
                meter::path_step();
                Ok(Self::Null)
            }
            Self::Arr(array) => {
                let bounds = bounds(&range, array.items().len())?;
                Ok(array.items()[bounds].iter().cloned().collect())
            }
            Self::Str(text) => {
                meter::spend_text(text.len());
                let characters = text.as_str().chars().count();
                let bounds = bounds(&range, characters)?;
                let byte =
                    |at| text.as_str().char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
                Ok(Self::Str(text.slice(byte(bounds.start), byte(bounds.end))))
            }
            other => Err(fault(&format!("Cannot index {} with object", other.kind()))),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match self {
            Self::Arr(array) => {
                let mut output = Array::default();
                for at in 0..array.items().len() {
                    if let Some(value) = f(array.items()[at].clone()).next() {
                        output.push(value?);
                    }
                }
                Ok(Self::Arr(Rc::new(output)))
            }
            Self::Obj(object) => {
                let mut output = Object::default();
                for (key, value) in object.entries() {
                    if let Some(value) = f(value.clone()).next() {
                        output.put(key.clone(), value?);
                    }
                }
                Ok(Self::Obj(Rc::new(output)))
            }
            other => opt.fail(other, |other| Exn::from(not_iterable(&other))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        match (self, index) {
            (value @ (Self::Arr(_) | Self::Str(_)), Self::Obj(bounds)) => {
                let (from, to) = (bounds.get("start").cloned(), bounds.get("end").cloned());
                value.map_range(from.as_ref()..to.as_ref(), opt, f)
            }
            (Self::Null, Self::Str(_)) => Self::Obj(Rc::default()).map_index(index, opt, f),
            (Self::Null, Self::Num(_)) => Self::Arr(Rc::default()).map_index(index, opt, f),
            (Self::Obj(mut shared), Self::Str(key)) => {
                let object = Rc::make_mut(&mut shared);
                let old = object.take(key.as_str()).unwrap_or_default();
                match f(old).next().transpose()? {
                    Some(value) => object.put(key.clone(), value),
                    None => object.remove(key.as_str()),
                }
                Ok(Self::Obj(shared))
            }
            (Self::Arr(mut shared), Self::Num(number)) => {
                let array = Rc::make_mut(&mut shared);
                let at = match writable_position(*number, array.items().len()) {
                    Ok(at) => at,
                    Err(message) => {
                        return opt.fail(Self::Arr(shared), |_| Exn::from(fault(message)));
                    }
                };
                let old = array.take(at);
                match f(old).next().transpose()? {
                    Some(value) => array.set(at, value),
                    None => array.remove(at),
                }
                Ok(Self::Arr(shared))
            }
            (other, index) => opt.fail(other, |other| Exn::from(not_indexable(&other, index))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<Option<&Self>>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        let array = match self {
            Self::Arr(array) => array,
            Self::Null => Rc::default(),
            other => {
                let message = format!("Cannot update field at object index of {}", other.kind());
                return opt.fail(other, |_| Exn::from(fault(&message)));
            }
        };
        let bounds = match bounds(&range, array.items().len()) {
            Ok(bounds) => bounds,
            Err(error) => return opt.fail(Self::Arr(array), |_| Exn::from(error)),
        };
        let part = array.items()[bounds.clone()].iter().cloned().collect();
        let items = array.items();
        let (before, after) = (&items[..bounds.start], &items[bounds.end..]);
        let middle = match f(part).next().transpose()? {
            None => Rc::default(),
            Some(Self::Arr(middle)) => middle,
            Some(_) => {
                return Err(Exn::from(fault(
                    "A slice of an array can only be assigned another array",
                )));
            }
        };
        Ok(before.iter().chain(middle.items()).chain(after).cloned().collect())
    }

    fn as_bool(&self) -> bool {
        self.is_true()
    }

    fn into_string(self) -> Self {
        match self {
            Self::Str(_) => self,
            other => {
                let mut output = String::new();
                json::write(&other, &mut output);
                Self::Str(Text::new(output))
            }
        }
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<isize> for Val {
    fn from(number: isize) -> Self {
        Self::Num(Number::Integer(number as i64))
    }
}

impl From<String> for Val {
    fn from(text: String) -> Self {
        meter::spend_text(text.len());
        Self::Str(Text::new(text))
    }
}

impl From<Range<Option<Val>>> for Val {
    fn from(range: Range<Option<Val>>) -> Self {
        meter::path_step();
        Self::obj([
            ("start", range.start.unwrap_or_default()),
            ("end", range.end.unwrap_or_default()),
        ])
    }
}

/// Positions below `len`, each of which costs a step: a walk over a value evaluates no term.
fn counted(len: usize) -> impl Iterator<Item = usize> {
    (0..len).inspect(|_| meter::spend(1))
}

fn not_iterable(value: &Val) -> jaq_core::Error<Val> {
    fault(&format!("Cannot iterate over {}", value.shown()))
}

fn not_indexable(value: &Val, index: &Val) -> jaq_core::Error<Val> {
    match index {
        Val::Str(key) if key.len() <= 64 => {
            fault(&format!("Cannot index {} with string \"{}\"", value.kind(), key.as_str()))
        }
        _ => fault(&format!("Cannot index {} with {}", value.kind(), index.kind())),
    }
}

/// Where `number` points in something of `len`; from its end where it is negative.
#[allow(clippy::cast_possible_truncation)] // Saturating is right: it points nowhere then.
fn position(number: Number, len: usize) -> Option<usize> {
    if number.is_nan() {
        return None;
    }
    let at = match number {
        Number::Integer(integer) => integer,
        Number::Float(float) => float.floor() as i64,
    };
    if at >= 0 {
        return usize::try_from(at).ok();
    }
    len.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)
}

/// Where `number` points for writing.
fn writable_position(number: Number, len: usize) -> Result<usize, &'static str> {
    if number.integer() > GAP_MAX {
        return Err("Array index too large");
    }
    position(number, len).ok_or("Out of bounds negative array index")
}

/// The bounds of a slice of something of `len`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Clamped to the length.
#[allow(clippy::cast_precision_loss)] // Lengths are far below 2^52.
fn bounds(range: &Range<Option<&Val>>, len: usize) -> Result<Range<usize>, jaq_core::Error<Val>> {
    let bound = |bound: Option<&Val>, default: f64| match bound {
        None | Some(Val::Null) => Ok(default),
        Some(Val::Num(number)) if number.is_nan() => Ok(default),
        Some(Val::Num(number)) => Ok(number.float()),
        Some(_) => Err(fault("Start and end indices of an array slice must be numbers")),
    };
    let length = len as f64;
    let absolute = |at: f64| if at < 0.0 { at + length } else { at }.clamp(0.0, length);
    let start = absolute(bound(range.start, 0.0)?).floor() as usize;
    let end = absolute(bound(range.end, length)?).ceil() as usize;
    Ok(start..end.max(start))
}
