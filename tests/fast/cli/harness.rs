//! Runs the command line in process on a simulated cloud, and the built binary without any cloud.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};

use hatchery::cli::{Console, Platform, run_on};
use hatchery::clock::Clock;
use hatchery::cloud::DynAccount;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::tui::Zone;
use serde_json::Value;
use tempfile::TempDir;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A finished run: its command line, exit code and streams.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) code: ExitCode,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, ExitCode::SUCCESS, "{self:#?}");
        self
    }

    /// The JSON document on standard output, indented.
    #[track_caller]
    pub(crate) fn pretty_json(&self) -> String {
        let document: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        assert_eq!(document["version"], 1);
        serde_json::to_string_pretty(&document).unwrap()
    }

    /// The command line, the exit code and standard error.
    pub(crate) fn transcript(&self) -> String {
        let code = (0..=u8::MAX).find(|code| self.code == ExitCode::from(*code)).unwrap();
        format!("$ {}\nexit {code}\n{}\n", self.command, self.err)
    }
}

fn quote(argument: &str) -> String {
    if argument.is_empty() || argument.contains([' ', '"', '\u{1b}', '\u{7}']) {
        format!("{argument:?}")
    } else {
        argument.to_owned()
    }
}

fn command_line(arguments: &[&str]) -> String {
    let line: Vec<_> = std::iter::once("hatchery".to_owned())
        .chain(arguments.iter().map(|argument| quote(argument)))
        .collect();
    let line = line.join(" ");
    if line.len() > 200 { format!("{} …", &line[..60]) } else { line }
}

/// A user, amy, of a simulated account. Each run takes up the account where the last one left it.
pub(crate) struct TestAccount {
    pub(crate) sim: SimCloud,
    pub(crate) clock: Clock,
    config: TempDir,
    /// The computer's time zone.
    pub(crate) zone: Zone,
}

impl TestAccount {
    pub(crate) fn new(scenario: &str) -> Self {
        Self::with_seed(scenario, 7)
    }

    pub(crate) fn with_seed(scenario: &str, seed: u64) -> Self {
        let scenario = Scenario::parse(scenario).unwrap();
        let clock = Clock::virtual_from("2026-03-10T12:00:00Z".parse().unwrap(), 1.0);
        let sim = SimCloud::new(scenario, seed, clock.clone());
        let config = tempfile::tempdir().unwrap();
        std::fs::write(config.path().join("config.toml"), "owner = \"amy\"\n").unwrap();
        Self { sim, clock, config, zone: chrono_tz::UTC.into() }
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, None, self.sim.caller("amy")).await
    }

    /// As [`Self::run`], with a user who answers the question.
    pub(crate) async fn run_and_answer(&self, arguments: &[&str], answer: &str) -> Run {
        self.run_with(arguments, Some(answer), self.sim.caller("amy")).await
    }

    pub(crate) async fn run_with(
        &self,
        arguments: &[&str],
        answer: Option<&str>,
        account: DynAccount,
    ) -> Run {
        let (out, err) = (Buffer::default(), Buffer::default());
        let console = Console::on_buffers(answer, out.clone(), err.clone());
        let (clock, hostname) = (self.clock.clone(), "ci".to_owned());
        let platform = Platform { account, clock, console, zone: self.zone, hostname, seed: 1 };
        let config = self.config.path().join("config.toml").into_os_string();
        let program = ["hatchery".into(), "--config".into(), config];
        let code =
            Box::pin(run_on(platform, program.into_iter().chain(arguments.iter().map(OsString::from)))).await;
        Run { command: command_line(arguments), code, out: out.text(), err: err.text() }
    }
}

/// Runs the built binary in a clean environment, without a terminal, 100 columns wide.
pub(crate) fn run_binary(arguments: &[&str], home: &Path) -> Run {
    run_binary_with(arguments, home, &[])
}

/// As [`run_binary`], with these environment variables.
pub(crate) fn run_binary_with(arguments: &[&str], home: &Path, variables: &[(&str, &OsStr)]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_hatchery"))
        .args(arguments)
        .env_clear()
        .envs([("COLUMNS", "100"), ("HATCHERY_OWNER", "amy")])
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(home.to_str().unwrap(), "HOME");
    Run {
        command: command_line(arguments).replace(home.to_str().unwrap(), "HOME"),
        code: ExitCode::from(u8::try_from(output.status.code().unwrap()).unwrap()),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}
