package main

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const first = "shardId-000000000000"

var (
	background = context.Background()
	half       = new(big.Int).Lsh(big.NewInt(1), 127).String()
	client     = newClient(os.Getenv("CONFORMANCE_ENDPOINT"), http.DefaultClient)
)

func newClient(endpoint string, transport *http.Client) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       "us-east-1",
		HTTPClient:   transport,
		Retryer:      aws.NopRetryer{},
		Credentials:  aws.CredentialsProviderFunc(credentials),
	})
}

func credentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "conformance", SecretAccessKey: "conformance"}, nil
}

// freshName is a name that no other case or run has used.
func freshName() string {
	var noise [6]byte
	_, _ = rand.Read(noise[:])
	return "conformance-" + hex.EncodeToString(noise[:])
}

func summary(by *kinesis.Client, name string) *types.StreamDescriptionSummary {
	answer, err := by.DescribeStreamSummary(background, &kinesis.DescribeStreamSummaryInput{StreamName: &name})
	must(err)
	return answer.StreamDescriptionSummary
}

func active(by *kinesis.Client, name string) *types.StreamDescriptionSummary {
	var found *types.StreamDescriptionSummary
	eventually(name+" is ACTIVE", 20, func() bool {
		found = summary(by, name)
		return found.StreamStatus == types.StreamStatusActive
	})
	return found
}

// withStream runs a case with a stream of its own.
func withStream(by *kinesis.Client, input kinesis.CreateStreamInput, prove func(name, arn string)) {
	name := freshName()
	input.StreamName = &name
	_, err := by.CreateStream(background, &input)
	must(err)
	defer by.DeleteStream(background, &kinesis.DeleteStreamInput{
		StreamName: &name, EnforceConsumerDeletion: aws.Bool(true)})
	prove(name, *active(by, name).StreamARN)
}

func shards(count int32) kinesis.CreateStreamInput {
	return kinesis.CreateStreamInput{ShardCount: &count}
}

func put(by *kinesis.Client, name, data string) *kinesis.PutRecordOutput {
	answer, err := by.PutRecord(background, &kinesis.PutRecordInput{
		StreamName: &name, Data: []byte(data), PartitionKey: aws.String("k")})
	must(err)
	return answer
}

func iterator(input kinesis.GetShardIteratorInput) *string {
	answer, err := client.GetShardIterator(background, &input)
	must(err)
	return answer.ShardIterator
}

func records(position *string) *kinesis.GetRecordsOutput {
	answer, err := client.GetRecords(background, &kinesis.GetRecordsInput{ShardIterator: position})
	must(err)
	return answer
}

func texts(found []types.Record) []string {
	all := []string{}
	for _, record := range found {
		all = append(all, string(record.Data))
	}
	return all
}

func register(by *kinesis.Client, arn string) *string {
	made, err := by.RegisterStreamConsumer(background, &kinesis.RegisterStreamConsumerInput{
		StreamARN: &arn, ConsumerName: aws.String("app")})
	must(err)
	eventually("the consumer is ACTIVE", 20, func() bool {
		answer, err := by.DescribeStreamConsumer(background, &kinesis.DescribeStreamConsumerInput{
			ConsumerARN: made.Consumer.ConsumerARN})
		must(err)
		return answer.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive
	})
	return made.Consumer.ConsumerARN
}

// subscription is followed on a goroutine of its own, as a consumer would.
type subscription struct {
	sync.Mutex
	events []types.SubscribeToShardEvent
	ended  bool
	err    error
}

func subscribe(by *kinesis.Client, arn *string, kind types.ShardIteratorType) (*subscription, error) {
	answer, err := by.SubscribeToShard(background, &kinesis.SubscribeToShardInput{
		ConsumerARN: arn, ShardId: aws.String(first), StartingPosition: &types.StartingPosition{Type: kind}})
	if err != nil {
		return nil, err
	}
	found := &subscription{}
	go func() {
		stream := answer.GetStream()
		defer stream.Close()
		for event := range stream.Events() {
			if member, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
				found.Lock()
				found.events = append(found.events, member.Value)
				found.Unlock()
			}
		}
		found.Lock()
		found.ended, found.err = true, stream.Err()
		found.Unlock()
	}()
	return found, nil
}

