"""Strict endpoints that speak what Firehose's destinations speak, and fail when they are told to.

Where a real server cannot be had (Splunk) or gives no fault on demand (an HTTP endpoint, a search cluster), each
checks every header and field that its contract names, and keeps what it accepted.
"""

import base64
import contextlib
import gzip
import http.client
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Raw(bytes):
    """Bytes that are sent in the place of an answer, and the connection is closed."""


class Server(ThreadingHTTPServer):
    """A server that takes it as it comes when its caller is gone, as those are that are killed."""

    daemon_threads = True

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, address)


class Endpoint:
    """A server whose answers are decided by a function of the request."""

    def __init__(self):
        self.lock = threading.Lock()
        self.faults, self.broken = [], []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                try:
                    answer = endpoint.respond(self.command, self.path, self.headers, body)
                    if isinstance(answer, Raw):
                        self.wfile.write(answer)
                        self.close_connection = True
                        return
                    status, headers, content = answer
                except AssertionError as error:
                    endpoint.broken.append(str(error))
                    status, headers, content = 400, {}, str(error).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fail(self, *faults):
        """The next requests meet these, one each: a status, or a function of the request."""
        with self.lock:
            self.faults += faults

    def fault(self):
        with self.lock:
            return self.faults.pop(0) if self.faults else None

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def kept_contract(self):
        """Refuses if any request broke the contract."""
        assert not self.broken, self.broken[:3]


class HttpEndpoint(Endpoint):
    """The receiving side of Firehose's HTTP delivery protocol."""

    def __init__(self, access_key=None, attributes=None, compressed=False):
        super().__init__()
        self.access_key, self.attributes, self.compressed = access_key, attributes or {}, compressed
        # All that was answered with a yes; and once for each request's id.
        self.taken, self.accepted = [], []
        self.requests, self.seen_ids = [], []

    def respond(self, method, path, headers, body):
        assert method == "POST", method
        assert headers["X-Amz-Firehose-Protocol-Version"] == "1.0", "protocol version"
        assert headers["Content-Type"] == "application/json", headers["Content-Type"]
        request_id = headers["X-Amz-Firehose-Request-Id"]
        assert request_id and headers["X-Amz-Firehose-Source-Arn"].startswith("arn:aws:firehose:"), "ids"
        assert headers.get("X-Amz-Firehose-Access-Key") == self.access_key, "access key"
        if self.attributes:
            given = json.loads(headers["X-Amz-Firehose-Common-Attributes"])
            assert given == {"commonAttributes": self.attributes}, given
        if self.compressed:
            assert headers["Content-Encoding"] == "gzip", "not compressed"
            body = gzip.decompress(body)
        parsed = json.loads(body)
        assert parsed["requestId"] == request_id, "the two request ids differ"
        assert abs(parsed["timestamp"] / 1000 - time.time()) < 3600, parsed["timestamp"]
        assert 1 <= len(parsed["records"]) <= 10_000, len(parsed["records"])
        data = [base64.b64decode(record["data"], validate=True) for record in parsed["records"]]
        fault = self.fault()
        self.requests.append((time.monotonic(), request_id, fault))
        answer = {"requestId": request_id, "timestamp": int(time.time() * 1000)}
        if callable(fault):
            return fault(answer, lambda: self.take(request_id, data))
        if fault == "another id":
            return 200, {"Content-Type": "application/json"}, json.dumps({**answer, "requestId": "x"}).encode()
        if fault:
            answer["errorMessage"] = "told to fail"
            return fault, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        self.take(request_id, data)
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def take(self, request_id, data):
        """The records are its own from now on."""
        with self.lock:
            self.taken += data
            if request_id not in self.seen_ids:
                self.seen_ids.append(request_id)
                self.accepted += data


class Functions(Endpoint):
    """A Lambda runtime: what a function does with the records is a function of ours."""

    def __init__(self, transform):
        super().__init__()
        self.transform, self.events = transform, []

    def respond(self, method, path, headers, body):
        assert method == "POST", method
        event = json.loads(body)
        assert {"invocationId", "deliveryStreamArn", "region", "records"} <= event.keys(), event.keys()
        for record in event["records"]:
            assert {"recordId", "approximateArrivalTimestamp", "data"} <= record.keys(), record.keys()
        self.events.append(event)
        fault = self.fault()
        if fault:
            return fault, {}, b""
        answer = {"records": [self.transform(record) for record in event["records"]]}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()


