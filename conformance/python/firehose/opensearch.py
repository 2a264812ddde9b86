"""Search judged by OpenSearch itself: what is in its indices is what was put, through every refusal of its own.

The node is the server's own classes in a process of ours (SearchNode.java): no distribution of it comes in a package.
"""

import base64
import datetime
import json
import pathlib
import subprocess
import time
import urllib.error
import urllib.request

from durability.server import free_port
from harness import equal, eventually, fresh_name

from .parts import maven_jars, stop_group
from .streams import ROLE, DeliveryStream, Folder, lines, numbered, numbers, objects_config, wait_for_lines

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 1}
PATTERNS = {"OneHour": "-%Y-%m-%d-%H", "OneDay": "-%Y-%m-%d", "OneMonth": "-%Y-%m"}
ERROR_MEMBERS = ["attemptsMade", "arrivalTimestamp", "errorCode", "errorMessage", "attemptEndingTimestamp", "rawData",
                 "esDocumentId", "esIndexName", "esTypeName"]


class OpenSearch:
    """One node, begun by the first case that needs it."""

    VERSION = "2.19.6"

    def __init__(self, folder):
        self.folder = folder / "opensearch"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process, self.jars = None, None

    def start(self):
        """Begins the node, or begins it again on the same data; waits until it takes documents."""
        self.launch()
        eventually(self.is_ready, "OpenSearch answers", 90)

    def launch(self):
        """Begins it and does not wait."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.jars is None:
            self.jars = maven_jars("opensearch", self.VERSION, "org.opensearch:opensearch",
                                   "org.opensearch.plugin:transport-netty4-client",
                                   "org.apache.logging.log4j:log4j-core:2.25.4")
            self.folder.mkdir(parents=True)
        program = pathlib.Path(__file__).with_name("SearchNode.java").resolve()
        with open(self.folder / "opensearch.log", "ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*", str(program),
                 str(self.folder.resolve() / "node"), str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "opensearch.log").read_text()[-3000:]
        try:
            return self.call("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")["status"] != "red"
        except OSError:
            return False

    def call(self, method, path, body=None):
        """The answer to one request of its own API; raises what is an error there."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def create(self, index, **properties):
        """An index with a mapping."""
        self.call("PUT", f"/{index}", {"mappings": {"properties": properties}})

    def block(self, index, kind, is_blocked):
        """Sets a block of an index, or takes it away."""
        self.call("PUT", f"/{index}/_settings", {f"index.blocks.{kind}": is_blocked or None})

    def count(self, indices):
        """How many documents there are."""
        try:
            self.call("POST", f"/{indices}/_refresh")
            return self.call("GET", f"/{indices}/_count")["count"]
        except urllib.error.HTTPError as error:
            # Not yet made, or its shard not yet begun.
            if error.code in (404, 503):
                return 0
            raise

    def documents(self, indices):
        """Every document: index, id and source."""
        self.call("POST", f"/{indices}/_refresh")
        found = self.call("GET", f"/{indices}/_search", {"size": 10_000, "query": {"match_all": {}}})["hits"]
        equal((found["total"]["relation"], found["total"]["value"]), ("eq", len(found["hits"])), "documents at once")
        return [(hit["_index"], hit["_id"], hit["_source"]) for hit in found["hits"]]

    def kill(self):
        """kill -9: no goodbye."""
        stop_group(self.process)

    def stop(self):
        stop_group(self.process)


