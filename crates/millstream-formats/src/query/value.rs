//! Values of queries: JSON, in memory that is counted.
//!
//! Owns what values are, their order and their arithmetic, in jq 1.6's terms and with its errors.
//! How the interpreter takes them apart is in `access`.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use memchr::memmem;

use super::json;
use super::meter::{self, Held};
use super::number::Number;
use super::object::Object;
use super::text::Text;

/// A value.
#[derive(Clone, Default)]
pub(super) enum Val {
    #[default]
    Null,
    Bool(bool),
    Num(Number),
    Str(Text),
    Arr(Rc<Array>),
    Obj(Rc<Object>),
}

/// An error of a query, or its value.
pub(super) type ValR = jaq_core::ValR<Val>;
/// What a query's `try` catches.
pub(super) type Error = jaq_core::Error<Val>;

/// About what an element holds beside its text.
const ELEMENT_BYTES: usize = 24;
/// Bytes of a value in an error, as in jq.
const SHOWN_BYTES: usize = 11;

/// The elements of an array. Cloning is linear in them, and is counted.
#[derive(Default)]
pub(super) struct Array {
    items: Vec<Val>,
    /// At least how deep the deepest element nests, this array included.
    depth: usize,
    held: Held,
}

impl Array {
    pub(super) fn items(&self) -> &[Val] {
        &self.items
    }

    pub(super) fn push(&mut self, item: Val) {
        meter::spend(1);
        self.depth = self.depth.max(meter::deeper(item.depth()));
        self.items.push(item);
        self.held.set(self.items.capacity() * ELEMENT_BYTES);
    }

    /// Puts `item` at `index`, with null before it where there is nothing yet.
    pub(super) fn set(&mut self, index: usize, item: Val) {
        while self.items.len() <= index {
            self.push(Val::Null);
        }
        self.depth = self.depth.max(meter::deeper(item.depth()));
        self.items[index] = item;
    }

    pub(super) fn take(&mut self, index: usize) -> Val {
        self.items.get_mut(index).map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn remove(&mut self, index: usize) {
        if index < self.items.len() {
            meter::spend(self.items.len() - index);
            self.items.remove(index);
        }
    }

    /// Changes the elements as a whole: `change` counts what it does.
    pub(super) fn with_items(mut self, change: impl FnOnce(&mut Vec<Val>)) -> Self {
        change(&mut self.items);
        self.held.set(self.items.capacity() * ELEMENT_BYTES);
        self
    }
}

impl Clone for Array {
    fn clone(&self) -> Self {
        meter::spend(self.items.len());
        let items = self.items.clone();
        Self { held: Held::new(items.capacity() * ELEMENT_BYTES), items, depth: self.depth }
    }
}

impl Val {
    pub(super) fn str(text: &str) -> Self {
        meter::spend_text(text.len());
        Self::Str(Text::new(text.to_owned()))
    }

    pub(super) fn int(number: usize) -> Self {
        Self::Num(Number::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    pub(super) fn obj(entries: impl IntoIterator<Item = (&'static str, Val)>) -> Self {
        let mut object = Object::default();
        for (key, value) in entries {
            object.put(Text::new(key.to_owned()), value);
        }
        Self::Obj(Rc::new(object))
    }

    /// How deep it nests: 0 where it holds no other values.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Arr(array) => array.depth,
            Self::Obj(object) => object.depth(),
            Self::Null | Self::Bool(_) | Self::Num(_) | Self::Str(_) => 0,
        }
    }

    /// jq's word for its type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Num(_) => "number",
            Self::Str(_) => "string",
            Self::Arr(_) => "array",
            Self::Obj(_) => "object",
        }
    }

    /// Its type and, in parentheses, how it begins.
    pub(super) fn shown(&self) -> String {
        format!("{} ({})", self.kind(), json::shown(self, SHOWN_BYTES))
    }

    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    /// The string, or an error that says `what` it was wanted for.
    pub(super) fn text(&self, what: &str) -> Result<&Text, Error> {
        match self {
            Self::Str(text) => Ok(text),
            _ => Err(fault(what)),
        }
    }

