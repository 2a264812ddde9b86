//! `dev` and `serve`: the server, for development and for real.

use std::io::IsTerminal;

use clap::Args;
use millstream_client::Endpoint;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::config::checked;
use super::keys::printed;
use crate::endpoint::LOCAL_ENDPOINT;
use crate::exit::{Failure, Outcome};
use crate::serving::{Admission, Running};
use crate::settings::{Durability, LogFormat, Settings, SettingsFlags};
use crate::terminal::Style;

#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Any credentials are accepted, so only this machine may connect.

Examples:
  millstream dev
  millstream dev --listen 127.0.0.1:0 --data-dir /tmp/try --init-stream orders:4
  millstream dev --limits aws            throttle exactly as the service does
  millstream dev --tls-listen 127.0.0.1:4567 && millstream tls ca")]
pub(crate) struct DevArguments {
    #[command(flatten)]
    pub(crate) settings: SettingsFlags,
    /// Serve other machines too, although nobody is authenticated
    #[arg(long)]
    pub(crate) i_know_this_is_open: bool,
}

#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Signatures are verified. The first start makes an access key at random and prints it once.

Examples:
  millstream serve --data-dir /var/lib/millstream
  millstream serve --config /etc/millstream/millstream.toml
  millstream serve --listen 0.0.0.0:4566 --tls-listen 0.0.0.0:4567
  millstream keys create --name reader --policy reader.json")]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) settings: SettingsFlags,
}

/// Serves this machine, whoever asks.
pub(crate) async fn dev(arguments: DevArguments) -> Outcome {
    let (_, settings) = checked(&arguments.settings)?;
    let admission = if arguments.i_know_this_is_open { Admission::DevOpen } else { Admission::Dev };
    for address in [Some(settings.listen), settings.tls_listen].into_iter().flatten() {
        if admission == Admission::Dev && !address.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "dev takes any credentials, and {address} can be reached by others"
            ))
            .advise(
                "`millstream serve` verifies signatures; in a container whose port is published \
                 on 127.0.0.1 only, add --i-know-this-is-open",
            ));
        }
    }
    run(settings, admission).await
}

/// Serves whoever signs.
pub(crate) async fn serve(arguments: ServeArguments) -> Outcome {
    let (_, settings) = checked(&arguments.settings)?;
    run(settings, Admission::Verified).await
}

async fn run(settings: Settings, admission: Admission) -> Outcome {
    start_logging(&settings);
    let mut server = Running::start(settings.clone(), admission).await?;
    print!("{}", banner(&server, &settings, admission));
    let signal = tokio::select! {
        biased;
        signal = stop_signal() => signal?,
        failure = server.ended() => return Err(failure),
    };
    eprintln!("\n{signal}: no new requests; those under way may end (again to stop at once)");
    let stopped = tokio::select! {
        biased;
        stopped = server.stop() => stopped?,
        again = stop_signal() => {
            return Err(Failure::failed(format!("{}: stopped at once", again?)));
        }
    };
    match stopped {
        0 => eprintln!("stopped; everything acknowledged is in {}", settings.data_dir.display()),
        cut => eprintln!("stopped; {cut} connections took too long and were cut"),
    }
    Ok(())
}

/// Waits for the first signal that asks to stop, and names it.
async fn stop_signal() -> Outcome<&'static str> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("cannot wait for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(tokio::select! {
        biased;
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "told to stop",
    })
}

fn start_logging(settings: &Settings) {
    let filter = EnvFilter::new(&settings.log_filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let is_terminal = std::io::stderr().is_terminal();
    // A second subscriber is refused; the first one goes on, which is all that is wanted.
    let _ = match settings.log_format {
        LogFormat::Text => builder.with_ansi(is_terminal).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// What a person needs to know once it serves.
fn banner(server: &Running, settings: &Settings, admission: Admission) -> String {
    let style = Style::of_stdout();
    let endpoint = server.endpoint();
    let line =
        |name: &str, value: &str| format!("  {} {value}\n", style.dim(&format!("{name:<10}")));
    let mut text =
        format!("{}\n\n", style.bold("Millstream is serving Amazon Kinesis Data Streams."));
    text += &line("endpoint", &style.bold(&endpoint.to_string()));
    if let Some(tls) = server.tls_endpoint() {
        text += &line("", &format!("{tls}   (trust it: millstream tls ca)"));
    }
    text += &line(
        "mode",
        &match admission {
            Admission::Dev => style.yellow("dev: any credentials, this machine only"),
            Admission::DevOpen => {
                style.red("dev, OPEN TO THE NETWORK: anyone who connects may do anything")
            }
            Admission::Verified => "serve: every signature is verified".to_owned(),
        },
    );
    let promise = match settings.durability {
        Durability::Fsync => "on disk before each answer",
        Durability::Buffered => "buffered: a power cut may lose what was answered",
    };
    text += &line("data", &format!("{} ({promise})", settings.data_dir.display()));
    let region = format!("{}, account {}", settings.region, settings.account);
    text += &line("region", &region);
    if server.recovery.logs > 0 {
        let found = format!(
            "{} logs, {} records replayed{}",
            server.recovery.logs,
            server.recovery.records_replayed,
            if server.recovery.torn_tail.is_some() { ", an unfinished write was cut" } else { "" }
        );
        text += &line("found", &found);
    }
    if let Some(minted) = &server.minted {
        text += "\nThe first start made the account's access key:\n\n";
        text += &printed(minted, false);
        text += "\n";
    }
    text += "\nTry, in another terminal:\n\n";
    let program = std::env::args().next().unwrap_or_else(|| "millstream".to_owned());
    for command in commands_to_try(&program, &endpoint, admission) {
        text += "  ";
        text += &style.cyan(&command);
        text += "\n";
    }
    text + "\nCtrl-C stops it.\n"
}

/// Three commands, and before them what they need to know, where it is not what they assume.
fn commands_to_try(program: &str, endpoint: &Endpoint, admission: Admission) -> Vec<String> {
    let mut commands = Vec::new();
    if endpoint.to_string() != LOCAL_ENDPOINT {
        commands.push(format!("export AWS_ENDPOINT_URL={endpoint}"));
    }
    let any = match admission {
        Admission::Verified => {
            commands.push("export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…".to_owned());
            ""
        }
        Admission::Dev | Admission::DevOpen => "   # any credentials",
    };
    commands.push(format!("{program} streams create orders --shards 4"));
    commands.push(format!("seq 1000 | {program} put orders && {program} tail orders -f"));
    commands.push(format!(
        "aws --endpoint-url {endpoint} --region us-east-1 kinesis list-streams{any}"
    ));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_try_reach_the_server_that_prints_them() {
        let local: Endpoint = LOCAL_ENDPOINT.parse().unwrap();
        let commands = commands_to_try("millstream", &local, Admission::Dev);
        assert_eq!(commands.len(), 3);
        assert_eq!(commands[0], "millstream streams create orders --shards 4");
        let elsewhere: Endpoint = "http://127.0.0.1:9999".parse().unwrap();
        let commands = commands_to_try("./millstream", &elsewhere, Admission::Verified);
        assert_eq!(commands[0], "export AWS_ENDPOINT_URL=http://127.0.0.1:9999");
        assert!(commands[2].starts_with("./millstream streams create"), "{}", commands[2]);
    }
}
