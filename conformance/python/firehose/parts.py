"""The real servers beside the one under test, each in a folder and on a port of its own."""

import datetime
import ipaddress
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
from botocore.config import Config

from durability.server import BINARY, WORKSHOP, Server, free_port
from harness import eventually

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

    def __init__(self):
        self.port = free_port()
        self.programs = postgres_programs()
        # The server refuses to run as root, so root lends it to the account that owns least, and in a
        # place that this account can reach.
        self.account = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="millstream-postgres-"))
        self.data, password = self.place / "data", self.place / "password"
        password.write_text(self.PASSWORD)
        self.data.mkdir()
        if self.account:
            for path in (self.place, self.data, password):
                shutil.chown(path, "nobody")
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

    def remove(self):
        """Stops it for good."""
        self.stop()
        shutil.rmtree(self.place)

    def connect(self):
        """A connection of its own kind of client."""
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user=self.USER, password=self.PASSWORD,
                               dbname=self.DATABASE, autocommit=True)


def certificate(folder, authority):
    """An authority of our own, and a broker's key and certificate for this machine in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True)
    now = datetime.datetime.now(datetime.timezone.utc)

    def made(name, issuer, key, signer, extension):
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=2)).add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority.write_bytes(made("kafka-authority", "kafka-authority", root, root, x509.BasicConstraints(True, None)))
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    private = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "broker.pem").write_bytes(private + made("broker", "kafka-authority", own, root, here))


class Kafka:
    """Apache Kafka: one KRaft node, begun by the first case that needs it, with its own tools."""

    VERSION = "4.3.0"
    CLUSTER_ID = "4L6g3nShTxeMCtKxxX86sw"
    USER, PASSWORD = "reader", "reader-password"

    def __init__(self, folder):
        self.folder = folder / "kafka"
        self.port, self.controller = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        # Over TLS; the second wants a login too.
        self.encrypted, self.secured = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.authority = self.folder / "authority.pem"
        certificate(self.folder, self.authority)
        self.process, self.jars = None, None

    def start(self):
        """Begins the node, or begins it again on the same data."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.jars is None:
            self.jars = kafka_jars(self.VERSION)
            self.format()
        with open(self.folder / "kafka.log", "ab") as log:
            self.process = subprocess.Popen(
                self.line("kafka.Kafka", str(self.settings), memory="384m"), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        admin = self.admin()
        eventually(lambda: self.knows_itself(admin), "the broker answers", 60)

    def knows_itself(self, admin):
        assert self.process.poll() is None, (self.folder / "kafka.log").read_text()[-2000:]
        try:
            return admin.list_topics(timeout=1).brokers
        except Exception:  # noqa: BLE001 - whatever it is, it is not there yet
            return False

    def format(self):
        self.settings = self.folder / "server.properties"
        login, modules = "listener.name.secured", "org.apache.kafka.common.security"
        self.settings.write_text("\n".join([
            "process.roles=broker,controller", "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{self.controller}",
            f"listeners={self.listeners()},CONTROLLER://127.0.0.1:{self.controller}",
            f"advertised.listeners={self.listeners()}", "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,ENCRYPTED:SSL,SECURED:SASL_SSL",
            "ssl.keystore.type=PEM", f"ssl.keystore.location={self.folder / 'broker.pem'}",
            # A login runs out while a case lasts.
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512", "connections.max.reauth.ms=2000",
            f"{login}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required "
            f'user_{self.USER}="{self.PASSWORD}";',
            *(f"{login}.scram-sha-{bits}.sasl.jaas.config={modules}.scram.ScramLoginModule required;" for bits in (256, 512)),
            f"log.dirs={self.folder / 'logs'}", "offsets.topic.num.partitions=1",
            "offsets.topic.replication.factor=1", "transaction.state.log.num.partitions=1",
            "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
            "auto.create.topics.enable=false", f"message.max.bytes={32 << 20}",
            f"socket.request.max.bytes={64 << 20}", "",
        ]))
        users = [f"SCRAM-SHA-{bits}=[name={self.USER},password={self.PASSWORD}]" for bits in (256, 512)]
        self.tool("kafka.tools.StorageTool", "format", "-t", self.CLUSTER_ID, "-c", str(self.settings),
                  *(word for user in users for word in ("--add-scram", user)))

    def listeners(self):
        return f"PLAINTEXT://{self.address},ENCRYPTED://{self.encrypted},SECURED://{self.secured}"

    def set_password(self, user, password):
        """Gives a user a password for SCRAM-SHA-512."""
        from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

        admin = self.admin()
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8_192)
        change = UserScramCredentialUpsertion(user, info, password.encode())
        admin.alter_user_scram_credentials([change])[user].result(30)

    def line(self, program, *arguments, memory="128m"):
        return ["java", f"-Xmx{memory}", "-cp", f"{self.jars}/*", program, *arguments]

    def tool(self, program, *arguments, stdin=b""):
        """Runs one of its own tools to success."""
        done = subprocess.run(self.line(program, *arguments), input=stdin, cwd=self.folder, capture_output=True,
                              timeout=120)
        assert done.returncode == 0, f"{program}: {done.stdout[-1000:]}{done.stderr[-1000:]}"

    def admin(self):
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def producer(self, **settings):
        """An idempotent producer: what is in the topic is there once."""
        from confluent_kafka import Producer

        return Producer({"bootstrap.servers": self.address, "enable.idempotence": True, "log_level": 0,
                         "message.max.bytes": 32 << 20, **{key.replace("_", "."): it for key, it in settings.items()}})

    def create(self, topic, partitions):
        from confluent_kafka.admin import NewTopic

        # A client that is gone takes its answers with it, so each is kept until then.
        admin = self.admin()
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)

    def widen(self, topic, partitions):
        from confluent_kafka.admin import NewPartitions

        admin = self.admin()
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)

    def trim(self, topic, partition, before):
        """Has the records below an offset deleted, as retention does."""
        from confluent_kafka import TopicPartition

        admin = self.admin()
        for deleted in admin.delete_records([TopicPartition(topic, partition, before)]).values():
            deleted.result(30)

    def kill(self):
        """kill -9: no goodbye."""
        stop_group(self.process)

    def stop(self):
        stop_group(self.process)


def kafka_jars(version):
    """The broker and its tools: those that the benchmarks have installed, or Maven's."""
    installed = pathlib.Path(BINARY).resolve().parent.parent / "peers" / "installed" / f"kafka-{version}"
    if (installed / "installed").is_file():
        return installed / "jars"
    return maven_jars("kafka", version, "org.apache.kafka:kafka_2.13", "org.apache.kafka:kafka-tools")


def maven_jars(name, version, *artifacts):
    """The jars of some artifacts (`group:artifact`, or with a version of their own) and of all they need."""
    folder = (WORKSHOP / f"{name}-{version}").resolve()
    if not (folder / "installed").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = ""
        for artifact in artifacts:
            group, artifact, own = (*artifact.split(":"), version)[:3]
            wanted += (f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
                       f"<version>{own}</version></dependency>")
        (folder / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            f"<groupId>peers</groupId><artifactId>{name}</artifactId><version>1</version>"
            f"<packaging>pom</packaging><dependencies>{wanted}</dependencies></project>"
        )
        # Captured: Maven colours even what it does not say, and the suite's last line is read by a program.
        done = subprocess.run(["mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DoutputDirectory=jars",
                               "-DincludeScope=runtime"], cwd=folder, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, f"Maven: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        (folder / "installed").touch()
    return folder / "jars"


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
