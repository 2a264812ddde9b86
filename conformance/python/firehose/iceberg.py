"""Iceberg tables: judged by pyiceberg where it can read them, and by Apache Iceberg's own code."""

import base64
import datetime
import decimal
import json
import pathlib
import random
import subprocess
import time
import urllib.request
import uuid

from durability.server import free_port
from harness import equal, eventually, fresh_name

from . import faults
from .crash import put_through_kills
from .endpoints import Functions
from .objects import processing, processor
from .parts import REGION, maven_jars, stop_group
from .streams import ROLE, Bucket, DeliveryStream, Folder, lines, objects_config

HINTS = {"SizeInMBs": 1, "IntervalInSeconds": 1}
CATALOG = "arn:aws:glue:us-east-1:000000000000:catalog"
PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "java-iceberg" / "IcebergTables.java"
VERSION, HADOOP = "1.10.0", "3.4.1"
SECRET = "a secret of the catalog"


def config(backup, tables, **more):
    """A destination of tables, each a name `(database, table)`, or a whole configuration."""
    listed = [table if isinstance(table, dict) else {"DestinationDatabaseName": table[0], "DestinationTableName": table[1]}
              for table in tables]
    return {"RoleARN": ROLE, "CatalogConfiguration": {"CatalogARN": CATALOG}, "BufferingHints": HINTS,
            "S3Configuration": objects_config(backup), "DestinationTableConfigurationList": listed,
            "RetryOptions": {"DurationInSeconds": 60}, **more}


def keyed(database, table, *keys, **more):
    """A table whose rows are told apart by columns."""
    return {"DestinationDatabaseName": database, "DestinationTableName": table, "UniqueKeys": list(keys), **more}


def put_json(stream, records):
    """Puts records as JSON."""
    stream.put([json.dumps(record).encode() for record in records])


class Glue:
    """pyiceberg's Glue catalog over moto, with a bucket of its own."""

    def __init__(self, site):
        from pyiceberg.catalog import load_catalog

        # The embedded FileIO reads its own settings; nothing of this machine's may stand in for them.
        self.bucket = Bucket(site.s3, fresh_name("tables"))
        self.database = fresh_name("db").replace("-", "_")
        keys = {"access-key-id": "conformance", "secret-access-key": "conformance", "region": REGION}
        self.catalog = load_catalog("judge", **{
            "type": "glue", "glue.endpoint": site.moto.endpoint, "s3.endpoint": site.moto.endpoint,
            **{f"{service}.{name}": value for service in ("glue", "s3") for name, value in keys.items()},
        })
        self.catalog.create_namespace(self.database)

    def create(self, name, schema, **more):
        location = f"s3://{self.bucket.name}/{name}"
        return self.catalog.create_table((self.database, name), schema, location=location,
                                         properties={"format-version": "2"}, **more)

    def rows(self, name, **scan):
        return self.catalog.load_table((self.database, name)).scan(**scan).to_arrow().to_pylist()


def of_every_type():
    """A schema with every type, and a row of it: as a record, and as it is read."""
    from pyiceberg import types as t

    fields = [
        (1, "id", t.LongType(), True), (2, "truth", t.BooleanType(), False), (3, "small", t.IntegerType(), False),
        (4, "ratio", t.FloatType(), False), (5, "wide", t.DoubleType(), False),
        (6, "price", t.DecimalType(9, 2), False), (7, "sum", t.DecimalType(38, 4), False),
        (8, "day", t.DateType(), False), (9, "hour", t.TimeType(), False), (10, "local", t.TimestampType(), False),
        (11, "at", t.TimestamptzType(), False), (12, "name", t.StringType(), False), (13, "key", t.UUIDType(), False),
        (14, "code", t.FixedType(4), False), (15, "raw", t.BinaryType(), False),
        (16, "tags", t.ListType(17, t.StringType(), element_required=False), False),
        (18, "counts", t.MapType(19, t.StringType(), 20, t.LongType(), value_required=False), False),
        (21, "inner", t.StructType(t.NestedField(22, "x", t.DoubleType(), required=False),
                                   t.NestedField(23, "y", t.ListType(24, t.IntegerType(), False), required=False)), False),
    ]
    from pyiceberg.schema import Schema

    schema = Schema(*[t.NestedField(number, name, kind, required=required) for number, name, kind, required in fields])
    key = uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7")
    utc = datetime.timezone.utc
    record = {
        "id": 1, "truth": True, "small": -7, "ratio": 1.5, "wide": 0.1, "price": 1234567.89,
        "sum": "123456789012345678901234567890.1234", "day": "2024-02-29", "hour": 81_068_000_000,
        "local": 1_510_871_468_000_001, "at": "2017-11-16T14:31:08.5-08:00", "name": "naïve \u0000 text", "key": str(key),
        "code": "deadbeef", "raw": base64.b64encode(b"\x00\xff\x01").decode(), "tags": ["a", None, ""],
        "counts": {"a": 1, "b": None}, "inner": {"x": 2.5, "y": [1, 2]}, "of no column": {"deep": [1]},
    }
    read = {
        "id": 1, "truth": True, "small": -7, "ratio": 1.5, "wide": 0.1, "price": decimal.Decimal("1234567.89"),
        "sum": decimal.Decimal("123456789012345678901234567890.1234"), "day": datetime.date(2024, 2, 29),
        "hour": datetime.time(22, 31, 8), "local": datetime.datetime(2017, 11, 16, 22, 31, 8, 1),
        "at": datetime.datetime(2017, 11, 16, 22, 31, 8, 500_000, utc), "name": "naïve \u0000 text", "key": key,
        "code": b"\xde\xad\xbe\xef", "raw": b"\x00\xff\x01", "tags": ["a", None, ""], "counts": [("a", 1), ("b", None)],
        "inner": {"x": 2.5, "y": [1, 2]},
    }
    return schema, record, read


