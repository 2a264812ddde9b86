//! `dev` and `serve`: the server, for development and for real.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use millstream_auth::CreatedAccessKey;
use millstream_client::Endpoint;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::config::checked;
use super::keys::printed;
use crate::endpoint::{LOCAL_ENDPOINT, LOCAL_REGION};
use crate::exit::{Failure, Outcome};
use crate::serving::{Admission, Running};
use crate::settings::{Durability, LogFormat, Settings, SettingsFlags};
use crate::terminal::{Progress, Style, records_text};

#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Any credentials are accepted, so only this machine may connect.

Examples:
  millstream dev
  millstream dev --listen 127.0.0.1:0 --data-dir /tmp/try --init-stream orders:4
  millstream dev --limits aws            throttle exactly as the service does
  millstream dev --tls-listen 127.0.0.1:4567      then: millstream tls ca > ca.pem")]
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
  millstream serve --listen 127.0.0.1:4566 --tls-listen 0.0.0.0:4567
  millstream keys create --user reader --policy reader.json --data-dir /var/lib/millstream")]
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
    let mut server = started(&settings, admission).await?;
    let told = match settings.log_format {
        LogFormat::Text => banner(&server, &settings, admission),
        LogFormat::Json => logged(&server, &settings, admission),
    };
    print!("{told}");
    let signal = tokio::select! {
        biased;
        signal = stop_signal() => signal?,
        failure = server.ended() => return Err(failure),
    };
    tell(
        &settings,
        &format!("{signal}: no new requests; those under way may end (again to stop at once)"),
    );
    let stopped = tokio::select! {
        biased;
        stopped = server.stop() => stopped?,
        again = stop_signal() => {
            return Err(Failure::failed(format!("{}: stopped at once", again?)));
        }
    };
    let last = match stopped {
        0 => format!("stopped; everything acknowledged is in {}", settings.data_dir.display()),
        cut => format!("stopped; {cut} connections took too long and were cut"),
    };
    tell(&settings, &last);
    Ok(())
}

/// Tells people, or a collector of logs, how the server fares.
fn tell(settings: &Settings, sentence: &str) {
    match settings.log_format {
        // After the `^C` that a terminal shows.
        LogFormat::Text if std::io::stderr().is_terminal() => eprintln!("\r{sentence}"),
        LogFormat::Text => eprintln!("{sentence}"),
        LogFormat::Json => tracing::info!("{sentence}"),
    }
}

/// Logs that it serves, for whoever collects JSON lines; gives what must not be in a log.
fn logged(server: &Running, settings: &Settings, admission: Admission) -> String {
    let recovery = &server.recovery;
    tracing::info!(
        endpoint = %server.endpoint(),
        tls_endpoint = server.tls_endpoint().map(|endpoint| endpoint.to_string()),
        mode = if admission == Admission::Verified { "serve" } else { "dev" },
        open_to_network = admission == Admission::DevOpen,
        data_dir = %settings.data_dir.display(),
        region = %settings.region,
        streams = server.streams_found,
        records_replayed = recovery.records_replayed,
        "serving"
    );
    if let Some(torn) = &recovery.torn_tail {
        let (file, offset, reason) = (&torn.file, torn.offset, &torn.reason);
        tracing::warn!(file, offset, reason, "a write that was never acknowledged was cut");
    }
    for damage in &recovery.damaged_segments {
        tracing::error!(damage, "a segment is damaged; what of it is intact is served");
    }
    let minted = server.minted.as_ref();
    minted.map_or_else(String::new, |key| printed(key, false) + "\n")
}

/// How long a start may take in silence.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Starts the server, and tells where that takes its time.
async fn started(settings: &Settings, admission: Admission) -> Outcome<Running> {
    let starting = Running::start(settings.clone(), admission);
    tokio::pin!(starting);
    tokio::select! {
        biased;
        started = &mut starting => return started,
        () = tokio::time::sleep(SILENCE_MAX) => {}
    }
    let progress =
        Progress::waiting(&format!("reading what lies in {}", settings.data_dir.display()));
    let started = starting.await;
    progress.finish();
    started
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
    let mut text = format!(
        "{}\n\n",
        style.bold("Millstream is serving Amazon Kinesis Data Streams and Firehose.")
    );
    text += &line("endpoint", &style.bold(&endpoint.to_string()));
    let program = program();
    if let Some(tls) = server.tls_endpoint() {
        let trust = format!("{program} tls ca{}", place_flag(settings));
        text += &line("", &format!("{tls}   {}", style.dim(&format!("(trust it: {trust})"))));
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
    for (name, found) in found(server, style) {
        text += &line(name, &found);
    }
    if let Some(minted) = &server.minted {
        text += "\nThe first start made the account's access key:\n\n";
        text += &printed(minted, false);
        text += "\n";
    }
    text += "\nTry, in another terminal:\n\n";
    let key = server.minted.as_ref();
    for command in commands_to_try(&program, &endpoint, settings, (admission, key)) {
        text += "  ";
        text += &style.cyan(&command);
        text += "\n";
    }
    text + "\nCtrl-C stops it.\n"
}

/// What was there before this start.
fn found(server: &Running, style: Style) -> Vec<(&'static str, String)> {
    let recovery = &server.recovery;
    let mut found = Vec::new();
    match server.streams_found {
        0 => {}
        1 => found.push(("found", "1 stream, and all it holds".to_owned())),
        count => found.push(("found", format!("{count} streams, and all they hold"))),
    }
    if recovery.records_replayed > 0 {
        let replayed = records_text(recovery.records_replayed);
        found.push(("recovered", format!("{replayed}, after a stop without notice")));
    }
    if let Some(torn) = &recovery.torn_tail {
        let place = format!("{} at {}", torn.file, torn.offset);
        found.push((
            "cut",
            format!("a write that was never acknowledged ({place}: {})", torn.reason),
        ));
    }
    for damage in &recovery.damaged_segments {
        found.push(("damaged", style.red(&format!("{damage}; what is intact is served"))));
    }
    found
}

/// How this program was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "millstream".to_owned())
}

