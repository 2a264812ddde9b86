//! Writes the types (`types.rs`) and how they are read and written (`wire.rs`).

use super::model::{Member, Model};
use super::names::{camel, literal, shout, snake};
use super::rules::is_stream;

/// Names of the prelude and of what the generated files import.
const TAKEN: &[&str] =
    &["String", "Vec", "Option", "Box", "Result", "Bytes", "Timestamp", "BTreeMap"];

/// The text of `types.rs`.
pub(super) fn write(model: &Model) -> String {
    let mut body = String::new();
    for name in model.reachable() {
        let shape = model.shape(&name);
        if shape.is_enum() {
            body.push_str(&enumeration(model, &name));
        } else if shape.is("eventstream") {
            body.push_str(&stream_events(model, &name));
        } else if shape.kind() == "structure" {
            body.push_str(&structure(model, &name));
        }
    }
    let mut text = String::from("//! The shapes.\n\n");
    for (word, import) in [
        ("BTreeMap<", "use std::collections::BTreeMap;\n"),
        (": Bytes", "use bytes::Bytes;\n"),
        ("<Bytes", "use bytes::Bytes;\n"),
        ("Timestamp>", "use millstream_core::Timestamp;\n"),
        (": Timestamp,", "use millstream_core::Timestamp;\n"),
        (": EventStream<", "use crate::stream::EventStream;\n"),
        ("EventStreamError>,", "use super::errors::*;\n"),
    ] {
        if body.contains(word) && !text.contains(import) {
            text.push_str(import);
        }
    }
    text.push('\n');
    text + &body
}

/// The Rust type of a member, boxed where a structure would hold itself.
fn member_type(model: &Model, owner: &str, member: &Member) -> String {
    let shape = model.shape(&member.shape);
    if shape.is("eventstream") {
        return format!("EventStream<{0}, {0}Error>", member.shape);
    }
    let mut kind = model.rust_type(&member.shape);
    if shape.kind() == "structure" && model.holds(&member.shape, owner) {
        kind = format!("Box<{kind}>");
    }
    if member.is_required { kind } else { format!("Option<{kind}>") }
}

/// What the model says of a member, in one line and no prose.
fn member_doc(model: &Model, member: &Member) -> String {
    let shape = model.shape(&member.shape);
    let mut says = Vec::new();
    let unit = match shape.kind() {
        "string" => " characters",
        "blob" => " bytes",
        "list" | "map" => " items",
        _ => "",
    };
    match (shape.bound("min"), shape.bound("max")) {
        (Some(min), Some(max)) => says.push(format!("{min} to {max}{unit}")),
        (Some(min), None) => says.push(format!("{min} or more{unit}")),
        (None, Some(max)) => says.push(format!("{max}{unit} at most")),
        (None, None) => {}
    }
    if let Some(pattern) = shape.text("pattern") {
        says.push(format!("matching `{}`", pattern.replace('`', "'")));
    }
    let says = if says.is_empty() { String::new() } else { format!(": {}", says.join(", ")) };
    format!("/// `{}`{says}.\n", member.name)
}

fn structure(model: &Model, name: &str) -> String {
    assert!(!TAKEN.contains(&name), "{name} is a name of Rust's");
    let mut fields = String::new();
    for member in model.shape(name).members() {
        fields.push_str(&member_doc(model, &member));
        let kind = member_type(model, name, &member);
        fields.push_str(&format!("pub {}: {kind},\n", snake(&member.name)));
    }
    let hides = model.shape(name).members().iter().any(|member| is_sensitive(model, member));
    let derives = if hides {
        "Clone, Default, PartialEq"
    } else if model.event_stream_of(name).is_some() {
        "Debug"
    } else if model.shape(name).members().is_empty() {
        "Clone, Copy, Debug, Default, PartialEq, Eq"
    } else {
        "Clone, Debug, Default, PartialEq"
    };
    let debug = if hides { debug(model, name) } else { String::new() };
    format!("/// `{name}`.\n#[derive({derives})]\npub struct {name} {{ {fields} }}\n\n{debug}")
}

