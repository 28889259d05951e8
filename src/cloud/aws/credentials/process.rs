//! Credentials that a program of the user prints.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>

use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::process::Command;

use super::error::{auth, shorten};
use crate::cloud::Result;

/// How long it may take: it can wait for the user to touch a key or to log in with a browser.
const TIMEOUT: Duration = Duration::from_mins(3);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<DateTime<Utc>>,
}

/// Runs the `credential_process` of a profile. If it is not awaited to its end, the program is ended too.
pub(super) async fn run(profile: &str, command: &str) -> Result<Credentials> {
    run_within(TIMEOUT, profile, command).await
}

async fn run_within(timeout: Duration, profile: &str, command: &str) -> Result<Credentials> {
    let of = format!("the credential_process of the profile {profile:?}");
    let mut shell = shell(command);
    shell.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(timeout, shell.output()).await.map_err(|_| {
        auth("CredentialsTimeout", format!("{of} printed no credentials within {} s", timeout.as_secs()))
    })?;
    let output = output.map_err(|error| auth("ProcessMissing", format!("cannot run {of}: {error}")))?;
    if !output.status.success() {
        return Err(failed(&of, &output));
    }
    // The error does not quote the output, which has the secret key.
    let printed: Printed = serde_json::from_slice(&output.stdout).map_err(|error| {
        let problem = match error.classify() {
            serde_json::error::Category::Data => {
                error.to_string().split(" at line").next().unwrap_or_default().to_owned()
            }
            _ => "it is not JSON".to_owned(),
        };
        auth("ProcessOutput", format!("{of} printed no credentials: {}{}", shorten(&problem), said(&output)))
    })?;
    if printed.version != 1 {
        let version = printed.version;
        return Err(auth(
            "ProcessOutput",
            format!("{of} printed version {version} of the format instead of 1"),
        ));
    }
    let expiry = printed.expiration.map(SystemTime::from);
    if expiry.is_some_and(|expiry| expiry <= SystemTime::now()) {
        return Err(auth("ProcessOutput", format!("{of} printed credentials that have expired")));
    }
    let Printed { access_key_id: id, secret_access_key: secret, session_token: token, .. } = printed;
    Ok(Credentials::new(id, secret, token.filter(|token| !token.is_empty()), expiry, "Process"))
}

fn failed(of: &str, output: &Output) -> crate::domain::CloudError {
    let said = said(output);
    match output.status.code() {
        // What shells return for a program that does not exist or cannot be executed.
        Some(126 | 127) => auth("ProcessMissing", format!("cannot run {of}{said}")),
        Some(code) => auth("ProcessFailed", format!("{of} failed with exit code {code}{said}")),
        None => auth("ProcessFailed", format!("{of} was ended by a signal{said}")),
    }
}

/// What the program wrote on standard error.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", shorten(&lines.join(" / "))) }
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// `cmd.exe` does not understand the quoting of Rust's arguments and takes off one pair of quotes.
#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd.exe");
    shell.arg("/C").raw_arg(format!("\"{command}\""));
    shell
}

#[cfg(all(test, unix))]
mod tests {
    use rstest::rstest;

    use super::*;

    const KEYS: &str = r#""AccessKeyId":"AKIA","SecretAccessKey":"s""#;

    #[rstest]
    #[case::fails(
        "echo 'vault is locked, run: op signin' >&2; exit 1",
        "ProcessFailed",
        "exit code 1: vault is locked, run: op signin"
    )]
    #[case::silent("exit 3", "ProcessFailed", "failed with exit code 3")]
    #[case::lines("printf 'a\\n\\nb\\n' >&2; exit 1", "ProcessFailed", "exit code 1: a / b")]
    #[case::escape("printf 'a\\033[31mb' >&2; exit 1", "ProcessFailed", "b")]
    #[case::killed("kill -9 $$", "ProcessFailed", "ended by a signal")]
    #[case::missing(
        "/no/such/program --x",
        "ProcessMissing",
        "cannot run the credential_process of the profile \"work\": "
    )]
    #[case::not_json("echo hello", "ProcessOutput", "it is not JSON")]
    #[case::nothing("true", "ProcessOutput", "it is not JSON")]
    #[case::no_secret(
        "echo '{\"Version\":1,\"AccessKeyId\":\"A\"}'",
        "ProcessOutput",
        "missing field `SecretAccessKey`"
    )]
    #[case::version("echo '{\"Version\":2,KEYS}'", "ProcessOutput", "version 2")]
    #[case::expired(
        "echo '{\"Version\":1,KEYS,\"Expiration\":\"2020-01-01T00:00:00Z\"}'",
        "ProcessOutput",
        "have expired"
    )]
    #[tokio::test]
    async fn failure_tells_what_happened(#[case] command: &str, #[case] code: &str, #[case] part: &str) {
        let error = run("work", &command.replace("KEYS", KEYS)).await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(part) && !error.message.contains('\u{1b}'), "{error}");
    }

    #[tokio::test]
    async fn endless_message_is_shortened() {
        let error = run("work", "yes no | head -c 100000 >&2; exit 1").await.unwrap_err();
        assert!(error.message.chars().count() < 500, "{error}");
    }

    #[tokio::test]
    async fn secret_is_not_in_a_message() {
        let error = run(
            "work",
            "echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":5,\"x\":\"hidden\"}'",
        );
        let error = error.await.unwrap_err();
        assert!(!error.message.contains("hidden"), "{error}");
    }

    #[tokio::test]
    async fn slow_process_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let command = format!("sleep 1; touch {}", file.display());
        let error = run_within(Duration::from_millis(100), "work", &command).await.unwrap_err();
        assert_eq!(error.code, "CredentialsTimeout");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn printed_credentials_are_taken() {
        let command = format!(
            "echo '{{\"Version\":1,{KEYS},\"SessionToken\":\"t\",\"Expiration\":\"2999-01-01T00:00:00+00:00\"}}'"
        );
        let found = run("work", &command).await.unwrap();
        assert_eq!((found.access_key_id(), found.session_token()), ("AKIA", Some("t")));
        assert!(found.expiry().is_some());
    }
}
