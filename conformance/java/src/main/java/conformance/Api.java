package conformance;

import static conformance.Harness.equal;
import static conformance.Harness.eventually;
import static conformance.Harness.holds;

import java.lang.reflect.InvocationTargetException;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.*;
import software.amazon.awssdk.services.kinesis.model.Record;

/** One client, blocking or not, so that each case is written once and proved through both. */
final class Api {
    static final String FIRST = "shardId-000000000000";

    private final Object client;
    private final Class<?> face;

    Api(KinesisClient client) {
        this.client = client;
        this.face = KinesisClient.class;
    }

    Api(KinesisAsyncClient client) {
        this.client = client;
        this.face = KinesisAsyncClient.class;
    }

    /** Whether SubscribeToShard can be reached: the blocking client has none. */
    boolean canSubscribe() {
        return client instanceof KinesisAsyncClient;
    }

    KinesisAsyncClient async() {
        return (KinesisAsyncClient) client;
    }

    /** Calls the operation of a request: `describeStream` for a DescribeStreamRequest. */
    @SuppressWarnings("unchecked")
    <O> O call(KinesisRequest request) {
        String name = request.getClass().getSimpleName().replaceFirst("Request$", "");
        String method = Character.toLowerCase(name.charAt(0)) + name.substring(1);
        try {
            Object answer = face.getMethod(method, request.getClass()).invoke(client, request);
            return (O) (answer instanceof CompletableFuture<?> future ? future.join() : answer);
        } catch (InvocationTargetException error) {
            throw unchecked(error.getCause());
        } catch (CompletionException error) {
            throw unchecked(error.getCause());
        } catch (ReflectiveOperationException error) {
            throw new AssertionError(error);
        }
    }

    private static RuntimeException unchecked(Throwable cause) {
        return cause instanceof RuntimeException known ? known : new IllegalStateException(cause);
    }

    /** Expects the modelled error of a request. */
    void refused(KinesisRequest request, String code, String fragment) {
        try {
            call(request);
        } catch (AwsServiceException error) {
            equal(error.awsErrorDetails().errorCode(), code, "error code");
            holds(error.awsErrorDetails().errorMessage().contains(fragment), error.getMessage());
            equal(error.statusCode(), 400, "status");
            holds(error.requestId() != null, "a request id");
            return;
        }
        throw new AssertionError("no " + code);
    }

    StreamDescriptionSummary summary(String name) {
        DescribeStreamSummaryResponse answer = call(DescribeStreamSummaryRequest.builder().streamName(name).build());
        return answer.streamDescriptionSummary();
    }

    StreamDescriptionSummary active(String name) throws InterruptedException {
        eventually(name + " is ACTIVE", 20, () -> summary(name).streamStatus() == StreamStatus.ACTIVE);
        return summary(name);
    }

    /** What a case does with its stream. */
    interface WithStream {
        void run(String name, String arn) throws Exception;
    }

    /** Runs a case with a stream of its own. */
    void withStream(CreateStreamRequest.Builder request, WithStream prove) throws Exception {
        String name = "conformance-" + UUID.randomUUID();
        call(request.streamName(name).build());
        try {
            prove.run(name, active(name).streamARN());
        } finally {
            call(DeleteStreamRequest.builder().streamName(name).enforceConsumerDeletion(true).build());
        }
    }

    PutRecordResponse put(String name, SdkBytes data) {
        return call(PutRecordRequest.builder().streamName(name).partitionKey("k").data(data).build());
    }

    PutRecordResponse put(String name, String data) {
        return put(name, SdkBytes.fromUtf8String(data));
    }

    GetRecordsResponse read(String iterator) {
        return call(GetRecordsRequest.builder().shardIterator(iterator).build());
    }

    String iterator(GetShardIteratorRequest.Builder request) {
        GetShardIteratorResponse answer = call(request.build());
        return answer.shardIterator();
    }

    static List<String> texts(List<Record> records) {
        return records.stream().map(record -> record.data().asUtf8String()).toList();
    }

    String register(String arn) throws InterruptedException {
        RegisterStreamConsumerResponse made =
                call(RegisterStreamConsumerRequest.builder().streamARN(arn).consumerName("app").build());
        String consumer = made.consumer().consumerARN();
        eventually("the consumer is ACTIVE", 20, () -> {
            DescribeStreamConsumerResponse answer =
                    call(DescribeStreamConsumerRequest.builder().consumerARN(consumer).build());
            return answer.consumerDescription().consumerStatus() == ConsumerStatus.ACTIVE;
        });
        return consumer;
    }
}
