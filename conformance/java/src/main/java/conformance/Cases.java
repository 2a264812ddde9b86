package conformance;

import static conformance.Api.FIRST;
import static conformance.Api.texts;
import static conformance.Harness.equal;
import static conformance.Harness.eventually;
import static conformance.Harness.holds;

import conformance.Harness.Suite;
import java.math.BigInteger;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.services.kinesis.model.Record;

/** What every Java client must be able to do. */
final class Cases {
    private static final String HALF = BigInteger.TWO.pow(127).toString();

    private final Api api;

    Cases(Api api) {
        this.api = api;
    }

    void addTo(Suite suite) {
        suite.add("CreateStream DescribeStream DescribeStreamSummary ListStreams ListTagsForStream DeleteStream",
                "a stream is created, described, listed and deleted", this::aStreamLives);
        suite.add("PutRecord PutRecords GetShardIterator GetRecords",
                "records are put on the shard of their key and read from every position", this::recordsComeBack);
        suite.add("SplitShard MergeShards UpdateShardCount ListShards GetRecords",
                "shards are split, merged and scaled, and a closed one names its children", this::aReshard);
        suite.add("RegisterStreamConsumer DescribeStreamConsumer ListStreamConsumers DeregisterStreamConsumer",
                "consumers are registered, listed and removed", this::consumersComeAndGo);
        suite.add("IncreaseStreamRetentionPeriod DecreaseStreamRetentionPeriod StartStreamEncryption "
                        + "StopStreamEncryption EnableEnhancedMonitoring DisableEnhancedMonitoring UpdateMaxRecordSize",
                "settings of a stream are changed and read back", this::settingsAreKept);
        suite.add("AddTagsToStream RemoveTagsFromStream TagResource UntagResource ListTagsForResource "
                        + "PutResourcePolicy GetResourcePolicy DeleteResourcePolicy",
                "tags and policies are changed and read back", this::tagsAndPolicies);
        suite.add("DescribeLimits DescribeAccountSettings UpdateAccountSettings UpdateStreamMode "
                        + "UpdateStreamWarmThroughput",
                "limits, account settings, mode and warm throughput", this::theAccount);
        if (api.canSubscribe()) {
            addSubscriptionsTo(suite);
        }
    }

    void addSubscriptionsTo(Suite suite) {
        suite.add("SubscribeToShard", "records are pushed, and the end of a shard ends it", this::recordsArePushed);
    }

    private static CreateStreamRequest.Builder shards(int count) {
        return CreateStreamRequest.builder().shardCount(count);
    }

    private void aStreamLives() throws Exception {
        List<String> gone = new ArrayList<>();
        api.withStream(shards(2).tags(Map.of("a", "1")), (name, arn) -> {
            gone.add(name);
            DescribeStreamResponse described = api.call(DescribeStreamRequest.builder().streamARN(arn).build());
            equal(described.streamDescription().shards().size(), 2, "shards");
            Instant created = described.streamDescription().streamCreationTimestamp();
            holds(Duration.between(created, Instant.now()).abs().toSeconds() < 60, "created at " + created);
            ListStreamsResponse listed = api.call(ListStreamsRequest.builder().limit(10000).build());
            holds(listed.streamNames().contains(name), "the stream is not listed");
            ListTagsForStreamResponse tags = api.call(ListTagsForStreamRequest.builder().streamName(name).build());
            equal(tags.tags(), List.of(Tag.builder().key("a").value("1").build()), "tags");
            api.refused(shards(1).streamName(name).build(), "ResourceInUseException", "already exists");
        });
        DescribeStreamRequest look = DescribeStreamRequest.builder().streamName(gone.get(0)).build();
        eventually("the stream is gone", 20, () -> {
            try {
                api.call(look);
                return false;
            } catch (ResourceNotFoundException error) {
                return true;
            }
        });
        api.refused(look, "ResourceNotFoundException", "not found");
    }