func (s *subscription) look() (events int, data []string, ended bool) {
	s.Lock()
	defer s.Unlock()
	data = []string{}
	for _, event := range s.events {
		data = append(data, texts(event.Records)...)
	}
	return len(s.events), data, s.ended
}

func aStreamLives() {
	var gone string
	input := shards(2)
	input.Tags = map[string]string{"a": "1"}
	withStream(client, input, func(name, arn string) {
		gone = name
		described, err := client.DescribeStream(background, &kinesis.DescribeStreamInput{StreamARN: &arn})
		must(err)
		equal(len(described.StreamDescription.Shards), 2, "shards")
		age := time.Since(*described.StreamDescription.StreamCreationTimestamp)
		holds(age.Abs() < time.Minute, age.String())
		listed, err := client.ListStreams(background, &kinesis.ListStreamsInput{Limit: aws.Int32(10000)})
		must(err)
		holds(strings.Contains(strings.Join(listed.StreamNames, " "), name), "the stream is not listed")
		tags, err := client.ListTagsForStream(background, &kinesis.ListTagsForStreamInput{StreamName: &name})
		must(err)
		equal(tags.Tags, []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}, "tags")
		again := shards(1)
		again.StreamName = &name
		_, err = client.CreateStream(background, &again)
		refused(err, "ResourceInUseException", "already exists")
	})
	eventually("the stream is gone", 20, func() bool {
		_, err := client.DescribeStream(background, &kinesis.DescribeStreamInput{StreamName: &gone})
		return err != nil
	})
	_, err := client.DescribeStream(background, &kinesis.DescribeStreamInput{StreamName: &gone})
	refused(err, "ResourceNotFoundException", "not found")
}

func recordsComeBack() {
	withStream(client, shards(2), func(name, _ string) {
		answer := put(client, name, "\x00\xff1")
		point := new(big.Int).SetBytes(func() []byte { sum := md5.Sum([]byte("k")); return sum[:] }())
		equal(*answer.ShardId, fmt.Sprintf("shardId-%012d", point.Bit(127)), "shard")
		entries := []types.PutRecordsRequestEntry{}
		for _, data := range []string{"2", "3"} {
			entries = append(entries, types.PutRecordsRequestEntry{Data: []byte(data), PartitionKey: aws.String("k")})
		}
		batch, err := client.PutRecords(background, &kinesis.PutRecordsInput{StreamName: &name, Records: entries})
		must(err)
		equal(*batch.FailedRecordCount, 0, "failed")
		at := func(kind types.ShardIteratorType, number *string, moment *time.Time) []types.Record {
			return records(iterator(kinesis.GetShardIteratorInput{StreamName: &name, ShardId: answer.ShardId,
				ShardIteratorType: kind, StartingSequenceNumber: number, Timestamp: moment})).Records
		}
		all := at(types.ShardIteratorTypeTrimHorizon, nil, nil)
		equal(texts(all), []string{"\x00\xff1", "2", "3"}, "records")
		equal(len(at(types.ShardIteratorTypeAtSequenceNumber, answer.SequenceNumber, nil)), 3, "AT")
		equal(len(at(types.ShardIteratorTypeAfterSequenceNumber, answer.SequenceNumber, nil)), 2, "AFTER")
		equal(len(at(types.ShardIteratorTypeAtTimestamp, nil, all[0].ApproximateArrivalTimestamp)), 3, "AT_TIMESTAMP")
		equal(len(at(types.ShardIteratorTypeLatest, nil, nil)), 0, "LATEST")
		_, err = client.GetRecords(background, &kinesis.GetRecordsInput{ShardIterator: aws.String("x")})
		refused(err, "InvalidArgumentException", "Invalid ShardIterator")
	})
}

