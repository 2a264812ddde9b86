//! `ListStreams`.

use millstream_api::kinesis::{ListStreamsInput, ListStreamsOutput, StreamSummary};

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::streams::Streams;

/// Streams in one answer unless the caller says otherwise (documented: API_ListStreams).
const STREAMS_DEFAULT: usize = 100;

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: ListStreamsInput,
) -> Result<ListStreamsOutput, Refusal> {
    streams.authorize_account(request)?;
    let now = streams.clock.now();
    let after: Option<String> = match input.next_token {
        Some(token) => {
            let page = streams.tokens.read_page(&token, now);
            Some(page.map_err(|error| streams.token_refusal(error))?)
        }
        None => input.exclusive_start_stream_name,
    };
    let limit = convert::limit(input.limit, STREAMS_DEFAULT);
    let region = &streams.settings.region;
    let (summaries, has_more) = streams.catalog.read(|registry| {
        let Some(account) = registry.account(request.caller.account()) else {
            return (Vec::new(), false);
        };
        let is_after = |name: &str| after.as_deref().is_none_or(|after| name > after);
        let mut found = account.streams.values().filter(|s| is_after(s.name.as_str()));
        let page = found.by_ref().take(limit).map(|stream| StreamSummary {
            stream_name: stream.name.to_string(),
            stream_arn: stream.arn(region).to_string(),
            stream_status: convert::status(stream.status),
            stream_mode_details: Some(convert::mode(stream.mode)),
            stream_creation_timestamp: Some(stream.created),
        });
        let page: Vec<StreamSummary> = page.collect();
        (page, found.next().is_some())
    });
    let last = summaries.last().map(|summary| &summary.stream_name).filter(|_| has_more);
    Ok(ListStreamsOutput {
        stream_names: summaries.iter().map(|summary| summary.stream_name.clone()).collect(),
        has_more_streams: has_more,
        next_token: last.map(|last| streams.tokens.page(last, now)),
        stream_summaries: Some(summaries),
    })
}
