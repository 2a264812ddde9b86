package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
)

const role = "arn:aws:iam::000000000000:role/delivery"

var deliveries = firehose.New(firehose.Options{
	BaseEndpoint: aws.String(os.Getenv("CONFORMANCE_ENDPOINT")),
	Region:       "us-east-1",
	HTTPClient:   http.DefaultClient,
	Retryer:      aws.NopRetryer{},
	Credentials:  aws.CredentialsProviderFunc(credentials),
})

func describe(name string) (*types.DeliveryStreamDescription, error) {
	answer, err := deliveries.DescribeDeliveryStream(background,
		&firehose.DescribeDeliveryStreamInput{DeliveryStreamName: &name})
	if err != nil {
		return nil, err
	}
	return answer.DeliveryStreamDescription, nil
}

func described(name string) *types.DeliveryStreamDescription {
	found, err := describe(name)
	must(err)
	return found
}

func toBucket() *types.ExtendedS3DestinationConfiguration {
	return &types.ExtendedS3DestinationConfiguration{
		RoleARN: aws.String(role), BucketARN: aws.String("arn:aws:s3:::" + freshName())}
}

// withDelivery runs a case with a delivery stream of its own, and leaves none.
func withDelivery(destination *types.ExtendedS3DestinationConfiguration, prove func(name string)) {
	name := freshName()
	made, err := deliveries.CreateDeliveryStream(background, &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: &name, DeliveryStreamType: types.DeliveryStreamTypeDirectPut,
		ExtendedS3DestinationConfiguration: destination,
		Tags:                               []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}})
	must(err)
	defer func() {
		_, err := deliveries.DeleteDeliveryStream(background, &firehose.DeleteDeliveryStreamInput{
			DeliveryStreamName: &name, AllowForceDelete: aws.Bool(true)})
		must(err)
	}()
	eventually(name+" is ACTIVE", 20, func() bool {
		return described(name).DeliveryStreamStatus == types.DeliveryStreamStatusActive
	})
	equal(*made.DeliveryStreamARN, *described(name).DeliveryStreamARN, "ARN")
	prove(name)
}

func aDeliveryStreamLives() {
	var name string
	given := toBucket()
	given.Prefix = aws.String("a/!{timestamp:yyyy}/")
	given.ErrorOutputPrefix = aws.String("e/!{firehose:error-output-type}/")
	given.BufferingHints = &types.BufferingHints{SizeInMBs: aws.Int32(7), IntervalInSeconds: aws.Int32(61)}
	given.CompressionFormat = types.CompressionFormatGzip
	given.ProcessingConfiguration = &types.ProcessingConfiguration{Enabled: aws.Bool(true),
		Processors: []types.Processor{{Type: types.ProcessorTypeAppendDelimiterToRecord}}}
	withDelivery(given, func(own string) {
		name = own
		found := described(name)
		equal(found.DeliveryStreamType, types.DeliveryStreamTypeDirectPut, "type")
		equal(*found.VersionId, "1", "version")
		holds(time.Since(*found.CreateTimestamp).Abs() < time.Minute, found.CreateTimestamp.String())
		equal(len(found.Destinations), 1, "destinations")
		told := found.Destinations[0].ExtendedS3DestinationDescription
		equal(*told.BucketARN, *given.BucketARN, "bucket")
		equal(*told.Prefix, *given.Prefix, "prefix")
		equal(*told.ErrorOutputPrefix, *given.ErrorOutputPrefix, "error prefix")
		equal(told.BufferingHints, given.BufferingHints, "hints")
		equal(told.CompressionFormat, given.CompressionFormat, "compression")
		equal(told.ProcessingConfiguration.Processors[0].Type, types.ProcessorTypeAppendDelimiterToRecord, "processor")
		equal(told.S3BackupMode, types.S3BackupModeDisabled, "backup")
		listed, err := deliveries.ListDeliveryStreams(background, &firehose.ListDeliveryStreamsInput{
			Limit: aws.Int32(10_000), DeliveryStreamType: types.DeliveryStreamTypeDirectPut})
		must(err)
		holds(slices.Contains(listed.DeliveryStreamNames, name), "the delivery stream is not listed")
		_, err = deliveries.CreateDeliveryStream(background, &firehose.CreateDeliveryStreamInput{
			DeliveryStreamName: &name, ExtendedS3DestinationConfiguration: toBucket()})
		var taken *types.ResourceInUseException
		holds(errors.As(err, &taken), "no ResourceInUseException")
		refused(err, "ResourceInUseException", "already exists")
	})
	eventually("the delivery stream is gone", 20, func() bool {
		_, err := describe(name)
		var gone *types.ResourceNotFoundException
		return errors.As(err, &gone)
	})
}

