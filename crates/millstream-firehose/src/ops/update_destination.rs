//! `UpdateDestination`.

use millstream_api::firehose::{UpdateDestinationInput, UpdateDestinationOutput};

use super::describe_delivery_stream::DESTINATION_ID;
use super::destination;
use crate::configuration::{self, Place};
use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, DeliveryStream};

pub(super) async fn run(
    firehose: &Firehose,
    request: &Request<'_>,
    input: UpdateDestinationInput,
) -> Result<UpdateDestinationOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    stream.require_active()?;
    check_version(&stream, &input)?;
    if input.destination_id != DESTINATION_ID {
        return Err(Refusal::DestinationNotFound(input.destination_id));
    }
    let (kind, update) = destination::update(&input)?;
    let current = firehose.open_destination(&stream)?;
    let document = configuration::updated(&current, kind, update)?;
    destination::check_shape(&document)?;
    let place = Place { account: &stream.account, region: &firehose.settings.region };
    let next = (&stream.source, stream.version + 1);
    configuration::plan(&document, next, place, &firehose.settings.world)?;
    let destination = firehose.secrets.seal(document, &stream.owner());
    let (uid, at) = (stream.uid, firehose.clock.now());
    firehose
        .propose(|registry| {
            // The version is the one that was merged onto: nobody came between.
            let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
            stream.require_active()?;
            check_version(stream, &input)?;
            Ok((Some(Command::Update { stream: uid, destination, at }), ()))
        })
        .await?;
    Ok(UpdateDestinationOutput {})
}

fn check_version(stream: &DeliveryStream, input: &UpdateDestinationInput) -> Result<(), Refusal> {
    let given = &input.current_delivery_stream_version_id;
    if given.parse() == Ok(stream.version) {
        return Ok(());
    }
    Err(Refusal::VersionDiffers {
        stream: stream.name.clone(),
        current: stream.version,
        given: given.clone(),
    })
}