def search_config(site, index, backup, **more):
    """A destination that is the node."""
    site.opensearch.start()
    return {"RoleARN": ROLE, "ClusterEndpoint": site.opensearch.url, "IndexName": index, "IndexRotationPeriod": "NoRotation",
            "BufferingHints": HINTS, "RetryOptions": {"DurationInSeconds": 120}, "S3BackupMode": "FailedDocumentsOnly",
            "DocumentIdOptions": {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"},
            "S3Configuration": objects_config(backup), **more}


def deliver_to(site, config):
    """A delivery stream to it."""
    return DeliveryStream(site.firehose, AmazonopensearchserviceDestinationConfiguration=config)


def wait_for_documents(site, indices, count, seconds=60):
    """The documents, once there are as many, and no more a moment later."""
    eventually(lambda: site.opensearch.count(indices) >= count, f"{count} documents in {indices}", seconds)
    time.sleep(1.2)
    return site.opensearch.documents(indices)


def wait_for_errors(site, backup, count, seconds=30):
    """The documents of the error output."""
    found = wait_for_lines(Folder(site.alone, backup), count, prefix="AmazonOpenSearchService-failed/", seconds=seconds)
    equal(len(found), count, "refused documents")
    return [json.loads(line) for line in found]


def told_numbers(errors):
    """The numbers of the records in error documents, in order."""
    return sorted(numbers(base64.b64decode(error["rawData"]) for error in errors))


def week_of(day):
    """The year and week as the guide has them: from Sunday on, the first one being that of the first Saturday."""
    saturday = day + datetime.timedelta(days=(5 - day.weekday()) % 7)
    return f"-{saturday.year}-w{(saturday.timetuple().tm_yday - 1) // 7 + 1:02}"


def suffixes(period, moments):
    """What an index's name may end with for records that came in between."""
    if period == "NoRotation":
        return {""}
    if period == "OneWeek":
        return {week_of(moment.date()) for moment in moments}
    return {moment.strftime(PATTERNS[period]) for moment in moments}


def indices_rotate(site):
    """OpenSearch has every document in the hour's, day's, week's, month's index, or in the one index, value by value"""
    sent = numbered(120)
    made = []
    before = datetime.datetime.now(datetime.timezone.utc)
    try:
        for period in ("NoRotation", "OneHour", "OneDay", "OneWeek", "OneMonth"):
            index, backup = fresh_name("events"), fresh_name("backup")
            config = search_config(site, index, backup, IndexRotationPeriod=period, S3BackupMode="AllDocuments")
            made.append((period, index, backup, deliver_to(site, config).__enter__()))
        for *_, stream in made:
            stream.put(sent)
        for _, index, _, _ in made:
            eventually(lambda: site.opensearch.count(f"{index}*") >= len(sent), "all documents", 60)  # noqa: B023
        time.sleep(2)
        after = datetime.datetime.now(datetime.timezone.utc)
        for period, index, backup, _ in made:
            found = site.opensearch.documents(f"{index}*")
            names = {name for name, _, _ in found}
            assert names <= {index + suffix for suffix in suffixes(period, (before, after))}, (period, names)
            documents = sorted((source for _, _, source in found), key=lambda source: source["number"])
            equal(documents, [json.loads(line) for line in sent], period)
            equal(len({identity for _, identity, _ in found}), len(sent), "ids")
            backed_up = sorted(numbers(lines(Folder(site.alone, backup).objects())))
            equal(backed_up, list(range(len(sent))), "the backup of all documents")
    finally:
        for *_, stream in made:
            stream.__exit__()


def refused_documents_are_told(site):
    """documents that OpenSearch's mapping refuses are in the error output with OpenSearch's reason, the others in the index"""
    index, backup = fresh_name("typed"), fresh_name("backup")
    config = search_config(site, index, backup)
    site.opensearch.create(index, number={"type": "long"}, when={"type": "date"})
    site.opensearch.call("PUT", f"/{index}/_doc/victim", {"number": -1})
    sent = [json.dumps({"number": number, "when": "never" if number % 10 == 3 else "2026-01-02"}).encode()
            for number in range(200)]
    smuggler = b'{"number": 200}\n{"delete": {"_index": "%s", "_id": "victim"}}' % index.encode()
    strangers = [b"no json at all", b'{"number": ', smuggler, b'["number"]']
    with deliver_to(site, config) as stream:
        stream.put(sent + strangers)
        wanted = [number for number in range(200) if number % 10 != 3]
        found = wait_for_documents(site, index, len(wanted) + 1)
        equal(sorted(source["number"] for _, _, source in found), [-1, *wanted])
        errors = wait_for_errors(site, backup, 20 + len(strangers))
        for error in errors:
            equal(list(error), ERROR_MEMBERS, "members of an error document")
            equal((error["errorCode"], error["esIndexName"], error["esTypeName"]), ("400", index, ""))
            assert json.loads(error["errorMessage"])["type"], error["errorMessage"]
            assert error["esDocumentId"] and error["attemptsMade"] == 1, error
        raw = [base64.b64decode(error["rawData"]) for error in errors]
        equal(sorted(raw), sorted([*(sent[number] for number in range(3, 200, 10)), *strangers]), "what was refused")
        ids = {identity for _, identity, _ in found} | {error["esDocumentId"] for error in errors}
        equal(len(ids), len(sent) + len(strangers) + 1, "ids of their own")


def other_forms_are_understood(site):
    """OpenSearch understands the requests for Elasticsearch and for serverless collections, and refuses what has a type"""
    backup, sent = fresh_name("backup"), [*numbered(50), b'{"number": "fifty"}']
    made = []
    try:
        indices = [fresh_name(name) for name in ("elastic", "typed", "serverless")]
        for index in indices:
            site.opensearch.start()
            site.opensearch.create(index, number={"type": "long"})
        elastic = search_config(site, indices[0], backup)
        typed = search_config(site, indices[1], backup, TypeName="event")
        serverless = {**search_config(site, indices[2], backup), "CollectionEndpoint": site.opensearch.url}
        for name in ("ClusterEndpoint", "IndexRotationPeriod", "DocumentIdOptions"):
            del serverless[name]
        for config in (elastic, typed):
            made.append(DeliveryStream(site.firehose, ElasticsearchDestinationConfiguration=config).__enter__())
        made.append(DeliveryStream(site.firehose, AmazonOpenSearchServerlessDestinationConfiguration=serverless).__enter__())
        for stream in made:
            stream.put(sent)
        for index in (indices[0], indices[2]):
            found = wait_for_documents(site, index, 50)
            equal(sorted(source["number"] for _, _, source in found), list(range(50)), index)
        # What has a type is refused by everything from 7 on: the whole request, and so each of its documents.
        errors = wait_for_errors(site, backup, 1 + len(sent) + 1)
        equal(site.opensearch.count(indices[1]), 0)
        by_index = {}
        for error in errors:
            equal(error["errorCode"], "400")
            by_index.setdefault(error.get("esIndexName") or error["osIndexName"], []).append(error)
        equal({index: len(each) for index, each in by_index.items()}, dict(zip(indices, (1, len(sent), 1))))
        equal({error["esTypeName"] for error in by_index[indices[1]]}, {"event"})
        equal(list(by_index[indices[2]][0]), [*ERROR_MEMBERS[:6], "osDocumentId", "osIndexName"])
    finally:
        for stream in made:
            stream.__exit__()


def blocks_are_waited_for(site):
    """an index that OpenSearch blocks (429, as when its disk is full) gets every document once the block is gone"""
    index, backup = fresh_name("full"), fresh_name("backup")
    config = search_config(site, index, backup)
    site.opensearch.create(index, number={"type": "long"})
    site.opensearch.block(index, "read_only_allow_delete", True)
    with deliver_to(site, config) as stream:
        stream.put(numbered(300))
        time.sleep(3)
        equal(site.opensearch.count(index), 0, "documents behind the block")
        site.opensearch.block(index, "read_only_allow_delete", False)
        found = wait_for_documents(site, index, 300)
        equal(sorted(source["number"] for _, _, source in found), list(range(300)))
        equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")


def a_blocked_index_costs_no_document(site):
    """documents of one index that stays read-only are in the error output after the retry duration, each with the reason"""
    index, backup = fresh_name("closed"), fresh_name("backup")
    config = search_config(site, index, backup, RetryOptions={"DurationInSeconds": 3})
    site.opensearch.create(index, number={"type": "long"})
    site.opensearch.block(index, "write", True)
    with deliver_to(site, config) as stream:
        stream.put(numbered(40))
        errors = wait_for_errors(site, backup, 40)
        equal(told_numbers(errors), list(range(40)))
        equal({error["errorCode"] for error in errors}, {"403"})
        assert all("cluster_block_exception" in error["errorMessage"] for error in errors), errors[0]
        assert all(error["attemptsMade"] > 1 for error in errors), errors[0]
        equal(site.opensearch.count(index), 0)


def a_killed_node_gets_everything(site):
    """OpenSearch killed and started again meanwhile has every document; with ids of Firehose's each once"""
    config = {option: fresh_name(name) for option, name in (("FIREHOSE_DEFAULT", "ours"), ("NO_DOCUMENT_ID", "theirs"))}
    backup, sent = fresh_name("backup"), numbered(4_000, size=400)
    made = {}
    try:
        for option, index in config.items():
            made[option] = deliver_to(site, search_config(
                site, index, backup, DocumentIdOptions={"DefaultDocumentIdFormat": option})).__enter__()
            made[option].put(sent[:1_000])
        for index in config.values():
            eventually(lambda: site.opensearch.count(index) >= 1, "the first documents", 60)
        site.opensearch.kill()
        for stream in made.values():
            stream.put(sent[1_000:])
        site.opensearch.start()
        ours = wait_for_documents(site, config["FIREHOSE_DEFAULT"], len(sent), 120)
        equal(sorted(source["number"] for _, _, source in ours), list(range(len(sent))), "each once")
        theirs = wait_for_documents(site, config["NO_DOCUMENT_ID"], len(sent), 120)
        equal(sorted({source["number"] for _, _, source in theirs}), list(range(len(sent))), "each at least once")
        assert all("." in identity for _, identity, _ in ours), ours[0]
        assert all(len(identity) == 20 and "." not in identity for _, identity, _ in theirs), "ids of OpenSearch's"
        equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")
    finally:
        for stream in made.values():
            stream.__exit__()


OPERATIONS = ("CreateDeliveryStream", "PutRecordBatch")
CASES = [(OPERATIONS, case) for case in (
    indices_rotate, refused_documents_are_told, other_forms_are_understood, blocks_are_waited_for,
    a_blocked_index_costs_no_document, a_killed_node_gets_everything)]
