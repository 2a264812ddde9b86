//! Runs cases and writes down what each proved.

use std::error::Error;
use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_types::SdkConfig;

/// Why a case failed; any error will do.
pub(crate) type Failure = Box<dyn Error>;

/// What a case gives.
pub(crate) type Outcome = Result<(), Failure>;

/// What the clients share: they are as they come, but for the endpoint, a single try and no TLS.
pub(crate) fn site() -> SdkConfig {
    let endpoint = std::env::var("CONFORMANCE_ENDPOINT");
    let endpoint = endpoint.unwrap_or_else(|_| "http://127.0.0.1:4567".to_owned());
    let credentials = Credentials::new("conformance", "conformance", None, None, "suite");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// The counts of one run.
pub(crate) struct Run {
    client: &'static str,
    encoding: &'static str,
    service: &'static str,
    passed: u32,
    failed: u32,
}

impl Run {
    /// Nothing run yet.
    pub(crate) fn new(client: &'static str, encoding: &'static str) -> Self {
        Self { client, encoding, service: "kinesis", passed: 0, failed: 0 }
    }

    /// What runs from here on is of this service.
    pub(crate) fn of(&mut self, service: &'static str) -> &mut Self {
        self.service = service;
        self
    }

    /// Runs one case, unless CONFORMANCE_ONLY leaves it out.
    pub(crate) async fn case(
        &mut self,
        operations: &str,
        sentence: &str,
        proof: impl Future<Output = Outcome>,
    ) {
        let only = std::env::var("CONFORMANCE_ONLY").unwrap_or_default().to_lowercase();
        if !format!("{sentence} {operations}").to_lowercase().contains(&only) {
            return;
        }
        let started = Instant::now();
        let outcome = proof.await;
        let (word, detail) = match &outcome {
            Ok(()) => ("passed", String::new()),
            Err(error) => ("failed", told(error.as_ref())),
        };
        self.passed += u32::from(outcome.is_ok());
        self.failed += u32::from(outcome.is_err());
        let line = serde_json::json!({
            "client": self.client,
            "encoding": self.encoding,
            "service": self.service,
            "case": sentence,
            "operations": operations.split(' ').collect::<Vec<_>>(),
            "outcome": word,
            "milliseconds": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "detail": detail,
        });
        write(&line.to_string());
        if outcome.is_err() {
            println!("  failed: {} {}: {sentence}\n    {detail}", self.client, self.encoding);
        }
    }

    /// Prints the closing line.
    pub(crate) fn finish(self) -> ExitCode {
        println!("{} passed, {} failed, 0 skipped", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// An error with its causes, since the client's own words say little.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn write(line: &str) {
    let Ok(path) = std::env::var("CONFORMANCE_RESULTS") else { return };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the results can be written");
    writeln!(file, "{line}").expect("the results can be written");
}

/// Refuses unless both are the same.
pub(crate) fn equal<T: PartialEq + Debug>(found: T, wanted: T, what: &str) -> Outcome {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, wanted {wanted:?}").into())
    }
}

/// Refuses unless the condition holds.
pub(crate) fn holds(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(what.to_owned().into()) }
}

/// A name that no other case or run has used.
pub(crate) fn fresh_name() -> Result<String, Failure> {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("conformance-{nanos:x}"))
}

/// Expects the error of that code, with a part of its text.
pub(crate) fn refused<T>(
    answer: Result<T, impl ProvideErrorMetadata>,
    code: &str,
    fragment: &str,
) -> Outcome {
    let Err(error) = answer else { return Err(format!("no {code}").into()) };
    equal(error.code(), Some(code), "error code")?;
    let message = error.message().unwrap_or_default();
    holds(message.contains(fragment), &format!("{fragment:?} is not in {message:?}"))
}

/// Polls until the probe is true, since state changes take time by contract.
pub(crate) async fn eventually(
    what: &str,
    seconds: u64,
    mut probe: impl AsyncFnMut() -> Result<bool, Failure>,
) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !probe().await? {
        holds(Instant::now() < deadline, &format!("not within {seconds} s: {what}"))?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
