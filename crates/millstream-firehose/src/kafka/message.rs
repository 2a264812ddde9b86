//! The requests of a reader, and their answers.
//!
//! Owns which version of each is spoken: of Metadata 10 for the topic's id (Kafka 2.8), else 4; of
//! ListOffsets 2, the first that knows transactions; of Fetch 10, the first that zstd is sent in,
//! else 4. Kafka 4 and Kafka 0.11 both speak some of these. A login is spoken in SaslHandshake 1
//! and SaslAuthenticate 0 (Kafka 1.0): with the later versions a broker would say when it wants to
//! hear the login again, which is when it closes the connection, and then a new one is opened.

use bytes::{BufMut, Bytes};

use super::KafkaError;
use super::wire::{Reader, Writer};

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;

/// Where flexible Metadata begins is 9; of the two spoken here only this one is.
const METADATA_WITH_IDS: i16 = 10;
const METADATA_PLAIN: i16 = 4;
const LIST_OFFSETS_VERSION: i16 = 2;
const FETCH_WITH_ZSTD: i16 = 10;
const FETCH_PLAIN: i16 = 4;
const SASL_HANDSHAKE_VERSION: i16 = 1;
const SASL_AUTHENTICATE_VERSION: i16 = 0;

/// Only what is committed can be read.
const READ_COMMITTED: i8 = 1;
/// An ordinary consumer.
const NO_REPLICA: i32 = -1;

/// A request, in words.
#[derive(Clone, Debug)]
pub(super) enum Request<'a> {
    ApiVersions,
    SaslHandshake {
        mechanism: &'a str,
    },
    /// What the mechanism has to say.
    SaslAuthenticate {
        message: &'a [u8],
    },
    Metadata {
        topic: &'a str,
    },
    /// The same question for several partitions of one topic.
    ListOffsets {
        topic: &'a str,
        partitions: &'a [i32],
        at: OffsetAt,
    },
    Fetch {
        topic: &'a str,
        partition: i32,
        offset: i64,
        bytes: i32,
    },
}

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetAt {
    /// Of the first record that is still there.
    Earliest,
    /// After the last record that is committed.
    Latest,
    /// Of the first record with this timestamp, in milliseconds, or a later one.
    Time(i64),
}

/// The versions of each request that a broker speaks.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions(Vec<(i16, i16, i16)>);

impl Versions {
    fn has(&self, key: i16, version: i16) -> bool {
        let speaks =
            |(known, min, max): &(i16, i16, i16)| *known == key && (*min..=*max).contains(&version);
        self.0.iter().any(speaks)
    }

    pub(super) fn read(mut reader: Reader) -> Result<Self, KafkaError> {
        refusal(reader.i16()?)?;
        let version = |reader: &mut Reader| Ok((reader.i16()?, reader.i16()?, reader.i16()?));
        reader.list(version).map(Self)
    }
}