func aReshard() {
	withStream(client, shards(1), func(name, _ string) {
		put(client, name, "1")
		_, err := client.SplitShard(background, &kinesis.SplitShardInput{
			StreamName: &name, ShardToSplit: aws.String(first), NewStartingHashKey: &half})
		must(err)
		active(client, name)
		answer := records(iterator(kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String(first),
			ShardIteratorType: types.ShardIteratorTypeTrimHorizon}))
		found := texts(answer.Records)
		for answer.NextShardIterator != nil {
			answer = records(answer.NextShardIterator)
			found = append(found, texts(answer.Records)...)
		}
		equal(found, []string{"1"}, "records of the parent")
		equal(len(answer.ChildShards), 2, "children")
		equal(answer.ChildShards[0].ParentShards, []string{first}, "parents")
		_, err = client.MergeShards(background, &kinesis.MergeShardsInput{StreamName: &name,
			ShardToMerge: answer.ChildShards[0].ShardId, AdjacentShardToMerge: answer.ChildShards[1].ShardId})
		must(err)
		active(client, name)
		listed, err := client.ListShards(background, &kinesis.ListShardsInput{StreamName: &name,
			ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
		must(err)
		equal(len(listed.Shards), 1, "open shards")
		equal(*listed.Shards[0].ShardId, "shardId-000000000003", "merged shard")
		scaled, err := client.UpdateShardCount(background, &kinesis.UpdateShardCountInput{StreamName: &name,
			TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling})
		must(err)
		equal(*scaled.TargetShardCount, 2, "target")
		equal(*active(client, name).OpenShardCount, 2, "open shards")
	})
}

func consumersComeAndGo() {
	withStream(client, shards(1), func(_, arn string) {
		consumer := register(client, arn)
		list := func() []types.Consumer {
			answer, err := client.ListStreamConsumers(background, &kinesis.ListStreamConsumersInput{StreamARN: &arn})
			must(err)
			return answer.Consumers
		}
		equal(*list()[0].ConsumerName, "app", "consumer")
		_, err := client.DeregisterStreamConsumer(background, &kinesis.DeregisterStreamConsumerInput{
			ConsumerARN: consumer})
		must(err)
		eventually("none is left", 20, func() bool { return len(list()) == 0 })
	})
}

func recordsArePushed(by *kinesis.Client) {
	withStream(by, shards(1), func(name, arn string) {
		consumer := register(by, arn)
		put(by, name, "before")
		found, err := subscribe(by, consumer, types.ShardIteratorTypeTrimHorizon)
		must(err)
		has := func(count int) func() bool {
			return func() bool { _, data, _ := found.look(); return len(data) == count }
		}
		eventually("the stored record", 10, has(1))
		_, err = subscribe(by, consumer, types.ShardIteratorTypeLatest)
		refused(err, "ResourceInUseException", "")
		for _, data := range []string{"1", "2", "3"} {
			put(by, name, data)
		}
		eventually("the pushed records", 10, has(4))
		quiet, data, _ := found.look()
		equal(data, []string{"before", "1", "2", "3"}, "records")
		eventually("an event in a quiet stream", 8, func() bool { events, _, _ := found.look(); return events > quiet })
		_, err = by.SplitShard(background, &kinesis.SplitShardInput{
			StreamName: &name, ShardToSplit: aws.String(first), NewStartingHashKey: &half})
		must(err)
		eventually("the end of the subscription", 15, func() bool { _, _, ended := found.look(); return ended })
		must(found.err)
		last := found.events[len(found.events)-1]
		equal(len(last.ChildShards), 2, "children")
		holds(aws.ToString(last.ContinuationSequenceNumber) == "", "a continuation after the end")
	})
}

func settingsAreKept() {
	withStream(client, shards(1), func(name, arn string) {
		hours := func(wanted int32) { equal(*active(client, name).RetentionPeriodHours, wanted, "retention") }
		_, err := client.IncreaseStreamRetentionPeriod(background, &kinesis.IncreaseStreamRetentionPeriodInput{
			StreamName: &name, RetentionPeriodHours: aws.Int32(48)})
		must(err)
		hours(48)
		_, err = client.DecreaseStreamRetentionPeriod(background, &kinesis.DecreaseStreamRetentionPeriodInput{
			StreamName: &name, RetentionPeriodHours: aws.Int32(24)})
		must(err)
		hours(24)
		_, err = client.StartStreamEncryption(background, &kinesis.StartStreamEncryptionInput{StreamName: &name,
			EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/aws/kinesis")})
		must(err)
		equal(active(client, name).EncryptionType, types.EncryptionTypeKms, "encryption")
		_, err = client.StopStreamEncryption(background, &kinesis.StopStreamEncryptionInput{StreamName: &name,
			EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/aws/kinesis")})
		must(err)
		equal(active(client, name).EncryptionType, types.EncryptionTypeNone, "encryption")
		on, err := client.EnableEnhancedMonitoring(background, &kinesis.EnableEnhancedMonitoringInput{
			StreamName: &name, ShardLevelMetrics: []types.MetricsName{types.MetricsNameIncomingBytes}})
		must(err)
		equal(on.DesiredShardLevelMetrics, []types.MetricsName{types.MetricsNameIncomingBytes}, "metrics")
		active(client, name)
		off, err := client.DisableEnhancedMonitoring(background, &kinesis.DisableEnhancedMonitoringInput{
			StreamName: &name, ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll}})
		must(err)
		equal(len(off.DesiredShardLevelMetrics), 0, "metrics")
		active(client, name)
		_, err = client.UpdateMaxRecordSize(background, &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: &arn, MaxRecordSizeInKiB: aws.Int32(2048)})
		must(err)
		equal(*active(client, name).MaxRecordSizeInKiB, 2048, "record size")
		put(client, name, strings.Repeat("x", 1_500_000))
	})
}

func tagsAndPolicies() {
	withStream(client, shards(1), func(name, arn string) {
		_, err := client.AddTagsToStream(background, &kinesis.AddTagsToStreamInput{
			StreamName: &name, Tags: map[string]string{"a": "1", "b": "2"}})
		must(err)
		_, err = client.RemoveTagsFromStream(background, &kinesis.RemoveTagsFromStreamInput{
			StreamName: &name, TagKeys: []string{"a"}})
		must(err)
		_, err = client.TagResource(background, &kinesis.TagResourceInput{
			ResourceARN: &arn, Tags: map[string]string{"c": "3"}})
		must(err)
		_, err = client.UntagResource(background, &kinesis.UntagResourceInput{
			ResourceARN: &arn, TagKeys: []string{"b"}})
		must(err)
		tags, err := client.ListTagsForResource(background, &kinesis.ListTagsForResourceInput{ResourceARN: &arn})
		must(err)
		equal(tags.Tags, []types.Tag{{Key: aws.String("c"), Value: aws.String("3")}}, "tags")
		policy, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
			"Effect": "Allow", "Principal": map[string]string{"AWS": strings.Split(arn, ":")[4]},
			"Action": "kinesis:PutRecord", "Resource": arn}}})
		_, err = client.PutResourcePolicy(background, &kinesis.PutResourcePolicyInput{
			ResourceARN: &arn, Policy: aws.String(string(policy))})
		must(err)
		kept, err := client.GetResourcePolicy(background, &kinesis.GetResourcePolicyInput{ResourceARN: &arn})
		must(err)
		var one, two any
		must(json.Unmarshal(policy, &one))
		must(json.Unmarshal([]byte(*kept.Policy), &two))
		equal(two, one, "policy")
		_, err = client.DeleteResourcePolicy(background, &kinesis.DeleteResourcePolicyInput{ResourceARN: &arn})
		must(err)
	})
}

