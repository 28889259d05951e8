//! Port forwards to instances through AWS Session Manager.
//!
//! A session is useless without AWS's plugin, which listens on a port of this computer and connects to the session. Each forward is thus a
//! session and a process, and both end together.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinHandle;

use crate::cloud::{DynCloud, ForwardingSession, PortForwarding, Ports, TARGET_NOT_CONNECTED};
use crate::domain::{CloudError, EnvironmentId, InstanceId};
use crate::failure::{Failure, Kind};

mod plugin;

pub(crate) use plugin::find_version;
use plugin::{Plugin, PluginVersion};

/// The port of an instance that serves the application, the Kubernetes dashboard and the log viewer.
const INSTANCE_PORT: u16 = 80;

/// How long all sessions may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// The port forwards of this process, one per instance. Clones share them.
#[derive(Clone)]
pub(crate) struct PortForwards {
    forwards: Arc<Mutex<BTreeMap<InstanceId, PortForward>>>,
    /// Whether no forward may start any more.
    closed: watch::Sender<bool>,
}

impl Default for PortForwards {
    fn default() -> Self {
        Self { forwards: Arc::default(), closed: watch::Sender::new(false) }
    }
}

/// A forward whose plugin has been started.
struct PortForward {
    /// The port of this computer.
    port: u16,
    /// Ends the forward when it is dropped.
    stop: oneshot::Sender<()>,
    /// Why the plugin has ended by itself.
    ended: watch::Receiver<Option<Failure>>,
    supervisor: JoinHandle<()>,
}

impl PortForwards {
    /// Forwards a port of this computer to an environment's instance, and returns the URL of a path there. A running forward is used again.
    ///
    /// # Errors
    /// Returns an error if the plugin is not installed, if AWS refuses the session, or if the plugin ends.
    pub(crate) async fn open(
        &self,
        cloud: &DynCloud,
        environment: &EnvironmentId,
        instance: &InstanceId,
        path: &str,
    ) -> Result<String, Failure> {
        let (forwards, cloud) = (self.clone(), cloud.clone());
        let (environment, instance) = (environment.clone(), instance.clone());
        // A task of its own, because a caller that is dropped half-way must not leave a session behind.
        let opening =
            tokio::spawn(async move { forwards.find_or_start(cloud, &environment, &instance).await });
        let port = opening.await.unwrap_or_else(|_| Err(closed()))?;
        Ok(format!("http://localhost:{port}{path}"))
    }

    async fn find_or_start(
        &self,
        cloud: DynCloud,
        environment: &EnvironmentId,
        instance: &InstanceId,
    ) -> Result<u16, Failure> {
        let mut forwards = self.forwards.lock().await;
        if *self.closed.borrow() {
            return Err(closed());
        }
        if let Some(forward) = forwards.get(instance)
            && forward.ended.borrow().is_none()
        {
            return Ok(forward.port);
        }
        let started = PortForward::start(cloud, environment, instance, self.closed.subscribe()).await?;
        let port = started.port;
        forwards.insert(instance.clone(), started);
        Ok(port)
    }

    /// Waits until the forward to an instance ends by itself, and returns why.
    pub(crate) async fn ended(&self, instance: &InstanceId) -> Failure {
        let ended = self.forwards.lock().await.get(instance).map(|forward| forward.ended.clone());
        let Some(mut ended) = ended else { return closed() };
        match ended.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().unwrap_or_else(closed),
            Err(_) => closed(),
        }
    }

    /// Ends all forwards, those that are starting too.
    pub(crate) async fn close(&self) {
        self.closed.send_replace(true);
        let close = async {
            let forwards = std::mem::take(&mut *self.forwards.lock().await);
            join_all(forwards.into_values().map(PortForward::stop)).await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, close).await.is_err() {
            tracing::warn!("sessions did not end in time; AWS ends them once they are idle");
        }
    }
}

impl PortForward {
    /// Starts a session and the plugin, and waits until the plugin accepts connections or `closed` becomes true.
    async fn start(
        cloud: DynCloud,
        environment: &EnvironmentId,
        instance: &InstanceId,
        mut closed: watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        let cannot = format!("cannot forward a port to {environment}");
        let Some(sessions) = cloud.port_forwarding() else {
            let message = format!("{cannot}: a simulated instance has no ports");
            return Err(Failure::new(Kind::Failed, message, "nothing is opened in the demo"));
        };
        // Before the session starts, because without the plugin it would only have to be ended again.
        let version = find_version().await?;
        let local = free_port().map_err(|error| {
            Failure::new(Kind::Failed, format!("{cannot}: no port of this computer is free: {error}"), "")
        })?;
        let session = sessions.start_session(instance, Ports { local, remote: INSTANCE_PORT }).await;
        let session = session.map_err(|error| session_failure(&cannot, instance, &error))?;
        match connect(&session, version.as_ref(), local, environment, &mut closed).await {
            Ok(plugin) => Ok(Self::supervise(plugin, session.id, cloud, local)),
            Err(failure) => {
                end_session(sessions, &session.id).await;
                Err(failure)
            }
        }
    }

    /// Spawns a task that ends the session as soon as the plugin has ended, and both when the forward is dropped.
    fn supervise(mut plugin: Plugin, session: String, cloud: DynCloud, port: u16) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, ended) = watch::channel(None);
        let supervisor = tokio::spawn(async move {
            let failure = tokio::select! {
                failure = plugin.exited() => Some(failure),
                // The sender is dropped, never used.
                _ = stopped => None,
            };
            let stop = async {
                match failure {
                    Some(failure) => {
                        sender.send_replace(Some(failure));
                    }
                    None => plugin.stop().await,
                }
            };
            let end = async {
                if let Some(sessions) = cloud.port_forwarding() {
                    end_session(sessions, &session).await;
                }
            };
            tokio::join!(stop, end);
        });
        Self { port, stop, ended, supervisor }
    }

    async fn stop(self) {
        let Self { stop, supervisor, .. } = self;
        drop(stop);
        // It has no result, and a panic is already logged.
        let _ = supervisor.await;
    }
}

/// Starts the plugin and waits until it accepts connections.
async fn connect(
    session: &ForwardingSession,
    version: Option<&PluginVersion>,
    port: u16,
    environment: &EnvironmentId,
    closing: &mut watch::Receiver<bool>,
) -> Result<Plugin, Failure> {
    let mut plugin = Plugin::start(session, version, environment)?;
    let ready = tokio::select! {
        ready = plugin.accepts(port) => ready,
        _ = closing.wait_for(|closed| *closed) => Err(closed()),
    };
    match ready {
        Ok(()) => Ok(plugin),
        Err(failure) => {
            plugin.stop().await;
            Err(failure)
        }
    }
}

/// Returns a port of this computer that is free now. The plugin ends if another process binds it first.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn session_failure(cannot: &str, instance: &InstanceId, error: &CloudError) -> Failure {
    if error.code == TARGET_NOT_CONNECTED {
        let message =
            format!("{cannot}: the agent of its instance {instance} is not connected to Session Manager yet");
        let hint = "wait until the instance has booted; if it stays so, check that it runs and that its role allows ssmmessages";
        return Failure::new(Kind::Failed, message, hint);
    }
    Failure::cloud(cannot, error)
}

/// Ends a session. A failure is only logged, because AWS ends a session without a client by itself.
async fn end_session(sessions: &dyn PortForwarding, id: &str) {
    if let Err(error) = sessions.terminate_session(id).await {
        tracing::warn!(%error, session = id, "cannot end the session");
    }
}

fn closed() -> Failure {
    Failure::new(Kind::Failed, "the port forward was closed", "")
}
