//! Server and clients in one process, over loopback, on real files.

use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use millstream_api::kinesis::PutRecordsRequestEntry;
use millstream_client::{
    Capacity, Client, ClientSettings, Credentials, HttpVersion, ReadFrom, Trust,
};
use millstream_wire::Codec;

use crate::cli::Cli;
use crate::endpoint::anonymous;
use crate::reading::stream::{Found, Reading, StreamReader};
use crate::serving::{Admission, Running, Scratch, scratch};
use crate::settings::Settings;

/// Longer than anything here takes: a test that hangs must fail.
const PATIENCE: Duration = Duration::from_secs(60);

async fn dev() -> (Running, Settings, Scratch) {
    let (settings, place) = scratch();
    let server = Running::start(settings.clone(), Admission::Dev).await.unwrap();
    (server, settings, place)
}

fn client(server: &Running, codec: Codec, version: HttpVersion) -> Client {
    let mut settings = ClientSettings::new("us-east-1", anonymous());
    settings.endpoint = Some(server.endpoint());
    settings.codec = codec;
    settings.version = version;
    Client::new(settings).unwrap()
}

fn entry(number: usize) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry {
        data: Bytes::from(vec![u8::try_from(number % 256).unwrap(); number]),
        partition_key: format!("key-{number}"),
        explicit_hash_key: None,
    }
}

/// All data of a stream, in the order in which it comes out of all shards merged.
async fn read_all(client: &Client, stream: &str) -> Vec<(String, Bytes)> {
    let reading = Reading {
        stream: stream.to_owned(),
        from: ReadFrom::TrimHorizon,
        follow: false,
        poll: Duration::from_millis(5),
    };
    let mut reader = StreamReader::open(client.clone(), reading).await.unwrap();
    let mut all = Vec::new();
    while let Some(found) = reader.next().await.unwrap() {
        if let Found::Record(_, record) = found {
            all.push((record.partition_key, record.data));
        }
    }
    all
}

