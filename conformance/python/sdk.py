"""boto3, unmodified: JSON 1.1 over HTTP/1.1, SubscribeToShard as a chunked event stream."""

import base64
import datetime
import hashlib
import json
import os
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from harness import CA_FILE, ENDPOINT, REGION, RING, TLS_ENDPOINT, Skip, Suite
from harness import equal, eventually, finish, fresh_name, raises

suite = Suite("boto3", "JSON")
UTC = datetime.timezone.utc


def make_client(endpoint=ENDPOINT, **options):
    """A client with nothing but an endpoint changed; one try, so that a fault is seen."""
    return boto3.client(
        "kinesis",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="conformance",
        aws_secret_access_key="conformance",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        **options,
    )


def refused(code, *fragments):
    """Expects a modelled error."""
    return raises(code, ClientError, *fragments)


class Stream:
    """A stream of its own for one case, deleted when the case ends."""

    def __init__(self, client, shards=1, **options):
        self.client = client
        self.name = fresh_name()
        if shards is not None:
            options["ShardCount"] = shards
        client.create_stream(StreamName=self.name, **options)

    def __enter__(self):
        self.active()
        self.arn = self.summary()["StreamARN"]
        return self

    def __exit__(self, *_):
        self.client.delete_stream(StreamName=self.name, EnforceConsumerDeletion=True)

    def summary(self):
        answer = self.client.describe_stream_summary(StreamName=self.name)
        return answer["StreamDescriptionSummary"]

    def active(self):
        eventually(lambda: self.summary()["StreamStatus"] == "ACTIVE", f"{self.name} is ACTIVE")

    def shards(self, **filters):
        return self.client.list_shards(StreamName=self.name, **filters)["Shards"]

    def open_shards(self):
        return [s for s in self.shards() if "EndingSequenceNumber" not in s["SequenceNumberRange"]]

    def put(self, data, key="key", **options):
        return self.client.put_record(StreamName=self.name, Data=data, PartitionKey=key, **options)

    def iterator(self, shard="shardId-000000000000", kind="TRIM_HORIZON", **options):
        return self.client.get_shard_iterator(
            StreamName=self.name, ShardId=shard, ShardIteratorType=kind, **options
        )["ShardIterator"]

    def read(self, shard="shardId-000000000000", kind="TRIM_HORIZON", calls=3, **options):
        """Data of what an iterator yields within a few calls."""
        iterator = self.iterator(shard, kind, **options)
        found = []
        for _ in range(calls):
            answer = self.client.get_records(ShardIterator=iterator)
            found += answer["Records"]
            iterator = answer.get("NextShardIterator")
            if iterator is None:
                break
        return found

    def drain(self, shard):
        """All of a closed shard: its records and the answer that ended it."""
        iterator = self.iterator(shard)
        found = []
        for _ in range(100):
            answer = self.client.get_records(ShardIterator=iterator)
            found += answer["Records"]
            if answer.get("NextShardIterator") is None:
                return found, answer
            equal(answer.get("ChildShards", []), [], "children before the end")
            iterator = answer["NextShardIterator"]
        raise AssertionError(f"{shard} has no end")


def second_after(record):
    """The whole second that follows a record's arrival, once it has begun.

    boto3 writes moments in JSON as whole seconds, cut off: only such a moment says what it seems to.
    Milliseconds are for `wire/iterators.py`.
    """
    moment = record["ApproximateArrivalTimestamp"].replace(microsecond=0) + datetime.timedelta(seconds=1)
    eventually(lambda: datetime.datetime.now(UTC) >= moment, "the next second")
    return moment


def hash_of(key):
    return int.from_bytes(hashlib.md5(key.encode()).digest(), "big")


