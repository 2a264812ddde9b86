//! Runs other programs, always within a time limit, and knows what they cost.
//!
//! Owns starting, waiting, ending and weighing processes. Invariant: whatever was started here is
//! ended here, on success, on failure and on the way out. Costs are read from `/proc`, so they
//! exist on Linux only; elsewhere they read as zero.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to end by itself after it was asked to.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);
/// `/proc/PID/stat` counts processor time in ticks of this many to the second (`USER_HZ`, 100 on
/// every Linux that this project is built for).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a finished program wrote.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its standard output.
    pub(super) stdout: String,
    /// If it failed: its name and last words.
    pub(super) failure: Option<String>,
}

/// Runs `command` to its success, and gives what it wrote.
pub(super) fn run_to_success(
    command: &mut Command,
    folder: &Path,
    limit: Duration,
) -> Result<String, String> {
    let finished = run_bounded(command, folder, limit)?;
    finished.failure.map_or(Ok(finished.stdout), Err)
}

/// Runs `command` to its end, good or bad; an error when it could not run or took too long.
///
/// Output goes through files in `folder`, so that a talkative program never blocks on a full pipe.
pub(super) fn run_bounded(
    command: &mut Command,
    folder: &Path,
    limit: Duration,
) -> Result<Finished, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let stdout = folder.join("last.stdout");
    let stderr = folder.join("last.stderr");
    let child = spawn(command, &stdout, &stderr)?;
    let mut running = Running { child: Some(child) };
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = running.try_wait()? {
            running.child = None;
            let text = fs::read(&stdout).map(lossy).unwrap_or_default();
            let words = fs::read(&stderr).map(lossy).unwrap_or_default();
            let failure =
                (!status).then(|| format!("{name} failed: {}", last_words(&words, &text)));
            return Ok(Finished { stdout: text, failure });
        }
        if Instant::now() > deadline {
            return Err(format!("{name} was still running after {} s", limit.as_secs()));
        }
        sleep(POLL);
    }
}

/// A server under test; dropping it ends it.
pub(super) struct Running {
    child: Option<Child>,
}

impl Running {
    /// Starts a server whose words go to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Result<Self, String> {
        let child = spawn(command, log, &log.with_extension("stderr"))?;
        Ok(Self { child: Some(child) })
    }

    /// An error once the server has ended by itself.
    pub(super) fn check(&mut self, log: &Path) -> Result<(), String> {
        if self.try_wait()?.is_none() {
            return Ok(());
        }
        let out = fs::read(log).map(lossy).unwrap_or_default();
        let err = fs::read(log.with_extension("stderr")).map(lossy).unwrap_or_default();
        Err(format!("it ended by itself: {}", last_words(&err, &out)))
    }

    /// What the server and its children hold and have used.
    pub(super) fn cost(&self) -> Cost {
        self.child.as_ref().map_or_else(Cost::default, |child| Cost::of_tree(child.id()))
    }

    /// Whether the program has ended, and if so whether it succeeded.
    fn try_wait(&mut self) -> Result<Option<bool>, String> {
        let Some(child) = &mut self.child else { return Ok(Some(true)) };
        let status = child.try_wait().map_err(|error| error.to_string())?;
        Ok(status.map(|status| status.success()))
    }

    /// Asks the whole tree to end, and insists after a while.
    pub(super) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal("-TERM", &tree(child.id()));
        let deadline = Instant::now() + DRAIN_LIMIT;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            sleep(POLL);
        }
        signal("-KILL", &tree(child.id()));
        // The kill cannot be refused, and an error here means that it is gone already.
        let _ = child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Memory and processor time of a process and its descendants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Resident now.
    pub(super) resident_bytes: u64,
    /// The most that was ever resident (summed over processes, so an upper bound for trees).
    pub(super) resident_peak_bytes: u64,
    /// User and system time since start.
    pub(super) processor_seconds: f64,
}

impl Cost {
    fn of_tree(root: u32) -> Self {
        let mut cost = Self::default();
        for process in tree(root) {
            let folder = Path::new("/proc").join(process.to_string());
            let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
            cost.resident_bytes += status_kibibytes(&status, "VmRSS:") * 1_024;
            cost.resident_peak_bytes += status_kibibytes(&status, "VmHWM:") * 1_024;
            let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
            cost.processor_seconds += processor_ticks(&stat) / TICKS_PER_SECOND;
        }
        cost
    }
}

fn status_kibibytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system ticks: fields 14 and 15 of `stat`, counted after the name in parentheses.
fn processor_ticks(stat: &str) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)
}

/// `root` and all its descendants.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_string_lossy().parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    found
}

fn signal(which: &str, processes: &[u32]) {
    let ids = processes.iter().map(ToString::to_string);
    // One that has ended already cannot be told anything, which is what was wanted.
    let _ = Command::new("kill").arg(which).args(ids).stderr(Stdio::null()).status();
}

fn spawn(command: &mut Command, stdout: &Path, stderr: &Path) -> Result<Child, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let create = |path: &Path| File::create(path).map_err(|error| error.to_string());
    command
        .stdin(Stdio::null())
        .stdout(create(stdout)?)
        .stderr(create(stderr)?)
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))
}

/// A port on loopback that was free a moment ago.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Where a program is found on the `PATH`, if it is.
pub(super) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn lossy(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(bytes.as_ref()).into_owned()
}

/// The last line of the first text that has one, short enough for a table.
fn last_words(first: &str, second: &str) -> String {
    const LENGTH_MAX: usize = 200;
    let last = |text: &str| {
        let found = text.lines().rev().find(|line| !line.trim().is_empty());
        found.map(|line| line.trim().chars().take(LENGTH_MAX).collect::<String>())
    };
    last(first).or_else(|| last(second)).unwrap_or_else(|| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0";
        assert!((processor_ticks(stat) - 300.0).abs() < f64::EPSILON);
    }

    #[test]
    fn resident_memory_is_read_in_kibibytes() {
        assert_eq!(
            status_kibibytes("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t 1 kB\n", "VmHWM:"),
            2_048
        );
    }

    #[test]
    fn a_program_that_outlives_its_limit_is_ended_and_said_so() {
        let folder = std::env::temp_dir().join(format!("peers-limit-{}", std::process::id()));
        let error =
            run_bounded(Command::new("sleep").arg("60"), &folder, Duration::from_millis(100))
                .expect_err("sixty seconds are more than the limit");
        assert!(error.contains("still running"), "{error}");
        fs::remove_dir_all(folder).expect("the test's own folder");
    }

    #[test]
    fn the_last_words_of_a_failure_are_kept() {
        let folder = std::env::temp_dir().join(format!("peers-words-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo why >&2; exit 3"]);
        let error = run_to_success(&mut command, &folder, Duration::from_secs(10))
            .expect_err("it exits with 3");
        assert_eq!(error, "sh failed: why");
        fs::remove_dir_all(folder).expect("the test's own folder");
    }
}