async fn round_trip(codec: Codec, version: HttpVersion) {
    let (server, _, _place) = dev().await;
    let client = client(&server, codec, version);
    client.create_stream("orders", Capacity::Shards(3)).await.unwrap();
    let stream = client.wait_until_active("orders").await.unwrap();
    assert_eq!(stream.open_shard_count, 3);
    assert_eq!(client.list_streams().await.unwrap(), ["orders"]);

    let entries: Vec<_> = (0..500).map(entry).collect();
    let answers = client.put_records("orders", entries.clone()).await.unwrap();
    assert!(answers.iter().all(|answer| answer.sequence_number.is_some()), "{answers:?}");
    client.put_record("orders", "last".to_owned(), Bytes::from_static(b"one")).await.unwrap();

    let mut found = read_all(&client, "orders").await;
    found.sort();
    let mut expected: Vec<(String, Bytes)> =
        entries.into_iter().map(|entry| (entry.partition_key, entry.data)).collect();
    expected.push(("last".to_owned(), Bytes::from_static(b"one")));
    expected.sort();
    assert_eq!(found, expected);

    let consumer = client.register_consumer(&stream.stream_arn, "all").await.unwrap();
    let mut pushed = Vec::new();
    for shard in client.list_shards("orders").await.unwrap() {
        let arn = &consumer.consumer_arn;
        let mut events =
            client.subscribe_to_shard(arn, &shard.shard_id, &ReadFrom::TrimHorizon).await.unwrap();
        // The service pushes what is there, then an event at least every few seconds.
        while let Some(event) = events.next().await.unwrap() {
            let is_end = event.millis_behind_latest == 0;
            pushed.extend(event.records.into_iter().map(|r| (r.partition_key, r.data)));
            if is_end {
                break;
            }
        }
    }
    pushed.sort();
    assert_eq!(pushed, expected);

    let error = client.describe_stream("absent").await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"), "{error}");
    client.delete_stream("orders").await.unwrap();
    assert_eq!(server.stop().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_put_is_read_and_pushed_in_each_encoding_over_each_version_of_http() {
    for codec in [Codec::Json11, Codec::Cbor11] {
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let trip = tokio::time::timeout(PATIENCE, round_trip(codec, version)).await;
            trip.unwrap_or_else(|_| panic!("{codec:?} over {version:?} hangs"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_started_again_finds_everything() {
    let (server, settings, _place) = dev().await;
    let first = client(&server, Codec::Json11, HttpVersion::Http1);
    first.create_stream("orders", Capacity::Shards(2)).await.unwrap();
    first.put_records("orders", (0..100).map(entry).collect()).await.unwrap();
    let before = read_all(&first, "orders").await;
    server.stop().await.unwrap();

    let again = Running::start(settings, Admission::Dev).await.unwrap();
    let client = client(&again, Codec::Json11, HttpVersion::Http1);
    assert_eq!(read_all(&client, "orders").await, before);
    assert_eq!(before.len(), 100);
    again.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_verifies_lets_in_its_minted_key_over_tls_and_nobody_else() {
    let (mut settings, _place) = scratch();
    settings.tls_listen = Some("127.0.0.1:0".parse().unwrap());
    let server = Running::start(settings.clone(), Admission::Verified).await.unwrap();
    let minted = server.minted.clone().expect("the first start makes a key");
    let ca = settings.data_dir.join("tls/ca.pem");
    let over_tls = |credentials: Credentials, trust: Trust| {
        let mut settings = ClientSettings::new("us-east-1", credentials);
        settings.endpoint = server.tls_endpoint();
        settings.trust = trust;
        settings.attempts_max = 1;
        Client::new(settings).unwrap()
    };
    let good = Credentials {
        access_key_id: minted.access_key_id.clone(),
        secret_access_key: minted.secret_access_key.expose().to_owned(),
        session_token: None,
    };
    let client = over_tls(good.clone(), Trust::File(ca.clone()));
    assert!(client.list_streams().await.unwrap().is_empty());

    let stranger = over_tls(anonymous(), Trust::File(ca.clone()));
    let error = stranger.list_streams().await.unwrap_err();
    assert_eq!(error.code(), Some("UnrecognizedClientException"), "{error}");

    let wrong = Credentials { secret_access_key: "wrong".to_owned(), ..good.clone() };
    let error = over_tls(wrong, Trust::File(ca)).list_streams().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidSignatureException"), "{error}");

    let other = millstream_server::LocalAuthority::generate(minted_at()).unwrap();
    let distrusting = over_tls(good, Trust::Pem(other.pem.certificate));
    let error = distrusting.list_streams().await.unwrap_err();
    assert!(matches!(error, millstream_client::CallError::Untrusted { .. }), "{error}");

    server.stop().await.unwrap();
    let again = Running::start(settings, Admission::Verified).await.unwrap();
    assert!(again.minted.is_none(), "only the first start makes a key");
    again.stop().await.unwrap();
}

fn minted_at() -> millstream_core::Timestamp {
    millstream_core::Clock::now(&millstream_core::SystemClock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_come_after_their_parents_and_a_reshard_is_followed() {
    use millstream_api::kinesis::SplitShardInput;

    let (server, _, _place) = dev().await;
    let client = client(&server, Codec::Cbor11, HttpVersion::Http1);
    client.create_stream("orders", Capacity::Shards(1)).await.unwrap();
    client.wait_until_active("orders").await.unwrap();
    let put = async |text: &'static str| {
        client.put_record("orders", text.to_owned(), Bytes::from_static(text.as_bytes())).await
    };
    let reading = Reading {
        stream: "orders".to_owned(),
        from: ReadFrom::TrimHorizon,
        follow: true,
        poll: Duration::from_millis(5),
    };
    let mut reader = StreamReader::open(client.clone(), reading).await.unwrap();
    put("before").await.unwrap();
    let split = SplitShardInput {
        stream_name: Some("orders".to_owned()),
        shard_to_split: "shardId-000000000000".to_owned(),
        new_starting_hash_key: (1_u128 << 127).to_string(),
        ..Default::default()
    };
    client.call_empty("SplitShard", &split).await.unwrap();
    client.wait_until_active("orders").await.unwrap();
    put("after").await.unwrap();
    let mut found = Vec::new();
    while found.len() < 2 {
        let next = tokio::time::timeout(PATIENCE, reader.next()).await.expect("no hanging");
        if let Some(Found::Record(shard, record)) = next.unwrap() {
            found.push((shard == "shardId-000000000000", record.data));
        }
    }
    let expected = [(true, Bytes::from("before")), (false, Bytes::from("after"))];
    assert_eq!(found, expected);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_subscriptions_and_cuts_nobody() {
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let (server, _, _place) = dev().await;
        let client = client(&server, Codec::Json11, version);
        client.create_stream("orders", Capacity::Shards(1)).await.unwrap();
        let arn = client.wait_until_active("orders").await.unwrap().stream_arn;
        let consumer = client.register_consumer(&arn, "one").await.unwrap();
        let shard = &client.list_shards("orders").await.unwrap()[0].shard_id;
        let subscribed =
            client.subscribe_to_shard(&consumer.consumer_arn, shard, &ReadFrom::Latest).await;
        let mut events = subscribed.unwrap();
        let followed = tokio::spawn(async move {
            while events.next().await?.is_some() {}
            Ok::<(), millstream_client::CallError>(())
        });
        let stopped = tokio::time::timeout(PATIENCE, server.stop()).await.expect("no hanging");
        assert_eq!(stopped.unwrap(), 0, "{version:?}");
        followed.await.unwrap().expect("the subscription ends cleanly");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_told_with_what_to_do() {
    let (server, mut settings, _place) = dev().await;
    let (_, other_place) = scratch();
    settings.listen = format!("127.0.0.1:{}", server.endpoint().port).parse().unwrap();
    settings.data_dir = other_place.path().to_owned();
    let failure = Running::start(settings, Admission::Dev).await.unwrap_err();
    assert!(failure.advice.unwrap().contains("--listen 127.0.0.1:0"));
    server.stop().await.unwrap();
}

/// Runs a command line as `main` does.
async fn run(arguments: &[&str]) -> crate::exit::Outcome {
    use crate::cli::Command;
    let cli = Cli::parse_from(std::iter::once("millstream").chain(arguments.iter().copied()));
    match cli.command.expect("a command") {
        Command::Demo(arguments) => crate::commands::demo::run(arguments).await,
        Command::Bench(arguments) => crate::commands::bench::run(arguments).await,
        Command::Put(arguments) => crate::commands::put::run(arguments).await,
        other => panic!("not for this test: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_runs_to_its_proof_on_its_own_feed_and_on_a_file() {
    let line = ["demo", "--records", "300", "--rate", "0"];
    let demo = run(&line);
    tokio::time::timeout(PATIENCE, demo).await.expect("no hanging").unwrap();

    let (_, place) = scratch();
    std::fs::create_dir_all(place.path()).unwrap();
    let file = place.path().join("lines.ndjson");
    let lines: String = (0..50).fold(String::new(), |all, n| all + &format!("{{\"id\":{n}}}\n"));
    #[allow(clippy::disallowed_methods)] // A test's own file.
    std::fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    let line = ["demo", file, "--key-from", ".id", "--codec", "cbor", "--http2"];
    let demo = run(&line);
    tokio::time::timeout(PATIENCE, demo).await.expect("no hanging").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_workload_of_the_benchmark_verifies_what_it_put() {
    let (server, _, _place) = dev().await;
    let endpoint = server.endpoint().to_string();
    for workload in ["put-single", "put-batch", "get", "fan-out", "mixed"] {
        let mut line = vec!["bench", workload, "--endpoint-url", &endpoint, "--json"];
        line.extend(["--record-bytes", "100", "--connections", "2", "--shards", "2"]);
        line.extend(["--duration", "300ms", "--prefill", "1", "--batch", "50"]);
        let bench = tokio::time::timeout(PATIENCE, run(&line)).await.expect("no hanging");
        bench.unwrap_or_else(|failure| panic!("{workload}: {}", failure.message));
    }
    server.stop().await.unwrap();
}