def rows_of_every_type_are_read_by_pyiceberg(site):
    """rows of every type, and nulls, are appended to a table of Glue's as pyiceberg reads them; what is no row is told"""
    glue, backup = Glue(site), fresh_name("backup")
    errors = Bucket(site.s3, backup)
    schema, record, read = of_every_type()
    glue.create("every", schema)
    bare = {"id": 2}
    wrong = [b"no json", b'{"name":"no id"}', b'{"id":"three"}', b'{"ID":4}']
    with DeliveryStream(site.remote, IcebergDestinationConfiguration=config(backup, [(glue.database, "every")])) as stream:
        put_json(stream, [record, bare])
        stream.put(wrong)
        eventually(lambda: len(glue.rows("every")) >= 2, "two rows", 40)
        rows = sorted(glue.rows("every"), key=lambda row: row["id"])
        found = rows[0]
        found["key"] = uuid.UUID(bytes=found["key"]) if isinstance(found["key"], bytes) else found["key"]
        equal(found, read, "the row")
        equal(rows[1], {**dict.fromkeys(read), "id": 2}, "the row of nulls")
        told = eventually(lambda: len(found := lines(errors.objects("iceberg-failed/"))) >= len(wrong) and found, "errors", 30)
        told = {base64.b64decode(error["rawData"]): error["errorCode"] for error in map(json.loads, told)}
        equal(told, {wrong[0]: "Iceberg.InvalidRecord", wrong[1]: "Iceberg.MissingColumnWithinRecord",
                     wrong[2]: "Iceberg.InvalidColumnValue", wrong[3]: "Iceberg.MissingColumnWithinRecord"})
        table = glue.catalog.load_table((glue.database, "every"))
        equal(sum(task.file.record_count for task in table.scan().plan_files()), 2)
        summary = table.current_snapshot().summary
        assert summary["total-records"] == "2" and summary.operation.value == "append", summary