func deliveriesTakeRecords() {
	withDelivery(toBucket(), func(name string) {
		one, err := deliveries.PutRecord(background, &firehose.PutRecordInput{
			DeliveryStreamName: &name, Record: &types.Record{Data: []byte{0, 255, 10}}})
		must(err)
		ids := map[string]bool{*one.RecordId: true}
		equal(*one.Encrypted, false, "encrypted")
		many := make([]types.Record, 500)
		for index := range many {
			many[index].Data = bytes.Repeat([]byte{byte(index)}, index)
		}
		put := func(records []types.Record) (*firehose.PutRecordBatchOutput, error) {
			return deliveries.PutRecordBatch(background, &firehose.PutRecordBatchInput{
				DeliveryStreamName: &name, Records: records})
		}
		batch, err := put(many)
		must(err)
		equal(*batch.FailedPutCount, 0, "failed")
		equal(len(batch.RequestResponses), len(many), "answers")
		for _, each := range batch.RequestResponses {
			ids[*each.RecordId] = true
		}
		equal(len(ids), len(many)+1, "ids that differ")
		_, err = put(append(many, types.Record{Data: []byte("x")}))
		refused(err, "ValidationException", "500")
		large := types.Record{Data: make([]byte, 1_024_000)}
		_, err = put([]types.Record{large, large, large, large, large})
		refused(err, "InvalidArgumentException", "4 MB")
		_, err = put([]types.Record{{Data: []byte("x")}, {Data: make([]byte, 1_024_001)}})
		refused(err, "ValidationException", "1024000")
		batch, err = put([]types.Record{large, large, large, large})
		must(err)
		equal(*batch.FailedPutCount, 0, "failed of the largest that may be")
	})
	_, err := deliveries.PutRecord(background, &firehose.PutRecordInput{
		DeliveryStreamName: aws.String("nobody"), Record: &types.Record{Data: []byte("x")}})
	refused(err, "ResourceNotFoundException", "nobody")
}

func anUpdateMerges() {
	withDelivery(toBucket(), func(name string) {
		before := described(name)
		update := func(version, destination string) error {
			_, err := deliveries.UpdateDestination(background, &firehose.UpdateDestinationInput{
				DeliveryStreamName: &name, CurrentDeliveryStreamVersionId: &version, DestinationId: &destination,
				ExtendedS3DestinationUpdate: &types.ExtendedS3DestinationUpdate{
					CompressionFormat: types.CompressionFormatZip}})
			return err
		}
		destination := *before.Destinations[0].DestinationId
		var differs *types.ConcurrentModificationException
		err := update("7", destination)
		holds(errors.As(err, &differs), "no ConcurrentModificationException")
		refused(err, "ConcurrentModificationException", "do not match")
		refused(update("1", "destinationId-000000000009"), "InvalidArgumentException", "not found")
		must(update("1", destination))
		after := described(name)
		equal(*after.VersionId, "2", "version")
		holds(!after.LastUpdateTimestamp.Before(*after.CreateTimestamp), "updated before it was created")
		was, is := before.Destinations[0].ExtendedS3DestinationDescription, after.Destinations[0].ExtendedS3DestinationDescription
		equal(is.CompressionFormat, types.CompressionFormatZip, "compression")
		was.CompressionFormat = is.CompressionFormat
		equal(is, was, "the rest of the destination")
	})
}

