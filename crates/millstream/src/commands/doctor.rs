//! `doctor`: what keeps clients and servers from working, looked at one by one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use millstream_client::{CallError, Client, Endpoint, HttpVersion, Probe};
use millstream_log::storage::{
    AlignedBuffer, BLOCK_BYTES, DirectIo, DiskStorage, FileKind, Storage, StorageFile,
};
use tokio::time::Instant;

use crate::bench::histogram::Histogram;
use crate::endpoint::{EndpointFlags, connect};
use crate::exit::{Failure, Outcome};
use crate::terminal::{Style, bytes_text, duration_text};

#[derive(Args, Debug)]
#[command(after_help = "\
Exit code 4 where a check failed. Nothing is changed: the disk is measured with a file of 400 KiB
that is removed again, written as the log writes: over zeros, in blocks of 4 KiB, each synced.

Examples:
  millstream doctor                                          the server on this machine
  millstream doctor --endpoint-url https://127.0.0.1:4567 --ca ca.pem
  millstream doctor --data-dir /var/lib/millstream           and the disk it is on
  millstream doctor --aws --region eu-central-1")]
pub(crate) struct Arguments {
    /// Check this data directory and its disk too [default: ./millstream-data where it is there]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Good,
    Warning,
    Bad,
}

/// One line of the report.
#[derive(Clone, Debug)]
struct Check {
    grade: Grade,
    name: &'static str,
    found: String,
    /// What to do, where it is not good.
    advice: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { grade: Grade::Good, name, found: found.into(), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { grade: Grade::Warning, name, found: found.into(), advice }
    }

    fn bad(name: &'static str, found: impl Into<String>, advice: &str) -> Self {
        let advice = Some(advice.to_owned());
        Self { grade: Grade::Bad, name, found: found.into(), advice }
    }
}

/// A signature is refused when the clocks differ by more (documented: SigV4).
const SKEW_SECONDS_MAX: u64 = 300;
const SKEW_SECONDS_GOOD: u64 = 30;
const FREE_BYTES_GOOD: u64 = 2_000_000_000;
/// Rights of the group and of others.
const OTHERS: u32 = 0o077;
const SYNCS: u16 = 100;
const SYNC_GOOD: Duration = Duration::from_millis(20);
const FILES_GOOD: u64 = 4_096;
const DATA_DIR_DEFAULT: &str = "./millstream-data";

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let style = Style::of_stdout();
    let mut is_bad = false;
    let mut tell = |check: Check| {
        let mark = match check.grade {
            Grade::Good => style.green("good"),
            Grade::Warning => style.yellow("warn"),
            Grade::Bad => style.red(" bad"),
        };
        is_bad |= check.grade == Grade::Bad;
        println!("{mark}  {:<12} {}", check.name, check.found);
        if let Some(advice) = check.advice.filter(|advice| !advice.is_empty()) {
            println!("      {:<12} {}", "", style.dim(&advice));
        }
    };
    tell(Check::good("version", env!("CARGO_PKG_VERSION")));
    tell(open_files());
    endpoint_checks(&arguments.endpoint, &mut tell).await;
    let named = arguments.data_dir.clone();
    let found = Path::new(DATA_DIR_DEFAULT).is_dir().then(|| DATA_DIR_DEFAULT.into());
    if let Some(data_dir) = named.or(found) {
        data_dir_checks(&data_dir, &mut tell);
    }
    let advice = "what stands under each `bad` says what to do";
    if is_bad { Err(Failure::mismatch("a check failed").advise(advice)) } else { Ok(()) }
}

fn open_files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < FILES_GOOD => Check::warning(
            "open files",
            format!("{limit} at most"),
            "each connection is one: raise it with `ulimit -n 65536`",
        ),
        limit => {
            let text = limit.map_or_else(|| "without limit".to_owned(), |n| format!("{n} at most"));
            Check::good("open files", text)
        }
    }
}