    private void recordsComeBack() throws Exception {
        api.withStream(shards(2), (name, arn) -> {
            byte[] every = new byte[256];
            for (int index = 0; index < every.length; index++) {
                every[index] = (byte) index;
            }
            PutRecordResponse put = api.put(name, SdkBytes.fromByteArray(every));
            BigInteger point = new BigInteger(1, MessageDigest.getInstance("MD5").digest("k".getBytes()));
            equal(put.shardId(), "shardId-00000000000" + (point.testBit(127) ? 1 : 0), "shard");
            List<PutRecordsRequestEntry> entries = List.of("2", "3").stream()
                    .map(text -> PutRecordsRequestEntry.builder()
                            .partitionKey("k").data(SdkBytes.fromUtf8String(text)).build())
                    .toList();
            PutRecordsResponse batch = api.call(PutRecordsRequest.builder().streamName(name).records(entries).build());
            equal(batch.failedRecordCount(), 0, "failed");
            GetShardIteratorRequest base =
                    GetShardIteratorRequest.builder().streamName(name).shardId(put.shardId()).build();
            List<Record> all = at(base.toBuilder().shardIteratorType("TRIM_HORIZON"));
            equal(all.get(0).data(), SdkBytes.fromByteArray(every), "data");
            equal(texts(all.subList(1, 3)), List.of("2", "3"), "the rest");
            Instant moment = all.get(0).approximateArrivalTimestamp();
            holds(Duration.between(moment, Instant.now()).abs().toSeconds() < 60, "arrived at " + moment);
            String number = put.sequenceNumber();
            equal(at(base.toBuilder().shardIteratorType("AT_SEQUENCE_NUMBER").startingSequenceNumber(number)).size(),
                    3, "AT");
            equal(at(base.toBuilder().shardIteratorType("AFTER_SEQUENCE_NUMBER").startingSequenceNumber(number))
                    .size(), 2, "AFTER");
            equal(at(base.toBuilder().shardIteratorType("AT_TIMESTAMP").timestamp(moment)).size(), 3, "AT_TIMESTAMP");
            equal(at(base.toBuilder().shardIteratorType("LATEST")).size(), 0, "LATEST");
            api.refused(GetRecordsRequest.builder().shardIterator("x").build(),
                    "InvalidArgumentException", "Invalid ShardIterator");
        });
    }

    private List<Record> at(GetShardIteratorRequest.Builder position) {
        return api.read(api.iterator(position)).records();
    }

    private void aReshard() throws Exception {
        api.withStream(shards(1), (name, arn) -> {
            api.put(name, "1");
            api.call(SplitShardRequest.builder()
                    .streamName(name).shardToSplit(FIRST).newStartingHashKey(HALF).build());
            api.active(name);
            String iterator = api.iterator(GetShardIteratorRequest.builder()
                    .streamName(name).shardId(FIRST).shardIteratorType("TRIM_HORIZON"));
            List<String> found = new ArrayList<>();
            GetRecordsResponse answer;
            do {
                answer = api.read(iterator);
                found.addAll(texts(answer.records()));
                iterator = answer.nextShardIterator();
            } while (iterator != null);
            equal(found, List.of("1"), "records of the parent");
            List<String> children = answer.childShards().stream().map(ChildShard::shardId).sorted().toList();
            equal(children, List.of("shardId-000000000001", "shardId-000000000002"), "children");
            equal(answer.childShards().get(0).parentShards(), List.of(FIRST), "parents");
            api.call(MergeShardsRequest.builder().streamName(name)
                    .shardToMerge(children.get(0)).adjacentShardToMerge(children.get(1)).build());
            api.active(name);
            ListShardsResponse open = api.call(ListShardsRequest.builder()
                    .streamName(name).shardFilter(filter -> filter.type(ShardFilterType.AT_LATEST)).build());
            equal(open.shards().stream().map(Shard::shardId).toList(), List.of("shardId-000000000003"), "open shards");
            equal(open.shards().get(0).adjacentParentShardId(), children.get(1), "adjacent parent");
            UpdateShardCountResponse scaled = api.call(UpdateShardCountRequest.builder()
                    .streamName(name).targetShardCount(2).scalingType(ScalingType.UNIFORM_SCALING).build());
            equal(scaled.targetShardCount(), 2, "target");
            equal(api.active(name).openShardCount(), 2, "open shards");
        });
    }

