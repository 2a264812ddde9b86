"""SubscribeToShard as bytes: frames, headers, payloads, in both encodings."""

import base64
import http.client
import json
import threading
import time

from botocore.eventstream import EventStreamBuffer

from harness import Suite, equal, eventually, fresh_name
from . import cbor, model
from .protocol import ADDRESS, CBOR, CONTENT_TYPES, JSON, TARGET_PREFIX, must, sign, write


class Frames:
    """A subscription read frame by frame."""

    def __init__(self, encoding, value):
        body = write(encoding, value)
        headers = {"Content-Type": CONTENT_TYPES[encoding], "X-Amz-Target": f"{TARGET_PREFIX}.SubscribeToShard"}
        self.encoding, self.frames, self.ended, self.error = encoding, [], False, None
        self.link = http.client.HTTPConnection(ADDRESS.hostname, ADDRESS.port, timeout=30)
        self.link.request("POST", "/", body=body, headers=sign(headers, body))
        self.response = self.link.getresponse()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        buffer = EventStreamBuffer()
        try:
            while chunk := self.response.read1(65536):
                buffer.add_data(chunk)
                self.frames += list(buffer)
        except Exception as error:  # noqa: BLE001 - told by whoever looks at it
            self.error = error
        self.ended = True

    def payload(self, frame):
        if self.encoding == CBOR:
            return cbor.decode(frame.payload)
        return json.loads(frame.payload)

    def events(self):
        kinds = [(f, f.headers.get(":event-type")) for f in list(self.frames)]
        return [self.payload(f) for f, kind in kinds if kind == "SubscribeToShardEvent"]

    def data(self):
        found = [r["Data"] for event in self.events() for r in event["Records"]]
        return [base64.b64decode(d) for d in found] if self.encoding == JSON else found

    def close(self):
        self.link.close()


def subscribed(encoding, records=(b"\x00\xff",)):
    """A stream with a consumer and a subscription to its shard."""
    name = fresh_name("fanout")
    must("CreateStream", {"StreamName": name, "ShardCount": 1})
    summary = lambda: must("DescribeStreamSummary", {"StreamName": name})["StreamDescriptionSummary"]  # noqa: E731
    eventually(lambda: summary()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")
    for data in records:
        must("PutRecord", {"StreamName": name, "Data": data, "PartitionKey": "k"})
    arn = must("RegisterStreamConsumer", {"StreamARN": summary()["StreamARN"], "ConsumerName": "c"})["Consumer"]
    described = {"ConsumerARN": arn["ConsumerARN"]}
    status = lambda: must("DescribeStreamConsumer", described)["ConsumerDescription"]["ConsumerStatus"]  # noqa: E731
    eventually(lambda: status() == "ACTIVE", "the consumer is ACTIVE")
    start = {**described, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "TRIM_HORIZON"}}
    return name, start, Frames(encoding, start)