func tagsOfDeliveries() {
	withDelivery(toBucket(), func(name string) {
		_, err := deliveries.TagDeliveryStream(background, &firehose.TagDeliveryStreamInput{
			DeliveryStreamName: &name, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("c")}}})
		must(err)
		_, err = deliveries.UntagDeliveryStream(background, &firehose.UntagDeliveryStreamInput{
			DeliveryStreamName: &name, TagKeys: []string{"c"}})
		must(err)
		page, err := deliveries.ListTagsForDeliveryStream(background, &firehose.ListTagsForDeliveryStreamInput{
			DeliveryStreamName: &name, Limit: aws.Int32(1)})
		must(err)
		equal(*page.HasMoreTags, true, "more")
		rest, err := deliveries.ListTagsForDeliveryStream(background, &firehose.ListTagsForDeliveryStreamInput{
			DeliveryStreamName: &name, ExclusiveStartTagKey: page.Tags[0].Key})
		must(err)
		equal(*rest.HasMoreTags, false, "more")
		told := map[string]string{}
		for _, tag := range append(page.Tags, rest.Tags...) {
			told[*tag.Key] = *tag.Value
		}
		equal(told, map[string]string{"a": "1", "b": "2"}, "tags")
	})
}

func encryptionIsSwitched() {
	withDelivery(toBucket(), func(name string) {
		is := func(status types.DeliveryStreamEncryptionStatus) func() bool {
			return func() bool { return described(name).DeliveryStreamEncryptionConfiguration.Status == status }
		}
		encrypted := func() bool {
			put, err := deliveries.PutRecord(background, &firehose.PutRecordInput{
				DeliveryStreamName: &name, Record: &types.Record{Data: []byte("x")}})
			must(err)
			return *put.Encrypted
		}
		key := "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
		start := func(input types.DeliveryStreamEncryptionConfigurationInput) error {
			_, err := deliveries.StartDeliveryStreamEncryption(background, &firehose.StartDeliveryStreamEncryptionInput{
				DeliveryStreamName: &name, DeliveryStreamEncryptionConfigurationInput: &input})
			return err
		}
		refused(start(types.DeliveryStreamEncryptionConfigurationInput{KeyType: types.KeyTypeCustomerManagedCmk}),
			"InvalidArgumentException", "KeyARN")
		must(start(types.DeliveryStreamEncryptionConfigurationInput{
			KeyType: types.KeyTypeCustomerManagedCmk, KeyARN: &key}))
		eventually("ENABLED", 20, is(types.DeliveryStreamEncryptionStatusEnabled))
		equal(*described(name).DeliveryStreamEncryptionConfiguration.KeyARN, key, "key")
		holds(encrypted(), "the record is not encrypted")
		_, err := deliveries.StopDeliveryStreamEncryption(background,
			&firehose.StopDeliveryStreamEncryptionInput{DeliveryStreamName: &name})
		must(err)
		eventually("DISABLED", 20, is(types.DeliveryStreamEncryptionStatusDisabled))
		holds(!encrypted(), "the record is encrypted")
	})
}

func firehoseSuite(name string) *suite {
	found := suite{client: name, encoding: "JSON", service: "firehose"}
	found.add("CreateDeliveryStream DescribeDeliveryStream ListDeliveryStreams DeleteDeliveryStream",
		"a delivery stream is created, described as it was given, listed and deleted", aDeliveryStreamLives)
	found.add("PutRecord PutRecordBatch",
		"records are put singly and in batches up to what fits, and refused beyond", deliveriesTakeRecords)
	found.add("UpdateDestination DescribeDeliveryStream",
		"an update merges, and needs the version that it was made for", anUpdateMerges)
	found.add("TagDeliveryStream UntagDeliveryStream ListTagsForDeliveryStream",
		"tags are set, taken off and listed in pages", tagsOfDeliveries)
	found.add("StartDeliveryStreamEncryption StopDeliveryStreamEncryption PutRecord",
		"encryption is switched on and off, and puts say so", encryptionIsSwitched)
	return &found
}
