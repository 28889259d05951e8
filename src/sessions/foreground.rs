//! A session in the user's terminal: a shell or a database console.

use std::time::Duration;

use tokio::time::Instant;

use super::plugin::{ForegroundPlugin, find_version};
use super::{SessionTarget, cannot_reach, end_session};
use crate::cloud::{Console, DynCloud, SessionRequest};
use crate::failure::Failure;

/// How long a session may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The exit code of the plugin, as shells report it.
    pub(crate) code: u8,
    /// The last line that the plugin wrote to standard error.
    pub(crate) words: Option<String>,
    pub(crate) duration: Duration,
}

/// A session whose plugin has the terminal.
pub(crate) struct ForegroundSession {
    plugin: ForegroundPlugin,
    cloud: DynCloud,
    id: String,
    started: Instant,
    modes: SavedModes,
}

impl ForegroundSession {
    /// Starts a session and its plugin on the terminal of this process, unless `cancelled` completes first. Returns `None` then.
    ///
    /// # Errors
    /// Returns an error if the plugin is not installed, or if AWS refuses the session.
    pub(crate) async fn start(
        cloud: &DynCloud,
        target: &SessionTarget,
        console: Console,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Option<Self>, Failure> {
        if cloud.session_manager().is_none() {
            return Err(cannot_reach(&format!("cannot open a {console} on {}", target.environment)));
        }
        // Before the session starts, because without the plugin it would only have to be ended again.
        let version = find_version().await?;
        let cannot = format!("cannot open a {console} on {}", target.environment);
        let request = SessionRequest::Console(console);
        let Some(session) = target.start_unless(cloud, request, &cannot, cancelled).await? else {
            return Ok(None);
        };
        let modes = SavedModes::read();
        let (cloud, id, started) = (cloud.clone(), session.id.clone(), Instant::now());
        match ForegroundPlugin::start(&session, version.as_ref()) {
            Ok(plugin) => Ok(Some(Self { plugin, cloud, id, started, modes })),
            Err(failure) => {
                end_session(&cloud, &id).await;
                Err(failure)
            }
        }
    }

    /// Waits until the plugin ends by itself. To be closed then.
    pub(crate) async fn ended(&mut self) -> Ended {
        let (code, words) = self.plugin.ended().await;
        Ended { code, words, duration: self.started.elapsed() }
    }

    /// Ends the session after its plugin.
    pub(crate) async fn close(self) {
        self.modes.restore();
        end_within_timeout(&self.cloud, &self.id).await;
    }

    /// Ends the plugin and the session.
    pub(crate) async fn stop(mut self) {
        tokio::join!(self.plugin.stop(), end_within_timeout(&self.cloud, &self.id));
        self.modes.restore();
    }
}

async fn end_within_timeout(cloud: &DynCloud, id: &str) {
    if tokio::time::timeout(END_TIMEOUT, end_session(cloud, id)).await.is_err() {
        tracing::warn!(session = id, "the session did not end in time; AWS ends it once it is idle");
    }
}

/// The modes of the terminal on standard input, such as echo. A plugin that is killed does not restore them.
pub(crate) struct SavedModes {
    #[cfg(unix)]
    modes: Option<rustix::termios::Termios>,
}

impl SavedModes {
    pub(crate) fn read() -> Self {
        Self {
            #[cfg(unix)]
            modes: rustix::termios::tcgetattr(std::io::stdin()).ok(),
        }
    }

    /// Sets the modes as they were. An error means that the terminal is gone.
    pub(crate) fn restore(&self) {
        #[cfg(unix)]
        if let Some(modes) = &self.modes {
            let actions = rustix::termios::OptionalActions::Now;
            let _ = rustix::termios::tcsetattr(std::io::stdin(), actions, modes);
        }
    }
}