async fn endpoint_checks(flags: &EndpointFlags, tell: &mut impl FnMut(Check)) {
    let settings = match flags.settings() {
        Ok(settings) => settings,
        Err(failure) => {
            let advice = failure.advice.unwrap_or_default();
            return tell(Check::bad("credentials", failure.message, &advice));
        }
    };
    let access_key_id = settings.credentials.access_key_id.clone();
    let mut once = settings.clone();
    once.attempts_max = 1;
    once.timeout = Duration::from_secs(10);
    let client = match connect(once.clone()) {
        Ok(client) => client,
        Err(failure) => {
            let advice = failure.advice.unwrap_or_default();
            return tell(Check::bad("TLS", failure.message, &advice));
        }
    };
    let probe = match client.probe().await {
        Ok(probe) => probe,
        Err(error) => return tell(unreachable_check(error)),
    };
    let answered = format!("{} answers in {}", client.endpoint(), duration_text(probe.took));
    tell(Check::good("endpoint", answered));
    tell(tls_check(client.endpoint()));
    tell(clock_check(&probe));
    tell(credentials_check(&access_key_id, &probe));
    once.version = match settings.version {
        HttpVersion::Http1 => HttpVersion::Http2,
        HttpVersion::Http2 => HttpVersion::Http1,
    };
    let name = if once.version == HttpVersion::Http2 { "HTTP/2" } else { "HTTP/1.1" };
    let other = match connect(once) {
        Ok(client) => Client::probe(&client).await.map_err(|error| error.to_string()),
        Err(failure) => Err(failure.message),
    };
    tell(match other {
        Ok(probe) => Check::good(name, format!("spoken too, {}", duration_text(probe.took))),
        Err(reason) => Check::warning(
            name,
            reason,
            "SDKs that insist on it (JavaScript v3, Java's async client) will not work",
        ),
    });
}

fn unreachable_check(error: CallError) -> Check {
    let name = match error {
        CallError::Untrusted { .. } | CallError::NotTls { .. } => "TLS",
        _ => "endpoint",
    };
    let failure = Failure::from(error);
    Check::bad(name, failure.message, &failure.advice.unwrap_or_default())
}

fn tls_check(endpoint: &Endpoint) -> Check {
    if endpoint.is_tls {
        Check::good("TLS", "the certificate is trusted and names the host")
    } else if endpoint.is_loopback() {
        Check::good("TLS", "clear text, on this machine")
    } else {
        let advice = "others can read and replay what you send: serve with --tls-listen";
        Check::warning("TLS", "clear text over the network", advice)
    }
}

fn clock_check(probe: &Probe) -> Check {
    let Some(ahead) = probe.server_ahead_seconds else {
        return Check::warning("clock", "the endpoint does not tell the time", "");
    };
    let text = match ahead {
        0 => "as the endpoint's".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s behind the endpoint's"),
        ahead => format!("{} s ahead of the endpoint's", ahead.unsigned_abs()),
    };
    let advice = "signatures are refused beyond 300 s: set the clock (NTP)";
    match ahead.unsigned_abs() {
        skew if skew <= SKEW_SECONDS_GOOD => Check::good("clock", text),
        skew if skew < SKEW_SECONDS_MAX => Check::warning("clock", text, advice),
        _ => Check::bad("clock", text, advice),
    }
}

fn credentials_check(access_key_id: &str, probe: &Probe) -> Check {
    match &probe.answer {
        Ok(()) => Check::good("credentials", format!("{access_key_id} is accepted")),
        Err(error) if error.code() == Some("AccessDeniedException") => {
            Check::good("credentials", format!("{access_key_id} is known; it may not list streams"))
        }
        Err(error) => Check::bad(
            "credentials",
            format!("{access_key_id}: {error}"),
            "`millstream keys create` on the server's machine makes a key",
        ),
    }
}

