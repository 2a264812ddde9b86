package conformance;

import static conformance.Harness.equal;
import static conformance.Harness.eventually;
import static conformance.Harness.holds;

import conformance.Harness.Proof;
import conformance.Harness.Suite;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.firehose.FirehoseClient;
import software.amazon.awssdk.services.firehose.model.*;
import software.amazon.awssdk.services.firehose.model.Record;

/** Firehose by the client as it comes, but for the endpoint. */
final class Firehose {
    private static final String ROLE = "arn:aws:iam::000000000000:role/delivery";
    private static final String KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";

    private final FirehoseClient client;

    Firehose(FirehoseClient client) {
        this.client = client;
    }

    void addTo(Suite suite) {
        suite.add("CreateDeliveryStream DescribeDeliveryStream ListDeliveryStreams DeleteDeliveryStream",
                "a delivery stream is created, described as it was given, listed and deleted",
                this::aDeliveryStreamLives);
        suite.add("PutRecord PutRecordBatch",
                "records are put singly and in batches up to what fits, and refused beyond", this::recordsAreTaken);
        suite.add("UpdateDestination DescribeDeliveryStream",
                "an update merges, and needs the version that it was made for", this::anUpdateMerges);
        suite.add("TagDeliveryStream UntagDeliveryStream ListTagsForDeliveryStream",
                "tags are set, taken off and listed in pages", this::tagsComeAndGo);
        suite.add("StartDeliveryStreamEncryption StopDeliveryStreamEncryption PutRecord",
                "encryption is switched on and off, and puts say so", this::encryptionIsSwitched);
    }

    private static String freshName() {
        return "conformance-" + UUID.randomUUID();
    }

    private static ExtendedS3DestinationConfiguration.Builder toBucket() {
        return ExtendedS3DestinationConfiguration.builder().roleARN(ROLE).bucketARN("arn:aws:s3:::" + freshName());
    }

    private DeliveryStreamDescription describe(String name) {
        return client.describeDeliveryStream(it -> it.deliveryStreamName(name)).deliveryStreamDescription();
    }

    private ExtendedS3DestinationDescription destination(String name) {
        return describe(name).destinations().get(0).extendedS3DestinationDescription();
    }

    private interface WithDelivery {
        void run(String name) throws Exception;
    }

    /** Runs a case with a delivery stream of its own, and leaves none. */
    private void withDelivery(ExtendedS3DestinationConfiguration destination, WithDelivery prove) throws Exception {
        String name = freshName();
        String arn = client.createDeliveryStream(it -> it.deliveryStreamName(name)
                .deliveryStreamType(DeliveryStreamType.DIRECT_PUT)
                .extendedS3DestinationConfiguration(destination)
                .tags(Tag.builder().key("a").value("1").build())).deliveryStreamARN();
        try {
            eventually(name + " is ACTIVE", 20,
                    () -> describe(name).deliveryStreamStatus() == DeliveryStreamStatus.ACTIVE);
            equal(describe(name).deliveryStreamARN(), arn, "ARN");
            prove.run(name);
        } finally {
            client.deleteDeliveryStream(it -> it.deliveryStreamName(name).allowForceDelete(true));
        }
    }

    /** Expects an error of that class, with its code and a part of its text. */
    private static void refused(Class<? extends FirehoseException> kind, String fragment, Proof call) throws Exception {
        refused(kind, kind.getSimpleName(), fragment, call);
    }

    /** Expects an error that the client's model has no class for. */
    private static void refused(Class<? extends FirehoseException> kind, String code, String fragment, Proof call)
            throws Exception {
        try {
            call.run();
        } catch (FirehoseException error) {
            equal(error.getClass(), kind, "class of " + error);
            equal(error.awsErrorDetails().errorCode(), code, "error code");
            holds(error.awsErrorDetails().errorMessage().contains(fragment), error.getMessage());
            equal(error.statusCode(), 400, "status");
            holds(error.requestId() != null, "a request id");
            return;
        }
        throw new AssertionError("no " + code);
    }

