//! `dev` and `serve`: the server, for development and for real.

use clap::Args;

use crate::exit::{Failure, Outcome};
use crate::settings::SettingsFlags;

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
pub(crate) async fn dev(_arguments: DevArguments) -> Outcome {
    Err(Failure::failed("not wired yet"))
}

/// Serves whoever signs.
pub(crate) async fn serve(_arguments: ServeArguments) -> Outcome {
    Err(Failure::failed("not wired yet"))
}
