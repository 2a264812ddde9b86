//! Natives on strings.

use jaq_core::native::{bome, unary, v};

use super::arrays::to_json;
use super::json;
use super::meter;
use super::natives::Native;
use super::number::Number;
use super::text::Text;
use super::value::{Val, ValR, fault, split};

pub(super) fn natives() -> Vec<Native> {
    vec![
        ("utf8bytelength", v(0), |cv| bome(utf8_byte_length(&cv.1))),
        ("explode", v(0), |cv| bome(explode(&cv.1))),
        ("implode", v(0), |cv| bome(implode(cv.1))),
        ("ascii_downcase", v(0), |cv| bome(map_ascii(&cv.1, str::to_ascii_lowercase))),
        ("ascii_upcase", v(0), |cv| bome(map_ascii(&cv.1, str::to_ascii_uppercase))),
        ("startswith", v(1), |cv| {
            unary(cv, |value, part| {
                const WHAT: &str = "startswith() requires string inputs";
                Ok(Val::Bool(value.text(WHAT)?.as_str().starts_with(part.text(WHAT)?.as_str())))
            })
        }),
        ("endswith", v(1), |cv| {
            unary(cv, |value, part| {
                const WHAT: &str = "endswith() requires string inputs";
                Ok(Val::Bool(value.text(WHAT)?.as_str().ends_with(part.text(WHAT)?.as_str())))
            })
        }),
        ("ltrimstr", v(1), |cv| {
            unary(cv, |value, part| Ok(trim(value, &part, |t, p| t.strip_prefix(p))))
        }),
        ("rtrimstr", v(1), |cv| {
            unary(cv, |value, part| Ok(trim(value, &part, |t, p| t.strip_suffix(p))))
        }),
        ("split", v(1), |cv| {
            unary(cv, |value, separator| {
                const WHAT: &str = "split input and separator must be strings";
                Ok(split(value.text(WHAT)?, separator.text(WHAT)?.as_str()))
            })
        }),
        ("tojson", v(0), |cv| bome(Ok(to_json(&cv.1)))),
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tonumber", v(0), |cv| bome(to_number(cv.1))),
    ]
}

fn utf8_byte_length(value: &Val) -> ValR {
    match value {
        Val::Str(text) => Ok(Val::int(text.len())),
        other => Err(fault(&format!("{} only strings have UTF-8 byte length", other.shown()))),
    }
}

fn explode(value: &Val) -> ValR {
    let text = value.text("explode input must be a string")?;
    Ok(text.as_str().chars().map(|c| Val::Num(Number::Integer(u32::from(c).into()))).collect())
}

fn implode(value: Val) -> ValR {
    const WHAT: &str = "implode input must be an array of code points";
    let Val::Arr(array) = value else { return Err(fault("implode input must be an array")) };
    meter::spend_text(array.items().len());
    let character = |item: &Val| match item {
        Val::Num(number) => u32::try_from(number.integer())
            .ok()
            .and_then(char::from_u32)
            .or(Some(char::REPLACEMENT_CHARACTER)),
        _ => None,
    };
    let text: Option<String> = array.items().iter().map(character).collect();
    text.map(|text| Val::Str(Text::new(text))).ok_or_else(|| fault(WHAT))
}

fn map_ascii(value: &Val, map: fn(&str) -> String) -> ValR {
    let text = value.text("explode input must be a string")?;
    meter::spend_text(text.len());
    Ok(Val::Str(Text::new(map(text.as_str()))))
}

/// The value without `part`, where both are strings and it is there; else the value.
fn trim(value: Val, part: &Val, strip: for<'a> fn(&'a str, &str) -> Option<&'a str>) -> Val {
    let (Val::Str(text), Val::Str(part)) = (&value, part) else { return value };
    match strip(text.as_str(), part.as_str()) {
        Some(rest) => Val::Str(text.slice_of(rest)),
        None => value,
    }
}

fn from_json(value: &Val) -> ValR {
    let Val::Str(text) = value else {
        return Err(fault(&format!("{} cannot be parsed as JSON", value.shown())));
    };
    json::parse(text).map_err(|error| {
        let shown = text.as_str().chars().take(64).collect::<String>();
        fault(&format!("Invalid JSON at byte {} (while parsing '{shown}')", error.at))
    })
}

fn to_number(value: Val) -> ValR {
    match value {
        Val::Num(_) => Ok(value),
        Val::Str(ref text) => {
            if let Ok(number @ Val::Num(_)) = json::parse(text) {
                return Ok(number);
            }
            let shown = text.as_str().chars().take(64).collect::<String>();
            Err(fault(&format!("Invalid numeric literal (while parsing '{shown}')")))
        }
        other => Err(fault(&format!("{} cannot be parsed as a number", other.shown()))),
    }
}
