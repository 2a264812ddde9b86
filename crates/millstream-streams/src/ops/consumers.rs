//! `RegisterStreamConsumer`, `DeregisterStreamConsumer`, `DescribeStreamConsumer`,
//! `ListStreamConsumers`.

use std::sync::Arc;

use millstream_api::kinesis::{
    ConsumerDescription, DeregisterStreamConsumerInput, DescribeStreamConsumerInput,
    DescribeStreamConsumerOutput, ListStreamConsumersInput, ListStreamConsumersOutput,
    RegisterStreamConsumerInput, RegisterStreamConsumerOutput,
};
use millstream_core::{AccountId, StreamName, limits};
use serde::{Deserialize, Serialize};

use super::{convert, stream_tags};
use crate::refusal::{Named, Refusal};
use crate::resolve::{Request, RequestTags, Target};
use crate::state::{Account, Command, Consumer, ConsumerChange, ConsumerStatus, Stream, StreamUid};
use crate::streams::Streams;

/// Consumers in one answer unless the caller says otherwise (documented).
const CONSUMERS_DEFAULT: usize = 100;
/// Consumers of a stream that may be CREATING at once (documented: quotas).
const CREATING_MAX: usize = 5;

pub(super) async fn register(
    streams: &Streams,
    request: &Request<'_>,
    input: RegisterStreamConsumerInput,
) -> Result<RegisterStreamConsumerOutput, Refusal> {
    let name: StreamName = input.consumer_name.parse().map_err(|_| Refusal::NoConsumerNamed)?;
    let tags = input.tags.unwrap_or_default();
    let target = Target { arn: Some(&input.stream_arn), ..Target::default() };
    let brought = RequestTags { set: &tags, keys: &[] };
    let stream = streams.resolve_with(request, target, brought)?;
    stream_tags::check("add tags to", tags.iter(), &stream.named())?;
    if tags.len() > limits::TAGS_MAX {
        return Err(Refusal::TooManyTags(stream.named()));
    }
    let stream = streams.servable(stream).await?;
    let (uid, created) = (stream.uid, streams.clock.now());
    let new = Consumer {
        name: name.clone(),
        created,
        status: ConsumerStatus::Creating,
        tags: tags.clone(),
        policy: None,
    };
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            if stream.consumers.contains_key(&name) {
                let consumer = name.to_string();
                return Err(Refusal::ConsumerExists { consumer, stream: stream.named() });
            }
            check_quotas(streams, stream, registry.account(&stream.account))?;
            let change = ConsumerChange::Register { created, tags };
            Ok((Some(Command::ChangeConsumer { stream: uid, consumer: name, change }), ()))
        })
        .await?;
    streams.drive(uid);
    let consumer = convert::consumer(&stream, &new, &streams.settings.region);
    Ok(RegisterStreamConsumerOutput { consumer })
}

fn check_quotas(
    streams: &Streams,
    stream: &Stream,
    account: Option<&Account>,
) -> Result<(), Refusal> {
    let is_advantage = account
        .is_some_and(|account| account.commitment.is_some_and(|commitment| commitment.enabled));
    let limit = if is_advantage {
        limits::CONSUMERS_PER_STREAM_MAX_ADVANTAGE
    } else {
        limits::CONSUMERS_PER_STREAM_MAX
    };
    let creating =
        stream.consumers.values().filter(|c| c.status == ConsumerStatus::Creating).count();
    if stream.consumers.len() >= limit {
        return Err(Refusal::TooManyConsumers { stream: stream.named(), limit });
    }
    if streams.enforces_quotas() && creating >= CREATING_MAX {
        let what = "consumers being created";
        return Err(Refusal::AccountLimit { what, limit: CREATING_MAX });
    }
    Ok(())
}

