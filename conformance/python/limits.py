"""The quotas of the real service, enforced by a server that was started with `--limits aws`."""

import time

from botocore.exceptions import ClientError

from harness import RING, Suite, equal, finish, raises
from sdk import Stream, make_client, register

suite = Suite("boto3", "JSON, limits = aws")
THROTTLED = "ProvisionedThroughputExceededException"


def refused(code, *fragments):
    """Expects a modelled error."""
    return raises(code, ClientError, *fragments)


class Unhurried:
    """A client that calls again where it called too often: most cases judge other quotas."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        call = getattr(self.client, name)

        def patiently(*arguments, **options):
            for _ in range(100):
                try:
                    return call(*arguments, **options)
                except ClientError as error:
                    found = error.response["Error"]
                    if found["Code"] != "LimitExceededException" or "Rate exceeded" not in found["Message"]:
                        raise
                    time.sleep(0.1)
            raise AssertionError(f"{name} is refused for good")

        return patiently


def account_of(stream):
    """The account that error texts name."""
    return stream.arn.split(":")[4]


def rate_text(stream, shard="shardId-000000000000"):
    """What throttling says."""
    return f"Rate exceeded for shard {shard} in stream {stream.name} under account {account_of(stream)}."


@suite.case("PutRecords")
def a_shard_takes_a_thousand_records_a_second(client):
    """beyond 1,000 records a second a shard refuses each record by itself, and says so"""
    with Stream(client) as stream:
        batch = [{"Data": b"x", "PartitionKey": "k"}] * 500
        answers = [client.put_records(StreamName=stream.name, Records=batch) for _ in range(4)]
        results = [r for answer in answers for r in answer["Records"]]
        failed = [r for r in results if "ErrorCode" in r]
        equal(sum(a["FailedRecordCount"] for a in answers), len(failed), "FailedRecordCount")
        # At most two seconds' worth can be taken while four batches are put.
        assert 0 < len(failed) < 2000, len(failed)
        equal({r["ErrorCode"] for r in failed}, {THROTTLED}, "error codes")
        equal({r["ErrorMessage"] for r in failed}, {rate_text(stream)}, "texts")
        assert all("SequenceNumber" not in r and "ShardId" not in r for r in failed)
        time.sleep(1.1)
        stored = stream.read(calls=4)
        equal(len(stored), len(results) - len(failed), "what was stored")


@suite.case("PutRecord")
def a_shard_takes_a_mebibyte_a_second(client):
    """beyond 1 MiB a second a shard refuses the put, and takes it later"""
    with Stream(client) as stream:
        with refused(THROTTLED, rate_text(stream)):
            for _ in range(30):
                stream.put(b"x" * 1_000_000)
        time.sleep(1.1)
        stream.put(b"later")


@suite.case("GetRecords")
def a_shard_is_read_five_times_a_second(client):
    """more than five reads a second of a shard are refused, and a later one is served"""
    with Stream(client) as stream:
        iterator = stream.iterator()
        with refused(THROTTLED, "Rate exceeded for shard shardId-000000000000 in stream"):
            for _ in range(20):
                client.get_records(ShardIterator=iterator)
        time.sleep(1.1)
        client.get_records(ShardIterator=iterator)


@suite.case("PutRecords")
def one_hot_shard_leaves_the_others_alone(client):
    """a shard over its limit does not fail records of another shard in the same batch"""
    with Stream(client, shards=2) as stream:
        hot = [{"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": "0"}] * 499
        cold = [{"Data": b"y", "PartitionKey": "k", "ExplicitHashKey": str(RING - 1)}]
        answers = [client.put_records(StreamName=stream.name, Records=hot + cold) for _ in range(5)]
        assert sum(a["FailedRecordCount"] for a in answers) > 0, "the hot shard was never over its limit"
        assert all("ErrorCode" not in a["Records"][-1] for a in answers), "the cold shard was refused"


@suite.case("RegisterStreamConsumer")
def a_stream_has_twenty_consumers(client):
    """a twenty-first consumer is refused"""
    with Stream(client) as stream:
        for number in range(20):
            register(client, stream, f"c{number}")
        with refused("LimitExceededException"):
            client.register_stream_consumer(StreamARN=stream.arn, ConsumerName="one-too-many")


@suite.case("UpdateShardCount")
def a_stream_is_scaled_ten_times_a_day(client):
    """an eleventh UpdateShardCount within a day is refused"""
    with Stream(client, shards=1) as stream:
        with refused("LimitExceededException"):
            for number in range(11):
                client.update_shard_count(StreamName=stream.name, TargetShardCount=2 - number % 2,
                                          ScalingType="UNIFORM_SCALING")
                stream.active()


@suite.case("DescribeStreamSummary", "ListStreams")
def calls_are_held_to_their_rates(client):
    """calls beyond their documented rate are refused, and served a second later"""
    hurried = make_client()
    with Stream(client) as stream:
        text = f"Rate exceeded for stream {stream.name} under account {account_of(stream)}."
        for call, fragment in ((lambda: hurried.describe_stream_summary(StreamName=stream.name), text),
                               (hurried.list_streams, "Rate exceeded for kinesis:ListStreams under account")):
            with refused("LimitExceededException", fragment):
                for _ in range(100):
                    call()
            time.sleep(1.1)
            call()


if __name__ == "__main__":
    finish([suite.run(Unhurried(make_client()))])
