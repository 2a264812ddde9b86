//! Whatever the model allows: configurations drawn from it, described back member by member.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use millstream_core::{Rand, SeededRand};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::world::*;

/// The model's shapes.
static SHAPES: LazyLock<Value> = LazyLock::new(|| {
    let model = include_str!("../../../../models/firehose.json");
    serde_json::from_str::<Value>(model).unwrap()["shapes"].take()
});

const KINDS: [&str; 8] = [
    "S3",
    "ExtendedS3",
    "Redshift",
    "Elasticsearch",
    "Amazonopensearchservice",
    "AmazonOpenSearchServerless",
    "Splunk",
    "HttpEndpoint",
];

/// Draws values of the model's shapes.
struct Draw(SeededRand);

impl Draw {
    fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn is(&self) -> bool {
        self.below(2) == 0
    }

    fn one<'a>(&self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn value(&self, name: &str) -> Value {
        let shape = &SHAPES[name];
        match shape["type"].as_str().unwrap() {
            "structure" => self.structure(name, shape).into(),
            "list" => {
                let min = shape["min"].as_u64().unwrap_or(0);
                let count = min.max(self.below(3));
                let item = shape["member"]["shape"].as_str().unwrap();
                (0..count).map(|_| self.value(item)).collect()
            }
            "map" => json!({"column": "key", "other": "k.e.y"}),
            "string" => self.text(name, shape).into(),
            "boolean" => self.is().into(),
            "integer" => {
                let (min, max) = (shape["min"].as_u64(), shape["max"].as_u64());
                let min = min.unwrap_or(0);
                let max = max.unwrap_or(i32::MAX as u64);
                (min + self.below(max - min + 1)).into()
            }
            // Of all digits that a double can have.
            "double" => f64::from_bits(self.below(1.0_f64.to_bits() + 1)).into(),
            other => panic!("{name} is a {other}"),
        }
    }

    fn structure(&self, name: &str, shape: &Value) -> Map<String, Value> {
        let is_required = |member: &str| {
            let required = shape["required"].as_array().into_iter().flatten();
            required.into_iter().any(|name| name == member)
        };
        let mut value = Map::new();
        for (member, of) in shape["members"].as_object().unwrap() {
            if is_required(member) || self.is() {
                value.insert(member.clone(), self.value(of["shape"].as_str().unwrap()));
            }
        }
        self.mend(name, &mut value);
        value
    }

    /// Text by a shape's values, or one that its pattern takes.
    fn text(&self, name: &str, shape: &Value) -> String {
        if let Some(values) = shape["enum"].as_array() {
            let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            return self.one(&values).to_owned();
        }
        let text = match name {
            "RoleARN" => ROLE,
            "BucketARN" => self.one(&[BUCKET, "arn:aws:s3:::other.bucket"]),
            "Prefix" => self.one(&["", "a/", "\u{fc}ber/", "a b/"]),
            "ErrorOutputPrefix" => self.one(&["", "e/", "e/!{firehose:error-output-type}/"]),
            "AWSKMSKeyARN" => "arn:aws:kms:us-east-1:123456789012:key/k",
            "ClusterJDBCURL" => "jdbc:redshift://c.redshift.amazonaws.com:5439/dev",
            "SecretARN" => "arn:aws:secretsmanager:us-east-1:123456789012:secret:s",
            "FileExtension" => self.one(&["", ".log", ".json.gz"]),
            "CustomTimeZone" => self.one(&["", "UTC", "Asia/Tokyo"]),
            "HttpEndpointUrl" | "HECEndpoint" => "https://host:8088/path?query=\"quoted\"",
            _ if name.ends_with("Endpoint") => "https://search:9200",
            _ if name.ends_with("DomainARN") => "arn:aws:es:us-east-1:123456789012:domain/logs",
            // What any pattern takes, and what only an open one does.
            _ if shape.get("pattern").is_some_and(|pattern| pattern != ".*") => "seven77",
            _ => self.one(&["seven77", "t\u{e4}xt-long", "-_./x#"]),
        };
        text.to_owned()
    }

    /// Mends what the model cannot say, so that most of what is drawn is taken.
    fn mend(&self, name: &str, value: &mut Map<String, Value>) {
        let one_of = |value: &mut Map<String, Value>, left: &str, right: &str| match (
            value.contains_key(left),
            value.contains_key(right),
        ) {
            (true, true) => drop(value.remove(if self.is() { left } else { right })),
            (false, false) => {
                let of = &SHAPES[name]["members"][left]["shape"];
                value.insert(left.to_owned(), self.value(of.as_str().unwrap()));
            }
            (true, false) | (false, true) => {}
        };
        match name {
            "SplunkBufferingHints" => {}
            _ if name.ends_with("BufferingHints") && value.len() == 1 => value.clear(),
            "EncryptionConfiguration" => {
                one_of(value, "NoEncryptionConfig", "KMSEncryptionConfig");
            }
            "Deserializer" => one_of(value, "OpenXJsonSerDe", "HiveJsonSerDe"),
            "Serializer" => one_of(value, "ParquetSerDe", "OrcSerDe"),
            "ProcessingConfiguration" => *value = self.processing(),
            "DataFormatConversionConfiguration" => {
                for (member, of) in SHAPES[name]["members"].as_object().unwrap() {
                    let of = of["shape"].as_str().unwrap();
                    value.entry(member).or_insert_with(|| self.value(of));
                }
                whole(&mut value["SchemaConfiguration"]);
                for (inner, part) in [
                    ("InputFormatConfiguration", "Deserializer"),
                    ("OutputFormatConfiguration", "Serializer"),
                ] {
                    value[inner] = json!({part: self.value(part)});
                }
            }
            "DynamicPartitioningConfiguration" | "SecretsManagerConfiguration" => {
                value.insert("Enabled".to_owned(), false.into());
            }
            "ElasticsearchDestinationConfiguration"
            | "AmazonopensearchserviceDestinationConfiguration" => {
                one_of(value, "DomainARN", "ClusterEndpoint");
            }
            "RedshiftDestinationConfiguration" => {
                value.insert("Username".to_owned(), "user".into());
                value.insert("Password".to_owned(), "password".into());
                value["S3Configuration"] = bucket();
            }
            "SplunkDestinationConfiguration" => {
                value.insert("HECToken".to_owned(), "token".into());
            }
            "ExtendedS3DestinationConfiguration" => mend_extended(value),
            _ => {}
        }
    }

    fn processing(&self) -> Map<String, Value> {
        let parameter =
            |name: &str, value: &str| json!({"ParameterName": name, "ParameterValue": value});
        let function = "arn:aws:lambda:us-east-1:123456789012:function:f";
        let mut processors = vec![json!({"Type": "AppendDelimiterToRecord", "Parameters": []})];
        if self.is() {
            let parameters = json!([
                parameter("BufferSizeInMBs", self.one(&["0.25", "1", "3"])),
                parameter("LambdaArn", function),
            ]);
            processors.push(json!({"Type": "Lambda", "Parameters": parameters}));
        }
        if self.is() {
            let parameters = json!([parameter("SubRecordType", "JSON")]);
            processors.push(json!({"Type": "RecordDeAggregation", "Parameters": parameters}));
        }
        let Value::Object(processing) = json!({"Enabled": self.is(), "Processors": processors})
        else {
            unreachable!("an object")
        };
        processing
    }
}

