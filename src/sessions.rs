//! Sessions with instances through AWS Session Manager: port forwards, programs in the user's terminal, and a command's output.
//!
//! A session is useless without AWS's plugin, which connects to it. Each session here is thus a session of Session Manager and a process,
//! and both end together.

use std::time::Duration;

use crate::cloud::{DynCloud, INVALID_DOCUMENT, ManagedSession, SessionRequest, TARGET_NOT_CONNECTED};
use crate::domain::{CloudError, EnvironmentId, InstanceId};
use crate::failure::{Failure, Kind};

mod foreground;
mod kubeconfig;
mod plugin;
mod port_forwards;

pub(crate) use foreground::{Ended, ForegroundSession};
pub(crate) use kubeconfig::read_kubeconfig;
pub(crate) use plugin::{end_process, exit_code, find_version};
pub(crate) use port_forwards::{Destination, PortForwards};

/// How long a session that is no longer wanted may take to start, because only then it can be ended.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(4);

/// The instance of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionTarget {
    pub(crate) environment: EnvironmentId,
    pub(crate) instance: InstanceId,
}

impl SessionTarget {
    /// Starts a session. `cannot` says what fails, such as `cannot open a shell on dev-1`.
    async fn start(
        &self,
        cloud: &DynCloud,
        request: SessionRequest,
        cannot: &str,
    ) -> Result<ManagedSession, Failure> {
        let Some(sessions) = cloud.session_manager() else {
            return Err(cannot_reach(cannot));
        };
        let started = sessions.start_session(&self.environment.fleet, &self.instance, request).await;
        started.map_err(|error| self.failure(request, cannot, &error))
    }

    /// As [`Self::start`], unless `cancelled` completes first. Returns `None` then, after the session has ended.
    async fn start_unless(
        &self,
        cloud: &DynCloud,
        request: SessionRequest,
        cannot: &str,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Option<ManagedSession>, Failure> {
        let mut starting = std::pin::pin!(self.start(cloud, request, cannot));
        tokio::select! {
            started = &mut starting => started.map(Some),
            () = cancelled => {
                if let Ok(Ok(session)) = tokio::time::timeout(CANCEL_TIMEOUT, starting).await {
                    end_session(cloud, &session.id).await;
                }
                Ok(None)
            }
        }
    }

    fn failure(&self, request: SessionRequest, cannot: &str, error: &CloudError) -> Failure {
        let fleet = &self.environment.fleet;
        match error.code.as_str() {
            TARGET_NOT_CONNECTED => {
                let message = format!(
                    "{cannot}: the agent of its instance {} is not connected to Session Manager yet",
                    self.instance
                );
                let hint = "wait until the instance has booted; if it stays so, check that it runs and that its role allows ssmmessages";
                Failure::new(Kind::Failed, message, hint)
            }
            INVALID_DOCUMENT => {
                let message = format!("{cannot}: there is no session document {}", request.document(fleet));
                let hint = "update the fleet's stack with the template of this version: hatchery stack";
                Failure::new(Kind::Failed, message, hint)
            }
            _ => {
                let failure = Failure::cloud(cannot, error);
                if failure.kind == Kind::NotPermitted && error.code.starts_with("AccessDenied") {
                    let hint = format!(
                        "ask your administrator for the policy {}; an older stack must be updated first",
                        request.policy(fleet)
                    );
                    return Failure { hint, ..failure };
                }
                failure
            }
        }
    }
}

fn cannot_reach(cannot: &str) -> Failure {
    let message = format!("{cannot}: a simulated instance cannot be reached");
    Failure::new(Kind::Failed, message, "nothing is opened in the demo")
}

/// Ends a session. A failure is only logged, because AWS ends a session without a client by itself.
async fn end_session(cloud: &DynCloud, id: &str) {
    let Some(sessions) = cloud.session_manager() else { return };
    if let Err(error) = sessions.terminate_session(id).await {
        tracing::warn!(%error, session = id, "cannot end the session");
    }
}
