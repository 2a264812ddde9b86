//! Why a call is refused, with the service's own words.
//!
//! Owns every sentence that a caller can read. One fact is one variant; [`Refusal::kind`] says
//! which modelled error it is, exhaustively, and `ops` turns that into the operation's own error.
//!
//! Source: texts marked (recorded) were recorded against the service by the tests of other
//! implementations or quoted by users; the rest say the same facts in our words.

use millstream_core::{AccountId, HashKeyRange, Region, ShardId, StreamName, Timestamp};

use crate::amazon_time::AmazonTime;
use crate::state::StreamStatus;

/// Which modelled error a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    AccessDenied,
    ExpiredIterator,
    ExpiredNextToken,
    InternalFailure,
    InvalidArgument,
    LimitExceeded,
    ProvisionedThroughputExceeded,
    ResourceInUse,
    ResourceNotFound,
    Validation,
}

impl Kind {
    /// The error's name on the wire.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::InternalFailure => "InternalFailureException",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Validation => "ValidationException",
        }
    }
}

/// Whose stream, by name: what most sentences speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) account: AccountId,
    pub(crate) stream: StreamName,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {} under account {}", self.stream, self.account)
    }
}

const MUST_SPECIFY: &str = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER \
    and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber.";

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    // --- Which resource ---
    #[error("Stream {} under account {} not found.", .0.stream, .0.account)] // (recorded)
    StreamNotFound(Named),
    #[error("Stream {0} not found.")]
    StreamIdNotFound(String),
    #[error("Either StreamName or StreamARN should be provided.")]
    NoStreamNamed,
    #[error("StreamARN and StreamName name different streams.")]
    NamesDiffer,
    #[error("{0} is not an ARN of a stream in region {1}.")]
    NotAStreamArn(String, Region),
    #[error("{0} is not an ARN of a stream or a consumer in region {1}.")]
    NotAResourceArn(String, Region),
    #[error("Could not find shard {shard} in {stream}.")] // (recorded)
    ShardUnknown { shard: String, stream: Named },
    #[error("Shard {shard} in {stream} does not exist")] // (recorded)
    ShardMissing { shard: ShardId, stream: Named },
    #[error("Consumer {consumer}, {stream} not found.")]
    ConsumerNotFound { consumer: String, stream: Named },
    #[error("Either ConsumerARN or both StreamARN and ConsumerName should be provided.")]
    NoConsumerNamed,
    #[error("ConsumerARN and StreamARN or ConsumerName name different consumers.")]
    ConsumerNamesDiffer,

    // --- Its state ---
    #[error("Stream {} under account {} already exists.", .0.stream, .0.account)] // (recorded)
    StreamExists(Named),
    // (recorded)
    #[error("Stream {} under account {} not ACTIVE, instead in state {}", .stream.stream, .stream.account, .status.as_str())]
    StreamNotActive { stream: Named, status: StreamStatus },
    #[error("Stream {} under account {} has enforced consumers: deregister them, or set EnforceConsumerDeletion.", .0.stream, .0.account)]
    StreamHasConsumers(Named),
    #[error("Consumer {consumer} under {stream} already exists.")]
    ConsumerExists { consumer: String, stream: Named },
    // (recorded)
    #[error("Consumer {consumer} with creation timestamp {created_seconds} under stream: {}, account {} is not in ACTIVE status.", .stream.stream, .stream.account)]
    ConsumerNotActive { consumer: String, created_seconds: u64, stream: Named },
    // (recorded)
    #[error("Another active subscription exists for this consumer: {}:{}:{shard}:{consumer}", .stream.account, .stream.stream)]
    SubscriptionActive { consumer: String, shard: ShardId, stream: Named },

    // --- Iterators and tokens ---
    #[error("Invalid ShardIterator.")] // (recorded)
    InvalidIterator,
    // (recorded)
    #[error("Iterator expired. The iterator was created at time {} while right now it is {} which is further in the future than the tolerated delay of {} milliseconds.", AmazonTime(*.created), AmazonTime(*.now), millstream_core::limits::ITERATOR_LIFE_MS)]
    ExpiredIterator { created: Timestamp, now: Timestamp },
    #[error("Invalid NextToken.")]
    InvalidNextToken,
    #[error("NextToken expired. It was created at time {} while right now it is {} which is further in the future than the tolerated delay of {} milliseconds.", AmazonTime(*.created), AmazonTime(*.now), millstream_core::limits::ITERATOR_LIFE_MS)]
    ExpiredNextToken { created: Timestamp, now: Timestamp },
    #[error("Either NextToken or StreamName should be provided.")] // (recorded)
    NoTokenAndNoStream,
    #[error("NextToken and {0} cannot be provided together.")] // (recorded for StreamName)
    TokenAndArgument(&'static str),
    // (recorded)
    #[error("{MUST_SPECIFY} Request specified {kind} and {given} StartingSequenceNumber.")]
    SequenceNumberUnfit { kind: &'static str, given: &'static str },
    #[error("{what} must be provided with ShardFilter type {filter}.")]
    ShardFilterLacks { what: &'static str, filter: &'static str },
    // (recorded)
    #[error(
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter."
    )]
    TimestampMissing,
    // (recorded)
    #[error("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {}, currentTimestampInMillis: {}", .at.ms(), .now.ms())]
    TimestampInTheFuture { at: Timestamp, now: Timestamp },
    // (recorded)
    #[error(
        "StartingSequenceNumber {number} used in {operation} on shard {shard} in {stream} is invalid."
    )]
    SequenceNumberInvalid { number: String, operation: &'static str, shard: ShardId, stream: Named },
    // (recorded)
    #[error(
        "Invalid StartingSequenceNumber. It encodes {encoded}, while it was used in a call to a shard with {shard}"
    )]
    SequenceNumberOfAnotherShard { encoded: ShardId, shard: ShardId },
    // (recorded)
    #[error(
        "StartingSequenceNumber {number} used in {operation} on shard {shard} in {stream} is invalid because it did not come from this stream."
    )]
    SequenceNumberOfAnotherStream {
        number: String,
        operation: &'static str,
        shard: ShardId,
        stream: Named,
    },
    // (recorded)
    #[error("ExclusiveMinimumSequenceNumber {number} used in PutRecord on {stream} is invalid.")]
    SequenceNumberForOrderingInvalid { number: String, stream: Named },

    // --- Records ---
    // (recorded)
    #[error(
        "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {0}"
    )]
    ExplicitHashKeyOutOfRange(String),
    #[error(
        "Record of {bytes} bytes exceeds the maximum record size of {max_kib} KiB of {stream}."
    )]
    RecordTooLarge { bytes: usize, max_kib: u32, stream: Named },
    #[error("Records of {bytes} bytes exceed the maximum of {max} bytes of one request.")]
    RequestTooLarge { bytes: usize, max: usize },
    #[error("Rate exceeded for {what} under account {account}.")] // (recorded, of streams)
    CallRateExceeded { what: String, account: AccountId },
    #[error("Rate exceeded for shard {shard} in {stream}.")] // (recorded)
    RateExceeded { shard: ShardId, stream: Named },

    // --- Shards ---
    // (recorded)
    #[error("NewStartingHashKey {start} used in SplitShard() on shard {shard} in {stream} is not both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.", .range.start, .range.end)]
    SplitOutOfRange { start: String, shard: ShardId, stream: Named, range: HashKeyRange },
    // (recorded)
    #[error(
        "Shards {shard} and {adjacent} in {stream} are not an adjacent pair of shards eligible for merging"
    )]
    NotAdjacent { shard: ShardId, adjacent: ShardId, stream: Named },
    #[error("Shard {shard} in {stream} is closed.")]
    ShardClosed { shard: ShardId, stream: Named },
    // (recorded)
    #[error(
        "This request would exceed the shard limit for the account {account} in {region}. Current shard count for the account: {current}. Limit: {limit}. Number of additional shards that would have resulted from this request: {additional}. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits."
    )]
    ShardLimit { account: AccountId, region: Region, current: u64, limit: u32, additional: u64 },
    #[error("A stream has at most {max} shards: {count} were asked for.")]
    TooManyShards { count: u64, max: u32 },
    #[error(
        "UpdateShardCount cannot scale {stream} from {current} to {target} shards: the target must be between half and double the current count."
    )]
    ScaleOutOfRange { stream: Named, current: usize, target: u32 },
    #[error(
        "{operation} was called {max} times for {stream} in a rolling 24 hour period, which is the limit."
    )]
    DailyLimit { operation: &'static str, max: usize, stream: Named },
    #[error("{operation} is not possible on {stream}: its mode is ON_DEMAND.")]
    OnDemand { operation: &'static str, stream: Named },
    #[error("{operation} is not possible on {stream}: its mode is PROVISIONED.")]
    Provisioned { operation: &'static str, stream: Named },
    #[error("ShardCount cannot be given for a stream in ON_DEMAND mode.")]
    ShardCountOnDemand,
    #[error("{what}: the account has {limit}, which is the limit.")]
    AccountLimit { what: &'static str, limit: usize },

    // --- Settings ---
    // (recorded)
    #[error(
        "Minimum allowed retention period is 24 hours. Requested retention period ({0} hours) is too short."
    )]
    RetentionTooShort(i32),
    // (recorded, when the maximum was 168 hours)
    #[error(
        "Maximum allowed retention period is 8760 hours. Requested retention period ({0} hours) is too long."
    )]
    RetentionTooLong(i32),
    // (recorded)
    #[error(
        "Requested retention period ({requested} hours) for stream {stream} can not be shorter than existing retention period ({existing} hours). Use DecreaseRetentionPeriod API."
    )]
    RetentionShorter { requested: i32, stream: StreamName, existing: u32 },
    // (recorded)
    #[error(
        "Requested retention period ({requested} hours) for stream {stream} can not be longer than existing retention period ({existing} hours). Use IncreaseRetentionPeriod API."
    )]
    RetentionLonger { requested: i32, stream: StreamName, existing: u32 },
    // (recorded)
    #[error(
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @."
    )]
    TagCharacters,
    // (recorded)
    #[error("Failed to {verb} stream {} under account {} because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.", .stream.stream, .stream.account)]
    TagPercent { verb: &'static str, stream: Named },
    // (recorded, with the limit of 50 in the place of an older one)
    #[error("Failed to add tags to stream {} under account {} because a given stream cannot have more than {} tags associated with it.", .0.stream, .0.account, millstream_core::limits::TAGS_MAX)]
    TooManyTags(Named),
    #[error("The resource policy does not read: {0}")]
    PolicyInvalid(String),
    #[error("There is no resource policy on {0}.")]
    NoPolicy(String),
    #[error("KeyId {0} is not a key id, a key ARN, an alias or an alias ARN.")]
    KeyIdInvalid(String),
    #[error("EncryptionType must be KMS.")]
    EncryptionTypeInvalid,
    #[error("Warm throughput of {0} MiB/s is out of range: at most {1} MiB/s.")]
    WarmThroughputTooHigh(i32, u32),
    #[error("WarmThroughputMiBps can be given for streams in ON_DEMAND mode only.")]
    WarmThroughputProvisioned,
    #[error("The throughput commitment runs until {0} and cannot be disabled before.")]
    CommitmentRuns(AmazonTime),
    #[error("Consumer limit exceeded: {stream} has {limit} consumers.")]
    TooManyConsumers { stream: Named, limit: usize },

    // --- Permission and trouble ---
    /// With the sentence of whoever decided.
    #[error("{0}")]
    AccessDenied(String),
    #[error("Internal service failure.")]
    Internal,
    #[error("The server is overloaded: try again.")]
    Overloaded { shard: Option<ShardId> },
    #[error("The server has no space left.")]
    NoSpace,
}

