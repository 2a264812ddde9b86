# Delivery streams that load objects: every option of a bucket, processing, conversion, sources, encryption, tags.
# Parameters of Lambda are not given their defaults: the provider hides those (as its documentation says).

resource "aws_kinesis_stream" "source" {
  name        = "source"
  shard_count = 1
}

resource "aws_kinesis_firehose_delivery_stream" "plain" {
  name        = "plain"
  destination = "extended_s3"
  extended_s3_configuration {
    role_arn   = local.role
    bucket_arn = local.bucket
    prefix     = local.first ? null : "later/"
  }
  tags = local.first ? { a = "1" } : { a = "2", b = "" }
}

resource "aws_kinesis_firehose_delivery_stream" "full" {
  name        = "full"
  destination = "extended_s3"
  server_side_encryption {
    enabled  = local.first
    key_type = "AWS_OWNED_CMK"
  }
  extended_s3_configuration {
    role_arn            = local.role
    bucket_arn          = local.bucket
    buffering_size      = 64
    buffering_interval  = local.first ? 61 : 62
    compression_format  = local.first ? "GZIP" : "ZIP"
    prefix              = "data/customer=!{partitionKeyFromQuery:customer}/year=!{timestamp:yyyy}/"
    error_output_prefix = "errors/!{firehose:error-output-type}/"
    custom_time_zone    = "Europe/Zurich"
    file_extension      = ".json.gz"
    kms_key_arn         = local.key
    s3_backup_mode      = "Enabled"
    s3_backup_configuration {
      role_arn            = local.role
      bucket_arn          = "${local.bucket}-backup"
      prefix              = "backup/"
      error_output_prefix = "backup-errors/"
      compression_format  = "GZIP"
      buffering_size      = 7
      buffering_interval  = local.first ? 77 : 78
      kms_key_arn         = local.key
      cloudwatch_logging_options {
        enabled         = true
        log_group_name  = "g"
        log_stream_name = "backup"
      }
    }
    cloudwatch_logging_options {
      enabled         = local.first
      log_group_name  = local.first ? "g" : null
      log_stream_name = local.first ? "s" : null
    }
    dynamic_partitioning_configuration {
      enabled        = true
      retry_duration = local.first ? 301 : 302
    }
    processing_configuration {
      enabled = true
      processors {
        type = "RecordDeAggregation"
        parameters {
          parameter_name  = "SubRecordType"
          parameter_value = "JSON"
        }
      }
      processors {
        type = "Lambda"
        parameters {
          parameter_name  = "LambdaArn"
          parameter_value = local.lambda
        }
        parameters {
          parameter_name  = "BufferSizeInMBs"
          parameter_value = "1.1"
        }
        parameters {
          parameter_name  = "BufferIntervalInSeconds"
          parameter_value = local.first ? "70" : "80"
        }
        parameters {
          parameter_name  = "NumberOfRetries"
          parameter_value = local.first ? "5" : "4"
        }
      }
      processors {
        type = "MetadataExtraction"
        parameters {
          parameter_name  = "JsonParsingEngine"
          parameter_value = "JQ-1.6"
        }
        parameters {
          parameter_name  = "MetadataExtractionQuery"
          parameter_value = "{customer:.customer}"
        }
      }
      processors {
        type = "AppendDelimiterToRecord"
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "lambda_defaults" {
  name        = "lambda-defaults"
  destination = "extended_s3"
  server_side_encryption {
    enabled  = true
    key_type = "CUSTOMER_MANAGED_CMK"
    key_arn  = local.key
  }
  extended_s3_configuration {
    role_arn   = local.role
    bucket_arn = local.bucket
    processing_configuration {
      enabled = true
      processors {
        type = "Lambda"
        parameters {
          parameter_name  = "LambdaArn"
          parameter_value = local.lambda
        }
        parameters {
          parameter_name  = "BufferSizeInMBs"
          parameter_value = "1.0"
        }
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "logs" {
  name        = "logs"
  destination = "extended_s3"
  extended_s3_configuration {
    role_arn   = local.role
    bucket_arn = local.bucket
    processing_configuration {
      enabled = true
      processors {
        type = "Decompression"
        parameters {
          parameter_name  = "CompressionFormat"
          parameter_value = "GZIP"
        }
      }
      processors {
        type = "CloudWatchLogProcessing"
        parameters {
          parameter_name  = "DataMessageExtraction"
          parameter_value = "true"
        }
      }
      processors {
        type = "AppendDelimiterToRecord"
        parameters {
          parameter_name  = "Delimiter"
          parameter_value = "\\n"
        }
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "disabled_processing" {
  name        = "disabled-processing"
  destination = "extended_s3"
  extended_s3_configuration {
    role_arn   = local.role
    bucket_arn = local.bucket
    processing_configuration {
      enabled = false
    }
    cloudwatch_logging_options {
      enabled = false
    }
    dynamic_partitioning_configuration {
      enabled = false
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "parquet" {
  name        = "parquet"
  destination = "extended_s3"
  kinesis_source_configuration {
    kinesis_stream_arn = aws_kinesis_stream.source.arn
    role_arn           = local.role
  }
  extended_s3_configuration {
    role_arn       = local.role
    bucket_arn     = local.bucket
    buffering_size = 128
    data_format_conversion_configuration {
      enabled = local.first
      input_format_configuration {
        deserializer {
          hive_json_ser_de {
            timestamp_formats = ["millis", "yyyy-MM-dd"]
          }
        }
      }
      output_format_configuration {
        serializer {
          parquet_ser_de {
            block_size_bytes              = 67108864
            compression                   = local.first ? "GZIP" : "SNAPPY"
            enable_dictionary_compression = true
            max_padding_bytes             = 10
            page_size_bytes               = 65537
            writer_version                = "V2"
          }
        }
      }
      schema_configuration {
        database_name = "d"
        table_name    = "t"
        role_arn      = local.role
        region        = "eu-west-1"
        catalog_id    = "111111111111"
        version_id    = "7"
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "orc" {
  name        = "orc"
  destination = "extended_s3"
  extended_s3_configuration {
    role_arn       = local.role
    bucket_arn     = local.bucket
    buffering_size = 64
    data_format_conversion_configuration {
      input_format_configuration {
        deserializer {
          open_x_json_ser_de {
            case_insensitive                         = local.first ? false : true
            column_to_json_key_mappings              = { ts = "timestamp" }
            convert_dots_in_json_keys_to_underscores = true
          }
        }
      }
      output_format_configuration {
        serializer {
          orc_ser_de {
            block_size_bytes                        = 67108864
            bloom_filter_columns                    = ["a", "b"]
            bloom_filter_false_positive_probability = 0.1
            compression                             = "ZLIB"
            dictionary_key_threshold                = 0.5
            enable_padding                          = true
            format_version                          = "V0_11"
            padding_tolerance                       = 0.1
            row_index_stride                        = 1001
            stripe_size_bytes                       = 8388609
          }
        }
      }
      schema_configuration {
        database_name = "d"
        table_name    = local.first ? "t" : "u"
        role_arn      = local.role
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "conversion_defaults" {
  for_each    = toset(["openx-parquet", "hive-orc"])
  name        = each.key
  destination = "extended_s3"
  extended_s3_configuration {
    role_arn       = local.role
    bucket_arn     = local.bucket
    buffering_size = 128
    data_format_conversion_configuration {
      input_format_configuration {
        deserializer {
          dynamic "open_x_json_ser_de" {
            for_each = each.key == "openx-parquet" ? [1] : []
            content {}
          }
          dynamic "hive_json_ser_de" {
            for_each = each.key == "hive-orc" ? [1] : []
            content {}
          }
        }
      }
      output_format_configuration {
        serializer {
          dynamic "parquet_ser_de" {
            for_each = each.key == "openx-parquet" ? [1] : []
            content {}
          }
          dynamic "orc_ser_de" {
            for_each = each.key == "hive-orc" ? [1] : []
            content {}
          }
        }
      }
      schema_configuration {
        database_name = "d"
        table_name    = "t"
        role_arn      = local.role
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "msk" {
  name        = "msk"
  destination = "extended_s3"
  msk_source_configuration {
    authentication_configuration {
      connectivity = "PUBLIC"
      role_arn     = local.role
    }
    msk_cluster_arn     = local.broker
    topic_name          = "topic"
    read_from_timestamp = "2026-01-02T03:04:05Z"
  }
  extended_s3_configuration {
    role_arn   = local.role
    bucket_arn = local.bucket
    prefix     = local.first ? "a/" : "b/"
  }
}
