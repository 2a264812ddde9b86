//! `DeleteDeliveryStream`.
//!
//! Records that are not delivered yet go with it (documented). `AllowForceDelete` is for keys
//! whose grant cannot be retired; there are no grants here.

use millstream_api::firehose::{DeleteDeliveryStreamInput, DeleteDeliveryStreamOutput};

use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, Status};

pub(super) async fn run(
    firehose: &Firehose,
    request: &Request<'_>,
    input: DeleteDeliveryStreamInput,
) -> Result<DeleteDeliveryStreamOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let uid = stream.uid;
    firehose
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
            match stream.status {
                Status::Creating => Err(Refusal::NotActive {
                    stream: stream.named(),
                    status: stream.status.as_str(),
                }),
                Status::Active | Status::CreatingFailed(_) => {
                    Ok((Some(Command::Delete { stream: uid }), ()))
                }
                // Asked for a second time, there is nothing left to do.
                Status::Deleting => Ok((None, ())),
            }
        })
        .await?;
    firehose.drive(uid);
    Ok(DeleteDeliveryStreamOutput {})
}