def partitions_and_statistics_prune(site):
    """rows go to the partitions that pyiceberg looks for them in, and statistics let it pass over files"""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
    from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

    glue, backup = Glue(site), fresh_name("backup")
    errors = Bucket(site.s3, backup)
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "at", TimestamptzType()),
                    NestedField(3, "kind of", StringType()), NestedField(4, "note", StringType()))
    spec = PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "id_bucket"),
                         PartitionField(2, 1001, DayTransform(), "at_day"),
                         PartitionField(3, 1002, TruncateTransform(2), "kind"),
                         PartitionField(3, 1003, IdentityTransform(), "kind of"))
    glue.create("parted", schema, partition_spec=spec)
    start = datetime.datetime(2024, 2, 28, 22, tzinfo=datetime.timezone.utc)
    records = [{"id": number, "at": int((start.timestamp() + number * 3600) * 1_000_000),
                "kind of": [None, "alpha", "al/pha", "beta"][number % 4], "note": f"note {number}"} for number in range(48)]
    with DeliveryStream(site.remote, IcebergDestinationConfiguration=config(backup, [(glue.database, "parted")])) as stream:
        put_json(stream, records)
        eventually(lambda: len(glue.rows("parted")) >= len(records), "all rows", 40)
    equal(errors.objects("iceberg-failed/"), {})
    equal(sorted(row["id"] for row in glue.rows("parted")), list(range(len(records))))
    for number in (0, 17, 47):
        equal([row["note"] for row in glue.rows("parted", row_filter=f"id == {number}")], [f"note {number}"])
        at = (start + datetime.timedelta(hours=number)).isoformat()
        equal([row["id"] for row in glue.rows("parted", row_filter=f"at == '{at}'")], [number])
    equal(len(glue.rows("parted", row_filter="note == 'note 3'")), 1)
    table = glue.catalog.load_table((glue.database, "parted"))
    planned = list(table.scan(row_filter="note == 'note 3'").plan_files())
    everything = list(table.scan().plan_files())
    assert len(planned) < len(everything), f"{len(planned)} of {len(everything)} files are read for one note"
    days = {row["partition"]["at_day"] for row in table.inspect.files().to_pylist()}
    equal(days, {datetime.date(2024, 2, day) for day in (28, 29)} | {datetime.date(2024, 3, 1)}, "days")


def records_find_their_tables(site):
    """the query names tables and operations, a function names them too, and each table has errors of its own"""
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField, StringType

    glue, backup = Glue(site), fresh_name("backup")
    errors = Bucket(site.s3, backup)
    schema = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "kind", StringType()))
    for name in ("red", "blue"):
        glue.create(name, schema)
    query = f'{{destinationDatabaseName:"{glue.database}",destinationTableName:.kind,operation:"insert"}}'
    extraction = processor("MetadataExtraction", MetadataExtractionQuery=query, JsonParsingEngine="JQ-1.6")
    tables = [keyed(glue.database, "red", S3ErrorOutputPrefix="red-errors/")]
    configured = config(backup, tables, ProcessingConfiguration=processing(extraction))
    records = [{"id": number, "kind": ["red", "blue"][number % 2]} for number in range(20)]
    with DeliveryStream(site.remote, IcebergDestinationConfiguration=configured) as stream:
        put_json(stream, [*records, {"id": "bad", "kind": "red"}, {"id": 1, "kind": "green"}, {"id": 1, "kind": ""}])
        eventually(lambda: len(glue.rows("red")) + len(glue.rows("blue")) >= len(records), "all rows", 40)
        equal({row["kind"] for row in glue.rows("red")}, {"red"})
        equal(sorted(row["id"] for row in glue.rows("blue")), list(range(1, 20, 2)))
        eventually(lambda: len(lines(errors.objects())) >= 3, "three errors", 30)
        codes = sorted(json.loads(line)["errorCode"] for line in lines(errors.objects("iceberg-failed/")))
        equal(codes, ["Iceberg.InvalidTableName", "Iceberg.NoSuchTable"])
        own = [json.loads(line)["errorCode"] for line in lines(errors.objects("red-errors/iceberg-failed/"))]
        equal(own, ["Iceberg.InvalidColumnValue"])

    def transform(record):
        event = json.loads(base64.b64decode(record["data"]))
        metadata = {"otfMetadata": {"destinationDatabaseName": glue.database, "destinationTableName": event["kind"],
                                    "operation": "insert"}}
        return {"recordId": record["recordId"], "result": "Ok", "data": record["data"], "metadata": metadata}

    functions = Functions(transform)
    site.functions.target = functions
    try:
        rework = processor("Lambda", LambdaArn=site.function_arn, BufferIntervalInSeconds="1")
        configured = config(backup, [], ProcessingConfiguration=processing(rework))
        with DeliveryStream(site.remote, IcebergDestinationConfiguration=configured) as stream:
            put_json(stream, [{"id": 100, "kind": "red"}, {"id": 101, "kind": "blue"}])
            eventually(lambda: len(glue.rows("red")) + len(glue.rows("blue")) >= len(records) + 2, "two more rows", 40)
            assert 100 in {row["id"] for row in glue.rows("red")} and 101 in {row["id"] for row in glue.rows("blue")}
    finally:
        site.functions.target = None
        functions.stop()


