"""The AWS CLI, unmodified, with nothing but an endpoint: what a person types."""

import base64
import json
import os
import subprocess
import sys
import tempfile

from harness import ENDPOINT, REGION, RING, Suite, equal, eventually, finish, fresh_name

suite = Suite("AWS CLI", "JSON")
firehose = Suite("AWS CLI", "JSON", "firehose")
ROLE = "arn:aws:iam::000000000000:role/delivery"

# The entry point of the pinned package in this very environment, whatever else is on the path.
ENTRY = "import sys; from awscli.clidriver import main; sys.exit(main())"


def run(command, *arguments, service="kinesis"):
    """Runs one command of a service and gives (exit status, output, errors)."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": tempfile.gettempdir(),
        "AWS_ACCESS_KEY_ID": "conformance",
        "AWS_SECRET_ACCESS_KEY": "conformance",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    line = [sys.executable, "-c", ENTRY, "--endpoint-url", ENDPOINT, service, command, *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def aws(command, *arguments, service="kinesis"):
    """Runs one command that must succeed and gives its parsed output."""
    status, output, errors = run(command, *arguments, service=service)
    assert status == 0, f"{command}: exit {status}: {errors}"
    return json.loads(output) if output.strip() else None


class Stream:
    """A stream of its own for one case."""

    def __init__(self, shards=None):
        self.name = fresh_name("cli")
        self.at = ("--stream-name", self.name)
        aws("create-stream", *self.at, *(("--shard-count", str(shards)) if shards else ()))

    def __enter__(self):
        aws("wait", "stream-exists", *self.at)
        self.active()
        return self

    def __exit__(self, *_):
        aws("delete-stream", *self.at, "--enforce-consumer-deletion")

    def summary(self):
        return aws("describe-stream-summary", *self.at)["StreamDescriptionSummary"]

    def active(self):
        eventually(lambda: self.summary()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")

    def read(self, shard):
        iterator = aws("get-shard-iterator", *self.at, "--shard-id", shard, "--shard-iterator-type", "TRIM_HORIZON")
        answer = aws("get-records", "--shard-iterator", iterator["ShardIterator"])
        return [base64.b64decode(r["Data"]) for r in answer["Records"]]


@suite.case("CreateStream", "PutRecord", "PutRecords", "GetShardIterator", "GetRecords", "DescribeStreamSummary",
            "DeleteStream", "ListStreams")
def the_first_five_minutes():
    """create-stream, put-record, put-records, get-shard-iterator, get-records"""
    with Stream(1) as stream:
        assert stream.name in aws("list-streams")["StreamNames"]
        put = aws("put-record", *stream.at, "--partition-key", "a", "--data", "one")
        equal(put["ShardId"], "shardId-000000000000", "shard")
        records = json.dumps([
            {"Data": text, "PartitionKey": "a"} for text in ("two", "three")
        ])
        batch = aws("put-records", *stream.at, "--records", records)
        equal(batch["FailedRecordCount"], 0, "failed")
        equal(stream.read("shardId-000000000000"), [b"one", b"two", b"three"], "records")


@suite.case("ListShards", "SplitShard", "MergeShards", "UpdateShardCount", "DescribeStream")
def a_reshard():
    """list-shards, split-shard, merge-shards, update-shard-count, describe-stream"""
    with Stream(1) as stream:
        aws("split-shard", *stream.at, "--shard-to-split", "shardId-000000000000",
            "--new-starting-hash-key", str(RING // 2))
        stream.active()
        shards = aws("list-shards", *stream.at)["Shards"]
        equal(len(shards), 3, "shards after the split")
        aws("merge-shards", *stream.at, "--shard-to-merge", shards[1]["ShardId"],
            "--adjacent-shard-to-merge", shards[2]["ShardId"])
        stream.active()
        described = aws("describe-stream", *stream.at)["StreamDescription"]["Shards"]
        equal(len(described), 4, "shards after the merge")
        equal(described[3]["ParentShardId"], shards[1]["ShardId"], "parent")
        aws("update-shard-count", *stream.at, "--target-shard-count", "2", "--scaling-type", "UNIFORM_SCALING")
        stream.active()
        equal(stream.summary()["OpenShardCount"], 2, "open shards")


@suite.case("RegisterStreamConsumer", "ListStreamConsumers", "DescribeStreamConsumer", "DeregisterStreamConsumer")
def consumers():
    """register-, list-, describe- and deregister-stream-consumer"""
    with Stream(1) as stream:
        arn = stream.summary()["StreamARN"]
        consumer = aws("register-stream-consumer", "--stream-arn", arn, "--consumer-name", "app")["Consumer"]
        listed = aws("list-stream-consumers", "--stream-arn", arn)["Consumers"]
        equal([c["ConsumerName"] for c in listed], ["app"], "consumers")
        at = ("--consumer-arn", consumer["ConsumerARN"])
        described = aws("describe-stream-consumer", *at)["ConsumerDescription"]
        equal(described["StreamARN"], arn, "stream")
        aws("deregister-stream-consumer", *at)


@suite.case("AddTagsToStream", "ListTagsForStream", "RemoveTagsFromStream", "IncreaseStreamRetentionPeriod",
            "DecreaseStreamRetentionPeriod", "EnableEnhancedMonitoring", "DisableEnhancedMonitoring",
            "StartStreamEncryption", "StopStreamEncryption", "DescribeLimits")
def settings_by_name():
    """tags, retention, monitoring, encryption, limits"""
    with Stream(1) as stream:
        aws("add-tags-to-stream", *stream.at, "--tags", "a=1,b=2")
        aws("remove-tags-from-stream", *stream.at, "--tag-keys", "a")
        equal(aws("list-tags-for-stream", *stream.at)["Tags"], [{"Key": "b", "Value": "2"}], "tags")
        for command, hours in (("increase", 48), ("decrease", 24)):
            aws(f"{command}-stream-retention-period", *stream.at, "--retention-period-hours", str(hours))
            stream.active()
            equal(stream.summary()["RetentionPeriodHours"], hours, "retention")
        for command in ("enable", "disable"):
            aws(f"{command}-enhanced-monitoring", *stream.at, "--shard-level-metrics", "ALL")
            stream.active()
        for command, kind in (("start", "KMS"), ("stop", "NONE")):
            aws(f"{command}-stream-encryption", *stream.at, "--encryption-type", "KMS",
                "--key-id", "alias/aws/kinesis")
            stream.active()
            equal(stream.summary()["EncryptionType"], kind, "encryption")
        assert aws("describe-limits")["OpenShardCount"] >= 1


@suite.case("UpdateStreamMode", "PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy", "TagResource",
            "UntagResource", "ListTagsForResource", "UpdateMaxRecordSize", "UpdateStreamWarmThroughput",
            "DescribeAccountSettings", "UpdateAccountSettings")
def settings_by_arn():
    """mode, policy, tags by ARN, record size, warm throughput, account settings"""
    with Stream() as stream:
        arn = stream.summary()["StreamARN"]
        resource = ("--resource-arn", arn)
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": arn.split(":")[4]}, "Action": "kinesis:PutRecord",
            "Resource": arn}]})
        aws("put-resource-policy", *resource, "--policy", policy)
        equal(json.loads(aws("get-resource-policy", *resource)["Policy"]), json.loads(policy), "policy")
        aws("delete-resource-policy", *resource)
        aws("tag-resource", *resource, "--tags", "a=1,b=2")
        aws("untag-resource", *resource, "--tag-keys", "b")
        equal(aws("list-tags-for-resource", *resource)["Tags"], [{"Key": "a", "Value": "1"}], "tags")
        at = ("--stream-arn", arn)
        aws("update-max-record-size", *at, "--max-record-size-in-ki-b", "2048")
        stream.active()
        equal(stream.summary()["MaxRecordSizeInKiB"], 2048, "record size")
        aws("update-stream-mode", *at, "--stream-mode-details", "StreamMode=ON_DEMAND")
        stream.active()
        aws("update-account-settings", "--minimum-throughput-billing-commitment", "Status=ENABLED")
        described = aws("describe-account-settings")["MinimumThroughputBillingCommitment"]
        equal(described["Status"], "ENABLED", "commitment")
        aws("update-stream-warm-throughput", *at, "--warm-throughput-mi-bps", "8")
        stream.active()
        equal(stream.summary()["WarmThroughput"]["TargetMiBps"], 8, "warm throughput")


@suite.case("DescribeStream")
def an_error_is_told():
    """an error is printed with its code and text, and the exit status says so"""
    status, _, errors = run("describe-stream", "--stream-name", fresh_name("missing"))
    assert status not in (0, 1), status
    assert "(ResourceNotFoundException)" in errors, errors
    assert "not found" in errors, errors


def deliver(command, *arguments):
    """Runs one command of Firehose that must succeed."""
    return aws(command, *arguments, service="firehose")


class Delivery:
    """A delivery stream of its own for one case."""

    def __init__(self):
        self.name = fresh_name("cli")
        self.at = ("--delivery-stream-name", self.name)
        destination = f"RoleARN={ROLE},BucketARN=arn:aws:s3:::{fresh_name()},BufferingHints={{SizeInMBs=7,IntervalInSeconds=61}}"
        self.arn = deliver("create-delivery-stream", *self.at, "--delivery-stream-type", "DirectPut", "--tags",
                           "Key=a,Value=1", "--extended-s3-destination-configuration", destination)["DeliveryStreamARN"]

    def __enter__(self):
        eventually(lambda: self.describe()["DeliveryStreamStatus"] == "ACTIVE", "the delivery stream is ACTIVE")
        return self

    def __exit__(self, *_):
        deliver("delete-delivery-stream", *self.at, "--allow-force-delete")

    def describe(self):
        return deliver("describe-delivery-stream", *self.at)["DeliveryStreamDescription"]


@firehose.case("CreateDeliveryStream", "DescribeDeliveryStream", "ListDeliveryStreams", "PutRecord", "PutRecordBatch",
               "DeleteDeliveryStream")
def the_first_delivery():
    """create-, describe- and list-delivery-stream(s), put-record, put-record-batch, delete-delivery-stream"""
    with Delivery() as delivery:
        described = delivery.describe()
        equal(described["DeliveryStreamARN"], delivery.arn, "ARN")
        told = described["Destinations"][0]["ExtendedS3DestinationDescription"]
        equal(told["BufferingHints"], {"SizeInMBs": 7, "IntervalInSeconds": 61}, "hints")
        assert delivery.name in deliver("list-delivery-streams", "--limit", "10000")["DeliveryStreamNames"]
        one = deliver("put-record", *delivery.at, "--record", '{"Data": "one\\n"}')
        assert one["RecordId"] and one["Encrypted"] is False, one
        records = json.dumps([{"Data": text} for text in ("two\n", "three\n")])
        batch = deliver("put-record-batch", *delivery.at, "--records", records)
        equal(batch["FailedPutCount"], 0, "failed")
        equal(len({one["RecordId"], *(each["RecordId"] for each in batch["RequestResponses"])}), 3, "ids")
        name = delivery.name
    eventually(lambda: name not in deliver("list-delivery-streams", "--limit", "10000")["DeliveryStreamNames"],
               "the delivery stream is gone")


@firehose.case("UpdateDestination", "TagDeliveryStream", "UntagDeliveryStream", "ListTagsForDeliveryStream",
               "StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption")
def settings_of_a_delivery():
    """update-destination, tags, encryption"""
    with Delivery() as delivery:
        described = delivery.describe()
        deliver("update-destination", *delivery.at, "--current-delivery-stream-version-id", described["VersionId"],
                "--destination-id", described["Destinations"][0]["DestinationId"],
                "--extended-s3-destination-update", "CompressionFormat=GZIP")
        described = delivery.describe()
        equal(described["VersionId"], "2", "version")
        told = described["Destinations"][0]["ExtendedS3DestinationDescription"]
        equal((told["CompressionFormat"], told["BufferingHints"]["SizeInMBs"]), ("GZIP", 7), "destination")
        deliver("tag-delivery-stream", *delivery.at, "--tags", "Key=b,Value=2", "Key=c,Value=3")
        deliver("untag-delivery-stream", *delivery.at, "--tag-keys", "a", "c")
        tags = deliver("list-tags-for-delivery-stream", *delivery.at)["Tags"]
        equal(tags, [{"Key": "b", "Value": "2"}], "tags")
        status = lambda: delivery.describe()["DeliveryStreamEncryptionConfiguration"]["Status"]  # noqa: E731
        deliver("start-delivery-stream-encryption", *delivery.at,
                "--delivery-stream-encryption-configuration-input", "KeyType=AWS_OWNED_CMK")
        eventually(lambda: status() == "ENABLED", "ENABLED")
        deliver("stop-delivery-stream-encryption", *delivery.at)
        eventually(lambda: status() == "DISABLED", "DISABLED")


@firehose.case("PutRecord")
def an_error_of_firehose_is_told():
    """an error is printed with its code and text, and the exit status says so"""
    name = fresh_name("missing")
    status, _, errors = run("put-record", "--delivery-stream-name", name, "--record", '{"Data": "x"}', service="firehose")
    assert status not in (0, 1), status
    assert "(ResourceNotFoundException)" in errors and name in errors, errors


if __name__ == "__main__":
    finish([suite.run(), firehose.run()])
