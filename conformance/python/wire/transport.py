"""What stands around a body: content types, targets, headers, methods, connections."""

import base64
import http.client
import re
import socket

from harness import Suite, equal
from . import cbor
from .protocol import ADDRESS, CBOR, CONTENT_TYPES, JSON, TARGET_PREFIX, call, raw_call, send, sign, write

REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def answers_are_named(encoding):
    """every answer carries a request id, an extended id, its length and the request's content type"""
    answers = [call("ListStreams", {}, encoding), call("DescribeStream", {"StreamName": "missing"}, encoding)]
    equal([a.status for a in answers], [200, 400], "status")
    for answer in answers:
        assert REQUEST_ID.fullmatch(answer.headers["x-amzn-requestid"]), answer.headers
        assert len(base64.b64decode(answer.headers["x-amz-id-2"], validate=True)) >= 32, answer.headers
        equal(answer.type, CONTENT_TYPES[encoding], "content type")
        equal(answer.headers["content-length"], str(len(answer.raw)), "content length")
    assert answers[0].headers["x-amzn-requestid"] != answers[1].headers["x-amzn-requestid"]


def an_operation_must_exist(encoding):
    """an operation that is not in the model is an UnknownOperationException in the request's encoding"""
    for target in (f"{TARGET_PREFIX}.Whatever", f"{TARGET_PREFIX}.ListStream", f"{TARGET_PREFIX}.", "Whatever",
                   "Whatever.Whatever", ""):
        answer = raw_call("", write(encoding, {}), encoding, target=target)
        equal((answer.status, answer.code), (400, "UnknownOperationException"), f"answer to {target!r}: {answer!r}")
        equal(answer.type, CONTENT_TYPES[encoding], "content type")


def no_content_type_is_cbor(_):
    """a request without a content type is read and answered in CBOR"""
    answer = raw_call("ListStreams", cbor.encode({}), CBOR, content_type=None)
    equal((answer.status, answer.type), (200, CONTENT_TYPES[CBOR]), "answer")
    assert "StreamNames" in answer.body, answer
    answer = raw_call("DescribeStream", cbor.encode({"StreamName": "missing"}), CBOR, content_type=None)
    equal((answer.status, answer.code, answer.type), (400, "ResourceNotFoundException", CONTENT_TYPES[CBOR]), "error")


def parameters_of_a_type_are_ignored(_):
    """a content type may carry parameters and be written in any case"""
    for written in ("application/x-amz-json-1.1; charset=utf-8", "Application/X-Amz-Json-1.1"):
        answer = raw_call("ListStreams", b"{}", JSON, content_type=written)
        equal(answer.status, 200, f"status for {written!r}")


def both_lengths_are_read(_):
    """CBOR of indefinite length is read as well as that of definite length"""
    value = {"ExclusiveStartStreamName": "a", "Limit": 1}
    for body in (cbor.encode(value), cbor.encode_indefinite(value)):
        equal(raw_call("ListStreams", body, CBOR).status, 200, "status")
    chunked = b"\xbf\x7f\x65Limit\xff\x01\xff"
    equal(raw_call("ListStreams", chunked, CBOR).status, 200, "status for a key in chunks")


def spaces_are_allowed(_):
    """JSON may have spaces, any order and escapes"""
    body = b' \r\n\t{ "\\u004cimit" : 1.0e0 , "ExclusiveStartStreamName" : "\\u0061" } \n'
    answer = raw_call("ListStreams", body, JSON)
    equal(answer.status, 200, f"status: {answer!r}")


def other_methods_are_refused(_):
    """a method that is not POST is refused without a fault of ours"""
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = send(b"", sign({"X-Amz-Target": f"{TARGET_PREFIX}.ListStreams"}, b""), method=method)
        assert 400 <= answer.status < 500, f"{method}: {answer!r}"


def a_connection_is_kept(encoding):
    """a connection takes the next request after an error"""
    link = http.client.HTTPConnection(ADDRESS.hostname, ADDRESS.port, timeout=10)
    try:
        for body, wanted in ((b"\xff", 400), (write(encoding, {}), 200), (b"{", 400), (write(encoding, {}), 200)):
            headers = {"Content-Type": CONTENT_TYPES[encoding], "X-Amz-Target": f"{TARGET_PREFIX}.ListStreams"}
            link.request("POST", "/", body=body, headers=sign(headers, body))
            response = link.getresponse()
            response.read()
            equal(response.status, wanted, f"status for {body!r}")
            assert link.sock is not None, "the connection was closed"
    finally:
        link.close()


def chunked_bodies_are_read(_):
    """a body sent in chunks, without a length, is read"""
    headers = sign({"Content-Type": CONTENT_TYPES[JSON], "X-Amz-Target": f"{TARGET_PREFIX}.ListStreams"}, b"{}")
    link = http.client.HTTPConnection(ADDRESS.hostname, ADDRESS.port, timeout=10)
    try:
        link.request("POST", "/", body=iter([b"{", b"}"]), headers=headers, encode_chunked=True)
        equal(link.getresponse().status, 200, "status")
    finally:
        link.close()


def noise_is_survived(_):
    """bytes that are not HTTP are dropped, and the next client is served"""
    noises = (b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"x" * 300, b"PRI * HTTP/2.0\r\n\r\n",
              b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200, b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
              b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n")
    for noise in noises:
        with socket.create_connection((ADDRESS.hostname, ADDRESS.port), timeout=5) as link:
            link.sendall(noise)
            link.settimeout(1)
            try:
                first = link.recv(4096)
            except (TimeoutError, ConnectionError):
                first = b""
            assert b" 500 " not in first[:20], first
        equal(call("ListStreams", {}, JSON).status, 200, f"status after {noise[:20]!r}")


def suites():
    """One suite an encoding; cases about one encoding only are in its own."""
    found = []
    for encoding in (JSON, CBOR):
        suite = Suite("raw wire", encoding)
        cases = [answers_are_named, an_operation_must_exist, a_connection_is_kept]
        if encoding == JSON:
            cases += [parameters_of_a_type_are_ignored, spaces_are_allowed, other_methods_are_refused,
                      chunked_bodies_are_read, noise_is_survived]
        else:
            cases += [no_content_type_is_cbor, both_lengths_are_read]
        for case in cases:
            suite.add(["ListStreams"], case.__doc__, lambda c=case, e=encoding: c(e))
        found.append(suite)
    return found
