//! Who is measured: each server as data, from how it is had to what its acknowledgement means.
//!
//! Owns the list and the fill-in of `{places}` in commands; knows nothing of how things are run.
//! Versions are pinned, so that a later run compares the same peers.

use std::collections::BTreeMap;

/// Where a server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This workspace, built for release.
    Workspace,
    /// A package of the npm registry.
    Npm { package: &'static str, version: &'static str },
    /// A package of the Python index, into a virtual environment of its own.
    Pip { requirement: &'static str, version: &'static str },
    /// A crate of the crates registry.
    Cargo { package: &'static str, version: &'static str },
    /// Apache Kafka's jars from Maven Central.
    Kafka { version: &'static str },
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Nothing: it lives in the process.
    Memory,
    /// The process, not a power cut: it lies in the system's page cache.
    Buffered,
    /// A power cut: it is synced to the disk before the answer.
    Synced,
}

impl Durability {
    /// The word in the tables.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Buffered => "buffered",
            Self::Synced => "fsync",
        }
    }
}

/// What the server speaks, and so which tool loads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Kinesis, JSON and CBOR.
    KinesisBoth,
    /// Kinesis, compared in JSON.
    Kinesis,
    /// Kafka's protocol, loaded by Kafka's own tools.
    Kafka,
}

/// One server to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// For the command line and for folders.
    pub(super) name: &'static str,
    /// For the tables.
    pub(super) title: &'static str,
    pub(super) source: Source,
    pub(super) durability: Durability,
    /// What the durability rests on, for the reader who doubts.
    pub(super) durability_note: &'static str,
    pub(super) speaks: Speaks,
    /// Whether it has SubscribeToShard at all.
    pub(super) has_fan_out: bool,
    /// Program and arguments; places: `{install}`, `{binary}`, `{data}`, `{port}`, `{port_two}`.
    pub(super) command: &'static [&'static str],
    /// Environment, with the same places.
    pub(super) environment: &'static [(&'static str, &'static str)],
}

impl Peer {
    /// Whether it is this project.
    pub(super) fn is_ours(&self) -> bool {
        self.source == Source::Workspace
    }

    /// Its pinned version; ours is the commit, which the caller knows.
    pub(super) fn version(&self) -> Option<&'static str> {
        match self.source {
            Source::Workspace => None,
            Source::Npm { version, .. }
            | Source::Pip { version, .. }
            | Source::Cargo { version, .. }
            | Source::Kafka { version } => Some(version),
        }
    }
}

const NODE_SERVER: &str = "require('{install}/node_modules/kinesalite')({createStreamMs: 20, \
    deleteStreamMs: 20, updateStreamMs: 20, shardLimit: 1000}).listen({port}, '127.0.0.1')";

const FERROKINESIS: &[&str] = &[
    "{install}/bin/ferrokinesis",
    "--port",
    "{port}",
    "--create-stream-ms",
    "20",
    "--delete-stream-ms",
    "20",
    "--shard-limit",
    "1000",
    "--max-request-body-mb",
    "32",
    "--log-level",
    "error",
];

const FERROKINESIS_DURABLE: &[&str] = &[
    "{install}/bin/ferrokinesis",
    "--port",
    "{port}",
    "--create-stream-ms",
    "20",
    "--delete-stream-ms",
    "20",
    "--shard-limit",
    "1000",
    "--max-request-body-mb",
    "32",
    "--log-level",
    "error",
    "--state-dir",
    "{data}",
];

const KAFKA: &[&str] = &[
    "java",
    "-Xms1g",
    "-Xmx1g",
    "-cp",
    "{install}/jars/*",
    "kafka.Kafka",
    "{data}/server.properties",
];

