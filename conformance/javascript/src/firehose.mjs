// Firehose by the AWS SDK for JavaScript v3, unmodified: JSON 1.1 over HTTP/1.1.

import assert from "node:assert/strict";
import {
  ConcurrentModificationException,
  Firehose,
  ResourceInUseException,
  ResourceNotFoundException,
} from "@aws-sdk/client-firehose";

import { Suite, endpoint, eventually, freshName, refused, region } from "./harness.mjs";

export const firehose = new Suite("AWS SDK for JavaScript v3", "JSON", "firehose");
const client = new Firehose({
  endpoint,
  region,
  maxAttempts: 1,
  credentials: { accessKeyId: "conformance", secretAccessKey: "conformance" },
});
const bytes = (text) => new TextEncoder().encode(text);
const toBucket = () => ({
  RoleARN: "arn:aws:iam::000000000000:role/delivery",
  BucketARN: `arn:aws:s3:::${freshName()}`,
});

async function describe(DeliveryStreamName) {
  return (await client.describeDeliveryStream({ DeliveryStreamName })).DeliveryStreamDescription;
}

/** Runs `prove` with a delivery stream of its own, and leaves none. */
async function withDelivery(destination, prove) {
  const DeliveryStreamName = freshName();
  const made = await client.createDeliveryStream({
    DeliveryStreamName,
    DeliveryStreamType: "DirectPut",
    ExtendedS3DestinationConfiguration: destination,
    Tags: [{ Key: "a", Value: "1" }],
  });
  try {
    const active = async () => (await describe(DeliveryStreamName)).DeliveryStreamStatus === "ACTIVE";
    await eventually(active, `${DeliveryStreamName} is ACTIVE`);
    assert.equal((await describe(DeliveryStreamName)).DeliveryStreamARN, made.DeliveryStreamARN);
    await prove(DeliveryStreamName);
  } finally {
    await client.deleteDeliveryStream({ DeliveryStreamName, AllowForceDelete: true });
  }
}

