//! The two files that AWS's own tools share, `~/.aws/credentials` and `~/.aws/config`.
//!
//! Owns their form: sections in brackets, `key = value`, indented lines that belong to the key
//! above them, comments. Source: AWS SDKs and Tools Reference Guide, shared config and credentials
//! files (documented).

use std::path::PathBuf;

use crate::credentials::Surroundings;

/// One profile, as both files tell of it.
pub(crate) struct Profile {
    /// Its name.
    pub(crate) name: String,
    /// Where its credentials are looked for first.
    pub(crate) credentials_file: PathBuf,
    credentials: String,
    config: String,
}

impl Profile {
    /// The profile of this name; where none is given, that of `AWS_PROFILE`, or `default`.
    pub(crate) fn read(from: &impl Surroundings, name: Option<&str>) -> Self {
        let named = name.map(ToOwned::to_owned).or_else(|| from.variable("AWS_PROFILE"));
        let credentials_file = user_file(from, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let text = |path: &PathBuf| from.file(path).unwrap_or_default();
        Self {
            name: named.unwrap_or_else(|| "default".to_owned()),
            credentials: text(&credentials_file),
            config: text(&user_file(from, "AWS_CONFIG_FILE", "config")),
            credentials_file,
        }
    }

    /// What the credentials file says of `key`.
    pub(crate) fn in_credentials(&self, key: &str) -> Option<String> {
        value(&self.credentials, &self.name, None, key)
    }

    /// What the config file says of `key`.
    pub(crate) fn in_config(&self, key: &str) -> Option<String> {
        // In this file alone, sections other than `default` are called `profile NAME`; the
        // default may be called either way, and the longer name wins.
        let plain = || value(&self.config, "default", None, key);
        let found = value(&self.config, &format!("profile {}", self.name), None, key);
        if self.name == "default" { found.or_else(plain) } else { found }
    }

    /// The endpoint that the config file names for `service`, or for all services.
    pub(crate) fn endpoint_url(&self, service: &str) -> Option<String> {
        let own = self.in_config("services").and_then(|services| {
            value(&self.config, &format!("services {services}"), Some(service), "endpoint_url")
        });
        own.or_else(|| self.in_config("endpoint_url"))
    }
}

fn user_file(from: &impl Surroundings, variable: &str, name: &str) -> PathBuf {
    let home = || from.variable("HOME").unwrap_or_default();
    from.variable(variable)
        .map_or_else(|| PathBuf::from(home()).join(".aws").join(name), Into::into)
}

/// The last value of `key` in `[section]`; with a `parent`, of the keys that are indented below it.
fn value(text: &str, section: &str, parent: Option<&str>, key: &str) -> Option<String> {
    let mut inside = false;
    let mut above = None;
    let mut found = None;
    for line in text.lines() {
        let is_indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            inside = name.split(']').next().map(one_spaced).as_deref() == Some(section);
            above = None;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside) else { continue };
        let (name, value) = (name.trim(), without_comment(value).trim());
        let is_here =
            if is_indented { parent.is_some() && above == parent } else { parent.is_none() };
        if is_here && name == key && !value.is_empty() {
            found = Some(value.to_owned());
        }
        if !is_indented {
            above = Some(name);
        }
    }
    found
}

/// A section's name, its words one space apart.
fn one_spaced(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A comment at the end of a line begins with white space: a secret may hold a `#`.
fn without_comment(value: &str) -> &str {
    let ends = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark));
    &value[..ends.min().unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# comment\n\
[default]\n\
region = eu-west-1 # here\n\
s3 =\n\
\u{20}\u{20}region = not-this\n\
secret = a#b\n\
[profile  other]\n\
region=x-1\n\
services = local\n\
[services local]\n\
dynamodb =\n\
\u{20} endpoint_url = http://d:1\n\
kinesis =\n\
\u{20} endpoint_url = http://k:2\n";

    #[test]
    fn values_are_found_in_their_section_and_below_their_key() {
        let in_section = |section, key| value(TEXT, section, None, key);
        assert_eq!(in_section("default", "region").as_deref(), Some("eu-west-1"));
        assert_eq!(in_section("default", "secret").as_deref(), Some("a#b"));
        assert_eq!(in_section("profile other", "region").as_deref(), Some("x-1"));
        assert_eq!(in_section("other", "region"), None);
        let below = |parent| value(TEXT, "services local", Some(parent), "endpoint_url");
        assert_eq!(below("kinesis").as_deref(), Some("http://k:2"));
        assert_eq!(below("dynamodb").as_deref(), Some("http://d:1"));
        assert_eq!(below("s3"), None);
        assert_eq!(value(TEXT, "services local", None, "endpoint_url"), None);
    }
}
