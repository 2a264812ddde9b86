"""Puts to one delivery stream as fast as they are taken: `python -m firehose.load [SECONDS] [GZIP]`.

The requests are made before the clock starts, so that what is measured is the server: PutRecordBatch of 500
records of 1 KiB, four connections, each with one request under way, into a bucket that is a folder of the
server's. It ends when everything that was acknowledged has been delivered, and counts it there.
"""

import base64
import gzip
import json
import random
import socket
import sys
import threading
import time

from durability.server import fresh_folder
from harness import eventually

from .parts import Millstream
from .streams import DeliveryStream, Folder, objects_config

RECORDS, RECORD_BYTES, CONNECTIONS, BODIES = 500, 1_024, 4, 8


def requests(name, port, chance):
    """A few different requests, whole: random letters, as hard to compress as base64 is."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    made = []
    for _ in range(BODIES):
        records = []
        for _ in range(RECORDS):
            data = bytes(chance.choices(letters, k=RECORD_BYTES - 1)) + b"\n"
            records.append({"Data": base64.b64encode(data).decode()})
        body = json.dumps({"DeliveryStreamName": name, "Records": records}).encode()
        head = (f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-amz-json-1.1\r\n"
                f"X-Amz-Target: Firehose_20150804.PutRecordBatch\r\nContent-Length: {len(body)}\r\n"
                "X-Amz-Date: 20300101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=load/20300101/us-east-1/"
                "firehose/aws4_request, SignedHeaders=host;x-amz-date, Signature=00\r\n\r\n")
        made.append(head.encode() + body)
    return made


def answer(connection):
    """One whole answer; its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), (head, body[:300])
    length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
    while len(body) < length:
        body += connection.recv(1 << 20)
    return body


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    is_gzip = len(sys.argv) > 2 and sys.argv[2] == "GZIP"
    server = Millstream(fresh_folder("firehose-load"), {})
    assert server.start() is not None, server.log()
    compression = {"CompressionFormat": "GZIP"} if is_gzip else {}
    config = objects_config("load", BufferingHints={"SizeInMBs": 128, "IntervalInSeconds": 1}, **compression)
    try:
        with DeliveryStream(server.firehose(), ExtendedS3DestinationConfiguration=config) as stream:
            prepared = [requests(stream.name, server.port, random.Random(seed)) for seed in range(CONNECTIONS)]
            counts, latencies, deadline = [0] * CONNECTIONS, [], [0.0]

            def load(index):
                with socket.create_connection(("127.0.0.1", server.port)) as connection:
                    turn = 0
                    while time.monotonic() < deadline[0]:
                        begun = time.monotonic()
                        connection.sendall(prepared[index][turn % BODIES])
                        assert b'"FailedPutCount":0' in answer(connection)
                        latencies.append(time.monotonic() - begun)
                        counts[index] += RECORDS
                        turn += 1

            started = time.monotonic()
            deadline[0] = started + seconds
            threads = [threading.Thread(target=load, args=(index,)) for index in range(CONNECTIONS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            lasted = time.monotonic() - started
            put, folder = sum(counts), Folder(server, "load")

            # An object is whole once it is there, and stays as it is: each is counted once, so that the counting
            # does not take the server's cores from it.
            counted = {}

            def delivered():
                for path in folder.root.rglob("*"):
                    if path not in counted and path.is_file() and not path.name.startswith("."):
                        content = path.read_bytes()
                        counted[path] = (gzip.decompress(content) if is_gzip else content).count(b"\n")
                return sum(counted.values())

            eventually(lambda: delivered() >= put, "everything is delivered", 120)
            whole = time.monotonic() - started
            assert delivered() == put, (delivered(), put)
            megabytes = put * RECORD_BYTES / 1e6
            latencies.sort()
            print(f"put        {put:,} records, {megabytes:,.0f} MB in {lasted:.1f} s: {megabytes / lasted:,.1f} MB/s, "
                  f"p50 {latencies[len(latencies) // 2] * 1e3:.1f} ms, p99 {latencies[len(latencies) * 99 // 100] * 1e3:.1f} ms")
            print(f"delivered  all of them, each once, {whole - lasted:.1f} s after the last put: {megabytes / whole:,.1f} MB/s")
    finally:
        server.kill()


if __name__ == "__main__":
    main()
