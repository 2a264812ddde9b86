//! `firehose`: how deliveries go.

mod status;
mod view;

use clap::{Args, Subcommand};

use crate::exit::Outcome;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  millstream firehose status                    all delivery streams, a row each
  millstream firehose status -f                 the same, live: rates, what waits, last errors
  millstream firehose status orders             all about one, and its last errors
  millstream firehose status -o json | jq '.delivery_streams[].data_freshness_ms'

Delivery streams are made by any client of the API:
  aws --endpoint-url http://127.0.0.1:4566 firehose create-delivery-stream \\
    --delivery-stream-name orders --extended-s3-destination-configuration \\
    RoleARN=arn:aws:iam::000000000000:role/any,BucketARN=arn:aws:s3:::lake")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What is delivered, how fast, what waits, and what goes wrong
    Status(status::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    match arguments.action {
        Action::Status(arguments) => status::run(arguments).await,
    }
}
