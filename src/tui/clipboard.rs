//! Copying. The terminal's clipboard is reached with OSC 52, also over SSH, where a library for the clipboards of operating systems would reach
//! that of the wrong computer. tmux ignores the sequence as it comes (`set-clipboard external`), but copies by itself what it is given.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::app::message::{Copied, Multiplexer};

/// The longest text to copy, in bytes. Terminals limit OSC 52 sequences; xterm's limit is about 100 kB after base64.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// How long tmux may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the multiplexer around hatchery.
pub(super) fn multiplexer() -> Option<Multiplexer> {
    multiplexer_in(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn multiplexer_in(variable: impl Fn(&str) -> Option<String>) -> Option<Multiplexer> {
    let term = variable("TERM").unwrap_or_default();
    if variable("TMUX").is_some() {
        Some(Multiplexer::Tmux)
    } else if variable("STY").is_some() {
        Some(Multiplexer::Screen)
    } else if ["tmux", "screen"].iter().any(|name| term == *name || term.starts_with(&format!("{name}-"))) {
        Some(Multiplexer::UnreachableTmux)
    } else {
        None
    }
}

/// Gives a text to a multiplexer. Returns `None` if it does not take it, or has no way to.
pub(super) async fn copy_to(multiplexer: Multiplexer, text: &str) -> Option<Copied> {
    if multiplexer != Multiplexer::Tmux {
        return None;
    }
    // With -w, tmux also sends the text to the clipboard of its terminal. Older versions than 3.2 do not know it.
    if tmux(&["load-buffer", "-w", "-"], text).await.is_some() {
        let setting = tmux(&["show-options", "-sv", "set-clipboard"], "").await;
        let clipboard = setting.is_none_or(|setting| setting.trim() != "off");
        return Some(Copied::InTmux { clipboard });
    }
    tmux(&["load-buffer", "-"], text).await.map(|_| Copied::InTmux { clipboard: false })
}

/// Runs tmux with an input; returns its output if it succeeds.
pub(super) async fn tmux(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("tmux");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.kill_on_drop(true).spawn().ok()?;
    let mut stdin = process.stdin.take()?;
    let run = async {
        stdin.write_all(input.as_bytes()).await.ok()?;
        drop(stdin);
        process.wait_with_output().await.ok()
    };
    let output = tokio::time::timeout(TIMEOUT, run).await.ok()??;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[("TERM", "xterm-256color")], None)]
    #[case(&[("TERM", "screen-256color"), ("TMUX", "/tmp/tmux-1000/default,1,0")], Some(Multiplexer::Tmux))]
    #[case(&[("TERM", "tmux-256color")], Some(Multiplexer::UnreachableTmux))]
    #[case(&[("TERM", "screen.xterm"), ("STY", "1.pts")], Some(Multiplexer::Screen))]
    fn multiplexer_is_known_by_its_variables(
        #[case] variables: &[(&str, &str)],
        #[case] expected: Option<Multiplexer>,
    ) {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(multiplexer_in(find), expected);
    }
}
