"""Bodies made to hurt: each is answered with a modelled error, in the request's encoding, at once.

Never a 500, never a dropped connection, never more than a tenth of a second for a megabyte, and
nothing half applied.
"""

import os

from harness import Suite, equal, eventually, fresh_name
from . import cbor, model
from .protocol import CBOR, CONTENT_TYPES, JSON, call, must, raw_call, write

MIB = 1 << 20
# For a machine that does other things at the same time; what is promised is 0.1.
SECONDS_MAX = float(os.environ.get("CONFORMANCE_HOSTILE_SECONDS", "0.1"))
COMMON = {"SerializationException", "ValidationException", "InvalidArgumentException", "RequestEntityTooLargeException"}


def _fill(pattern, size=MIB):
    return (pattern * (size // len(pattern) + 1))[:size]


def _member(value, name=b"StreamName"):
    """A document whose one member has these bytes as its value."""
    return b'{"' + name + b'":' + value + b"}"


JSON_BODIES = {
    "opening brackets": _fill(b"["),
    "opening braces with keys": _fill(b'{"a":'),
    "a list nested in a known member": _member(_fill(b"["), b"Records"),
    "an unknown member nested deeply and closed": _member(b"[" * 400_000 + b"]" * 400_000, b"Unknown"),
    "maps nested deeply and closed": _member(b'{"a":' * 150_000 + b"1" + b"}" * 150_000, b"Tags"),
    "a string without an end": b'{"StreamName":"' + _fill(b"a"),
    "backslashes without an end": b'{"StreamName":"' + _fill(b"\\\\"),
    "a name of a megabyte": _member(b'"' + _fill(b"a") + b'"'),
    "a name of escapes": _member(b'"' + _fill(b"\\u0000") + b'"'),
    "half an escape": _member(b'"\\u12"'),
    "a lone high surrogate": _member(b'"\\ud800"'),
    "a lone low surrogate": _member(b'"\\udc00"'),
    "surrogates the wrong way round": _member(b'"\\udc00\\ud800"'),
    "invalid UTF-8": _member(b'"' + _fill(b"\xff") + b'"'),
    "overlong UTF-8": _member(b'"\xc0\xaf\xe0\x80\xaf"'),
    "UTF-8 surrogates": _member(b'"\xed\xa0\x80"'),
    "a control character": _member(b'"a\x01b"'),
    "a NUL": b'{"StreamName":"a"\0}',
    "a byte order mark": b"\xef\xbb\xbf[",
    "UTF-16": '{"StreamName":"a"'.encode("utf-16"),
    "a number of a megabyte": _member(_fill(b"9"), b"ShardCount"),
    "a fraction of a megabyte": _member(b"0." + _fill(b"1"), b"ShardCount"),
    "a huge exponent": _member(b"1e999999999", b"ShardCount"),
    "a small exponent": _member(b"-1e-999999999", b"ShardCount"),
    "a number beyond 64 bits": _member(b"18446744073709551616", b"ShardCount"),
    "minus nothing": _member(b"-", b"ShardCount"),
    "a leading zero": _member(b"01", b"ShardCount"),
    "NaN": _member(b"NaN", b"ShardCount"),
    "Infinity": _member(b"Infinity", b"ShardCount"),
    "bad base64 of a megabyte": _member(b'"' + _fill(b"!") + b'"', b"Data"),
    "base64 of a wrong length": _member(b'"' + _fill(b"A", MIB + 1) + b'"', b"Data"),
    "bad base64 in a record": b'{"Records":[{"PartitionKey":"a","Data":"***"}]}',
    "a hundred thousand records": b'{"Records":[' + b'{"PartitionKey":"a","Data":""},' * 30_000 + b"{}]}",
    "a hundred thousand nulls": b'{"Records":[' + b"null," * 200_000 + b"null]}",
    "a hundred thousand members": b"{" + b",".join(b'"%d":1' % n for n in range(90_000)) + b',"x"}',
    "a hundred thousand tags": b'{"Tags":{' + b",".join(b'"%d":""' % n for n in range(90_000)) + b"}}",
    "a value twice": b'{"StreamName":"a","StreamName":',
    "a trailing comma": b'{"StreamName":"a",}',
    "something after the end": b'{"StreamName":"a"}{}',
    "a comment": b'{/* */"StreamName":"a"}',
    "single quotes": b"{'StreamName':'a'}",
    "spaces only": _fill(b" "),
    "spaces, then nothing": b"{" + _fill(b" "),
    "a string": b'"hello"',
    "a list": b"[]",
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "nothing": b"\x00",
    "random bytes": bytes((i * i * 31 + i * 17) % 256 for i in range(65536)) * 16,
    "CBOR": cbor.encode({"StreamName": "a"}),
}


def _key(name):
    return b"\xa1" + cbor.encode(name)


CBOR_BODIES = {
    "lists nested without an end": _fill(b"\x9f"),
    "maps nested without an end": _fill(b"\xbf\x61a"),
    "lists of one nested": _fill(b"\x81"),
    "maps of one nested": _fill(b"\xa1\x61a"),
    "tags nested": _fill(b"\xc1"),
    "tags nested in a member": _key("Timestamp") + _fill(b"\xc1") + b"\x00",
    "an unknown member nested deeply and closed": _key("Unknown") + b"\x9f" * 400_000 + b"\xff" * 400_000,
    "a list that claims 2^63 items": _key("Records") + b"\x9b\x7f" + b"\xff" * 7,
    "a list that claims 2^32 items": _key("Records") + b"\x9a\xff\xff\xff\xff",
    "a map that claims 2^64-1 members": b"\xbb" + b"\xff" * 8,
    "bytes that claim 2^63": _key("Data") + b"\x5b\x7f" + b"\xff" * 7,
    "bytes that claim more than there is": _key("Data") + b"\x5a\x00\x20\x00\x00" + _fill(b"x"),
    "text that claims 2^64-1": _key("StreamName") + b"\x7b" + b"\xff" * 8,
    "chunks of the wrong kind": _key("Data") + b"\x5f" + b"\x61a" * 300_000 + b"\xff",
    "chunks within chunks": _key("Data") + _fill(b"\x5f"),
    "empty chunks": _key("Data") + b"\x5f" + _fill(b"\x40") + b"\xff",
    "chunks without an end": _key("Data") + b"\x5f" + _fill(b"\x41a"),
    "a lone break": b"\xff",
    "breaks": _fill(b"\xff"),
    "a break as a value": _key("StreamName") + b"\xff",
    "a break in a map of known length": b"\xa2\x61a\xff",
    "a key without a value": b"\xbf\x61a\xff",
    "keys that are numbers": b"\xa1\x01\x01\x01",
    "keys that are lists": b"\xa1\x80\x01",
    "reserved lengths": _fill(b"\x1c"),
    "a reserved simple value": _key("StreamName") + b"\xf8\x01",
    "undefined as a name": _key("StreamName") + b"\xf7\x00",
    "text that is not UTF-8": _key("StreamName") + b"\x7a\x00\x10\x00\x00" + _fill(b"\xff"),
    "a key that is not UTF-8": b"\xa1\x62\xff\xff\x01",
    "a name of a megabyte": _key("StreamName") + cbor.encode(_fill(b"a").decode()),
    "a big number of a megabyte": _key("ShardCount") + b"\xc2" + cbor.encode(_fill(b"\xff")),
    "the smallest integer": _key("ShardCount") + b"\x3b" + b"\xff" * 8,
    "the largest integer": _key("ShardCount") + b"\x1b" + b"\xff" * 8,
    "NaN for a count": _key("ShardCount") + b"\xfb\x7f\xf8" + b"\0" * 6,
    "NaN for a moment": _key("Timestamp") + b"\xc1\xfb\x7f\xf8" + b"\0" * 6,
    "infinity for a moment": _key("Timestamp") + b"\xc1\xfb\x7f\xf0" + b"\0" * 6,
    "the largest moment": _key("Timestamp") + b"\xc1\x1b" + b"\xff" * 8,
    "half a number": _key("ShardCount") + b"\x1b\x00",
    "a hundred thousand records": _key("Records") + b"\x9f" + cbor.encode({"PartitionKey": "a", "Data": b""}) * 35_000
                                  + b"\xff",
    "a million nulls": _key("Records") + b"\x9a\x00\x0f\x00\x00" + b"\xf6" * 0xF0000,
    "a hundred thousand members": b"\xbf" + b"".join(cbor.encode(str(n)) + b"\x01" for n in range(100_000)),
    "something after the end": b"\xa0\xa0",
    "a list": b"\x80",
    "null": b"\xf6",
    "text": b"\x65hello",
    "JSON": b'{"StreamName":"a"}',
    "zeros": _fill(b"\0"),
    "random bytes": bytes((i * i * 31 + i * 17 + 3) % 256 for i in range(65536)) * 16,
}

# One of each kind of input: a batch, strings and numbers, a map, blobs, a moment, a union.
TARGETS = ("PutRecords", "CreateStream", "AddTagsToStream", "PutRecord", "GetShardIterator", "SubscribeToShard")


def _case(name, body, encoding):
    def prove():
        for operation in TARGETS:
            best = None
            # The least of three, since the machine may do other things at the same time.
            for _ in range(3):
                answer = raw_call(operation, body, encoding)
                what = f"{operation} with {name}: {answer!r}"
                assert 400 <= answer.status < 500, what
                equal(answer.type, CONTENT_TYPES[encoding], f"content type of {what}")
                assert answer.code in COMMON | model.errors_of(operation), what
                text = "Message" if answer.code == "SerializationException" else "message"
                assert set(answer.body) <= {"__type", text}, what
                assert len(answer.raw) <= 4 * MIB, f"{len(answer.raw)} bytes of error"
                best = min(best or answer.seconds, answer.seconds)
                if best <= SECONDS_MAX:
                    break
            assert best <= SECONDS_MAX, f"{operation} with {name}: {best:.3f} s"

    return prove


def _too_large():
    """a body beyond every limit is refused without being read into memory"""
    body = b'{"StreamName":"' + b"a" * (64 * MIB) + b'"}'
    try:
        answer = raw_call("DescribeStream", body, JSON)
    except (ConnectionError, OSError):
        pass  # The server may stop reading; the client then cannot write on.
    else:
        assert 400 <= answer.status < 500, answer
    equal(call("ListStreams", {}, JSON).status, 200, "status of the next request")


def _cut_short():
    """a true request cut at every byte is refused in its encoding, and nothing of it is applied"""
    name = fresh_name("cut")
    must("CreateStream", {"StreamName": name, "ShardCount": 1})
    summary = lambda: must("DescribeStreamSummary", {"StreamName": name})["StreamDescriptionSummary"]  # noqa: E731
    eventually(lambda: summary()["StreamStatus"] == "ACTIVE", "the stream is ACTIVE")
    for encoding in (JSON, CBOR):
        body = write(encoding, {"Records": [{"Data": b"abc", "PartitionKey": "k"}] * 3, "StreamName": name})
        for length in range(1, len(body)):
            answer = raw_call("PutRecords", body[:length], encoding)
            equal((answer.status, answer.type, answer.code), (400, CONTENT_TYPES[encoding], "SerializationException"),
                  f"answer to {length} of {len(body)} bytes: {answer!r}")
    start = {"StreamName": name, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    records = must("GetRecords", {"ShardIterator": must("GetShardIterator", start)["ShardIterator"]})["Records"]
    equal(records, [], "records")
    must("DeleteStream", {"StreamName": name})


def suites():
    """One suite an encoding."""
    found = []
    for encoding, bodies in ((JSON, JSON_BODIES), (CBOR, CBOR_BODIES)):
        suite = Suite("raw wire", encoding)
        for name, body in bodies.items():
            suite.add(TARGETS, f"hostile: {name}", _case(name, body, encoding))
        found.append(suite)
    found[0].add(["DescribeStream"], f"hostile: {_too_large.__doc__}", _too_large)
    found[1].add(["PutRecords"], f"hostile: {_cut_short.__doc__}", _cut_short)
    return found
