//! The kubeconfig of an environment, which a command on its instance prints.

use std::time::Duration;

use serde_json::Value;

use super::plugin::{find_version, last_line, read_output};
use super::{SessionTarget, end_session};
use crate::cloud::{DynCloud, SessionRequest};
use crate::failure::{Failure, Kind};

/// How long the command may take, which waits for the API server.
const TIMEOUT: Duration = Duration::from_secs(150);

/// How much of the output is read, in bytes.
const MAX_OUTPUT: usize = 256 * 1_024;

/// Returns the kubeconfig of an environment with a token that is valid for so many seconds, unless `cancelled` completes first. Returns
/// `None` then.
///
/// # Errors
/// Returns an error if the plugin is not installed, if AWS refuses the session, or if the command prints no kubeconfig.
pub(crate) async fn read_kubeconfig(
    cloud: &DynCloud,
    target: &SessionTarget,
    seconds: u32,
    cancelled: impl Future<Output = ()>,
) -> Result<Option<Value>, Failure> {
    let version = find_version().await?;
    let cannot = format!("cannot get the kubeconfig of {}", target.environment);
    let mut cancelled = std::pin::pin!(cancelled);
    let request = SessionRequest::Kubeconfig(seconds);
    let Some(session) = target.start_unless(cloud, request, &cannot, &mut cancelled).await? else {
        return Ok(None);
    };
    let result = tokio::select! {
        output = tokio::time::timeout(TIMEOUT, read_output(&session, version.as_ref(), MAX_OUTPUT)) => {
            match output {
                Ok(Ok((_, output))) => parse(&cannot, &output).map(Some),
                Ok(Err(failure)) => Err(failure),
                Err(_) => {
                    let message = format!("{cannot}: its instance does not answer");
                    Err(Failure::new(Kind::Failed, message, "look at it with: hatchery ssh"))
                }
            }
        }
        () = cancelled => Ok(None),
    };
    end_session(cloud, &session.id).await;
    result
}

/// Finds the kubeconfig between the lines of the plugin.
fn parse(cannot: &str, output: &[u8]) -> Result<Value, Failure> {
    let text = String::from_utf8_lossy(output);
    let starts = text.match_indices('{').map(|(at, _)| &text[at..]);
    let documents =
        starts.filter_map(|text| serde_json::Deserializer::from_str(text).into_iter().next()?.ok());
    if let Some(config) = documents.into_iter().find(|config: &Value| config["kind"] == "Config") {
        return Ok(config);
    }
    // A part of a kubeconfig may have a part of the token.
    let words = if text.contains('{') { None } else { words(output) };
    let message = format!("{cannot}: {}", words.as_deref().unwrap_or("the answer is not a kubeconfig"));
    Err(Failure::new(Kind::Failed, message, "wait until the environment is ready; see hatchery ls"))
}

/// Returns the last line that is not the plugin's.
fn words(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let is_plugins = |line: &str| line.starts_with("Starting session") || line.starts_with("Exiting session");
    let lines: Vec<_> = text.lines().filter(|line| !is_plugins(line.trim_start())).collect();
    last_line(lines.join("\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeconfig_is_found_between_the_lines_of_the_plugin() {
        let output = b"\r\nStarting session with SessionId: amy-1\r\n{\r\n  \"kind\": \"Config\",\r\n  \"users\": []\r\n}\r\n\r\n\
            Exiting session with sessionId: amy-1.\r\n";
        assert_eq!(parse("x", output).unwrap()["users"], serde_json::json!([]));
    }

    #[test]
    fn refusal_has_the_words_of_the_command() {
        let output = b"Starting session with SessionId: amy-1\n\x1b[31mcannot create the kubeconfig\n\nExiting session with sessionId: amy-1.\n";
        assert_eq!(parse("cannot x", output).unwrap_err().message, "cannot x: cannot create the kubeconfig");
    }

    #[test]
    fn part_of_a_kubeconfig_is_not_shown() {
        let output = b"{\"kind\": \"Config\", \"users\": [{\"token\": \"secret";
        let failure = parse("cannot x", output).unwrap_err();
        assert_eq!(failure.message, "cannot x: the answer is not a kubeconfig");
    }
}