/// Everyone, in the order of measuring.
pub(super) const ROSTER: &[Peer] = &[
    Peer {
        name: "millstream",
        title: "Millstream",
        source: Source::Workspace,
        durability: Durability::Synced,
        durability_note: "`durability = fsync`, the default: synced before each answer",
        speaks: Speaks::KinesisBoth,
        has_fan_out: true,
        command: &["{binary}", "dev", "--listen", "127.0.0.1:{port}", "--data-dir", "{data}"],
        environment: &[("MILLSTREAM_LOG_FILTER", "warn")],
    },
    Peer {
        name: "millstream-serve",
        title: "Millstream `serve`",
        source: Source::Workspace,
        durability: Durability::Synced,
        durability_note: "as above, and every signature verified over the whole body",
        speaks: Speaks::KinesisBoth,
        has_fan_out: true,
        command: &["{binary}", "serve", "--listen", "127.0.0.1:{port}", "--data-dir", "{data}"],
        environment: &[("MILLSTREAM_LOG_FILTER", "warn")],
    },
    Peer {
        name: "millstream-buffered",
        title: "Millstream, buffered",
        source: Source::Workspace,
        durability: Durability::Buffered,
        durability_note: "`durability = buffered`: in the page cache before each answer",
        speaks: Speaks::KinesisBoth,
        has_fan_out: true,
        command: &[
            "{binary}",
            "dev",
            "--listen",
            "127.0.0.1:{port}",
            "--data-dir",
            "{data}",
            "--durability",
            "buffered",
        ],
        environment: &[("MILLSTREAM_LOG_FILTER", "warn")],
    },
    Peer {
        name: "ferrokinesis",
        title: "ferrokinesis",
        source: Source::Cargo { package: "ferrokinesis", version: "0.7.0" },
        durability: Durability::Memory,
        durability_note: "its default",
        speaks: Speaks::Kinesis,
        has_fan_out: true,
        command: FERROKINESIS,
        environment: &[],
    },
    Peer {
        name: "ferrokinesis-wal",
        title: "ferrokinesis, write-ahead log",
        source: Source::Cargo { package: "ferrokinesis", version: "0.7.0" },
        durability: Durability::Synced,
        durability_note: "`--state-dir`: each change appended and synced (read in its source)",
        speaks: Speaks::Kinesis,
        has_fan_out: true,
        command: FERROKINESIS_DURABLE,
        environment: &[],
    },
    Peer {
        name: "kinesalite",
        title: "kinesalite",
        source: Source::Npm { package: "kinesalite", version: "3.3.3" },
        durability: Durability::Memory,
        durability_note: "its default; its LevelDB store is not measured",
        speaks: Speaks::Kinesis,
        has_fan_out: false,
        command: &["node", "-e", NODE_SERVER],
        environment: &[],
    },
    Peer {
        name: "kinesis-mock",
        title: "kinesis-mock",
        source: Source::Npm { package: "kinesis-local", version: "0.6.2" },
        durability: Durability::Memory,
        durability_note: "its default; persisting writes a whole file every few seconds",
        speaks: Speaks::Kinesis,
        has_fan_out: true,
        command: &["node", "{install}/node_modules/kinesis-local/main.js"],
        environment: &[
            ("KINESIS_MOCK_PLAIN_PORT", "{port}"),
            ("KINESIS_MOCK_TLS_PORT", "{port_two}"),
            ("KINESIS_MOCK_CERT_PATH", "{install}/node_modules/kinesis-local/server.json"),
            ("SHARD_LIMIT", "1000"),
            ("CREATE_STREAM_DURATION", "20ms"),
            ("DELETE_STREAM_DURATION", "20ms"),
            ("REGISTER_STREAM_CONSUMER_DURATION", "20ms"),
            ("LOG_LEVEL", "ERROR"),
        ],
    },
    Peer {
        name: "moto",
        title: "moto server",
        source: Source::Pip { requirement: "moto[server]", version: "5.2.5" },
        durability: Durability::Memory,
        durability_note: "it has no other",
        speaks: Speaks::Kinesis,
        has_fan_out: false,
        command: &["{install}/venv/bin/moto_server", "-H", "127.0.0.1", "-p", "{port}"],
        environment: &[],
    },
    Peer {
        name: "kafka",
        title: "Apache Kafka, flush on each batch",
        source: Source::Kafka { version: "4.3.0" },
        durability: Durability::Synced,
        durability_note: "one KRaft node, `flush.messages=1`, producer `acks=all`",
        speaks: Speaks::Kafka,
        has_fan_out: true,
        command: KAFKA,
        environment: &[("KAFKA_TOPIC_SETTING", "flush.messages=1")],
    },
    Peer {
        name: "kafka-buffered",
        title: "Apache Kafka, stock",
        source: Source::Kafka { version: "4.3.0" },
        durability: Durability::Buffered,
        durability_note: "one KRaft node, its default: an ack means the page cache",
        speaks: Speaks::Kafka,
        has_fan_out: true,
        command: KAFKA,
        environment: &[],
    },
];

/// The places of a command, filled in.
pub(super) struct Places(pub(super) BTreeMap<&'static str, String>);

impl Places {
    /// `text` with every `{place}` replaced.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (place, value) in &self.0 {
            filled = filled.replace(&format!("{{{place}}}"), value);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_folders() {
        let mut names: Vec<&str> = ROSTER.iter().map(|peer| peer.name).collect();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROSTER.len());
    }

    #[test]
    fn every_place_in_a_command_can_be_filled() {
        let names = ["install", "binary", "data", "port", "port_two"];
        let places = Places(names.into_iter().map(|name| (name, String::new())).collect());
        for peer in ROSTER {
            for text in peer.command.iter().chain(peer.environment.iter().map(|(_, value)| value)) {
                let filled = places.fill(text);
                let left = names.iter().any(|name| filled.contains(&format!("{{{name}}}")));
                assert!(!left, "{}: {filled}", peer.name);
            }
        }
    }
}
