"""Death at every named point between a put and its destination.

Judges a build that can be told where to die (`cargo build -p millstream --features faults`, whose path is
CONFORMANCE_FAULTS_BINARY): there it aborts without a word, as kill -9 would have it. Each kind of destination has
a delivery stream that passes every point; it dies at each in turn, begins again, and in the end every acknowledged
record has to be in the destination or in the error output: once where that is promised, else counted.
"""

import base64
import collections
import json
import os
import re
import time
import urllib.request

from harness import Skip, equal, eventually, fresh_name

from .crash import BROKEN
from .destinations import count_rows, http_config, warehouse_config
from .endpoints import Functions, HttpEndpoint, Search
from .objects import processing, processor
from .parts import Millstream
from .sources import produce
from .streams import ROLE, Bucket, DeliveryStream, Folder, objects_config

BINARY = os.environ.get("CONFORMANCE_FAULTS_BINARY")
# Points that every delivery passes; what a configuration adds comes with it.
COMMON = ("AfterAppend", "AfterBuffering", "AfterPledge", "AfterDelivery", "AfterCheckpoint", "AfterTrim",
          "WhileReconfiguring")
HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 1}


class Dying(Millstream):
    """The server under test, built so that it can be told where to die."""

    def line(self):
        return [BINARY, *super().line()[1:]]

    def start_to_die(self, point, nth):
        """Begins a life that ends at a point. It may be over before it is ready."""
        return self.start(prefix=("env", f"FIREHOSE_FAIL_POINT={point}:{nth}"))

    def is_dead(self):
        return self.process.poll() is not None

    def metric(self, name):
        """A counter or gauge of `/metrics`, summed up."""
        with urllib.request.urlopen(f"{self.endpoint}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return sum(int(float(value)) for value in re.findall(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE))


class Journey:
    """One delivery stream over many lives of its server, and what was put into it."""

    def __init__(self, server, change, **configuration):
        self.server, self.change = server, change
        self.sent, self.acknowledged = 0, set()
        self.duplicates = 0
        self.stream = DeliveryStream(server.firehose(), **configuration).__enter__()

    def put(self):
        """Puts a few records; what becomes of them is unknown where nobody answers."""
        batch = range(self.sent, self.sent + 20)
        self.sent += len(batch)
        records = [{"Data": b'{"number": %d, "group": %d, "filling": "%s"}\n' % (n, n % 3, b"x" * 200)} for n in batch]
        try:
            answer = self.server.firehose().put_record_batch(DeliveryStreamName=self.stream.name, Records=records)
        except BROKEN:
            return
        results = zip(batch, answer["RequestResponses"])
        self.acknowledged.update(n for n, result in results if "RecordId" in result)

    def reconfigure(self):
        """Another interval, so that there is a new version."""
        try:
            firehose = self.server.firehose()
            described = firehose.describe_delivery_stream(DeliveryStreamName=self.stream.name)
            described = described["DeliveryStreamDescription"]
            firehose.update_destination(
                DeliveryStreamName=self.stream.name, CurrentDeliveryStreamVersionId=described["VersionId"],
                DestinationId=described["Destinations"][0]["DestinationId"], **self.change(described["VersionId"]))
        except BROKEN:
            pass

    def die(self, point, nth):
        """Puts until the server dies at the point, and begins again; counts what it says it delivered twice."""
        server = self.server
        server.kill()
        server.start_to_die(point, nth)
        deadline, asked = time.monotonic() + 40, 0
        while not server.is_dead():
            assert time.monotonic() < deadline, f"{point} was not reached {nth} times"
            self.put()
            if point == "WhileReconfiguring" and asked < 1:
                self.reconfigure()
                asked += 1
            time.sleep(0.1)
        assert "dying as ordered" in server.log() and point in server.log(), server.log()[-2000:]
        server.kill()
        assert server.start() is not None, server.log()[-2000:]

    def settled(self, found):
        """Waits until all that was acknowledged is found and the server has nothing left to do."""
        missing = lambda: self.acknowledged - set(found())  # noqa: E731 - read anew each time
        eventually(lambda: not missing(), "every acknowledged record is somewhere", 60)
        eventually(lambda: self.server.metric("millstream_firehose_data_freshness_ms") == 0, "nothing is outstanding", 60)
        self.duplicates += self.server.metric("millstream_firehose_duplicate_records_total")

    def through(self, points, found, before=lambda point: None):
        """Dies at each point in turn; gives how often each number was found."""
        for index, point in enumerate(points):
            before(point)
            self.die(point, 1 if point == "WhileReconfiguring" else 1 + index % 2)
            self.settled(found)
        assert len(self.acknowledged) >= 10 * len(points), f"only {len(self.acknowledged)} were acknowledged"
        time.sleep(1.5)
        counts = collections.Counter(found())
        equal(self.acknowledged - counts.keys(), set(), "acknowledged and nowhere")
        equal(counts.keys() - set(range(self.sent)), set(), "records that nobody put")
        return counts

    def end(self):
        self.stream.firehose = self.server.firehose()
        self.stream.__exit__()


def dying(site, settings):
    """A server that can be told where to die."""
    if not BINARY:
        raise Skip("CONFORMANCE_FAULTS_BINARY names no build with the feature `faults`")
    folder = site.folder / fresh_name("dying")
    folder.mkdir()
    server = Dying(folder, settings)
    site.started.append(server)
    assert server.start() is not None, server.log()
    return server


def json_lines(contents):
    """Every line of some objects, parsed."""
    return [json.loads(line) for content in contents for line in content.splitlines()]


def refused_numbers(contents):
    """The numbers of records in error documents."""
    return [json.loads(base64.b64decode(document["rawData"]))["number"] for document in json_lines(contents)]


def once(counts):
    """Refuses what was found more than once."""
    equal({n: count for n, count in counts.items() if count > 1}, {}, "found more than once")


def rework(record):
    """A function that fails one record of twenty, and hands the rest on."""
    event = json.loads(base64.b64decode(record["data"]))
    verdict = "ProcessingFailed" if event["number"] % 20 == 7 else "Ok"
    return {"recordId": record["recordId"], "result": verdict, "data": record["data"]}


def objects_survive(site, server, bucket, folder):
    """Partitioned, reworked by a function, with an error output: every point there is for objects."""
    functions = Functions(rework)
    site.functions.target = functions
    config = objects_config(
        bucket, BufferingHints={"SizeInMBs": 64, "IntervalInSeconds": 1},
        Prefix="good/group=!{partitionKeyFromQuery:group}/", ErrorOutputPrefix="bad/!{firehose:error-output-type}/",
        DynamicPartitioningConfiguration={"Enabled": True},
        ProcessingConfiguration=processing(
            processor("Lambda", LambdaArn=site.function_arn, BufferIntervalInSeconds="1", BufferSizeInMBs="1"),
            processor("MetadataExtraction", MetadataExtractionQuery="{group: .group}", JsonParsingEngine="JQ-1.6")))
    hints = {"SizeInMBs": 64}
    journey = Journey(
        server, lambda version: {"ExtendedS3DestinationUpdate": {
            "BufferingHints": {**hints, "IntervalInSeconds": 1 + int(version) % 2}}},
        ExtendedS3DestinationConfiguration=config)

    def found():
        good = [event["number"] for event in json_lines(folder.objects("good/").values())]
        return good + refused_numbers(folder.objects("bad/").values())

    try:
        once(journey.through((*COMMON, "AfterErrorOutput", "AfterInvocation"), found))
        refused = set(refused_numbers(folder.objects("bad/processing-failed/").values()))
        equal(refused & journey.acknowledged, {n for n in journey.acknowledged if n % 20 == 7}, "what the function refused")
        equal(journey.duplicates, 0, "duplicates that are counted")
        functions.kept_contract()
        journey.end()
    finally:
        server.kill()
        functions.stop()


def a_folder_has_each_record_once_wherever_it_dies(site):
    """killed at each named point, objects in a folder and its error output have each record once"""
    server, bucket = dying(site, site.local), fresh_name("bucket")
    objects_survive(site, server, bucket, Folder(server, bucket))


def s3_has_each_record_once_wherever_it_dies(site):
    """killed at each named point, objects of an S3 server and its error output have each record once"""
    server, bucket = dying(site, {**site.local, "s3_endpoint": site.moto.endpoint}), Bucket(site.s3, fresh_name("bucket"))
    objects_survive(site, server, bucket.name, bucket)


def an_endpoint_has_each_record_wherever_it_dies(site):
    """killed at each named point, an HTTP endpoint has each record; what it has twice is counted"""
    server, backup, endpoint = dying(site, site.local), fresh_name("backup"), HttpEndpoint()
    folder = Folder(server, backup)
    journey = Journey(
        server, lambda version: {"HttpEndpointDestinationUpdate": {
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1 + int(version) % 2}}},
        HttpEndpointDestinationConfiguration=http_config(endpoint, backup, RetryOptions={"DurationInSeconds": 0}))

    def taken():
        return [json.loads(data)["number"] for data in list(endpoint.taken)]

    def refused():
        return refused_numbers(folder.objects().values())

    def before(point):
        # What is to be in the error output has to be refused.
        endpoint.fault = (lambda: 500) if point == "AfterErrorOutput" else (lambda: None)

    try:
        counts = journey.through((*COMMON, "AfterErrorOutput"), lambda: taken() + refused(), before)
        assert refused(), "nothing was in the error output"
        once(collections.Counter(refused()))
        repeats = sum(count - 1 for count in counts.values())
        assert 0 < repeats <= journey.duplicates, f"{repeats} repeats, of which {journey.duplicates} are counted"
        # A repeat is the same request under the same id, by which a receiver can tell it.
        once(collections.Counter(json.loads(data)["number"] for data in endpoint.accepted))
        endpoint.kept_contract()
        journey.end()
    finally:
        server.kill()
        endpoint.stop()