    pub(super) fn number(&self) -> Result<Number, Error> {
        match self {
            Self::Num(number) => Ok(*number),
            _ => Err(fault(&format!("{} number required", self.shown()))),
        }
    }

    /// The elements, taken out of the array where nothing else refers to it.
    pub(super) fn into_array(self, what: &str) -> Result<Array, Error> {
        match self {
            Self::Arr(array) => Ok(Rc::unwrap_or_clone(array)),
            _ => Err(fault(&format!("{} cannot be {what}, as it is not an array", self.shown()))),
        }
    }
}

/// An error with a message.
pub(super) fn fault(message: &str) -> Error {
    Error::new(Val::str(message))
}

fn cannot(left: &Val, right: &Val, what: &str) -> Error {
    fault(&format!("{} and {} cannot be {what}", left.shown(), right.shown()))
}

impl FromIterator<Self> for Val {
    fn from_iter<T: IntoIterator<Item = Self>>(items: T) -> Self {
        let mut array = Array::default();
        for item in items {
            array.push(item);
        }
        Self::Arr(Rc::new(array))
    }
}

impl Add for Val {
    type Output = ValR;

    fn add(self, other: Self) -> ValR {
        Ok(match (self, other) {
            (Self::Null, value) | (value, Self::Null) => value,
            (Self::Num(left), Self::Num(right)) => Self::Num(left.add(right)),
            (Self::Str(left), Self::Str(right)) => Self::Str(left.append(right.as_str())),
            (Self::Arr(mut left), Self::Arr(right)) => {
                let array = Rc::make_mut(&mut left);
                right.items.iter().for_each(|item| array.push(item.clone()));
                Self::Arr(left)
            }
            (Self::Obj(mut left), Self::Obj(right)) => {
                let object = Rc::make_mut(&mut left);
                for (key, value) in right.entries() {
                    object.put(key.clone(), value.clone());
                }
                Self::Obj(left)
            }
            (left, right) => return Err(cannot(&left, &right, "added")),
        })
    }
}

impl Sub for Val {
    type Output = ValR;

    fn sub(self, other: Self) -> ValR {
        match (self, other) {
            (Self::Num(left), Self::Num(right)) => Ok(Self::Num(left.subtract(right))),
            (Self::Arr(left), Self::Arr(right)) => {
                let kept = left.items.iter().filter(|item| !right.items.contains(item));
                Ok(kept.cloned().collect())
            }
            (left, right) => Err(cannot(&left, &right, "subtracted")),
        }
    }
}

impl Mul for Val {
    type Output = ValR;

    fn mul(self, other: Self) -> ValR {
        match (self, other) {
            (Self::Num(left), Self::Num(right)) => Ok(Self::Num(left.multiply(right))),
            (Self::Str(text), Self::Num(times)) | (Self::Num(times), Self::Str(text)) => {
                Ok(repeat(&text, times))
            }
            (Self::Obj(left), Self::Obj(right)) => Ok(Self::Obj(merge(left, &right))),
            (left, right) => Err(cannot(&left, &right, "multiplied")),
        }
    }
}

/// `text` so many times, rounded up; null for none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturating; not negative.
fn repeat(text: &Text, times: Number) -> Val {
    let times = times.float();
    if times.is_nan() || times <= 0.0 {
        return Val::Null;
    }
    let times = times.ceil() as usize;
    let bytes = text.len().saturating_mul(times);
    // Before the memory is taken.
    drop(Held::new(bytes));
    meter::spend_text(bytes);
    Val::Str(Text::new(text.as_str().repeat(times)))
}

/// `left` with what is in `right`, objects within objects too.
fn merge(mut left: Rc<Object>, right: &Object) -> Rc<Object> {
    let object = Rc::make_mut(&mut left);
    for (key, value) in right.entries() {
        let value = match (object.take(key.as_str()), value) {
            (Some(Val::Obj(inner)), Val::Obj(right)) => Val::Obj(merge(inner, right)),
            (_, value) => value.clone(),
        };
        object.put(key.clone(), value);
    }
    left
}

impl Div for Val {
    type Output = ValR;

