"""A server of the binary under test that is started and killed again and again on one folder."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import boto3
from botocore.config import Config

BINARY = os.environ.get("CONFORMANCE_BINARY", "target/release/millstream")
WORKSHOP = pathlib.Path(os.environ.get("CONFORMANCE_WORKSHOP", "durability-data"))


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fresh_folder(name):
    """An empty folder."""
    folder = WORKSHOP / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class Server:
    """One data folder and one port, over many lives."""

    def __init__(self, folder, data=None):
        self.folder = folder
        self.data = data or folder / "data"
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.lives = 0

    def start(self, prefix=(), seconds=30.0):
        """Starts it and gives the seconds until it was ready; None when it left instead."""
        self.lives += 1
        log = open(self.folder / f"server-{self.lives}.log", "wb")  # noqa: SIM115 - the child keeps it
        line = [*prefix, *self.line()]
        started = time.monotonic()
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()
        while time.monotonic() < started + seconds:
            if self.process.poll() is not None:
                return None
            if self.is_ready():
                return time.monotonic() - started
            time.sleep(0.002)
        raise AssertionError(f"not ready within {seconds} s: {self.log()[-2000:]}")

    def line(self):
        """The command that starts it."""
        return [BINARY, "dev", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.data)]

    def is_ready(self):
        """What /readyz says."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/readyz", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def kill(self):
        """kill -9, for it and whatever traces it; no goodbye."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None

    def log(self):
        """What it said in this life."""
        return (self.folder / f"server-{self.lives}.log").read_text(errors="replace")

    def client(self):
        """A client that tries once, so that every outcome is seen."""
        return boto3.client(
            "kinesis", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="conformance",
            aws_secret_access_key="conformance",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=15),
        )
