//! `hatchery open`

use clap::{Args, ValueEnum};

use super::context::Context;
use super::json;
use super::lookup::observe_with;
use crate::domain::{Access, Address, Endpoint, Environment, EnvironmentId, InstanceId};
use crate::failure::{Failure, Kind};
use crate::sessions::{Destination, PortForwards};
use crate::signals;

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// What to open
    #[arg(default_value = "app")]
    endpoint: What,
    /// Print the URL without opening it
    #[arg(long)]
    print: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The application
    App,
    /// The Kubernetes dashboard
    Dashboard,
    /// The log viewer
    Logs,
}

impl From<What> for Endpoint {
    fn from(what: What) -> Self {
        match what {
            What::App => Self::App,
            What::Dashboard => Self::Dashboard,
            What::Logs => Self::Logs,
        }
    }
}

/// Opens an environment. With a port forward it returns when the forward ends; the caller then closes `forwards`.
pub(crate) async fn run(
    context: &Context<'_>,
    args: OpenArgs,
    forwards: &PortForwards,
) -> Result<(), Failure> {
    let (world, now, record) = observe_with(context, &args.env).await?;
    let policy = &world.fleet.policy;
    let id = &record.environment;
    let environments = Environment::all(&world, now);
    let environment = environments.iter().find(|environment| environment.record.id == record.id);
    let address = environment.and_then(|environment| environment.address(args.endpoint.into(), policy));
    match address {
        Some(Address::Url(url)) => open(context, id, &url, &args, &format!("{url}\n")),
        Some(Address::Forwarded { instance, path }) => tokio::select! {
            result = open_forwarded(context, id, &instance, &path, &args, forwards) => result,
            () = signals::terminated() => Ok(()),
        },
        None => {
            let lacks = if policy.access == Access::Vpn { "IP address" } else { "instance" };
            let message = format!("{id} has no {lacks} yet");
            let hint = "wait until its instance is running; see hatchery ls";
            Err(Failure::new(Kind::Failed, message, hint))
        }
    }
}

/// Prints the URL, and opens it unless the user only wants it printed.
fn open(
    context: &Context<'_>,
    id: &EnvironmentId,
    url: &str,
    args: &OpenArgs,
    text: &str,
) -> Result<(), Failure> {
    if context.console.is_json() {
        context.console.print_json(&json::url(context.fleet(), id, url))?;
    } else {
        context.console.print(text)?;
    }
    if !args.print
        && let Err(error) = ::open::that_detached(url)
    {
        context.console.notice(&format!("cannot open a browser ({error}); open the URL yourself"));
    }
    Ok(())
}

/// Opens the environment through a port forward, and waits until the forward ends.
async fn open_forwarded(
    context: &Context<'_>,
    id: &EnvironmentId,
    instance: &InstanceId,
    path: &str,
    args: &OpenArgs,
    forwards: &PortForwards,
) -> Result<(), Failure> {
    let url = forwards.open(context.cloud(), id, instance, path).await?;
    let text =
        if args.print { format!("{url}\n") } else { format!("Forwarding {url} to {id} until Ctrl-C\n") };
    open(context, id, &url, args, &text)?;
    Err(forwards.ended(instance, Destination::Http).await)
}
