//! The binary while it runs: its lines as they come, signals, and its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::binary::Run;

/// A running process. It is killed when this is dropped.
pub(crate) struct Running {
    process: Child,
    out: Receiver<String>,
    err: Receiver<String>,
    /// The lines of stdout so far.
    pub(crate) lines: Vec<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, out) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The test no longer listens if it has failed.
                let _ = sender.send(line);
            }
        });
        let (sender, err) = channel();
        let mut stderr = process.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            let _ = sender.send(text);
        });
        Self { process, out, err, lines: Vec::new() }
    }

    /// Waits for a line that contains this text.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.lines.iter().any(|line| line.contains(text)) {
            let left = Duration::from_mins(1).saturating_sub(start.elapsed());
            match self.out.recv_timeout(left) {
                Ok(line) => self.lines.push(line),
                Err(error) => panic!("{text:?} was not printed ({error}): {:#?}", self.lines),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        send_signal("INT", self.process.id());
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub(crate) fn wait_for_exit(mut self) -> Run {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < Duration::from_mins(1), "it does not end: {:#?}", self.lines);
            std::thread::park_timeout(Duration::from_millis(20));
        };
        self.lines.extend(self.out.iter());
        let out = self.lines.iter().map(|line| format!("{line}\n")).collect();
        Run { code: status.code().unwrap_or(-1), out, err: self.err.recv().unwrap() }
    }
}

/// Sends a signal, such as `TERM`, to a process.
#[track_caller]
pub(crate) fn send_signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors are ignored: the process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
