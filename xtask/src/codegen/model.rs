//! A model as read: shapes, operations, and the questions that the writers ask of them.
//!
//! Patches are applied first: what the public model lacks or misstates, each with its why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{ALWAYS, names};
use crate::tidy::read;

/// One service.
pub(super) struct Model {
    /// The file's name, without `.json`.
    pub(super) id: &'static str,
    /// What IAM actions start with.
    pub(super) action_prefix: &'static str,
    digest: String,
    is_patched: bool,
    metadata: Value,
    shapes: BTreeMap<String, Shape>,
    /// In the order of the model.
    pub(super) operations: Vec<Operation>,
}

/// A shape: its JSON, with names resolved on demand.
pub(super) struct Shape {
    pub(super) json: Value,
}

/// One member of a structure.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) shape: String,
    pub(super) is_required: bool,
}

/// One operation.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) input: Option<String>,
    pub(super) output: Option<String>,
    pub(super) errors: Vec<String>,
}

impl Shape {
    pub(super) fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default()
    }

    pub(super) fn is(&self, flag: &str) -> bool {
        self.json[flag].as_bool().unwrap_or_default()
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.json[key].as_str()
    }

    /// A bound; the models' are whole numbers.
    pub(super) fn bound(&self, key: &str) -> Option<i64> {
        let value = &self.json[key];
        #[allow(clippy::cast_possible_truncation)] // Checked by the comparison.
        let whole = value.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64);
        value.as_i64().or(whole)
    }

    pub(super) fn values(&self) -> Vec<&str> {
        self.json["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(super) fn is_enum(&self) -> bool {
        self.kind() == "string" && !self.values().is_empty()
    }

    /// The shape that `key` (`member`, `key` or `value`) refers to.
    pub(super) fn refers(&self, key: &str) -> &str {
        self.json[key]["shape"].as_str().unwrap_or_default()
    }

    /// In the order of the model.
    pub(super) fn members(&self) -> Vec<Member> {
        let required: BTreeSet<&str> = self.json["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        self.json["members"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, member)| Member {
                name: name.clone(),
                shape: member["shape"].as_str().unwrap_or_default().to_owned(),
                is_required: required.contains(name.as_str()),
            })
            .collect()
    }

    /// Where a member's violations stand among its siblings'.
    pub(super) fn order_of(&self, member: &str, index: usize) -> usize {
        let listed = self.json["violationOrder"].as_array();
        listed.and_then(|names| names.iter().position(|name| name == member)).unwrap_or(index + 64)
    }
}