impl Request<'_> {
    fn key(&self) -> i16 {
        match self {
            Self::ApiVersions => API_VERSIONS,
            Self::SaslHandshake { .. } => SASL_HANDSHAKE,
            Self::SaslAuthenticate { .. } => SASL_AUTHENTICATE,
            Self::Metadata { .. } => METADATA,
            Self::ListOffsets { .. } => LIST_OFFSETS,
            Self::Fetch { .. } => FETCH,
        }
    }

    /// The version to speak; the error is the one that is missing, with the request's key.
    pub(super) fn version(&self, versions: &Versions) -> Result<i16, (i16, i16)> {
        let key = self.key();
        let wanted: &[i16] = match self {
            Self::ApiVersions => return Ok(0),
            Self::SaslHandshake { .. } => &[SASL_HANDSHAKE_VERSION],
            Self::SaslAuthenticate { .. } => &[SASL_AUTHENTICATE_VERSION],
            Self::Metadata { .. } => &[METADATA_WITH_IDS, METADATA_PLAIN],
            Self::ListOffsets { .. } => &[LIST_OFFSETS_VERSION],
            Self::Fetch { .. } => &[FETCH_WITH_ZSTD, FETCH_PLAIN],
        };
        let found = wanted.iter().find(|version| versions.has(key, **version));
        found.copied().ok_or((key, wanted[wanted.len() - 1]))
    }

    /// Whether this version has the compact form.
    pub(super) fn is_flexible(&self, version: i16) -> bool {
        matches!(self, Self::Metadata { .. }) && version == METADATA_WITH_IDS
    }

    /// The request as it is sent.
    pub(super) fn frame(&self, version: i16, correlation: i32) -> Bytes {
        let flexible = self.is_flexible(version);
        let mut writer = Writer::request(self.key(), version, correlation, flexible);
        match self {
            Self::ApiVersions => {}
            Self::SaslHandshake { mechanism } => writer.text(mechanism),
            Self::SaslAuthenticate { message } => {
                writer.count(message.len());
                writer.out.put_slice(message);
            }
            Self::Metadata { topic } => metadata(&mut writer, topic, flexible),
            Self::ListOffsets { topic, partitions, at } => {
                writer.out.put_i32(NO_REPLICA);
                writer.out.put_i8(READ_COMMITTED);
                writer.count(1);
                writer.text(topic);
                writer.count(partitions.len());
                for partition in *partitions {
                    writer.out.put_i32(*partition);
                    writer.out.put_i64(match at {
                        OffsetAt::Latest => -1,
                        OffsetAt::Earliest => -2,
                        OffsetAt::Time(ms) => *ms,
                    });
                }
            }
            Self::Fetch { topic, partition, offset, bytes } => {
                fetch(&mut writer, version, topic, (*partition, *offset, *bytes));
            }
        }
        writer.frame()
    }
}

fn metadata(writer: &mut Writer, topic: &str, with_ids: bool) {
    writer.count(1);
    if with_ids {
        // By name, so no id.
        writer.out.put_u128(0);
    }
    writer.text(topic);
    writer.tags();
    // Never create a topic by asking for it.
    writer.out.put_u8(0);
    if with_ids {
        // Nor say what may be done with the cluster, or with topics.
        writer.out.put_u8(0);
        writer.out.put_u8(0);
    }
    writer.tags();
}

fn fetch(writer: &mut Writer, version: i16, topic: &str, place: (i32, i64, i32)) {
    let (partition, offset, bytes) = place;
    let is_new = version == FETCH_WITH_ZSTD;
    writer.out.put_i32(NO_REPLICA);
    // At once, whatever there is: the wait for more is elsewhere.
    writer.out.put_i32(0);
    writer.out.put_i32(0);
    writer.out.put_i32(bytes);
    writer.out.put_i8(READ_COMMITTED);
    if is_new {
        // No session: id 0, epoch -1.
        writer.out.put_i32(0);
        writer.out.put_i32(-1);
    }
    writer.count(1);
    writer.text(topic);
    writer.count(1);
    writer.out.put_i32(partition);
    if is_new {
        // No epoch of the leader to compare.
        writer.out.put_i32(-1);
    }
    writer.out.put_i64(offset);
    if is_new {
        // The start of a follower's log.
        writer.out.put_i64(-1);
    }
    writer.out.put_i32(bytes);
    if is_new {
        writer.count(0);
    }
}

/// An error code, as an error.
pub(super) fn refusal(code: i16) -> Result<(), KafkaError> {
    if code == 0 { Ok(()) } else { Err(KafkaError::Refused { code }) }
}

/// Whether a mechanism may be used; the error is the broker's code, and those that may.
pub(super) fn read_handshake(mut reader: Reader) -> Result<(), (KafkaError, Vec<String>)> {
    let mut read = || {
        let code = reader.i16()?;
        let known = reader.list(|reader| Ok(reader.text()?.unwrap_or_default()))?;
        Ok((code, known))
    };
    let (code, known) = read().map_err(|error| (error, Vec::new()))?;
    refusal(code).map_err(|error| (error, known))
}

/// What a broker says within a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Zero: it goes on, or is over.
    pub(super) code: i16,
    /// For a person, where there is a code.
    pub(super) reason: String,
    /// For the mechanism.
    pub(super) message: Bytes,
}

impl Said {
    pub(super) fn read(mut reader: Reader) -> Result<Self, KafkaError> {
        let (code, reason) = (reader.i16()?, reader.text()?.unwrap_or_default());
        Ok(Self { code, reason, message: reader.bytes()? })
    }
}

