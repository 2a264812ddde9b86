//! `StartStreamEncryption` and `StopStreamEncryption`.
//!
//! Any well-formed key id is taken and shown; the keys that seal records hang on the server's
//! own keyring. Records put before stay as they are (documented: server-side encryption).

use millstream_api::kinesis::{
    EncryptionType, StartStreamEncryptionInput, StopStreamEncryptionInput,
};
use millstream_core::{Arn, limits};

use super::convert;
use crate::refusal::Refusal;
use crate::resolve::Request;
use crate::state::{Command, Encryption, StreamChange, within_a_day};
use crate::streams::Streams;

pub(super) async fn start(
    streams: &Streams,
    request: &Request<'_>,
    input: StartStreamEncryptionInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    check(input.encryption_type, &input.key_id)?;
    let (uid, at) = (stream.uid, streams.clock.now());
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let max = limits::START_ENCRYPTION_PER_DAY;
            let starts = within_a_day(&stream.encryption_starts, at);
            if streams.enforces_quotas() && starts >= max {
                let (operation, stream) = ("StartStreamEncryption", stream.named());
                return Err(Refusal::DailyLimit { operation, max, stream });
            }
            let encryption = Some(Encryption { key_id: input.key_id });
            let change = StreamChange::Encryption { encryption, at };
            Ok((Some(Command::UpdateStream { stream: uid, change, updating: true }), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}

pub(super) async fn stop(
    streams: &Streams,
    request: &Request<'_>,
    input: StopStreamEncryptionInput,
) -> Result<(), Refusal> {
    let target = convert::target(
        input.stream_name.as_ref(),
        input.stream_arn.as_ref(),
        input.stream_id.as_ref(),
    );
    let stream = streams.resolve(request, target)?;
    check(input.encryption_type, &input.key_id)?;
    let (uid, at) = (stream.uid, streams.clock.now());
    streams
        .propose(|registry| {
            let stream = registry.by_uid(uid).ok_or_else(|| streams.gone(&stream))?;
            stream.require_active()?;
            let max = limits::STOP_ENCRYPTION_PER_DAY;
            if streams.enforces_quotas() && within_a_day(&stream.encryption_stops, at) >= max {
                let (operation, stream) = ("StopStreamEncryption", stream.named());
                return Err(Refusal::DailyLimit { operation, max, stream });
            }
            let is_change = stream.encryption.is_some();
            let change = StreamChange::Encryption { encryption: None, at };
            let command = Command::UpdateStream { stream: uid, change, updating: true };
            Ok((is_change.then_some(command), ()))
        })
        .await?;
    streams.drive(uid);
    Ok(())
}

fn check(kind: EncryptionType, key_id: &str) -> Result<(), Refusal> {
    match kind {
        EncryptionType::Kms if is_key_id(key_id) => Ok(()),
        EncryptionType::Kms => Err(Refusal::KeyIdInvalid(key_id.to_owned())),
        EncryptionType::None => Err(Refusal::EncryptionTypeInvalid),
    }
}

/// A key id (a UUID or a multi-region key's), an alias, or the ARN of either.
fn is_key_id(text: &str) -> bool {
    if let Ok(arn) = Arn::parse(text) {
        let resource = arn.resource;
        let is_key = resource.strip_prefix("key/").is_some_and(is_bare_key_id);
        return arn.service == "kms" && (is_key || is_alias(resource));
    }
    is_alias(text) || is_bare_key_id(text)
}

fn is_alias(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    text.strip_prefix("alias/").is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

fn is_bare_key_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.len() >= 32 && text.len() <= 64 && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_in_the_four_forms_of_the_service() {
        for text in [
            "alias/aws/kinesis",
            "1234abcd-12ab-34cd-56ef-123456789012",
            "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-123456789012",
            "arn:aws:kms:us-east-1:123456789012:alias/mine",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
        ] {
            assert!(is_key_id(text), "{text}");
        }
        for text in ["", "alias/", "mine", "arn:aws:s3:::bucket", "alias/a b"] {
            assert!(!is_key_id(text), "{text}");
        }
    }
}
