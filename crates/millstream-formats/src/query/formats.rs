//! Natives that format: `@csv` and its like.

use jaq_core::ValT;
use jaq_core::native::{bome, unary, v};

use super::arrays::to_json;
use super::meter;
use super::natives::Native;
use super::text::Text;
use super::value::{Val, ValR, fault};

pub(super) fn natives() -> Vec<Native> {
    vec![
        ("@csv", v(0), |cv| bome(csv(&cv.1))),
        ("@tsv", v(0), |cv| bome(tsv(&cv.1))),
        ("@html", v(0), |cv| bome(Ok(html(cv.1)))),
        ("@uri", v(0), |cv| bome(Ok(uri(cv.1)))),
        ("@sh", v(0), |cv| bome(sh(&cv.1))),
        ("@base64", v(0), |cv| bome(Ok(base64(cv.1)))),
        ("@base64d", v(0), |cv| bome(base64_decoded(cv.1))),
        ("format", v(1), |cv| {
            unary(cv, |value, name| match name.text("format must be a string")?.as_str() {
                "text" => Ok(value.into_string()),
                "json" => Ok(to_json(&value)),
                "csv" => csv(&value),
                "tsv" => tsv(&value),
                "html" => Ok(html(value)),
                "uri" => Ok(uri(value)),
                "sh" => sh(&value),
                "base64" => Ok(base64(value)),
                "base64d" => base64_decoded(value),
                other => Err(fault(&format!("{other} is not a valid format"))),
            })
        }),
    ]
}

fn text_of(value: Val) -> Text {
    match value.into_string() {
        Val::Str(text) => {
            meter::spend_text(text.len());
            text
        }
        _ => Text::new(String::new()),
    }
}

fn csv(value: &Val) -> ValR {
    row(value, "csv", ",", |text| format!("\"{}\"", text.replace('"', "\"\"")))
}

fn tsv(value: &Val) -> ValR {
    row(value, "tsv", "\t", |text| {
        text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
    })
}

fn row(value: &Val, format: &str, separator: &str, quote: fn(&str) -> String) -> ValR {
    let Val::Arr(array) = value else {
        return Err(fault(&format!(
            "{} cannot be {format}-formatted, only an array can be",
            value.shown()
        )));
    };
    let mut output = String::new();
    for (index, item) in array.items().iter().enumerate() {
        if index > 0 {
            output.push_str(separator);
        }
        match item {
            Val::Null => {}
            Val::Bool(_) | Val::Num(_) => output.push_str(text_of(item.clone()).as_str()),
            Val::Str(text) => {
                meter::spend_text(text.len());
                output.push_str(&quote(text.as_str()));
            }
            Val::Arr(_) | Val::Obj(_) => {
                return Err(fault(&format!("{} is not valid in a {format} row", item.shown())));
            }
        }
    }
    Ok(Val::Str(Text::new(output)))
}

fn html(value: Val) -> Val {
    let text = text_of(value);
    let mut output = String::with_capacity(text.len());
    for character in text.as_str().chars() {
        match character {
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            '&' => output.push_str("&amp;"),
            '\'' => output.push_str("&apos;"),
            '"' => output.push_str("&quot;"),
            other => output.push(other),
        }
    }
    Val::Str(Text::new(output))
}

fn uri(value: Val) -> Val {
    use std::fmt::Write as _;
    let text = text_of(value);
    let mut output = String::with_capacity(text.len());
    for byte in text.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            output.push(char::from(byte));
        } else {
            write!(output, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    Val::Str(Text::new(output))
}

fn sh(value: &Val) -> ValR {
    let items = match value {
        Val::Arr(array) => array.items(),
        other => std::slice::from_ref(other),
    };
    let mut output = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            output.push(' ');
        }
        match item {
            Val::Arr(_) | Val::Obj(_) => {
                return Err(fault(&format!("{} can not be escaped for shell", item.shown())));
            }
            Val::Str(text) => {
                meter::spend_text(text.len());
                output.push('\'');
                output.push_str(&text.as_str().replace('\'', "'\\''"));
                output.push('\'');
            }
            Val::Null | Val::Bool(_) | Val::Num(_) => {
                output.push_str(text_of(item.clone()).as_str());
            }
        }
    }
    Ok(Val::Str(Text::new(output)))
}

fn base64(value: Val) -> Val {
    let text = text_of(value);
    Val::Str(Text::new(base64_simd::STANDARD.encode_to_string(text.as_str())))
}

fn base64_decoded(value: Val) -> ValR {
    let invalid = fault(&format!("{} is not valid base64 data", value.shown()));
    let text = text_of(value);
    let digits = text.as_str().trim_end_matches('=');
    match base64_simd::forgiving_decode_to_vec(digits.as_bytes()) {
        Ok(bytes) => Ok(Val::Str(Text::new(String::from_utf8_lossy(&bytes).into_owned()))),
        Err(_) => Err(invalid),
    }
}
