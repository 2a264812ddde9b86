//! Writes constraints as data: a rule for each shape that has one, a table for each structure.

use std::collections::BTreeSet;

use super::model::Model;
use super::names::{literal, shout};

/// The text of `rules.rs`.
pub(super) fn write(model: &Model) -> String {
    let reachable = model.reachable();
    let mut used = BTreeSet::new();
    let mut tables = String::new();
    for name in &reachable {
        let shape = model.shape(name);
        if shape.kind() != "structure" || is_stream(model, name) {
            continue;
        }
        tables.push_str(&table(model, name, &mut used));
    }
    // A rule may lead to others: close the set.
    let mut rules = String::new();
    let mut written = BTreeSet::new();
    while let Some(name) = used.iter().find(|name| !written.contains(*name)).cloned() {
        rules.push_str(&rule(model, &name, &mut used));
        written.insert(name);
    }
    let patterns = written
        .iter()
        .filter(|name| model.shape(name).text("pattern").is_some())
        .map(|name| format!("&{}_PATTERN,", shout(name)))
        .collect::<String>();
    let any = if tables.contains("&ANY") {
        "/// Without constraints.\nstatic ANY: Rule = Rule::any();\n\n"
    } else {
        ""
    };
    format!(
        "//! What inputs must satisfy.\n\n\
         use millstream_wire::{{Member, Pattern, Rule, Structure}};\n\n\
         {any}\
         /// Every pattern, for the test that all can be compiled.\n\
         #[cfg(test)]\n\
         pub(crate) static PATTERNS: &[&Pattern] = &[{patterns}];\n\n\
         {rules}{tables}"
    )
    .replace("use millstream_wire::{Member, Pattern, Rule, Structure};", &imports(&rules, &tables))
}

fn imports(rules: &str, tables: &str) -> String {
    let member = if tables.contains("Member {") { "Member, " } else { "" };
    let cfg_only = !rules.contains("Pattern::new");
    let pattern = if cfg_only { "" } else { "Pattern, " };
    let line = format!("use millstream_wire::{{{member}{pattern}Rule, Structure}};");
    if cfg_only { format!("#[cfg(test)]\nuse millstream_wire::Pattern;\n{line}") } else { line }
}

/// Event streams and structures that hold one are written by hand of the runtime.
pub(super) fn is_stream(model: &Model, name: &str) -> bool {
    model.shape(name).is("eventstream") || model.event_stream_of(name).is_some()
}

/// Whether a shape's own values can violate anything.
fn has_rule(model: &Model, name: &str) -> bool {
    let shape = model.shape(name);
    match shape.kind() {
        "structure" | "boolean" | "timestamp" => false,
        "list" => bounded(model, name) || has_rule(model, shape.refers("member")),
        "map" => {
            bounded(model, name)
                || has_rule(model, shape.refers("key"))
                || has_rule(model, shape.refers("value"))
        }
        _ => bounded(model, name) || shape.text("pattern").is_some() || shape.is_enum(),
    }
}

fn bounded(model: &Model, name: &str) -> bool {
    let shape = model.shape(name);
    shape.bound("min").is_some() || shape.bound("max").is_some()
}

fn reference(model: &Model, name: &str, used: &mut BTreeSet<String>) -> String {
    if !has_rule(model, name) {
        return "&ANY".to_owned();
    }
    used.insert(name.to_owned());
    format!("&{}", shout(name))
}

fn optional(model: &Model, name: &str, used: &mut BTreeSet<String>) -> String {
    if name.is_empty() || !has_rule(model, name) {
        return "None".to_owned();
    }
    format!("Some({})", reference(model, name, used))
}

fn rule(model: &Model, name: &str, used: &mut BTreeSet<String>) -> String {
    let shape = model.shape(name);
    let mut fields = String::new();
    let mut text = String::new();
    for bound in ["min", "max"] {
        if let Some(value) = shape.bound(bound) {
            fields.push_str(&format!("{bound}: Some({}),", grouped(value)));
        }
    }
    if let Some(pattern) = shape.text("pattern") {
        let constant = format!("{}_PATTERN", shout(name));
        let made = match shape.text("patternEquivalent") {
            Some(other) => format!("with_equivalent({}, {})", literal(pattern), literal(other)),
            None => format!("new({})", literal(pattern)),
        };
        text.push_str(&format!("static {constant}: Pattern = Pattern::{made};\n"));
        fields.push_str(&format!("pattern: Some(&{constant}),"));
    }
    if shape.is_enum() {
        let values: Vec<String> = shape.values().into_iter().map(literal).collect();
        fields.push_str(&format!("one_of: &[{}],", values.join(", ")));
    }
    let element = match shape.kind() {
        "list" => shape.refers("member"),
        "map" => shape.refers("value"),
        _ => "",
    };
    let element = optional(model, element, used);
    if element != "None" {
        fields.push_str(&format!("element: {element},"));
    }
    let key = optional(model, shape.refers("key"), used);
    if shape.kind() == "map" && key != "None" {
        fields.push_str(&format!("key: {key},"));
    }
    format!("{text}static {}: Rule = Rule {{ {fields} ..Rule::any() }};\n\n", shout(name))
}

/// A number as clippy wants to read it.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

fn table(model: &Model, name: &str, used: &mut BTreeSet<String>) -> String {
    let shape = model.shape(name);
    let mut members = String::new();
    for (index, member) in shape.members().iter().enumerate() {
        let order = shape.order_of(&member.name, index);
        let rule = reference(model, &member.shape, used);
        members.push_str(&format!(
            "Member {{ name: {}, required: {}, order: {order}, rule: {rule} }},",
            literal(&member.name),
            member.is_required
        ));
    }
    assert!(shape.members().len() <= 64, "{name} has more members than a cursor has bits");
    let version = model.meta("apiVersion").replace('-', "");
    let full = format!("com.amazonaws.{}.v{version}.{name}", model.module());
    format!(
        "pub(crate) static {}_STRUCTURE: Structure = Structure {{ name: {}, members: &[{members}] }};\n\n",
        shout(name),
        literal(&full)
    )
}
