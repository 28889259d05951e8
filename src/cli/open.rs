//! `hatchery open`

use clap::{Args, ValueEnum};

use super::context::Context;
use super::json;
use super::lookup::resolve_in;
use crate::domain::{Environment, Policy};
use crate::failure::{Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// What to open
    #[arg(default_value = "app")]
    endpoint: Endpoint,
    /// Print the URL without opening it
    #[arg(long)]
    print: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Endpoint {
    /// The application
    App,
    /// The Kubernetes dashboard
    Dashboard,
    /// The log viewer
    Logs,
}

impl Endpoint {
    fn url_template(self, policy: &Policy) -> &str {
        match self {
            Self::App => &policy.url_app,
            Self::Dashboard => &policy.url_dashboard,
            Self::Logs => &policy.url_logs,
        }
    }
}

pub(crate) async fn run(context: &Context<'_>, args: OpenArgs) -> Result<(), Failure> {
    let (world, now) = context.observe().await?;
    let record = resolve_in(&world, &args.env)?;
    let template = args.endpoint.url_template(&world.fleet.policy);
    let environments = Environment::all(&world, now);
    let environment = environments.iter().find(|environment| environment.record.id == record.id);
    let url = environment.and_then(|environment| environment.url(template)).ok_or_else(|| {
        let message = format!("{} has no IP address yet", record.environment);
        Failure::new(Kind::Failed, message, "wait until its instance is running; see hatchery ls")
    })?;
    if context.console.is_json() {
        context.console.print_json(&json::url(context.fleet(), &record.environment, &url))?;
    } else {
        context.console.print(&format!("{url}\n"))?;
    }
    if !args.print
        && let Err(error) = ::open::that_detached(&url)
    {
        context.console.notice(&format!("cannot open a browser ({error}); open the URL yourself"));
    }
    Ok(())
}