fn whole(schema: &mut Value) {
    for (name, value) in [("RoleARN", ROLE), ("DatabaseName", "d"), ("TableName", "t")] {
        schema[name] = value.into();
    }
}

fn mend_extended(value: &mut Map<String, Value>) {
    let converts = value
        .get("DataFormatConversionConfiguration")
        .is_some_and(|conversion| conversion["Enabled"] == true);
    if converts {
        value.remove("CompressionFormat");
        if value.get("BufferingHints").is_some_and(|hints| hints.get("SizeInMBs").is_some()) {
            value["BufferingHints"]["SizeInMBs"] = 64.into();
        }
    }
    if value.get("S3BackupMode").is_some_and(|mode| mode == "Enabled") {
        value.entry("S3BackupConfiguration").or_insert_with(bucket);
    }
}

/// What a configuration calls a member, and what its description does.
fn described_as(name: &str) -> &str {
    match name {
        "S3Configuration" => "S3DestinationDescription",
        "S3BackupConfiguration" => "S3BackupDescription",
        "VpcConfiguration" => "VpcConfigurationDescription",
        other => other,
    }
}

/// Asserts that all that was given is shown, but for what is secret.
fn assert_shown(given: &Value, shown: &Value, path: &str) {
    match (given, shown) {
        (Value::Object(given), Value::Object(shown)) => {
            for (name, value) in given {
                if ["Password", "AccessKey"].contains(&name.as_str()) {
                    assert!(!shown.contains_key(name), "{path}/{name} is shown");
                    continue;
                }
                let name = described_as(name);
                let inner = shown.get(name).unwrap_or_else(|| panic!("{path}/{name} is lost"));
                assert_shown(value, inner, &format!("{path}/{name}"));
            }
        }
        // Defaults of a Lambda processor come after what is given.
        (Value::Array(given), Value::Array(shown)) => {
            assert!(given.len() <= shown.len(), "{path} lost an item");
            let is_open = path.ends_with("/Parameters");
            assert!(is_open || given.len() == shown.len(), "{path} gained an item");
            for (index, (given, shown)) in given.iter().zip(shown).enumerate() {
                assert_shown(given, shown, &format!("{path}/{index}"));
            }
        }
        (given, shown) => assert_eq!(given, shown, "{path}"),
    }
}

