"""Destinations that are no buckets: HTTP, Splunk, search, a warehouse; and functions on the way."""

import base64
import json

from harness import equal, eventually, fresh_name

from .endpoints import Functions, HttpEndpoint, Search, Splunk
from .objects import processing, processor
from .streams import ROLE, DeliveryStream, Folder, numbered, numbers, objects_config, wait_for_lines

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 1}


def http_config(endpoint, backup, **more):
    """An HTTP endpoint destination."""
    url = {"Url": f"{endpoint.url}/ingest", "Name": "collector"}
    if endpoint.access_key:
        url["AccessKey"] = endpoint.access_key
    return {"EndpointConfiguration": url, "BufferingHints": HINTS, "S3BackupMode": "FailedDataOnly",
            "S3Configuration": objects_config(backup), "RetryOptions": {"DurationInSeconds": 60}, "RoleARN": ROLE, **more}


def an_endpoint_that_comes_back_gets_everything(site):
    """an HTTP endpoint that fails, answers wrongly and comes back gets every record, none twice for one id"""
    endpoint, backup = HttpEndpoint("a secret key", {"team": "data"}, compressed=True), fresh_name("backup")
    request = {"ContentEncoding": "GZIP", "CommonAttributes": [{"AttributeName": "team", "AttributeValue": "data"}]}
    sent = numbered(2_000)
    endpoint.fail(503, "another id", 500)
    try:
        config = http_config(endpoint, backup, RequestConfiguration=request)
        with DeliveryStream(site.firehose, HttpEndpointDestinationConfiguration=config) as stream:
            stream.put(sent)
            eventually(lambda: len(endpoint.accepted) >= len(sent), "all records", 60)
            equal(sorted(numbers(endpoint.accepted)), list(range(len(sent))))
            endpoint.kept_contract()
            failed = [request for _, request, fault in endpoint.requests if fault]
            again = [request for _, request, fault in endpoint.requests if not fault]
            assert set(failed) <= set(again), "a retry has to carry the id of what it repeats"
            equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")
            described = json.dumps(stream.destination(), default=str)
            assert "a secret key" not in described, "the access key is told"
    finally:
        endpoint.stop()


def an_endpoint_that_stays_down_costs_no_record(site):
    """records that an HTTP endpoint refuses until the end are in the backup bucket, each with its reason"""
    endpoint, backup = HttpEndpoint(), fresh_name("backup")
    endpoint.fault = lambda: 500
    sent = numbered(50)
    try:
        config = http_config(endpoint, backup, RetryOptions={"DurationInSeconds": 2})
        with DeliveryStream(site.firehose, HttpEndpointDestinationConfiguration=config) as stream:
            stream.put(sent)
            found = wait_for_lines(Folder(site.alone, backup), len(sent))
            errors = [json.loads(line) for line in found]
            equal(sorted(numbers(base64.b64decode(error["rawData"]) for error in errors)), list(range(len(sent))))
            assert all(error["errorCode"].startswith("HttpEndpoint.") for error in errors), errors[0]
            assert all("http-endpoint-failed/" in key for key in Folder(site.alone, backup).objects())
            equal(endpoint.accepted, [])
    finally:
        endpoint.stop()


def functions_rework_records(site):
    """a function reworks, drops and fails records; what came in is backed up as it was"""
    def transform(record):
        event = json.loads(base64.b64decode(record["data"]))
        if event["number"] % 3 == 0:
            return {"recordId": record["recordId"], "result": "Dropped"}
        if event["number"] % 3 == 1:
            return {"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]}
        data = json.dumps({"number": event["number"], "reworked": True}).encode() + b"\n"
        return {"recordId": record["recordId"], "result": "Ok", "data": base64.b64encode(data).decode()}

    functions, name, backup = Functions(transform), fresh_name("bucket"), fresh_name("backup")
    site.functions.target = functions
    functions.fail(500)
    sent = numbered(300)
    try:
        config = objects_config(
            name, S3BackupMode="Enabled", S3BackupConfiguration=objects_config(backup),
            ErrorOutputPrefix="errors/!{firehose:error-output-type}/", Prefix="good/",
            ProcessingConfiguration=processing(processor("Lambda", LambdaArn=site.function_arn, BufferIntervalInSeconds="1",
                                                         BufferSizeInMBs="1", NumberOfRetries="3")))
        with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=config) as stream:
            stream.put(sent)
            found = wait_for_lines(Folder(site.alone, name), 100, prefix="good/")
            equal(sorted(numbers(found)), [n for n in range(300) if n % 3 == 2])
            assert all(json.loads(line)["reworked"] for line in found)
            errors = wait_for_lines(Folder(site.alone, name), 100, prefix="errors/processing-failed/")
            refused = sorted(numbers(base64.b64decode(json.loads(line)["rawData"]) for line in errors))
            equal(refused, [n for n in range(300) if n % 3 == 1])
            equal(sorted(numbers(wait_for_lines(Folder(site.alone, backup), 300))), list(range(300)), "the backup")
            functions.kept_contract()
    finally:
        functions.stop()


def a_filter_reworks_records_without_lambda(site):
    """a jq filter of the settings reworks records in the server itself"""
    name = fresh_name("bucket")
    config = objects_config(name, ProcessingConfiguration=processing(
        processor("Lambda", LambdaArn=site.filter_arn), processor("AppendDelimiterToRecord")))
    with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=config) as stream:
        stream.put(numbered(100))
        found = wait_for_lines(Folder(site.alone, name), 100)
        equal(sorted(numbers(found)), list(range(100)))
        assert all(json.loads(line)["reworked"] for line in found)


