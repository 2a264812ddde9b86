//! `CreateStream`.
//!
//! Source: API_CreateStream (documented); four shards without a ShardCount (observed).

use millstream_api::kinesis::CreateStreamInput;
use millstream_core::limits;

use super::{convert, stream_tags};
use crate::refusal::{Named, Refusal};
use crate::resolve::Request;
use crate::state::{Account, Command, Mode, NewStream, StreamStatus};
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: CreateStreamInput,
) -> Result<(), Refusal> {
    let name = input.stream_name.parse().map_err(|_| Refusal::NoStreamNamed)?;
    let tags = input.tags.unwrap_or_default();
    streams.authorize_new(request, &name, &tags)?;
    let named = Named { account: request.caller.account().clone(), stream: name };
    stream_tags::check("add tags to", tags.iter(), &named)?;
    if tags.len() > limits::TAGS_MAX {
        return Err(Refusal::TooManyTags(named));
    }
    let mode = input.stream_mode_details.as_ref().map_or(Mode::Provisioned, convert::mode_of);
    if mode == Mode::OnDemand && input.shard_count.is_some() {
        return Err(Refusal::ShardCountOnDemand);
    }
    let warm = warm_throughput(streams, mode, input.warm_throughput_mibps)?;
    let shard_count = match input.shard_count {
        Some(count) => u32::try_from(count).unwrap_or(u32::MAX),
        None => limits::SHARDS_DEFAULT.max(warm),
    };
    if shard_count > limits::SHARDS_PER_STREAM_MAX {
        let (count, max) = (shard_count.into(), limits::SHARDS_PER_STREAM_MAX);
        return Err(Refusal::TooManyShards { count, max });
    }
    let max_record_kib = input.max_record_size_in_kib.and_then(|kib| u32::try_from(kib).ok());
    let new = NewStream {
        account: named.account.clone(),
        name: named.stream.clone(),
        created: streams.clock.now(),
        mode,
        shard_count,
        max_record_kib: max_record_kib.unwrap_or(limits::RECORD_KIB_DEFAULT),
        warm_throughput_mibps: warm,
        tags,
    };
    let found = named.clone();
    streams
        .propose(|registry| {
            if registry.by_name(&named.account, &named.stream).is_some() {
                return Err(Refusal::StreamExists(named));
            }
            if let Some(account) = registry.account(&named.account) {
                check_quotas(streams, &new, account)?;
            } else {
                check_quotas(streams, &new, &Account::default())?;
            }
            Ok((Some(Command::CreateStream(new)), ()))
        })
        .await?;
    let created = streams
        .catalog
        .read(|registry| registry.by_name(&found.account, &found.stream).map(|stream| stream.uid));
    if let Some(uid) = created {
        streams.drive(uid);
    }
    Ok(())
}

/// The warm throughput asked for, which only on-demand streams have.
pub(super) fn warm_throughput(
    streams: &Streams,
    mode: Mode,
    asked: Option<i32>,
) -> Result<u32, Refusal> {
    let Some(asked) = asked else { return Ok(0) };
    if mode == Mode::Provisioned && asked > 0 {
        return Err(Refusal::WarmThroughputProvisioned);
    }
    // A shard takes one MiB a second, and there are only so many shards.
    let max = limits::SHARDS_PER_STREAM_MAX.min(streams.settings.shard_limit);
    let mibps = u32::try_from(asked).ok().filter(|mibps| *mibps <= max);
    mibps.ok_or(Refusal::WarmThroughputTooHigh(asked, max))
}

fn check_quotas(streams: &Streams, new: &NewStream, account: &Account) -> Result<(), Refusal> {
    if !streams.enforces_quotas() {
        return Ok(());
    }
    let creating =
        account.streams.values().filter(|stream| stream.status == StreamStatus::Creating).count();
    if creating >= limits::STREAMS_CREATING_MAX {
        let what = "streams being created";
        return Err(Refusal::AccountLimit { what, limit: limits::STREAMS_CREATING_MAX });
    }
    match new.mode {
        Mode::Provisioned => {
            check_shard_limit(streams, &new.account, account, new.shard_count as usize)
        }
        Mode::OnDemand => {
            let limit = limits::ACCOUNT_ON_DEMAND_STREAMS_MAX as usize;
            if account.on_demand_streams() >= limit {
                return Err(Refusal::AccountLimit { what: "on-demand streams", limit });
            }
            Ok(())
        }
    }
}

/// Refused where `additional` shards would be more than the account may have.
pub(super) fn check_shard_limit(
    streams: &Streams,
    id: &millstream_core::AccountId,
    account: &Account,
    additional: usize,
) -> Result<(), Refusal> {
    let (current, limit) = (account.open_provisioned_shards(), streams.settings.shard_limit);
    if streams.enforces_quotas() && current + additional > limit as usize {
        return Err(Refusal::ShardLimit {
            account: id.clone(),
            region: streams.settings.region.clone(),
            current: current as u64,
            limit,
            additional: additional as u64,
        });
    }
    Ok(())
}
