//! A peer that is up: started on loopback with an empty folder, asked until it answers.
//!
//! Owns the way from a roster entry to an address that can be loaded. Each start is from nothing,
//! so that no round inherits the memory or the files of the one before.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::install::Cache;
use super::kafka;
use super::process::{Cost, Running, free_port};
use super::roster::{Peer, Places, Speaks};

/// A broker on a busy machine takes the longest of all.
const READY_LIMIT: Duration = Duration::from_secs(90);
const ASK_LIMIT: Duration = Duration::from_secs(5);
const ASK_PAUSE: Duration = Duration::from_millis(100);
/// What a server allocates just after its first answer belongs to it at rest.
const SETTLE: Duration = Duration::from_secs(2);

/// A started peer; dropping it stops it.
pub(super) struct Site {
    pub(super) port: u16,
    /// Where it is installed.
    pub(super) installed: PathBuf,
    /// From start to the first right answer.
    pub(super) ready_seconds: f64,
    /// Resident before any load.
    pub(super) at_rest_bytes: u64,
    /// What requests are signed with.
    pub(super) credentials: Credentials,
    running: Running,
}

/// An access key; those who verify nothing take any.
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
}

impl Credentials {
    /// Those that a server printed at its first start, or any where it printed none.
    fn printed(words: &str) -> Self {
        let after = |label: &str| {
            let line = words.lines().find_map(|line| line.trim().strip_prefix(label));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.unwrap_or("bench").to_owned()
        };
        Self {
            access_key_id: after("access key id"),
            secret_access_key: after("secret access key"),
        }
    }
}

impl Site {
    /// Starts `peer` and waits until it answers; the error is for the table.
    pub(super) fn start(cache: &Cache, peer: &Peer) -> Result<Self, String> {
        let folder = cache.run_folder(peer);
        let _ = fs::remove_dir_all(&folder); // Missing is as good as removed.
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        let (port, port_two) = (free_port()?, free_port()?);
        let installed = cache.install_folder(peer.source);
        let places = Places(BTreeMap::from([
            ("install", installed.display().to_string()),
            ("binary", cache.binary().display().to_string()),
            ("data", data.display().to_string()),
            ("port", port.to_string()),
            ("port_two", port_two.to_string()),
        ]));
        if peer.speaks == Speaks::Kafka {
            kafka::format(&installed, &data, &folder, port, port_two)?;
        }
        let log = folder.join("server.log");
        let started = Instant::now();
        let mut running = Running::start(&mut command(peer, &places, &folder), &log)?;
        wait_until_ready(peer, port, &mut running, &log)?;
        let ready_seconds = started.elapsed().as_secs_f64();
        sleep(SETTLE);
        let at_rest_bytes = running.cost().resident_bytes;
        let credentials = Credentials::printed(&fs::read_to_string(&log).unwrap_or_default());
        Ok(Self { port, installed, ready_seconds, at_rest_bytes, credentials, running })
    }

    /// What it has cost until now.
    pub(super) fn cost(&self) -> Cost {
        self.running.cost()
    }

    /// Ends it and says whether its port is free again.
    pub(super) fn stop(mut self) -> Result<(), String> {
        self.running.stop();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("port {} still answers after the stop", self.port)),
        }
    }
}

fn command(peer: &Peer, places: &Places, folder: &Path) -> Command {
    let words: Vec<String> = peer.command.iter().map(|word| places.fill(word)).collect();
    let (program, arguments) = words.split_first().expect("each entry names a program");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    for (name, value) in peer.environment {
        command.env(name, places.fill(value));
    }
    command
}

fn wait_until_ready(
    peer: &Peer,
    port: u16,
    running: &mut Running,
    log: &Path,
) -> Result<(), String> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        running.check(log)?;
        let answer = match peer.speaks {
            _ if peer.is_ours() => says_ready(port),
            Speaks::Kafka => kafka::answers(port),
            Speaks::Kinesis | Speaks::KinesisBoth => lists_streams(port),
        };
        match answer {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() > deadline => {
                return Err(format!("not ready after {} s: {why}", READY_LIMIT.as_secs()));
            }
            Err(_) => sleep(ASK_PAUSE),
        }
    }
}

/// Asks ours whether it serves, which takes no signature.
fn says_ready(port: u16) -> Result<(), String> {
    let request =
        format!("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let answer = ask(port, request.as_bytes()).map_err(|error| error.to_string())?;
    let first = answer.lines().next().unwrap_or("an empty answer");
    if first.contains(" 200") { Ok(()) } else { Err(first.to_owned()) }
}

/// Asks for the list of streams as any client would, with a signature that no peer verifies.
fn lists_streams(port: u16) -> Result<(), String> {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\n\
         X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=peers/20260101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={zeros}\r\nContent-Length: 2\r\n\r\n{{}}",
        zeros = "0".repeat(64)
    );
    let answer = ask(port, request.as_bytes()).map_err(|error| error.to_string())?;
    if answer.contains(" 200 ") && answer.contains("StreamNames") {
        return Ok(());
    }
    Err(answer.lines().next().unwrap_or("an empty answer").to_owned())
}

/// Sends `request` and reads until the other side closes, or is silent for too long.
fn ask(port: u16, request: &[u8]) -> std::io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, ASK_LIMIT)?;
    stream.set_read_timeout(Some(ASK_LIMIT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_is_read_from_the_servers_words() {
        let words =
            "made a key:\n\naccess key id      AKIA1\nsecret access key  s3cr3t   (shown)\n";
        let credentials = Credentials::printed(words);
        assert_eq!(credentials.access_key_id, "AKIA1");
        assert_eq!(credentials.secret_access_key, "s3cr3t");
    }

    #[test]
    fn a_server_that_printed_no_key_takes_any() {
        assert_eq!(Credentials::printed("listening").access_key_id, "bench");
    }
}
