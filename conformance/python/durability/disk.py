"""A disk that fails: a sync that ends in EIO, and no space left."""

import contextlib
import json
import os
import shutil
import subprocess
import time
import uuid

from botocore.exceptions import BotoCoreError, ClientError

from harness import Skip

from .history import History, verdict
from .kill import prepare
from .load import STREAM, payload, read_all, subscribe_all, wait_active
from .server import Server, fresh_folder


def put(client, history, size=2_000):
    """One record; True, the modelled error, or None when the connection broke."""
    identity = uuid.uuid4().hex
    history.send(identity, "disk", 0)
    try:
        answer = client.put_record(StreamName=STREAM, PartitionKey="k", Data=payload(identity, size))
    except ClientError as error:
        return error
    except (BotoCoreError, OSError):
        return None
    history.acknowledge(identity, answer["ShardId"], answer["SequenceNumber"])
    return True


def modelled(error):
    """Refuses an error that no client could understand."""
    code = error.response["Error"]["Code"]
    assert code in ("InternalFailure", "InternalFailureException", "ProvisionedThroughputExceededException",
                    "LimitExceededException", "ServiceUnavailable", "ServiceUnavailableException"), error


def end(server, history, consumer_arn):
    """The history's figures after a start without any fault."""
    assert server.start() is not None, f"no start after the fault: {server.log()[-3000:]}"
    wait_active(server.client())
    read = read_all(server.client())
    subscribed = subscribe_all(server, consumer_arn, {shard: len(records) for shard, records in read.items()})
    return history.check(read, subscribed)


def a_failed_sync_is_no_promise():
    """an fsync that fails with EIO, the first or a later one, is never acknowledged, and nothing before it is lost"""
    if shutil.which("strace") is None:
        raise Skip("strace is not installed: apt-get install strace")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        raise Skip("strace may not trace here")
    total, failures = {}, 0
    for when in (1, 2, 3, 5, 8, 13, 40, 100):
        server, history = Server(fresh_folder("eio")), History()
        try:
            server.start()
            consumer_arn = prepare(server)
            for _ in range(20):
                assert put(server.client(), history) is True
            server.kill()
            calls = "fdatasync,fsync,sync_file_range,syncfs"
            # Every sync from there on fails: a disk that is gone does not come back by itself.
            trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}",
                     "-e", f"inject={calls}:error=EIO:when={when}+"]
            if server.start(trace) is not None:
                failures += bombard(server, history)
            else:
                failures += 1
            server.kill()
            figures = end(server, history, consumer_arn)
        finally:
            server.kill()
        total = {name: total.get(name, 0) + value for name, value in figures.items()}
        verdict(figures)
    print("figures: " + json.dumps({"eio": total | {"runs": 8, "runs_that_met_the_fault": failures}}), flush=True)
    assert failures == 8, f"only {failures} of 8 runs met the fault"


def bombard(server, history):
    """Puts until the fault has been met; then nothing more may be acknowledged. 1 if it was met."""
    client, refused = server.client(), 0
    for _ in range(400):
        outcome = put(client, history)
        if outcome is True:
            assert not refused, "a record was acknowledged after a failed sync"
            continue
        if outcome is None:
            return 1  # It took itself down, which is a way not to lie.
        modelled(outcome)
        refused += 1
        if refused == 10:
            break
    return int(refused > 0)


@contextlib.contextmanager
def small_disk(mebibytes):
    """A file system of its own."""
    folder = fresh_folder("full")
    place = folder / "disk"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(line, check=False, capture_output=True).returncode:
        raise Skip("a file system cannot be mounted here: needs root")
    try:
        yield folder, place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def a_full_disk_is_an_error():
    """with no space left puts are refused and reads go on; with space again puts go on; nothing is lost"""
    with small_disk(1024) as (folder, place):
        server, history = Server(folder, place / "data"), History()
        ballast = place / "ballast"
        try:
            server.start()
            consumer_arn = prepare(server)
            assert put(server.client(), history) is True
            state = os.statvfs(place)
            # All but a little: what is left has to fill within seconds.
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - (24 << 20)))
            client, refused, started = server.client(), 0, time.monotonic()
            while refused < 10 and time.monotonic() - started < 120:
                outcome = put(client, history, 900_000)
                if outcome is not True:
                    assert outcome is not None, f"the connection broke: {server.log()[-2000:]}"
                    modelled(outcome)
                    refused += 1
            assert refused == 10, "the disk was never full"
            before = len(history.acked)
            found = sum(len(records) for records in read_all(server.client()).values())
            assert found >= before, f"{found} of {before} records are readable on a full disk"
            ballast.unlink()
            resumed = wait_for_a_put(server, history)
            server.kill()
            figures = end(server, history, consumer_arn)
        finally:
            server.kill()
    print("figures: " + json.dumps({"enospc": figures | {"resumed_ms": resumed}}), flush=True)
    verdict(figures)


def wait_for_a_put(server, history):
    """Milliseconds until a put is taken again."""
    started = time.monotonic()
    while put(server.client(), history) is not True:
        assert time.monotonic() - started < 30, f"no put is taken with space again: {server.log()[-2000:]}"
        time.sleep(0.1)
    return round((time.monotonic() - started) * 1000)
