package conformance;

import conformance.Harness.Skip;
import conformance.Harness.Suite;
import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.firehose.FirehoseClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClientBuilder;
import software.amazon.awssdk.services.kinesis.KinesisClient;

/**
 * The AWS SDK for Java v2, unmodified: CBOR by default, JSON when the JVM is started with
 * -Daws.cborEnabled=false; HTTP/2 from the asynchronous client, HTTP/1.1 from the blocking one.
 */
final class Main {
    private static final String NAME = "AWS SDK for Java v2";
    private static final StaticCredentialsProvider CREDENTIALS =
            StaticCredentialsProvider.create(AwsBasicCredentials.create("conformance", "conformance"));

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String encoding = "false".equals(System.getProperty("aws.cborEnabled")) ? "JSON" : "CBOR";
        URI endpoint = URI.create(System.getenv("CONFORMANCE_ENDPOINT"));
        List<int[]> counts = new ArrayList<>();

        Suite async = new Suite(NAME, encoding + ", HTTP/2");
        new Cases(new Api(asyncClient(endpoint).build())).addTo(async);
        counts.add(async.run());

        Suite blocking = new Suite(NAME + " (blocking)", encoding);
        KinesisClient client = KinesisClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(CREDENTIALS)
                .build();
        new Cases(new Api(client)).addTo(blocking);
        counts.add(blocking.run());

        Suite secure = new Suite(NAME, encoding + ", HTTP/2, TLS");
        String tls = System.getenv("CONFORMANCE_TLS_ENDPOINT");
        if (tls == null || tls.isEmpty()) {
            secure.add("SubscribeToShard", "the exported CA is all that is needed over TLS", () -> {
                throw new Skip("no TLS endpoint was given");
            });
        } else {
            NettyNioAsyncHttpClient.Builder transport = NettyNioAsyncHttpClient.builder()
                    .protocol(Protocol.HTTP2)
                    .tlsTrustManagersProvider(() -> trusting(Path.of(System.getenv("CONFORMANCE_CA_FILE"))));
            KinesisAsyncClient trusting = asyncClient(URI.create(tls)).httpClientBuilder(transport).build();
            new Cases(new Api(trusting)).addTo(secure);
        }
        counts.add(secure.run());

        // One encoding only, whatever the JVM is told: Firehose has no CBOR. So one run of the two is enough.
        if (encoding.equals("JSON")) {
            Suite firehose = new Suite(NAME + " (blocking)", "JSON", "firehose");
            new Firehose(FirehoseClient.builder()
                    .endpointOverride(endpoint)
                    .region(Region.US_EAST_1)
                    .credentialsProvider(CREDENTIALS)
                    .build()).addTo(firehose);
            counts.add(firehose.run());
        }
        Harness.finish(counts);
    }

    /** The client as it comes, but for the endpoint. */
    private static KinesisAsyncClientBuilder asyncClient(URI endpoint) {
        return KinesisAsyncClient.builder()
                .endpointOverride(endpoint)
                .region(Region.US_EAST_1)
                .credentialsProvider(CREDENTIALS);
    }

    private static TrustManager[] trusting(Path authority) {
        try (InputStream pem = Files.newInputStream(authority)) {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            return factory.getTrustManagers();
        } catch (Exception error) {
            throw new IllegalStateException("the CA cannot be read", error);
        }
    }
}
