//! Runs the commands of a document and compares what they print with what the document shows.
//!
//! A `console` block contains commands, each after `$ `, and their output. `…` stands for any text of a line, and a line of its own for
//! any lines.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use snapbox::IntoData as _;

/// A command and the output that the document shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// Returns the commands in the `console` blocks of a section, which ends at the next heading of the same level.
pub(crate) fn steps(document: &str, heading: &str) -> Vec<Step> {
    let level = heading.split_once(' ').unwrap().0;
    let section = document.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with('#') || line.starts_with(&format!("{level}#")));
    let mut steps: Vec<Step> = Vec::new();
    let mut is_console = false;
    for line in section {
        if let Some(language) = line.strip_prefix("```") {
            is_console = language == "console";
            continue;
        }
        if !is_console {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), output: String::new() });
            continue;
        }
        let step = steps.last_mut().expect("a block begins with a command");
        let text = if step.command.ends_with('\\') { &mut step.command } else { &mut step.output };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    assert!(!steps.is_empty(), "{heading:?} has no commands");
    steps
}

/// Runs commands in a folder, with variables that the document's `export` commands must name.
pub(crate) struct Shell {
    pub(crate) folder: PathBuf,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Shell {
    /// Runs a step and asserts that it prints what the document shows. `export` takes this shell's values instead of the document's.
    #[track_caller]
    pub(crate) fn run(&self, step: &Step) {
        if let Some(exports) = step.command.strip_prefix("export ") {
            for name in
                exports.split_whitespace().filter_map(|export| export.split_once('=')).map(|(name, _)| name)
            {
                assert!(self.variables.contains_key(name), "the test has no value for {name}");
            }
            return;
        }
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{}", step.command)])
            .current_dir(&self.folder)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let expected = step
            .output
            .lines()
            .map(|line| if line == "…" { "...".to_owned() } else { line.replace('…', "[..]") });
        let expected = expected.collect::<Vec<_>>().join("\n");
        snapbox::Assert::new()
            .try_eq(Some(&step.command), printed.trim_end().into_data(), expected.into_data())
            .unwrap_or_else(|difference| panic!("{}\n{difference}\n{printed}", step.command));
    }
}