fn data_dir_checks(data_dir: &Path, tell: &mut impl FnMut(Check)) {
    let at = data_dir.display();
    let metadata = match std::fs::metadata(data_dir) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return tell(Check::bad("data dir", format!("{at} is no directory"), "")),
        Err(error) => {
            let advice = "a server makes it at its first start";
            return tell(Check::bad("data dir", format!("{at}: {error}"), advice));
        }
    };
    let others = metadata.mode() & OTHERS;
    tell(if others == 0 {
        Check::good("data dir", format!("{at}, its owner's only"))
    } else {
        let found = format!("{at} is open to others (mode {:o})", metadata.mode() & 0o777);
        Check::warning("data dir", found, &format!("chmod 700 {at}"))
    });
    if let Ok(disk) = rustix::fs::statvfs(data_dir) {
        let free = disk.f_bavail * disk.f_frsize;
        let text = format!("{} free", bytes_text(free));
        let advice = "the log refuses writes when the disk is full";
        let is_good = free >= FREE_BYTES_GOOD;
        tell(if is_good {
            Check::good("space", text)
        } else {
            Check::warning("space", text, advice)
        });
    }
    tell(match measure_syncs(data_dir) {
        Ok(syncs) => {
            let (half, most) = (syncs.quantile(500), syncs.quantile(990));
            let text = format!(
                "4 KiB written and synced in {} (p50), {} (p99)",
                duration_text(half),
                duration_text(most)
            );
            let advice = "each answer to a put waits for one: a faster disk, or durability = \
                          \"buffered\" where a power cut may lose records";
            if most <= SYNC_GOOD {
                Check::good("disk", text)
            } else {
                Check::warning("disk", text, advice)
            }
        }
        Err(error) => Check::bad("disk", format!("cannot write to {at}: {error}"), "see its owner"),
    });
}

/// How long a small write takes to reach the disk, by the way that the log takes: its own storage,
/// past the page cache where the file system allows it, over blocks that were zeroed before.
fn measure_syncs(data_dir: &Path) -> std::io::Result<Histogram> {
    let storage = DiskStorage::open(data_dir, DirectIo::Try)?;
    let name = format!(".doctor-{}", std::process::id());
    let file = storage.create(&name, FileKind::Blocks)?;
    let syncs = syncs_of(&*file);
    storage.remove(&name)?;
    syncs
}

fn syncs_of(file: &dyn StorageFile) -> std::io::Result<Histogram> {
    let zeros = AlignedBuffer::zeroed(BLOCK_BYTES * usize::from(SYNCS));
    file.write_at(0, zeros.as_slice())?;
    file.sync()?;
    let mut block = AlignedBuffer::with_capacity(BLOCK_BYTES);
    block.extend(&[0x5a; BLOCK_BYTES]);
    let mut syncs = Histogram::default();
    for number in 0..u64::from(SYNCS) {
        let started = Instant::now();
        file.write_at(number * BLOCK_BYTES as u64, block.as_slice())?;
        file.sync()?;
        syncs.record(started.elapsed());
    }
    Ok(syncs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(ahead: Option<i64>) -> Probe {
        Probe { took: Duration::ZERO, server_ahead_seconds: ahead, answer: Ok(()) }
    }

    #[test]
    fn a_clock_is_bad_where_signatures_would_be_refused() {
        let grade = |ahead| clock_check(&probe(Some(ahead))).grade;
        assert_eq!(grade(0), Grade::Good);
        assert_eq!(grade(-31), Grade::Warning);
        assert_eq!(grade(300), Grade::Bad);
        assert_eq!(grade(i64::MIN), Grade::Bad);
        assert_eq!(clock_check(&probe(None)).grade, Grade::Warning);
    }

    #[test]
    fn a_disk_is_measured_and_left_as_it_was() {
        let place = crate::serving::data_dir::tests::TestDir::new();
        let data_dir = crate::serving::data_dir::DataDir::open(&place.0).unwrap();
        let before = std::fs::read_dir(data_dir.keys()).unwrap().count();
        assert_eq!(measure_syncs(&data_dir.keys()).unwrap().count(), u64::from(SYNCS));
        assert_eq!(std::fs::read_dir(data_dir.keys()).unwrap().count(), before);
    }
}
