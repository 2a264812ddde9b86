"""Delivery streams that read another stream."""

import base64
import contextlib
import datetime
import json
import threading
import time

from harness import equal, eventually, fresh_name

from .status import told
from .streams import ROLE, DeliveryStream, Folder, lines, numbered, numbers, objects_config, wait_for_lines

HALF = str(2**127)


def a_split_stream_is_delivered_whole(site):
    """a Data Stream is delivered whole, its aggregates taken apart, while it is split and merged"""
    import aws_kinesis_agg.aggregator

    kinesis, name, bucket = site.alone.kinesis(), fresh_name("source"), fresh_name("bucket")
    kinesis.create_stream(StreamName=name, ShardCount=1)

    def arn():
        summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return summary["StreamARN"] if summary["StreamStatus"] == "ACTIVE" else None

    source = eventually(arn, "the stream is ACTIVE")
    sent = numbered(3_000)
    config = {"DeliveryStreamType": "KinesisStreamAsSource",
              "KinesisStreamSourceConfiguration": {"KinesisStreamARN": source, "RoleARN": ROLE},
              "ExtendedS3DestinationConfiguration": objects_config(bucket)}
    with DeliveryStream(site.firehose, **config) as stream:
        put(kinesis, name, sent[:1_000])
        kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=HALF)
        put(kinesis, name, sent[1_000:2_000])
        eventually(arn, "the split is done")
        kinesis.merge_shards(StreamName=name, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002")
        aggregator = aws_kinesis_agg.aggregator.RecordAggregator()
        for number, data in enumerate(sent[2_000:]):
            full = aggregator.add_user_record(f"key-{number % 5}", data)
            if full:
                put_aggregate(kinesis, name, full)
        put_aggregate(kinesis, name, aggregator.clear_and_get())
        found = wait_for_lines(Folder(site.alone, bucket), len(sent), seconds=60)
        equal(sorted(numbers(found)), list(range(len(sent))))
        refused = None
        try:
            site.firehose.put_record(DeliveryStreamName=stream.name, Record={"Data": b"x"})
        except site.firehose.exceptions.ClientError as error:
            refused = error.response["Error"]["Code"]
        assert refused in ("InvalidArgumentException", "InvalidSourceException"), refused
    kinesis.delete_stream(StreamName=name)


def put(kinesis, name, datas):
    """Puts all, retrying what was refused."""
    for start in range(0, len(datas), 250):
        records = [{"Data": data, "PartitionKey": f"key-{number}"} for number, data in enumerate(datas[start:start + 250])]
        for _ in range(100):
            answer = kinesis.put_records(StreamName=name, Records=records)
            records = [record for record, result in zip(records, answer["Records"]) if "ErrorCode" in result]
            if not records:
                break
            time.sleep(0.05)
        equal(records, [], "records that stay refused")


def put_aggregate(kinesis, name, record):
    """Puts an aggregate as KPL does."""
    if record is not None:
        key, explicit, data = record.get_contents()
        options = {"ExplicitHashKey": explicit} if explicit else {}
        kinesis.put_record(StreamName=name, PartitionKey=key, Data=data, **options)


CODECS = ("gzip", "snappy", "lz4", "zstd")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECRET = "a-secret-of-7913"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DELIMITED = {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]}


def cluster_arn(name):
    """The ARN of a cluster that the outside file has under a name."""
    return f"arn:aws:kafka:us-east-1:000000000000:cluster/{name}/1"


def secured_clusters(kafka):
    """The same broker over TLS and with logins, in several ways, for the outside file."""
    authority, secured = f'ca_file = "{kafka.authority}"', f'bootstrap = "{kafka.secured}"\ntls = true'
    user = f'username = "{kafka.USER}"\npassword = "{kafka.PASSWORD}"'
    clusters = {
        "encrypted": [f'bootstrap = "{kafka.encrypted}"\ntls = true', authority],
        # Every way in, and every way to be shut out.
        **{name: [secured, authority, f'sasl_mechanism = "{name}"', user] for name in MECHANISMS},
        "stranger": [secured, authority, 'sasl_mechanism = "SCRAM-SHA-512"', f'username = "late"\npassword = "{SECRET}"'],
        "untrusted": [secured, 'sasl_mechanism = "SCRAM-SHA-512"', user],
        "clear": [f'bootstrap = "{kafka.secured}"'],
        "anonymous": [secured, authority],
    }
    lines = [f'[kafka_clusters."{cluster_arn(name)}"]\n' + "\n".join(table) for name, table in clusters.items()]
    return "\n".join(lines) + "\n"


