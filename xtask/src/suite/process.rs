//! A program that is run as a step of a test: its output is shown as it comes, and counted.
//!
//! Invariant: no step outlives its time, nor leaves children behind.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::ops::AddAssign;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How many cases passed, failed and were skipped. Its text is the closing line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// One check that held or did not.
    pub(crate) fn of<T, E>(outcome: &Result<T, E>) -> Self {
        let failed = u64::from(outcome.is_err());
        Self { passed: 1 - failed, failed, skipped: 0 }
    }

    /// What a line of output counts: a suite's closing line, or cargo's.
    fn read(line: &str) -> Option<Self> {
        let (counts, separator) = match line.trim().strip_prefix("test result: ") {
            Some(rest) => (rest.split_once(". ")?.1, "; "),
            None => (line.trim(), ", "),
        };
        let mut tally = Self::default();
        for (index, part) in counts.split(separator).take(3).enumerate() {
            let (count, word) = part.split_once(' ')?;
            let count: u64 = count.parse().ok()?;
            match (index, word) {
                (0, "passed") => tally.passed = count,
                (1, "failed") => tally.failed = count,
                (2, "skipped" | "ignored") => tally.skipped = count,
                _ => return None,
            }
        }
        counts.contains("failed").then_some(tally)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// A program with its arguments, and how long it may take.
pub(crate) struct Step {
    name: String,
    command: Command,
    limit: Duration,
    is_seen: bool,
}

impl Step {
    /// A step that may take ten minutes.
    pub(crate) fn new(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut command = Command::new(program);
        // A proxy is for the world outside; the servers judged are on this machine.
        command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        Self { name: name.to_owned(), command, limit: Duration::from_secs(600), is_seen: true }
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn arguments<S: AsRef<std::ffi::OsStr>>(mut self, arguments: &[S]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn minutes(mut self, minutes: u64) -> Self {
        self.limit = Duration::from_secs(minutes * 60);
        self
    }

    /// Shows nothing of what it says: it is expected to fail, at length.
    pub(crate) fn unseen(mut self) -> Self {
        self.is_seen = false;
        self
    }

    /// Runs a program that may fail, and gives what it counted; nothing, where it counted nothing.
    pub(crate) fn observe(self) -> Result<Tally, String> {
        self.run().map(|(_, tally)| tally)
    }

    /// Runs a program whose exit status is all that counts.
    pub(crate) fn check(self) -> Result<Tally, String> {
        let name = self.name.clone();
        let (status, _) = self.run()?;
        if status.success() {
            return Ok(Tally { passed: 1, ..Tally::default() });
        }
        println!("FAILED {name}: {status}");
        Ok(Tally { failed: 1, ..Tally::default() })
    }

    /// Runs a program that has to succeed before anything else makes sense.
    pub(crate) fn must(self) -> Result<(), String> {
        let name = self.name.clone();
        let (status, _) = self.run()?;
        if status.success() { Ok(()) } else { Err(format!("{name}: {status}")) }
    }

    /// Runs a program that says how many cases passed, failed and were skipped.
    pub(crate) fn count(self) -> Result<Tally, String> {
        let name = self.name.clone();
        let (status, mut tally) = self.run()?;
        // A suite that dies before its closing line has counted nothing, and has failed.
        if !status.success() && tally.failed == 0 {
            println!("FAILED {name}: {status}");
            tally.failed += 1;
        }
        if tally == Tally::default() {
            return Err(format!("{name}: no case was run"));
        }
        Ok(tally)
    }

    /// Shows each line indented, so that only the closing line of all stands alone.
    #[allow(clippy::disallowed_methods)] // A task, not the product.
    fn run(mut self) -> Result<(ExitStatus, Tally), String> {
        let deadline = Instant::now() + self.limit;
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.process_group(0);
        let mut child = self.command.spawn().map_err(|error| format!("{}: {error}", self.name))?;
        let (sender, lines) = sync_channel(1_024);
        follow(child.stdout.take(), sender.clone());
        follow(child.stderr.take(), sender);
        let tally = show(&lines, deadline, self.is_seen);
        if tally.is_none() {
            end_group(&mut child);
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        match tally {
            Some(tally) => Ok((status, tally)),
            None => Err(format!("{}: not done in {} s", self.name, self.limit.as_secs())),
        }
    }
}

fn follow(stream: Option<impl Read + Send + 'static>, sender: SyncSender<String>) {
    let stream = stream.expect("the stream was asked for");
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}

/// Prints and counts until both streams end; `None` when the time is over.
#[allow(clippy::disallowed_methods)] // A task, not the product.
fn show(lines: &Receiver<String>, deadline: Instant, is_seen: bool) -> Option<Tally> {
    let mut tally = Tally::default();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if is_seen {
                    println!("    {line}");
                }
                if let Some(more) = Tally::read(&line) {
                    tally += more;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Some(tally),
            Err(RecvTimeoutError::Timeout) => return None,
        }
    }
}

/// Ends a program and everything that it has started.
pub(crate) fn end_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let found = Tally::read("  3 passed, 2 failed, 1 skipped");
        assert_eq!(found, Some(Tally { passed: 3, failed: 2, skipped: 1 }));
        let found = Tally::read(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        );
        assert_eq!(found, Some(Tally { passed: 12, failed: 0, skipped: 1 }));
        assert_eq!(Tally::read("12 passed"), None);
        assert_eq!(Tally::read("nothing of interest, really"), None);
        assert_eq!(Tally::read(""), None);
    }

    #[test]
    fn a_program_that_fails_without_counting_has_failed() {
        let step = Step::new("false", "sh")
            .arguments(&["-c", "echo '2 passed, 0 failed, 0 skipped'; exit 3"]);
        assert_eq!(step.count(), Ok(Tally { passed: 2, failed: 1, skipped: 0 }));
        let silent = Step::new("true", "true").count();
        assert!(silent.is_err(), "{silent:?}");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let mut step = Step::new("hang", "sh").arguments(&["-c", "sleep 60 & sleep 60"]);
        step.limit = Duration::from_millis(50);
        assert!(step.count().is_err());
    }
}
