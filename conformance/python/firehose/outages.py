"""Destinations that answer wrongly, in part, late or not at all, and disks that are full: no record is lost."""

import json
import os
import threading
import time

from botocore.exceptions import ClientError

from durability.disk import small_disk
from harness import equal, eventually, fresh_name

from .destinations import HINTS, count_rows, http_config, warehouse_config
from .endpoints import CommitLoser, HttpEndpoint, Proxy, Raw, Search, Splunk
from .faults import json_lines, refused_numbers
from .late import JSON, late, said, splunk_config
from .parts import Millstream
from .streams import ROLE, Bucket, DeliveryStream, Folder, numbered, numbers, objects_config

CUT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"requestId\":"


def side_by_side(prove, rows):
    """Proves each row in a thread of its own: they wait for the same seconds."""
    failures = []

    def one(row):
        try:
            prove(*row)
        except BaseException as error:  # noqa: BLE001 - told below, with its row
            failures.append(f"{row[0]}: {error}")

    threads = [threading.Thread(target=one, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failures, [], "failures")


def wrong_answers_of_an_endpoint_cost_no_record(site):
    """whatever an HTTP endpoint answers but its contract, it is asked again under the same id until it agrees"""
    # Begun here, judged at the end of the suite.
    late(site)
    elsewhere = HttpEndpoint()

    def taken(answer, change):
        """The records are taken, and the answer does not say so as it has to."""
        def fault(own, take):
            take()
            return change(own) if callable(change) else answer
        return fault

    moved = lambda own, take: (307, {"Location": f"{elsewhere.url}/ingest"}, b"")  # noqa: E731
    rows = [
        ("no JSON", taken((200, JSON, b"<html>"), None)),
        ("a list", taken((200, JSON, b"[]"), None)),
        ("no body", taken((200, JSON, b""), None)),
        ("no timestamp", taken(None, lambda own: said({"requestId": own["requestId"]}))),
        ("no id", taken(None, lambda own: said({"timestamp": own["timestamp"]}))),
        ("another id", "another id"),
        ("a member too many", taken(None, lambda own: said({**own, "records": 1}))),
        ("another type", taken(None, lambda own: (200, {"Content-Type": "text/plain"}, json.dumps(own).encode()))),
        ("content-encoded", taken(None, lambda own: said(own, **{"Content-Encoding": "identity"}))),
        ("202", taken(None, lambda own: (202, JSON, json.dumps(own).encode()))),
        ("a redirect", moved),
        ("closed before the answer", taken(Raw(), None)),
        ("closed within the answer", taken(Raw(CUT), None)),
        ("no HTTP", taken(Raw(b"\x16\x03\x01 what\r\n\r\n"), None)),
        ("too large", taken((200, JSON, b" " * (2 << 20)), None)),
    ]

    def prove(name, fault):
        endpoint, backup, sent = HttpEndpoint(), fresh_name("backup"), numbered(100)
        endpoint.fail(fault)
        try:
            with DeliveryStream(site.alone.firehose(), HttpEndpointDestinationConfiguration=http_config(endpoint, backup)) as stream:
                stream.put(sent)
                eventually(lambda: len(endpoint.requests) >= 2 and len(endpoint.accepted) >= 100, "another try", 60)
                equal(sorted(numbers(endpoint.accepted)), list(range(100)))
                ids = {request_id for _, request_id, _ in endpoint.requests}
                equal(len(ids), len(endpoint.seen_ids), "ids of requests, and of those that were taken")
                endpoint.kept_contract()
                equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")
        finally:
            endpoint.stop()

    side_by_side(prove, rows)
    equal(elsewhere.requests, [], "requests that followed a redirect")
    elsewhere.stop()


def what_is_too_large_for_an_endpoint_is_backed_up_at_once(site):
    """what an HTTP endpoint calls too large is in the backup after one attempt"""
    endpoint, backup = HttpEndpoint(), fresh_name("backup")
    endpoint.fail(413)
    try:
        with DeliveryStream(site.firehose, HttpEndpointDestinationConfiguration=http_config(endpoint, backup)) as stream:
            stream.put(numbered(100))
            folder = Folder(site.alone, backup)
            eventually(lambda: folder.objects(), "the backup has something", 60)
            time.sleep(2)
            equal(sorted(refused_numbers(folder.objects().values())), list(range(100)))
            equal({document["attemptsMade"] for document in json_lines(folder.objects().values())}, {1}, "attempts")
            equal((len(endpoint.requests), endpoint.accepted), (1, []), "requests, and what was taken")
    finally:
        endpoint.stop()


def half_an_answer_of_search_costs_no_record(site):
    """what a search cluster refuses for now is sent again alone; what it answers wrongly is asked again, ids the same"""
    half = lambda document: 429 if document["number"] % 2 else None  # noqa: E731
    rows = [
        ("half of them later", half, None),
        ("no JSON", None, lambda answer: (200, JSON, b"<html>")),
        ("an item too few", None, lambda answer: said({**answer, "items": answer["items"][:-1]})),
        ("no items", None, lambda answer: said({"errors": False})),
        ("unavailable", None, 503),
        ("closed within the answer", None, lambda answer: Raw(CUT)),
    ]

    def prove(name, refuse, fault):
        cluster, backup, sent = Search(), fresh_name("backup"), numbered(100)
        if refuse:
            refused = set()

            def once(document):
                is_new = document["number"] not in refused
                refused.add(document["number"])
                return refuse(document) if is_new else None

            cluster.refuse = once
        else:
            cluster.fail(fault)
        config = {"RoleARN": ROLE, "ClusterEndpoint": cluster.url, "IndexName": "events", "BufferingHints": HINTS,
                  "RetryOptions": {"DurationInSeconds": 60}, "S3Configuration": objects_config(backup)}
        try:
            with DeliveryStream(site.alone.firehose(), AmazonopensearchserviceDestinationConfiguration=config) as stream:
                stream.put(sent)
                eventually(lambda: len(cluster.documents) >= 100, "all documents", 60)
                time.sleep(2)
                copies = {documents[0]["number"]: len(documents) for documents in list(cluster.documents.values())}
                equal(sorted(copies), list(range(100)))
                if refuse:
                    equal(set(copies.values()), {1}, "how often a document was taken")
                cluster.kept_contract()
                equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")
        finally:
            cluster.stop()

    side_by_side(prove, rows)


def wrong_answers_of_splunk_cost_no_record(site):
    """whatever Splunk answers but a receipt, events are sent again until it has acknowledged them"""
    rows = [
        ("no receipt", (200, JSON, b'{"text":"Success","code":0}')),
        ("no JSON", (200, JSON, b"<html>")),
        ("busy", (503, JSON, b'{"text":"Server is busy","code":9}')),
        ("closed before the answer", Raw()),
        ("closed within the answer", Raw(CUT)),
    ]

    def prove(name, fault):
        collector, backup, sent = Splunk("11111111-2222-3333-4444-555555555555"), fresh_name("backup"), numbered(100)
        collector.fail(fault)
        try:
            with DeliveryStream(site.alone.firehose(), SplunkDestinationConfiguration=splunk_config(collector, backup)) as stream:
                stream.put(sent)
                eventually(lambda: collector.events, "another try", 60)
                found = numbers(b"".join(collector.events).splitlines())
                equal(sorted(set(found)), list(range(100)))
                collector.kept_contract()
                equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")
        finally:
            collector.stop()

    side_by_side(prove, rows)


def behind(site, proxy, name):
    """A server whose buckets are behind a proxy."""
    return site.serve(site.folder / fresh_name(name), {**site.local, "s3_endpoint": proxy.url})


def wrong_answers_of_s3_cost_no_record(site):
    """whatever an S3 server answers, and where its answer is lost, each record is in one object in the end"""
    proxy = Proxy(site.moto.port)
    server = behind(site, proxy, "proxied")

    def lost(forward):
        forward()
        return Raw()

    def cut(forward):
        forward()
        return Raw(CUT)

    slow_down = b"<Error><Code>SlowDown</Code><Message>less</Message></Error>"
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    rows = [
        ("busy", lambda forward: (503, {"Content-Type": "application/xml"}, slow_down)),
        ("broken", lambda forward: (500, {}, b"")),
        ("denied", lambda forward: (403, {"Content-Type": "application/xml"}, denied)),
        ("stored, and the answer is lost", lost),
        ("stored, and the answer is cut off", cut),
        ("no HTTP", lambda forward: Raw(b"what\r\n\r\n")),
        ("moved", lambda forward: (307, {"Location": "http://127.0.0.1:1/"}, b"")),
    ]

    def prove(name, fault):
        bucket, sent = Bucket(site.moto.client("s3"), fresh_name("bucket")), numbered(100)
        proxy.trouble(bucket.name, fault, fault)
        with DeliveryStream(server.firehose(), ExtendedS3DestinationConfiguration=objects_config(bucket.name)) as stream:
            stream.put(sent)
            eventually(lambda: not proxy.troubles[bucket.name] and bucket.objects(), "an object", 60)
            time.sleep(2)
            equal(sorted(event["number"] for event in json_lines(bucket.objects().values())), list(range(100)))

    try:
        side_by_side(prove, rows)
    finally:
        server.kill()
        proxy.stop()


def a_commit_whose_answer_is_lost_is_not_made_again(site):
    """PostgreSQL has each row once where the connection breaks between a commit and its answer"""
    loser = CommitLoser(site.postgres.port)
    table, bucket = fresh_name("events").replace("-", "_"), fresh_name("staging")
    with site.postgres.connect() as connection:
        connection.execute(f"create table {table} (number bigint, filling text)")
    url = f"jdbc:redshift://127.0.0.1:{loser.own_port}/{site.postgres.DATABASE}"
    config = warehouse_config(site, bucket, table, ClusterJDBCURL=url)
    try:
        with DeliveryStream(site.firehose, RedshiftDestinationConfiguration=config) as stream:
            stream.put(numbered(100))
            eventually(lambda: count_rows(site, table) == 100, "the first rows", 60)
            for end in range(200, 600, 100):
                loser.losses = 1
                stream.put(numbered(end)[end - 100:])
                eventually(lambda: loser.losses == 0, "a commit whose answer is lost", 60)
                eventually(lambda: count_rows(site, table) >= end, "the rows", 60)
            time.sleep(3)
            with site.postgres.connect() as connection:
                found = connection.execute(f"select number from {table} order by number").fetchall()
            equal([number for number, in found], list(range(500)))
            equal(loser.lost, 4, "commits whose answer was lost")
    finally:
        loser.stop()


def delivery_pauses_where_nobody_takes_records(site):
    """with destination and backup down puts are taken, through a kill -9 too; once one is back nothing is missing"""
    proxy, endpoint, backup = Proxy(site.moto.port), HttpEndpoint(), Bucket(site.s3, fresh_name("backup"))
    server, sent = behind(site, proxy, "paused"), 0
    endpoint.fault = lambda: 503
    proxy.is_down = True
    config = http_config(endpoint, backup.name, RetryOptions={"DurationInSeconds": 2})
    stream = DeliveryStream(server.firehose(), HttpEndpointDestinationConfiguration=config).__enter__()

    def put(seconds):
        nonlocal sent
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stream.put(numbered(sent + 100, 2_000)[sent:])
            sent += 100
            time.sleep(0.2)

    try:
        put(12)
        assert any(fault for _, _, fault in endpoint.requests), "the endpoint was not tried"
        server.kill()
        assert server.start() is not None, server.log()
        stream.firehose = server.firehose()
        put(8)
        equal((endpoint.accepted, backup.objects()), ([], {}), "what somebody took")
        # The retry duration is over for what came first: that is for the backup, which is back.
        proxy.is_down = False
        eventually(backup.objects, "the backup has something", 90)
        endpoint.fault = lambda: None
        put(2)

        def found():
            return numbers(endpoint.accepted) + refused_numbers(backup.objects().values())

        eventually(lambda: set(found()) == set(range(sent)), "all records", 120)
        time.sleep(2)
        equal(sorted(found()), list(range(sent)))
        assert endpoint.accepted, "the endpoint has nothing"
        stream.__exit__()
    finally:
        server.kill()
        proxy.stop()
        endpoint.stop()


class FullDisk:
    """A server whose data are on a small disk, and numbered records of a size that fills it."""

    BYTES = 900_000

    def __init__(self, site, folder, place, settings):
        self.place, self.ballast = place, place / "ballast"
        self.server = Millstream(folder, settings)
        self.server.data = place / "data"
        site.started.append(self.server)
        assert self.server.start() is not None, self.server.log()
        self.acknowledged, self.next = set(), 0

    def fill(self, stream):
        """Leaves a little, which has to be full within seconds; the log has its two write-ahead files before."""
        while len(list((self.server.data / "log").glob("wal-*"))) < 2:
            equal(self.put(stream), set(), "error codes before the disk is full")
        eventually(self.load_ballast, "the disk is full but for a little")

    def load_ballast(self):
        """Whether it is on board: the server may have taken the space just now, and then it is weighed again."""
        state = os.statvfs(self.place)
        try:
            with open(self.ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - (24 << 20)))
        except OSError:
            return False
        return True

    def put(self, stream):
        """Puts two records; the error codes that came."""
        batch = range(self.next, self.next + 2)
        self.next += 2
        records = [{"Data": b'{"number": %d, "filling": "%s"}\n' % (number, b"x" * self.BYTES)} for number in batch]
        try:
            answer = self.server.firehose().put_record_batch(DeliveryStreamName=stream.name, Records=records)
        except ClientError as error:
            return {error.response["Error"]["Code"]}
        results = list(zip(batch, answer["RequestResponses"]))
        self.acknowledged.update(number for number, result in results if "RecordId" in result)
        return {result["ErrorCode"] for _, result in results if "ErrorCode" in result}

    def put_until_refused(self, stream, times=10):
        """Puts until as many were refused, each in the words of the service."""
        refused, end = 0, time.monotonic() + 120
        while refused < times:
            assert time.monotonic() < end, "the disk was never full"
            codes = self.put(stream)
            assert codes <= {"ServiceUnavailableException"}, codes
            refused += bool(codes)

    def put_until_taken(self, stream):
        """Puts until one is taken again."""
        eventually(lambda: not self.put(stream), "a put is taken again", 90)

    def all_is_in(self, contents):
        """Every acknowledged record is in these once; what was refused may be there too."""
        def found():
            return [event["number"] for event in json_lines(contents())]

        eventually(lambda: self.acknowledged <= set(found()), "every acknowledged record", 90)
        equal(len(found()), len(set(found())), "records, and different ones")


