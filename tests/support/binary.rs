//! Runs the built binary as a user would.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::emulator::Emulator;

/// Exit code and output of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The JSON document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// Fails the test unless the run succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Fails the test unless the run exited with this code and printed one sentence on stderr that contains every part.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        // What is not found is looked for again, which is said first.
        let is_notice = |line: &&str| line.is_empty() || line.contains("; looking again for ");
        let sentences: Vec<_> = self.err.lines().filter(|line| !is_notice(line)).collect();
        assert_eq!(sentences.len(), 1, "one sentence: {self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} in {self:#?}");
        }
        assert!(!self.err.contains('\u{1b}') && !self.err.contains('\u{7}'), "{self:#?}");
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary, with no other environment variables than the server's.
pub(crate) fn command(emulator: &Emulator) -> Command {
    command_through(emulator, &emulator.url())
}

/// The same, with another URL for the server, such as that of a proxy.
pub(crate) fn command_through(emulator: &Emulator, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hatchery"));
    command.env_clear().envs(emulator.env_through(url)).env("HATCHERY_OWNER", "amy").stdin(Stdio::null());
    command
}

/// Runs the binary and waits for it.
pub(crate) fn hatchery(emulator: &Emulator, arguments: &[&str]) -> Run {
    command(emulator).args(arguments).output().unwrap().into()
}
