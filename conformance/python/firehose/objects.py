"""Objects: what they hold, what they are called, how large they are."""

import base64
import io
import json
import re
import subprocess
import sys
import zipfile

from harness import equal, eventually, fresh_name

from .streams import (MIB, Bucket, DeliveryStream, Folder, gunzip, numbered, numbers, objects_config,
                      wait_for_lines)

NAME = re.compile(r"^\d{4}/\d\d/\d\d/\d\d/(?P<stream>.+)-(?P<version>\d+)-\d{4}(-\d\d){5}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def direct(site, bucket, **more):
    """A delivery stream of direct puts into a bucket."""
    return DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=objects_config(bucket, **more))


def records_become_objects_in_a_folder(site):
    """records are one after another in an object of the default name, in a folder with no other server"""
    name = fresh_name("bucket")
    with direct(site, name) as stream:
        stream.put([b"one", b"two", b"three"])
        folder = Folder(site.alone, name)
        eventually(folder.objects, "an object")
        (key, content), = folder.objects().items()
        equal(content, b"onetwothree")
        match = NAME.match(key)
        assert match, key
        equal((match["stream"], match["version"]), (stream.name, "1"))


def records_are_kept_in_order_and_once(site):
    """a hundred thousand records come out once, in order, in objects of the size that was set"""
    name = fresh_name("bucket")
    hints = {"SizeInMBs": 1, "IntervalInSeconds": 3}
    sent = numbered(100_000)
    with direct(site, name, BufferingHints=hints) as stream:
        stream.put(sent)
        folder = Folder(site.alone, name)
        wait_for_lines(folder, len(sent), seconds=60)
        found = folder.objects()
        sizes = [len(content) for content in found.values()]
        assert max(sizes) <= MIB, f"an object of {max(sizes)} bytes, above the buffer's 1 MiB"
        full = sum(len(line) for line in sent) // MIB
        assert len(sizes) <= full + 8, f"{len(sizes)} objects where {full} are full ones"
        in_order = sorted(found.values(), key=lambda content: json.loads(content.split(b"\n", 1)[0])["number"])
        equal(numbers(b"".join(in_order).splitlines()), list(range(len(sent))), "the numbers")


def objects_reach_a_real_s3_server(site):
    """large objects reach an S3 server in parts, with prefix, time zone and extension"""
    bucket = Bucket(site.s3, fresh_name("bucket"))
    settings = {
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 4}, "FileExtension": ".jsonl",
        "Prefix": "in/!{timestamp:yyyy}/!{firehose:random-string}/", "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/",
        "CustomTimeZone": "Asia/Tokyo",
    }
    sent = numbered(40_000, size=1_000)
    with DeliveryStream(site.remote, ExtendedS3DestinationConfiguration=objects_config(bucket.name, **settings)) as stream:
        stream.put(sent)
        equal(sorted(numbers(wait_for_lines(bucket, len(sent), seconds=60))), list(range(len(sent))))
        found = bucket.objects()
        assert all(re.match(r"^in/\d{4}/[\w-]{11}/.*\.jsonl$", key) for key in found), sorted(found)[:3]
        assert max(len(content) for content in found.values()) > 20 * MIB, "no object of several parts"


