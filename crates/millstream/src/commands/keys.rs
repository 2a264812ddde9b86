//! `keys`: access keys, made, listed and deleted in the data directory of a server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use millstream_auth::{AccessKeySummary, NewAccessKey, Policy, PolicyKind};

use super::config::checked;
use super::streams::moment;
use crate::exit::{Failure, Outcome};
use crate::serving::data_dir::DataDir;
use crate::serving::key_files::KeyFiles;
use crate::settings::{PlaceFlags, SettingsFlags};
use crate::terminal::{Align, Style, Table};

#[derive(Args, Debug)]
#[command(after_help = "\
Run it on the server's machine; a server that is running takes notice within a second.
A key without --user is the account's own and may do everything. A policy is IAM's JSON:
  {\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\",
    \"Action\": [\"kinesis:Get*\", \"kinesis:List*\", \"kinesis:Describe*\"], \"Resource\": \"*\"}]}

Examples:
  millstream keys create --user reader --policy read-only.json
  millstream keys list --data-dir /var/lib/millstream
  millstream keys delete AKIA…
  millstream keys create --user ci --policy ci.json --env > ci.env
  eval \"$(millstream keys create --env)\"       a key for this shell")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and print it; its secret is never shown again
    Create {
        /// Whose key it is; without it the account's own, which may do everything
        #[arg(long, value_name = "NAME", visible_alias = "name")]
        user: Option<String>,
        /// What the user may do: a file with an IAM policy (repeat for more)
        #[arg(long = "policy", value_name = "FILE", requires = "user")]
        policies: Vec<PathBuf>,
        /// Print it as variables for a shell
        #[arg(long)]
        env: bool,
        /// The account its holder belongs to [default: the server's, 000000000000]
        #[arg(long, value_name = "ID")]
        account: Option<String>,
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// All keys, without their secrets
    List {
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Delete a key
    Delete {
        /// The key
        access_key_id: String,
        #[command(flatten)]
        place: PlaceFlags,
    },
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    match arguments.action {
        Action::Create { user, policies, env, account, place } => {
            let policies = policies.iter().map(policy).collect::<Outcome<Vec<Policy>>>()?;
            let has_policies = !policies.is_empty();
            let (_, settings) = checked(&SettingsFlags { account, ..place.settings() })?;
            let files = KeyFiles::open(&DataDir::open_telling(&settings.data_dir)?)?;
            let user_name = user.clone();
            let new = NewAccessKey { account: settings.account, user_name, policies };
            let created = files.create(new)?;
            println!("{}", printed(&created, env));
            if user.is_some() && !has_policies {
                eprintln!("note: without --policy this user may do nothing yet");
            }
            Ok(())
        }
        Action::List { place } => {
            let files = opened(&place)?;
            let mut table = Table::new(&[
                ("ACCESS KEY ID", Align::Left),
                ("ACCOUNT", Align::Left),
                ("USER", Align::Left),
                ("POLICIES", Align::Right),
                ("CREATED", Align::Left),
            ]);
            files.read()?.list().for_each(|key| table.row(row(key)));
            println!("{}", table.render(Style::of_stdout()));
            Ok(())
        }
        Action::Delete { access_key_id, place } => {
            let files = opened(&place)?;
            if !files.change(|keys| Ok(keys.delete(&access_key_id)))? {
                return Err(Failure::failed(format!("no key {access_key_id}"))
                    .advise("`millstream keys list` shows what is there"));
            }
            println!("{access_key_id} is deleted");
            Ok(())
        }
    }
}

/// A new key as it is shown the one time that it is.
pub(crate) fn printed(created: &millstream_auth::CreatedAccessKey, env: bool) -> String {
    let (id, secret) = (&created.access_key_id, created.secret_access_key.expose());
    if env {
        format!("export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}")
    } else {
        format!("access key id      {id}\nsecret access key  {secret}   (shown only now)")
    }
}

fn opened(place: &PlaceFlags) -> Outcome<KeyFiles> {
    let (_, settings) = checked(&place.settings())?;
    let data_dir = DataDir::at(&settings.data_dir);
    if !data_dir.keys().is_dir() {
        return Err(Failure::failed(format!("no keys in {}", settings.data_dir.display()))
            .advise("name the server's directory with --data-dir"));
    }
    KeyFiles::open(&data_dir)
}

fn policy(path: &PathBuf) -> Outcome<Policy> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    Policy::parse(&text, PolicyKind::Identity)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn row(key: &AccessKeySummary) -> Vec<String> {
    vec![
        key.access_key_id.clone(),
        key.account.to_string(),
        key.user_name.clone().unwrap_or_else(|| "(the account)".to_owned()),
        key.policies.len().to_string(),
        moment(key.created),
    ]
}
