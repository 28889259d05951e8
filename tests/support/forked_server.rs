//! Servers that are forks of one process, in which Python has already imported them; see `fork_server.py`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The processes to fork, by the name of their module. They end with the test run, whose end closes their input.
static PARENTS: Mutex<BTreeMap<&'static str, Arc<Mutex<Parent>>>> = Mutex::new(BTreeMap::new());

/// A running server; dropping it ends the process.
pub(crate) struct ForkedServer {
    parent: Arc<Mutex<Parent>>,
    process: String,
    pub(crate) port: u16,
}

struct Parent {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl ForkedServer {
    /// Starts a server on a free port.
    pub(crate) fn start(python: &Path, module: &'static str, options: &Value) -> Self {
        let parent =
            PARENTS.lock().unwrap().entry(module).or_insert_with(|| Parent::start(python, module)).clone();
        let answer = parent.lock().unwrap().ask(&options.to_string());
        let (process, port) = answer.split_once(' ').unwrap_or_else(|| panic!("{module} did not come up"));
        let (process, port) = (process.to_owned(), port.parse().unwrap());
        Self { parent, process, port }
    }
}

impl Drop for ForkedServer {
    fn drop(&mut self) {
        // A panic of another test may have poisoned it, or the parent may have ended.
        if let Ok(mut parent) = self.parent.lock() {
            parent.ask(&format!("stop {}", self.process));
        }
    }
}

impl Parent {
    fn start(python: &Path, module: &str) -> Arc<Mutex<Self>> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fork_server.py");
        // Without writing bytecode beside the script.
        let mut command = Command::new(python);
        command
            .args(["-B", script, module])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{error}: {}", python.display()));
        let answers = BufReader::new(process.stdout.take().unwrap());
        Arc::new(Mutex::new(Self { process, answers }))
    }

    /// Returns the answer, which is empty if the process has ended.
    fn ask(&mut self, request: &str) -> String {
        let mut answer = String::new();
        if writeln!(self.process.stdin.as_mut().unwrap(), "{request}").is_ok() {
            let _ = self.answers.read_line(&mut answer);
        }
        answer.trim().to_owned()
    }
}