impl Refusal {
    /// Which modelled error this is.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::StreamNotFound(_)
            | Self::StreamIdNotFound(_)
            | Self::ShardUnknown { .. }
            | Self::ShardMissing { .. }
            | Self::NoPolicy(_)
            | Self::ConsumerNotFound { .. } => Kind::ResourceNotFound,
            Self::StreamExists(_)
            | Self::StreamNotActive { .. }
            | Self::StreamHasConsumers(_)
            | Self::ConsumerExists { .. }
            | Self::ConsumerNotActive { .. }
            | Self::SubscriptionActive { .. } => Kind::ResourceInUse,
            Self::NoStreamNamed
            | Self::NamesDiffer
            | Self::NotAStreamArn(..)
            | Self::NotAResourceArn(..)
            | Self::NoConsumerNamed
            | Self::ConsumerNamesDiffer
            | Self::InvalidIterator
            | Self::InvalidNextToken
            | Self::NoTokenAndNoStream
            | Self::TokenAndArgument(_)
            | Self::SequenceNumberUnfit { .. }
            | Self::TimestampMissing
            | Self::ShardFilterLacks { .. }
            | Self::TimestampInTheFuture { .. }
            | Self::SequenceNumberInvalid { .. }
            | Self::SequenceNumberOfAnotherShard { .. }
            | Self::SequenceNumberOfAnotherStream { .. }
            | Self::SequenceNumberForOrderingInvalid { .. }
            | Self::ExplicitHashKeyOutOfRange(_)
            | Self::RecordTooLarge { .. }
            | Self::RequestTooLarge { .. }
            | Self::SplitOutOfRange { .. }
            | Self::NotAdjacent { .. }
            | Self::ShardClosed { .. }
            | Self::ScaleOutOfRange { .. }
            | Self::RetentionTooShort(_)
            | Self::RetentionTooLong(_)
            | Self::RetentionShorter { .. }
            | Self::RetentionLonger { .. }
            | Self::TagCharacters
            | Self::TagPercent { .. }
            | Self::TooManyTags(_)
            | Self::PolicyInvalid(_)
            | Self::KeyIdInvalid(_)
            | Self::EncryptionTypeInvalid
            | Self::WarmThroughputTooHigh(..)
            | Self::CommitmentRuns(_) => Kind::InvalidArgument,
            Self::ShardCountOnDemand
            | Self::WarmThroughputProvisioned
            | Self::OnDemand { .. }
            | Self::Provisioned { .. } => Kind::Validation,
            Self::ShardLimit { .. }
            | Self::TooManyShards { .. }
            | Self::DailyLimit { .. }
            | Self::CallRateExceeded { .. }
            | Self::AccountLimit { .. }
            | Self::TooManyConsumers { .. } => Kind::LimitExceeded,
            Self::ExpiredIterator { .. } => Kind::ExpiredIterator,
            Self::ExpiredNextToken { .. } => Kind::ExpiredNextToken,
            Self::RateExceeded { .. } | Self::Overloaded { .. } => {
                Kind::ProvisionedThroughputExceeded
            }
            Self::AccessDenied(_) => Kind::AccessDenied,
            Self::Internal | Self::NoSpace => Kind::InternalFailure,
        }
    }
}
