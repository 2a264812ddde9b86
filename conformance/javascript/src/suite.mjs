// The AWS SDK for JavaScript v3, unmodified: JSON 1.1 over HTTP/2, in clear by prior knowledge.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Kinesis } from "@aws-sdk/client-kinesis";

import { firehose } from "./firehose.mjs";
import { Skip, Suite, endpoint, eventually, finish, freshName, refused, region, ring, tlsEndpoint } from "./harness.mjs";

const suite = new Suite("AWS SDK for JavaScript v3", "JSON, HTTP/2");
const secure = new Suite("AWS SDK for JavaScript v3", "JSON, HTTP/2, TLS");
const makeClient = (at = endpoint) =>
  new Kinesis({
    endpoint: at,
    region,
    maxAttempts: 1,
    credentials: { accessKeyId: "conformance", secretAccessKey: "conformance" },
  });
const client = makeClient();
const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);
const first = "shardId-000000000000";

async function summary(StreamName, by = client) {
  return (await by.describeStreamSummary({ StreamName })).StreamDescriptionSummary;
}

const active = (name, by = client) =>
  eventually(async () => (await summary(name, by)).StreamStatus === "ACTIVE", `${name} is ACTIVE`);

/** Runs `prove` with a stream of its own. */
async function withStream(options, prove, by = client) {
  const StreamName = freshName();
  await by.createStream({ StreamName, ...options });
  await active(StreamName, by);
  const { StreamARN } = await summary(StreamName, by);
  try {
    await prove(StreamName, StreamARN);
  } finally {
    await by.deleteStream({ StreamName, EnforceConsumerDeletion: true });
  }
}

async function read(StreamName, ShardId = first, position = { ShardIteratorType: "TRIM_HORIZON" }) {
  const { ShardIterator } = await client.getShardIterator({ StreamName, ShardId, ...position });
  return (await client.getRecords({ ShardIterator })).Records;
}

async function register(StreamARN, ConsumerName = "app", by = client) {
  const { Consumer } = await by.registerStreamConsumer({ StreamARN, ConsumerName });
  const { ConsumerARN } = Consumer;
  await eventually(async () => {
    const { ConsumerDescription } = await by.describeStreamConsumer({ ConsumerARN });
    return ConsumerDescription.ConsumerStatus === "ACTIVE";
  }, "the consumer is ACTIVE");
  return ConsumerARN;
}

/** Follows a subscription; what arrives is in `events`. */
async function subscribe(by, ConsumerARN, StartingPosition) {
  const answer = await by.subscribeToShard({ ConsumerARN, ShardId: first, StartingPosition });
  const found = { events: [], ended: false, error: undefined };
  found.data = () => found.events.flatMap((event) => event.Records.map((record) => text(record.Data)));
  (async () => {
    try {
      for await (const { SubscribeToShardEvent } of answer.EventStream) {
        if (SubscribeToShardEvent) found.events.push(SubscribeToShardEvent);
      }
    } catch (error) {
      found.error = error;
    }
    found.ended = true;
  })();
  return found;
}

suite.case(
  "CreateStream DescribeStream DescribeStreamSummary ListStreams ListTagsForStream DeleteStream",
  "a stream is created, described, listed and deleted",
  async () => {
    let name;
    await withStream({ ShardCount: 2, Tags: { a: "1" } }, async (StreamName, StreamARN) => {
      name = StreamName;
      const { StreamDescription } = await client.describeStream({ StreamName });
      assert.equal(StreamDescription.StreamARN, StreamARN);
      assert.equal(StreamDescription.Shards.length, 2);
      assert.ok(Math.abs(Date.now() - StreamDescription.StreamCreationTimestamp.getTime()) < 60_000);
      const { StreamNames } = await client.listStreams({ Limit: 10000 });
      assert.ok(StreamNames.includes(StreamName));
      const { Tags } = await client.listTagsForStream({ StreamName });
      assert.deepEqual(Tags, [{ Key: "a", Value: "1" }]);
      await refused(client.createStream({ StreamName, ShardCount: 1 }), "ResourceInUseException", /already exists/);
    });
    await eventually(async () => {
      try {
        return (await summary(name)).StreamStatus !== "DELETING";
      } catch (error) {
        return error.name === "ResourceNotFoundException";
      }
    }, "the stream is gone");
    await refused(client.describeStream({ StreamName: name }), "ResourceNotFoundException", /not found/);
  },
);

