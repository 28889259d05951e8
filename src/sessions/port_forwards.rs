//! Port forwards to instances. The plugin listens on a port of this computer.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinHandle;

use super::plugin::{Plugin, PluginVersion, find_version};
use super::{SessionTarget, end_session};
use crate::cloud::{DynCloud, ManagedSession, Ports, SessionRequest};
use crate::domain::{EnvironmentId, InstanceId};
use crate::failure::{Failure, Kind};

/// The port of an instance that serves the application, the Kubernetes dashboard and the log viewer.
const INSTANCE_PORT: u16 = 80;

/// How long all sessions may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// Where a port forward leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Destination {
    Http,
    /// The API server of the cluster.
    Kubernetes,
}

/// The port forwards of this process, one per instance and destination. Clones share them.
#[derive(Clone)]
pub(crate) struct PortForwards {
    forwards: Arc<Mutex<BTreeMap<(InstanceId, Destination), PortForward>>>,
    /// Whether new forwards are refused.
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
        let target = SessionTarget { environment: environment.clone(), instance: instance.clone() };
        let port = self.start(cloud, target, Destination::Http, None).await?;
        Ok(format!("http://localhost:{port}{path}"))
    }

    /// Forwards the port `local` of this computer, or a free one, and returns it. A running forward is used again.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn start(
        &self,
        cloud: &DynCloud,
        target: SessionTarget,
        destination: Destination,
        local: Option<u16>,
    ) -> Result<u16, Failure> {
        let (forwards, cloud) = (self.clone(), cloud.clone());
        // A separate task, because a caller that is dropped half-way must not leave a session behind.
        let opening =
            tokio::spawn(async move { forwards.find_or_start(cloud, target, destination, local).await });
        opening.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn find_or_start(
        &self,
        cloud: DynCloud,
        target: SessionTarget,
        destination: Destination,
        local: Option<u16>,
    ) -> Result<u16, Failure> {
        let mut forwards = self.forwards.lock().await;
        if *self.closed.borrow() {
            return Err(closed());
        }
        let key = (target.instance.clone(), destination);
        if let Some(forward) = forwards.get(&key)
            && forward.ended.borrow().is_none()
        {
            return Ok(forward.port);
        }
        let closed = self.closed.subscribe();
        let started = PortForward::start(cloud, &target, destination, local, closed).await?;
        let port = started.port;
        forwards.insert(key, started);
        Ok(port)
    }

    /// Waits until the forward to an instance ends by itself, and returns why.
    pub(crate) async fn ended(&self, instance: &InstanceId, destination: Destination) -> Failure {
        let key = (instance.clone(), destination);
        let ended = self.forwards.lock().await.get(&key).map(|forward| forward.ended.clone());
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
        target: &SessionTarget,
        destination: Destination,
        local: Option<u16>,
        mut closed: watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        let environment = &target.environment;
        let cannot = format!("cannot forward a port to {environment}");
        if cloud.session_manager().is_none() {
            let message = format!("{cannot}: a simulated instance has no ports");
            return Err(Failure::new(Kind::Failed, message, "nothing is opened in the demo"));
        }
        // Before the session starts, because without the plugin it would only have to be ended again.
        let version = find_version().await?;
        let local = find_port(local).map_err(|error| {
            let port = local.map_or_else(
                || "no port of this computer is free".to_owned(),
                |port| format!("port {port} of this computer is in use"),
            );
            Failure::new(Kind::Failed, format!("{cannot}: {port}: {error}"), "")
        })?;
        let request = match destination {
            Destination::Http => SessionRequest::Ports(Ports { local, remote: INSTANCE_PORT }),
            Destination::Kubernetes => SessionRequest::Kubernetes(local),
        };
        let session = target.start(&cloud, request, &cannot).await?;
        match connect(&session, version.as_ref(), local, environment, &mut closed).await {
            Ok(plugin) => Ok(Self::supervise(plugin, session.id, cloud, local)),
            Err(failure) => {
                end_session(&cloud, &session.id).await;
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
            tokio::join!(stop, end_session(&cloud, &session));
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
    session: &ManagedSession,
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

/// Returns this port of this computer if it is free now, or another one if `None`. The plugin ends if another process binds it first.
fn find_port(port: Option<u16>) -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))?.local_addr()?.port())
}

fn closed() -> Failure {
    Failure::new(Kind::Failed, "the port forward was closed", "")
}
