//! Amazon resource names, and the two that Data Streams hands out.
//!
//! Source: Service Authorization Reference, Amazon Kinesis Data Streams (documented).

use std::fmt;
use std::str::FromStr;

use crate::{AccountId, Region, StreamName, Timestamp};

/// Why a text is not the ARN asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ARN of the form {expected}")]
pub struct ArnError {
    /// The form that was expected.
    pub expected: &'static str,
}

/// An ARN taken apart: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, or another partition starting with `aws`.
    pub partition: &'a str,
    /// The service, such as `kinesis`.
    pub service: &'a str,
    /// The region; empty for global services.
    pub region: &'a str,
    /// The account; empty for some services.
    pub account: &'a str,
    /// All that follows the fifth colon.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Takes `text` apart without judging the parts.
    pub fn parse(text: &'a str) -> Result<Self, ArnError> {
        let error = ArnError { expected: "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE" };
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(|| error.clone());
        if next()? != "arn" {
            return Err(error);
        }
        Ok(Self {
            partition: next()?,
            service: next()?,
            region: next()?,
            account: next()?,
            resource: next()?,
        })
    }
}

const STREAM_FORM: &str = "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME";
const CONSUMER_FORM: &str =
    "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME/consumer/CONSUMER:CREATION-SECONDS";

/// The ARN of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamArn {
    /// Where.
    pub region: Region,
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub name: StreamName,
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:aws:kinesis:{}:{}:stream/{}", self.region, self.account, self.name)
    }
}

impl FromStr for StreamArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = || ArnError { expected: STREAM_FORM };
        let arn = Arn::parse(text).map_err(|_| error())?;
        let name = arn.resource.strip_prefix("stream/").ok_or_else(error)?;
        if arn.service != "kinesis" || !arn.partition.starts_with("aws") {
            return Err(error());
        }
        Ok(Self {
            region: arn.region.parse().map_err(|_| error())?,
            account: arn.account.parse().map_err(|_| error())?,
            name: name.parse().map_err(|_| error())?,
        })
    }
}

/// The ARN of a consumer of a stream, which names the second it was registered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerArn {
    /// The stream consumed.
    pub stream: StreamArn,
    /// The consumer's name.
    pub consumer: StreamName,
    /// When it was registered, to the second.
    pub created: Timestamp,
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/consumer/{}:{}", self.stream, self.consumer, self.created.seconds())
    }
}

impl FromStr for ConsumerArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = || ArnError { expected: CONSUMER_FORM };
        let (stream, consumer) = text.split_once("/consumer/").ok_or_else(error)?;
        let (consumer, seconds) = consumer.rsplit_once(':').ok_or_else(error)?;
        Ok(Self {
            stream: stream.parse().map_err(|_| error())?,
            consumer: consumer.parse().map_err(|_| error())?,
            created: Timestamp::from_seconds(seconds.parse().map_err(|_| error())?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_print_what_they_parse() {
        let stream = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        assert_eq!(stream.parse::<StreamArn>().unwrap().to_string(), stream);
        let consumer = format!("{stream}/consumer/billing:1577836800");
        assert_eq!(consumer.parse::<ConsumerArn>().unwrap().to_string(), consumer);
        assert!(consumer.parse::<StreamArn>().is_err());
        assert!("arn:aws:firehose:us-east-1:000000000000:stream/a".parse::<StreamArn>().is_err());
        assert!("arn:aws:kinesis:us-east-1:1:stream/a".parse::<StreamArn>().is_err());
    }
}
