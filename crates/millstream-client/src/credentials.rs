//! Whose name a request is signed in, found where AWS's own tools look.
//!
//! Order: what the caller gives, then `AWS_*` variables, then the profile in the shared
//! credentials file. Source: AWS SDKs and Tools Reference Guide (documented). Roles, SSO and the
//! instance's metadata are not read.

use std::fmt;
use std::path::PathBuf;

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
}

/// Where to look: the environment and the user's files, or a test's stand-in for them.
pub trait Surroundings {
    /// The environment variable `name`, where it is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;
    /// The whole text of the file at `path`, where there is one.
    fn file(&self, path: &std::path::Path) -> Option<String>;
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
        let profile = profile_name(from, profile);
        let path = user_file(from, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let file = path.display().to_string();
        let text = from.file(&path).unwrap_or_default();
        let value = |key| profile_value(&text, &profile, key);
        let place = format!("profile `{profile}` of {file}");
        let (id, secret) = (value("aws_access_key_id"), value("aws_secret_access_key"));
        Self::of_halves(id, secret, value("aws_session_token"), &place)?
            .ok_or(CredentialsError::Missing { profile, file })
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
    let profile = profile_name(from, profile);
    let text = from.file(&user_file(from, "AWS_CONFIG_FILE", "config"))?;
    // In this file alone, sections other than `default` are called `profile NAME`.
    let section = if profile == "default" { profile } else { format!("profile {profile}") };
    profile_value(&text, &section, "region").or(named)
}

/// The endpoint that the environment names for Kinesis, or for all services.
pub fn find_endpoint(from: &impl Surroundings) -> Option<String> {
    from.variable("AWS_ENDPOINT_URL_KINESIS").or_else(|| from.variable("AWS_ENDPOINT_URL"))
}

fn profile_name(from: &impl Surroundings, profile: Option<&str>) -> String {
    let given = profile.map(ToOwned::to_owned).or_else(|| from.variable("AWS_PROFILE"));
    given.unwrap_or_else(|| "default".to_owned())
}

fn user_file(from: &impl Surroundings, variable: &str, name: &str) -> PathBuf {
    let home = || from.variable("HOME").unwrap_or_default();
    from.variable(variable)
        .map_or_else(|| PathBuf::from(home()).join(".aws").join(name), Into::into)
}

/// The value of `key` in `[section]` of an INI file.
fn profile_value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            inside = name.split(']').next().map(str::trim) == Some(section);
        } else if inside && !line.starts_with(['#', ';']) {
            let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            match pair {
                Some((name, value)) if name == key && !value.is_empty() => {
                    found = Some(value.to_owned());
                }
                _ => {}
            }
        }
    }
    found
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
    }

    const FILE: &str = "[default]\naws_access_key_id = D\naws_secret_access_key=DS\n\n\
        [other]\n# a comment\naws_access_key_id=O\naws_secret_access_key = OS\n\
        aws_session_token = OT\n[half]\naws_access_key_id = H\n";

    fn home() -> Fake {
        Fake {
            variables: BTreeMap::from([("HOME", "/h")]),
            files: BTreeMap::from([
                ("/h/.aws/credentials", FILE),
                ("/h/.aws/config", "[default]\nregion=eu-west-1\n[profile other]\nregion = x-1\n"),
            ]),
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