suite.case(
  "PutRecord PutRecords GetShardIterator GetRecords",
  "records are put on the shard of their key and read from every position",
  () =>
    withStream({ ShardCount: 2 }, async (StreamName) => {
      const Data = Uint8Array.from({ length: 256 }, (_, index) => index);
      const PartitionKey = "Ω≈ç√∫";
      const put = await client.putRecord({ StreamName, Data, PartitionKey });
      const point = BigInt(`0x${createHash("md5").update(PartitionKey).digest("hex")}`);
      assert.equal(put.ShardId, `shardId-${String((point * 2n) / ring).padStart(12, "0")}`);
      const entry = (n) => ({ Data: bytes(String(n)), PartitionKey });
      const batch = await client.putRecords({ StreamName, Records: [1, 2, 3].map(entry) });
      assert.equal(batch.FailedRecordCount, 0);
      const at = (kind, more) => read(StreamName, put.ShardId, { ShardIteratorType: kind, ...more });
      const all = await at("TRIM_HORIZON");
      assert.deepEqual(all[0].Data, Data);
      assert.equal(all[0].PartitionKey, PartitionKey);
      assert.deepEqual(all.slice(1).map((record) => text(record.Data)), ["1", "2", "3"]);
      const StartingSequenceNumber = put.SequenceNumber;
      assert.equal((await at("AT_SEQUENCE_NUMBER", { StartingSequenceNumber })).length, 4);
      assert.equal((await at("AFTER_SEQUENCE_NUMBER", { StartingSequenceNumber })).length, 3);
      assert.equal((await at("AT_TIMESTAMP", { Timestamp: all[0].ApproximateArrivalTimestamp })).length, 4);
      assert.equal((await at("LATEST")).length, 0);
      await refused(client.getRecords({ ShardIterator: "x" }), "InvalidArgumentException", /Invalid ShardIterator/);
    }),
);

