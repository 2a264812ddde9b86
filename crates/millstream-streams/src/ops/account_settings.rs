//! `DescribeAccountSettings` and `UpdateAccountSettings`: the throughput commitment.
//!
//! Nothing is billed here; what the setting changes is how many consumers a stream may have.
//! A commitment once enabled runs for at least 24 hours (documented: On-demand Advantage).

use std::time::Duration;

use millstream_api::kinesis::{
    DescribeAccountSettingsInput, DescribeAccountSettingsOutput,
    MinimumThroughputBillingCommitmentInputStatus as Asked,
    MinimumThroughputBillingCommitmentOutput as Told,
    MinimumThroughputBillingCommitmentOutputStatus as Status, UpdateAccountSettingsInput,
    UpdateAccountSettingsOutput,
};
use millstream_core::Timestamp;

use crate::amazon_time::AmazonTime;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, Commitment};
use crate::streams::Streams;

/// How long a commitment runs at least.
const COMMITMENT_MIN: Duration = Duration::from_secs(24 * 3_600);

pub(super) async fn describe(
    streams: &Streams,
    request: &Request<'_>,
    _: DescribeAccountSettingsInput,
) -> Result<DescribeAccountSettingsOutput, Refusal> {
    streams.authorize_account(request)?;
    let commitment = streams
        .catalog
        .read(|registry| registry.account(request.caller.account()).and_then(|a| a.commitment));
    let told = told(commitment);
    Ok(DescribeAccountSettingsOutput { minimum_throughput_billing_commitment: Some(told) })
}

pub(super) async fn update(
    streams: &Streams,
    request: &Request<'_>,
    input: UpdateAccountSettingsInput,
) -> Result<UpdateAccountSettingsOutput, Refusal> {
    streams.authorize_account(request)?;
    let now = streams.clock.now();
    let account = request.caller.account().clone();
    let commitment = streams
        .propose(|registry| {
            let current = registry.account(&account).and_then(|account| account.commitment);
            let next = match input.minimum_throughput_billing_commitment.status {
                Asked::Enabled => Some(enable(current, now)),
                Asked::Disabled => disable(current, now)?,
            };
            let change = next.filter(|_| next != current);
            let command = change.map(|commitment| Command::SetCommitment { account, commitment });
            Ok((command, next))
        })
        .await?;
    let told = told(commitment);
    Ok(UpdateAccountSettingsOutput { minimum_throughput_billing_commitment: Some(told) })
}

fn enable(current: Option<Commitment>, now: Timestamp) -> Commitment {
    match current {
        Some(running) if running.enabled => running,
        Some(_) | None => Commitment { enabled: true, started: now, ended: None },
    }
}

fn disable(current: Option<Commitment>, now: Timestamp) -> Result<Option<Commitment>, Refusal> {
    let Some(running) = current.filter(|commitment| commitment.enabled) else {
        return Ok(current);
    };
    let earliest = running.started.plus(COMMITMENT_MIN);
    if now < earliest {
        return Err(Refusal::CommitmentRuns(AmazonTime(earliest)));
    }
    Ok(Some(Commitment { enabled: false, ended: Some(now), ..running }))
}

fn told(commitment: Option<Commitment>) -> Told {
    let Some(commitment) = commitment else {
        return Told { status: Status::Disabled, ..Told::default() };
    };
    Told {
        status: if commitment.enabled { Status::Enabled } else { Status::Disabled },
        started_at: Some(commitment.started),
        ended_at: commitment.ended,
        earliest_allowed_end_at: commitment
            .enabled
            .then(|| commitment.started.plus(COMMITMENT_MIN)),
    }
}
