//! `config`: check settings before a start, and explain where each value came from.

use clap::{Args, Subcommand};

use crate::exit::{Failure, Outcome};
use crate::serving::key_files::MASTER_KEY_VARIABLE;
use crate::settings::{Effective, KEYS, Settings, SettingsError, SettingsFlags};
use crate::terminal::{Align, Style, Table};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  millstream config show                              the values in force, and whence
  millstream config show --explain                    each setting's meaning, form and names
  millstream config check --config millstream.toml    exit code 2 where something is wrong
  MILLSTREAM_LIMITS=aws millstream config show")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read all layers and say what is wrong, without starting anything
    Check {
        #[command(flatten)]
        settings: SettingsFlags,
    },
    /// Print the values in force as TOML, each with where it came from
    Show {
        #[command(flatten)]
        settings: SettingsFlags,
        /// Say also what each setting means and takes
        #[arg(long)]
        explain: bool,
    },
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    match arguments.action {
        Action::Check { settings } => {
            checked(&settings)?;
            println!("settings are good");
            Ok(())
        }
        Action::Show { settings, explain } => {
            let (effective, _) = checked(&settings)?;
            print!("{}", if explain { explained(&effective) } else { shown(&effective) });
            Ok(())
        }
    }
}

/// The settings that a start with these flags would have.
pub(crate) fn checked(flags: &SettingsFlags) -> Outcome<(Effective, Settings)> {
    Settings::gather(flags).map_err(|wrong| refused(&wrong))
}

fn refused(wrong: &[SettingsError]) -> Failure {
    let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    Failure::usage(lines.join("\n       "))
        .advise("`millstream config show --explain` lists every setting, its form and default")
}

/// A TOML file that would set the same again.
fn shown(effective: &Effective) -> String {
    let mut table = Table::new(&[("# setting", Align::Left), ("# from", Align::Left)]);
    for key in KEYS {
        let (value, origin) = effective.get(key.name);
        table.row(vec![
            format!("{} = {}", key.name, toml_value(key.name, value)),
            format!("# {origin}"),
        ]);
    }
    table.render(Style::of_stdout()) + "\n"
}

fn toml_value(key: &str, value: &str) -> String {
    match value.parse::<u64>() {
        // An account is digits too, and stays a text.
        Ok(number) if key != "account" => number.to_string(),
        _ => toml::Value::String(value.to_owned()).to_string(),
    }
}

fn explained(effective: &Effective) -> String {
    let style = Style::of_stdout();
    let mut blocks = Vec::new();
    for key in KEYS {
        let (value, origin) = effective.get(key.name);
        let flag = match key.name {
            "init_streams" => "--init-stream".to_owned(),
            "tls_names" => "--tls-name".to_owned(),
            name => format!("--{}", name.replace('_', "-")),
        };
        let variable = format!("MILLSTREAM_{}", key.name.to_ascii_uppercase());
        blocks.push(format!(
            "{} = {}   {}\n    {}\n    takes {}; default \"{}\"; also {variable}, {flag}\n\n",
            style.bold(key.name),
            toml_value(key.name, value),
            style.dim(&format!("# {origin}")),
            key.meaning,
            key.form,
            key.default,
        ));
    }
    blocks.push(format!(
        "{} is no setting, since settings are shown: 64 hexadecimal digits that all secrets are\n\
         sealed under, in place of the file keys/master.key in the data directory.\n",
        style.bold(MASTER_KEY_VARIABLE)
    ));
    blocks.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_show_prints_is_a_config_file_that_sets_the_same() {
        let text = shown(&Effective::of([]));
        let path =
            std::env::temp_dir().join(format!("millstream-show-{}.toml", std::process::id()));
        #[allow(clippy::disallowed_methods)] // A test's own file.
        std::fs::write(&path, &text).unwrap();
        let (layer, wrong) = crate::settings::file_layer(&path);
        assert!(wrong.is_empty(), "{wrong:?}");
        std::fs::remove_file(&path).unwrap();
        let again = Settings::check(&Effective::of([layer])).expect("valid");
        assert_eq!(Ok(again), Settings::check(&Effective::of([])).map_err(drop));
    }
}