def splunk_acknowledges(site):
    """events reach a collector of events with its token and channel, are acknowledged, and survive its being busy"""
    collector, backup = Splunk("11111111-2222-3333-4444-555555555555"), fresh_name("backup")
    collector.fail(503)
    sent = numbered(500)
    try:
        config = {"HECEndpoint": collector.url, "HECEndpointType": "Raw", "HECToken": collector.token,
                  "HECAcknowledgmentTimeoutInSeconds": 180, "RetryOptions": {"DurationInSeconds": 60},
                  "BufferingHints": HINTS, "S3BackupMode": "FailedEventsOnly", "S3Configuration": objects_config(backup)}
        with DeliveryStream(site.firehose, SplunkDestinationConfiguration=config) as stream:
            stream.put(sent)
            eventually(lambda: len(b"".join(collector.events).splitlines()) >= len(sent), "all events", 60)
            equal(sorted(numbers(b"".join(collector.events).splitlines())), list(range(len(sent))))
            collector.kept_contract()
            equal(Folder(site.alone, backup).objects(), {}, "what went to the backup")
    finally:
        collector.stop()


def search_takes_documents(site):
    """documents are indexed once under stable ids in the day's index; refused ones are in the backup"""
    cluster, backup = Search(), fresh_name("backup")
    cluster.refuse = lambda document: 400 if document["number"] % 10 == 3 else None
    cluster.fail(429)
    sent = numbered(200)
    try:
        config = {"RoleARN": ROLE, "ClusterEndpoint": cluster.url, "IndexName": "events", "IndexRotationPeriod": "OneDay",
                  "BufferingHints": HINTS, "RetryOptions": {"DurationInSeconds": 30}, "S3BackupMode": "FailedDocumentsOnly",
                  "DocumentIdOptions": {"DefaultDocumentIdFormat": "FIREHOSE_DEFAULT"}, "S3Configuration": objects_config(backup)}
        with DeliveryStream(site.firehose, AmazonopensearchserviceDestinationConfiguration=config) as stream:
            stream.put(sent)
            wanted = [n for n in range(200) if n % 10 != 3]
            eventually(lambda: len(cluster.documents) >= len(wanted), "all documents", 60)
            found = [document["number"] for copies in cluster.documents.values() for document in copies[:1]]
            equal(sorted(found), wanted)
            assert all(index.startswith("events-2") and len(index) == len("events-2026-11-26")
                       for index, _ in cluster.documents), list(cluster.documents)[0]
            errors = [json.loads(line) for line in wait_for_lines(Folder(site.alone, backup), 20)]
            refused = sorted(numbers(base64.b64decode(error["rawData"]) for error in errors))
            equal(refused, [n for n in range(200) if n % 10 == 3])
            assert all(error.get("esIndexName") and error.get("esDocumentId") for error in errors), errors[0]
            cluster.kept_contract()
    finally:
        cluster.stop()


def warehouse_config(site, bucket, table, **more):
    """A Redshift destination that is a PostgreSQL server."""
    return {"RoleARN": ROLE, "ClusterJDBCURL": f"jdbc:redshift://127.0.0.1:{site.postgres.port}/{site.postgres.DATABASE}",
            "CopyCommand": {"DataTableName": table, "DataTableColumns": "number,filling", "CopyOptions": "JSON 'auto'"},
            "Username": site.postgres.USER, "Password": site.postgres.PASSWORD, "RetryOptions": {"DurationInSeconds": 120},
            "S3Configuration": objects_config(bucket), **more}


def rows_land_once_in_postgresql(site):
    """rows land once in a real PostgreSQL, also when it is stopped and started meanwhile"""
    table, bucket = fresh_name("events").replace("-", "_"), fresh_name("staging")
    with site.postgres.connect() as connection:
        connection.execute(f"create table {table} (number bigint, filling text)")
    config = warehouse_config(site, bucket, table)
    with DeliveryStream(site.firehose, RedshiftDestinationConfiguration=config) as stream:
        assert site.postgres.PASSWORD not in json.dumps(stream.destination(), default=str), "the password is told"
        first, second = numbered(4_000)[:2_000], numbered(4_000)[2_000:]
        stream.put(first)
        eventually(lambda: count_rows(site, table) == 2_000, "the first rows", 60)
        site.postgres.stop()
        stream.put(second)
        site.postgres.start()
        eventually(lambda: count_rows(site, table) >= 4_000, "all rows", 120)
        with site.postgres.connect() as connection:
            found = connection.execute(f"select number from {table} order by number").fetchall()
        equal([number for number, in found], list(range(4_000)))


def count_rows(site, table):
    """How many rows a table has."""
    with site.postgres.connect() as connection:
        return connection.execute(f"select count(*) from {table}").fetchone()[0]


CASES = [
    (("CreateDeliveryStream", "PutRecordBatch"), an_endpoint_that_comes_back_gets_everything),
    (("PutRecordBatch",), an_endpoint_that_stays_down_costs_no_record),
    (("PutRecordBatch",), functions_rework_records),
    (("PutRecordBatch",), a_filter_reworks_records_without_lambda),
    (("CreateDeliveryStream", "PutRecordBatch"), splunk_acknowledges),
    (("CreateDeliveryStream", "PutRecordBatch"), search_takes_documents),
    (("CreateDeliveryStream", "PutRecordBatch"), rows_land_once_in_postgresql),
]
