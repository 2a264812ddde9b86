//! `ListDeliveryStreams`.

use millstream_api::firehose::{ListDeliveryStreamsInput, ListDeliveryStreamsOutput};

use super::describe_delivery_stream::stream_type;
use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::resolve::Request;

/// Delivery streams in one answer unless the caller says otherwise (documented).
const STREAMS_DEFAULT: usize = 10;

pub(super) async fn run(
    firehose: &Firehose,
    request: &Request<'_>,
    input: ListDeliveryStreamsInput,
) -> Result<ListDeliveryStreamsOutput, Refusal> {
    firehose.authorize_account(request)?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(STREAMS_DEFAULT);
    let after = input.exclusive_start_delivery_stream_name.as_deref();
    let (names, has_more) = firehose.catalog.read(|registry| {
        let Some(account) = registry.account(request.caller.account()) else {
            return (Vec::new(), false);
        };
        let mut found = account.streams.values().filter(|stream| {
            let is_wanted = |wanted| stream_type(stream.source.kind()) == wanted;
            after.is_none_or(|after| stream.name.as_str() > after)
                && input.delivery_stream_type.is_none_or(is_wanted)
        });
        let names = found.by_ref().take(limit).map(|stream| stream.name.to_string());
        let names: Vec<String> = names.collect();
        (names, found.next().is_some())
    });
    Ok(ListDeliveryStreamsOutput {
        delivery_stream_names: names,
        has_more_delivery_streams: has_more,
    })
}
