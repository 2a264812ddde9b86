//! The command line as people read it: its help, written down.

use clap::CommandFactory;

use crate::cli::Cli;

/// What `millstream help` and each command's `--help` print. `UPDATE_SNAPSHOTS=1` writes it anew.
#[test]
fn the_help_is_as_it_was_written_down() {
    let mut text = String::new();
    let mut cli = Cli::command().term_width(100);
    cli.build();
    write_help(&mut cli, "millstream", &mut text);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/help.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        #[allow(clippy::disallowed_methods)] // A test's own file.
        std::fs::write(path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == expected, "the help has changed: UPDATE_SNAPSHOTS=1 writes {path} anew");
}

fn write_help(command: &mut clap::Command, name: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    text.extend(["$ ", name, " --help\n", &help, "\n"]);
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
        .map(|command| command.get_name().to_owned())
        .collect();
    for subcommand in names {
        let found = command.find_subcommand_mut(&subcommand).expect("just listed");
        write_help(found, &format!("{name} {subcommand}"), text);
    }
}

#[test]
fn every_setting_has_its_flag() {
    let cli = Cli::command();
    let dev = cli.find_subcommand("dev").expect("there is one");
    for key in crate::settings::KEYS {
        let flag = match key.name {
            "init_streams" => "init-stream".to_owned(),
            "tls_names" => "tls-name".to_owned(),
            name => name.replace('_', "-"),
        };
        let found = dev.get_arguments().any(|argument| argument.get_long() == Some(&flag));
        assert!(found, "--{flag}");
    }
}
