"""Iterators: opaque, sealed, usable again, and worth nothing when a single bit is changed."""

import base64
import time

from harness import Suite, equal, eventually, fresh_name
from .protocol import CBOR, JSON, Millis, call, must


def make_stream(shards=1):
    """A stream with three records on its first shard."""
    name = fresh_name("iterators")
    must("CreateStream", {"StreamName": name, "ShardCount": shards})
    status = lambda: must("DescribeStreamSummary", {"StreamName": name})["StreamDescriptionSummary"]  # noqa: E731
    eventually(lambda: status()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")
    for data in (b"1", b"2", b"3"):
        must("PutRecord", {"StreamName": name, "Data": data, "PartitionKey": "k", "ExplicitHashKey": "0"})
    return name


def iterator_of(name, shard="shardId-000000000000", kind="TRIM_HORIZON", **options):
    """A fresh iterator."""
    start = {"StreamName": name, "ShardId": shard, "ShardIteratorType": kind, **options}
    return must("GetShardIterator", start)["ShardIterator"]


def refuse(iterator, what, encoding=JSON):
    """An iterator that must not be taken."""
    answer = call("GetRecords", {"ShardIterator": iterator}, encoding)
    equal((answer.status, answer.code, answer.message),
          (400, "InvalidArgumentException", "Invalid ShardIterator."), f"answer to {what}: {answer!r}")


def every_byte_counts():
    """an iterator with any one bit of any byte changed is refused"""
    name = make_stream()
    iterator = iterator_of(name)
    raw = base64.b64decode(iterator, validate=True)
    for at in range(len(raw)):
        broken = bytearray(raw)
        broken[at] ^= 1 << at % 8
        refuse(base64.b64encode(broken).decode(), f"byte {at} changed", (JSON, CBOR)[at % 2])
    equal(len(must("GetRecords", {"ShardIterator": iterator})["Records"]), 3, "records of the true one")
    must("DeleteStream", {"StreamName": name})


def every_length_counts():
    """an iterator cut at any byte, or with bytes added, is refused"""
    name = make_stream()
    raw = base64.b64decode(iterator_of(name))
    for length in range(1, len(raw)):
        refuse(base64.b64encode(raw[:length]).decode(), f"{length} of {len(raw)} bytes")
    for extra in (b"\0", raw[:16], b"\0" * 16):
        refuse(base64.b64encode(raw + extra).decode(), f"{len(extra)} bytes more")
    must("DeleteStream", {"StreamName": name})


def halves_do_not_mix():
    """the halves of two true iterators make no third one"""
    name = make_stream(2)
    one = base64.b64decode(iterator_of(name))
    two = base64.b64decode(iterator_of(name, "shardId-000000000001"))
    for at in range(8, min(len(one), len(two)), 8):
        mixed = one[:at] + two[at:]
        if mixed not in (one, two):
            refuse(base64.b64encode(mixed).decode(), f"a mix at {at}")
    must("DeleteStream", {"StreamName": name})


def a_form_is_kept():
    """an iterator is base64, begins with its version, and fits the model's 512 characters"""
    name = make_stream()
    for iterator in (iterator_of(name), iterator_of(name, kind="LATEST")):
        assert len(iterator) <= 512, len(iterator)
        raw = base64.b64decode(iterator, validate=True)
        equal(base64.b64encode(raw).decode(), iterator, "canonical base64")
        equal(raw[:8].hex(), "0000000000000001", "version")
    must("DeleteStream", {"StreamName": name})


def an_iterator_is_used_again():
    """an iterator gives the same records each time, and its successors go on from there"""
    name = make_stream()
    iterator = iterator_of(name)
    answers = [must("GetRecords", {"ShardIterator": iterator, "Limit": 2}) for _ in range(3)]
    for answer in answers:
        equal([r["SequenceNumber"] for r in answer["Records"]],
              [r["SequenceNumber"] for r in answers[0]["Records"]], "records")
        rest = must("GetRecords", {"ShardIterator": answer["NextShardIterator"]})["Records"]
        equal([base64.b64decode(r["Data"]) for r in rest], [b"3"], "the rest")
    must("DeleteStream", {"StreamName": name})


def latest_misses_nothing():
    """LATEST on a quiet shard delivers the next record, however many empty reads lie between"""
    name = make_stream()
    iterator = iterator_of(name, kind="LATEST")
    for _ in range(5):
        answer = must("GetRecords", {"ShardIterator": iterator})
        equal((answer["Records"], answer["MillisBehindLatest"]), ([], 0), "a quiet shard")
        iterator = answer["NextShardIterator"]
    must("PutRecord", {"StreamName": name, "Data": b"4", "PartitionKey": "k"})
    found = must("GetRecords", {"ShardIterator": iterator})["Records"]
    equal([base64.b64decode(r["Data"]) for r in found], [b"4"], "the next record")
    must("DeleteStream", {"StreamName": name})


def a_stream_made_again_is_another():
    """neither iterators nor sequence numbers of a deleted stream work on its successor"""
    name = make_stream()
    iterator = iterator_of(name)
    number = must("GetRecords", {"ShardIterator": iterator})["Records"][0]["SequenceNumber"]
    must("DeleteStream", {"StreamName": name})
    eventually(lambda: call("DescribeStream", {"StreamName": name}, JSON).status == 400, "the stream is gone")
    answer = call("GetRecords", {"ShardIterator": iterator}, JSON)
    equal((answer.status, answer.code), (400, "ResourceNotFoundException"), f"answer {answer!r}")
    time.sleep(1.1)  # A shard's numbers tell its creation in whole seconds.
    must("CreateStream", {"StreamName": name, "ShardCount": 1})
    status = lambda: must("DescribeStreamSummary", {"StreamName": name})["StreamDescriptionSummary"]  # noqa: E731
    eventually(lambda: status()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")
    answer = call("GetRecords", {"ShardIterator": iterator}, JSON)
    assert answer.status == 400, f"the old iterator was taken: {answer!r}"
    start = {"StreamName": name, "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_SEQUENCE_NUMBER",
             "StartingSequenceNumber": number}
    answer = call("GetShardIterator", start, JSON)
    equal((answer.status, answer.code), (400, "InvalidArgumentException"), f"answer {answer!r}")
    assert "because it did not come from this stream." in answer.message, answer.message
    must("DeleteStream", {"StreamName": name})


def a_moment_is_exact():
    """AT_TIMESTAMP splits records that are two milliseconds apart"""
    name = make_stream()
    records = must("GetRecords", {"ShardIterator": iterator_of(name)})["Records"]
    for position, record in enumerate(records):
        millis = round(record["ApproximateArrivalTimestamp"] * 1000)
        found = must("GetRecords", {"ShardIterator": iterator_of(name, kind="AT_TIMESTAMP", Timestamp=Millis(millis))})
        first = next(r for r in records if round(r["ApproximateArrivalTimestamp"] * 1000) >= millis)
        equal(found["Records"][0]["SequenceNumber"], first["SequenceNumber"], f"record {position}")
    must("DeleteStream", {"StreamName": name})


CASES = (every_byte_counts, every_length_counts, halves_do_not_mix, a_form_is_kept, an_iterator_is_used_again,
         latest_misses_nothing, a_stream_made_again_is_another, a_moment_is_exact)


def suites():
    """One suite; iterators are the same in every encoding."""
    suite = Suite("raw wire", JSON)
    for case in CASES:
        suite.add(["GetShardIterator", "GetRecords"], case.__doc__, case)
    return [suite]
