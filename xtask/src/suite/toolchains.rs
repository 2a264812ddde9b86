//! The toolchains that the clients need, and how to get one that is missing.

use std::fmt;
use std::process::{Command, Stdio};

/// A toolchain, and the parts that need it.
struct Toolchain {
    parts: &'static [&'static str],
    name: &'static str,
    /// A program and arguments that print its version.
    probe: &'static [&'static str],
    /// The least that is enough, by its leading numbers.
    least: &'static [u32],
    install: &'static str,
}

const TOOLCHAINS: &[Toolchain] = &[
    Toolchain {
        parts: &["lint"],
        name: "rustfmt",
        probe: &["cargo", "fmt", "--version"],
        least: &[],
        install: "rustup component add rustfmt",
    },
    Toolchain {
        parts: &["lint"],
        name: "clippy",
        probe: &["cargo", "clippy", "--version"],
        least: &[],
        install: "rustup component add clippy",
    },
    Toolchain {
        parts: &["python", "durability", "firehose", "terraform"],
        name: "Python with venv",
        probe: &["python3", "-c", "import sys, venv, ensurepip; print(sys.version)"],
        least: &[3, 10],
        install: "apt-get install python3 python3-venv",
    },
    Toolchain {
        parts: &["firehose"],
        name: "PostgreSQL's server",
        probe: &["sh", "-c", "ls -d /usr/lib/postgresql/*/bin/postgres || command -v postgres"],
        least: &[],
        install: "apt-get install postgresql",
    },
    Toolchain {
        parts: &["terraform"],
        name: "Terraform",
        probe: &["terraform", "version"],
        least: &[1, 5],
        install: "developer.hashicorp.com/terraform/install",
    },
    Toolchain {
        parts: &["javascript"],
        name: "Node.js",
        probe: &["node", "--version"],
        least: &[20],
        install: "apt-get install nodejs, or nodejs.org",
    },
    Toolchain {
        parts: &["javascript"],
        name: "npm",
        probe: &["npm", "--version"],
        least: &[9],
        install: "apt-get install npm",
    },
    Toolchain {
        parts: &["java", "firehose"],
        name: "a JDK",
        probe: &["javac", "--version"],
        least: &[17],
        install: "apt-get install openjdk-17-jdk-headless",
    },
    Toolchain {
        parts: &["java", "firehose"],
        name: "Maven",
        probe: &["mvn", "--version"],
        least: &[3, 6],
        install: "apt-get install maven",
    },
    Toolchain {
        parts: &["go"],
        name: "Go",
        probe: &["go", "version"],
        least: &[1, 24],
        install: "apt-get install golang, or go.dev/dl",
    },
];

/// A toolchain that is not there, or too old.
pub(crate) struct Missing {
    /// The part that needs it.
    pub(crate) part: &'static str,
    name: &'static str,
    why: String,
    install: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, name, why, install } = self;
        write!(out, "{name} ({why}), needed for `{part}`; to install it: {install}")
    }
}

/// What the parts need and this machine lacks.
pub(crate) fn missing(parts: &[&str]) -> Vec<Missing> {
    let needed = |one: &'static Toolchain| {
        let wanted = one.parts.iter().filter(|part| parts.contains(*part));
        wanted.filter_map(move |part| lacking(one, part))
    };
    TOOLCHAINS.iter().flat_map(needed).collect()
}

/// What `part` lacks of a toolchain.
fn lacking(one: &Toolchain, part: &'static str) -> Option<Missing> {
    let (program, arguments) = one.probe.split_first().expect("a probe has a program");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let why = match output {
        Err(error) => error.to_string(),
        Ok(output) if !output.status.success() => format!("{program}: {}", output.status),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = version(&text);
            if found.as_slice() >= one.least {
                return None;
            }
            format!("{found:?} is older than {:?}", one.least)
        }
    };
    Some(Missing { part, name: one.name, why, install: one.install })
}

/// The first number with dots in a text: `go version go1.26.8 linux` is 1, 26, 8. A lone number
/// may belong to the colours that some programs print around their version.
fn version(text: &str) -> Vec<u32> {
    text.split(|letter: char| letter != '.' && !letter.is_ascii_digit())
        .map(|number| number.split('.').map_while(|part| part.parse().ok()).collect::<Vec<u32>>())
        .find(|number| number.len() > 1)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_wherever_they_stand() {
        assert_eq!(version("go version go1.26.8 linux/amd64"), [1, 26, 8]);
        assert_eq!(version("v20.20.2\n"), [20, 20, 2]);
        assert_eq!(version("javac 17.0.15"), [17, 0, 15]);
        assert_eq!(version("\u{1b}[1mApache Maven 3.8.7\u{1b}[m"), [3, 8, 7]);
        assert_eq!(version("no number"), Vec::<u32>::new());
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_its_remedy() {
        let absent = Toolchain {
            parts: &["go"],
            name: "Absent",
            probe: &["surely-not-a-program"],
            least: &[1],
            install: "make one",
        };
        let told = lacking(&absent, "go").expect("it is not there").to_string();
        assert!(told.contains("Absent") && told.contains("make one"), "{told}");
    }
}
