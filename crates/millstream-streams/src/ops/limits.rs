//! `DescribeLimits`.

use millstream_api::kinesis::{DescribeLimitsInput, DescribeLimitsOutput};
use millstream_core::limits;

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::streams::Streams;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    _: DescribeLimitsInput,
) -> Result<DescribeLimitsOutput, Refusal> {
    streams.authorize_account(request)?;
    let (shards, on_demand) = streams.catalog.read(|registry| {
        let account = registry.account(request.caller.account());
        account.map_or((0, 0), |a| (a.open_provisioned_shards(), a.on_demand_streams()))
    });
    Ok(DescribeLimitsOutput {
        shard_limit: convert::count(streams.settings.shard_limit as usize),
        open_shard_count: convert::count(shards),
        on_demand_stream_count: convert::count(on_demand),
        on_demand_stream_count_limit: convert::count(
            limits::ACCOUNT_ON_DEMAND_STREAMS_MAX as usize,
        ),
    })
}