def an_index_has_each_document_once_wherever_it_dies(site):
    """killed at each named point, a search index has each document under one id, or the error output has it"""
    server, backup, cluster = dying(site, site.local), fresh_name("backup"), Search()
    cluster.refuse = lambda document: 400 if document["number"] % 20 == 7 else None
    folder = Folder(server, backup)
    config = {"RoleARN": ROLE, "ClusterEndpoint": cluster.url, "IndexName": "events", "IndexRotationPeriod": "NoRotation",
              "BufferingHints": HINTS, "RetryOptions": {"DurationInSeconds": 60}, "S3Configuration": objects_config(backup),
              "DocumentIdOptions": {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"}}
    journey = Journey(
        server, lambda version: {"AmazonopensearchserviceDestinationUpdate": {
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1 + int(version) % 2}}},
        AmazonopensearchserviceDestinationConfiguration=config)

    def found():
        indexed = [copies[0]["number"] for copies in list(cluster.documents.values())]
        return indexed + refused_numbers(folder.objects().values())

    try:
        once(journey.through((*COMMON, "AfterErrorOutput"), found))
        copies = sum(len(copies) - 1 for copies in cluster.documents.values())
        assert 0 < copies <= journey.duplicates, f"{copies} were indexed again, {journey.duplicates} are counted"
        cluster.kept_contract()
        journey.end()
    finally:
        server.kill()
        cluster.stop()


def postgresql_has_each_row_once_wherever_it_dies(site):
    """killed at each named point, PostgreSQL has each row once, or a manifest names it"""
    server, bucket = dying(site, site.local), fresh_name("staging")
    table, folder = fresh_name("events").replace("-", "_"), Folder(server, bucket)
    hidden = f"{table}_away"
    with site.postgres.connect() as connection:
        connection.execute(f"create table {table} (number bigint, filling text)")
    config = warehouse_config(site, bucket, table, RetryOptions={"DurationInSeconds": 5})
    journey = Journey(
        server, lambda version: {"RedshiftDestinationUpdate": {"S3Update": {
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1 + int(version) % 2}}}},
        RedshiftDestinationConfiguration=config)

    def is_hidden(connection):
        return connection.execute("select to_regclass(%s)", (hidden,)).fetchone()[0] is not None

    def rows():
        with site.postgres.connect() as connection:
            name = hidden if is_hidden(connection) else table
            return [number for number, in connection.execute(f"select number from {name}").fetchall()]

    def left():
        """What manifests name that were left to a person to load."""
        manifests = [json.loads(content) for content in folder.objects("errors/").values()]
        keys = [entry["url"].removeprefix(f"s3://{bucket}/") for manifest in manifests for entry in manifest["entries"]]
        objects = folder.objects()
        return [event["number"] for event in json_lines(objects[key] for key in keys)]

    def before(point):
        with site.postgres.connect() as connection:
            if point == "AfterErrorOutput":
                connection.execute(f"alter table {table} rename to {hidden}")
            elif is_hidden(connection):
                connection.execute(f"alter table {hidden} rename to {table}")

    try:
        counts = journey.through((*COMMON, "AfterStaging", "AfterErrorOutput"), lambda: rows() + left(), before)
        before(None)
        assert left(), "nothing was left to a person"
        once(counts)
        equal(count_rows(site, table), len(rows()))
        journey.end()
    finally:
        server.kill()