func theAccount() {
	withStream(client, kinesis.CreateStreamInput{}, func(name, arn string) {
		limits, err := client.DescribeLimits(background, &kinesis.DescribeLimitsInput{})
		must(err)
		holds(*limits.OpenShardCount >= 4, "open shards")
		_, err = client.UpdateAccountSettings(background, &kinesis.UpdateAccountSettingsInput{
			MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{
				Status: types.MinimumThroughputBillingCommitmentInputStatusEnabled}})
		must(err)
		settings, err := client.DescribeAccountSettings(background, &kinesis.DescribeAccountSettingsInput{})
		must(err)
		equal(string(settings.MinimumThroughputBillingCommitment.Status), "ENABLED", "commitment")
		_, err = client.UpdateStreamMode(background, &kinesis.UpdateStreamModeInput{StreamARN: &arn,
			StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
		must(err)
		active(client, name)
		warm, err := client.UpdateStreamWarmThroughput(background, &kinesis.UpdateStreamWarmThroughputInput{
			StreamARN: &arn, WarmThroughputMiBps: aws.Int32(8)})
		must(err)
		equal(*warm.WarmThroughput.TargetMiBps, 8, "warm throughput")
		equal(active(client, name).StreamModeDetails.StreamMode, types.StreamModeOnDemand, "mode")
	})
}

func overTLS() {
	endpoint, path := os.Getenv("CONFORMANCE_TLS_ENDPOINT"), os.Getenv("CONFORMANCE_CA_FILE")
	if endpoint == "" || path == "" {
		panic(skip("no TLS endpoint was given"))
	}
	pem, err := os.ReadFile(path)
	must(err)
	roots := x509.NewCertPool()
	holds(roots.AppendCertsFromPEM(pem), "the CA file holds no certificate")
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	recordsArePushed(newClient(endpoint, &http.Client{Transport: transport}))
}

func main() {
	const name = "AWS SDK for Go v2"
	plain := suite{client: name, encoding: "JSON", service: "kinesis"}
	plain.add("CreateStream DescribeStream DescribeStreamSummary ListStreams ListTagsForStream DeleteStream",
		"a stream is created, described, listed and deleted", aStreamLives)
	plain.add("PutRecord PutRecords GetShardIterator GetRecords",
		"records are put on the shard of their key and read from every position", recordsComeBack)
	plain.add("SplitShard MergeShards UpdateShardCount ListShards GetRecords",
		"shards are split, merged and scaled, and a closed one names its children", aReshard)
	plain.add("RegisterStreamConsumer DescribeStreamConsumer ListStreamConsumers DeregisterStreamConsumer",
		"consumers are registered, listed and removed", consumersComeAndGo)
	plain.add("SubscribeToShard", "records are pushed, and the end of a shard ends it",
		func() { recordsArePushed(client) })
	plain.add("IncreaseStreamRetentionPeriod DecreaseStreamRetentionPeriod StartStreamEncryption "+
		"StopStreamEncryption EnableEnhancedMonitoring DisableEnhancedMonitoring UpdateMaxRecordSize",
		"settings of a stream are changed and read back", settingsAreKept)
	plain.add("AddTagsToStream RemoveTagsFromStream TagResource UntagResource ListTagsForResource "+
		"PutResourcePolicy GetResourcePolicy DeleteResourcePolicy",
		"tags and policies are changed and read back", tagsAndPolicies)
	plain.add("DescribeLimits DescribeAccountSettings UpdateAccountSettings UpdateStreamMode "+
		"UpdateStreamWarmThroughput", "limits, account settings, mode and warm throughput", theAccount)
	secure := suite{client: name, encoding: "JSON, HTTP/2, TLS", service: "kinesis"}
	secure.add("CreateStream PutRecord SubscribeToShard", "the exported CA is all that is needed over TLS", overTLS)
	finish(plain.run(), secure.run(), firehoseSuite(name).run())
}
