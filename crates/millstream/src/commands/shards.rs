//! `shards`: the family tree of a stream's shards.

use clap::Args;
use millstream_api::kinesis::Shard;
use millstream_core::{HashKey, HashKeyRange};
use serde_json::json;

use crate::endpoint::EndpointFlags;
use crate::exit::{Failure, Outcome};
use crate::reading::family::{Member, draw};
use crate::terminal::Style;

#[derive(Args, Debug)]
#[command(after_help = "\
A bar shows what a shard holds of the hash ring, the percentage how much that is.
A shard stands under the one it came from; `+ shardId-…` names a merge's other parent.

Examples:
  millstream shards orders
  millstream shards orders --ranges         with the ranges' ends, in decimal
  millstream shards orders -o json")]
pub(crate) struct Arguments {
    /// The stream
    stream: String,
    /// Print also where each range starts and ends
    #[arg(long)]
    ranges: bool,
    /// text or json
    #[arg(short, long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let client = arguments.endpoint.client()?;
    let shards = client.list_shards(&arguments.stream).await?;
    if arguments.output == "json" {
        println!("{:#}", shards.iter().map(as_json).collect::<serde_json::Value>());
        return Ok(());
    }
    let members: Vec<Member> = shards.iter().map(member).collect::<Outcome<_>>()?;
    let open = members.iter().filter(|member| member.is_open).count();
    println!("{}: {open} open, {} closed", arguments.stream, members.len() - open);
    for line in draw(&members, Style::of_stdout()) {
        println!("{line}");
    }
    if arguments.ranges {
        println!();
        for member in &members {
            println!("{}  {} .. {}", member.id, member.range.start, member.range.end);
        }
    }
    Ok(())
}

/// A shard as its family knows it.
pub(crate) fn member(shard: &Shard) -> Outcome<Member> {
    let point = |text: &str| -> Outcome<HashKey> {
        text.parse().map_err(|error| Failure::failed(format!("{}: {error}", shard.shard_id)))
    };
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
    Ok(Member {
        id: shard.shard_id.clone(),
        parents: parents.into_iter().flatten().cloned().collect(),
        range: HashKeyRange {
            start: point(&shard.hash_key_range.starting_hash_key)?,
            end: point(&shard.hash_key_range.ending_hash_key)?,
        },
        is_open: shard.sequence_number_range.ending_sequence_number.is_none(),
    })
}

fn as_json(shard: &Shard) -> serde_json::Value {
    json!({
        "shard": shard.shard_id,
        "parent": shard.parent_shard_id,
        "adjacent_parent": shard.adjacent_parent_shard_id,
        "range": [shard.hash_key_range.starting_hash_key, shard.hash_key_range.ending_hash_key],
        "starting_sequence_number": shard.sequence_number_range.starting_sequence_number,
        "ending_sequence_number": shard.sequence_number_range.ending_sequence_number,
        "open": shard.sequence_number_range.ending_sequence_number.is_none(),
    })
}
