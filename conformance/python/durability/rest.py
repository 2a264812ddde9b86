"""What lies on the disk: records as they are, unless their stream is encrypted."""

import json

from harness import equal

from .load import STREAM, list_shards, wait_active
from .server import Server, fresh_folder

KEY = {"StreamName": STREAM, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
PLAIN, SECRET = "plain-as-daylight", "secret-as-the-night"


def is_on_disk(server, text):
    """Whether any file of the server holds these bytes."""
    found = False
    for path in server.data.rglob("*"):
        if path.is_file():
            found |= text.encode() in path.read_bytes()
    return found


def put(client, text, count=200):
    """Records that carry the text in key and data."""
    entries = [{"PartitionKey": f"{text}-key-{i}", "Data": f"{text}-data-{i} ".encode() * 50} for i in range(count)]
    answer = client.put_records(StreamName=STREAM, Records=entries)
    equal(answer["FailedRecordCount"], 0, "failed")
    return answer.get("EncryptionType")


def read(client):
    """All records of all shards."""
    found = []
    for shard in list_shards(client):
        position = {"StreamName": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = client.get_shard_iterator(**position)["ShardIterator"]
        found += client.get_records(ShardIterator=iterator)["Records"]
    return found


def encrypted_records_are_not_on_disk():
    """neither key nor data of an encrypted record is in any file, and after kill -9 all are readable"""
    server = Server(fresh_folder("rest"))
    try:
        server.start()
        client = server.client()
        client.create_stream(StreamName=STREAM, ShardCount=2)
        wait_active(client)
        equal(put(client, PLAIN), None, "encryption before")
        client.start_stream_encryption(**KEY)
        wait_active(client)
        equal(put(client, SECRET), "KMS", "encryption")
        server.kill()
        # What is found proves that the search finds; a server that has just died has hidden nothing.
        for part in ("key", "data"):
            assert is_on_disk(server, f"{PLAIN}-{part}"), f"the plain {part} is in no file: what was searched?"
            assert not is_on_disk(server, f"{SECRET}-{part}"), f"a {part} of an encrypted record lies open"
        assert server.start() is not None, server.log()[-3000:]
        client = server.client()
        wait_active(client)
        records = read(client)
        equal(len(records), 400, "records")
        sealed = [r for r in records if r.get("EncryptionType") == "KMS"]
        equal(len(sealed), 200, "records that were sealed")
        assert all(r["PartitionKey"].startswith(SECRET) and r["Data"].startswith(SECRET.encode()) for r in sealed)
        figures = {"plain": len(records) - len(sealed), "sealed": len(sealed)}
        print("figures: " + json.dumps({"rest": figures}), flush=True)
    finally:
        server.kill()
