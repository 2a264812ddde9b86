//! Whose name a request is signed in, and where to: found where AWS's own tools look.
//!
//! Order: what the caller gives, then `AWS_*` variables, then the profile in the shared files,
//! then what the profile's `credential_process` prints. Source: AWS SDKs and Tools Reference
//! Guide (documented). Roles, SSO and the instance's metadata are not read; a
//! `credential_process` stands for any of them.

use std::fmt;

use crate::profile::Profile;

/// An access key, with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key's public half.
    pub access_key_id: String,
    /// The key's secret half.
    pub secret_access_key: String,
    /// What temporary keys carry along.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish()
    }
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Nowhere.
    #[error(
        "no credentials found in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) nor in profile `{profile}` of {file}"
    )]
    Missing {
        /// The profile looked for.
        profile: String,
        /// The file looked in.
        file: String,
    },
    /// One half only.
    #[error("{place} names an access key id without a secret access key, or the other way round")]
    Half {
        /// Where.
        place: String,
    },
    /// The command that should print them did not.
    #[error("the credential_process of profile `{profile}` {reason}")]
    Process {
        /// The profile.
        profile: String,
        /// What went wrong.
        reason: String,
    },
}

/// Where to look: the environment and the user's files, or a test's stand-in for them.
pub trait Surroundings {
    /// The environment variable `name`, where it is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;
    /// The whole text of the file at `path`, where there is one.
    fn file(&self, path: &std::path::Path) -> Option<String>;
    /// What the shell command `command` prints; an error where it fails.
    fn output(&self, command: &str) -> Result<Vec<u8>, String>;
}

/// The process's own environment and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn file(&self, path: &std::path::Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn output(&self, command: &str) -> Result<Vec<u8>, String> {
        let run = std::process::Command::new("sh").args(["-c", command]).output();
        let run = run.map_err(|error| format!("cannot be run: {error}"))?;
        let said = String::from_utf8_lossy(&run.stderr);
        let said = said.lines().next().unwrap_or("without a word");
        if run.status.success() { Ok(run.stdout) } else { Err(format!("failed: {said}")) }
    }
}

impl Credentials {
    /// The credentials of `profile`, or of the environment where no profile is named.
    pub fn find(from: &impl Surroundings, profile: Option<&str>) -> Result<Self, CredentialsError> {
        if profile.is_none() {
            let id = from.variable("AWS_ACCESS_KEY_ID");
            let secret = from.variable("AWS_SECRET_ACCESS_KEY");
            let token = from.variable("AWS_SESSION_TOKEN");
            if let Some(found) = Self::of_halves(id, secret, token, "the environment")? {
                return Ok(found);
            }
        }
        let profile = Profile::read(from, profile);
        let file = profile.credentials_file.display().to_string();
        for in_config in [false, true] {
            let value = |key: &str| {
                if in_config { profile.in_config(key) } else { profile.in_credentials(key) }
            };
            let (id, secret) = (value("aws_access_key_id"), value("aws_secret_access_key"));
            let place = if in_config { "the config file" } else { &file };
            let place = format!("profile `{}` of {place}", profile.name);
            if let Some(found) = Self::of_halves(id, secret, value("aws_session_token"), &place)? {
                return Ok(found);
            }
        }
        let command = profile.in_config("credential_process");
        match command.or_else(|| profile.in_credentials("credential_process")) {
            Some(command) => from
                .output(&command)
                .and_then(|output| Self::printed(&output))
                .map_err(|reason| CredentialsError::Process { profile: profile.name, reason }),
            None => Err(CredentialsError::Missing { profile: profile.name, file }),
        }
    }

    /// Credentials in the form that a `credential_process` prints.
    fn printed(output: &[u8]) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(output)
            .map_err(|error| format!("does not print JSON: {error}"))?;
        let text = |name: &str| value[name].as_str().map(ToOwned::to_owned);
        match (text("AccessKeyId"), text("SecretAccessKey")) {
            (Some(access_key_id), Some(secret_access_key)) => {
                Ok(Self { access_key_id, secret_access_key, session_token: text("SessionToken") })
            }
            _ => Err("prints no AccessKeyId and SecretAccessKey".to_owned()),
        }
    }

    fn of_halves(
        id: Option<String>,
        secret: Option<String>,
        session_token: Option<String>,
        place: &str,
    ) -> Result<Option<Self>, CredentialsError> {
        match (id, secret) {
            (Some(access_key_id), Some(secret_access_key)) => {
                Ok(Some(Self { access_key_id, secret_access_key, session_token }))
            }
            (None, None) => Ok(None),
            _ => Err(CredentialsError::Half { place: place.to_owned() }),
        }
    }
}

/// The region of the environment, or of `profile` in the shared config file.
pub fn find_region(from: &impl Surroundings, profile: Option<&str>) -> Option<String> {
    let named = from.variable("AWS_REGION").or_else(|| from.variable("AWS_DEFAULT_REGION"));
    if profile.is_none() && named.is_some() {
        return named;
    }
    Profile::read(from, profile).in_config("region").or(named)
}

