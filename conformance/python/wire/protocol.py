"""Requests as bytes: JSON 1.1 and Kinesis CBOR over HTTP/1.1, signed, nothing hidden."""

import base64
import http.client
import json
import threading
import time
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness import ENDPOINT, REGION
from . import cbor

JSON, CBOR = "JSON", "CBOR"
CONTENT_TYPES = {JSON: "application/x-amz-json-1.1", CBOR: "application/x-amz-cbor-1.1"}
TARGET_PREFIX = "Kinesis_20131202"
ADDRESS = urllib.parse.urlsplit(ENDPOINT)
_signer = SigV4Auth(Credentials("conformance", "conformance"), "kinesis", REGION)
_local = threading.local()


class Millis(int):
    """A moment: milliseconds in CBOR, seconds in JSON."""


def to_json(value):
    """A value as JSON has it: blobs in base64, moments in seconds."""
    if isinstance(value, Millis):
        return value / 1000
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def to_cbor(value):
    """A value as CBOR has it: moments are tag 1."""
    if isinstance(value, Millis):
        return cbor.Tag(1, int(value))
    if isinstance(value, list):
        return [to_cbor(item) for item in value]
    if isinstance(value, dict):
        return {key: to_cbor(item) for key, item in value.items()}
    return value


def write(encoding, value):
    """The body of a request."""
    if encoding == JSON:
        return json.dumps(to_json(value)).encode()
    return cbor.encode(to_cbor(value))


class Answer:
    """An answer, read whole."""

    def __init__(self, status, headers, raw, seconds):
        self.status, self.raw, self.seconds = status, raw, seconds
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def type(self):
        return self.headers.get("content-type", "")

    @property
    def body(self):
        if self.type.startswith("application/x-amz-cbor"):
            return cbor.decode(self.raw)
        return json.loads(self.raw) if self.raw else None

    @property
    def code(self):
        body = self.body
        name = body.get("__type", "") if isinstance(body, dict) else ""
        return name.rpartition("#")[2]

    @property
    def message(self):
        return self.body.get("message", "")

    def __repr__(self):
        return f"{self.status} {self.type} {self.raw[:600]!r}"


def sign(headers, body):
    """The headers with a signature."""
    request = AWSRequest("POST", ENDPOINT + "/", headers=headers, data=body)
    _signer.add_auth(request)
    return dict(request.headers.items())


def connection(fresh=False):
    """This thread's connection."""
    if fresh or getattr(_local, "connection", None) is None:
        close()
        _local.connection = http.client.HTTPConnection(ADDRESS.hostname, ADDRESS.port, timeout=30)
    return _local.connection


def close():
    """Drops this thread's connection."""
    if getattr(_local, "connection", None) is not None:
        _local.connection.close()
        _local.connection = None


def send(body, headers, method="POST", path="/"):
    """One request as given; a kept connection that the server closed is opened once more."""
    for last in (False, True):
        try:
            link = connection(fresh=last)
            started = time.monotonic()
            link.request(method, path, body=body, headers=headers)
            response = link.getresponse()
            raw = response.read()
            return Answer(response.status, response.getheaders(), raw, time.monotonic() - started)
        except (http.client.HTTPException, ConnectionError):
            close()
            if last:
                raise
    raise AssertionError("unreachable")


def raw_call(operation, body, encoding, content_type=..., target=...):
    """One signed request with a body of any bytes."""
    headers = {"X-Amz-Target": f"{TARGET_PREFIX}.{operation}" if target is ... else target}
    headers["Content-Type"] = CONTENT_TYPES[encoding] if content_type is ... else content_type
    headers = {name: value for name, value in headers.items() if value is not None}
    return send(body, sign(headers, body))


def call(operation, value, encoding):
    """One signed request."""
    return raw_call(operation, write(encoding, value), encoding)


def must(operation, value, encoding=JSON):
    """One signed request that must succeed; its body."""
    answer = call(operation, value, encoding)
    assert answer.status == 200, f"{operation}: {answer!r}"
    return answer.body if answer.raw else {}
