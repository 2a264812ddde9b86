"""kill -9 under load, again and again on one folder."""

import json
import os
import random
import time

from .history import History, verdict
from .load import STREAM, Load, list_shards, read_all, subscribe_all, wait_active
from .server import Server, fresh_folder


def kill_minus_nine():
    """kill -9 in a loop under load: nothing acknowledged is lost, reordered, doubled or renumbered"""
    cycles = int(os.environ.get("CONFORMANCE_CYCLES", "20"))
    chance = random.Random(int(os.environ.get("CONFORMANCE_SEED", "1")))
    server = Server(fresh_folder("kill"))
    history, ready, reshards = History(), [], {"splits": 0, "merges": 0}
    started = time.monotonic()
    try:
        server.start()
        consumer_arn = prepare(server)
        for cycle in range(cycles):
            if cycle:
                ready.append(server.start())
                assert ready[-1] is not None, f"no start after kill {cycle}: {server.log()[-3000:]}"
                wait_active(server.client())
            load = Load(server, history, consumer_arn, reshard=cycle % 2 == 0)
            time.sleep(chance.uniform(0.3, 1.5))
            server.kill()
            load.stop()
            assert not load.damaged, load.damaged[:3]
            assert "panicked" not in server.log(), server.log()[-3000:]
            reshards = {name: reshards[name] + load.resharded[name] for name in reshards}
        ready.append(server.start())
        assert ready[-1] is not None, f"no start at the end: {server.log()[-3000:]}"
        wait_active(server.client())
        read = read_all(server.client())
        subscribed = subscribe_all(server, consumer_arn, {shard: len(records) for shard, records in read.items()})
        figures = history.check(read, subscribed)
        shards = len(list_shards(server.client()))
    finally:
        server.kill()
    ready.sort()
    figures |= {
        "cycles": cycles, **reshards, "shards": shards, "restart_ready_ms_median": round(ready[len(ready) // 2] * 1000),
        "restart_ready_ms_max": round(ready[-1] * 1000), "seconds": round(time.monotonic() - started),
    }
    print("figures: " + json.dumps({"kill": figures}), flush=True)
    assert figures["acked"] > 20 * cycles, f"too little was put to prove anything: {figures}"
    verdict(figures)


def prepare(server):
    """The stream and its consumer."""
    client = server.client()
    client.create_stream(StreamName=STREAM, ShardCount=2)
    summary = wait_active(client)
    made = client.register_stream_consumer(StreamARN=summary["StreamARN"], ConsumerName="reader")["Consumer"]
    for _ in range(1000):
        described = client.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])["ConsumerDescription"]
        if described["ConsumerStatus"] == "ACTIVE":
            break
        time.sleep(0.01)
    return made["ConsumerARN"]
