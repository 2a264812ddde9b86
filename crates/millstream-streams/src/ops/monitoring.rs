//! `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`.

use std::collections::BTreeSet;

use millstream_api::kinesis::{
    DisableEnhancedMonitoringInput, EnableEnhancedMonitoringInput, EnhancedMonitoringOutput,
    MetricsName,
};

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::{Request, Target};
use crate::state::{Command, StreamChange};
use crate::streams::Streams;

pub(super) async fn enable(
    streams: &Streams,
    request: &Request<'_>,
    input: EnableEnhancedMonitoringInput,
) -> Result<EnhancedMonitoringOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let named = expand(&input.shard_level_metrics);
    change(streams, request, target, |now| now.union(&named).cloned().collect()).await
}

pub(super) async fn disable(
    streams: &Streams,
    request: &Request<'_>,
    input: DisableEnhancedMonitoringInput,
) -> Result<EnhancedMonitoringOutput, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let named = expand(&input.shard_level_metrics);
    change(streams, request, target, |now| now.difference(&named).cloned().collect()).await
}

/// The metrics named, `ALL` being each of them.
fn expand(names: &[MetricsName]) -> BTreeSet<String> {
    let names = if names.contains(&MetricsName::All) { MetricsName::ALL } else { names };
    names.iter().filter(|name| **name != MetricsName::All).map(ToString::to_string).collect()
}

async fn change(
    streams: &Streams,
    request: &Request<'_>,
    target: Target<'_>,
    desire: impl FnOnce(&BTreeSet<String>) -> BTreeSet<String>,
) -> Result<EnhancedMonitoringOutput, Refusal> {
    let stream = streams.resolve(request, target)?;
    let uid = stream.uid;
    let (current, desired) = streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let current = stream.monitoring.clone();
            let desired = desire(&current);
            let change = StreamChange::Monitoring(desired.clone());
            let command = Command::UpdateStream { stream: uid, change, updating: true };
            Ok(((desired != current).then_some(command), (current, desired)))
        })
        .await?;
    streams.drive(uid);
    let names = |set: &BTreeSet<String>| {
        set.iter().filter_map(|name| MetricsName::from_text(name)).collect::<Vec<_>>()
    };
    Ok(EnhancedMonitoringOutput {
        stream_name: Some(stream.name.to_string()),
        current_shard_level_metrics: Some(names(&current)),
        desired_shard_level_metrics: Some(names(&desired)),
        stream_arn: Some(stream.arn(&streams.settings.region).to_string()),
    })
}
