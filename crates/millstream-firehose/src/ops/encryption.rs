//! `StartDeliveryStreamEncryption` and `StopDeliveryStreamEncryption`.
//!
//! Any key is taken and shown; the keys that seal records hang on the server's own keyring.
//! Records put before stay as they are (documented: server-side encryption).

use millstream_api::firehose::{
    DeliveryStreamEncryptionConfigurationInput, KeyType as ApiKeyType,
    StartDeliveryStreamEncryptionInput, StartDeliveryStreamEncryptionOutput,
    StopDeliveryStreamEncryptionInput, StopDeliveryStreamEncryptionOutput,
};
use millstream_core::{Timestamp, limits};

use crate::firehose::Firehose;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{
    Command, DeliveryStream, Encryption, EncryptionStatus, KeyType, SourceKind, within_a_day,
};

pub(super) async fn start(
    firehose: &Firehose,
    request: &Request<'_>,
    input: StartDeliveryStreamEncryptionInput,
) -> Result<StartDeliveryStreamEncryptionOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let encryption = enabling(input.delivery_stream_encryption_configuration_input.as_ref())?;
    let (uid, at) = (stream.uid, firehose.clock.now());
    firehose
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
            judge(firehose, stream, "StartDeliveryStreamEncryption", at)?;
            Ok((Some(Command::Encrypt { stream: uid, encryption, at }), ()))
        })
        .await?;
    firehose.drive(uid);
    Ok(StartDeliveryStreamEncryptionOutput {})
}

pub(super) async fn stop(
    firehose: &Firehose,
    request: &Request<'_>,
    input: StopDeliveryStreamEncryptionInput,
) -> Result<StopDeliveryStreamEncryptionOutput, Refusal> {
    let stream = firehose.resolve(request, &input.delivery_stream_name)?;
    let (uid, at) = (stream.uid, firehose.clock.now());
    firehose
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| stream.gone())?;
            judge(firehose, stream, "StopDeliveryStreamEncryption", at)?;
            let key = stream.encryption.key.clone();
            let encryption = Encryption { status: EncryptionStatus::Disabling, key };
            Ok((Some(Command::Encrypt { stream: uid, encryption, at }), ()))
        })
        .await?;
    firehose.drive(uid);
    Ok(StopDeliveryStreamEncryptionOutput {})
}

/// Encryption under the key that is named; the service's own where none is (documented).
pub(super) fn enabling(
    given: Option<&DeliveryStreamEncryptionConfigurationInput>,
) -> Result<Encryption, Refusal> {
    let key_type = given.map_or(ApiKeyType::AwsOwnedCmk, |given| given.key_type);
    let key_arn = given.and_then(|given| given.key_arn.clone());
    let key = match (key_type, key_arn) {
        (ApiKeyType::AwsOwnedCmk, None) => KeyType::AwsOwned,
        (ApiKeyType::CustomerManagedCmk, Some(arn)) => KeyType::CustomerManaged { arn },
        (ApiKeyType::AwsOwnedCmk, Some(_)) => return Err(Refusal::KeyUnwanted),
        (ApiKeyType::CustomerManagedCmk, None) => return Err(Refusal::KeyMissing),
    };
    Ok(Encryption { status: EncryptionStatus::Enabling, key: Some(key) })
}

fn judge(
    firehose: &Firehose,
    stream: &DeliveryStream,
    operation: &'static str,
    at: Timestamp,
) -> Result<(), Refusal> {
    let kind = stream.source.kind();
    if kind != SourceKind::DirectPut {
        return Err(Refusal::NotDirectPut(kind));
    }
    stream.require_active()?;
    let busy = |status| Err(Refusal::EncryptionBusy { stream: stream.named(), status });
    match stream.encryption.status {
        EncryptionStatus::Enabling => return busy("ENABLING"),
        EncryptionStatus::Disabling => return busy("DISABLING"),
        EncryptionStatus::Enabled | EncryptionStatus::Disabled => {}
    }
    let calls = within_a_day(&stream.encryption_calls, at);
    if firehose.enforces_quotas() && calls >= limits::FIREHOSE_ENCRYPTION_CALLS_PER_DAY {
        return Err(Refusal::DailyLimit { operation, stream: stream.named() });
    }
    Ok(())
}
