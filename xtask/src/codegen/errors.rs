//! Writes one error enum an operation, from the model's own list.

use std::collections::BTreeMap;

use super::model::Model;
use super::names::{camel, literal, snake};

/// Errors that any operation may end with, whether the model lists them or not.
const COMMON: &[(&str, &str, u16)] = &[
    ("Validation", "ValidationException", 400),
    ("AccessDenied", "AccessDeniedException", 400),
    ("InternalFailure", "InternalFailure", 500),
];

struct Variant {
    code: String,
    status: u64,
    /// The structure it carries, where that is more than a text.
    carries: Option<String>,
}

/// The text of `errors.rs`.
pub(super) fn write(model: &Model) -> String {
    let mut body = String::new();
    for operation in &model.operations {
        let doc =
            format!("Why [`{}`]({}) fails.", operation.name, model.documentation(&operation.name));
        body.push_str(&error_enum(
            model,
            &format!("{}Error", operation.name),
            &doc,
            &operation.errors,
        ));
        let Some(output) = &operation.output else { continue };
        if let Some(stream) = model.event_stream_of(output) {
            let mut errors: Vec<String> = model
                .shape(&stream.shape)
                .members()
                .into_iter()
                .map(|member| member.shape)
                .collect();
            errors.retain(|name| model.shape(name).is("exception"));
            let doc = format!("What ends a `{}` early.", stream.shape);
            body.push_str(&error_enum(model, &format!("{}Error", stream.shape), &doc, &errors));
        }
    }
    let carried = if body.contains("Exception),") || body.contains("(error) =>") {
        "use super::types::*;\n"
    } else {
        ""
    };
    format!(
        "//! Why operations fail.\n\n\
         use crate::error::{{OperationError, WireError}};\n{carried}\n{body}"
    )
}

fn variants(model: &Model, errors: &[String]) -> BTreeMap<String, Variant> {
    let mut variants = BTreeMap::new();
    for error in errors {
        let shape = model.shape(error);
        let declared = &shape.json["error"];
        let fallback = if shape.is("fault") { 500 } else { 400 };
        let variant = Variant {
            code: declared["code"].as_str().unwrap_or(error).to_owned(),
            status: declared["httpStatusCode"].as_u64().unwrap_or(fallback),
            carries: (!model.extra_members(error).is_empty()).then(|| error.clone()),
        };
        let name = error.strip_suffix("Exception").or(error.strip_suffix("Fault")).unwrap_or(error);
        variants.insert(camel(name), variant);
    }
    for (name, code, status) in COMMON {
        variants.entry((*name).to_owned()).or_insert_with(|| Variant {
            code: (*code).to_owned(),
            status: u64::from(*status),
            carries: None,
        });
    }
    variants
}

/// The parts of an enum's text, one line a variant in each.
#[derive(Default)]
struct Parts {
    declared: String,
    codes: String,
    messages: String,
    statuses: String,
    parses: String,
    /// Only variants that carry more than a text.
    wires: String,
}

impl Parts {
    fn add(&mut self, model: &Model, name: &str, variant: &Variant) {
        let code = literal(&variant.code);
        self.codes.push_str(&format!("Self::{name}(_) => {code},"));
        self.statuses.push_str(&format!("Self::{name}(_) => {},", variant.status));
        let Some(shape) = &variant.carries else {
            let doc = format!("/// `{}`, with its text.\n", variant.code);
            self.declared.push_str(&format!("{doc}{name}(String),\n"));
            self.messages.push_str(&format!("Self::{name}(message) => message,"));
            self.parses.push_str(&format!("{code} => Some(Self::{name}(message)),"));
            return;
        };
        let doc = format!("/// `{}`, with what it carries.\n", variant.code);
        self.declared.push_str(&format!("{doc}{name}({shape}),\n"));
        let (text, set) = message_of(model, shape);
        let error = if text.contains("error.") { "error" } else { "_" };
        self.messages.push_str(&format!("Self::{name}({error}) => {text},"));
        let made = format!("{shape} {{ {set} ..Default::default() }}");
        self.parses.push_str(&format!("{code} => Some(Self::{name}({made})),"));
        let mut members = String::new();
        for member in model.extra_members(shape) {
            let (text, field) = (literal(&member.name), snake(&member.name));
            members.push_str(&format!(".with({text}, error.{field}.clone())"));
        }
        self.wires.push_str(&format!("Self::{name}(error) => wire{members},"));
    }
}

fn error_enum(model: &Model, name: &str, doc: &str, errors: &[String]) -> String {
    let mut parts = Parts::default();
    for (variant_name, variant) in variants(model, errors) {
        parts.add(model, &variant_name, &variant);
    }
    let Parts { declared, codes, messages, statuses, parses, wires } = parts;
    let to_wire = if wires.is_empty() {
        String::new()
    } else {
        format!(
            "fn to_wire(&self) -> WireError {{\n\
             let wire = WireError::new(self.code(), self.message(), self.status());\n\
             match self {{ {wires} _ => wire }} }}\n"
        )
    };
    format!(
        "/// {doc}\n\
         #[derive(Clone, Debug, PartialEq)]\n\
         pub enum {name} {{ {declared} }}\n\n\
         impl OperationError for {name} {{\n\
             fn code(&self) -> &'static str {{ match self {{ {codes} }} }}\n\n\
             fn message(&self) -> &str {{ match self {{ {messages} }} }}\n\n\
             fn status(&self) -> u16 {{ match self {{ {statuses} }} }}\n\n\
             fn from_code(code: &str, message: String) -> Option<Self> {{\n\
                 match code {{ {parses} _ => None }}\n\
             }}\n\n{to_wire}\
         }}\n\n\
         impl std::fmt::Display for {name} {{\n\
             fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n\
                 write!(f, \"{{}}: {{}}\", self.code(), self.message())\n\
             }}\n\
         }}\n\n\
         impl std::error::Error for {name} {{}}\n\n\
         impl From<{name}> for WireError {{\n\
             fn from(error: {name}) -> Self {{ error.to_wire() }}\n\
         }}\n\n"
    )
}

/// How a carried structure gives its text, and how it is given one.
fn message_of(model: &Model, shape: &str) -> (String, String) {
    let members = model.shape(shape).members();
    match members.iter().find(|member| member.name.eq_ignore_ascii_case("message")) {
        None => ("\"\"".to_owned(), String::new()),
        Some(member) if member.is_required => {
            let field = snake(&member.name);
            (format!("&error.{field}"), format!("{field}: message,"))
        }
        Some(member) => {
            let field = snake(&member.name);
            (
                format!("error.{field}.as_deref().unwrap_or_default()"),
                format!("{field}: Some(message),"),
            )
        }
    }
}
