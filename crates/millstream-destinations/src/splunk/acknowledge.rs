//! The wait for the indexer's acknowledgement.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use super::{POLL_LONGEST, Splunk, answer};
use crate::Failure;

#[derive(Deserialize)]
struct Acknowledgements {
    acks: BTreeMap<String, bool>,
}

impl Splunk {
    /// Asks until the acknowledgement is there or the time for it is over. A question that
    /// fails on its way is asked again: the events may well be indexed meanwhile.
    pub(super) async fn wait_for(&self, acknowledgement: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + self.acknowledgement_timeout;
        let mut wait = self.poll_first;
        let mut last_trouble = None;
        loop {
            let Some(left) =
                deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Err(timed_out(last_trouble.as_ref()));
            };
            tokio::time::sleep(wait.min(left)).await;
            wait = (wait * 2).min(POLL_LONGEST);
            let asked = tokio::time::timeout_at(deadline, self.ask(acknowledgement)).await;
            match asked {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) | Err(_) => {}
                Ok(Err(trouble)) if trouble.ends_wait => return Err(trouble.failure),
                Ok(Err(trouble)) => last_trouble = Some(trouble.failure),
            }
        }
    }

    async fn ask(&self, acknowledgement: u64) -> Result<bool, Trouble> {
        let body = Bytes::from(format!(r#"{{"acks":[{acknowledgement}]}}"#));
        let asked = self.post(&self.acknowledgements, body, "application/json").await;
        let answer = asked.map_err(Trouble::passing)?;
        if let Some(failure) = answer::acknowledgement_fault(&answer) {
            return Err(Trouble { failure, ends_wait: true });
        }
        if !answer.status.is_success() {
            return Err(Trouble::passing(answer::server_error(&answer)));
        }
        let acks: Acknowledgements = serde_json::from_slice(&answer.body)
            .map_err(|_| Trouble::passing(answer::server_error(&answer)))?;
        Ok(acks.acks.get(&acknowledgement.to_string()).copied().unwrap_or(false))
    }
}

/// Why a question was not answered.
struct Trouble {
    failure: Failure,
    /// No further question will do better.
    ends_wait: bool,
}

impl Trouble {
    fn passing(failure: Failure) -> Self {
        Self { failure, ends_wait: false }
    }
}

fn timed_out(last_trouble: Option<&Failure>) -> Failure {
    let mut message = "Did not receive an acknowledgement from HEC before the HEC acknowledgement \
                       timeout expired. Despite the acknowledgement timeout, it's possible the \
                       data was indexed successfully in Splunk."
        .to_owned();
    if let Some(trouble) = last_trouble {
        write!(message, " (the last question failed: {trouble})")
            .expect("a string takes what is written");
    }
    Failure::retryable("Splunk.AckTimeout", message)
}