/// Whether a member's values are secrets, by the model's own word.
fn is_sensitive(model: &Model, member: &Member) -> bool {
    model.shape(&member.shape).is("sensitive")
}

/// `Debug` for a structure with secrets, which are not printed.
fn debug(model: &Model, name: &str) -> String {
    let mut fields = String::new();
    for member in model.shape(name).members() {
        let field = snake(&member.name);
        let value = if is_sensitive(model, &member) {
            "&\"(hidden)\"".to_owned()
        } else {
            format!("&self.{field}")
        };
        fields.push_str(&format!(".field({}, {value})", literal(field.trim_start_matches("r#"))));
    }
    format!(
        "impl std::fmt::Debug for {name} {{\n\
             fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n\
                 f.debug_struct({}){fields}.finish()\n\
             }}\n\
         }}\n\n",
        literal(name)
    )
}

fn enumeration(model: &Model, name: &str) -> String {
    assert!(!TAKEN.contains(&name), "{name} is a name of Rust's");
    let values = model.shape(name).values();
    let (mut variants, mut all, mut print, mut parse) =
        (String::new(), String::new(), String::new(), String::new());
    let mut seen: Vec<String> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let mut variant = camel(value);
        while seen.contains(&variant) {
            variant.push('_');
        }
        let default = if index == 0 { "#[default]\n" } else { "" };
        variants.push_str(&format!("/// `{value}`.\n{default}{variant},\n"));
        all.push_str(&format!("Self::{variant},"));
        print.push_str(&format!("Self::{variant} => {},", literal(value)));
        parse.push_str(&format!("{} => Some(Self::{variant}),", literal(value)));
        seen.push(variant);
    }
    format!(
        "/// `{name}`. The default is the model's first value, and stands only where an input is \
         refused.\n\
         #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]\n\
         pub enum {name} {{ {variants} }}\n\n\
         impl {name} {{\n\
             /// Every value, in the order of the model.\n\
             pub const ALL: &'static [Self] = &[{all}];\n\n\
             /// The value as it stands on the wire.\n\
             pub const fn as_str(self) -> &'static str {{ match self {{ {print} }} }}\n\n\
             /// The value that stands on the wire as `text`.\n\
             pub fn from_text(text: &str) -> Option<Self> {{ match text {{ {parse} _ => None }} }}\n\
         }}\n\n\
         impl std::fmt::Display for {name} {{\n\
             fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n\
                 f.write_str(self.as_str())\n\
             }}\n\
         }}\n\n"
    )
}

/// The events of a stream; its errors are `errors.rs`'s.
fn stream_events(model: &Model, name: &str) -> String {
    let mut variants = String::new();
    for member in events(model, name) {
        variants.push_str(&format!("/// `{0}`.\n{0}({1}),\n", member.name, member.shape));
    }
    format!(
        "/// `{name}`: what comes without an error.\n\
         #[derive(Clone, Debug, PartialEq)]\n\
         pub enum {name} {{ {variants} }}\n\n"
    )
}

/// The members of an event stream that are no errors.
fn events(model: &Model, name: &str) -> Vec<Member> {
    let mut members = model.shape(name).members();
    members.retain(|member| !model.shape(&member.shape).is("exception"));
    members
}

/// The text of `wire.rs`.
pub(super) fn write_wire(model: &Model) -> String {
    let (mut body, mut has_stream, mut has_enum) = (String::new(), false, false);
    for name in model.reachable() {
        let shape = model.shape(&name);
        if shape.is_enum() {
            has_enum = true;
            body.push_str(&enumeration_wire(&name));
        } else if shape.is("eventstream") {
            has_stream = true;
            body.push_str(&stream_wire(model, &name));
        } else if shape.kind() == "structure" && !is_stream(model, &name) {
            body.push_str(&structure_wire(model, &name));
        }
    }
    let _ = has_enum;
    let stream_imports = if has_stream {
        "use bytes::Bytes;\nuse millstream_wire::{Codec, decode_output};\n         use millstream_wire::event_stream::event_frame;\n\
         use crate::stream::Event;\n"
    } else {
        ""
    };
    format!(
        "//! How the shapes are read and written.\n\n\
         use millstream_wire::{{Decode, DecodeError, Decoder, Encode, Encoder}};\n\
         {stream_imports}\n\
         use super::rules;\nuse super::types::*;\n\n{body}"
    )
}

