"""Answers that come when nobody waits for them any more. It takes three minutes, so other cases run meanwhile."""

import base64
import json
import time

from harness import equal, eventually, fresh_name

from .destinations import HINTS, http_config
from .endpoints import HttpEndpoint, Splunk
from .faults import json_lines
from .streams import DeliveryStream, Folder, numbered, numbers, objects_config

JSON = {"Content-Type": "application/json"}


def said(answer, **headers):
    """An answer as a destination gives it."""
    return 200, {**JSON, **headers}, json.dumps(answer).encode()


def splunk_config(collector, backup, seconds=60):
    """A Splunk destination."""
    return {"HECEndpoint": collector.url, "HECEndpointType": "Raw", "HECToken": collector.token,
            "HECAcknowledgmentTimeoutInSeconds": 180, "RetryOptions": {"DurationInSeconds": seconds},
            "BufferingHints": HINTS, "S3BackupMode": "FailedEventsOnly", "S3Configuration": objects_config(backup)}


class Late:
    """Two such destinations, and what was put for them."""

    def __init__(self, site):
        self.site, self.began = site, time.monotonic()
        self.endpoint, self.splunk = HttpEndpoint(), Splunk("11111111-2222-3333-4444-555555555555")
        self.endpoint.fail(self.too_late)
        self.splunk.acknowledges = False
        self.backups = [fresh_name("backup"), fresh_name("backup")]
        firehose, (first, second) = site.alone.firehose(), self.backups
        self.streams = [
            DeliveryStream(firehose, HttpEndpointDestinationConfiguration=http_config(self.endpoint, first)).__enter__(),
            DeliveryStream(firehose, SplunkDestinationConfiguration=splunk_config(self.splunk, second, 0)).__enter__()]
        for stream in self.streams:
            stream.put(numbered(100))

    def too_late(self, answer, take):
        take()
        time.sleep(183)
        return said(answer)


def late(site):
    """What was begun with the first case that asked for it."""
    if not hasattr(site, "late"):
        site.late = Late(site)
    return site.late


def answers_that_come_too_late_cost_no_record(site):
    """an endpoint that answers after three minutes is asked again; events that Splunk never acknowledges are backed up"""
    waiting = late(site)
    endpoint, splunk, (first, second) = waiting.endpoint, waiting.splunk, waiting.backups
    try:
        eventually(lambda: len(endpoint.requests) >= 2, "the endpoint is asked again", 240)
        (then, first_id, _), (again, second_id, _) = endpoint.requests[:2]
        assert 178 < again - then < 200, f"asked again after {again - then:.0f} s"
        equal(first_id, second_id, "ids of the two requests")
        equal(sorted(numbers(endpoint.accepted)), list(range(100)))
        equal(Folder(site.alone, first).objects(), {}, "what of the endpoint's went to the backup")
        eventually(lambda: Folder(site.alone, second).objects(), "a backup of what was not acknowledged", 60)
        documents = json_lines(Folder(site.alone, second).objects().values())
        equal(sorted(json.loads(base64.b64decode(document["rawData"]))["number"] for document in documents), list(range(100)))
        assert all(document["errorCode"] == "Splunk.AckTimeout" for document in documents), documents[0]
    finally:
        for stream in waiting.streams:
            stream.__exit__()
        endpoint.stop()
        splunk.stop()


CASES = [
    (("PutRecordBatch",), answers_that_come_too_late_cost_no_record),
]