suite.case(
  "SplitShard MergeShards UpdateShardCount ListShards GetRecords",
  "shards are split, merged and scaled, and a closed one names its children",
  () =>
    withStream({ ShardCount: 1 }, async (StreamName) => {
      await client.putRecord({ StreamName, Data: bytes("1"), PartitionKey: "k" });
      await client.splitShard({ StreamName, ShardToSplit: first, NewStartingHashKey: String(ring / 2n) });
      await active(StreamName);
      let { ShardIterator } = await client.getShardIterator({
        StreamName, ShardId: first, ShardIteratorType: "TRIM_HORIZON" });
      const found = [];
      let answer;
      while (ShardIterator) {
        answer = await client.getRecords({ ShardIterator });
        found.push(...answer.Records.map((record) => text(record.Data)));
        ShardIterator = answer.NextShardIterator;
      }
      assert.deepEqual(found, ["1"]);
      const children = answer.ChildShards.map((child) => child.ShardId).sort();
      assert.deepEqual(children, ["shardId-000000000001", "shardId-000000000002"]);
      assert.deepEqual(answer.ChildShards[0].ParentShards, [first]);
      await client.mergeShards({ StreamName, ShardToMerge: children[0], AdjacentShardToMerge: children[1] });
      await active(StreamName);
      const { Shards } = await client.listShards({ StreamName, ShardFilter: { Type: "AT_LATEST" } });
      assert.deepEqual(Shards.map((shard) => shard.ShardId), ["shardId-000000000003"]);
      assert.equal(Shards[0].AdjacentParentShardId, children[1]);
      const scaled = { StreamName, TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" };
      assert.equal((await client.updateShardCount(scaled)).TargetShardCount, 2);
      await active(StreamName);
      assert.equal((await summary(StreamName)).OpenShardCount, 2);
    }),
);

suite.case(
  "RegisterStreamConsumer DescribeStreamConsumer ListStreamConsumers DeregisterStreamConsumer",
  "consumers are registered, listed and removed",
  () =>
    withStream({ ShardCount: 1 }, async (_, StreamARN) => {
      const ConsumerARN = await register(StreamARN);
      const { Consumers } = await client.listStreamConsumers({ StreamARN });
      assert.deepEqual(Consumers.map((consumer) => consumer.ConsumerName), ["app"]);
      await client.deregisterStreamConsumer({ ConsumerARN });
      await eventually(async () => {
        const left = await client.listStreamConsumers({ StreamARN });
        return (left.Consumers ?? []).length === 0;
      }, "none is left");
    }),
);

async function pushed(by) {
  await withStream({ ShardCount: 1 }, async (StreamName, StreamARN) => {
    const ConsumerARN = await register(StreamARN, "app", by);
    await by.putRecord({ StreamName, Data: bytes("before"), PartitionKey: "k" });
    const found = await subscribe(by, ConsumerARN, { Type: "TRIM_HORIZON" });
    await eventually(() => found.data().length === 1, "the stored record", 10);
    for (const data of ["1", "2", "3"]) {
      await by.putRecord({ StreamName, Data: bytes(data), PartitionKey: "k" });
    }
    await eventually(() => found.data().length === 4, "the pushed records", 10);
    assert.deepEqual(found.data(), ["before", "1", "2", "3"]);
    const quiet = found.events.length;
    await eventually(() => found.events.length > quiet, "an event in a quiet stream", 8);
    assert.equal(found.ended, false, String(found.error));
    await by.splitShard({ StreamName, ShardToSplit: first, NewStartingHashKey: String(ring / 2n) });
    await eventually(() => found.ended, "the end of the subscription", 15);
    assert.equal(found.error, undefined);
    const last = found.events.at(-1);
    assert.equal(last.ChildShards.length, 2);
    assert.ok(!last.ContinuationSequenceNumber);
  }, by);
}

suite.case("SubscribeToShard", "records are pushed over HTTP/2, and the end of a shard ends it", () =>
  pushed(makeClient()));

suite.case("SubscribeToShard", "a second subscription within five seconds is refused", () =>
  withStream({ ShardCount: 1 }, async (_, StreamARN) => {
    const ConsumerARN = await register(StreamARN);
    const position = { Type: "LATEST" };
    await subscribe(makeClient(), ConsumerARN, position);
    const second = { ConsumerARN, ShardId: first, StartingPosition: position };
    await refused(makeClient().subscribeToShard(second), "ResourceInUseException", /./);
  }));

suite.case(
  "IncreaseStreamRetentionPeriod DecreaseStreamRetentionPeriod AddTagsToStream RemoveTagsFromStream " +
    "ListTagsForStream TagResource UntagResource ListTagsForResource PutResourcePolicy GetResourcePolicy " +
    "DeleteResourcePolicy StartStreamEncryption StopStreamEncryption EnableEnhancedMonitoring " +
    "DisableEnhancedMonitoring UpdateMaxRecordSize",
  "settings of a stream are changed and read back",
  () =>
    withStream({ ShardCount: 1 }, async (StreamName, StreamARN) => {
      const now = async () => {
        await active(StreamName);
        return summary(StreamName);
      };
      await client.increaseStreamRetentionPeriod({ StreamName, RetentionPeriodHours: 48 });
      assert.equal((await now()).RetentionPeriodHours, 48);
      await client.decreaseStreamRetentionPeriod({ StreamName, RetentionPeriodHours: 24 });
      assert.equal((await now()).RetentionPeriodHours, 24);
      await client.addTagsToStream({ StreamName, Tags: { a: "1", b: "2" } });
      await client.removeTagsFromStream({ StreamName, TagKeys: ["a"] });
      assert.deepEqual((await client.listTagsForStream({ StreamName })).Tags, [{ Key: "b", Value: "2" }]);
      await client.tagResource({ ResourceARN: StreamARN, Tags: { c: "3" } });
      await client.untagResource({ ResourceARN: StreamARN, TagKeys: ["b"] });
      const { Tags } = await client.listTagsForResource({ ResourceARN: StreamARN });
      assert.deepEqual(Tags, [{ Key: "c", Value: "3" }]);
      const Policy = JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: { AWS: StreamARN.split(":")[4] },
          Action: "kinesis:PutRecord", Resource: StreamARN }],
      });
      await client.putResourcePolicy({ ResourceARN: StreamARN, Policy });
      const kept = (await client.getResourcePolicy({ ResourceARN: StreamARN })).Policy;
      assert.deepEqual(JSON.parse(kept), JSON.parse(Policy));
      await client.deleteResourcePolicy({ ResourceARN: StreamARN });
      const encryption = { StreamName, EncryptionType: "KMS", KeyId: "alias/aws/kinesis" };
      await client.startStreamEncryption(encryption);
      assert.equal((await now()).EncryptionType, "KMS");
      await client.stopStreamEncryption(encryption);
      assert.equal((await now()).EncryptionType, "NONE");
      await client.enableEnhancedMonitoring({ StreamName, ShardLevelMetrics: ["IncomingBytes"] });
      assert.deepEqual((await now()).EnhancedMonitoring, [{ ShardLevelMetrics: ["IncomingBytes"] }]);
      await client.disableEnhancedMonitoring({ StreamName, ShardLevelMetrics: ["ALL"] });
      assert.deepEqual((await now()).EnhancedMonitoring, [{ ShardLevelMetrics: [] }]);
      await client.updateMaxRecordSize({ StreamARN, MaxRecordSizeInKiB: 2048 });
      assert.equal((await now()).MaxRecordSizeInKiB, 2048);
      const Data = new Uint8Array(1_500_000).fill(7);
      await client.putRecord({ StreamName, Data, PartitionKey: "k" });
      assert.equal((await read(StreamName))[0].Data.length, Data.length);
    }),
);

