"""`millstream firehose status`: what a person sees of the deliveries, from a real server."""

import json
import subprocess
import time

from durability.server import BINARY
from harness import equal, eventually, fresh_name

from .destinations import http_config
from .endpoints import HttpEndpoint
from .streams import DeliveryStream, objects_config


def run(site, *arguments):
    """The command, at its end."""
    line = [BINARY, "firehose", "status", "--endpoint-url", site.alone.endpoint, *arguments]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


def status(site, *arguments):
    """What the command prints."""
    done = run(site, *arguments)
    equal(done.returncode, 0, f"exit code, with {done.stderr!r}")
    return done.stdout


def told(site, name):
    """One delivery stream's status as a program reads it."""
    (stream,) = json.loads(status(site, name, "-o", "json"))["delivery_streams"]
    return stream


def status_counts_what_was_delivered(site):
    """`firehose status` counts what came in, what is delivered and what waits"""
    bucket = fresh_name("bucket")
    with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=objects_config(bucket)) as stream:
        records = [{"Data": b"0123456789"} for _ in range(40)]
        site.firehose.put_record_batch(DeliveryStreamName=stream.name, Records=records)
        settled = {"delivered_records": 40, "waiting_records": 0}
        now = eventually(lambda: (it := told(site, stream.name)) | settled == it and it, "40 are delivered")
        equal({key: now[key] for key in ("name", "status", "source", "destination", "read_records", "delivered_bytes",
                                         "data_freshness_ms", "errors", "holds")},
              {"name": stream.name, "status": "ACTIVE", "source": "DirectPut", "destination": "S3", "read_records": 40,
               "delivered_bytes": 400, "data_freshness_ms": 0, "errors": [], "holds": True})
        (row,) = [line for line in status(site).splitlines() if line.startswith(stream.name)]
        equal(row.split(), [stream.name, "ACTIVE", "puts", "S3", "40", "40", "0", "-", "0"])
    # It is DELETING for a moment, and told so.
    gone = eventually(lambda: (it := run(site, stream.name)).returncode and it, "it is gone")
    equal(gone.returncode, 1)
    assert "no delivery stream is called" in gone.stderr, gone.stderr


def status_tells_what_goes_wrong(site):
    """`firehose status` tells a destination's errors in its own words, and how old the oldest record is"""
    endpoint = HttpEndpoint()
    endpoint.fault = lambda: 500
    try:
        config = http_config(endpoint, fresh_name("bucket"), RetryOptions={"DurationInSeconds": 600})
        with DeliveryStream(site.firehose, HttpEndpointDestinationConfiguration=config) as stream:
            stream.put([b"a"])
            now = eventually(lambda: (it := told(site, stream.name))["errors"] and it, "an error is told")
            error = now["errors"][-1]
            equal(error["log"], "DestinationDelivery")
            assert "told to fail" in error["message"], error
            equal(now["waiting_records"], 1)
            assert now["data_freshness_ms"] > 0, now
            page = status(site, stream.name)
            assert error["code"] in page and "told to fail" in page, page
    finally:
        endpoint.stop()


def status_follows(site):
    """`firehose status -f` looks again and again, and ends at Ctrl-C as if nothing had happened"""
    with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=objects_config(fresh_name("bucket"))) as stream:
        line = [BINARY, "firehose", "status", "-f", "-o", "json", "--endpoint-url", site.alone.endpoint, stream.name]
        with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            try:
                looks = [json.loads(process.stdout.readline())["at_ms"] for _ in range(3)]
                assert looks == sorted(set(looks)), looks
                process.send_signal(2)
                deadline = time.monotonic() + 10
                while process.poll() is None:
                    assert time.monotonic() < deadline, "it does not end"
                    time.sleep(0.02)
                equal(process.returncode, 0)
            finally:
                process.kill()


CASES = [
    (["DescribeDeliveryStream"], status_counts_what_was_delivered),
    (["DescribeDeliveryStream"], status_tells_what_goes_wrong),
    (["DescribeDeliveryStream"], status_follows),
]