def ranges(shards):
    pairs = [
        (int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in shards
    ]
    return sorted(pairs)


def tiles(shards):
    """Whether the ranges cover the ring with neither gap nor overlap."""
    pairs = ranges(shards)
    ends = [-1] + [end for _, end in pairs]
    return all(start == end + 1 for (start, _), end in zip(pairs, ends)) and ends[-1] == RING - 1


# Streams.


@suite.case("CreateStream", "DescribeStream", "DescribeStreamSummary", "DeleteStream")
def a_stream_lives(client):
    """a stream is created, described and deleted"""
    stream = Stream(client, shards=3)
    with stream:
        description = client.describe_stream(StreamName=stream.name)["StreamDescription"]
        equal(description["StreamName"], stream.name, "name")
        equal(description["StreamStatus"], "ACTIVE", "status")
        equal(description["RetentionPeriodHours"], 24, "retention")
        equal(description["StreamModeDetails"], {"StreamMode": "PROVISIONED"}, "mode")
        equal(description["EncryptionType"], "NONE", "encryption")
        equal(description["EnhancedMonitoring"], [{"ShardLevelMetrics": []}], "monitoring")
        equal(description["HasMoreShards"], False, "more")
        account = description["StreamARN"].split(":")[4]
        assert len(account) == 12 and account.isdigit(), account
        equal(description["StreamARN"], f"arn:aws:kinesis:{REGION}:{account}:stream/{stream.name}", "ARN")
        age = datetime.datetime.now(UTC) - description["StreamCreationTimestamp"]
        assert abs(age.total_seconds()) < 60, age
        equal([s["ShardId"] for s in description["Shards"]], [f"shardId-{i:012}" for i in range(3)], "ids")
        third = RING // 3
        wanted = [(0, third - 1), (third, 2 * third - 1), (2 * third, RING - 1)]
        equal(ranges(description["Shards"]), wanted, "hash ranges")
        summary = stream.summary()
        equal(summary["OpenShardCount"], 3, "open shards")
        equal(summary["ConsumerCount"], 0, "consumers")
        by_arn = client.describe_stream_summary(StreamARN=stream.arn)["StreamDescriptionSummary"]
        equal(by_arn, summary, "summary by ARN")
        page = client.describe_stream(StreamName=stream.name, Limit=2)["StreamDescription"]
        equal((len(page["Shards"]), page["HasMoreShards"]), (2, True), "first page")
        start = page["Shards"][-1]["ShardId"]
        rest = client.describe_stream(StreamName=stream.name, ExclusiveStartShardId=start)["StreamDescription"]
        equal([s["ShardId"] for s in rest["Shards"]], ["shardId-000000000002"], "second page")

    def gone():
        try:
            equal(stream.summary()["StreamStatus"], "DELETING", "status on the way out")
        except ClientError as error:
            return error.response["Error"]["Code"] == "ResourceNotFoundException"
        return False

    eventually(gone, "the stream is gone")
    with refused("ResourceNotFoundException", f"Stream {stream.name} under account", "not found"):
        client.describe_stream(StreamName=stream.name)


@suite.case("CreateStream")
def a_name_is_taken_once(client):
    """a second stream of the same name is refused"""
    with Stream(client) as stream:
        with refused("ResourceInUseException", f"Stream {stream.name} under account", "already exists"):
            client.create_stream(StreamName=stream.name, ShardCount=1)


@suite.case("CreateStream")
def no_shard_count_means_four(client):
    """a stream without a shard count has four shards"""
    with Stream(client, shards=None) as stream:
        equal(len(stream.shards()), 4, "shards")


@suite.case("CreateStream", "ListTagsForStream", "DescribeStreamSummary")
def a_stream_is_created_with_options(client):
    """tags and the record size are taken at creation"""
    with Stream(client, Tags={"team": "blue"}, MaxRecordSizeInKiB=2048) as stream:
        tags = client.list_tags_for_stream(StreamName=stream.name)["Tags"]
        equal(tags, [{"Key": "team", "Value": "blue"}], "tags")
        equal(stream.summary()["MaxRecordSizeInKiB"], 2048, "record size")


@suite.case("ListStreams")
def streams_are_listed_in_pages(client):
    """streams are listed in order, in pages, with summaries"""
    prefix = fresh_name("listed")
    names = [f"{prefix}-{letter}" for letter in "abc"]
    for name in names:
        client.create_stream(StreamName=name, ShardCount=1)
    try:
        first = client.list_streams(Limit=2, ExclusiveStartStreamName=prefix)
        equal(first["StreamNames"], names[:2], "first page")
        equal(first["HasMoreStreams"], True, "more")
        equal([s["StreamName"] for s in first["StreamSummaries"]], names[:2], "summaries")
        second = client.list_streams(Limit=1, NextToken=first["NextToken"])
        equal(second["StreamNames"], names[2:], "second page")
        third = client.list_streams(Limit=1, ExclusiveStartStreamName=names[1])
        equal(third["StreamNames"], names[2:], "after a name")
        paginator = client.get_paginator("list_streams")
        found = [n for page in paginator.paginate(PaginationConfig={"PageSize": 2}) for n in page["StreamNames"]]
        equal([n for n in found if n.startswith(prefix)], names, "by the paginator")
    finally:
        for name in names:
            client.delete_stream(StreamName=name)


@suite.case("DescribeStream", "PutRecord", "GetShardIterator", "DeleteStream", "ListShards")
def a_missing_stream_is_not_found(client):
    """every call on a missing stream says which stream"""
    name = fresh_name("missing")
    text = f"Stream {name} under account"
    with refused("ResourceNotFoundException", text):
        client.describe_stream(StreamName=name)
    with refused("ResourceNotFoundException", text):
        client.put_record(StreamName=name, Data=b"", PartitionKey="a")
    with refused("ResourceNotFoundException", name):
        client.get_shard_iterator(StreamName=name, ShardId="shardId-0", ShardIteratorType="LATEST")
    with refused("ResourceNotFoundException", text):
        client.delete_stream(StreamName=name)
    with refused("ResourceNotFoundException", text):
        client.list_shards(StreamName=name)


@suite.case("UpdateStreamMode", "CreateStream")
def a_stream_changes_its_mode(client):
    """a provisioned stream becomes on-demand, and back"""
    with Stream(client, shards=2) as stream:
        for mode in ("ON_DEMAND", "PROVISIONED"):
            client.update_stream_mode(StreamARN=stream.arn, StreamModeDetails={"StreamMode": mode})
            stream.active()
            equal(stream.summary()["StreamModeDetails"]["StreamMode"], mode, "mode")
    with Stream(client, shards=None, StreamModeDetails={"StreamMode": "ON_DEMAND"}) as stream:
        equal(stream.summary()["StreamModeDetails"]["StreamMode"], "ON_DEMAND", "mode")
        equal(stream.summary()["OpenShardCount"], 4, "open shards")


@suite.case("CreateStream", "PutRecords", "ListShards")
def an_on_demand_stream_grows(client):
    """an on-demand stream that is loaded beyond half of its shards gets more of them, and loses nothing"""
    with Stream(client, shards=None, StreamModeDetails={"StreamMode": "ON_DEMAND"}) as stream:
        equal(len(stream.open_shards()), 4, "open shards before")
        # 48 MiB within ten seconds are 4.8 MiB a second, and a shard takes one.
        batch = [{"PartitionKey": f"k{i}", "Data": b"x" * (512 * 1024)} for i in range(8)]
        for _ in range(12):
            equal(client.put_records(StreamName=stream.name, Records=batch)["FailedRecordCount"], 0, "failed")
        eventually(lambda: stream.summary()["OpenShardCount"] > 4, "more shards", 40)
        stream.active()
        assert tiles(stream.open_shards()), ranges(stream.open_shards())
        found = sum(len(stream.read(shard["ShardId"], calls=30)) for shard in stream.shards())
        equal(found, 96, "records")


# Records.


@suite.case("PutRecord", "GetShardIterator", "GetRecords")
def a_record_comes_back(client):
    """a record is put on the shard of its key and comes back whole"""
    data = bytes(range(256)) * 4
    with Stream(client, shards=4) as stream:
        before = datetime.datetime.now(UTC) - datetime.timedelta(seconds=2)
        for key in ("a", "key", "Ω≈ç√∫", "x" * 256, "é" * 256):
            answer = stream.put(data, key)
            wanted = hash_of(key) * 4 // RING
            equal(answer["ShardId"], f"shardId-{wanted:012}", f"shard of {key[:5]}")
            (record,) = stream.read(answer["ShardId"], "AT_SEQUENCE_NUMBER",
                                    StartingSequenceNumber=answer["SequenceNumber"])
            equal(record["Data"], data, "data")
            equal(record["PartitionKey"], key, "key")
            equal(record["SequenceNumber"], answer["SequenceNumber"], "sequence number")
            assert before < record["ApproximateArrivalTimestamp"] < datetime.datetime.now(UTC)


@suite.case("PutRecord")
def an_explicit_hash_key_wins(client):
    """an explicit hash key overrides the partition key, up to both ends of the ring"""
    with Stream(client, shards=2) as stream:
        for key, shard in ((0, 0), (RING // 2 - 1, 0), (RING // 2, 1), (RING - 1, 1)):
            answer = stream.put(b"x", ExplicitHashKey=str(key))
            equal(answer["ShardId"], f"shardId-{shard:012}", f"shard of {key}")
        with refused("InvalidArgumentException", "ExplicitHashKey must be in the range: [0, 2^128-1]"):
            stream.put(b"x", ExplicitHashKey=str(RING))


@suite.case("PutRecord")
def order_can_be_asked_for(client):
    """a record put with SequenceNumberForOrdering comes after the number named"""
    with Stream(client) as stream:
        last = stream.put(b"1")["SequenceNumber"]
        for _ in range(3):
            following = stream.put(b"2", SequenceNumberForOrdering=last)["SequenceNumber"]
            assert int(following) > int(last)
            equal(len(following), len(last), "length of the number")
            last = following


@suite.case("PutRecords")
def a_batch_keeps_its_order(client):
    """a batch of 500 is stored in order, each record on its shard"""
    with Stream(client, shards=3) as stream:
        entries = [{"Data": str(i).encode(), "PartitionKey": f"k{i % 17}"} for i in range(500)]
        answer = client.put_records(StreamName=stream.name, Records=entries)
        equal(answer["FailedRecordCount"], 0, "failed")
        equal(len(answer["Records"]), 500, "answers")
        for entry, result in zip(entries, answer["Records"]):
            wanted = hash_of(entry["PartitionKey"]) * 3 // RING
            equal(result["ShardId"], f"shardId-{wanted:012}", "shard")
        found = {}
        for shard in stream.shards():
            records = stream.read(shard["ShardId"])
            numbers = [int(r["SequenceNumber"]) for r in records]
            equal(numbers, sorted(set(numbers)), "sequence numbers")
            found[shard["ShardId"]] = [r["Data"] for r in records]
        for shard_id, stored in found.items():
            wanted = [e["Data"] for e, r in zip(entries, answer["Records"]) if r["ShardId"] == shard_id]
            equal(stored, wanted, f"records of {shard_id}")


@suite.case("PutRecords")
def too_much_is_refused(client):
    """501 records, and a record over the limit, are refused whole"""
    with Stream(client) as stream:
        with refused("ValidationException", "at 'records' failed to satisfy constraint",
                     "Member must have length less than or equal to 500"):
            client.put_records(StreamName=stream.name, Records=[{"Data": b"", "PartitionKey": "a"}] * 501)
        try:
            stream.put(b"x" * (1024 * 1024 + 1))
            raise AssertionError("a record over 1 MiB was taken")
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("ValidationException", "InvalidArgumentException"), error
        equal(stream.read(), [], "records")


@suite.case("GetShardIterator", "GetRecords")
def iterators_start_where_they_say(client):
    """the five iterator types start where they say, and can be used again"""
    with Stream(client) as stream:
        latest = stream.iterator(kind="LATEST")
        first = stream.put(b"1")["SequenceNumber"]
        moment = second_after(stream.read()[0])
        second = stream.put(b"2")["SequenceNumber"]
        stream.put(b"3")
        data = lambda kind, **options: [r["Data"] for r in stream.read(kind=kind, **options)]  # noqa: E731
        equal(data("TRIM_HORIZON"), [b"1", b"2", b"3"], "TRIM_HORIZON")
        equal(data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=second), [b"2", b"3"], "AT")
        equal(data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=first), [b"2", b"3"], "AFTER")
        equal(data("AT_TIMESTAMP", Timestamp=moment), [b"2", b"3"], "AT_TIMESTAMP")
        equal(data("AT_TIMESTAMP", Timestamp=datetime.datetime(2015, 1, 1, tzinfo=UTC)), [b"1", b"2", b"3"], "past")
        equal(data("LATEST"), [], "LATEST")
        for _ in range(2):  # An iterator lives five minutes and may be used again.
            found = client.get_records(ShardIterator=latest)["Records"]
            equal([r["Data"] for r in found], [b"1", b"2", b"3"], "LATEST made before the records")
        with refused("InvalidArgumentException", "The timestampInMillis parameter cannot be greater than"):
            stream.iterator(kind="AT_TIMESTAMP", Timestamp=datetime.datetime(2100, 1, 1, tzinfo=UTC))


@suite.case("GetRecords")
def a_limit_is_kept(client):
    """Limit is kept, and MillisBehindLatest falls to zero at the tip"""
    with Stream(client) as stream:
        entries = [{"Data": str(i).encode(), "PartitionKey": "k"} for i in range(10)]
        client.put_records(StreamName=stream.name, Records=entries)
        time.sleep(0.05)
        iterator, found, behind = stream.iterator(), [], []
        for _ in range(4):
            answer = client.get_records(ShardIterator=iterator, Limit=3)
            assert len(answer["Records"]) <= 3
            found += [r["Data"] for r in answer["Records"]]
            behind.append(answer["MillisBehindLatest"])
            iterator = answer["NextShardIterator"]
        equal(found, [str(i).encode() for i in range(10)], "records")
        assert behind[0] > 0 and behind[-1] == 0, behind
        assert all(earlier >= 0 for earlier in behind), behind


@suite.case("GetRecords")
def a_broken_iterator_is_refused(client):
    """an iterator that we did not make is refused"""
    with Stream(client) as stream:
        iterator = stream.iterator()
        for broken in ("x", iterator[:-8], base64.b64encode(b"\0" * 200).decode(), iterator[::-1]):
            with refused("InvalidArgumentException", "Invalid ShardIterator"):
                client.get_records(ShardIterator=broken)


# Resharding.


@suite.case("SplitShard", "ListShards", "GetRecords", "PutRecord")
def a_split_keeps_the_order(client):
    """a split parent is read to its end, names its children, and they take what follows"""
    with Stream(client) as stream:
        for i in range(5):
            stream.put(str(i).encode())
        client.split_shard(StreamName=stream.name, ShardToSplit="shardId-000000000000",
                           NewStartingHashKey=str(RING // 2))
        stream.active()
        shards = stream.shards()
        equal([s["ShardId"] for s in shards], [f"shardId-{i:012}" for i in range(3)], "ids")
        parent, *children = shards
        assert "EndingSequenceNumber" in parent["SequenceNumberRange"]
        ending = int(parent["SequenceNumberRange"]["EndingSequenceNumber"])
        for child in children:
            equal(child["ParentShardId"], parent["ShardId"], "parent")
            assert "AdjacentParentShardId" not in child
            assert int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > ending
        equal(ranges(children), [(0, RING // 2 - 1), (RING // 2, RING - 1)], "ranges")
        assert tiles(stream.open_shards())
        after = stream.put(b"5")
        assert after["ShardId"] in [c["ShardId"] for c in children]
        records, end = stream.drain("shardId-000000000000")
        equal([r["Data"] for r in records], [str(i).encode() for i in range(5)], "parent's records")
        assert all(int(r["SequenceNumber"]) <= ending for r in records)
        named = {c["ShardId"]: c for c in end["ChildShards"]}
        equal(sorted(named), [c["ShardId"] for c in children], "children named at the end")
        for child in children:
            equal(named[child["ShardId"]]["ParentShards"], [parent["ShardId"]], "parents")
            equal(named[child["ShardId"]]["HashKeyRange"], child["HashKeyRange"], "range")
        equal([r["Data"] for r in stream.read(after["ShardId"])], [b"5"], "child's records")
        assert int(after["SequenceNumber"]) > ending


@suite.case("MergeShards", "ListShards", "GetRecords")
def a_merge_has_two_parents(client):
    """a merge names both parents, and only neighbours merge"""
    with Stream(client, shards=3) as stream:
        ids = [s["ShardId"] for s in stream.shards()]
        with refused("InvalidArgumentException", "not an adjacent pair of shards eligible for merging"):
            client.merge_shards(StreamName=stream.name, ShardToMerge=ids[0], AdjacentShardToMerge=ids[2])
        client.merge_shards(StreamName=stream.name, ShardToMerge=ids[0], AdjacentShardToMerge=ids[1])
        stream.active()
        child = stream.shards()[-1]
        equal((child["ParentShardId"], child["AdjacentParentShardId"]), (ids[0], ids[1]), "parents")
        assert tiles(stream.open_shards())
        for parent in ids[:2]:
            _, end = stream.drain(parent)
            equal([c["ShardId"] for c in end["ChildShards"]], [child["ShardId"]], "children")
            equal(sorted(end["ChildShards"][0]["ParentShards"]), ids[:2], "parents")


@suite.case("SplitShard")
def a_split_must_fall_inside(client):
    """a split outside its shard, or of no shard, is refused"""
    with Stream(client, shards=3) as stream:
        for key in (0, 1, RING // 3 - 1, RING - 1):
            with refused("InvalidArgumentException", "is not both greater than one plus the shard's StartingHashKey"):
                client.split_shard(StreamName=stream.name, ShardToSplit="shardId-0", NewStartingHashKey=str(key))
        with refused("ResourceNotFoundException", "Could not find shard shardId-000000000009 in stream"):
            client.split_shard(StreamName=stream.name, ShardToSplit="shardId-9", NewStartingHashKey="5")


@suite.case("UpdateShardCount", "DescribeStreamSummary", "ListShards")
def a_stream_is_scaled(client):
    """UpdateShardCount doubles and halves, and the open shards tile the ring"""
    with Stream(client, shards=2) as stream:
        for target in (4, 3, 2):
            answer = client.update_shard_count(
                StreamName=stream.name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
            equal(answer["TargetShardCount"], target, "target")
            equal(answer["StreamName"], stream.name, "name")
            stream.active()
            equal(stream.summary()["OpenShardCount"], target, "open shards")
            assert tiles(stream.open_shards()), ranges(stream.open_shards())
            sizes = [end - start for start, end in ranges(stream.open_shards())]
            assert max(sizes) - min(sizes) <= target, "the shards are equal"
        with refused("InvalidArgumentException"):
            client.update_shard_count(StreamName=stream.name, TargetShardCount=5, ScalingType="UNIFORM_SCALING")


@suite.case("ListShards")
def shards_are_filtered_and_paged(client):
    """every shard filter and the paging token say what they should"""
    with Stream(client, shards=2) as stream:
        time.sleep(0.05)
        before = datetime.datetime.now(UTC)
        time.sleep(1.1)
        client.split_shard(StreamName=stream.name, ShardToSplit="shardId-0", NewStartingHashKey=str(RING // 4))
        stream.active()
        ids = lambda **f: [int(s["ShardId"][8:]) for s in stream.shards(ShardFilter=f)]  # noqa: E731
        equal(ids(Type="AT_LATEST"), [1, 2, 3], "AT_LATEST")
        equal(ids(Type="AT_TRIM_HORIZON"), [0, 1], "AT_TRIM_HORIZON")
        equal(ids(Type="FROM_TRIM_HORIZON"), [0, 1, 2, 3], "FROM_TRIM_HORIZON")
        equal(ids(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001"), [2, 3], "AFTER_SHARD_ID")
        equal(ids(Type="AT_TIMESTAMP", Timestamp=before), [0, 1], "AT_TIMESTAMP")
        equal(ids(Type="FROM_TIMESTAMP", Timestamp=before), [0, 1, 2, 3], "FROM_TIMESTAMP")
        page = client.list_shards(StreamName=stream.name, MaxResults=3)
        equal(len(page["Shards"]), 3, "first page")
        rest = client.list_shards(NextToken=page["NextToken"])
        equal([s["ShardId"] for s in rest["Shards"]], ["shardId-000000000003"], "second page")
        assert "NextToken" not in rest
        again = client.list_shards(NextToken=page["NextToken"])
        equal(again["Shards"], rest["Shards"], "a token used again")
        after = stream.shards(ExclusiveStartShardId="shardId-000000000002")
        equal([s["ShardId"] for s in after], ["shardId-000000000003"], "after a shard")
        with refused("InvalidArgumentException", "NextToken and StreamName cannot be provided together"):
            client.list_shards(StreamName=stream.name, NextToken=page["NextToken"])


# Consumers and fan-out.


def register(client, stream, name="consumer"):
    consumer = client.register_stream_consumer(StreamARN=stream.arn, ConsumerName=name)["Consumer"]
    equal(consumer["ConsumerName"], name, "name")

    def active():
        answer = client.describe_stream_consumer(ConsumerARN=consumer["ConsumerARN"])
        return answer["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE"

    eventually(active, "the consumer is ACTIVE")
    return consumer


@suite.case("RegisterStreamConsumer", "DescribeStreamConsumer", "ListStreamConsumers", "DeregisterStreamConsumer")
def consumers_come_and_go(client):
    """consumers are registered, described, listed in pages and removed"""
    with Stream(client) as stream:
        names = ["a", "b", "c"]
        arns = [register(client, stream, name)["ConsumerARN"] for name in names]
        for name, arn in zip(names, arns):
            assert arn.startswith(f"{stream.arn}/consumer/{name}:"), arn
        described = client.describe_stream_consumer(StreamARN=stream.arn, ConsumerName="b")["ConsumerDescription"]
        equal((described["ConsumerARN"], described["StreamARN"]), (arns[1], stream.arn), "ARNs")
        equal(stream.summary()["ConsumerCount"], 3, "count")
        first = client.list_stream_consumers(StreamARN=stream.arn, MaxResults=2)
        equal([c["ConsumerName"] for c in first["Consumers"]], ["a", "b"], "first page")
        assert "StreamARN" not in first["Consumers"][0]
        second = client.list_stream_consumers(StreamARN=stream.arn, NextToken=first["NextToken"])
        equal([c["ConsumerName"] for c in second["Consumers"]], ["c"], "second page")
        with refused("ResourceInUseException"):
            client.register_stream_consumer(StreamARN=stream.arn, ConsumerName="a")
        with refused("ResourceInUseException"):
            client.delete_stream(StreamName=stream.name)
        client.deregister_stream_consumer(ConsumerARN=arns[0])
        client.deregister_stream_consumer(StreamARN=stream.arn, ConsumerName="b")
        eventually(lambda: len(client.list_stream_consumers(StreamARN=stream.arn)["Consumers"]) == 1, "one is left")
        with refused("ResourceNotFoundException"):
            client.describe_stream_consumer(ConsumerARN=arns[0])


class Subscription:
    """A subscription read on a thread of its own, as a consumer would."""

    def __init__(self, client, arn, shard="shardId-000000000000", **position):
        self.answer = client.subscribe_to_shard(ConsumerARN=arn, ShardId=shard, StartingPosition=position)
        self.events, self.records, self.ended, self.error = [], [], False, None
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        try:
            for event in self.answer["EventStream"]:
                body = event["SubscribeToShardEvent"]
                self.events.append(body)
                self.records += [(time.monotonic(), r) for r in body["Records"]]
        except Exception as error:  # noqa: BLE001 - closing from the other thread breaks the read
            self.error = error
        self.ended = True

    def data(self):
        return [r["Data"] for _, r in self.records]

    def close(self):
        self.answer["EventStream"].close()


@suite.case("SubscribeToShard")
def records_are_pushed(client):
    """a subscriber gets what was there, then what is put, without asking"""
    with Stream(client) as stream:
        arn = register(client, stream)["ConsumerARN"]
        stream.put(b"before")
        subscription = Subscription(make_client(), arn, Type="TRIM_HORIZON")
        eventually(lambda: subscription.data() == [b"before"], "the stored record", 10)
        sent = []
        for i in range(5):
            sent.append(time.monotonic())
            stream.put(str(i).encode())
        eventually(lambda: len(subscription.records) == 6, "the pushed records", 10)
        equal(subscription.data(), [b"before"] + [str(i).encode() for i in range(5)], "records")
        slowest = max(arrived - put for put, (arrived, _) in zip(sent, subscription.records[1:]))
        assert slowest < 1.0, f"a record took {slowest:.3f} s to be pushed"
        last = subscription.records[-1][1]["SequenceNumber"]
        event = subscription.events[-1]
        assert int(event["ContinuationSequenceNumber"]) >= int(last), event
        equal(event["MillisBehindLatest"], 0, "behind at the tip")
        assert not event.get("ChildShards"), event
        quiet = len(subscription.events)
        eventually(lambda: len(subscription.events) > quiet, "an event in a quiet stream", 8)
        assert not subscription.ended, subscription.error
        subscription.close()


@suite.case("SubscribeToShard")
def every_starting_position(client):
    """a subscription starts at every position an iterator can"""
    with Stream(client) as stream:
        first = stream.put(b"1")["SequenceNumber"]
        moment = second_after(stream.read()[0])
        second = stream.put(b"2")["SequenceNumber"]
        positions = [
            ({"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": second}, [b"2"]),
            ({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": first}, [b"2"]),
            ({"Type": "AT_TIMESTAMP", "Timestamp": moment}, [b"2"]),
            ({"Type": "TRIM_HORIZON"}, [b"1", b"2"]),
            ({"Type": "LATEST"}, []),
        ]
        subscriptions = []
        for number, (position, wanted) in enumerate(positions):
            arn = register(client, stream, f"c{number}")["ConsumerARN"]
            subscriptions.append((Subscription(make_client(), arn, **position), wanted, position["Type"]))
        stream.put(b"3")
        for subscription, wanted, kind in subscriptions:
            eventually(lambda: len(subscription.data()) > len(wanted), f"records from {kind}", 10)  # noqa: B023
            equal(subscription.data(), wanted + [b"3"], kind)
            subscription.close()


@suite.case("SubscribeToShard")
def a_second_subscription_is_refused(client):
    """a second subscription of the same consumer and shard within 5 s is refused, later it takes over"""
    with Stream(client) as stream:
        arn = register(client, stream)["ConsumerARN"]
        first = Subscription(make_client(), arn, Type="LATEST")
        started = time.monotonic()
        with refused("ResourceInUseException"):
            make_client().subscribe_to_shard(
                ConsumerARN=arn, ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"})
        assert not first.ended, "the first subscription goes on"
        time.sleep(max(0.0, 5.3 - (time.monotonic() - started)))
        second = Subscription(make_client(), arn, Type="LATEST")
        stream.put(b"x")
        eventually(lambda: second.data() == [b"x"], "the second gets the record", 10)
        eventually(lambda: first.ended, "the first ends", 10)
        equal(first.data(), [], "records of the first")
        second.close()


@suite.case("SubscribeToShard", "SplitShard")
def a_subscription_ends_with_its_shard(client):
    """a subscription to a shard that is split ends with its children named"""
    with Stream(client) as stream:
        arn = register(client, stream)["ConsumerARN"]
        stream.put(b"1")
        subscription = Subscription(make_client(), arn, Type="TRIM_HORIZON")
        eventually(lambda: subscription.data() == [b"1"], "the record", 10)
        client.split_shard(StreamName=stream.name, ShardToSplit="shardId-0", NewStartingHashKey=str(RING // 2))
        eventually(lambda: subscription.ended, "the subscription ends", 15)
        equal(subscription.error, None, "error")
        last = subscription.events[-1]
        assert not last.get("ContinuationSequenceNumber"), last
        equal(sorted(c["ShardId"] for c in last["ChildShards"]),
              ["shardId-000000000001", "shardId-000000000002"], "children")
        equal(last["ChildShards"][0]["ParentShards"], ["shardId-000000000000"], "parents")


def a_subscription_lives_five_minutes(client):
    """a subscription ends cleanly after five minutes, and its last continuation misses nothing"""
    with Stream(client) as stream:
        arn = register(client, stream)["ConsumerARN"]
        started, put = time.monotonic(), []
        subscription = Subscription(make_client(), arn, Type="TRIM_HORIZON")
        while not subscription.ended:
            put.append(str(len(put)).encode())
            stream.put(put[-1])
            assert time.monotonic() - started < 310, "the subscription goes on"
            time.sleep(5)
        equal(subscription.error, None, "error")
        assert time.monotonic() - started > 299, "it ended early"
        number = subscription.events[-1]["ContinuationSequenceNumber"]
        following = Subscription(make_client(), arn, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)
        eventually(lambda: subscription.data() + following.data() == put, "what was put, once each", 10)
        following.close()


if os.environ.get("CONFORMANCE_LONG"):
    suite.case("SubscribeToShard")(a_subscription_lives_five_minutes)


@suite.case("SubscribeToShard")
def a_bad_subscription_is_refused(client):
    """a subscription of no consumer, or to no shard, is refused"""
    with Stream(client) as stream:
        arn = register(client, stream)["ConsumerARN"]
        with refused("ResourceNotFoundException"):
            client.subscribe_to_shard(ConsumerARN=arn, ShardId="shardId-000000000009",
                                      StartingPosition={"Type": "LATEST"})
        with refused("ResourceNotFoundException"):
            client.subscribe_to_shard(ConsumerARN=f"{stream.arn}/consumer/nobody:1", ShardId="shardId-0",
                                      StartingPosition={"Type": "LATEST"})


# The rest.


@suite.case("IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod")
def retention_moves_one_way_each(client):
    """retention is raised and lowered, each by its own call"""
    with Stream(client) as stream:
        hours = lambda: stream.summary()["RetentionPeriodHours"]  # noqa: E731
        client.increase_stream_retention_period(StreamName=stream.name, RetentionPeriodHours=48)
        stream.active()
        equal(hours(), 48, "raised")
        client.increase_stream_retention_period(StreamName=stream.name, RetentionPeriodHours=48)
        stream.active()
        with refused("InvalidArgumentException", "can not be shorter than existing retention period (48 hours)"):
            client.increase_stream_retention_period(StreamName=stream.name, RetentionPeriodHours=24)
        with refused("InvalidArgumentException", "can not be longer than existing retention period (48 hours)"):
            client.decrease_stream_retention_period(StreamName=stream.name, RetentionPeriodHours=72)
        client.decrease_stream_retention_period(StreamARN=stream.arn, RetentionPeriodHours=24)
        stream.active()
        equal(hours(), 24, "lowered")
        with refused("InvalidArgumentException", "Minimum allowed retention period is 24 hours"):
            client.decrease_stream_retention_period(StreamName=stream.name, RetentionPeriodHours=23)
        with refused("InvalidArgumentException", "Maximum allowed retention period is 8760 hours"):
            client.increase_stream_retention_period(StreamName=stream.name, RetentionPeriodHours=8761)


@suite.case("AddTagsToStream", "RemoveTagsFromStream", "ListTagsForStream")
def a_stream_is_tagged(client):
    """a stream is tagged, listed in pages and untagged"""
    with Stream(client) as stream:
        client.add_tags_to_stream(StreamName=stream.name, Tags={"a": "1", "b": "2", "c": ""})
        client.add_tags_to_stream(StreamARN=stream.arn, Tags={"a": "9"})
        page = client.list_tags_for_stream(StreamName=stream.name, Limit=2)
        equal(page["Tags"], [{"Key": "a", "Value": "9"}, {"Key": "b", "Value": "2"}], "first page")
        equal(page["HasMoreTags"], True, "more")
        rest = client.list_tags_for_stream(StreamName=stream.name, ExclusiveStartTagKey="b")
        equal((rest["Tags"], rest["HasMoreTags"]), ([{"Key": "c", "Value": ""}], False), "second page")
        client.remove_tags_from_stream(StreamName=stream.name, TagKeys=["a", "c", "missing"])
        left = client.list_tags_for_stream(StreamName=stream.name)["Tags"]
        equal(left, [{"Key": "b", "Value": "2"}], "what is left")


@suite.case("TagResource", "UntagResource", "ListTagsForResource")
def a_resource_is_tagged(client):
    """streams and consumers are tagged by ARN, and both tag APIs agree"""
    with Stream(client) as stream:
        consumer = register(client, stream)["ConsumerARN"]
        for arn in (stream.arn, consumer):
            client.tag_resource(ResourceARN=arn, Tags={"a": "1", "b": "2"})
            client.untag_resource(ResourceARN=arn, TagKeys=["a"])
            equal(client.list_tags_for_resource(ResourceARN=arn)["Tags"], [{"Key": "b", "Value": "2"}], arn)
        equal(client.list_tags_for_stream(StreamName=stream.name)["Tags"], [{"Key": "b", "Value": "2"}], "both")


@suite.case("PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy")
def a_policy_is_kept(client):
    """a policy is put, read and removed; none reads as an empty one"""
    with Stream(client) as stream:
        unset = client.get_resource_policy(ResourceARN=stream.arn)["Policy"]
        assert unset in ("", "{}"), unset
        policy = json.dumps({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "read", "Effect": "Allow", "Principal": {"AWS": stream.arn.split(":")[4]},
                "Action": ["kinesis:DescribeStreamSummary", "kinesis:GetRecords"], "Resource": stream.arn,
            }],
        })
        client.put_resource_policy(ResourceARN=stream.arn, Policy=policy)
        found = client.get_resource_policy(ResourceARN=stream.arn)["Policy"]
        equal(json.loads(found), json.loads(policy), "policy")
        client.delete_resource_policy(ResourceARN=stream.arn)
        equal(client.get_resource_policy(ResourceARN=stream.arn)["Policy"], unset, "policy")


@suite.case("StartStreamEncryption", "StopStreamEncryption", "PutRecord", "GetRecords")
def encryption_starts_and_stops(client):
    """records put before, during and after encryption are all readable"""
    with Stream(client) as stream:
        stream.put(b"plain")
        client.start_stream_encryption(StreamName=stream.name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        stream.active()
        summary = stream.summary()
        equal((summary["EncryptionType"], summary["KeyId"]), ("KMS", "alias/aws/kinesis"), "encryption")
        equal(stream.put(b"sealed")["EncryptionType"], "KMS", "answer to a put")
        client.stop_stream_encryption(StreamName=stream.name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        stream.active()
        equal(stream.summary()["EncryptionType"], "NONE", "encryption")
        stream.put(b"plain again")
        records = stream.read()
        equal([r["Data"] for r in records], [b"plain", b"sealed", b"plain again"], "records")
        equal(records[1]["EncryptionType"], "KMS", "the record's encryption")


@suite.case("EnableEnhancedMonitoring", "DisableEnhancedMonitoring")
def monitoring_is_switched(client):
    """shard level metrics are switched on, all of them too, and off"""
    with Stream(client) as stream:
        answer = client.enable_enhanced_monitoring(StreamName=stream.name, ShardLevelMetrics=["IncomingBytes"])
        equal(answer["CurrentShardLevelMetrics"], [], "before")
        equal(answer["DesiredShardLevelMetrics"], ["IncomingBytes"], "wanted")
        equal(answer["StreamName"], stream.name, "name")
        stream.active()
        equal(stream.summary()["EnhancedMonitoring"], [{"ShardLevelMetrics": ["IncomingBytes"]}], "metrics")
        answer = client.enable_enhanced_monitoring(StreamName=stream.name, ShardLevelMetrics=["ALL"])
        equal(len(answer["DesiredShardLevelMetrics"]), 7, "all")
        stream.active()
        answer = client.disable_enhanced_monitoring(StreamARN=stream.arn, ShardLevelMetrics=["ALL"])
        equal(answer["DesiredShardLevelMetrics"], [], "none")
        stream.active()
        equal(stream.summary()["EnhancedMonitoring"], [{"ShardLevelMetrics": []}], "metrics")


@suite.case("DescribeLimits")
def limits_count_what_is_open(client):
    """DescribeLimits counts open shards and on-demand streams"""
    states = lambda: [s["StreamStatus"] for s in client.list_streams()["StreamSummaries"]]  # noqa: E731
    eventually(lambda: "DELETING" not in states(), "streams of other cases are gone")
    before = client.describe_limits()
    with Stream(client, shards=3), Stream(client, shards=None, StreamModeDetails={"StreamMode": "ON_DEMAND"}):
        after = client.describe_limits()
        assert after["OpenShardCount"] >= before["OpenShardCount"] + 3, (before, after)
        equal(after["OnDemandStreamCount"], before["OnDemandStreamCount"] + 1, "on-demand streams")
        assert after["ShardLimit"] > after["OpenShardCount"]
        assert after["OnDemandStreamCountLimit"] >= 1


@suite.case("DescribeAccountSettings", "UpdateAccountSettings")
def account_settings_are_kept(client):
    """the billing commitment is switched on and read back"""
    status = lambda a: a["MinimumThroughputBillingCommitment"]["Status"]  # noqa: E731
    first = client.describe_account_settings()
    assert status(first) in ("ENABLED", "DISABLED"), first
    changed = client.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    equal(status(changed), "ENABLED", "answer")
    read = client.describe_account_settings()
    equal(status(read), "ENABLED", "status")
    assert "StartedAt" in read["MinimumThroughputBillingCommitment"], read


@suite.case("UpdateMaxRecordSize", "PutRecord", "GetRecords")
def records_may_grow(client):
    """a larger record is taken once the stream allows it, up to 10 MiB"""
    with Stream(client) as stream:
        big = b"x" * (9 * 1024 * 1024)
        client.update_max_record_size(StreamARN=stream.arn, MaxRecordSizeInKiB=10240)
        stream.active()
        equal(stream.summary()["MaxRecordSizeInKiB"], 10240, "size")
        stream.put(big)
        found = stream.read()
        equal([len(r["Data"]) for r in found], [len(big)], "lengths")
        assert found[0]["Data"] == big


@suite.case("UpdateStreamWarmThroughput", "DescribeStreamSummary")
def throughput_is_warmed(client):
    """warm throughput of an on-demand stream is set and read back"""
    with Stream(client, shards=None, StreamModeDetails={"StreamMode": "ON_DEMAND"}) as stream:
        try:
            answer = client.update_stream_warm_throughput(StreamARN=stream.arn, WarmThroughputMiBps=8)
        except ClientError as error:
            # The real service wants the advantage mode of the account first.
            if "advantage" not in str(error).lower() and "commitment" not in str(error).lower():
                raise
            client.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
            answer = client.update_stream_warm_throughput(StreamARN=stream.arn, WarmThroughputMiBps=8)
        equal(answer["WarmThroughput"]["TargetMiBps"], 8, "target")
        stream.active()
        equal(stream.summary()["WarmThroughput"]["TargetMiBps"], 8, "target")


tls = Suite("boto3", "JSON, TLS")


@tls.case("CreateStream", "PutRecord", "GetRecords", "SubscribeToShard")
def the_local_ca_is_enough(_):
    """a client that trusts the exported CA, and only it, works over TLS"""
    if not TLS_ENDPOINT:
        raise Skip("no TLS endpoint was given")
    client = make_client(TLS_ENDPOINT, verify=CA_FILE)
    with Stream(client) as stream:
        arn = register(client, stream)["ConsumerARN"]
        stream.put(b"over TLS")
        equal([r["Data"] for r in stream.read()], [b"over TLS"], "records")
        subscription = Subscription(client, arn, Type="TRIM_HORIZON")
        eventually(lambda: subscription.data() == [b"over TLS"], "the record", 10)
        subscription.close()


if __name__ == "__main__":
    finish([suite.run(make_client()), tls.run(None)])