def kafka_config(site, topic, bucket, start=None, cluster=None):
    """A delivery stream that reads a topic into a bucket, a line for each record."""
    source = {"MSKClusterARN": cluster_arn(cluster) if cluster else site.kafka_arn, "TopicName": topic,
              "AuthenticationConfiguration": {"RoleARN": ROLE, "Connectivity": "PRIVATE"}}
    if start is not None:
        source["ReadFromTimestamp"] = start
    return {"DeliveryStreamType": "MSKAsSource", "MSKSourceConfiguration": source,
            "ExtendedS3DestinationConfiguration": objects_config(bucket, ProcessingConfiguration=DELIMITED)}


def produce(producer, topic, datas, partitions):
    """Sends all, and waits until each is in the topic."""
    lost = []
    for number, data in enumerate(datas):
        place = {"partition": partitions[number % len(partitions)], "key": f"key-{number % 7}"}
        producer.produce(topic, data, on_delivery=lambda error, _: lost.append(error) if error else None, **place)
        producer.poll(0)
    equal((producer.flush(60), lost), (0, []), "records that are not in the topic")


def plain(count, begin=0, size=100):
    """Numbered records without line feeds."""
    return [record.strip() for record in numbered(begin + count, size)[begin:]]


def die_and_return(kafka):
    """Kills the broker soon, and starts it again later."""
    time.sleep(0.4)
    kafka.kill()
    time.sleep(2)
    kafka.start()


def a_topic_is_delivered_while_its_broker_dies(site):
    """a Kafka topic is delivered once each, in every codec, while its broker is killed and partitions come"""
    kafka, topic, bucket = site.kafka, fresh_name("topic"), fresh_name("bucket")
    kafka.start()
    kafka.create(topic, 3)
    produce(kafka.producer(), topic, [b"too early"] * 30, [0, 1, 2])
    with DeliveryStream(site.firehose, **kafka_config(site, topic, bucket)):
        kafka.widen(topic, 4)
        # The first of them are so large that the broker dies while they are written and read.
        sent = plain(1_000, size=30_000) + plain(5_000, 1_000)
        killer = threading.Thread(target=die_and_return, args=(kafka,))
        killer.start()
        for index, codec in enumerate(("none", *CODECS)):
            part = sent[index * 1_000:][:1_000]
            produce(kafka.producer(compression_type=codec, linger_ms=20), topic, part, [0, 1, 2, 3])
            if codec == "none":
                killer.join()
        for index, codec in enumerate(CODECS):
            typed = b"\n".join(sent[5_000 + index * 250:][:250]) + b"\n"
            kafka.tool("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", kafka.address, "--topic", topic,
                       "--compression-codec", codec, stdin=typed)
        found = wait_for_lines(Folder(site.alone, bucket), len(sent), seconds=150)
        equal(sorted(numbers(found)), list(range(len(sent))))


def only_what_is_committed_is_delivered(site):
    """what an aborted transaction wrote is not delivered, and a record over 10 MB goes to the error output"""
    kafka, topic, bucket = site.kafka, fresh_name("topic"), fresh_name("bucket")
    kafka.start()
    kafka.create(topic, 1)
    producer = kafka.producer(transactional_id=fresh_name("transaction"))
    producer.init_transactions(60)
    for begin in range(0, 500, 50):
        producer.begin_transaction()
        produce(producer, topic, plain(50, begin), [0])
        (producer.commit_transaction if begin % 100 == 0 else producer.abort_transaction)(60)
    large = b"x" * (11 << 20)
    produce(kafka.producer(), topic, [large, *plain(1, 500)], [0])
    wanted = [number for number in range(500) if number % 100 < 50] + [500]
    kafka.kill()
    with DeliveryStream(site.firehose, **kafka_config(site, topic, bucket, EPOCH)) as stream:
        # Nobody answers at first: that is said, and tried again.
        eventually(lambda: stream.name in site.alone.log(), "a word about the broker")
        kafka.start()
        folder = Folder(site.alone, bucket)

        def delivered():
            return [line for line in lines(folder.objects("2")) if line.startswith(b"{")]

        eventually(lambda: len(delivered()) >= len(wanted), "all that is committed", 60)
        refused = eventually(lambda: folder.objects("processing-failed"), "the error output", 60)
        time.sleep(1.5)
        equal(sorted(numbers(delivered())), wanted)
        (document,) = [json.loads(line) for line in lines(refused)]
        equal(document["errorCode"], "Record.SizeLimitExceeded")
        assert base64.b64decode(document["rawData"]) == large, "another record"