    private void consumersComeAndGo() throws Exception {
        api.withStream(shards(1), (name, arn) -> {
            String consumer = api.register(arn);
            ListStreamConsumersRequest list = ListStreamConsumersRequest.builder().streamARN(arn).build();
            ListStreamConsumersResponse listed = api.call(list);
            equal(listed.consumers().stream().map(Consumer::consumerName).toList(), List.of("app"), "consumers");
            api.call(DeregisterStreamConsumerRequest.builder().consumerARN(consumer).build());
            eventually("none is left", 20, () -> {
                ListStreamConsumersResponse left = api.call(list);
                return left.consumers().isEmpty();
            });
        });
    }

    private void settingsAreKept() throws Exception {
        api.withStream(shards(1), (name, arn) -> {
            api.call(IncreaseStreamRetentionPeriodRequest.builder().streamName(name).retentionPeriodHours(48).build());
            equal(api.active(name).retentionPeriodHours(), 48, "retention");
            api.call(DecreaseStreamRetentionPeriodRequest.builder().streamName(name).retentionPeriodHours(24).build());
            equal(api.active(name).retentionPeriodHours(), 24, "retention");
            api.call(StartStreamEncryptionRequest.builder()
                    .streamName(name).encryptionType("KMS").keyId("alias/aws/kinesis").build());
            equal(api.active(name).encryptionType(), EncryptionType.KMS, "encryption");
            api.call(StopStreamEncryptionRequest.builder()
                    .streamName(name).encryptionType("KMS").keyId("alias/aws/kinesis").build());
            equal(api.active(name).encryptionType(), EncryptionType.NONE, "encryption");
            EnableEnhancedMonitoringResponse on = api.call(EnableEnhancedMonitoringRequest.builder()
                    .streamName(name).shardLevelMetrics(MetricsName.INCOMING_BYTES).build());
            equal(on.desiredShardLevelMetrics(), List.of(MetricsName.INCOMING_BYTES), "metrics");
            api.active(name);
            DisableEnhancedMonitoringResponse off = api.call(DisableEnhancedMonitoringRequest.builder()
                    .streamName(name).shardLevelMetrics(MetricsName.ALL).build());
            equal(off.desiredShardLevelMetrics(), List.of(), "metrics");
            api.active(name);
            api.call(UpdateMaxRecordSizeRequest.builder().streamARN(arn).maxRecordSizeInKiB(2048).build());
            equal(api.active(name).maxRecordSizeInKiB(), 2048, "record size");
            SdkBytes large = SdkBytes.fromByteArray(new byte[1_500_000]);
            api.put(name, large);
            Record found = at(GetShardIteratorRequest.builder()
                    .streamName(name).shardId(FIRST).shardIteratorType("TRIM_HORIZON")).get(0);
            equal(found.data(), large, "a large record");
        });
    }

    private void tagsAndPolicies() throws Exception {
        api.withStream(shards(1), (name, arn) -> {
            api.call(AddTagsToStreamRequest.builder().streamName(name).tags(Map.of("a", "1", "b", "2")).build());
            api.call(RemoveTagsFromStreamRequest.builder().streamName(name).tagKeys("a").build());
            api.call(TagResourceRequest.builder().resourceARN(arn).tags(Map.of("c", "3")).build());
            api.call(UntagResourceRequest.builder().resourceARN(arn).tagKeys("b").build());
            ListTagsForResourceResponse tags = api.call(ListTagsForResourceRequest.builder().resourceARN(arn).build());
            equal(tags.tags(), List.of(Tag.builder().key("c").value("3").build()), "tags");
            String policy = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\""
                    + arn.split(":")[4] + "\"},\"Action\":\"kinesis:PutRecord\",\"Resource\":\"" + arn + "\"}]}";
            api.call(PutResourcePolicyRequest.builder().resourceARN(arn).policy(policy).build());
            GetResourcePolicyResponse kept = api.call(GetResourcePolicyRequest.builder().resourceARN(arn).build());
            equal(kept.policy().replaceAll("\\s", ""), policy, "policy");
            api.call(DeleteResourcePolicyRequest.builder().resourceARN(arn).build());
        });
    }

