//! The commands that need neither AWS nor a configuration: the manual page and the shell completions.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use rstest::rstest;

const COMMANDS: [&str; 18] = [
    "demo",
    "ls",
    "pool",
    "activity",
    "images",
    "launch",
    "extend",
    "terminate",
    "reset",
    "logs",
    "open",
    "engine",
    "doctor",
    "fleet",
    "stack",
    "completions",
    "man",
    "help",
];

fn run(arguments: &[&str]) -> String {
    let binary = env!("CARGO_BIN_EXE_hatchery");
    let output = Command::new(binary).args(arguments).env_clear().output().unwrap();
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn man_is_a_manual_page_of_every_command() {
    let page = run(&["man"]);
    assert!(page.contains(".TH hatchery 1"), "{page}");
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SUBCOMMANDS"] {
        assert!(page.contains(&format!("\n.SH {section}\n")), "{section}");
    }
    for command in COMMANDS {
        assert!(page.contains(&format!("\nhatchery\\-{command}(1)\n")), "{command}");
    }
    for option in ["fleet", "region", "read\\-only", "log\\-file"] {
        assert!(page.contains(&format!("\\fB\\-\\-{option}\\fR")), "{option}");
    }
}

#[rstest]
#[case::bash("bash", "complete -F _hatchery", &["-n"])]
#[case::zsh("zsh", "#compdef hatchery", &["-n"])]
#[case::fish("fish", "complete -c hatchery", &["--no-execute"])]
#[case::powershell("powershell", "Register-ArgumentCompleter -Native -CommandName 'hatchery'", &[])]
#[case::elvish("elvish", "set edit:completion:arg-completer[hatchery]", &["-compileonly"])]
fn completions_know_every_command(#[case] shell: &str, #[case] registration: &str, #[case] check: &[&str]) {
    let script = run(&["completions", shell]);
    assert!(script.contains(registration), "{script}");
    for command in COMMANDS {
        let named =
            script.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == command);
        assert!(named, "{command} in {script}");
    }
    for option in ["service", "ttl", "follow", "log-file"] {
        assert!(script.contains(option), "{option} in {script}");
    }
    // Where the shell is installed, it reads the script without running it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("completions");
    std::fs::write(&path, &script).unwrap();
    let mut checked = Command::new(shell);
    checked.args(check).arg(&path).stdin(Stdio::null());
    if let (false, Ok(output)) = (check.is_empty(), checked.output()) {
        assert!(output.status.success(), "{output:#?}");
    }
}

#[test]
fn completions_of_an_unknown_shell_name_the_known() {
    let binary = env!("CARGO_BIN_EXE_hatchery");
    let output = Command::new(binary).args(["completions", "tcsh"]).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        ["bash", "elvish", "fish", "powershell", "zsh"].iter().all(|shell| text.contains(shell)),
        "{text}"
    );
}

const RUNBOOK: &str = include_str!("../../docs/runbook.md");

#[test]
fn runbook_names_existing_commands() {
    let commands = RUNBOOK.split(['`', '\n']).filter_map(|text| text.strip_prefix("hatchery "));
    let commands: BTreeSet<Vec<&str>> = commands
        .map(|command| {
            let mut words = command.split_whitespace().take_while(|word| !word.starts_with(['-', '#']));
            let first = words.next().unwrap_or_default();
            let has_subcommands = matches!(first, "fleet" | "images");
            std::iter::once(first).chain(words.next().filter(|_| has_subcommands)).collect()
        })
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        run(&[command, vec!["--help"]].concat());
    }
}

#[test]
fn runbook_has_every_verdict() {
    let sources =
        [include_str!("../../src/domain/health.rs"), include_str!("../../src/domain/health/work.rs")];
    let codes: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.split("Level::").skip(1))
        .filter_map(|call| {
            let mut parts = call.split('"');
            let is_call = parts.next()?.trim_end().ends_with(',');
            is_call.then(|| parts.next()).flatten()
        })
        .filter(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    assert!(codes.contains("no-engine") && codes.contains("paused") && codes.len() > 15, "{codes:?}");
    let missing: Vec<_> = codes.iter().filter(|code| !RUNBOOK.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
