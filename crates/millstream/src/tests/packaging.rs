//! What ships beside the binary names commands, flags, settings and metrics that there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;
use regex::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cli::{Cli, Command};
use crate::serving::{Admission, Running, scratch};
use crate::settings::{Effective, Settings, file_layer};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn parsed(words: &[&str]) -> Command {
    let cli = Cli::try_parse_from(std::iter::once("millstream").chain(words.iter().copied()));
    let cli = cli.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    cli.command.expect("a command")
}

/// The settings that a server started with these words would have.
fn settings_of(words: &[&str]) -> Settings {
    let flags = match parsed(words) {
        Command::Dev(dev) => dev.settings,
        Command::Serve(serve) => serve.settings,
        other => panic!("{other:?}"),
    };
    let effective = Effective::of([crate::settings::flags_layer(&flags)]);
    Settings::check(&effective).unwrap_or_else(|wrong| panic!("{words:?}: {wrong:?}"))
}

#[test]
fn the_config_file_that_ships_is_a_good_one() {
    let (layer, wrong) = file_layer(&file("packaging/millstream.toml"));
    assert!(wrong.is_empty(), "{wrong:?}");
    let settings = Settings::check(&Effective::of([layer])).unwrap();
    assert_eq!(settings.data_dir, Path::new("/var/lib/millstream"));
    assert!(settings.listen.ip().is_loopback(), "clear text is for this machine");
}

#[test]
fn the_container_and_the_unit_start_a_server_that_there_is() {
    let containerfile = text("packaging/Containerfile");
    let command = containerfile.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let words: Vec<String> = serde_json::from_str(command).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let settings = settings_of(&words);
    for port in [settings.listen.port(), settings.tls_listen.unwrap().port()] {
        let exposed = containerfile.lines().find(|line| line.starts_with("EXPOSE ")).unwrap();
        assert!(exposed.contains(&port.to_string()), "{port}");
    }

    let unit = text("packaging/millstream.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<&str> = start.split(' ').skip(1).collect();
    settings_of(&words);
    let state = "StateDirectory=millstream"; // Which is /var/lib/millstream, as in the file.
    assert!(unit.lines().any(|line| line == state));
}

#[test]
fn the_compose_file_starts_a_server_that_prometheus_may_read() {
    let compose = text("packaging/compose.yaml");
    let command = compose.split("command:").nth(1).unwrap().split("ports:").next().unwrap();
    let words: Vec<&str> =
        command.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    let settings = settings_of(&words);
    assert!(settings.metrics_for_all);
    assert!(!settings.listen.ip().is_loopback(), "a published port is reached from outside");
    for port in [settings.listen.port(), settings.tls_listen.unwrap().port()] {
        assert!(compose.contains(&format!("- 127.0.0.1:{port}:{port}")), "{port}");
    }
    let scraped = format!("targets: [millstream:{}]", settings.listen.port());
    assert!(text("packaging/prometheus/prometheus.yml").contains(&scraped));
}

/// Names of metrics as Prometheus asks for them.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(millstream|process)_[a-z_]+\b").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_dashboard_and_of_the_alerts_is_served() {
    let (settings, _place) = scratch();
    let server = Running::start(settings, Admission::Dev).await.unwrap();
    let address = ("127.0.0.1", server.endpoint().port);
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // A histogram's name stands for three; families without samples yet have a name too.
    let mut served = metrics_in(&answer);
    let histogram = Regex::new(r"# TYPE (\S+) histogram").unwrap();
    for found in histogram.captures_iter(&answer) {
        served.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", &found[1])));
    }
    for name in ["packaging/grafana/millstream.json", "packaging/prometheus/millstream.rules.yml"] {
        let asked = metrics_in(&text(name));
        assert!(asked.len() >= 5, "{name}: {asked:?}");
        let missing: Vec<&String> = asked.difference(&served).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
    server.stop().await.unwrap();
}

/// The commands of this program in a shell's line, without what the shell itself reads of it.
fn commands_in(line: &str) -> Vec<Vec<&str>> {
    let line = line.replace_in_shell();
    let parts = line.split(['|', ';']).flat_map(|part| part.split("&&"));
    parts
        .filter_map(|part| {
            let part = part.trim();
            let run = part.find("cargo run --release -- ").map(|at| &part[at + 23..]);
            let own = part.find("millstream ").map(|at| &part[at + 11..]);
            let words = run.or(own.filter(|_| is_command(part)))?;
            let words = words.split(['>', '<']).next().unwrap_or_default();
            Some(words.split_whitespace().map(|word| word.trim_matches('\'')).collect())
        })
        .collect()
}

/// Whether a part of a line runs the program, rather than speaks of it.
fn is_command(part: &str) -> bool {
    let words = part.split_whitespace().skip_while(|word| word.contains('='));
    words.into_iter().next() == Some("millstream") || part.starts_with("eval")
}

trait InShell {
    fn replace_in_shell(&self) -> &str;
}

impl InShell for str {
    /// Without comments, which follow two spaces here or stand behind a `#`, and without `$( )`.
    fn replace_in_shell(&self) -> &str {
        let line = self.trim();
        let ends = [line.find("  "), line.find(" #"), line.find(")\"")];
        &line[..ends.into_iter().flatten().min().unwrap_or(line.len())]
    }
}

fn assert_parses(line: &str) -> usize {
    let commands = commands_in(line);
    for words in &commands {
        let cli = std::iter::once("millstream").chain(words.iter().copied());
        if let Err(error) = Cli::try_parse_from(cli) {
            let is_help = error.kind() == clap::error::ErrorKind::DisplayHelp;
            assert!(is_help, "{line}\n{error}");
        }
    }
    commands.len()
}

#[test]
fn every_command_of_the_readme_and_of_the_help_can_be_typed() {
    let readme = text("README.md");
    let blocks = readme.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
    assert!(lines.map(assert_parses).sum::<usize>() >= 5);

    let help = include_str!("help.txt");
    let examples = help.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    assert!(examples.map(assert_parses).sum::<usize>() >= 40);
}