    fn div(self, other: Self) -> ValR {
        match (self, other) {
            (Self::Num(left), Self::Num(right)) => {
                left.divide(right).map(Self::Num).ok_or_else(|| {
                    let (left, right) = (Self::Num(left), Self::Num(right));
                    cannot(&left, &right, "divided because the divisor is zero")
                })
            }
            (Self::Str(text), Self::Str(separator)) => Ok(split(&text, separator.as_str())),
            (left, right) => Err(cannot(&left, &right, "divided")),
        }
    }
}

/// The parts of `text` between occurrences of `separator`; its characters where that is empty.
pub(super) fn split(text: &Text, separator: &str) -> Val {
    let whole = text.as_str();
    meter::spend_text(whole.len());
    let part = |part: &str| Val::Str(text.slice_of(part));
    if whole.is_empty() {
        return [].into_iter().collect();
    }
    if separator.is_empty() {
        let ends = whole.char_indices().map(|(at, character)| (at, at + character.len_utf8()));
        return ends.map(|(start, end)| Val::Str(text.slice(start, end))).collect();
    }
    let mut from = 0;
    let found = memmem::find_iter(whole.as_bytes(), separator.as_bytes());
    found
        .chain([whole.len()])
        .map(|end| {
            let start = std::mem::replace(&mut from, end + separator.len());
            part(&whole[start..end])
        })
        .collect()
}

impl Rem for Val {
    type Output = ValR;

    fn rem(self, other: Self) -> ValR {
        const ZERO: &str = "divided (remainder) because the divisor is zero";
        match (self, other) {
            (Self::Num(left), Self::Num(right)) => left
                .remainder(right)
                .map(Self::Num)
                .ok_or_else(|| cannot(&Self::Num(left), &Self::Num(right), ZERO)),
            (left, right) => Err(cannot(&left, &right, "divided")),
        }
    }
}

impl Neg for Val {
    type Output = ValR;

    fn neg(self) -> ValR {
        match self {
            Self::Num(number) => Ok(Self::Num(number.negate())),
            other => Err(fault(&format!("{} cannot be negated", other.shown()))),
        }
    }
}

/// What is no number equals nothing, itself included.
impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        let nan = matches!(self, Self::Num(number) if number.is_nan());
        !nan && self.cmp(other) == Ordering::Equal
    }
}

/// What is no number is less than itself.
#[allow(clippy::non_canonical_partial_ord_impl)] // `<` of the language, and its sorting, differ.
impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Num(left), Self::Num(right)) if left.is_nan() && right.is_nan() => {
                Some(Ordering::Less)
            }
            _ => Some(self.cmp(other)),
        }
    }
}

impl Eq for Val {}

/// jq's order of all values, total: for sorting.
impl Ord for Val {
    fn cmp(&self, other: &Self) -> Ordering {
        meter::spend(1);
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Num(left), Self::Num(right)) => left.order(*right),
            (Self::Str(left), Self::Str(right)) => {
                meter::spend(left.len().min(right.len()) / 64);
                left.cmp(right)
            }
            (Self::Arr(left), Self::Arr(right)) => left.items.cmp(&right.items),
            (Self::Obj(left), Self::Obj(right)) => order_objects(left, right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Val {
    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Num(_) => 2,
            Self::Str(_) => 3,
            Self::Arr(_) => 4,
            Self::Obj(_) => 5,
        }
    }
}

/// By their sets of keys first, then by their values, key by key.
fn order_objects(left: &Object, right: &Object) -> Ordering {
    let (left_keys, right_keys) = (left.sorted_keys(), right.sorted_keys());
    left_keys.cmp(&right_keys).then_with(|| {
        let values = |object: &Object, key: &Text| object.get(key.as_str()).cloned();
        left_keys
            .iter()
            .map(|key| values(left, key).cmp(&values(right, key)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

/// A string is written as it is, all else as JSON; long values are cut.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DISPLAYED_BYTES: usize = 256;
        match self {
            Self::Str(text) if text.len() <= DISPLAYED_BYTES => f.write_str(text.as_str()),
            _ => f.write_str(&json::shown(self, DISPLAYED_BYTES)),
        }
    }
}