/// The consumer by its own ARN, or by its stream's and its name.
fn resolve(
    streams: &Streams,
    request: &Request<'_>,
    consumer_arn: Option<&String>,
    stream_arn: Option<&String>,
    name: Option<&String>,
) -> Result<(Arc<Stream>, Consumer), Refusal> {
    match (consumer_arn, stream_arn, name) {
        (Some(arn), stream_arn, name) => {
            let (stream, consumer) = streams.resolve_consumer_arn(request, arn)?;
            let own_arn = stream.arn(&streams.settings.region).to_string();
            let fits = stream_arn.is_none_or(|arn| *arn == own_arn)
                && name.is_none_or(|name| name == consumer.name.as_str());
            if fits { Ok((stream, consumer)) } else { Err(Refusal::ConsumerNamesDiffer) }
        }
        (None, Some(stream_arn), Some(name)) => {
            streams.resolve_consumer_named(request, stream_arn, name)
        }
        (None, _, _) => Err(Refusal::NoConsumerNamed),
    }
}

pub(super) async fn deregister(
    streams: &Streams,
    request: &Request<'_>,
    input: DeregisterStreamConsumerInput,
) -> Result<(), Refusal> {
    let (stream, consumer) = resolve(
        streams,
        request,
        input.consumer_arn.as_ref(),
        input.stream_arn.as_ref(),
        input.consumer_name.as_ref(),
    )?;
    let uid = stream.uid;
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            let missing = || Refusal::ConsumerNotFound {
                consumer: consumer.name.to_string(),
                stream: stream.named(),
            };
            let now = stream.consumers.get(&consumer.name).ok_or_else(missing)?;
            // Asked for a second time, there is nothing left to do.
            let is_deleting = now.status == ConsumerStatus::Deleting;
            let change = ConsumerChange::Deregister;
            let consumer = consumer.name;
            let command = Command::ChangeConsumer { stream: uid, consumer, change };
            Ok(((!is_deleting).then_some(command), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}

pub(super) async fn describe(
    streams: &Streams,
    request: &Request<'_>,
    input: DescribeStreamConsumerInput,
) -> Result<DescribeStreamConsumerOutput, Refusal> {
    let (stream, consumer) = resolve(
        streams,
        request,
        input.consumer_arn.as_ref(),
        input.stream_arn.as_ref(),
        input.consumer_name.as_ref(),
    )?;
    let region = &streams.settings.region;
    Ok(DescribeStreamConsumerOutput {
        consumer_description: ConsumerDescription {
            consumer_name: consumer.name.to_string(),
            consumer_arn: stream.consumer_arn(region, &consumer).to_string(),
            consumer_status: convert::consumer_status(consumer.status),
            consumer_creation_timestamp: consumer.created,
            stream_arn: stream.arn(region).to_string(),
        },
    })
}

/// What a paging token carries.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    account: AccountId,
    name: StreamName,
    stream: StreamUid,
    after: StreamName,
}

pub(super) async fn list(
    streams: &Streams,
    request: &Request<'_>,
    input: ListStreamConsumersInput,
) -> Result<ListStreamConsumersOutput, Refusal> {
    let now = streams.clock.now();
    let target = Target { arn: Some(&input.stream_arn), ..Target::default() };
    let (stream, after) = match &input.next_token {
        None => {
            let stream = streams.resolve(request, target)?;
            let created = input.stream_creation_timestamp;
            if created.is_some_and(|at| at.seconds() != stream.created.seconds()) {
                return Err(streams.gone(&stream));
            }
            (stream, None)
        }
        Some(token) => {
            let page = streams.tokens.read_page::<Page>(token, now);
            let page = page.map_err(|error| streams.token_refusal(error))?;
            let named = Named { account: page.account, stream: page.name };
            (streams.resolve_uid(request, page.stream, &named)?, Some(page.after))
        }
    };
    let limit = convert::limit(input.max_results, CONSUMERS_DEFAULT);
    let is_after = |consumer: &&Consumer| after.as_ref().is_none_or(|a| consumer.name > *a);
    let mut found = stream.consumers.values().filter(is_after);
    let page: Vec<&Consumer> = found.by_ref().take(limit).collect();
    let last = page.last().filter(|_| found.next().is_some());
    let next_token = last.map(|last| {
        let page = Page {
            account: stream.account.clone(),
            name: stream.name.clone(),
            stream: stream.uid,
            after: last.name.clone(),
        };
        streams.tokens.page(&page, now)
    });
    let region = &streams.settings.region;
    let consumers = page.into_iter().map(|c| convert::consumer(&stream, c, region)).collect();
    Ok(ListStreamConsumersOutput { consumers: Some(consumers), next_token })
}