/// What a topic looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicMetadata {
    /// Brokers' addresses, by id.
    pub(super) brokers: Vec<(i32, String)>,
    /// Tells one topic from a later one of the same name; zero where the brokers have none.
    pub(super) id: u128,
    /// Partitions and their leaders, below zero where there is none now.
    pub(super) partitions: Vec<(i32, i32)>,
}

impl TopicMetadata {
    pub(super) fn read(mut reader: Reader, with_ids: bool) -> Result<Self, KafkaError> {
        reader.tags()?;
        reader.i32()?;
        let brokers = reader.list(|reader| {
            let id = reader.i32()?;
            let host = reader.text()?.unwrap_or_default();
            let port = reader.i32()?;
            reader.text()?;
            reader.tags()?;
            Ok((id, address(&host, port)))
        })?;
        reader.text()?;
        reader.i32()?;
        let topics = reader.list(|reader| {
            let code = reader.i16()?;
            reader.text()?;
            let id = if with_ids { reader.uuid()? } else { 0 };
            reader.i8()?;
            let partitions = reader.list(|reader| partition(reader, with_ids))?;
            if with_ids {
                reader.i32()?;
            }
            reader.tags()?;
            Ok((code, id, partitions))
        })?;
        let topic = topics.into_iter().next();
        let (code, id, partitions) = topic.ok_or(KafkaError::Malformed("no topic is in it"))?;
        refusal(code)?;
        Ok(Self { brokers, id, partitions })
    }
}

fn address(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn partition(reader: &mut Reader, with_ids: bool) -> Result<(i32, i32), KafkaError> {
    // The leader tells: a partition in trouble has none.
    reader.i16()?;
    let (index, leader) = (reader.i32()?, reader.i32()?);
    if with_ids {
        reader.i32()?;
    }
    let lists = if with_ids { 3 } else { 2 };
    for _ in 0..lists {
        reader.list(Reader::i32)?;
    }
    reader.tags()?;
    Ok((index, leader))
}

/// A partition, and its offset; `None` where no record is so late.
pub(super) type Found = (i32, Result<Option<i64>, KafkaError>);

/// The offset of each partition that was asked for.
pub(super) fn read_offsets(mut reader: Reader) -> Result<Vec<Found>, KafkaError> {
    reader.i32()?;
    let topics = reader.list(|reader| {
        reader.text()?;
        reader.list(|reader| {
            let (index, code) = (reader.i32()?, reader.i16()?);
            reader.i64()?;
            let offset = reader.i64()?;
            Ok((index, refusal(code).map(|()| (offset >= 0).then_some(offset))))
        })
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// What a fetch of one partition brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetched {
    /// Up to here every transaction is decided.
    pub(super) stable_end: i64,
    /// Producers' ids, and the first offset of a transaction of theirs that was aborted.
    pub(super) aborted: Vec<(i64, i64)>,
    /// Batches; the last may be cut off.
    pub(super) batches: Bytes,
}

impl Fetched {
    pub(super) fn read(mut reader: Reader, version: i16) -> Result<Self, KafkaError> {
        let is_new = version == FETCH_WITH_ZSTD;
        reader.i32()?;
        if is_new {
            refusal(reader.i16()?)?;
            reader.i32()?;
        }
        let topics = reader.list(|reader| {
            reader.text()?;
            reader.list(|reader| {
                reader.i32()?;
                let code = reader.i16()?;
                let high_watermark = reader.i64()?;
                let stable_end = reader.i64()?;
                if is_new {
                    reader.i64()?;
                }
                let aborted = reader.list(|reader| Ok((reader.i64()?, reader.i64()?)))?;
                let batches = reader.bytes()?;
                // A broker without transactions does not say.
                let stable_end = if stable_end < 0 { high_watermark } else { stable_end };
                Ok((code, Self { stable_end, aborted, batches }))
            })
        })?;
        let first = topics.into_iter().flatten().next();
        let (code, fetched) = first.ok_or(KafkaError::Malformed("no partition is in it"))?;
        refusal(code)?;
        Ok(fetched)
    }
}