/// Creates one of each kind, drawn by `seed`, and says which were taken.
async fn drawn(seed: u64) -> BTreeMap<&'static str, bool> {
    let behind = crate::World {
        search_domains: [(
            "arn:aws:es:us-east-1:123456789012:domain/logs".to_owned(),
            "https://search".to_owned(),
        )]
        .into(),
        ..crate::World::default()
    };
    let mut world = World::with(crate::Settings { world: behind, ..settings() }).await;
    let draw = Draw(SeededRand::new(seed));
    let mut taken = BTreeMap::new();
    let mut given = BTreeMap::new();
    for kind in KINDS {
        let configuration = draw.value(&format!("{kind}DestinationConfiguration"));
        let input = json!({format!("{kind}DestinationConfiguration"): configuration});
        let created = world.create(kind, input).await;
        taken.insert(kind, created.is_ok());
        match created {
            Ok(_) => drop(given.insert(kind, configuration)),
            // What the model allows is judged by our rules, never by accident.
            Err(told) => assert_eq!(told.code, "InvalidArgumentException", "{configuration}"),
        }
    }
    world = world.crash().await;
    for (kind, configuration) in given {
        let shown = world.destination(kind).await;
        assert_shown(&configuration, &shown[format!("{kind}DestinationDescription")], kind);
        assert!(
            world.firehose.orders().iter().any(|order| order.name == kind),
            "{kind} has a plan"
        );
    }
    taken
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_described_as_it_was_given(seed: u64) {
        block_on(drawn(seed));
    }
}

#[test]
fn most_of_what_is_drawn_is_accepted() {
    let mut counts = BTreeMap::new();
    for seed in 0..40 {
        for (kind, is_taken) in block_on(drawn(seed)) {
            *counts.entry(kind).or_insert(0) += u32::from(is_taken);
        }
    }
    for (kind, count) in counts {
        assert!(count >= 10, "{kind}: {count} of 40");
    }
}
