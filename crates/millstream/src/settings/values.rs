//! From text to values: each setting's form, checked once, whichever layer it came from.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use millstream_core::StreamName;
use millstream_core::limits::{LimitsMode, SHARDS_PER_STREAM_MAX};

use super::{Effective, SettingsError, key_named};

/// What an acknowledged write has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The disk.
    Fsync,
    /// The operating system's memory: a power cut loses it, a crash of the process does not.
    Buffered,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A stream to create at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InitStream {
    /// Its name.
    pub(crate) name: StreamName,
    /// Its open shards.
    pub(crate) shards: u32,
}

/// Why a text is not one of an enumeration.
#[derive(Debug, thiserror::Error)]
#[error("not one of the choices")]
pub(crate) struct NotAChoice;

impl FromStr for Durability {
    type Err = NotAChoice;

    fn from_str(text: &str) -> Result<Self, NotAChoice> {
        match text {
            "fsync" => Ok(Self::Fsync),
            "buffered" => Ok(Self::Buffered),
            _ => Err(NotAChoice),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fsync => "fsync",
            Self::Buffered => "buffered",
        })
    }
}

impl FromStr for LogFormat {
    type Err = NotAChoice;

    fn from_str(text: &str) -> Result<Self, NotAChoice> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NotAChoice),
        }
    }
}

/// Takes values one by one and remembers what was wrong with which.
pub(super) struct Checker<'a> {
    pub(super) effective: &'a Effective,
    pub(super) wrong: &'a mut Vec<SettingsError>,
}

impl Checker<'_> {
    /// The value of `key`, or `None` with the reason kept.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (value, origin) = self.effective.get(key);
        match read(value) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.wrong.push(SettingsError::BadValue {
                    key,
                    value: value.to_owned(),
                    origin: origin.clone(),
                    reason,
                    form: key_named(key).expect("checked keys are known").form,
                });
                None
            }
        }
    }
}

impl Checker<'_> {
    /// A certificate is of no use without its key, nor a key without its certificate.
    pub(super) fn both_or_neither(&mut self, has_certificate: bool, has_private_key: bool) {
        if has_certificate == has_private_key {
            return;
        }
        let missing = if has_certificate { "tls_private_key" } else { "tls_certificate" };
        let _: Option<()> =
            self.take(missing, |_| Err("a certificate and its private key go together".to_owned()));
    }
}

/// Any value that parses itself.
pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// An address, or a host name that resolves to one, with a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".to_owned())
}

/// An address, or nothing.
pub(super) fn optional_address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

/// A directory's path, which need not exist yet; whole, so that it can be told to somebody who
/// stands elsewhere.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    std::path::absolute(text).map_err(|error| error.to_string())
}

/// A file's path, or nothing.
#[allow(clippy::unnecessary_wraps)] // As all readers of values are.
pub(super) fn optional_file(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(text).filter(|text| !text.is_empty()).map(PathBuf::from))
}

/// Names, separated by commas.
#[allow(clippy::unnecessary_wraps)] // As all readers of values are.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(ToOwned::to_owned).collect())
}

/// Who may read metrics.
pub(super) fn metrics_for_all(text: &str) -> Result<bool, String> {
    match text {
        "loopback" => Ok(false),
        "all" => Ok(true),
        _ => Err(NotAChoice.to_string()),
    }
}

/// Which quotas hold.
pub(super) fn limits(text: &str) -> Result<LimitsMode, String> {
    match text {
        "open" => Ok(LimitsMode::Open),
        "aws" => Ok(LimitsMode::Aws),
        _ => Err(NotAChoice.to_string()),
    }
}

/// `name:shards`, separated by commas; one shard where none are named.
pub(super) fn init_streams(text: &str) -> Result<Vec<InitStream>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(init_stream).collect()
}

fn init_stream(text: &str) -> Result<InitStream, String> {
    let (name, shards) = text.split_once(':').unwrap_or((text, "1"));
    let name = name.parse().map_err(|error| format!("`{text}`: {error}"))?;
    match shards.parse() {
        Ok(shards) if (1..=SHARDS_PER_STREAM_MAX).contains(&shards) => {
            Ok(InitStream { name, shards })
        }
        _ => Err(format!("`{text}`: shards are a number from 1 to {SHARDS_PER_STREAM_MAX}")),
    }
}

/// A filter that the log understands.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A whole number.
pub(super) fn whole(text: &str) -> Result<u64, String> {
    parsed(text)
}