def objects_are_compressed(site):
    """GZIP, ZIP, Snappy and HADOOP_SNAPPY objects open with their own readers"""
    import cramjam

    def unzip(content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return b"".join(archive.read(entry) for entry in archive.namelist())

    def hadoop(content):
        plain, at = b"", 0
        while at < len(content):
            whole, at = int.from_bytes(content[at:at + 4], "big"), at + 4
            block = b""
            while len(block) < whole:
                size, at = int.from_bytes(content[at:at + 4], "big"), at + 4
                block, at = block + bytes(cramjam.snappy.decompress_raw(content[at:at + size])), at + size
            plain += block
        return plain

    openers = {"GZIP": (".gz", gunzip), "ZIP": (".zip", unzip), "HADOOP_SNAPPY": (".hsnappy", hadoop),
               "Snappy": (".snappy", lambda content: bytes(cramjam.snappy.decompress(content)))}
    sent = numbered(3_000, size=300)
    for format_name, (extension, opener) in openers.items():
        name = fresh_name("bucket")
        with direct(site, name, CompressionFormat=format_name) as stream:
            stream.put(sent)
            folder = Folder(site.alone, name)
            found = wait_for_lines(folder, len(sent), open_object=opener)
            equal(sorted(numbers(found)), list(range(len(sent))), format_name)
            assert all(key.endswith(extension) for key in folder.objects()), (format_name, list(folder.objects()))


def processor(kind, **parameters):
    """A processor as the API has it."""
    given = [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()]
    return {"Type": kind, "Parameters": given}


def processing(*processors):
    """A processing configuration that is on."""
    return {"Enabled": True, "Processors": list(processors)}


def partitions_by_query(site):
    """aggregates are taken apart and every record lands under its own partition keys, bad ones apart"""
    name = fresh_name("bucket")
    settings = {
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 2},
        "Prefix": "customer=!{partitionKeyFromQuery:customer}/kind=!{partitionKeyFromQuery:kind}/",
        "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
        "DynamicPartitioningConfiguration": {"Enabled": True},
        "ProcessingConfiguration": processing(
            processor("RecordDeAggregation", SubRecordType="JSON"),
            processor("MetadataExtraction", MetadataExtractionQuery="{customer: .customer, kind: .type.name}",
                      JsonParsingEngine="JQ-1.6"),
            processor("AppendDelimiterToRecord"),
        ),
    }
    events = [{"number": n, "customer": f"c{n % 7}", "type": {"name": f"k{n % 3}"}} for n in range(3_000)]
    together = ["".join(json.dumps(event) for event in events[at:at + 10]).encode() for at in range(0, 3_000, 10)]
    with direct(site, name, **settings) as stream:
        stream.put([*together, b"this is no JSON"])
        folder = Folder(site.alone, name)
        found = wait_for_lines(folder, len(events), prefix="customer=")
        equal(sorted(numbers(found)), list(range(len(events))))
        for key, content in folder.objects("customer=").items():
            for line in content.splitlines():
                event = json.loads(line)
                wanted = f"customer={event['customer']}/kind={event['type']['name']}/"
                assert key.startswith(wanted), (key, event)
        eventually(lambda: folder.objects("errors/"), "the record that is no JSON")
        (key, content), = folder.objects("errors/").items()
        error = json.loads(content)
        equal(base64.b64decode(error["rawData"]), b"this is no JSON")
        assert {"attemptsMade", "arrivalTimestamp", "errorCode", "errorMessage", "attemptEndingTimestamp"} <= error.keys(), error


COLUMNS = [{"Name": "number", "Type": "bigint"}, {"Name": "filling", "Type": "string"}, {"Name": "at", "Type": "timestamp"},
           {"Name": "price", "Type": "double"}, {"Name": "tags", "Type": "array<string>"},
           {"Name": "place", "Type": "struct<city:string,zip:int>"}]


def converted(site, serializer, read):
    """Puts JSON through a conversion with a table of a real Glue, and reads the files back."""
    bucket = Bucket(site.s3, fresh_name("bucket"))
    database, table = fresh_name("db").replace("-", "_"), "events"
    site.glue.create_database(DatabaseInput={"Name": database})
    site.glue.create_table(DatabaseName=database, TableInput={"Name": table, "StorageDescriptor": {"Columns": COLUMNS}})
    settings = {
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 2}, "Prefix": "data/", "ErrorOutputPrefix": "bad/!{firehose:error-output-type}/",
        "DataFormatConversionConfiguration": {
            "Enabled": True,
            "SchemaConfiguration": {"RoleARN": "arn:aws:iam::000000000000:role/delivery", "DatabaseName": database,
                                    "TableName": table, "Region": "us-east-1", "VersionId": "LATEST"},
            "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
            "OutputFormatConfiguration": {"Serializer": serializer},
        },
    }
    count = 2_000
    sent = [json.dumps({"Number": n, "filling": f"é{n}", "at": "2026-11-26 03:04:05.678", "price": n / 4,
                        "tags": ["a", str(n)] if n % 2 else None, "place": {"city": "Zürich", "zip": n}}).encode()
            for n in range(count)]
    with DeliveryStream(site.remote, ExtendedS3DestinationConfiguration=objects_config(bucket.name, **settings)) as stream:
        stream.put([*sent, b'{"number": "no number"}'])
        rows = eventually(lambda: (lambda found: found if len(found) >= count else None)(
            [row for content in bucket.objects("data/").values() for row in read(content)]), "the rows", 40)
        rows.sort(key=lambda row: row["number"])
        equal([row["number"] for row in rows], list(range(count)))
        equal(rows[3]["filling"], "é3")
        equal(rows[3]["price"], 0.75)
        equal(list(rows[3]["tags"]), ["a", "3"])
        equal(rows[2]["tags"], None)
        equal(dict(rows[3]["place"]), {"city": "Zürich", "zip": 3})
        equal(str(rows[3]["at"])[:23], "2026-11-26 03:04:05.678")
        eventually(lambda: bucket.objects("bad/"), "the record with a wrong type")
        (key, content), = bucket.objects("bad/").items()
        assert key.startswith("bad/format-conversion-failed/"), key
        error = json.loads(content)
        assert {"attemptsMade", "lastErrorCode", "lastErrorMessage", "rawData", "dataCatalogTable"} <= error.keys(), error


