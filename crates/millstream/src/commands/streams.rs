//! `streams`: list, create, describe, delete.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use millstream_api::kinesis::StreamDescriptionSummary;
use millstream_client::{Capacity, Client};
use millstream_core::Timestamp;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::endpoint::EndpointFlags;
use crate::exit::{Failure, Outcome};
use crate::terminal::{Align, Style, Table};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  millstream streams                            what there is, as a table
  millstream streams create orders --shards 4   and wait until it can be used
  millstream streams create clicks --on-demand
  millstream streams describe orders -o json
  millstream streams delete orders --yes")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All streams, a row each (the default)
    List {
        #[command(flatten)]
        endpoint: EndpointFlags,
    },
    /// Make a stream and wait until it can be used
    Create {
        /// Its name
        name: String,
        /// Its shards
        #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
        shards: u32,
        /// Let the service choose the shards by load
        #[arg(long, conflicts_with = "shards")]
        on_demand: bool,
        #[command(flatten)]
        endpoint: EndpointFlags,
    },
    /// All about one stream
    Describe {
        /// Its name
        name: String,
        /// text or json
        #[arg(short, long, value_parser = ["text", "json"], default_value = "text")]
        output: String,
        #[command(flatten)]
        endpoint: EndpointFlags,
    },
    /// Delete a stream, its records and its consumers, for good
    Delete {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        endpoint: EndpointFlags,
    },
}

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    match arguments.action {
        None => list(&arguments.endpoint.client()?).await,
        Some(Action::List { endpoint }) => list(&endpoint.client()?).await,
        Some(Action::Create { name, shards, on_demand, endpoint }) => {
            let capacity = if on_demand { Capacity::OnDemand } else { Capacity::Shards(shards) };
            let client = endpoint.client()?;
            client.create_stream(&name, capacity).await?;
            let stream = client.wait_until_active(&name).await?;
            println!("{} is {} with {}", name, stream.stream_status, shards_text(&stream));
            Ok(())
        }
        Some(Action::Describe { name, output, endpoint }) => {
            let stream = endpoint.client()?.describe_stream(&name).await?;
            if output == "json" {
                println!("{:#}", as_json(&stream));
            } else {
                print!("{}", described(&stream));
            }
            Ok(())
        }
        Some(Action::Delete { name, yes, endpoint }) => {
            if !yes && !confirmed(&name)? {
                return Err(Failure::failed("nothing was deleted"));
            }
            endpoint.client()?.delete_stream(&name).await?;
            println!("{name} is being deleted");
            Ok(())
        }
    }
}

async fn list(client: &Client) -> Outcome {
    let names = client.list_streams().await?;
    if names.is_empty() {
        eprintln!("no streams at {} yet: millstream streams create NAME", client.endpoint());
        return Ok(());
    }
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATUS", Align::Left),
        ("SHARDS", Align::Right),
        ("MODE", Align::Left),
        ("KEEPS", Align::Right),
        ("CREATED", Align::Left),
    ]);
    for name in names {
        let stream = client.describe_stream(&name).await?;
        table.row(vec![
            name,
            stream.stream_status.to_string(),
            stream.open_shard_count.to_string(),
            mode(&stream),
            format!("{} h", stream.retention_period_hours),
            moment(stream.stream_creation_timestamp),
        ]);
    }
    println!("{}", table.render(Style::of_stdout()));
    Ok(())
}

fn shards_text(stream: &StreamDescriptionSummary) -> String {
    match stream.open_shard_count {
        1 => "1 shard".to_owned(),
        count => format!("{count} shards"),
    }
}

fn mode(stream: &StreamDescriptionSummary) -> String {
    let details = stream.stream_mode_details.as_ref();
    details.map_or_else(|| "PROVISIONED".to_owned(), |details| details.stream_mode.to_string())
}

/// A moment to the second, as people and machines read it.
pub(crate) fn moment(at: Timestamp) -> String {
    moment_ms(Timestamp::from_seconds(at.seconds()))
}

/// A moment to the millisecond, as people and machines read it.
pub(crate) fn moment_ms(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.ms()) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.ms().to_string())
}

/// The facts of a stream, with the names that both outputs use.
fn facts(stream: &StreamDescriptionSummary) -> Vec<(&'static str, String)> {
    let encryption = stream.encryption_type.map_or_else(|| "NONE".to_owned(), |t| t.to_string());
    let mut facts = vec![
        ("name", stream.stream_name.clone()),
        ("arn", stream.stream_arn.clone()),
        ("status", stream.stream_status.to_string()),
        ("mode", mode(stream)),
        ("open_shards", stream.open_shard_count.to_string()),
        ("retention_hours", stream.retention_period_hours.to_string()),
        ("created", moment(stream.stream_creation_timestamp)),
        ("encryption", encryption),
        ("consumers", stream.consumer_count.unwrap_or(0).to_string()),
    ];
    if let Some(kib) = stream.max_record_size_in_kib {
        facts.push(("record_kib_max", kib.to_string()));
    }
    facts
}

fn described(stream: &StreamDescriptionSummary) -> String {
    let style = Style::of_stdout();
    let lines = facts(stream).into_iter().map(|(name, value)| {
        format!("{} {value}\n", style.dim(&format!("{:<15}", name.replace('_', " "))))
    });
    lines.collect()
}

fn as_json(stream: &StreamDescriptionSummary) -> serde_json::Value {
    let members = facts(stream).into_iter().map(|(name, value)| {
        let value = value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number));
        (name.to_owned(), value)
    });
    serde_json::Value::Object(members.collect())
}

fn confirmed(name: &str) -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("deleting {name} cannot be undone")).advise("add --yes"));
    }
    eprint!("Delete {name}, its records and its consumers, for good? Type its name: ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::failed)?;
    Ok(answer.trim() == name)
}
