//! `streams`: list, create, describe, delete.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use millstream_api::kinesis::StreamDescriptionSummary;
use millstream_client::{Capacity, Client};
use millstream_core::Timestamp;
use millstream_core::limits::SHARDS_PER_STREAM_MAX;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::endpoint::EndpointFlags;
use crate::exit::{Failure, Outcome};
use crate::terminal::{Align, Progress, Style, Table};

#[derive(Args, Debug)]
// A flag before the action would be passed over: `streams --endpoint-url … delete orders` must not
// delete somewhere else.
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  millstream streams                            what there is, as a table
  millstream streams list -o json
  millstream streams create orders --shards 4   and wait until it can be used
  millstream streams create clicks --on-demand
  millstream streams describe orders -o json
  millstream streams delete orders --yes")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Args, Debug)]
struct ListArguments {
    /// text or json
    #[arg(short, long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All streams, a row each (the default)
    List(ListArguments),
    /// Make a stream and wait until it can be used
    Create {
        /// Its name
        name: String,
        /// Its shards
        #[arg(long, value_name = "COUNT", default_value = "1",
              value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_PER_STREAM_MAX)))]
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
        None => list(&arguments.list).await,
        Some(Action::List(arguments)) => list(&arguments).await,
        Some(Action::Create { name, shards, on_demand, endpoint }) => {
            let capacity = if on_demand { Capacity::OnDemand } else { Capacity::Shards(shards) };
            let client = endpoint.client()?;
            client.create_stream(&name, capacity).await?;
            let stream = created(&client, &name).await?;
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

/// Waits until a new stream can be used; the service itself takes tens of seconds.
async fn created(client: &Client, name: &str) -> Outcome<StreamDescriptionSummary> {
    let progress = Progress::waiting(&format!("{name} is being created"));
    let stream = client.wait_until_active(name).await;
    progress.finish();
    Ok(stream?)
}

/// All streams; one that is deleted while they are listed is left out.
async fn described_all(client: &Client) -> Outcome<Vec<StreamDescriptionSummary>> {
    let mut streams = Vec::new();
    for name in client.list_streams().await? {
        match client.describe_stream(&name).await {
            Ok(stream) => streams.push(stream),
            Err(error) if error.code() == Some("ResourceNotFoundException") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(streams)
}

async fn list(arguments: &ListArguments) -> Outcome {
    let client = arguments.endpoint.client()?;
    let streams = described_all(&client).await?;
    if arguments.output == "json" {
        println!("{:#}", streams.iter().map(as_json).collect::<serde_json::Value>());
        return Ok(());
    }
    if streams.is_empty() {
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
    for stream in streams {
        table.row(vec![
            stream.stream_name.clone(),
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

/// A moment to the second, in RFC 3339.
pub(crate) fn moment(at: Timestamp) -> String {
    written(at, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
}

/// A moment to the millisecond, in RFC 3339: always as long, so that texts sort as times do.
pub(crate) fn moment_ms(at: Timestamp) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    written(at, format)
}

fn written(at: Timestamp, format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.ms()) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(format).ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_always_as_long() {
        assert_eq!(moment_ms(Timestamp::from_ms(1_500)), "1970-01-01T00:00:01.500Z");
        assert_eq!(moment_ms(Timestamp::from_ms(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(Timestamp::from_ms(1_999)), "1970-01-01T00:00:01Z");
    }
}
