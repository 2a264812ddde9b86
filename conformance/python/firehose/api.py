"""The operations themselves: configurations that come back as they were given, versions, tags, refusals."""

from botocore.exceptions import ClientError

from harness import equal, eventually, fresh_name, raises

from .streams import ROLE, DeliveryStream, bucket_arn, objects_config


def refused(code, *fragments):
    """Expects a modelled error."""
    return raises(code, ClientError, *fragments)


def a_configuration_comes_back(site):
    """a configuration comes back as it was given, with the service's defaults beside it"""
    given = objects_config(fresh_name("bucket"), Prefix="a/!{timestamp:yyyy}/", ErrorOutputPrefix="e/!{firehose:error-output-type}/",
                           CompressionFormat="GZIP", CustomTimeZone="Europe/Zurich", FileExtension=".json.gz",
                           CloudWatchLoggingOptions={"Enabled": True, "LogGroupName": "g", "LogStreamName": "s"})
    with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=given, Tags=[{"Key": "a", "Value": "b"}]) as stream:
        description = stream.describe()
        equal(description["DeliveryStreamType"], "DirectPut")
        equal(description["VersionId"], "1")
        equal(description["HasMoreDestinations"], False)
        assert description["DeliveryStreamARN"].endswith(f":deliverystream/{stream.name}"), description["DeliveryStreamARN"]
        told = stream.destination()["ExtendedS3DestinationDescription"]
        equal({key: told[key] for key in given}, given)
        equal(told["EncryptionConfiguration"], {"NoEncryptionConfig": "NoEncryption"})
        equal(told["S3BackupMode"], "Disabled")
        tags = site.firehose.list_tags_for_delivery_stream(DeliveryStreamName=stream.name)
        equal((tags["Tags"], tags["HasMoreTags"]), ([{"Key": "a", "Value": "b"}], False))


def an_update_merges(site):
    """an update changes what it names and keeps the rest, and needs the version that it was made for"""
    with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=objects_config(fresh_name("bucket"))) as stream:
        destination = stream.destination()["DestinationId"]
        call = {"DeliveryStreamName": stream.name, "DestinationId": destination}
        with refused("ConcurrentModificationException"):
            site.firehose.update_destination(CurrentDeliveryStreamVersionId="7", **call)
        site.firehose.update_destination(CurrentDeliveryStreamVersionId="1", ExtendedS3DestinationUpdate={
            "CompressionFormat": "GZIP"}, **call)
        equal(stream.describe()["VersionId"], "2")
        told = stream.destination()["ExtendedS3DestinationDescription"]
        equal((told["CompressionFormat"], told["BufferingHints"]), ("GZIP", {"SizeInMBs": 5, "IntervalInSeconds": 1}))


def tags_come_and_go(site):
    """tags are set, replaced, listed in pages and taken off"""
    firehose = site.firehose
    with DeliveryStream(firehose, ExtendedS3DestinationConfiguration=objects_config(fresh_name("bucket"))) as stream:
        call = {"DeliveryStreamName": stream.name}
        firehose.tag_delivery_stream(Tags=[{"Key": key, "Value": key.upper()} for key in "abc"], **call)
        firehose.tag_delivery_stream(Tags=[{"Key": "b", "Value": "other"}], **call)
        page = firehose.list_tags_for_delivery_stream(Limit=2, **call)
        equal(page["Tags"], [{"Key": "a", "Value": "A"}, {"Key": "b", "Value": "other"}])
        equal(page["HasMoreTags"], True)
        rest = firehose.list_tags_for_delivery_stream(ExclusiveStartTagKey="b", **call)
        equal((rest["Tags"], rest["HasMoreTags"]), ([{"Key": "c", "Value": "C"}], False))
        firehose.untag_delivery_stream(TagKeys=["a", "c"], **call)
        equal(firehose.list_tags_for_delivery_stream(**call)["Tags"], [{"Key": "b", "Value": "other"}])


