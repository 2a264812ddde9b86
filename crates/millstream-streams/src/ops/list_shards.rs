//! `ListShards`.
//!
//! Source: API_ListShards and API_ShardFilter (documented).

use millstream_api::kinesis::{ListShardsInput, ListShardsOutput, ShardFilter, ShardFilterType};
use millstream_core::{AccountId, ShardId, StreamName, Timestamp};
use serde::{Deserialize, Serialize};

use super::convert;
use crate::refusal::{Named, Refusal};
use crate::resolve::{Request, shard_id};
use crate::state::{Shard, Stream, StreamStatus, StreamUid};
use crate::streams::Streams;

/// Shards in one answer unless the caller says otherwise (documented: API_ListShards).
const SHARDS_DEFAULT: usize = 1_000;

/// What a paging token carries: all that the first call said.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    account: AccountId,
    name: StreamName,
    stream: StreamUid,
    after: Option<ShardId>,
    filter: Filter,
}

/// Which shards are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Filter {
    All,
    After(ShardId),
    Latest,
    /// Open at that time.
    At(Timestamp),
    /// Open at that time, or later.
    From(Timestamp),
}

impl Filter {
    fn new(filter: Option<&ShardFilter>, stream: &Stream, now: Timestamp) -> Result<Self, Refusal> {
        let Some(filter) = filter else { return Ok(Self::All) };
        // What lies before the oldest record means the oldest record.
        let horizon = stream.horizon(now).max(stream.created);
        let missing = |what| Refusal::ShardFilterLacks { what, filter: filter.r#type.as_str() };
        let at = || {
            let at = filter.timestamp.ok_or_else(|| missing("Timestamp"))?;
            if at > now {
                return Err(Refusal::TimestampInTheFuture { at, now });
            }
            Ok(at.max(horizon))
        };
        Ok(match filter.r#type {
            ShardFilterType::AfterShardId => {
                let text = filter.shard_id.as_deref().ok_or_else(|| missing("ShardId"))?;
                Self::After(shard_id(text, &stream.named())?)
            }
            ShardFilterType::AtTrimHorizon => Self::At(horizon),
            ShardFilterType::FromTrimHorizon => Self::From(horizon),
            ShardFilterType::AtLatest => Self::Latest,
            ShardFilterType::AtTimestamp => Self::At(at()?),
            ShardFilterType::FromTimestamp => Self::From(at()?),
        })
    }

    fn takes(self, shard: &Shard) -> bool {
        let ends_after = |time| shard.closed.as_ref().is_none_or(|closed| closed.at >= time);
        match self {
            Self::All => true,
            Self::After(id) => shard.id > id,
            Self::Latest => shard.closed.is_none(),
            Self::At(time) => shard.opened <= time && ends_after(time),
            Self::From(time) => ends_after(time),
        }
    }
}

pub(super) async fn run(
    streams: &Streams,
    request: &Request<'_>,
    input: ListShardsInput,
) -> Result<ListShardsOutput, Refusal> {
    let now = streams.clock.now();
    let (stream, after, filter) = match &input.next_token {
        Some(token) => {
            refuse_beside_token(&input)?;
            let page: Page = streams
                .tokens
                .read_page(token, now)
                .map_err(|error| streams.token_refusal(error))?;
            let named = Named { account: page.account, stream: page.name };
            let stream = streams.resolve_uid(request, page.stream, &named)?;
            (stream, page.after, page.filter)
        }
        None => first_page(streams, request, &input, now)?,
    };
    let limit = convert::limit(input.max_results, SHARDS_DEFAULT);
    let is_creating = stream.status == StreamStatus::Creating;
    let is_listed = |shard: &&Shard| {
        !is_creating && after.is_none_or(|after| shard.id > after) && filter.takes(shard)
    };
    let mut found = stream.shards.iter().filter(is_listed).peekable();
    let page: Vec<&Shard> = found.by_ref().take(limit).collect();
    let next_token = found.peek().map(|_| {
        let page = Page {
            account: stream.account.clone(),
            name: stream.name.clone(),
            stream: stream.uid,
            after: page.last().map(|shard| shard.id).or(after),
            filter,
        };
        streams.tokens.page(&page, now)
    });
    let shards = page.into_iter().map(convert::shard).collect();
    Ok(ListShardsOutput { shards: Some(shards), next_token })
}

type FirstPage = (std::sync::Arc<Stream>, Option<ShardId>, Filter);

fn first_page(
    streams: &Streams,
    request: &Request<'_>,
    input: &ListShardsInput,
    now: Timestamp,
) -> Result<FirstPage, Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target).map_err(|refusal| match refusal {
        Refusal::NoStreamNamed => Refusal::NoTokenAndNoStream,
        other => other,
    })?;
    let is_same = |created: &Timestamp| created.seconds() == stream.created.seconds();
    if !input.stream_creation_timestamp.as_ref().is_none_or(is_same) {
        return Err(streams.gone(&stream));
    }
    let after = match &input.exclusive_start_shard_id {
        None => None,
        Some(text) => Some(shard_id(text, &stream.named())?),
    };
    let filter = Filter::new(input.shard_filter.as_ref(), &stream, now)?;
    Ok((stream, after, filter))
}

/// A token says all; whatever stands beside it could contradict it.
fn refuse_beside_token(input: &ListShardsInput) -> Result<(), Refusal> {
    let beside = [
        ("StreamName", input.stream_name.is_some()),
        ("StreamARN", input.stream_arn.is_some()),
        ("ExclusiveStartShardId", input.exclusive_start_shard_id.is_some()),
        ("StreamCreationTimestamp", input.stream_creation_timestamp.is_some()),
        ("ShardFilter", input.shard_filter.is_some()),
    ];
    match beside.into_iter().find(|(_, is_given)| *is_given) {
        Some((argument, _)) => Err(Refusal::TokenAndArgument(argument)),
        None => Ok(()),
    }
}
