"""The real servers beside the one under test, each in a folder and on a port of its own."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import boto3
from botocore.config import Config

from durability.server import Server, free_port

REGION = "us-east-1"


def stop_group(process):
    """Ends a process and what it started."""
    if process is not None and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Moto:
    """moto's server: S3 and Glue in one process, with nothing behind it but memory."""

    def __init__(self, folder):
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        with open(folder / "moto.log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, (folder / "moto.log").read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "moto does not answer"
                time.sleep(0.1)

    def client(self, service):
        """An unmodified client of one of its services."""
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="conformance",
            aws_secret_access_key="conformance", config=Config(retries={"total_max_attempts": 2}),
        )

    def stop(self):
        stop_group(self.process)


def postgres_programs():
    """Where PostgreSQL's programs are; the newest of Debian's places, or the path."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    assert program, "PostgreSQL's server is missing: apt-get install postgresql"
    return pathlib.Path(program).parent


class Postgres:
    """A cluster of its own, reached over TCP with a password."""

    USER, PASSWORD, DATABASE = "loader", "loader-password", "postgres"

    def __init__(self, folder):
        self.port = free_port()
        self.programs = postgres_programs()
        self.data = folder / "postgres"
        # The server refuses to run as root, so root lends it to the account that owns least.
        self.account = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        self.data.mkdir(parents=True)
        if self.account:
            shutil.chown(self.data, "nobody")
            reachable(self.data)
        password = self.data.parent / "postgres-password"
        password.write_text(self.PASSWORD)
        password.chmod(0o644)
        self.run("initdb", "-D", str(self.data), "-U", self.USER, f"--pwfile={password}", "-A", "scram-sha-256",
                 "--no-sync", "-E", "UTF8")
        self.start()

    def run(self, program, *arguments):
        line = [*self.account, str(self.programs / program), *arguments]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{program}: {done.stdout[-1000:]}{done.stderr[-1000:]}"

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self.run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-o", options, "-l",
                 str(self.data / "server.log"), "start")

    def stop(self):
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def connect(self):
        """A connection of its own kind of client."""
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user=self.USER, password=self.PASSWORD,
                               dbname=self.DATABASE, autocommit=True)


def reachable(folder):
    """Lets others pass through the folders above; they may still not list them."""
    for above in folder.parents:
        mode = above.stat().st_mode
        if mode & 0o001:
            continue
        above.chmod(mode | 0o001)


class Millstream(Server):
    """The server under test, with a config file that names the parts."""

    def __init__(self, folder, settings):
        super().__init__(folder)
        self.config = folder / "millstream.toml"
        lines = [f"{key} = {value!r}".replace("'", '"') for key, value in settings.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def line(self):
        return [*super().line(), "--config", str(self.config)]

    def firehose(self, attempts=1):
        """An unmodified client; one try, so that every outcome is seen."""
        return self.service("firehose", attempts)

    def kinesis(self):
        return self.service("kinesis", 1)

    def service(self, name, attempts):
        return boto3.client(
            name, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="conformance",
            aws_secret_access_key="conformance",
            config=Config(retries={"total_max_attempts": attempts}, connect_timeout=2, read_timeout=20),
        )
