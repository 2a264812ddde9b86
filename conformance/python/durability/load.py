"""Producers, readers and a resharder that go on until the server is killed under them."""

import threading
import time
import uuid
import zlib

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

STREAM = "history"
BROKEN = (BotoCoreError, ClientError, HTTPError, OSError, ValueError, KeyError)


def payload(identity, size):
    """A record's data: its id, its checksum, and filling that can be checked."""
    filling = (identity.encode() * (size // len(identity) + 1))[:size]
    return f"{identity} {zlib.crc32(filling):08x} ".encode() + filling


def identity_of(data):
    """The id within a record's data, which has to be whole."""
    identity, checksum, filling = bytes(data).split(b" ", 2)
    assert f"{zlib.crc32(filling):08x}".encode() == checksum, f"the data of {identity!r} is damaged"
    return identity.decode()


class Load:
    """One life's threads."""

    def __init__(self, server, history, consumer_arn, reshard):
        self.server, self.history, self.consumer_arn = server, history, consumer_arn
        self.stopping = threading.Event()
        self.threads, self.damaged, self.resharded = [], [], {"splits": 0, "merges": 0}
        self.following, self.lock = set(), threading.Lock()
        for number in range(3):
            self.spawn(self.produce_one, f"single-{number}")
        for number in range(2):
            self.spawn(self.produce_batches, f"batch-{number}")
        for shard in list_shards(server.client()):
            self.follow(shard["ShardId"])
        if reshard:
            self.spawn(self.reshard)

    def spawn(self, work, *arguments):
        def guarded():
            try:
                work(*arguments)
            except BROKEN:
                pass  # The server was killed: what was not acknowledged is unknown.
            except AssertionError as error:
                self.damaged.append(str(error))

        thread = threading.Thread(target=guarded, daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self):
        """Waits until every thread has met the dead server."""
        self.stopping.set()
        for thread in list(self.threads):
            thread.join(20)
            assert not thread.is_alive(), "a client hangs on a server that is dead"

    def produce_one(self, producer):
        client, number = self.server.client(), 0
        while not self.stopping.is_set():
            identity = uuid.uuid4().hex
            self.history.send(identity, producer, number)
            answer = client.put_record(StreamName=STREAM, PartitionKey=producer,
                                       Data=payload(identity, 100 + number % 2000))
            self.history.acknowledge(identity, answer["ShardId"], answer["SequenceNumber"])
            number += 1

    def produce_batches(self, producer):
        client, number = self.server.client(), 0
        while not self.stopping.is_set():
            identities = [uuid.uuid4().hex for _ in range(25)]
            for identity in identities:
                self.history.send(identity, producer, number)
            records = [{"Data": payload(identity, 500), "PartitionKey": producer} for identity in identities]
            answer = client.put_records(StreamName=STREAM, Records=records)
            for identity, result in zip(identities, answer["Records"]):
                if "SequenceNumber" in result:
                    self.history.acknowledge(identity, result["ShardId"], result["SequenceNumber"])
            number += 1

    def follow(self, shard):
        """Reads a shard both ways, once each."""
        with self.lock:
            if shard in self.following:
                return
            self.following.add(shard)
        self.spawn(self.read, shard)
        self.spawn(self.subscribe, shard)

    def read(self, shard):
        client = self.server.client()
        iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=shard,
                                             ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator and not self.stopping.is_set():
            answer = client.get_records(ShardIterator=iterator)
            for record in answer["Records"]:
                self.history.see(shard, record["SequenceNumber"], identity_of(record["Data"]))
            for child in answer.get("ChildShards", []):
                self.follow(child["ShardId"])
            iterator = answer.get("NextShardIterator")
            time.sleep(0.02)

    def subscribe(self, shard):
        answer = self.server.client().subscribe_to_shard(
            ConsumerARN=self.consumer_arn, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"})
        for event in answer["EventStream"]:
            body = event["SubscribeToShardEvent"]
            for record in body["Records"]:
                self.history.see(shard, record["SequenceNumber"], identity_of(record["Data"]))
            for child in body.get("ChildShards", []):
                self.follow(child["ShardId"])
            if self.stopping.is_set():
                return

    def reshard(self):
        """Splits and merges in turn, so that a kill may fall within either."""
        client = self.server.client()
        while not self.stopping.is_set():
            time.sleep(0.15)
            shards = [s for s in list_shards(client) if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
            shards.sort(key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))
            if len(shards) < 4:
                first, last = (int(shards[0]["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
                client.split_shard(StreamName=STREAM, ShardToSplit=shards[0]["ShardId"],
                                   NewStartingHashKey=str((first + last) // 2))
                self.resharded["splits"] += 1
            else:
                client.merge_shards(StreamName=STREAM, ShardToMerge=shards[0]["ShardId"],
                                    AdjacentShardToMerge=shards[1]["ShardId"])
                self.resharded["merges"] += 1
            wait_active(client)


def list_shards(client):
    """All shards, closed ones too."""
    answer = client.list_shards(StreamName=STREAM)
    found = answer["Shards"]
    while "NextToken" in answer:
        answer = client.list_shards(NextToken=answer["NextToken"])
        found += answer["Shards"]
    return found


def wait_active(client, seconds=20):
    """Until the stream is ACTIVE; a reshard that a kill has cut must be finished or undone."""
    deadline = time.monotonic() + seconds
    while True:
        summary = client.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
        if summary["StreamStatus"] == "ACTIVE":
            return summary
        assert time.monotonic() < deadline, f"the stream stays {summary['StreamStatus']}"
        time.sleep(0.01)


def read_all(client):
    """Every shard from its beginning, by GetRecords."""
    found = {}
    for shard in list_shards(client):
        iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"],
                                             ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        records = found.setdefault(shard["ShardId"], [])
        for _ in range(10_000):
            answer = client.get_records(ShardIterator=iterator)
            records += [(r["SequenceNumber"], identity_of(r["Data"])) for r in answer["Records"]]
            iterator = answer.get("NextShardIterator")
            if iterator is None or (not answer["Records"] and answer["MillisBehindLatest"] == 0):
                break
    return found


def subscribe_all(server, consumer_arn, lengths):
    """Every shard from its beginning, by SubscribeToShard, until as much came as GetRecords gave."""
    found = {}
    for shard, length in lengths.items():
        answer = server.client().subscribe_to_shard(
            ConsumerARN=consumer_arn, ShardId=shard, StartingPosition={"Type": "TRIM_HORIZON"})
        records = found.setdefault(shard, [])
        deadline = time.monotonic() + 20
        for event in answer["EventStream"]:
            body = event["SubscribeToShardEvent"]
            records += [(r["SequenceNumber"], identity_of(r["Data"])) for r in body["Records"]]
            # An empty event at the tip is the proof that nothing more comes.
            is_at_tip = body["MillisBehindLatest"] == 0 and len(records) >= length
            if is_at_tip or body.get("ChildShards") or time.monotonic() > deadline:
                break
        answer["EventStream"].close()
    return found