def parquet_is_read_by_others(site):
    """JSON becomes Parquet by a Glue table, and pyarrow and DuckDB read every value"""
    import duckdb
    import pyarrow.parquet

    def read(content):
        rows = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        path = site.folder / "read.parquet"
        path.write_bytes(content)
        total, = duckdb.sql(f"select count(*), sum(number) from '{path}'").fetchall()
        equal(total, (len(rows), sum(row["number"] for row in rows)), "DuckDB's count and sum")
        return rows

    converted(site, {"ParquetSerDe": {"Compression": "SNAPPY"}}, read)


def orc_is_read_by_others(site):
    """JSON becomes ORC by a Glue table, and pyarrow and pyorc read every value"""
    import pyarrow.orc
    import pyorc

    def read(content):
        rows = pyarrow.orc.read_table(io.BytesIO(content)).to_pylist()
        others = list(pyorc.Reader(io.BytesIO(content), struct_repr=pyorc.StructRepr.DICT))
        equal([row["number"] for row in others], [row["number"] for row in rows], "pyorc's numbers")
        return rows

    converted(site, {"OrcSerDe": {"Compression": "ZLIB"}}, read)


def the_aws_cli_delivers(site):
    """the AWS CLI creates, puts, describes and deletes"""
    name, bucket = fresh_name("delivery"), fresh_name("bucket")

    def aws(*arguments):
        line = [sys.executable, "-m", "awscli", "--endpoint-url", site.alone.endpoint, "--region", "us-east-1", "firehose", *arguments]
        environment = {"AWS_ACCESS_KEY_ID": "conformance", "AWS_SECRET_ACCESS_KEY": "conformance", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=environment)
        equal(done.returncode, 0, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    aws("create-delivery-stream", "--delivery-stream-name", name, "--extended-s3-destination-configuration",
        json.dumps(objects_config(bucket)))
    eventually(lambda: aws("describe-delivery-stream", "--delivery-stream-name", name)["DeliveryStreamDescription"][
        "DeliveryStreamStatus"] == "ACTIVE", "ACTIVE")
    aws("put-record", "--delivery-stream-name", name, "--record", json.dumps({"Data": "cli\n"}))
    equal(wait_for_lines(Folder(site.alone, bucket), 1), [b"cli"])
    aws("delete-delivery-stream", "--delivery-stream-name", name)


CASES = [
    (("CreateDeliveryStream", "PutRecordBatch", "DescribeDeliveryStream"), records_become_objects_in_a_folder),
    (("PutRecordBatch",), records_are_kept_in_order_and_once),
    (("PutRecordBatch",), objects_reach_a_real_s3_server),
    (("PutRecordBatch",), objects_are_compressed),
    (("PutRecordBatch",), partitions_by_query),
    (("CreateDeliveryStream", "PutRecordBatch"), parquet_is_read_by_others),
    (("CreateDeliveryStream", "PutRecordBatch"), orc_is_read_by_others),
    (("CreateDeliveryStream", "PutRecord", "DescribeDeliveryStream", "DeleteDeliveryStream"), the_aws_cli_delivers),
]