impl Model {
    /// Reads `models/ID.json` and patches it.
    pub(super) fn read(
        root: &Path,
        id: &'static str,
        action_prefix: &'static str,
    ) -> Result<Self, String> {
        let text = read(&root.join(format!("models/{id}.json")))?;
        let parse = |text: &str| {
            serde_json::from_str::<Value>(text).map_err(|error| format!("models of {id}: {error}"))
        };
        let mut json = parse(&text)?;
        let mut digested = text.into_bytes();
        let patches = root.join(format!("models/patches/{id}.json"));
        let is_patched = patches.is_file();
        if is_patched {
            let patches = read(&patches)?;
            apply(&mut json, &parse(&patches)?)?;
            digested.extend(patches.into_bytes());
        }
        let shapes = json["shapes"].as_object().into_iter().flatten();
        let operations = json["operations"].as_object().into_iter().flatten();
        let shape_of = |value: &Value| value["shape"].as_str().map(str::to_owned);
        Ok(Self {
            id,
            action_prefix,
            digest: digest(&digested),
            is_patched,
            metadata: json["metadata"].clone(),
            shapes: shapes
                .map(|(name, json)| (name.clone(), Shape { json: json.clone() }))
                .collect(),
            operations: operations
                .map(|(name, json)| Operation {
                    name: name.clone(),
                    method: json["http"]["method"].as_str().unwrap_or("POST").to_owned(),
                    uri: json["http"]["requestUri"].as_str().unwrap_or("/").to_owned(),
                    input: shape_of(&json["input"]),
                    output: shape_of(&json["output"]),
                    errors: json["errors"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(shape_of)
                        .collect(),
                })
                .collect(),
        })
    }

    pub(super) fn module(&self) -> String {
        self.id.replace('-', "_")
    }

    pub(super) fn header(&self) -> String {
        let patched = if self.is_patched { " and its patches" } else { "" };
        format!(
            "// @generated by cargo xtask codegen from models/{}.json{patched} (sha256 {})\n\n",
            self.id, self.digest
        )
    }

    /// The attribute before everything that waits behind the service's feature.
    pub(super) fn gate(&self) -> String {
        if self.id == ALWAYS {
            String::new()
        } else {
            format!("#[cfg(feature = \"{}\")]\n", self.id)
        }
    }

    pub(super) fn meta(&self, key: &str) -> &str {
        self.metadata[key].as_str().unwrap_or_default()
    }

    /// Whether the service's protocols, as patched, name `protocol`.
    pub(super) fn lists_protocol(&self, protocol: &str) -> bool {
        self.metadata["protocols"].as_array().into_iter().flatten().any(|name| name == protocol)
    }

    pub(super) fn full_name(&self) -> &str {
        self.meta("serviceFullName")
    }

    /// The name of the service's trait: `KinesisVideoMedia`.
    pub(super) fn trait_name(&self) -> String {
        match self.id {
            "kinesisanalytics" => "KinesisAnalytics".to_owned(),
            "kinesisanalyticsv2" => "KinesisAnalyticsV2".to_owned(),
            "kinesisvideo" => "KinesisVideo".to_owned(),
            "cloudwatch" => "CloudWatch".to_owned(),
            "dynamodb" => "DynamoDb".to_owned(),
            id => names::camel(id),
        }
    }

    pub(super) fn shape(&self, name: &str) -> &Shape {
        self.shapes.get(name).unwrap_or_else(|| panic!("{}: no shape {name}", self.id))
    }

    /// Where the public documentation of an operation lies.
    pub(super) fn documentation(&self, operation: &str) -> String {
        let guide = match self.id {
            "kinesis" => "kinesis/latest/APIReference",
            "firehose" => "firehose/latest/APIReference",
            "kinesisanalytics" => "kinesisanalytics/latest/dev",
            "kinesisanalyticsv2" => "managed-flink/latest/apiv2",
            "kms" => "kms/latest/APIReference",
            "sts" => "STS/latest/APIReference",
            "cloudwatch" => "AmazonCloudWatch/latest/APIReference",
            "dynamodb" => "amazondynamodb/latest/APIReference",
            _ => "kinesisvideostreams/latest/dg",
        };
        let prefix = match self.id {
            "kinesis-video-media" => "dataplane_",
            "kinesis-video-archived-media" => "reader_",
            "kinesis-video-signaling" => "AWSAcuitySignalingService_",
            "kinesis-video-webrtc-storage" => "webrtc_",
            _ => "",
        };
        format!("https://docs.aws.amazon.com/{guide}/API_{prefix}{operation}.html")
    }

    /// Structures and enums that operations, or errors that carry more than a text, lead to.
    pub(super) fn reachable(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open: Vec<String> = Vec::new();
        for operation in &self.operations {
            open.extend(operation.input.iter().chain(&operation.output).cloned());
            let carries = |error: &&String| !self.extra_members(error).is_empty();
            open.extend(operation.errors.iter().filter(carries).cloned());
        }
        while let Some(name) = open.pop() {
            let shape = self.shape(&name);
            let is_plain_error = shape.is("exception") && self.extra_members(&name).is_empty();
            if is_plain_error || !found.insert(name) {
                continue;
            }
            open.extend(shape.members().into_iter().map(|member| member.shape));
            for key in ["member", "key", "value"] {
                let next = shape.refers(key);
                if !next.is_empty() {
                    open.push(next.to_owned());
                }
            }
        }
        found
    }

    /// What an error carries beside its text.
    pub(super) fn extra_members(&self, error: &str) -> Vec<Member> {
        let mut members = self.shape(error).members();
        members.retain(|member| !member.name.eq_ignore_ascii_case("message"));
        members
    }

    /// The member that is an event stream, where a structure has one.
    pub(super) fn event_stream_of(&self, structure: &str) -> Option<Member> {
        let mut members = self.shape(structure).members().into_iter();
        members.find(|member| self.shape(&member.shape).is("eventstream"))
    }

    /// The Rust type of a shape's values.
    pub(super) fn rust_type(&self, name: &str) -> String {
        let shape = self.shape(name);
        match shape.kind() {
            "string" if shape.is_enum() => name.to_owned(),
            "string" => "String".to_owned(),
            "integer" | "short" => "i32".to_owned(),
            "long" => "i64".to_owned(),
            "double" | "float" => "f64".to_owned(),
            "boolean" => "bool".to_owned(),
            "blob" => "Bytes".to_owned(),
            "timestamp" => "Timestamp".to_owned(),
            "list" => format!("Vec<{}>", self.rust_type(shape.refers("member"))),
            "map" => format!("BTreeMap<String, {}>", self.rust_type(shape.refers("value"))),
            "structure" => name.to_owned(),
            kind => panic!("{}: shape {name} is a {kind}", self.id),
        }
    }

    /// Whether values of a shape can hold blobs, however deep.
    pub(super) fn leads_to_blob(&self, name: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            let shape = self.shape(&name);
            if shape.kind() == "blob" {
                return true;
            }
            if seen.insert(name.clone()) {
                open.extend(shape.members().into_iter().map(|member| member.shape));
                let parts = ["member", "value"].map(|key| shape.refers(key).to_owned());
                open.extend(parts.into_iter().filter(|part| !part.is_empty()));
            }
        }
        false
    }

    /// Whether values of `from` hold values of `to` without a list or map between.
    pub(super) fn holds(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from.to_owned()];
        while let Some(name) = open.pop() {
            if name == to {
                return true;
            }
            if seen.insert(name.clone()) {
                open.extend(self.shape(&name).members().into_iter().map(|member| member.shape));
            }
        }
        false
    }
}

/// Sets each patch's value at its JSON pointer; null removes.
fn apply(model: &mut Value, patches: &Value) -> Result<(), String> {
    for patch in patches["patches"].as_array().into_iter().flatten() {
        let at = patch["at"].as_str().ok_or("a patch without a place")?;
        if patch["why"].as_str().is_none_or(str::is_empty) {
            return Err(format!("the patch at {at} does not say why"));
        }
        let (parent, key) = at.rsplit_once('/').ok_or("a patch's place starts with /")?;
        let parent = model.pointer_mut(parent).and_then(Value::as_object_mut);
        let parent =
            parent.ok_or_else(|| format!("the patch at {at} has no place in the model"))?;
        match &patch["value"] {
            Value::Null => drop(parent.shift_remove(key)),
            value => drop(parent.insert(key.to_owned(), value.clone())),
        }
    }
    Ok(())
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
