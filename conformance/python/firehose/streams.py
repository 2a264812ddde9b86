"""Delivery streams for cases, and reading what they delivered."""

import gzip
import json
import time

from harness import eventually, fresh_name

ROLE = "arn:aws:iam::000000000000:role/delivery"
MIB = 1 << 20


def bucket_arn(name):
    """The ARN of a bucket."""
    return f"arn:aws:s3:::{name}"


def objects_config(bucket, **more):
    """An S3 destination that does not wait long."""
    return {"RoleARN": ROLE, "BucketARN": bucket_arn(bucket),
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1}, **more}


class DeliveryStream:
    """A delivery stream of its own for one case, deleted when the case ends."""

    def __init__(self, firehose, **configuration):
        self.firehose, self.name = firehose, fresh_name("delivery")
        firehose.create_delivery_stream(DeliveryStreamName=self.name, **configuration)

    def __enter__(self):
        def is_active():
            description = self.describe()
            assert description["DeliveryStreamStatus"] != "CREATING_FAILED", description
            return description["DeliveryStreamStatus"] == "ACTIVE"

        eventually(is_active, "the delivery stream is ACTIVE")
        return self

    def __exit__(self, *_):
        self.firehose.delete_delivery_stream(DeliveryStreamName=self.name, AllowForceDelete=True)

    def describe(self):
        answer = self.firehose.describe_delivery_stream(DeliveryStreamName=self.name)
        return answer["DeliveryStreamDescription"]

    def destination(self):
        return self.describe()["Destinations"][0]

    def put(self, datas):
        """Puts all of them, retrying those that were refused one by one, in order."""
        for start in range(0, len(datas), 500):
            records = [{"Data": data} for data in datas[start:start + 500]]
            for _ in range(50):
                answer = self.firehose.put_record_batch(DeliveryStreamName=self.name, Records=records)
                if not answer["FailedPutCount"]:
                    break
                results = zip(records, answer["RequestResponses"])
                records = [record for record, result in results if "ErrorCode" in result]
                time.sleep(0.05)
            else:
                raise AssertionError("records stay refused")


class Folder:
    """A bucket that is a folder of the server's own."""

    def __init__(self, server, name):
        self.root = server.data / "s3" / name

    def objects(self, prefix=""):
        """Every object with that prefix, by key."""
        if not self.root.exists():
            return {}
        found = {}
        for path in self.root.rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and key.startswith(prefix) and not path.name.startswith("."):
                found[key] = path.read_bytes()
        return found


class Bucket:
    """A bucket of an S3 server."""

    def __init__(self, s3, name):
        self.s3, self.name = s3, name
        s3.create_bucket(Bucket=name)

    def objects(self, prefix=""):
        """Every object with that prefix, by key."""
        found = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            for entry in page.get("Contents", []):
                body = self.s3.get_object(Bucket=self.name, Key=entry["Key"])["Body"]
                found[entry["Key"]] = body.read()
        return found


def by_name(objects):
    """Contents in the order of names, which begin with the moment of the oldest record."""
    return [objects[key] for key in sorted(objects, key=lambda key: key.rsplit("/", 1)[-1])]


def lines(objects, open_object=lambda content: content):
    """All lines of all objects."""
    found = []
    for content in objects.values():
        found += open_object(content).splitlines()
    return found


def gunzip(content):
    """What gzip's own reader makes of it."""
    return gzip.decompress(content)


def wait_for_lines(bucket, count, prefix="", open_object=lambda content: content, seconds=30):
    """The lines of a bucket once there are as many as wanted, and no more a moment later."""
    eventually(lambda: len(lines(bucket.objects(prefix), open_object)) >= count, f"{count} lines in {prefix!r}", seconds)
    time.sleep(1.5)
    return lines(bucket.objects(prefix), open_object)


def numbered(count, size=100, **more):
    """JSON lines that can be told apart and put in order."""
    filling = "x" * size
    return [json.dumps({"number": number, "filling": filling, **more}).encode() + b"\n" for number in range(count)]


def numbers(found):
    """The numbers of such lines."""
    return [json.loads(line)["number"] for line in found]