class Java:
    """Apache Iceberg's Hadoop catalog, in a folder of buckets."""

    def __init__(self, warehouse):
        self.warehouse = warehouse
        group = "org.apache.iceberg"
        parts = [f"{group}:iceberg-{part}" for part in ("core", "data", "parquet")]
        hadoop = [f"org.apache.hadoop:hadoop-client-{part}:{HADOOP}" for part in ("api", "runtime")]
        self.jars = maven_jars("iceberg", VERSION, *parts, *hadoop, "org.slf4j:slf4j-nop:2.0.17")
        tests = maven_tests("iceberg-core", VERSION, self.jars.parent)
        self.classes = self.jars.parent / "classes"
        self.path = f"{self.classes}:{self.jars}/*:{tests}"
        self.compile()

    def compile(self):
        """Compiles the program once: what it needs of Iceberg's REST code is open only to its own package and loader."""
        done = self.classes / "org" / "apache" / "iceberg" / "rest" / "IcebergTables.class"
        if not done.is_file() or done.stat().st_mtime < PROGRAM.stat().st_mtime:
            line = ["javac", "-cp", self.path, "-d", str(self.classes), str(PROGRAM)]
            compiled = subprocess.run(line, capture_output=True, text=True, timeout=300)
            assert compiled.returncode == 0, compiled.stdout[-2000:] + compiled.stderr[-2000:]

    def line(self, *arguments):
        return ["java", "-Xmx256m", "-cp", self.path, "org.apache.iceberg.rest.IcebergTables", *arguments]

    def run(self, command, *arguments):
        done = subprocess.run(self.line(command, str(self.warehouse), *arguments), capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr[:3000]
        return [json.loads(line) for line in done.stdout.splitlines()]

    def create(self, table, fields, partition=(), keys=()):
        """Fields are `(name, type, required)`; a partition's are `(column, transform, name)`."""
        columns = [{"id": number, "name": name, "required": required, "type": kind}
                   for number, (name, kind, required) in enumerate(fields, 1)]
        numbers = {column["name"]: column["id"] for column in columns}
        schema = {"type": "struct", "schema-id": 0, "fields": columns, "identifier-field-ids": [numbers[key] for key in keys]}
        spec = {"spec-id": 0, "fields": [{"source-id": numbers[column], "field-id": 1000 + place, "transform": transform,
                                          "name": name} for place, (column, transform, name) in enumerate(partition)]}
        self.warehouse.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, document in (("schema", schema), ("spec", spec)):
            paths.append(self.warehouse.parent / f"{fresh_name(name)}.json")
            paths[-1].write_text(json.dumps(document))
        self.run("create", table, *map(str, paths))

    def rows(self, table):
        return self.run("read", table)


def maven_tests(artifact, version, folder):
    """An artifact's tests: the REST catalog that Iceberg judges its own clients by is among them."""
    jar = folder / f"{artifact}-{version}-tests.jar"
    if not jar.is_file():
        done = subprocess.run(
            ["mvn", "--batch-mode", "--quiet", "dependency:copy", f"-DoutputDirectory={folder}",
             f"-Dartifact=org.apache.iceberg:{artifact}:{version}:jar:tests"],
            cwd=folder, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, f"Maven: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return jar


def changing(backup, warehouse, tables, **more):
    """A destination whose records say what is to be done with them."""
    query = '{destinationDatabaseName:"db",destinationTableName:"t",operation:.op}'
    extraction = processor("MetadataExtraction", MetadataExtractionQuery=query, JsonParsingEngine="JQ-1.6")
    where = {"CatalogConfiguration": {"WarehouseLocation": f"s3://{warehouse}"}}
    return config(backup, tables, ProcessingConfiguration=processing(extraction), **{**where, **more})


def model(batches):
    """What rows there are after inserts, updates and deletes, one after another."""
    rows = []
    for change in (change for batch in batches for change in batch):
        if change["op"] != "insert":
            rows = [row for row in rows if row[0] != change["id"]]
        if change["op"] != "delete":
            rows.append((change["id"], change["note"]))
    return sorted(rows)


def batches_of(chance, count, size, keys):
    """Changes of a few keys, so that most of them meet."""
    number = 0
    for _ in range(count):
        batch = []
        for _ in range(size):
            number += 1
            operation = chance.choice(["insert", "update", "update", "delete"])
            batch.append({"op": operation, "id": chance.randrange(keys), "day": f"2024-01-{chance.randrange(1, 28):02}",
                          "note": f"{operation} {number}"})
        yield batch


def changes_by_keys_are_read_by_java(site):
    """inserts, updates and deletes by keys, in parted tables too, leave the rows that Apache Iceberg reads after each batch"""
    fields = [("id", "long", True), ("day", "date", False), ("note", "string", False)]
    rows_of = {
        "plain, with keys configured": ((), (), ("id",)),
        "parted by a column that is no key": ((("day", "identity", "day"),), (), ("id",)),
        "parted by its key, which the table has": ((("id", "bucket[3]", "id_bucket"),), ("id",), ()),
    }
    for what, (partition, own, keys) in rows_of.items():
        warehouse, backup = fresh_name("warehouse"), fresh_name("backup")
        java = Java((site.alone.data / "s3" / warehouse).resolve())
        java.create("db.t", fields, partition, own)
        tables = [keyed("db", "t", *keys)] if keys else []
        batches = list(batches_of(random.Random(3), 3, 40, 12))
        with DeliveryStream(site.firehose, IcebergDestinationConfiguration=changing(backup, warehouse, tables)) as stream:
            for count in range(1, len(batches) + 1):
                put_json(stream, batches[count - 1])
                wanted = model(batches[:count])

                def found():
                    return sorted((row["id"], row["note"]) for row in java.rows("db.t"))

                eventually(lambda: found() == wanted, f"the rows of {what} after {count} batches", 60)
        equal(Folder(site.alone, backup).objects(), {}, "errors")


def every_transform_is_javas(site):
    """rows parted by every transform are where Apache Iceberg looks for them"""
    fields = [("id", "long", True), ("day", "date", False), ("at", "timestamp", False), ("name", "string", False),
              ("price", "decimal(12, 3)", False), ("raw", "binary", False)]
    partition = [("day", "month", "a"), ("at", "hour", "b"), ("at", "year", "c"), ("name", "bucket[7]", "d"),
                 ("name", "truncate[3]", "e"), ("price", "truncate[50]", "f"), ("id", "truncate[10]", "g"),
                 ("price", "bucket[5]", "h"), ("day", "void", "i"), ("raw", "bucket[4]", "j")]
    warehouse, backup = fresh_name("warehouse"), fresh_name("backup")
    java = Java((site.alone.data / "s3" / warehouse).resolve())
    java.create("db.t", fields, partition)
    where = {"CatalogConfiguration": {"WarehouseLocation": f"s3://{warehouse}"}}
    records = [{"id": number * 7 - 40, "day": f"{1960 + number * 3}-0{1 + number % 9}-11",
                "at": f"{1960 + number * 3}-0{1 + number % 9}-11T0{number % 10}:30:00", "name": "äé€😀naïve"[number % 8:],
                "price": f"{number * 13 - 100}.{number:03}", "raw": base64.b64encode(bytes([number, 255])).decode()}
               for number in range(24)]
    with DeliveryStream(site.firehose, IcebergDestinationConfiguration=config(backup, [("db", "t")], **where)) as stream:
        put_json(stream, records)
        eventually(lambda: len(java.rows("db.t")) == len(records), "all rows", 60)
    equal(Folder(site.alone, backup).objects(), {}, "errors")
    asked = [f"{column}={json.dumps(record[column])}" for record in records[::3] for column in ("id", "day", "at", "price")]
    answers = java.run("read", "db.t", *asked)[len(records):]
    equal([answer["count"] for answer in answers], [1] * len(asked), "rows found by their values")


class RestCatalog(Java):
    """Apache Iceberg's REST catalog, over the same folders; its next commit can be made to go wrong."""

    def __init__(self, warehouse, port):
        super().__init__(warehouse)
        self.url = f"http://127.0.0.1:{port}"
        warehouse.mkdir(parents=True)
        self.log = warehouse.parent / f"{fresh_name('catalog')}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.line("serve", str(port), str(warehouse), SECRET), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        eventually(self.answers, "the catalog answers", 60)

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            self.control("")
            return True
        except OSError:
            return False

    def control(self, fault):
        urllib.request.urlopen(f"{self.url}/control/{fault}", data=b"", timeout=10).close()

    def stop(self):
        stop_group(self.process)


def a_rest_catalog_that_fails_gets_every_row_once(site):
    """a REST catalog with tokens: others' commits and answers that are lost leave every row there once"""
    port, outside = free_port(), site.folder / "iceberg.toml"
    outside.write_text(f'[iceberg]\nclient_id = "us"\nclient_secret = "{SECRET}"\n')
    server = site.serve(site.folder / "rest", {"firehose_destinations": "any", "outside_file": str(outside),
                                               "iceberg_endpoint": f"http://127.0.0.1:{port}"})
    warehouse, backup = fresh_name("warehouse"), fresh_name("backup")
    catalog = site.keep(RestCatalog((server.data / "s3" / warehouse).resolve(), port))
    fields = [("id", "long", True), ("day", "date", False), ("note", "string", False)]
    catalog.create("db.t", fields, [("day", "identity", "day")])
    batches = list(batches_of(random.Random(5), 4, 30, 10))
    configured = changing(backup, warehouse, [keyed("db", "t", "id")])
    with DeliveryStream(server.firehose(), IcebergDestinationConfiguration=configured) as stream:
        for count, fault in enumerate(["", "conflict", "lose", "conflict"]):
            catalog.control(fault)
            put_json(stream, batches[count])
            wanted = model(batches[:count + 1])

            def found():
                return sorted((row["id"], row["note"]) for row in catalog.rows("db.t"))

            eventually(lambda: found() == wanted, f"the rows after {fault or 'no fault'}", 60)
            time.sleep(2)
            equal(found(), wanted, f"the rows a moment after {fault or 'no fault'}")
    equal(Folder(server, backup).objects(), {}, "errors")


def kills_leave_every_row_once(site):
    """kill -9 in a loop while rows are delivered: every acknowledged record is a row, and only once"""
    server = site.victim
    warehouse, backup = fresh_name("warehouse"), fresh_name("backup")
    java = Java((server.data / "s3" / warehouse).resolve())
    java.create("db.t", [("id", "long", True), ("filling", "string", False)])
    where = {"CatalogConfiguration": {"WarehouseLocation": f"s3://{warehouse}"}}
    stream = DeliveryStream(server.firehose(), IcebergDestinationConfiguration=config(backup, [("db", "t")], **where))
    stream.__enter__()

    def record(number):
        return b'{"id": %d, "filling": "%s"}' % (number, b"x" * 1_000)

    acknowledged, sent = put_through_kills(server, stream, record, random.Random(2), (0.8, 2.4))

    def found():
        return [row["id"] for row in java.rows("db.t")]

    eventually(lambda: not acknowledged - set(found()), "every acknowledged record is a row", 90)
    time.sleep(2)
    rows = found()
    equal(len(rows) - len(set(rows)), 0, f"rows that are there twice, of {len(rows)}")
    equal(set(rows) - set(range(sent)), set(), "rows that nobody put")
    equal(Folder(server, backup).objects(), {}, "errors")


def every_point_leaves_every_row_once(site):
    """a table outlives death at every point of a delivery, also between the commit and the checkpoint, with every row there once"""
    server = faults.dying(site, {"firehose_destinations": "any"})
    warehouse, backup = fresh_name("warehouse"), fresh_name("backup")
    java = Java((server.data / "s3" / warehouse).resolve())
    java.create("db.t", [("number", "long", True), ("group", "int", False), ("filling", "string", False)])
    where = {"CatalogConfiguration": {"WarehouseLocation": f"s3://{warehouse}"}}

    def change(version):
        interval = 2 if int(version) % 2 else 1
        return {"IcebergDestinationUpdate": {"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": interval}}}

    journey = faults.Journey(server, change, IcebergDestinationConfiguration=config(backup, [("db", "t")], **where))
    counts = journey.through(faults.COMMON, lambda: [row["number"] for row in java.rows("db.t")])
    equal({number: count for number, count in counts.items() if count > 1}, {}, "rows that are there twice")
    equal(Folder(server, backup).objects(), {}, "errors")
    journey.end()


CASES = [
    (("CreateDeliveryStream", "PutRecordBatch"), rows_of_every_type_are_read_by_pyiceberg),
    (("CreateDeliveryStream", "PutRecordBatch"), partitions_and_statistics_prune),
    (("CreateDeliveryStream", "PutRecordBatch"), records_find_their_tables),
    (("CreateDeliveryStream", "PutRecordBatch"), changes_by_keys_are_read_by_java),
    (("CreateDeliveryStream", "PutRecordBatch"), every_transform_is_javas),
    (("CreateDeliveryStream", "PutRecordBatch"), a_rest_catalog_that_fails_gets_every_row_once),
    (("CreateDeliveryStream", "PutRecordBatch"), every_point_leaves_every_row_once),
    (("CreateDeliveryStream", "PutRecordBatch"), kills_leave_every_row_once),
]