/// The endpoint that the environment, or else `profile`, names for Kinesis or for all services.
pub fn find_endpoint(from: &impl Surroundings, profile: Option<&str>) -> Option<String> {
    let ignored = from.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    from.variable("AWS_ENDPOINT_URL_KINESIS")
        .or_else(|| from.variable("AWS_ENDPOINT_URL"))
        .or_else(|| Profile::read(from, profile).endpoint_url("kinesis"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[derive(Default)]
    struct Fake {
        variables: BTreeMap<&'static str, &'static str>,
        files: BTreeMap<&'static str, &'static str>,
    }

    impl Surroundings for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            self.variables.get(name).map(|value| (*value).to_owned())
        }

        fn file(&self, path: &Path) -> Option<String> {
            self.files.get(path.to_str().unwrap()).map(|text| (*text).to_owned())
        }

        fn output(&self, command: &str) -> Result<Vec<u8>, String> {
            match command {
                "print" => Ok(br#"{"Version":1,"AccessKeyId":"P","SecretAccessKey":"PS"}"#.into()),
                "print nothing" => Ok(Vec::new()),
                _ => Err(format!("failed: {command}")),
            }
        }
    }

    const FILE: &str = "[default]\naws_access_key_id = D\naws_secret_access_key=DS\n\n\
        [other]\n# a comment\naws_access_key_id=O\naws_secret_access_key = OS\n\
        aws_session_token = OT\n[half]\naws_access_key_id = H\n";

    const CONFIG: &str = "[default]\nregion=eu-west-1\n\
        [profile other]\nregion = x-1\nendpoint_url = http://o\n\
        [profile here]\naws_access_key_id = C\naws_secret_access_key = CS\n\
        [profile run]\ncredential_process = print\n\
        [profile empty]\ncredential_process = print nothing\n\
        [profile wrong]\ncredential_process = boom\n";

    fn home() -> Fake {
        Fake {
            variables: BTreeMap::from([("HOME", "/h")]),
            files: BTreeMap::from([("/h/.aws/credentials", FILE), ("/h/.aws/config", CONFIG)]),
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_a_named_profile_over_both() {
        let mut fake = home();
        assert_eq!(Credentials::find(&fake, None).unwrap().access_key_id, "D");
        fake.variables.extend([("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "ES")]);
        assert_eq!(Credentials::find(&fake, None).unwrap().access_key_id, "E");
        let other = Credentials::find(&fake, Some("other")).unwrap();
        assert_eq!(other.secret_access_key, "OS");
        assert_eq!(other.session_token.as_deref(), Some("OT"));
    }

    #[test]
    fn a_half_key_and_a_missing_one_say_where() {
        let error = Credentials::find(&home(), Some("half")).unwrap_err();
        assert!(error.to_string().contains("profile `half` of /h/.aws/credentials"), "{error}");
        let error = Credentials::find(&Fake::default(), None).unwrap_err();
        assert!(matches!(error, CredentialsError::Missing { .. }));
        let mut fake = home();
        fake.variables.insert("AWS_ACCESS_KEY_ID", "E");
        assert!(matches!(Credentials::find(&fake, None), Err(CredentialsError::Half { .. })));
    }

    #[test]
    fn keys_of_the_config_file_and_of_a_process_are_found_too() {
        let find = |profile| Credentials::find(&home(), Some(profile));
        assert_eq!(find("here").unwrap().access_key_id, "C");
        assert_eq!(find("run").unwrap().secret_access_key, "PS");
        let reason = |profile| find(profile).unwrap_err().to_string();
        assert!(reason("empty").contains("profile `empty` does not print JSON"));
        assert!(reason("wrong").ends_with("profile `wrong` failed: boom"));
    }

    #[test]
    fn the_endpoint_is_the_environments_or_else_the_profiles() {
        let mut fake = home();
        assert_eq!(find_endpoint(&fake, None), None);
        assert_eq!(find_endpoint(&fake, Some("other")).as_deref(), Some("http://o"));
        fake.variables.insert("AWS_ENDPOINT_URL", "http://all");
        assert_eq!(find_endpoint(&fake, Some("other")).as_deref(), Some("http://all"));
        fake.variables.insert("AWS_ENDPOINT_URL_KINESIS", "http://kinesis");
        assert_eq!(find_endpoint(&fake, None).as_deref(), Some("http://kinesis"));
        fake.variables.insert("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        assert_eq!(find_endpoint(&fake, Some("other")), None);
    }

    #[test]
    fn the_region_follows_the_profile() {
        let mut fake = home();
        assert_eq!(find_region(&fake, None).as_deref(), Some("eu-west-1"));
        assert_eq!(find_region(&fake, Some("other")).as_deref(), Some("x-1"));
        fake.variables.insert("AWS_DEFAULT_REGION", "us-west-2");
        assert_eq!(find_region(&fake, None).as_deref(), Some("us-west-2"));
        assert_eq!(find_region(&Fake::default(), None), None);
    }

    #[test]
    fn a_secret_never_shows_in_debug() {
        let found = Credentials::find(&home(), None).unwrap();
        assert!(!format!("{found:?}").contains("DS"));
    }
}