def streams_are_listed(site):
    """delivery streams are listed by name, in pages"""
    bucket = fresh_name("bucket")
    made = [DeliveryStream(site.firehose, S3DestinationConfiguration={"RoleARN": ROLE, "BucketARN": bucket_arn(bucket)})
            for _ in range(3)]
    names = sorted(stream.name for stream in made)
    try:
        for stream in made:
            stream.__enter__()
        page = site.firehose.list_delivery_streams(Limit=1, ExclusiveStartDeliveryStreamName=names[0])
        equal(page["DeliveryStreamNames"], [names[1]])
        equal(page["HasMoreDeliveryStreams"], True)
    finally:
        for stream in made:
            stream.__exit__()
    eventually(lambda: not set(names) & set(site.firehose.list_delivery_streams(Limit=10_000)["DeliveryStreamNames"]),
               "the streams are gone")


def encryption_is_switched(site):
    """encryption is switched on and off, and puts say whether they were encrypted"""
    with DeliveryStream(site.firehose, ExtendedS3DestinationConfiguration=objects_config(fresh_name("bucket"))) as stream:
        call = {"DeliveryStreamName": stream.name}
        status = lambda: stream.describe().get("DeliveryStreamEncryptionConfiguration", {}).get("Status")  # noqa: E731
        site.firehose.start_delivery_stream_encryption(**call, DeliveryStreamEncryptionConfigurationInput={"KeyType": "AWS_OWNED_CMK"})
        eventually(lambda: status() == "ENABLED", "ENABLED")
        answer = site.firehose.put_record(Record={"Data": b"x"}, **call)
        equal(answer["Encrypted"], True)
        site.firehose.stop_delivery_stream_encryption(**call)
        eventually(lambda: status() == "DISABLED", "DISABLED")
        equal(site.firehose.put_record(Record={"Data": b"x"}, **call)["Encrypted"], False)


def bad_requests_are_told(site):
    """what cannot be is refused with the service's own error and changes nothing"""
    firehose, name, bucket = site.firehose, fresh_name("never"), fresh_name("bucket")

    def create(**configuration):
        firehose.create_delivery_stream(DeliveryStreamName=name, **configuration)

    with refused("ResourceNotFoundException", name):
        firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})
    with refused("InvalidArgumentException"):
        create()
    with refused("InvalidArgumentException"):
        create(ExtendedS3DestinationConfiguration=objects_config(bucket, BufferingHints={"SizeInMBs": 5}))
    with refused("InvalidArgumentException"):
        create(ExtendedS3DestinationConfiguration=objects_config(bucket, Prefix="!{timestamp:yyyy}/"))
    with refused("InvalidArgumentException"):
        create(ExtendedS3DestinationConfiguration=objects_config(bucket, DynamicPartitioningConfiguration={"Enabled": True}))
    with refused("InvalidArgumentException", "Snowflake"):
        create(SnowflakeDestinationConfiguration={
            "AccountUrl": "https://a.snowflakecomputing.com", "Database": "d", "Schema": "s", "Table": "t", "User": "u",
            "PrivateKey": "k" * 300, "RoleARN": ROLE, "S3Configuration": objects_config(bucket)})
    with refused("ResourceNotFoundException"):
        firehose.describe_delivery_stream(DeliveryStreamName=name)
    with DeliveryStream(firehose, ExtendedS3DestinationConfiguration=objects_config(bucket)) as stream:
        with refused("ResourceInUseException"):
            firehose.create_delivery_stream(DeliveryStreamName=stream.name, ExtendedS3DestinationConfiguration=objects_config(bucket))
        with refused("ValidationException"):
            firehose.put_record(DeliveryStreamName=stream.name, Record={"Data": b"x" * 1_024_001})


CASES = [
    (("CreateDeliveryStream", "DescribeDeliveryStream", "ListTagsForDeliveryStream"), a_configuration_comes_back),
    (("UpdateDestination",), an_update_merges),
    (("TagDeliveryStream", "UntagDeliveryStream", "ListTagsForDeliveryStream"), tags_come_and_go),
    (("ListDeliveryStreams", "DeleteDeliveryStream"), streams_are_listed),
    (("StartDeliveryStreamEncryption", "StopDeliveryStreamEncryption", "PutRecord"), encryption_is_switched),
    (("CreateDeliveryStream", "PutRecord"), bad_requests_are_told),
]
