//! `tls`: the local certificate authority, for clients that insist on TLS.

use clap::{Args, Subcommand};

use super::config::checked;
use crate::exit::Outcome;
use crate::serving::data_dir::DataDir;
use crate::serving::tls_files::{authority, authority_path};
use crate::settings::PlaceFlags;

#[derive(Args, Debug)]
#[command(after_help = "\
KPL, Fluent Bit and others speak TLS only. Serve it with --tls-listen, and let them trust this
authority; its private key stays in the data directory, readable by its owner only.

Examples:
  millstream dev --tls-listen 127.0.0.1:4567
  millstream tls ca > ca.pem
  AWS_CA_BUNDLE=ca.pem aws --endpoint-url https://127.0.0.1:4567 kinesis list-streams
  millstream tls path --data-dir /var/lib/millstream")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the authority's certificate; it is made where there is none
    Ca {
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Print where the authority's certificate lies
    Path {
        #[command(flatten)]
        place: PlaceFlags,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (Action::Ca { place } | Action::Path { place }) = &arguments.action;
    let (_, settings) = checked(&place.settings())?;
    let data_dir = DataDir::open_telling(&settings.data_dir)?;
    let authority = authority(&data_dir)?;
    match arguments.action {
        Action::Ca { .. } => print!("{}", authority.pem.certificate),
        Action::Path { .. } => println!("{}", authority_path(&data_dir).display()),
    }
    Ok(())
}
