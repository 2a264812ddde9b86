//! The machine that the figures belong to.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// What a reader needs to compare a figure with one of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    pub(super) memory_gibibytes: u64,
    /// File system, and whether the device says that it turns.
    pub(super) disk: String,
    pub(super) kernel: String,
    /// One, five and fifteen minutes, before anything was started.
    pub(super) load_average: String,
    pub(super) date: String,
}

impl Machine {
    /// Reads the machine; `folder` lies on the disk that is measured.
    pub(super) fn read(folder: &Path) -> Self {
        const KIBIBYTES_PER_GIBIBYTE: u64 = 1_048_576;
        let memory = field("/proc/meminfo", "MemTotal");
        let kibibytes: u64 =
            memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name"),
            memory_gibibytes: kibibytes.div_ceil(KIBIBYTES_PER_GIBIBYTE),
            disk: disk(folder),
            kernel: read("/proc/sys/kernel/osrelease"),
            load_average: load_average(),
            date: output("date", &["-u", "+%Y-%m-%d"]),
        }
    }
}

/// One, five and fifteen minutes.
pub(super) fn load_average() -> String {
    read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// This workspace's commit, short, with a mark when the tree differs from it.
pub(super) fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let result = Command::new("git").args(arguments).current_dir(root).output();
        result.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_default();
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.lock"]);
    let changed = changed.is_ok_and(|text| !text.is_empty());
    format!("{commit}{}", if changed { " with changes" } else { "" })
}

fn disk(folder: &Path) -> String {
    let folder = folder.display().to_string();
    let source = output("df", &["--output=source", &folder]);
    let device = source.lines().last().unwrap_or_default().trim().to_owned();
    let kind = output("df", &["--output=fstype", &folder]);
    let kind = kind.lines().last().unwrap_or("unknown").trim().to_owned();
    let name = device.rsplit('/').next().unwrap_or_default();
    let turns = read(&format!("/sys/block/{name}/queue/rotational"));
    let cache = read(&format!("/sys/block/{name}/queue/write_cache"));
    let virtio = if name.starts_with("vd") { "virtio block device" } else { "block device" };
    let turns = if turns == "1" { ", rotational by its own word" } else { "" };
    let cache = if cache.is_empty() { String::new() } else { format!(", {cache}") };
    format!("{kind} on a {virtio}{turns}{cache}")
}

fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value).trim().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let result = Command::new(program).args(arguments).output();
    result
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
