# Delivery streams to all else: HTTP endpoints, search, warehouses, Splunk, Iceberg tables (a feature of the build).

resource "aws_kinesis_firehose_delivery_stream" "http" {
  name        = "http"
  destination = "http_endpoint"
  http_endpoint_configuration {
    url                = local.first ? "https://example.com/in" : "https://example.com/other"
    name               = "collector"
    access_key         = local.first ? "a secret" : "another secret"
    role_arn           = local.role
    buffering_size     = 2
    buffering_interval = 65
    retry_duration     = local.first ? 301 : 302
    s3_backup_mode     = "FailedDataOnly"
    s3_configuration {
      role_arn            = local.role
      bucket_arn          = local.bucket
      buffering_size      = 10
      buffering_interval  = local.first ? 400 : 401
      compression_format  = "GZIP"
      prefix              = "p/"
      error_output_prefix = local.first ? null : "e/"
    }
    request_configuration {
      content_encoding = local.first ? "GZIP" : "NONE"
      common_attributes {
        name  = "team"
        value = local.first ? "data" : "other"
      }
      common_attributes {
        name  = "more"
        value = "x"
      }
    }
    processing_configuration {
      enabled = true
      processors {
        type = "Lambda"
        parameters {
          parameter_name  = "LambdaArn"
          parameter_value = local.lambda
        }
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "http_defaults" {
  name        = "http-defaults"
  destination = "http_endpoint"
  http_endpoint_configuration {
    url      = "https://example.com/in"
    name     = "collector"
    role_arn = local.role
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "http_secret" {
  name        = "http-secret"
  destination = "http_endpoint"
  http_endpoint_configuration {
    url            = "https://example.com/in"
    name           = "collector"
    role_arn       = local.role
    s3_backup_mode = local.fails_only ? "FailedDataOnly" : "AllData"
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
    secrets_manager_configuration {
      enabled    = true
      secret_arn = local.secret
      role_arn   = local.role
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "opensearch" {
  name        = "opensearch"
  destination = "opensearch"
  opensearch_configuration {
    domain_arn            = local.domain
    role_arn              = local.role
    index_name            = local.first ? "events" : "others"
    index_rotation_period = local.first ? "OneHour" : "OneMonth"
    buffering_size        = 3
    buffering_interval    = 66
    retry_duration        = local.first ? 100 : 101
    s3_backup_mode        = "AllDocuments"
    document_id_options {
      default_document_id_format = local.first ? "NO_DOCUMENT_ID" : "FIREHOSE_DEFAULT"
    }
    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = "g"
      log_stream_name = "os"
    }
    s3_configuration {
      role_arn           = local.role
      bucket_arn         = local.bucket
      compression_format = local.first ? "UNCOMPRESSED" : "GZIP"
    }
    vpc_config {
      subnet_ids         = ["subnet-11111111", "subnet-22222222"]
      security_group_ids = ["sg-11111111"]
      role_arn           = local.role
    }
    processing_configuration {
      enabled = true
      processors {
        type = "Lambda"
        parameters {
          parameter_name  = "LambdaArn"
          parameter_value = local.lambda
        }
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "opensearch_endpoint" {
  name        = "opensearch-endpoint"
  destination = "opensearch"
  opensearch_configuration {
    cluster_endpoint = local.first ? "https://search.example.com" : "https://search2.example.com"
    role_arn         = local.role
    index_name       = "events"
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "elasticsearch" {
  name        = "elasticsearch"
  destination = "elasticsearch"
  elasticsearch_configuration {
    domain_arn     = local.domain
    role_arn       = local.role
    index_name     = "events"
    type_name      = local.first ? "doc" : "other"
    retry_duration = 0
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "serverless" {
  name        = "serverless"
  destination = "opensearchserverless"
  opensearchserverless_configuration {
    collection_endpoint = "https://abc.us-east-1.aoss.amazonaws.com"
    role_arn            = local.role
    index_name          = local.first ? "events" : "others"
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "redshift" {
  name        = "redshift"
  destination = "redshift"
  redshift_configuration {
    role_arn           = local.role
    cluster_jdbcurl    = "jdbc:redshift://c.abc123.us-east-1.redshift.amazonaws.com:5439/db"
    username           = local.first ? "user" : "other"
    password           = local.first ? "Passw0rd" : "0therPass"
    data_table_name    = local.first ? "t" : "u"
    copy_options       = local.first ? "delimiter '|'" : "JSON 'auto'"
    data_table_columns = "a,b"
    s3_backup_mode     = "Enabled"
    retry_duration     = 100
    s3_configuration {
      role_arn           = local.role
      bucket_arn         = local.bucket
      buffering_size     = 10
      buffering_interval = 400
      compression_format = "GZIP"
    }
    s3_backup_configuration {
      role_arn           = local.role
      bucket_arn         = local.bucket
      buffering_size     = 15
      buffering_interval = 300
      compression_format = "GZIP"
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "redshift_secret" {
  name        = "redshift-secret"
  destination = "redshift"
  redshift_configuration {
    role_arn        = local.role
    cluster_jdbcurl = "jdbc:redshift://c.abc123.us-east-1.redshift.amazonaws.com:5439/db"
    data_table_name = local.first ? "t" : "u"
    secrets_manager_configuration {
      enabled    = true
      secret_arn = local.secret
    }
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "splunk" {
  name        = "splunk"
  destination = "splunk"
  splunk_configuration {
    hec_endpoint               = "https://http-inputs-mydomain.splunkcloud.com:443"
    hec_token                  = local.first ? "51D4DA16-C61B-4F5F-8EC7-ED4301342A4A" : "51D4DA16-C61B-4F5F-8EC7-ED4301342A4B"
    hec_acknowledgment_timeout = local.first ? 600 : 300
    hec_endpoint_type          = "Event"
    s3_backup_mode             = local.fails_only ? "FailedEventsOnly" : "AllEvents"
    buffering_size             = 4
    buffering_interval         = 45
    retry_duration             = 200
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
    processing_configuration {
      enabled = true
      processors {
        type = "Lambda"
        parameters {
          parameter_name  = "LambdaArn"
          parameter_value = local.lambda
        }
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "splunk_defaults" {
  name        = "splunk-defaults"
  destination = "splunk"
  splunk_configuration {
    hec_endpoint = "https://http-inputs-mydomain.splunkcloud.com:443"
    hec_token    = "51D4DA16-C61B-4F5F-8EC7-ED4301342A4A"
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "splunk_secret" {
  name        = "splunk-secret"
  destination = "splunk"
  splunk_configuration {
    hec_endpoint   = "https://http-inputs-mydomain.splunkcloud.com:443"
    retry_duration = local.first ? 100 : 200
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
    secrets_manager_configuration {
      enabled    = true
      secret_arn = local.secret
      role_arn   = local.role
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "iceberg" {
  name        = "iceberg"
  destination = "iceberg"
  iceberg_configuration {
    role_arn           = local.role
    catalog_arn        = "arn:aws:glue:us-east-1:000000000000:catalog"
    buffering_size     = local.first ? 10 : 11
    buffering_interval = local.first ? 400 : 401
    retry_duration     = local.first ? 100 : 101
    s3_configuration {
      role_arn           = local.role
      bucket_arn         = local.bucket
      compression_format = local.first ? "GZIP" : "UNCOMPRESSED"
    }
    destination_table_configuration {
      database_name          = "d"
      table_name             = "t"
      s3_error_output_prefix = "errors/"
      unique_keys            = ["id", "day"]
    }
    processing_configuration {
      enabled = true
      processors {
        type = "MetadataExtraction"
        parameters {
          parameter_name  = "MetadataExtractionQuery"
          parameter_value = "{destinationDatabaseName: .d, destinationTableName: .t, operation: .o}"
        }
        parameters {
          parameter_name  = "JsonParsingEngine"
          parameter_value = "JQ-1.6"
        }
      }
    }
  }
}

resource "aws_kinesis_firehose_delivery_stream" "iceberg_defaults" {
  name        = "iceberg-defaults"
  destination = "iceberg"
  iceberg_configuration {
    role_arn    = local.role
    catalog_arn = "arn:aws:glue:us-east-1:000000000000:catalog"
    s3_configuration {
      role_arn   = local.role
      bucket_arn = local.bucket
    }
  }
}
