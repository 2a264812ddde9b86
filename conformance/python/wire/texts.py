"""What the real service says when it refuses: recorded texts, as a table.

Each row: an operation, an input, the error's code, and its text (a string, a pattern, or several
strings of which one must be met, where what was recorded differs between years).
"""

import re

from harness import RING, Suite, equal, eventually, fresh_name
from .protocol import CBOR, JSON, Millis, call, must

NOT_FOUND, INVALID = "ResourceNotFoundException", "InvalidArgumentException"
LISTED = "Member must satisfy"
POSITIONS = ("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "
             "(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. ")
FUTURE = 4_102_444_800_000
THIRD = RING // 3


def number(hexadecimal):
    """A sequence number by its digits."""
    return str(int(hexadecimal, 16))


def put(**options):
    """An input of PutRecord."""
    return {"PartitionKey": "a", "Data": b"", **options}


def iterator(kind, **options):
    """An input of GetShardIterator."""
    return {"StreamName": "{stream}", "ShardId": "shardId-0", "ShardIteratorType": kind, **options}


# Each operation on a stream, with the least that it takes beside the stream.
ON_STREAMS = (
    ("DescribeStream", {}),
    ("DescribeStreamSummary", {}),
    ("DeleteStream", {}),
    ("ListShards", {}),
    ("PutRecord", put()),
    ("PutRecords", {"Records": [put()]}),
    ("ListTagsForStream", {}),
    ("AddTagsToStream", {"Tags": {"a": "b"}}),
    ("RemoveTagsFromStream", {"TagKeys": ["a"]}),
    ("IncreaseStreamRetentionPeriod", {"RetentionPeriodHours": 25}),
    ("DecreaseStreamRetentionPeriod", {"RetentionPeriodHours": 25}),
    ("SplitShard", {"ShardToSplit": "shardId-0", "NewStartingHashKey": "5"}),
    ("MergeShards", {"ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-1"}),
    ("UpdateShardCount", {"TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
    ("EnableEnhancedMonitoring", {"ShardLevelMetrics": ["ALL"]}),
    ("DisableEnhancedMonitoring", {"ShardLevelMetrics": ["ALL"]}),
    ("StartStreamEncryption", {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
    ("StopStreamEncryption", {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
    ("UpdateMaxRecordSize", {"MaxRecordSizeInKiB": 2048}),
    ("UpdateStreamWarmThroughput", {"WarmThroughputMiBps": 8}),
    ("UpdateStreamMode", {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
    ("RegisterStreamConsumer", {"ConsumerName": "app"}),
    ("ListStreamConsumers", {}),
)
# Those whose input has no name.
BY_ARN_ONLY = ("UpdateMaxRecordSize", "UpdateStreamMode", "RegisterStreamConsumer", "ListStreamConsumers")
# By name, by ARN, by both; the id is reserved, so it is taken and says nothing beside the others.
NAMES = (
    {"StreamName": "{missing}"},
    {"StreamARN": "arn:aws:kinesis:us-east-1:{account}:stream/{missing}"},
    {"StreamName": "{missing}", "StreamARN": "arn:aws:kinesis:us-east-1:{account}:stream/{missing}"},
    {"StreamARN": "arn:aws:kinesis:us-east-1:{account}:stream/{missing}", "StreamId": "abcdefghij0123456789-abc"},
)


ROWS = [
    # A stream that is not there.
    *[
        (operation, {**named, **rest}, NOT_FOUND, "Stream {missing} under account {account} not found.")
        for operation, rest in ON_STREAMS
        for named in NAMES
        if not ("StreamName" in named and operation in BY_ARN_ONLY)
    ],
    # A shard that is not there, named in each looser form.
    *[
        ("GetShardIterator", {"StreamName": "{stream}", "ShardId": shard, "ShardIteratorType": "LATEST"}, NOT_FOUND,
         "Shard shardId-002147483647 in stream {stream} under account {account} does not exist")
        for shard in ("2147483647", "other-2147483647", "a-00002147483647", "-00002147483647")
    ],
    *[
        ("GetShardIterator", {"StreamName": "{stream}", "ShardId": shard, "ShardIteratorType": "LATEST"}, NOT_FOUND,
         f"Could not find shard {shard} in stream {{stream}} under account {{account}}.")
        for shard in ("2147483648", "shardId-002147483648", "ABKLFD8", "2.14E4")
    ],
    *[
        ("SplitShard", {"StreamName": "{stream}", "ShardToSplit": shard, "NewStartingHashKey": "0"}, NOT_FOUND,
         f"Could not find shard {told} in stream {{stream}} under account {{account}}.")
        for shard, told in (("2147483648", "2147483648"), ("ABKLFD8", "ABKLFD8"), ("shardId-5", "shardId-000000000005"))
    ],
    *[
        ("MergeShards", {"StreamName": "{stream}", "ShardToMerge": one, "AdjacentShardToMerge": two}, NOT_FOUND,
         f"Could not find shard {told} in stream {{stream}} under account {{account}}.")
        for one, two, told in (
            ("2147483648", "shardId-0", "2147483648"),
            ("shardId-0", "ABKLFD8", "ABKLFD8"),
            ("shardId-5", "shardId-0", "shardId-000000000005"),
            ("shardId-0", "shardId-5", "shardId-000000000005"),
        )
    ],
    # Positions that do not fit together.
    *[
        ("GetShardIterator", iterator(kind), INVALID,
         f"{POSITIONS}Request specified {kind} and no StartingSequenceNumber.")
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")
    ],
    *[
        ("GetShardIterator", iterator(kind, StartingSequenceNumber="5"), INVALID,
         f"{POSITIONS}Request specified {kind} and also a StartingSequenceNumber.")
        for kind in ("LATEST", "TRIM_HORIZON")
    ],
    ("GetShardIterator", iterator("AT_TIMESTAMP"), INVALID,
     "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp "
     "parameter."),
    ("GetShardIterator", iterator("AT_TIMESTAMP", Timestamp=Millis(FUTURE)), INVALID,
     re.compile("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                rf"timestampInMillis: {FUTURE}, currentTimestampInMillis: \d+")),
    ("GetShardIterator", iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber="5"), INVALID,
     "Invalid StartingSequenceNumber. It encodes shardId-000000000005, while it was used in a call to a shard with "
     "shardId-000000000000"),
    *[
        ("GetShardIterator", iterator("AT_SEQUENCE_NUMBER", StartingSequenceNumber=bad), INVALID,
         f"StartingSequenceNumber {bad} used in GetShardIterator on shard shardId-000000000000 in stream {{stream}} "
         "under account {account} is invalid.")
        for bad in (
            number("13bb2cc3d80000000000000000000000"),
            number("20000000000800000000000000000000000000000000002"),
        )
    ],
    # Sequence numbers for ordering that nobody issued.
    *[
        ("PutRecord", put(StreamName="{stream}", SequenceNumberForOrdering=bad), INVALID,
         f"ExclusiveMinimumSequenceNumber {bad} used in PutRecord on stream {{stream}} under account {{account}} is "
         "invalid.")
        for bad in (
            number("20000000000000000000000000000000000000000000000"),
            number("20000000000000000000000000000000000000000000004"),
            number("20000000000000000000000000000000000000000000003"),
            number("30000000000000000000000000000000000000000000001"),
            number("1ffffffffff7fffffffffffffff000000000007fffffff2"),
            number("20000000000800000000000000000000000000000000002"),
            number("20000000000000000000000000000000000000800000002"),
            number("13bb2cc3d80000000000000000000000"),
        )
    ],
    ("PutRecord", put(StreamName="{stream}", ExplicitHashKey=str(RING)), INVALID,
     f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {RING}"),
    ("PutRecords", {"StreamName": "{stream}", "Records": [put(ExplicitHashKey=str(RING))]}, INVALID,
     f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {RING}"),
    # Splits and merges that cannot be.
    *[
        ("SplitShard", {"StreamName": "{stream}", "ShardToSplit": f"shardId-{shard}", "NewStartingHashKey": str(key)},
         INVALID,
         f"NewStartingHashKey {key} used in SplitShard() on shard shardId-00000000000{shard} in stream {{stream}} "
         "under account {account} is not both greater than one plus the shard's StartingHashKey "
         f"{start} and less than the shard's EndingHashKey {end}.")
        for shard, key, start, end in (
            (0, 0, 0, THIRD - 1),
            (0, 1, 0, THIRD - 1),
            (0, THIRD - 1, 0, THIRD - 1),
            (2, 2 * THIRD, 2 * THIRD, RING - 1),
            (2, RING - 1, 2 * THIRD, RING - 1),
        )
    ],
    ("MergeShards", {"StreamName": "{stream}", "ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-2"},
     INVALID,
     "Shards shardId-000000000000 and shardId-000000000002 in stream {stream} under account {account} are not an "
     "adjacent pair of shards eligible for merging"),
    ("MergeShards", {"StreamName": "{stream}", "ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-0"},
     INVALID,
     "Shards shardId-000000000000 and shardId-000000000000 in stream {stream} under account {account} are not an "
     "adjacent pair of shards eligible for merging"),
    # Retention.
    *[
        (f"{way}StreamRetentionPeriod", {"StreamName": "{stream}", "RetentionPeriodHours": 23}, INVALID,
         "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.")
        for way in ("Increase", "Decrease")
    ],
    ("IncreaseStreamRetentionPeriod", {"StreamName": "{stream}", "RetentionPeriodHours": 8761}, INVALID,
     "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long."),
    ("DecreaseStreamRetentionPeriod", {"StreamName": "{stream}", "RetentionPeriodHours": 25}, INVALID,
     "Requested retention period (25 hours) for stream {stream} can not be longer than existing retention period "
     "(24 hours). Use IncreaseRetentionPeriod API."),
    # Listing.
    ("ListShards", {"StreamName": "{stream}", "NextToken": "x"}, INVALID,
     "NextToken and StreamName cannot be provided together."),
    ("ListShards", {}, INVALID, "Either NextToken or StreamName should be provided."),
    # Tags.
    *[
        ("AddTagsToStream", {"StreamName": "{stream}", "Tags": {key: value}}, INVALID,
         "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, "
         "_ . / = + - % @.")
        for key, value in (("abc;def", "1"), ("abc\tdef", "1"), ("abc\ndef", "1"), ("abc,def", "1"), ("a", "abc;def"))
    ],
    *[
        ("RemoveTagsFromStream", {"StreamName": "{stream}", "TagKeys": [key]}, INVALID,
         "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, "
         "_ . / = + - % @.")
        for key in ("abc;def", "abc\tdef", "abc,def")
    ],
    # Iterators.
    ("GetRecords", {"ShardIterator": "nonsense"}, INVALID, "Invalid ShardIterator."),
    ("GetRecords", {"ShardIterator": "AAAAAAAAAAE="}, INVALID, "Invalid ShardIterator."),
    # A name that is taken.
    ("CreateStream", {"StreamName": "{stream}", "ShardCount": 1}, "ResourceInUseException",
     "Stream {stream} under account {account} already exists."),
]

_world = {}


def world():
    """The stream that the rows speak of; made once."""
    if not _world:
        name = fresh_name("texts")
        must("CreateStream", {"StreamName": name, "ShardCount": 3})
        summary = lambda: must("DescribeStreamSummary", {"StreamName": name})["StreamDescriptionSummary"]  # noqa: E731
        eventually(lambda: summary()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")
        _world.update(stream=name, missing=fresh_name("missing"), account=summary()["StreamARN"].split(":")[4])
    return _world


def fill(value, names):
    """A row's value with its placeholders replaced."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    return value


def _case(operation, data, code, text, encoding):
    def prove():
        names = world()
        answer = call(operation, fill(data, names), encoding)
        equal((answer.status, answer.code), (400, code), f"answer {answer!r}")
        if isinstance(text, re.Pattern):
            assert text.fullmatch(answer.message), answer.message
        else:
            equal(answer.message, fill(text, names), "text")
        equal(set(answer.body), {"__type", "message"}, "members of the error")

    return prove


def _nothing_was_applied():
    name = world()["stream"]
    shards = must("ListShards", {"StreamName": name})["Shards"]
    equal(len(shards), 3, "shards")
    equal(must("ListTagsForStream", {"StreamName": name})["Tags"], [], "tags")
    for shard in shards:
        start = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        records = must("GetRecords", {"ShardIterator": must("GetShardIterator", start)["ShardIterator"]})["Records"]
        equal(records, [], "records")
    must("DeleteStream", {"StreamName": name})


def suites():
    """One suite an encoding, and at the end a look at what was left untouched."""
    found = []
    for encoding in (JSON, CBOR):
        suite = Suite("raw wire", encoding)
        for operation, data, code, text in ROWS:
            shown = text.pattern if isinstance(text, re.Pattern) else text
            suite.add([operation], f"{operation}: {shown}", _case(operation, data, code, text, encoding))
        found.append(suite)
    found[-1].add(["ListShards", "GetRecords"], "what was refused has changed nothing", _nothing_was_applied)
    return found