class Splunk(Endpoint):
    """A Splunk HTTP event collector with acknowledgement."""

    def __init__(self, token):
        super().__init__()
        self.token, self.events, self.pending, self.next_ack = token, [], {}, 0
        self.acknowledges = True

    def respond(self, method, path, headers, body):
        if path.startswith("/services/collector/ack"):
            assert headers.get("Authorization") == f"Splunk {self.token}", "token"
            acks = json.loads(body)["acks"]
            return 200, {"Content-Type": "application/json"}, json.dumps(
                {"acks": {str(ack): self.acknowledges and ack in self.pending for ack in acks}}).encode()
        assert method == "POST" and path.startswith("/services/collector"), path
        assert headers.get("Authorization") == f"Splunk {self.token}", "token"
        assert headers.get("X-Splunk-Request-Channel") or "channel=" in path, "no channel"
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        fault = self.fault()
        if isinstance(fault, tuple | Raw):
            return fault
        if fault:
            return fault, {"Content-Type": "application/json"}, b'{"text":"Server is busy","code":9}'
        with self.lock:
            self.events.append(body)
            ack, self.next_ack = self.next_ack, self.next_ack + 1
            self.pending[ack] = True
        return 200, {"Content-Type": "application/json"}, json.dumps(
            {"text": "Success", "code": 0, "ackId": ack}).encode()


class Search(Endpoint):
    """`_bulk` of OpenSearch and Elasticsearch: documents by index and id, refusals by document."""

    def __init__(self):
        super().__init__()
        self.documents, self.refuse = {}, lambda document: None

    def respond(self, method, path, headers, body):
        if not path.split("?")[0].endswith("/_bulk"):
            return 200, {"Content-Type": "application/json"}, b'{"version":{"number":"2.11.0","distribution":"opensearch"}}'
        assert headers["Content-Type"].startswith("application/x-ndjson") or headers["Content-Type"].startswith(
            "application/json"), headers["Content-Type"]
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert body.endswith(b"\n"), "a bulk body ends with a line feed"
        fault = self.fault()
        if fault and not callable(fault):
            return fault, {"Content-Type": "application/json"}, b'{"error":"told to fail"}'
        lines = body.split(b"\n")[:-1]
        assert len(lines) % 2 == 0, "a bulk body has two lines a document"
        items, errors = [], False
        for action, source in zip(lines[::2], lines[1::2]):
            (verb, meta), = json.loads(action).items()
            document = json.loads(source)
            status, error = 201, self.refuse(document)
            if error:
                status, errors = error, True
            else:
                with self.lock:
                    key = (meta["_index"], meta.get("_id") or f"own-{len(self.documents)}")
                    self.documents.setdefault(key, []).append(document)
            item = {"_index": meta["_index"], "_id": meta.get("_id"), "status": status}
            if error:
                item["error"] = {"type": "told_to_fail", "reason": "told to fail"}
            items.append({verb: item})
        if fault:
            return fault({"errors": errors, "items": items})
        return 200, {"Content-Type": "application/json"}, json.dumps({"errors": errors, "items": items}).encode()


class Proxy(Endpoint):
    """Stands before an S3 server, and answers in its place or not at all where a bucket is to have trouble."""

    def __init__(self, port):
        super().__init__()
        self.port, self.troubles, self.is_down = port, {}, False

    def trouble(self, bucket, *faults):
        """The next puts into a bucket meet these, one each: functions of what passes the put on."""
        with self.lock:
            self.troubles[bucket] = list(faults)

    def respond(self, method, path, headers, body):
        if self.is_down:
            return Raw()
        with self.lock:
            waiting = self.troubles.get(path.split("?")[0].split("/")[1])
            fault = waiting.pop(0) if waiting and method == "PUT" else None

        def forward():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() in ("etag", "content-type", "x-amz-request-id")}
            return answer.status, kept, content

        return fault(forward) if fault else forward()


class CommitLoser:
    """Stands before a PostgreSQL server, and breaks a connection when it is told that a transaction is committed."""

    def __init__(self, port):
        self.port, self.losses, self.lost = port, 0, 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            for source, sink, is_answer in ((near, far, False), (far, near, True)):
                threading.Thread(target=self.carry, args=(source, sink, is_answer), daemon=True).start()

    def carry(self, source, sink, is_answer):
        try:
            while data := source.recv(65_536):
                with self.lock:
                    is_lost = is_answer and self.losses > 0 and b"COMMIT\0" in data
                    self.losses, self.lost = self.losses - is_lost, self.lost + is_lost
                if is_lost:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def stop(self):
        self.listener.close()