/** Expects an error of the client's own class. */
const isOf = (promise, kind) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error.name} is no ${kind.name}`);
    return true;
  });

firehose.case(
  "CreateDeliveryStream DescribeDeliveryStream ListDeliveryStreams DeleteDeliveryStream",
  "a delivery stream is created, described as it was given, listed and deleted",
  async () => {
    const given = {
      ...toBucket(),
      Prefix: "a/!{timestamp:yyyy}/",
      ErrorOutputPrefix: "e/!{firehose:error-output-type}/",
      BufferingHints: { SizeInMBs: 7, IntervalInSeconds: 61 },
      CompressionFormat: "GZIP",
      CloudWatchLoggingOptions: { Enabled: true, LogGroupName: "g", LogStreamName: "s" },
      ProcessingConfiguration: { Enabled: true, Processors: [{ Type: "AppendDelimiterToRecord", Parameters: [] }] },
    };
    let name;
    await withDelivery(given, async (DeliveryStreamName) => {
      name = DeliveryStreamName;
      const found = await describe(name);
      assert.equal(found.DeliveryStreamType, "DirectPut");
      assert.equal(found.VersionId, "1");
      assert.ok(Math.abs(Date.now() - found.CreateTimestamp.getTime()) < 60_000);
      assert.equal(found.HasMoreDestinations, false);
      assert.equal(found.Destinations.length, 1);
      assert.deepEqual(found.Destinations[0].ExtendedS3DestinationDescription, {
        ...given,
        CustomTimeZone: "UTC",
        S3BackupMode: "Disabled",
        EncryptionConfiguration: { NoEncryptionConfig: "NoEncryption" },
      });
      const { DeliveryStreamNames } = await client.listDeliveryStreams({ Limit: 10_000, DeliveryStreamType: "DirectPut" });
      assert.ok(DeliveryStreamNames.includes(name));
      const again = () => client.createDeliveryStream({
        DeliveryStreamName, ExtendedS3DestinationConfiguration: toBucket() });
      await isOf(again(), ResourceInUseException);
      await refused(again(), "ResourceInUseException", /already exists/);
    });
    await eventually(async () => {
      try {
        await describe(name);
        return false;
      } catch (error) {
        return error instanceof ResourceNotFoundException;
      }
    }, "the delivery stream is gone");
    await refused(describe(name), "ResourceNotFoundException", /not found/);
  },
);

firehose.case(
  "PutRecord PutRecordBatch",
  "records are put singly and in batches up to what fits, and refused beyond",
  async () => {
    await withDelivery(toBucket(), async (DeliveryStreamName) => {
      const one = await client.putRecord({ DeliveryStreamName, Record: { Data: Uint8Array.of(0, 255, 10) } });
      assert.equal(one.Encrypted, false);
      const many = Array.from({ length: 500 }, (_, index) => ({ Data: new Uint8Array(index).fill(index % 256) }));
      const put = (Records) => client.putRecordBatch({ DeliveryStreamName, Records });
      const batch = await put(many);
      assert.equal(batch.FailedPutCount, 0);
      const ids = new Set([one.RecordId, ...batch.RequestResponses.map((each) => each.RecordId)]);
      assert.equal(ids.size, 501);
      await refused(put([...many, { Data: bytes("x") }]), "ValidationException", /500/);
      const large = { Data: new Uint8Array(1_024_000) };
      await refused(put(Array(5).fill(large)), "InvalidArgumentException", /4 MB/);
      await refused(put([{ Data: bytes("x") }, { Data: new Uint8Array(1_024_001) }]), "ValidationException", /1024000/);
      assert.equal((await put(Array(4).fill(large))).FailedPutCount, 0);
    });
    const stray = client.putRecord({ DeliveryStreamName: "nobody", Record: { Data: bytes("x") } });
    await refused(stray, "ResourceNotFoundException", /nobody/);
  },
);

firehose.case(
  "UpdateDestination DescribeDeliveryStream",
  "an update merges, and needs the version that it was made for",
  () =>
    withDelivery(toBucket(), async (DeliveryStreamName) => {
      const before = await describe(DeliveryStreamName);
      const update = (CurrentDeliveryStreamVersionId, DestinationId) =>
        client.updateDestination({
          DeliveryStreamName, CurrentDeliveryStreamVersionId, DestinationId,
          ExtendedS3DestinationUpdate: { CompressionFormat: "ZIP" },
        });
      const { DestinationId, ExtendedS3DestinationDescription: was } = before.Destinations[0];
      await isOf(update("7", DestinationId), ConcurrentModificationException);
      await refused(update("7", DestinationId), "ConcurrentModificationException", /do not match/);
      await refused(update("1", "destinationId-000000000009"), "InvalidArgumentException", /not found/);
      await update("1", DestinationId);
      const after = await describe(DeliveryStreamName);
      assert.equal(after.VersionId, "2");
      assert.ok(after.LastUpdateTimestamp >= after.CreateTimestamp);
      const is = after.Destinations[0].ExtendedS3DestinationDescription;
      assert.deepEqual(is, { ...was, CompressionFormat: "ZIP" });
    }),
);

firehose.case(
  "TagDeliveryStream UntagDeliveryStream ListTagsForDeliveryStream",
  "tags are set, taken off and listed in pages",
  () =>
    withDelivery(toBucket(), async (DeliveryStreamName) => {
      await client.tagDeliveryStream({ DeliveryStreamName, Tags: [{ Key: "b", Value: "2" }, { Key: "c" }] });
      await client.untagDeliveryStream({ DeliveryStreamName, TagKeys: ["c"] });
      const page = await client.listTagsForDeliveryStream({ DeliveryStreamName, Limit: 1 });
      assert.deepEqual([page.Tags, page.HasMoreTags], [[{ Key: "a", Value: "1" }], true]);
      const rest = await client.listTagsForDeliveryStream({ DeliveryStreamName, ExclusiveStartTagKey: "a" });
      assert.deepEqual([rest.Tags, rest.HasMoreTags], [[{ Key: "b", Value: "2" }], false]);
    }),
);

firehose.case(
  "StartDeliveryStreamEncryption StopDeliveryStreamEncryption PutRecord",
  "encryption is switched on and off, and puts say so",
  () =>
    withDelivery(toBucket(), async (DeliveryStreamName) => {
      const told = async () => (await describe(DeliveryStreamName)).DeliveryStreamEncryptionConfiguration;
      const isEncrypted = async () =>
        (await client.putRecord({ DeliveryStreamName, Record: { Data: bytes("x") } })).Encrypted;
      const start = (DeliveryStreamEncryptionConfigurationInput) =>
        client.startDeliveryStreamEncryption({ DeliveryStreamName, DeliveryStreamEncryptionConfigurationInput });
      await refused(start({ KeyType: "CUSTOMER_MANAGED_CMK" }), "InvalidArgumentException", /KeyARN/);
      const KeyARN = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
      await start({ KeyType: "CUSTOMER_MANAGED_CMK", KeyARN });
      await eventually(async () => (await told()).Status === "ENABLED", "ENABLED");
      assert.equal((await told()).KeyARN, KeyARN);
      assert.equal(await isEncrypted(), true);
      await client.stopDeliveryStreamEncryption({ DeliveryStreamName });
      await eventually(async () => (await told()).Status === "DISABLED", "DISABLED");
      assert.equal(await isEncrypted(), false);
    }),
);
