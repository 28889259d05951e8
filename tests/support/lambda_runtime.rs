//! AWS Lambda's runtime API, and the binary as the function that it runs.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::fs::File;
use std::io::{Error, Result, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::emulator::Emulator;
use super::http::{Request, response, serve};

/// What the function reports about an invocation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// `POST …/invocation/ID/response`.
    Response(Value),
    /// `POST …/invocation/ID/error`: the invocation failed.
    Error(Value),
    /// `POST …/init/error`: the function did not start.
    InitError(Value),
}

impl Outcome {
    #[track_caller]
    pub(crate) fn response(self) -> Value {
        match self {
            Self::Response(document) => document,
            other => panic!("not a response: {other:#?}"),
        }
    }

    /// Fails the test unless the invocation failed with this type and these parts in its message.
    #[track_caller]
    pub(crate) fn assert_failure(self, kind: &str, parts: &[&str]) {
        let Self::Error(error) = self else { panic!("not a failure: {self:#?}") };
        assert_eq!(error["errorType"], kind, "{error}");
        for part in parts {
            assert!(error["errorMessage"].as_str().unwrap().contains(part), "{part:?} in {error}");
        }
    }
}

/// A function with the runtime API that it polls. It is killed when this is dropped.
pub(crate) struct LambdaFunction {
    process: Child,
    folder: tempfile::TempDir,
    events: Sender<(String, String)>,
    outcomes: Receiver<(String, Outcome)>,
    invocations: u32,
    /// The time-out of the next invocations in milliseconds.
    timeout: Arc<AtomicU64>,
}

impl LambdaFunction {
    /// Starts the binary as Lambda does, with these variables beside those that reach the server.
    pub(crate) fn start(emulator: &Emulator, variables: &[(&str, &str)]) -> Self {
        let (events, queue) = channel();
        let (sender, outcomes) = channel();
        let (queue, sender) = (Mutex::new(queue), Mutex::new(sender));
        let timeout = Arc::new(AtomicU64::new(240_000));
        let limit = Arc::clone(&timeout);
        let address =
            serve(move |request, client| serve_runtime_api(request, client, &queue, &sender, &limit));
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_hatchery"))
            .env_clear()
            .envs(emulator.env())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "hatchery")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { process, folder, events, outcomes, invocations: 0, timeout }
    }

    /// Sets the time-out of the function.
    pub(crate) fn set_timeout(&self, timeout: Duration) {
        self.timeout.store(u64::try_from(timeout.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Invokes the function with a JSON event.
    #[track_caller]
    pub(crate) fn invoke(&mut self, event: &Value) -> Outcome {
        self.invoke_with(&event.to_string())
    }

    /// Invokes the function with any payload.
    #[track_caller]
    pub(crate) fn invoke_with(&mut self, payload: &str) -> Outcome {
        self.invocations += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.invocations);
        self.events.send((id.clone(), payload.to_owned())).unwrap();
        let (answered, outcome) = self
            .outcomes
            .recv_timeout(Duration::from_mins(1))
            .unwrap_or_else(|_| panic!("the invocation was not answered; the log: {}", self.log()));
        assert_eq!(answered, id, "{outcome:#?}");
        outcome
    }

    /// Invokes the function again with the id of the last request, as Lambda does after a failure or a time-out.
    #[track_caller]
    pub(crate) fn repeat(&mut self, event: &Value) -> Outcome {
        self.invocations -= 1;
        self.invoke(event)
    }

    /// What the function has written to stdout.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Returns the peak of the process's resident memory in kB, from Linux's `VmHWM`.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whether the process still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for LambdaFunction {
    fn drop(&mut self) {
        // Errors are ignored: the process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve_runtime_api(
    request: &Request,
    mut client: TcpStream,
    events: &Mutex<Receiver<(String, String)>>,
    outcomes: &Mutex<Sender<(String, Outcome)>>,
    timeout: &AtomicU64,
) -> Result<()> {
    const INVOCATION: &str = "/2018-06-01/runtime/invocation/";
    let answer = match request.route().split_once(' ') {
        Some(("GET", "/2018-06-01/runtime/invocation/next")) => next(events, timeout)?,
        Some(("POST", "/2018-06-01/runtime/init/error")) => {
            let outcome = Outcome::InitError(request.json());
            report(outcomes, "init", outcome)?;
            accepted()
        }
        Some(("POST", path)) => {
            let reported = path.strip_prefix(INVOCATION).and_then(|rest| rest.split_once('/'));
            match reported {
                Some((id, "response")) => report(outcomes, id, Outcome::Response(request.json()))?,
                Some((id, "error")) => report(outcomes, id, Outcome::Error(request.json()))?,
                _ => return Err(Error::other(format!("no such route: {path}"))),
            }
            accepted()
        }
        _ => return Err(Error::other(format!("no such route: {}", request.route()))),
    };
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}

/// Waits for the next event. An error if the test has ended.
fn next(events: &Mutex<Receiver<(String, String)>>, timeout: &AtomicU64) -> Result<Vec<u8>> {
    let (id, event) = events.lock().unwrap().recv().map_err(Error::other)?;
    let deadline = SystemTime::now() + Duration::from_millis(timeout.load(Ordering::Relaxed));
    let deadline = deadline.duration_since(UNIX_EPOCH).map_err(Error::other)?.as_millis();
    let headers = [
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Aws-Request-Id", id.as_str()),
        ("Lambda-Runtime-Deadline-Ms", &deadline.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:hatchery"),
        (
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        ),
    ];
    Ok(response("200 OK", &headers, &event))
}

fn report(outcomes: &Mutex<Sender<(String, Outcome)>>, id: &str, outcome: Outcome) -> Result<()> {
    outcomes.lock().unwrap().send((id.to_owned(), outcome)).map_err(Error::other)
}

fn accepted() -> Vec<u8> {
    response("202 Accepted", &[("Content-Type", "application/json")], r#"{"status":"OK"}"#)
}