    private void aDeliveryStreamLives() throws Exception {
        ExtendedS3DestinationConfiguration given = toBucket()
                .prefix("a/!{timestamp:yyyy}/")
                .errorOutputPrefix("e/!{firehose:error-output-type}/")
                .bufferingHints(it -> it.sizeInMBs(7).intervalInSeconds(61))
                .compressionFormat(CompressionFormat.GZIP)
                .cloudWatchLoggingOptions(it -> it.enabled(true).logGroupName("g").logStreamName("s"))
                .processingConfiguration(it -> it.enabled(true)
                        .processors(Processor.builder().type(ProcessorType.APPEND_DELIMITER_TO_RECORD).build()))
                .build();
        List<String> gone = new ArrayList<>();
        withDelivery(given, name -> {
            gone.add(name);
            DeliveryStreamDescription found = describe(name);
            equal(found.deliveryStreamType(), DeliveryStreamType.DIRECT_PUT, "type");
            equal(found.versionId(), "1", "version");
            holds(Duration.between(found.createTimestamp(), Instant.now()).abs().toSeconds() < 60,
                    "created at " + found.createTimestamp());
            equal(found.destinations().size(), 1, "destinations");
            ExtendedS3DestinationDescription told = destination(name);
            equal(told.bucketARN(), given.bucketARN(), "bucket");
            equal(told.prefix(), given.prefix(), "prefix");
            equal(told.errorOutputPrefix(), given.errorOutputPrefix(), "error prefix");
            equal(told.bufferingHints(), given.bufferingHints(), "hints");
            equal(told.compressionFormat(), CompressionFormat.GZIP, "compression");
            equal(told.cloudWatchLoggingOptions(), given.cloudWatchLoggingOptions(), "logging");
            equal(told.processingConfiguration().processors().get(0).type(),
                    ProcessorType.APPEND_DELIMITER_TO_RECORD, "processor");
            equal(told.s3BackupMode(), S3BackupMode.DISABLED, "backup");
            List<String> listed = client.listDeliveryStreams(it -> it.limit(10_000)
                    .deliveryStreamType(DeliveryStreamType.DIRECT_PUT)).deliveryStreamNames();
            holds(listed.contains(name), "the delivery stream is not listed");
            refused(ResourceInUseException.class, "already exists", () -> client.createDeliveryStream(
                    it -> it.deliveryStreamName(name).extendedS3DestinationConfiguration(toBucket().build())));
        });
        eventually("the delivery stream is gone", 20, () -> {
            try {
                describe(gone.get(0));
                return false;
            } catch (ResourceNotFoundException error) {
                return true;
            }
        });
    }

    private static Record record(byte[] data) {
        return Record.builder().data(SdkBytes.fromByteArray(data)).build();
    }

    private PutRecordBatchResponse put(String name, List<Record> records) {
        return client.putRecordBatch(it -> it.deliveryStreamName(name).records(records));
    }

    private PutRecordResponse put(String name, byte... data) {
        return client.putRecord(it -> it.deliveryStreamName(name).record(record(data)));
    }

    private void recordsAreTaken() throws Exception {
        withDelivery(toBucket().build(), name -> {
            PutRecordResponse one = put(name, (byte) 0, (byte) 255, (byte) 10);
            equal(one.encrypted(), false, "encrypted");
            List<Record> many = IntStream.range(0, 500).mapToObj(index -> record(new byte[index])).toList();
            PutRecordBatchResponse batch = put(name, many);
            equal(batch.failedPutCount(), 0, "failed");
            Set<String> ids = new HashSet<>(Set.of(one.recordId()));
            batch.requestResponses().forEach(each -> ids.add(each.recordId()));
            equal(ids.size(), 501, "ids that differ");
            List<Record> tooMany = Stream.concat(many.stream(), Stream.of(record(new byte[1]))).toList();
            refused(FirehoseException.class, "ValidationException", "500", () -> put(name, tooMany));
            Record large = record(new byte[1_024_000]);
            refused(InvalidArgumentException.class, "4 MB", () -> put(name, Collections.nCopies(5, large)));
            refused(FirehoseException.class, "ValidationException", "1024000",
                    () -> put(name, List.of(record(new byte[1]), record(new byte[1_024_001]))));
            equal(put(name, Collections.nCopies(4, large)).failedPutCount(), 0, "failed of the largest that may be");
        });
        refused(ResourceNotFoundException.class, "nobody", () -> put("nobody", (byte) 1));
    }

