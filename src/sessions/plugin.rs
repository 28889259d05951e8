//! AWS's Session Manager plugin: its versions, its command line and its process.

use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::cloud::ManagedSession;
use crate::domain::{EnvironmentId, text};
use crate::failure::{Failure, Kind};

const PROGRAM: &str = "session-manager-plugin";
const INSTALLATION: &str = "https://docs.aws.amazon.com/systems-manager/latest/userguide/\
    session-manager-working-with-install-plugin.html";

/// The environment variable with the response of `StartSession`; its name is the first argument. An argument is visible to all users of
/// the computer, the environment is not. The AWS CLI does the same.
/// <https://github.com/aws/aws-cli/blob/v2/awscli/customizations/sessionmanager.py>
const RESPONSE_VARIABLE: &str = "AWS_SSM_START_SESSION_RESPONSE";

/// The last version that takes the response as an argument only, according to the AWS CLI.
const LAST_WITHOUT_VARIABLE: [u32; 4] = [1, 2, 497, 0];

/// The address on which the plugin listens, whatever the user's environment says.
const HOST_VARIABLE: &str = "SSM_PLUGIN_LOCAL_HOST";

const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const READY_INTERVAL: Duration = Duration::from_millis(50);
/// How long the plugin may take to end after a signal.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the output of a plugin that has ended may take to arrive.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);
/// How much of the plugin's output is kept, in bytes.
const MAX_OUTPUT: usize = 4_096;

/// A version of the plugin, such as `1.2.707.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginVersion([u32; 4]);

impl PluginVersion {
    /// Parses the output of `--version`: one to four numbers.
    fn parse(output: &str) -> Option<Self> {
        let mut numbers = [0; 4];
        let parts: Vec<_> = output.trim().split('.').collect();
        if parts.len() > numbers.len() {
            return None;
        }
        for (number, part) in numbers.iter_mut().zip(parts) {
            *number = part.parse().ok()?;
        }
        Some(Self(numbers))
    }

    fn takes_variable(&self) -> bool {
        self.0 > LAST_WITHOUT_VARIABLE
    }
}

impl fmt::Display for PluginVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, build] = self.0;
        write!(f, "{major}.{minor}.{patch}.{build}")
    }
}

/// Returns the version of the installed plugin, or `None` if it does not say one.
///
/// # Errors
/// Returns an error if the plugin is not installed or does not run.
pub(crate) async fn find_version() -> Result<Option<PluginVersion>, Failure> {
    let mut command = Command::new(PROGRAM);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    match timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => Ok(PluginVersion::parse(&String::from_utf8_lossy(&output.stdout))),
        Ok(Err(error)) => Err(start_failure(&error)),
        Err(_) => {
            let message = format!("{PROGRAM} --version does not end");
            Err(Failure::new(Kind::Failed, message, format!("install the plugin again: {INSTALLATION}")))
        }
    }
}

fn start_failure(error: &std::io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        let message = format!("{PROGRAM} is not installed; environments are reached through it");
        return Failure::new(Kind::Failed, message, format!("install it: {INSTALLATION}"));
    }
    let message = format!("cannot run {PROGRAM}: {error}");
    Failure::new(Kind::Failed, message, format!("install the plugin again: {INSTALLATION}"))
}

/// Returns the plugin's command line for a session. The plugin is killed when it is dropped.
fn command(session: &ManagedSession, version: Option<&PluginVersion>) -> Command {
    let mut command = Command::new(PROGRAM);
    if version.is_some_and(PluginVersion::takes_variable) {
        command.arg(RESPONSE_VARIABLE).env(RESPONSE_VARIABLE, session.response());
    } else {
        command.arg(session.response());
    }
    command
        .args([&session.region, "StartSession", &session.profile])
        .args([&session.request.to_string(), &session.endpoint])
        .env(HOST_VARIABLE, Ipv4Addr::LOCALHOST.to_string())
        .kill_on_drop(true);
    command
}

/// A running plugin that forwards a port. It is killed when this is dropped.
pub(super) struct Plugin {
    child: Child,
    output: Output,
    environment: EnvironmentId,
}

