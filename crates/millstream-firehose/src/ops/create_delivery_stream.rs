//! `CreateDeliveryStream`.
//!
//! Source: API_CreateDeliveryStream (documented). Roles are taken as they are named: nobody here
//! assumes them.

use std::collections::BTreeMap;

use millstream_api::firehose::{
    Connectivity, CreateDeliveryStreamInput, CreateDeliveryStreamOutput, DeliveryStreamType,
};
use millstream_core::Timestamp;

use super::{destination, encryption};
use crate::configuration::{self, Invalid, Place};
use crate::firehose::{Firehose, owner};
use crate::refusal::{Named, Refusal};
use crate::resolve::Request;
use crate::state::{
    Command, Encryption, KafkaSource, KinesisSource, NewDeliveryStream, NewSource, SourceKind, arn,
};

/// The version that a delivery stream begins with.
const VERSION_FIRST: u64 = 1;

pub(super) async fn run(
    firehose: &Firehose,
    request: &Request<'_>,
    input: CreateDeliveryStreamInput,
) -> Result<CreateDeliveryStreamOutput, Refusal> {
    let tags: BTreeMap<String, String> =
        input.tags.iter().flatten().map(super::tags::pair).collect();
    let name = firehose.resolve_new(request, &input.delivery_stream_name, &tags)?;
    let account = request.caller.account().clone();
    let region = &firehose.settings.region;
    let created = firehose.clock.now();
    let document = destination::created(&input)?;
    let source = source(&input, created)?;
    let encryption = encryption(&input, &source)?;
    let place = Place { account: &account, region };
    let previewed = (&source.clone().numbered(|| 0), VERSION_FIRST);
    configuration::plan(&document, previewed, place, &firehose.settings.world)?;
    let destination = firehose.secrets.seal(document, &owner(&account, &name));
    let arn = arn(region, &account, &name);
    let new = NewDeliveryStream { account, name, created, source, destination, encryption, tags };
    let uid = firehose
        .propose(|registry| {
            let account = registry.account(&new.account);
            let streams = account.map_or(0, |account| account.streams.len());
            if registry.by_name(&new.account, &new.name).is_some() {
                let named = Named { account: new.account.clone(), stream: new.name.clone() };
                return Err(Refusal::Exists(named));
            }
            let limit = firehose.settings.stream_limit;
            if firehose.enforces_quotas() && streams >= limit {
                return Err(Refusal::TooManyStreams(limit));
            }
            let uid = registry.next_uid();
            Ok((Some(Command::Create(Box::new(new))), uid))
        })
        .await?;
    firehose.drive(uid);
    Ok(CreateDeliveryStreamOutput { delivery_stream_arn: Some(arn) })
}

/// Where records are to come from: the type that is said, and the configuration of that type.
fn source(input: &CreateDeliveryStreamInput, created: Timestamp) -> Result<NewSource, Invalid> {
    let kind = match input.delivery_stream_type.unwrap_or(DeliveryStreamType::DirectPut) {
        DeliveryStreamType::DirectPut => SourceKind::DirectPut,
        DeliveryStreamType::KinesisStreamAsSource => SourceKind::Kinesis,
        DeliveryStreamType::MskAsSource if cfg!(feature = "kafka") => SourceKind::Kafka,
        DeliveryStreamType::MskAsSource => return Err(Invalid::Unsupported("MSKAsSource")),
        DeliveryStreamType::DatabaseAsSource => {
            return Err(Invalid::Unsupported("DatabaseAsSource"));
        }
    };
    if input.database_source_configuration.is_some() {
        return Err(Invalid::Unsupported("DatabaseSourceConfiguration"));
    }
    let (hint, kinesis, kafka) = (
        input.direct_put_source_configuration.as_ref(),
        input.kinesis_stream_source_configuration.as_ref(),
        input.msk_source_configuration.as_ref(),
    );
    let unwanted = |configuration, kind| Err(Invalid::SourceUnwanted { configuration, kind });
    if hint.is_some() && kind != SourceKind::DirectPut {
        return unwanted("DirectPutSourceConfiguration", SourceKind::DirectPut);
    }
    if kinesis.is_some() && kind != SourceKind::Kinesis {
        return unwanted("KinesisSourceStreamConfig", SourceKind::Kinesis);
    }
    if kafka.is_some() && kind != SourceKind::Kafka {
        return unwanted("MSKSourceConfiguration", SourceKind::Kafka);
    }
    let missing = |configuration| Invalid::SourceMissing { configuration, kind };
    match kind {
        SourceKind::DirectPut => {
            let throughput_hint_mibps = hint.map(|hint| hint.throughput_hint_in_mbs);
            Ok(NewSource::DirectPut { throughput_hint_mibps })
        }
        SourceKind::Kinesis => {
            let given = kinesis.ok_or(missing("KinesisStreamSourceConfiguration"))?;
            Ok(NewSource::Kinesis(KinesisSource {
                stream_arn: given.kinesis_stream_arn.clone(),
                role_arn: given.role_arn.clone(),
                start: created,
            }))
        }
        SourceKind::Kafka => {
            let given = kafka.ok_or(missing("MSKSourceConfiguration"))?;
            let authentication = &given.authentication_configuration;
            Ok(NewSource::Kafka(KafkaSource {
                cluster_arn: given.msk_cluster_arn.clone(),
                topic: given.topic_name.clone(),
                role_arn: authentication.role_arn.clone(),
                is_public: authentication.connectivity == Connectivity::Public,
                read_from: given.read_from_timestamp,
                start: created,
            }))
        }
    }
}

fn encryption(
    input: &CreateDeliveryStreamInput,
    source: &NewSource,
) -> Result<Option<Encryption>, Refusal> {
    let Some(given) = &input.delivery_stream_encryption_configuration_input else {
        return Ok(None);
    };
    let kind = source.kind();
    if kind != SourceKind::DirectPut {
        return Err(Refusal::NotDirectPut(kind));
    }
    encryption::enabling(Some(given)).map(Some)
}
