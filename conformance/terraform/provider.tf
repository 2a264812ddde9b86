# What Terraform's AWS provider makes of the server: each of its arguments that the server knows is set in the first
# step, changed in the second and set back in the third, so that a plan after each tells what does not come back as
# it was given.
# Run by `cargo xtask test terraform`.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "step" {
  type = number
}

locals {
  first = var.step != 2
  # A backup of all that comes in cannot be switched off again.
  fails_only = var.step == 1
  role       = "arn:aws:iam::000000000000:role/delivery"
  bucket     = "arn:aws:s3:::terraform"
  key        = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
  lambda     = "arn:aws:lambda:us-east-1:000000000000:function:rework"
  secret     = "arn:aws:secretsmanager:us-east-1:000000000000:secret:keys-abcdef"
  domain     = "arn:aws:es:us-east-1:000000000000:domain/logs"
  broker     = "arn:aws:kafka:us-east-1:000000000000:cluster/main/11111111-2222-3333-4444-555555555555-1"
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "conformance"
  secret_key                  = "conformance"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    firehose = var.endpoint
    kinesis  = var.endpoint
  }
}