/// What the commands that work on a data directory need to find this one, wherever they are run.
fn place_flag(settings: &Settings) -> String {
    format!(" --data-dir {}", settings.data_dir.display())
}

/// Three commands, and before them what they need to know, where it is not what they assume.
fn commands_to_try(
    program: &str,
    endpoint: &Endpoint,
    settings: &Settings,
    (admission, minted): (Admission, Option<&CreatedAccessKey>),
) -> Vec<String> {
    let mut commands = Vec::new();
    if endpoint.to_string() != LOCAL_ENDPOINT {
        commands.push(format!("export AWS_ENDPOINT_URL={endpoint}"));
    }
    let region = settings.region.as_str();
    if region != LOCAL_REGION {
        commands.push(format!("export AWS_REGION={region}"));
    }
    let any = match (admission, minted) {
        (Admission::Verified, Some(key)) => {
            commands.push(printed(key, true).replace("\nexport", ""));
            ""
        }
        (Admission::Verified, None) => {
            let place = place_flag(settings);
            let made = format!("{program} keys create{place}");
            let key = "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…";
            commands.push(format!("{key}   # one that `{made}` makes"));
            ""
        }
        // Any will do, but the tool insists on having some.
        (Admission::Dev | Admission::DevOpen, _) => {
            "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any "
        }
    };
    commands.push(format!("{program} streams create orders --shards 4"));
    commands.push(format!("seq 1000 | {program} put orders && {program} tail orders -f"));
    let aws = format!("aws --endpoint-url {endpoint} --region {region} kinesis list-streams");
    commands.push(format!("{any}{aws}"));
    commands
}

#[cfg(test)]
mod tests {
    use millstream_auth::NewAccessKey;

    use super::*;
    use crate::serving::data_dir::DataDir;
    use crate::serving::key_files::KeyFiles;
    use crate::serving::scratch;

    #[test]
    fn the_commands_to_try_reach_the_server_that_prints_them() {
        let (mut settings, _place) = scratch();
        let local: Endpoint = LOCAL_ENDPOINT.parse().unwrap();
        let dev = (Admission::Dev, None);
        let commands = commands_to_try("millstream", &local, &settings, dev);
        assert_eq!(commands.len(), 3);
        assert_eq!(commands[0], "millstream streams create orders --shards 4");
        assert!(commands[2].starts_with("AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws"));

        settings.region = "eu-west-1".parse().unwrap();
        let elsewhere: Endpoint = "http://127.0.0.1:9999".parse().unwrap();
        let verified = (Admission::Verified, None);
        let commands = commands_to_try("./millstream", &elsewhere, &settings, verified);
        assert_eq!(commands[0], "export AWS_ENDPOINT_URL=http://127.0.0.1:9999");
        assert_eq!(commands[1], "export AWS_REGION=eu-west-1");
        assert!(commands[2].contains("`./millstream keys create --data-dir /"), "{}", commands[2]);
        assert!(commands[3].starts_with("./millstream streams create"), "{}", commands[3]);
        assert!(commands[5].contains("--region eu-west-1"), "{}", commands[5]);
    }

    #[test]
    fn a_minted_key_is_ready_to_be_pasted() {
        let (settings, place) = scratch();
        let files = KeyFiles::open(&DataDir::open(place.path()).unwrap()).unwrap();
        let account = settings.account.clone();
        let new = NewAccessKey { account, user_name: None, policies: Vec::new() };
        let key = files.create(new).unwrap();
        let local: Endpoint = LOCAL_ENDPOINT.parse().unwrap();
        let minted = (Admission::Verified, Some(&key));
        let commands = commands_to_try("millstream", &local, &settings, minted);
        let (id, secret) = (&key.access_key_id, key.secret_access_key.expose());
        let expected = format!("export AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}");
        assert_eq!(commands[0], expected);
    }
}