impl Plugin {
    /// Starts the plugin, which connects to the session and listens on the session's local port.
    pub(super) fn start(
        session: &ManagedSession,
        version: Option<&PluginVersion>,
        environment: &EnvironmentId,
    ) -> Result<Self, Failure> {
        let mut command = command(session, version);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C in the terminal must not reach the plugin before hatchery.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| start_failure(&error))?;
        let output = Output::read(&mut child);
        Ok(Self { child, output, environment: environment.clone() })
    }

    /// Waits until the plugin accepts connections.
    pub(super) async fn accepts(&mut self, port: u16) -> Result<(), Failure> {
        let connected = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                sleep(READY_INTERVAL).await;
            }
        };
        tokio::select! {
            // First, because another process may listen on the port, and the plugin then ends.
            biased;
            reason = reason_of_exit(&mut self.child, &mut self.output) => {
                let message = format!("cannot forward a port to {}: {reason}", self.environment);
                Err(Failure::new(Kind::Failed, message, "try again"))
            }
            () = connected => Ok(()),
            () = sleep(READY_TIMEOUT) => {
                let reason = format!("{PROGRAM} does not listen on port {port}");
                let message = format!("cannot forward a port to {}: {reason}", self.environment);
                let hint = "check that this network allows WebSocket connections to AWS";
                Err(Failure::new(Kind::Failed, message, hint))
            }
        }
    }

    /// Waits until the plugin ends by itself, and returns why.
    pub(super) async fn exited(&mut self) -> Failure {
        let reason = reason_of_exit(&mut self.child, &mut self.output).await;
        let message = format!("the port forward to {} has ended: {reason}", self.environment);
        Failure::new(Kind::Failed, message, "open it again")
    }

    /// Ends the plugin: with SIGINT, on which it closes the session and removes its socket, or else by force.
    pub(super) async fn stop(&mut self) {
        end(&mut self.child, Ending::Interrupt).await;
    }
}

/// A plugin that has the user's terminal. Keys that send signals reach it and hatchery alike.
pub(super) struct ForegroundPlugin {
    child: Child,
    output: Output,
}

impl ForegroundPlugin {
    /// Starts the plugin on the terminal of this process. Standard output stays the terminal, whose size the plugin asks for.
    pub(super) fn start(session: &ManagedSession, version: Option<&PluginVersion>) -> Result<Self, Failure> {
        let mut command = command(session, version);
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| start_failure(&error))?;
        let output = Output::read_and_show(&mut child);
        Ok(Self { child, output })
    }

    /// Waits until the plugin ends by itself. Returns its exit code as shells report it, and its last words on standard error.
    pub(super) async fn ended(&mut self) -> (u8, Option<String>) {
        let code = self.child.wait().await.map_or(1, exit_code);
        (code, self.output.last_line().await)
    }

    pub(super) async fn stop(&mut self) {
        // SIGINT would be a key for the remote program.
        end_process(&mut self.child).await;
    }
}

/// Returns the exit code of a process as shells report it: 128 and the number of the signal that ended it.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return u8::try_from(128 + signal).unwrap_or(u8::MAX);
        }
    }
    status.code().map_or(1, |code| u8::try_from(code).unwrap_or(u8::MAX))
}

/// Runs the plugin until it ends, and returns what it wrote to standard output: at most so many bytes of its end.
pub(super) async fn read_output(
    session: &ManagedSession,
    version: Option<&PluginVersion>,
    max: usize,
) -> Result<(ExitStatus, Vec<u8>), Failure> {
    let mut command = command(session, version);
    // The plugin fails at the end of its input, so that stays open.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A Ctrl-C in the terminal must not reach the plugin before hatchery.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| start_failure(&error))?;
    let _input = child.stdin.take();
    let tail = Arc::new(Mutex::new(Vec::new()));
    let reader = child.stdout.take().map(|stdout| keep_tail(stdout, tail.clone(), max, false));
    let (status, ()) = tokio::join!(child.wait(), async {
        if let Some(reader) = reader {
            reader.await;
        }
    });
    let status = status.map_err(|error| start_failure(&error))?;
    let output = std::mem::take(&mut *tail.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((status, output))
}

/// Ends a process with SIGTERM, or else by force.
pub(crate) async fn end_process(child: &mut Child) {
    end(child, Ending::Terminate).await;
}

/// The signal that asks a process to end.
#[derive(Clone, Copy)]
#[cfg_attr(not(unix), allow(dead_code))]
enum Ending {
    Interrupt,
    Terminate,
}

/// Ends a process: with a signal, or else by force.
#[cfg_attr(not(unix), allow(unused_variables))]
async fn end(child: &mut Child, ending: Ending) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match ending {
            Ending::Interrupt => Signal::INT,
            Ending::Terminate => Signal::TERM,
        };
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid
            && kill_process(pid, signal).is_ok()
            && timeout(STOP_TIMEOUT, child.wait()).await.is_ok()
        {
            return;
        }
    }
    // An error means that it has ended.
    let _ = child.kill().await;
}

