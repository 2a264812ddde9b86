//! The AWS SDK for Rust, unmodified: JSON 1.1 over HTTP/1.1 in clear.
//!
//! Each case passes by returning `Ok`; what it proved goes as one JSON line into the file that
//! CONFORMANCE_RESULTS names, in the same form as every other suite.

mod cases;
mod firehose;
mod harness;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let site = harness::site();
    let client = aws_sdk_kinesis::Client::new(&site);
    let mut run = harness::Run::new("AWS SDK for Rust", "JSON");
    cases::run_all(&client, &mut run).await;
    let deliveries = aws_sdk_firehose::Client::new(&site);
    firehose::run_all(&deliveries, run.of("firehose")).await;
    run.finish()
}
