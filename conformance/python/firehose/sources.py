"""Delivery streams that read another stream."""

import time

from harness import equal, eventually, fresh_name

from .streams import ROLE, DeliveryStream, Folder, numbered, numbers, objects_config, wait_for_lines

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


CASES = [(("CreateDeliveryStream",), a_split_stream_is_delivered_whole)]