SOURCE_POINTS = ("AfterBuffering", "AfterPledge", "AfterDelivery", "AfterCheckpoint", "AfterTrim", "WhileReconfiguring")


class Reader(Journey):
    """A journey whose records come from another stream, where they all are once they were put."""

    def __init__(self, server, put, bucket, **source):
        config = objects_config(bucket, ProcessingConfiguration=processing(processor("AppendDelimiterToRecord")))
        super().__init__(
            server, lambda version: {"ExtendedS3DestinationUpdate": {
                "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 1 + int(version) % 2}}},
            ExtendedS3DestinationConfiguration=config, **source)
        self.put_source, self.folder = put, Folder(server, bucket)

    def put(self):
        batch = range(self.sent, self.sent + 20)
        self.sent += len(batch)
        if self.put_source([b'{"number": %d}' % number for number in batch]):
            self.acknowledged.update(batch)

    def prove(self):
        """Dies everywhere; what is delivered twice has to be counted."""
        def found():
            return [event["number"] for event in json_lines(self.folder.objects().values())]

        counts = self.through(SOURCE_POINTS, found)
        repeats = sum(count - 1 for count in counts.values())
        assert repeats <= self.duplicates, f"{repeats} repeats, of which {self.duplicates} are counted"
        assert 0 < self.duplicates < len(counts), f"{self.duplicates} of {len(counts)} are counted as repeated"
        self.end()


def a_data_stream_is_delivered_wherever_it_dies(site):
    """killed at each named point, all of a Data Stream's records are delivered; what is delivered twice is counted"""
    server, name = dying(site, site.local), fresh_name("source")
    kinesis = server.kinesis()
    kinesis.create_stream(StreamName=name, ShardCount=2)

    def arn():
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return summary["StreamARN"] if summary["StreamStatus"] == "ACTIVE" else None

    def put(datas):
        records = [{"Data": data, "PartitionKey": f"key-{number}"} for number, data in enumerate(datas)]
        try:
            return not server.kinesis().put_records(StreamName=name, Records=records)["FailedRecordCount"]
        except BROKEN:
            return False

    try:
        source = {"KinesisStreamARN": eventually(arn, "the stream is ACTIVE"), "RoleARN": ROLE}
        Reader(server, put, fresh_name("bucket"), DeliveryStreamType="KinesisStreamAsSource",
               KinesisStreamSourceConfiguration=source).prove()
    finally:
        server.kill()


def a_topic_is_delivered_wherever_it_dies(site):
    """killed at each named point, all of a Kafka topic's records are delivered; what is delivered twice is counted"""
    server, topic, kafka = dying(site, site.local), fresh_name("topic"), site.kafka
    kafka.start()
    kafka.create(topic, 3)
    producer = kafka.producer()

    def put(datas):
        produce(producer, topic, datas, [0, 1, 2])
        return True

    try:
        source = {"MSKClusterARN": site.kafka_arn, "TopicName": topic,
                  "AuthenticationConfiguration": {"RoleARN": ROLE, "Connectivity": "PRIVATE"}}
        Reader(server, put, fresh_name("bucket"), DeliveryStreamType="MSKAsSource", MSKSourceConfiguration=source).prove()
    finally:
        server.kill()


CASES = [
    (("PutRecordBatch",), a_folder_has_each_record_once_wherever_it_dies),
    (("PutRecordBatch",), s3_has_each_record_once_wherever_it_dies),
    (("PutRecordBatch",), an_endpoint_has_each_record_wherever_it_dies),
    (("PutRecordBatch",), an_index_has_each_document_once_wherever_it_dies),
    (("PutRecordBatch",), postgresql_has_each_row_once_wherever_it_dies),
    (("CreateDeliveryStream",), a_data_stream_is_delivered_wherever_it_dies),
    (("CreateDeliveryStream",), a_topic_is_delivered_wherever_it_dies),
]