    private void anUpdateMerges() throws Exception {
        withDelivery(toBucket().build(), name -> {
            ExtendedS3DestinationDescription before = destination(name);
            UnaryOperator<UpdateDestinationRequest.Builder> update = it -> it.deliveryStreamName(name)
                    .extendedS3DestinationUpdate(change -> change.compressionFormat(CompressionFormat.ZIP));
            String id = describe(name).destinations().get(0).destinationId();
            refused(ConcurrentModificationException.class, "do not match", () -> client.updateDestination(
                    it -> update.apply(it).currentDeliveryStreamVersionId("7").destinationId(id)));
            refused(InvalidArgumentException.class, "not found", () -> client.updateDestination(
                    it -> update.apply(it).currentDeliveryStreamVersionId("1").destinationId("destinationId-000000000009")));
            client.updateDestination(it -> update.apply(it).currentDeliveryStreamVersionId("1").destinationId(id));
            DeliveryStreamDescription after = describe(name);
            equal(after.versionId(), "2", "version");
            holds(!after.lastUpdateTimestamp().isBefore(after.createTimestamp()), "updated before it was created");
            equal(destination(name), before.toBuilder().compressionFormat(CompressionFormat.ZIP).build(), "destination");
        });
    }

    private void tagsComeAndGo() throws Exception {
        withDelivery(toBucket().build(), name -> {
            client.tagDeliveryStream(it -> it.deliveryStreamName(name).tags(
                    Tag.builder().key("b").value("2").build(), Tag.builder().key("c").build()));
            client.untagDeliveryStream(it -> it.deliveryStreamName(name).tagKeys("c"));
            ListTagsForDeliveryStreamResponse page =
                    client.listTagsForDeliveryStream(it -> it.deliveryStreamName(name).limit(1));
            equal(page.hasMoreTags(), true, "more");
            ListTagsForDeliveryStreamResponse rest = client.listTagsForDeliveryStream(
                    it -> it.deliveryStreamName(name).exclusiveStartTagKey(page.tags().get(0).key()));
            equal(rest.hasMoreTags(), false, "more");
            Map<String, String> told = Stream.concat(page.tags().stream(), rest.tags().stream())
                    .collect(Collectors.toMap(Tag::key, Tag::value));
            equal(told, Map.of("a", "1", "b", "2"), "tags");
        });
    }

    private void encryptionIsSwitched() throws Exception {
        withDelivery(toBucket().build(), name -> {
            refused(InvalidArgumentException.class, "KeyARN", () -> client.startDeliveryStreamEncryption(
                    it -> it.deliveryStreamName(name).deliveryStreamEncryptionConfigurationInput(
                            key -> key.keyType(KeyType.CUSTOMER_MANAGED_CMK))));
            client.startDeliveryStreamEncryption(it -> it.deliveryStreamName(name)
                    .deliveryStreamEncryptionConfigurationInput(
                            key -> key.keyType(KeyType.CUSTOMER_MANAGED_CMK).keyARN(KEY)));
            encryptionBecomes(name, DeliveryStreamEncryptionStatus.ENABLED);
            equal(describe(name).deliveryStreamEncryptionConfiguration().keyARN(), KEY, "key");
            equal(put(name, (byte) 1).encrypted(), true, "encrypted");
            client.stopDeliveryStreamEncryption(it -> it.deliveryStreamName(name));
            encryptionBecomes(name, DeliveryStreamEncryptionStatus.DISABLED);
            equal(put(name, (byte) 1).encrypted(), false, "encrypted");
        });
    }

    private void encryptionBecomes(String name, DeliveryStreamEncryptionStatus wanted) throws InterruptedException {
        eventually(wanted.toString(), 20,
                () -> describe(name).deliveryStreamEncryptionConfiguration().status() == wanted);
    }
}