def reading_goes_on_behind_what_retention_took(site):
    """a topic is read from a moment on, after a kill -9 from its checkpoint, and past what retention took"""
    kafka, topic, bucket = site.kafka, fresh_name("topic"), fresh_name("bucket")
    kafka.start()
    kafka.create(topic, 1)
    producer = kafka.producer()
    produce(producer, topic, plain(100), [0])
    time.sleep(1.1)
    moment = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    produce(producer, topic, plain(100, 100), [0])
    victim = site.victim
    with DeliveryStream(victim.firehose(), **kafka_config(site, topic, bucket, moment)) as stream:
        folder = Folder(victim, bucket)
        wait_for_lines(folder, 100)
        victim.kill()
        produce(producer, topic, plain(200, 200), [0])
        kafka.trim(topic, 0, 300)
        assert victim.start() is not None, victim.log()
        stream.firehose = victim.firehose()
        found = wait_for_lines(folder, 200, seconds=60)
        equal(sorted(numbers(found)), [*range(100, 200), *range(300, 400)])
        assert "gave records up" in victim.log(), "nobody says that records were lost"


def topics_are_read_over_tls_by_every_login(site):
    """a Kafka topic is read over TLS, with each login and without, when it has run out and when the broker was killed"""
    kafka, topic = site.kafka, fresh_name("topic")
    kafka.start()
    kafka.create(topic, 3)
    ways, sent = ("encrypted", *MECHANISMS), plain(900)
    buckets, names = {way: fresh_name("bucket") for way in ways}, []
    with contextlib.ExitStack() as streams:
        for way, bucket in buckets.items():
            config = kafka_config(site, topic, bucket, EPOCH, way)
            names.append(streams.enter_context(DeliveryStream(site.firehose, **config)).name)
        for begin in (0, 300):
            produce(kafka.producer(), topic, sent[begin:begin + 300], [0, 1, 2])
            for bucket in buckets.values():
                eventually(lambda: len(lines(Folder(site.alone, bucket).objects())) >= begin + 300, "the first records", 60)
            # Longer than a login is good for.
            time.sleep(3)
        complaints = [line for line in site.alone.log().splitlines() if any(name in line for name in names)]
        equal(complaints, [], "what is said although nothing is wrong")
        kafka.kill()
        kafka.start()
        produce(kafka.producer(), topic, sent[600:], [0, 1, 2])
        for way, bucket in buckets.items():
            found = wait_for_lines(Folder(site.alone, bucket), len(sent), seconds=60)
            equal(sorted(numbers(found)), list(range(len(sent))), f"records by {way}")


def whoever_is_shut_out_says_why_and_is_let_in_later(site):
    """a wrong password, a certificate that nobody vouches for, a listener that wants more: said, and tried again"""
    kafka, topic = site.kafka, fresh_name("topic")
    kafka.start()
    kafka.create(topic, 1)
    produce(kafka.producer(), topic, plain(50), [0])
    kafka.set_password("late", "not yet what it will be")
    reasons = {
        "stranger": ("refuses the login by SCRAM-SHA-512", "Authentication failed"),
        "untrusted": ("no TLS with 127.0.0.1", "UnknownIssuer"),
        "clear": ("it speaks TLS only",),
        "anonymous": ("it closed the connection, as one does that wants TLS or a login",),
    }
    with contextlib.ExitStack() as streams:
        names, buckets = {}, {}
        for way in reasons:
            buckets[way] = fresh_name("bucket")
            config = kafka_config(site, topic, buckets[way], EPOCH, way)
            names[way] = streams.enter_context(DeliveryStream(site.firehose, **config)).name
        for way, wanted in reasons.items():
            def said():
                words = [line for line in site.alone.log().splitlines() if names[way] in line]
                return len(words) >= 2 and all(part in words[-1] for part in wanted)

            eventually(said, f"why {way} is shut out, twice: {wanted}", 60)
        errors = json.dumps(told(site, names["stranger"])["errors"])
        assert "refuses the login" in errors and SECRET not in errors, errors
        kafka.set_password("late", SECRET)
        found = wait_for_lines(Folder(site.alone, buckets.pop("stranger")), 50, seconds=60)
        equal(sorted(numbers(found)), list(range(50)))
        equal([lines(Folder(site.alone, bucket).objects()) for bucket in buckets.values()], [[]] * 3, "records of the others")
    for secret in (SECRET, kafka.PASSWORD):
        assert secret not in site.alone.log(), "a password is told"


CASES = [
    (("CreateDeliveryStream",), a_split_stream_is_delivered_whole),
    (("CreateDeliveryStream",), a_topic_is_delivered_while_its_broker_dies),
    (("CreateDeliveryStream",), only_what_is_committed_is_delivered),
    (("CreateDeliveryStream",), reading_goes_on_behind_what_retention_took),
    (("CreateDeliveryStream",), topics_are_read_over_tls_by_every_login),
    (("CreateDeliveryStream",), whoever_is_shut_out_says_why_and_is_let_in_later),
]
