"""kill -9 while records are put and delivered."""

import os
import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from harness import equal, eventually, fresh_name

from .streams import DeliveryStream, Folder, lines, numbers, objects_config

CYCLES = int(os.environ.get("CONFORMANCE_FIREHOSE_CYCLES", "8"))
BROKEN = (BotoCoreError, ClientError, HTTPError, OSError)


def put_through_kills(server, stream, record, chance, life_s):
    """Puts the records of the numbers from 0 on while the server is killed again and again, after lives of `life_s`
    (least, most) seconds. Gives the numbers that were acknowledged, and how many were sent."""
    acknowledged, sent, stopping = set(), [0], threading.Event()

    def produce():
        client = server.firehose()
        while not stopping.is_set():
            batch = range(sent[0], sent[0] + 40)
            sent[0] += 40
            records = [{"Data": record(number)} for number in batch]
            try:
                answer = client.put_record_batch(DeliveryStreamName=stream.name, Records=records)
            except BROKEN:
                time.sleep(0.02)
                client = server.firehose()
                continue
            acknowledged.update(number for number, result in zip(batch, answer["RequestResponses"]) if "RecordId" in result)

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    try:
        for _ in range(CYCLES):
            time.sleep(chance.uniform(*life_s))
            server.kill()
            assert server.start() is not None, server.log()[-2000:]
        time.sleep(1)
    finally:
        stopping.set()
        producer.join(20)
    assert len(acknowledged) > 200, f"only {len(acknowledged)} records were acknowledged"
    return acknowledged, sent[0]


def nothing_is_lost_by_kills(site):
    """kill -9 in a loop: every acknowledged record is delivered, and what was put directly only once"""
    server, bucket = site.victim, fresh_name("bucket")
    config = objects_config(bucket, BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 1})
    stream = DeliveryStream(server.firehose(), ExtendedS3DestinationConfiguration=config)
    stream.__enter__()

    def record(number):
        return b'{"number": %d, "filling": "%s"}\n' % (number, b"x" * 2_000)

    acknowledged, sent = put_through_kills(server, stream, record, random.Random(1), (0.4, 2.2))
    folder = Folder(server, bucket)

    def missing():
        return acknowledged - set(numbers(lines(folder.objects())))

    eventually(lambda: not missing(), "every acknowledged record is delivered", 60)
    time.sleep(2)
    found = numbers(lines(folder.objects()))
    twice = len(found) - len(set(found))
    equal(twice, 0, f"records delivered twice, of {len(found)}")
    unknown = set(found) - set(range(sent))
    equal(unknown, set(), "records that nobody put")


CASES = [(("PutRecordBatch",), nothing_is_lost_by_kills)]