fn enumeration_wire(name: &str) -> String {
    format!(
        "impl Decode for {name} {{\n\
             fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {{\n\
                 decoder.one_of({}, Self::from_text)\n\
             }}\n\n\
             fn describe(&self, out: &mut String) {{ out.push_str(self.as_str()); }}\n\
         }}\n\n\
         impl Encode for {name} {{\n\
             fn encode(&self, encoder: &mut Encoder) {{ self.as_str().encode(encoder); }}\n\
         }}\n\n",
        literal(name)
    )
}

fn structure_wire(model: &Model, name: &str) -> String {
    let members = model.shape(name).members();
    let (mut arms, mut writes) = (String::new(), String::new());
    for (index, member) in members.iter().enumerate() {
        let field = snake(&member.name);
        let at = if index + 1 == members.len() { "_".to_owned() } else { index.to_string() };
        arms.push_str(&format!("{at} => value.{field} = Decode::decode(decoder)?,"));
        writes.push_str(&format!("encoder.member({}, &self.{field});", literal(&member.name)));
    }
    let hint = if model.leads_to_blob(name) { hint(&members) } else { String::new() };
    let table = format!("rules::{}_STRUCTURE", shout(name));
    let read = match members.as_slice() {
        [] => format!(
            "let mut cursor = decoder.begin_structure(&{table})?;\n\
             while decoder.next_member(&mut cursor)?.is_some() {{}}\n\
             Ok(Self {{}})"
        ),
        [only] => format!(
            "let mut value = Self::default();\n\
             let mut cursor = decoder.begin_structure(&{table})?;\n\
             while decoder.next_member(&mut cursor)?.is_some() {{\n\
                 value.{} = Decode::decode(decoder)?;\n\
             }}\n\
             Ok(value)",
            snake(&only.name)
        ),
        _ => format!(
            "let mut value = Self::default();\n\
             let mut cursor = decoder.begin_structure(&{table})?;\n\
             while let Some(member) = decoder.next_member(&mut cursor)? {{\n\
                 match member {{ {arms} }}\n\
             }}\n\
             Ok(value)"
        ),
    };
    format!(
        "impl Decode for {name} {{\n\
             fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {{ {read} }}\n\n\
             fn describe(&self, out: &mut String) {{ {table}.describe(out); }}\n\
         }}\n\n\
         impl Encode for {name} {{\n\
             fn encode(&self, encoder: &mut Encoder) {{\n\
                 encoder.begin_structure();\n{writes}\nencoder.end_structure();\n\
             }}\n\
         {hint}}}\n\n"
    )
}

/// The size of a structure that holds blobs: names, punctuation, values.
fn hint(members: &[Member]) -> String {
    let names: usize = members.iter().map(|member| member.name.len() + 8).sum();
    let values: String = members
        .iter()
        .map(|member| format!(" + self.{}.bytes_hint()", snake(&member.name)))
        .collect();
    format!("\nfn bytes_hint(&self) -> usize {{ {names}{values} }}\n")
}

fn stream_wire(model: &Model, name: &str) -> String {
    let (mut writes, mut reads) = (String::new(), String::new());
    for member in events(model, name) {
        let text = literal(&member.name);
        writes.push_str(&format!(
            "Self::{}(event) => event_frame(codec, {text}, event),",
            member.name
        ));
        reads.push_str(&format!(
            "{text} => Some(decode_output(codec, payload).map(Self::{})),",
            member.name
        ));
    }
    format!(
        "impl Event for {name} {{\n\
             fn encode_frame(&self, codec: Codec) -> Bytes {{ match self {{ {writes} }} }}\n\n\
             fn decode_payload(event_type: &str, codec: Codec, payload: &Bytes) \
                 -> Option<Result<Self, DecodeError>> {{\n\
                 match event_type {{ {reads} _ => None }}\n\
             }}\n\
         }}\n\n"
    )
}