def a_disk_that_is_full_empties_itself(site):
    """with no space left puts are refused; once the destination is back it is delivered, and puts go on"""
    proxy, bucket = Proxy(site.moto.port), Bucket(site.s3, fresh_name("bucket"))
    with small_disk(1024) as (folder, place):
        disk = FullDisk(site, folder, place, {**site.local, "s3_endpoint": proxy.url})
        try:
            config = objects_config(bucket.name)
            stream = DeliveryStream(disk.server.firehose(), ExtendedS3DestinationConfiguration=config).__enter__()
            disk.fill(stream)
            proxy.is_down = True
            disk.put_until_refused(stream)
            proxy.is_down = False
            disk.put_until_taken(stream)
            disk.all_is_in(lambda: bucket.objects().values())
            stream.__exit__()
        finally:
            disk.server.kill()
            proxy.stop()


def a_disk_that_is_full_of_objects_loses_none(site):
    """with no space left for objects either nothing is lost, through a kill -9 too, and space lets all go on"""
    with small_disk(1024) as (folder, place):
        disk, bucket = FullDisk(site, folder, place, site.local), fresh_name("bucket")
        server = disk.server
        try:
            stream = DeliveryStream(server.firehose(), ExtendedS3DestinationConfiguration=objects_config(bucket)).__enter__()
            disk.fill(stream)
            disk.put_until_refused(stream)
            server.kill()
            starts = server.start() is not None
            assert starts or "space" in server.log(), server.log()
            disk.ballast.unlink()
            if not starts:
                assert server.start() is not None, server.log()
            stream.firehose = server.firehose()
            disk.put_until_taken(stream)
            disk.all_is_in(lambda: Folder(server, bucket).objects().values())
            stream.__exit__()
        finally:
            server.kill()


CASES = [
    (("PutRecordBatch",), wrong_answers_of_an_endpoint_cost_no_record),
    (("PutRecordBatch",), what_is_too_large_for_an_endpoint_is_backed_up_at_once),
    (("PutRecordBatch",), half_an_answer_of_search_costs_no_record),
    (("PutRecordBatch",), wrong_answers_of_splunk_cost_no_record),
    (("PutRecordBatch",), wrong_answers_of_s3_cost_no_record),
    (("PutRecordBatch",), a_commit_whose_answer_is_lost_is_not_made_again),
    (("PutRecordBatch",), delivery_pauses_where_nobody_takes_records),
    (("PutRecordBatch",), a_disk_that_is_full_empties_itself),
    (("PutRecordBatch",), a_disk_that_is_full_of_objects_loses_none),
]