/// Waits until the plugin ends by itself, and returns its status and its last line.
async fn reason_of_exit(child: &mut Child, output: &mut Output) -> String {
    let status = child.wait().await.map_or_else(|error| error.to_string(), describe);
    let line = output.last_line().await.map(|line| format!(": {line}")).unwrap_or_default();
    format!("{PROGRAM} ended ({status}){line}")
}

fn describe(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

/// The end of what a process writes. It is read all the time, because a full pipe would stop the process.
struct Output {
    tails: [Arc<Mutex<Vec<u8>>>; 2],
    readers: Vec<JoinHandle<()>>,
}

impl Output {
    fn read(child: &mut Child) -> Self {
        Self::read_with(child, false)
    }

    /// Also writes what the process writes to standard error there.
    fn read_and_show(child: &mut Child) -> Self {
        Self::read_with(child, true)
    }

    fn read_with(child: &mut Child, shown: bool) -> Self {
        let tails: [Arc<Mutex<Vec<u8>>>; 2] = Default::default();
        let mut readers = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(keep_tail(stderr, tails[0].clone(), MAX_OUTPUT, shown)));
        }
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(keep_tail(stdout, tails[1].clone(), MAX_OUTPUT, false)));
        }
        Self { tails, readers }
    }

    /// Returns the last line of stderr after the end of the process, or else of stdout, where the plugin writes most of its errors.
    async fn last_line(&mut self) -> Option<String> {
        // A process that inherited the pipes may keep them open.
        let _ = timeout(OUTPUT_TIMEOUT, futures::future::join_all(&mut self.readers)).await;
        self.readers.clear();
        self.tails.iter().find_map(|tail| last_line(&tail.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

async fn keep_tail(mut pipe: impl AsyncRead + Unpin, tail: Arc<Mutex<Vec<u8>>>, max: usize, shown: bool) {
    let mut buffer = [0; 1_024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        if shown {
            // A terminal that is gone cannot show it.
            let _ = std::io::stderr().write_all(&buffer[..count]);
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&buffer[..count]);
        let excess = tail.len().saturating_sub(max);
        tail.drain(..excess);
    }
}

/// Returns the last line that is not empty, sanitised.
pub(super) fn last_line(output: &[u8]) -> Option<String> {
    let output = String::from_utf8_lossy(output);
    output.lines().rev().map(|line| text::sanitize(line).trim().to_owned()).find(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1.2.497.0\n", Some(false))]
    #[case("1.2.536.0\r\n", Some(true))]
    #[case("1.2.30", Some(false))]
    #[case("1.10", Some(true))]
    #[case("2", Some(true))]
    #[case("", None)]
    #[case("1.2.536.0.1", None)]
    #[case("1.2.beta", None)]
    fn variable_is_taken_after_the_last_old_version(#[case] output: &str, #[case] takes: Option<bool>) {
        assert_eq!(PluginVersion::parse(output).map(|version| version.takes_variable()), takes);
    }

    #[test]
    fn last_line_is_sanitised_and_not_empty() {
        let output = b"Starting session\r\n\x1b[31mbind: address already in use\x1b[0m\r\n\n  \n";
        assert_eq!(last_line(output).as_deref(), Some("bind: address already in use"));
        assert_eq!(last_line(b" \n\n"), None);
    }
}