def end(name, frames):
    """Lets go of both."""
    frames.close()
    must("DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True})


def frames_are_formed(encoding):
    """the first frame is the initial response, each event names its type and its encoding"""
    name, _, frames = subscribed(encoding)
    equal(frames.response.status, 200, "status")
    equal(frames.response.getheader("content-type"), "application/vnd.amazon.eventstream", "content type")
    assert frames.response.getheader("x-amzn-requestid"), frames.response.getheaders()
    eventually(lambda: frames.data() == [b"\x00\xff"], "the record", 10)
    first, second = frames.frames[:2]
    equal((first.headers[":message-type"], first.headers[":event-type"]), ("event", "initial-response"), "first frame")
    equal((second.headers[":message-type"], second.headers[":event-type"]), ("event", "SubscribeToShardEvent"), "second")
    allowed = {CONTENT_TYPES[encoding], "application/json" if encoding == JSON else CONTENT_TYPES[CBOR]}
    assert second.headers[":content-type"] in allowed, second.headers
    shape = model.output_of("SubscribeToShard").members["EventStream"].members["SubscribeToShardEvent"]
    for event in frames.events():
        model.check(shape, event, encoding, "event")
    end(name, frames)


def a_record_is_pushed_at_once(encoding):
    """ten records put one by one reach the subscriber without being asked for"""
    name, _, frames = subscribed(encoding, records=())
    eventually(lambda: frames.frames, "the initial response", 10)
    delays = []
    for number in range(10):
        started = time.monotonic()
        must("PutRecord", {"StreamName": name, "Data": bytes([number]), "PartitionKey": "k"})
        eventually(lambda n=number: len(frames.data()) > n, f"record {number}", 5)
        delays.append(time.monotonic() - started)
    equal(frames.data(), [bytes([n]) for n in range(10)], "records")
    assert sorted(delays)[5] < 0.5, delays
    end(name, frames)


def a_quiet_shard_still_speaks(encoding):
    """a quiet shard sends an event at least every few seconds, each with where to go on"""
    name, _, frames = subscribed(encoding)
    eventually(lambda: frames.data() == [b"\x00\xff"], "the record", 10)
    for _ in range(2):
        before = len(frames.events())
        eventually(lambda b=before: len(frames.events()) > b, "another event", 8)  # noqa: B023
    equal(frames.error, None, "error")
    assert not frames.ended
    for event in frames.events():
        assert event["ContinuationSequenceNumber"].isdigit(), event
        assert not event.get("ChildShards"), event
    end(name, frames)


def a_shard_ends(encoding):
    """a subscription to a shard that is closed ends cleanly, with its children and without a continuation"""
    name, _, frames = subscribed(encoding)
    eventually(lambda: frames.data(), "the record", 10)
    must("SplitShard", {"StreamName": name, "ShardToSplit": "shardId-0", "NewStartingHashKey": str(2**127)})
    eventually(lambda: frames.ended, "the end", 15)
    equal(frames.error, None, "error")
    last = frames.events()[-1]
    equal(sorted(c["ShardId"] for c in last["ChildShards"]), ["shardId-000000000001", "shardId-000000000002"], "children")
    assert not last.get("ContinuationSequenceNumber"), last
    assert all(e.get("ContinuationSequenceNumber") for e in frames.events()[:-1])
    end(name, frames)


def a_deleted_stream_ends_it(encoding):
    """when the stream is deleted the subscription ends, with a modelled exception or cleanly"""
    name, _, frames = subscribed(encoding)
    eventually(lambda: frames.data(), "the record", 10)
    must("DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True})
    eventually(lambda: frames.ended, "the end", 15)
    equal(frames.error, None, "error")
    last = frames.frames[-1]
    if last.headers[":message-type"] == "exception":
        equal(last.headers[":exception-type"], "ResourceNotFoundException", "exception")
        assert "message" in frames.payload(last), last
    frames.close()


def a_second_one_is_refused(encoding):
    """a second subscription within five seconds is refused in the request's encoding"""
    name, start, frames = subscribed(encoding)
    eventually(lambda: frames.data(), "the record", 10)
    second = Frames(encoding, start)
    eventually(lambda: second.ended, "the end of the second", 10)
    if second.response.status == 200:
        kinds = [f.headers.get(":exception-type") for f in second.frames]
        assert "ResourceInUseException" in kinds, kinds
    else:
        equal(second.response.status, 400, "status")
        equal(second.response.getheader("content-type"), CONTENT_TYPES[encoding], "content type")
    assert not frames.ended, "the first was ended"
    end(name, frames)


CASES = (frames_are_formed, a_record_is_pushed_at_once, a_quiet_shard_still_speaks, a_shard_ends,
         a_deleted_stream_ends_it, a_second_one_is_refused)


def suites():
    """One suite an encoding."""
    found = []
    for encoding in (JSON, CBOR):
        suite = Suite("raw wire", encoding)
        for case in CASES:
            suite.add(["SubscribeToShard"], case.__doc__, lambda c=case, e=encoding: c(e))
        found.append(suite)
    return found