suite.case(
  "DescribeLimits DescribeAccountSettings UpdateAccountSettings UpdateStreamMode UpdateStreamWarmThroughput",
  "limits, account settings, mode and warm throughput",
  () =>
    withStream({}, async (StreamName, StreamARN) => {
      assert.ok((await client.describeLimits({})).OpenShardCount >= 4);
      await client.updateAccountSettings({ MinimumThroughputBillingCommitment: { Status: "ENABLED" } });
      const settings = await client.describeAccountSettings({});
      assert.equal(settings.MinimumThroughputBillingCommitment.Status, "ENABLED");
      await client.updateStreamMode({ StreamARN, StreamModeDetails: { StreamMode: "ON_DEMAND" } });
      await active(StreamName);
      const warm = await client.updateStreamWarmThroughput({ StreamARN, WarmThroughputMiBps: 8 });
      assert.equal(warm.WarmThroughput.TargetMiBps, 8);
      await active(StreamName);
      assert.equal((await summary(StreamName)).StreamModeDetails.StreamMode, "ON_DEMAND");
    }),
);

secure.case("CreateStream PutRecord SubscribeToShard", "the exported CA is all that is needed over TLS", async () => {
  // NODE_EXTRA_CA_CERTS is read when node starts; the runner sets it to the exported CA.
  if (!tlsEndpoint || !process.env.NODE_EXTRA_CA_CERTS) throw new Skip("no TLS endpoint was given");
  await pushed(makeClient(tlsEndpoint));
});

finish([await suite.run(), await secure.run(), await firehose.run()]);
