//! `firehose status`: one look, or one every second.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use millstream_client::{CallError, Client};

use super::view::{Screen, View};
use crate::deliveries::{PATH, Report, SIGNING_NAME};
use crate::endpoint::EndpointFlags;
use crate::exit::{Failure, Outcome};
use crate::interrupt::Interrupts;
use crate::terminal::Style;

/// Clears from the cursor to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  millstream firehose status
  millstream firehose status -f --every 5
  millstream firehose status orders -o json

Counts are since the server started; with -f they are rates. WAITING are records that were taken up
and are not delivered, OLDEST is the age of the oldest (DataFreshness), and ERRORS are records in the
error output.")]
pub(super) struct Arguments {
    /// Only this delivery stream, with all that is known of it
    name: Option<String>,
    /// Look again and again, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", requires = "follow",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// text, or json: an object for each look
    #[arg(short, long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    let client = arguments.endpoint.client()?;
    if !arguments.follow {
        let report = look(&client, arguments.name.as_deref()).await?;
        return match arguments.output.as_str() {
            "json" => print(&format!("{:#}\n", as_json(&report))).map(drop),
            _ if report.delivery_streams.is_empty() => {
                eprintln!(
                    "no delivery streams at {} yet: `millstream firehose --help` shows how to make \
                     one",
                    client.endpoint()
                );
                Ok(())
            }
            _ => {
                let style = Style::of_stdout();
                print(&View::new(arguments.name.is_some()).once(&report, style)).map(drop)
            }
        };
    }
    let interrupts = Interrupts::listen()?;
    tokio::select! {
        biased;
        () = interrupts.first() => Ok(()),
        outcome = follow(&client, &arguments) => outcome,
    }
}

/// Looks until something fails that does not mend itself.
async fn follow(client: &Client, arguments: &Arguments) -> Outcome {
    let mut view = View::new(arguments.name.is_some());
    let redraws = std::io::stdout().is_terminal() && arguments.output == "text";
    let mut drawn = 0;
    let mut ticks = tokio::time::interval(Duration::from_secs(arguments.every));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = look(client, arguments.name.as_deref()).await?;
        let text = if arguments.output == "json" {
            format!("{}\n", as_json(&report))
        } else {
            let again = if redraws && drawn > 0 {
                format!("\x1b[{drawn}A\r{CLEAR_BELOW}")
            } else {
                String::new()
            };
            let screen = if redraws { screen() } else { None };
            let text = view.next(report, Style::of_stdout(), screen);
            drawn = text.lines().count();
            again + &text
        };
        if print(&text)? == Reader::Gone {
            return Ok(());
        }
    }
}

/// The size of the terminal: lines that wrap, or that scroll away, would spoil the redrawing.
fn screen() -> Option<Screen> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    let (rows, columns) = (usize::from(size.ws_row), usize::from(size.ws_col));
    (rows > 1 && columns > 0).then_some(Screen { rows: rows - 1, columns })
}

async fn look(client: &Client, name: Option<&str>) -> Outcome<Report> {
    let answer = client.page(SIGNING_NAME, PATH).await.map_err(|error| match &error {
        // Any other server takes the path for no operation of its own.
        CallError::Service(refused) if refused.status == 403 || refused.status == 404 => {
            Failure::from(error).advise(
                "the endpoint must be a Millstream server, and the key must be allowed \
                 firehose:DescribeDeliveryStream",
            )
        }
        _ => Failure::from(error),
    })?;
    let mut report: Report = serde_json::from_slice(&answer)
        .map_err(|error| Failure::failed(format!("the server's report does not read: {error}")))?;
    if let Some(name) = name {
        report.delivery_streams.retain(|stream| stream.name == name);
        if report.delivery_streams.is_empty() {
            return Err(Failure::failed(format!("no delivery stream is called {name}"))
                .advise("`millstream firehose status` lists them all"));
        }
    }
    Ok(report)
}

fn as_json(report: &Report) -> serde_json::Value {
    serde_json::to_value(report).expect("numbers and texts can be written")
}

/// Who reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Here,
    Gone,
}

fn print(text: &str) -> Outcome<Reader> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Here),
        // `| head` has seen enough: no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::failed(error)),
    }
}
