# Data streams, their consumers and policies.

resource "aws_kinesis_stream" "full" {
  name                      = "full"
  shard_count               = local.first ? 2 : 3
  retention_period          = local.first ? 48 : 36
  shard_level_metrics       = local.first ? ["IncomingBytes", "OutgoingBytes"] : ["IncomingBytes"]
  encryption_type           = local.first ? "KMS" : "NONE"
  kms_key_id                = local.first ? "alias/aws/kinesis" : null
  enforce_consumer_deletion = true
  tags                      = local.first ? { a = "1" } : { b = "2" }
  stream_mode_details {
    stream_mode = "PROVISIONED"
  }
}

resource "aws_kinesis_stream" "demand" {
  name = "demand"
  stream_mode_details {
    stream_mode = "ON_DEMAND"
  }
}

resource "aws_kinesis_stream_consumer" "app" {
  name       = "app"
  stream_arn = aws_kinesis_stream.full.arn
}

resource "aws_kinesis_resource_policy" "shared" {
  resource_arn = aws_kinesis_stream.full.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "000000000000" }
      Action    = ["kinesis:PutRecord", "kinesis:GetRecords"]
      Resource  = aws_kinesis_stream.full.arn
    }]
  })
}

data "aws_kinesis_stream" "seen" {
  name = aws_kinesis_stream.full.name
}

data "aws_kinesis_firehose_delivery_stream" "seen" {
  name = aws_kinesis_firehose_delivery_stream.plain.name
}