    private void theAccount() throws Exception {
        api.withStream(CreateStreamRequest.builder(), (name, arn) -> {
            DescribeLimitsResponse limits = api.call(DescribeLimitsRequest.builder().build());
            holds(limits.openShardCount() >= 4, "open shards");
            api.call(UpdateAccountSettingsRequest.builder()
                    .minimumThroughputBillingCommitment(commitment -> commitment.status("ENABLED")).build());
            DescribeAccountSettingsResponse settings = api.call(DescribeAccountSettingsRequest.builder().build());
            equal(settings.minimumThroughputBillingCommitment().statusAsString(), "ENABLED", "commitment");
            api.call(UpdateStreamModeRequest.builder()
                    .streamARN(arn).streamModeDetails(mode -> mode.streamMode(StreamMode.ON_DEMAND)).build());
            api.active(name);
            UpdateStreamWarmThroughputResponse warm = api.call(
                    UpdateStreamWarmThroughputRequest.builder().streamARN(arn).warmThroughputMiBps(8).build());
            equal(warm.warmThroughput().targetMiBps(), 8, "warm throughput");
            equal(api.active(name).streamModeDetails().streamMode(), StreamMode.ON_DEMAND, "mode");
        });
    }

    /** A subscription, followed as a consumer would. */
    private final class Subscription {
        final List<SubscribeToShardEvent> events = new CopyOnWriteArrayList<>();
        final CompletableFuture<Void> end;

        Subscription(String consumer) {
            SubscribeToShardRequest request = SubscribeToShardRequest.builder()
                    .consumerARN(consumer).shardId(FIRST)
                    .startingPosition(position -> position.type(ShardIteratorType.TRIM_HORIZON)).build();
            end = api.async().subscribeToShard(request, SubscribeToShardResponseHandler.builder()
                    .subscriber(event -> {
                        if (event instanceof SubscribeToShardEvent found) {
                            events.add(found);
                        }
                    })
                    .build());
        }

        List<String> data() {
            return events.stream().flatMap(event -> texts(event.records()).stream()).toList();
        }
    }

    private void recordsArePushed() throws Exception {
        api.withStream(shards(1), (name, arn) -> {
            String consumer = api.register(arn);
            api.put(name, "before");
            Subscription found = new Subscription(consumer);
            eventually("the stored record", 10, () -> found.data().size() == 1);
            secondIsRefused(consumer);
            for (String text : List.of("1", "2", "3")) {
                api.put(name, text);
            }
            eventually("the pushed records", 10, () -> found.data().size() == 4);
            equal(found.data(), List.of("before", "1", "2", "3"), "records");
            int quiet = found.events.size();
            eventually("an event in a quiet stream", 8, () -> found.events.size() > quiet);
            holds(!found.end.isDone(), "the subscription was ended");
            api.call(SplitShardRequest.builder()
                    .streamName(name).shardToSplit(FIRST).newStartingHashKey(HALF).build());
            found.end.get(15, TimeUnit.SECONDS);
            SubscribeToShardEvent last = found.events.get(found.events.size() - 1);
            equal(last.childShards().size(), 2, "children");
            holds(last.continuationSequenceNumber() == null, "a continuation after the end");
        });
    }

    private void secondIsRefused(String consumer) throws Exception {
        try {
            new Subscription(consumer).end.get(10, TimeUnit.SECONDS);
        } catch (ExecutionException | CompletionException error) {
            holds(error.getCause() instanceof ResourceInUseException, "refused with " + error.getCause());
            return;
        }
        throw new AssertionError("a second subscription was taken");
    }
}
