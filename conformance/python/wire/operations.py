"""All operations, once each way: every answer fits the model, in JSON and in CBOR.

One story for each encoding: each step is a case, and later steps need earlier ones.
"""

import base64
import time

from harness import RING, Suite, equal, eventually, fresh_name
from . import model
from .protocol import CBOR, JSON, Millis, call

POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},' \
         '"Action":"kinesis:PutRecord","Resource":"%s"}]}'


class Story:
    """A stream and a consumer, told in one encoding."""

    def __init__(self, encoding):
        self.encoding = encoding
        self.name = fresh_name("story")
        self.by_name = {"StreamName": self.name}
        self.arn = self.consumer = self.iterator = self.sequence_number = None

    def must(self, operation, data):
        """A call that succeeds with an answer that fits the model."""
        answer = call(operation, data, self.encoding)
        equal(answer.status, 200, f"{operation}: {answer!r}")
        shape = model.output_of(operation)
        if shape is None or not shape.members:
            assert answer.raw in (b"", b"{}", b"\xa0", b"\xbf\xff"), answer
            return {}
        model.check(shape, answer.body, self.encoding, operation)
        return answer.body

    def summary(self):
        return self.must("DescribeStreamSummary", self.by_name)["StreamDescriptionSummary"]

    def active(self):
        eventually(lambda: self.summary()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")

    def data(self, record):
        return base64.b64decode(record["Data"]) if self.encoding == JSON else record["Data"]


def create(story):
    """CreateStream and the descriptions"""
    story.must("CreateStream", {**story.by_name, "ShardCount": 2, "Tags": {"a": "1"}})
    story.active()
    summary = story.summary()
    story.arn = summary["StreamARN"]
    equal(summary["OpenShardCount"], 2, "open shards")
    described = story.must("DescribeStream", story.by_name)["StreamDescription"]
    equal(described["StreamARN"], story.arn, "ARN")
    listed = story.must("ListStreams", {"Limit": 10000})
    assert story.name in listed["StreamNames"], listed["StreamNames"]
    equal(len(story.must("ListShards", story.by_name)["Shards"]), 2, "shards")


def put(story):
    """PutRecord and PutRecords"""
    first = story.must("PutRecord", {**story.by_name, "Data": b"\x00\xff", "PartitionKey": "k", "ExplicitHashKey": "0"})
    equal(first["ShardId"], "shardId-000000000000", "shard")
    story.sequence_number = first["SequenceNumber"]
    entries = [{"Data": bytes([i]), "PartitionKey": "k", "ExplicitHashKey": "0"} for i in range(3)]
    batch = story.must("PutRecords", {"StreamARN": story.arn, "Records": entries})
    equal((batch["FailedRecordCount"], len(batch["Records"])), (0, 3), "batch")
    equal(set(batch["Records"][0]), {"SequenceNumber", "ShardId"}, "members of an entry that was taken")


def get(story):
    """GetShardIterator and GetRecords"""
    start = {**story.by_name, "ShardId": "shardId-000000000000"}
    positions = (
        ({"ShardIteratorType": "TRIM_HORIZON"}, 4),
        ({"ShardIteratorType": "LATEST"}, 0),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": story.sequence_number}, 4),
        ({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": story.sequence_number}, 3),
        ({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": Millis(time.time() * 1000 - 3_600_000)}, 4),
    )
    for position, count in positions:
        iterator = story.must("GetShardIterator", {**start, **position})["ShardIterator"]
        answer = story.must("GetRecords", {"ShardIterator": iterator})
        equal(len(answer["Records"]), count, f"records from {position}")
        if count == 4:
            equal([story.data(r) for r in answer["Records"]], [b"\x00\xff", b"\0", b"\1", b"\2"], "data")
        assert "NextShardIterator" in answer and not answer.get("ChildShards"), answer
    quoted = story.must("GetRecords", {"ShardIterator": f'"{iterator}"'})
    equal(len(quoted["Records"]), 4, "records from an iterator in quotes")


def timestamps(story):
    """a record's moment is where AT_TIMESTAMP finds it, to the millisecond"""
    start = {**story.by_name, "ShardId": "shardId-000000000000"}
    iterator = story.must("GetShardIterator", {**start, "ShardIteratorType": "TRIM_HORIZON"})["ShardIterator"]
    moment = story.must("GetRecords", {"ShardIterator": iterator, "Limit": 1})["Records"][0]["ApproximateArrivalTimestamp"]
    millis = round(moment * 1000) if story.encoding == JSON else moment.value
    for shift, wanted in ((0, story.sequence_number), (-1, story.sequence_number)):
        position = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": Millis(millis + shift)}
        iterator = story.must("GetShardIterator", {**start, **position})["ShardIterator"]
        found = story.must("GetRecords", {"ShardIterator": iterator})["Records"]
        equal(found[0]["SequenceNumber"], wanted, f"first record at {shift} ms")
    numbers = int(story.sequence_number)
    digits = f"{numbers:x}"
    equal((len(digits), digits[0], digits[-1]), (47, "2", "2"), "form of a sequence number")
    seconds = int(digits[29:38], 16)
    assert abs(seconds - millis // 1000) <= 3, (seconds, millis)
    equal(int(digits[38:46], 16), 0, "shard index in the number")


def consumers(story):
    """the four operations on consumers"""
    made = story.must("RegisterStreamConsumer", {"StreamARN": story.arn, "ConsumerName": "app"})["Consumer"]
    story.consumer = made["ConsumerARN"]
    by_arn = {"ConsumerARN": story.consumer}
    status = lambda: story.must("DescribeStreamConsumer", by_arn)["ConsumerDescription"]["ConsumerStatus"]  # noqa: E731
    eventually(lambda: status() == "ACTIVE", "the consumer is ACTIVE")
    listed = story.must("ListStreamConsumers", {"StreamARN": story.arn})["Consumers"]
    equal([c["ConsumerName"] for c in listed], ["app"], "consumers")
    story.must("DeregisterStreamConsumer", by_arn)


def reshard(story):
    """SplitShard, MergeShards, UpdateShardCount and every ShardFilter"""
    story.must("SplitShard", {**story.by_name, "ShardToSplit": "shardId-0", "NewStartingHashKey": str(RING // 4)})
    story.active()
    story.must("MergeShards", {**story.by_name, "ShardToMerge": "shardId-2", "AdjacentShardToMerge": "shardId-3"})
    story.active()
    now = Millis(time.time() * 1000 - 60_000)
    for kind, extra in (("AT_LATEST", {}), ("AT_TRIM_HORIZON", {}), ("FROM_TRIM_HORIZON", {}),
                        ("AFTER_SHARD_ID", {"ShardId": "shardId-000000000001"}),
                        ("FROM_TIMESTAMP", {"Timestamp": now})):
        story.must("ListShards", {**story.by_name, "ShardFilter": {"Type": kind, **extra}})
    start = {**story.by_name, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    answer = story.must("GetRecords", story.must("GetShardIterator", start))
    while "NextShardIterator" in answer:
        answer = story.must("GetRecords", {"ShardIterator": answer["NextShardIterator"]})
    equal([c["ShardId"] for c in answer["ChildShards"]], ["shardId-000000000002", "shardId-000000000003"], "children")
    scaled = story.must("UpdateShardCount", {**story.by_name, "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"})
    equal((scaled["CurrentShardCount"], scaled["TargetShardCount"]), (2, 4), "shard counts")
    story.active()


def settings(story):
    """retention, tags, policies, monitoring, encryption, record size"""
    for way, hours in (("Increase", 48), ("Decrease", 24)):
        story.must(f"{way}StreamRetentionPeriod", {**story.by_name, "RetentionPeriodHours": hours})
        story.active()
    story.must("AddTagsToStream", {**story.by_name, "Tags": {"b": "2"}})
    story.must("RemoveTagsFromStream", {**story.by_name, "TagKeys": ["a"]})
    equal(story.must("ListTagsForStream", story.by_name)["Tags"], [{"Key": "b", "Value": "2"}], "tags")
    resource = {"ResourceARN": story.arn}
    story.must("TagResource", {**resource, "Tags": {"c": "3"}})
    story.must("UntagResource", {**resource, "TagKeys": ["b"]})
    equal(story.must("ListTagsForResource", resource)["Tags"], [{"Key": "c", "Value": "3"}], "tags")
    story.must("GetResourcePolicy", resource)
    story.must("PutResourcePolicy", {**resource, "Policy": POLICY % (story.arn.split(":")[4], story.arn)})
    story.must("DeleteResourcePolicy", resource)
    for way in ("Enable", "Disable"):
        story.must(f"{way}EnhancedMonitoring", {**story.by_name, "ShardLevelMetrics": ["IncomingBytes"]})
        story.active()
    for way in ("Start", "Stop"):
        story.must(f"{way}StreamEncryption", {**story.by_name, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"})
        story.active()
    story.must("UpdateMaxRecordSize", {"StreamARN": story.arn, "MaxRecordSizeInKiB": 2048})
    story.active()


def account(story):
    """limits, account settings, mode, warm throughput"""
    story.must("DescribeLimits", {})
    story.must("DescribeAccountSettings", {})
    story.must("UpdateAccountSettings", {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}})
    story.must("UpdateStreamMode", {"StreamARN": story.arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})
    story.active()
    story.must("UpdateStreamWarmThroughput", {"StreamARN": story.arn, "WarmThroughputMiBps": 8})
    story.active()


def reserved(story):
    """StreamId, which is reserved, is taken wherever the model has it"""
    extra = {**story.by_name, "StreamId": "abcdefghij0123456789-abc"}
    for operation in ("DescribeStreamSummary", "DescribeStream", "ListShards", "ListTagsForStream"):
        story.must(operation, extra)
    story.must("PutRecord", {**extra, "Data": b"", "PartitionKey": "k"})
    without_stream = [o for o in model.OPERATIONS
                      if model.input_of(o) is not None and "StreamId" not in model.input_of(o).members]
    equal(sorted(without_stream), ["CreateStream", "DescribeAccountSettings", "DescribeLimits", "ListStreams",
                                   "UpdateAccountSettings"], "operations without StreamId")


def delete(story):
    """DeleteStream"""
    story.must("DeleteStream", {"StreamARN": story.arn, "EnforceConsumerDeletion": True})
    eventually(lambda: call("DescribeStream", story.by_name, story.encoding).status == 400, "the stream is gone")


STEPS = (
    (create, "CreateStream DescribeStreamSummary DescribeStream ListStreams ListShards"),
    (put, "PutRecord PutRecords"),
    (get, "GetShardIterator GetRecords"),
    (timestamps, "GetShardIterator GetRecords"),
    (consumers, "RegisterStreamConsumer DescribeStreamConsumer ListStreamConsumers DeregisterStreamConsumer"),
    (reshard, "SplitShard MergeShards UpdateShardCount ListShards GetRecords"),
    (settings, "IncreaseStreamRetentionPeriod DecreaseStreamRetentionPeriod AddTagsToStream RemoveTagsFromStream "
               "ListTagsForStream TagResource UntagResource ListTagsForResource GetResourcePolicy PutResourcePolicy "
               "DeleteResourcePolicy EnableEnhancedMonitoring DisableEnhancedMonitoring StartStreamEncryption "
               "StopStreamEncryption UpdateMaxRecordSize"),
    (account, "DescribeLimits DescribeAccountSettings UpdateAccountSettings UpdateStreamMode "
              "UpdateStreamWarmThroughput"),
    (reserved, "DescribeStreamSummary PutRecord ListShards"),
    (delete, "DeleteStream"),
)


def suites():
    """One suite an encoding."""
    found = []
    for encoding in (JSON, CBOR):
        suite, story = Suite("raw wire", encoding), Story(encoding)
        for step, operations in STEPS:
            suite.add(operations.split(), step.__doc__, lambda s=step, t=story: s(t))
        found.append(suite)
    return found
