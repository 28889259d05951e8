//! `hatchery launch`

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;

use super::context::Context;
use super::options::parse_duration;
use super::services::parse_services;
use super::wait::wait_until;
use super::{json, table};
use crate::domain::format::format_duration;
use crate::domain::progress::Estimates;
use crate::domain::{Access, Environment, EnvironmentState, Label, World};
use crate::engine::{LaunchRequest, Launched};
use crate::failure::{Failure, Kind};

const MAX_WAIT: Duration = Duration::from_hours(1);

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// Name of the environment, such as checkout-fix
    name: String,
    /// Service to test and its image tag, such as payments=f-123; repeat for more than one
    #[arg(long = "service", value_name = "SERVICE=TAG")]
    services: Vec<String>,
    /// Time until it expires; the fleet's policy sets the default
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    ttl: Option<Duration>,
    /// Note for others to read
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Wait until it is ready
    #[arg(long)]
    wait: bool,
}

impl LaunchArgs {
    fn into_request(self) -> Result<LaunchRequest, Failure> {
        let name: Label = self.name.parse()?;
        let services = parse_services(&self.services)?;
        Ok(LaunchRequest { name, services, ttl: self.ttl, note: self.note.filter(|note| !note.is_empty()) })
    }
}

pub(crate) async fn run(context: &Context<'_>, args: LaunchArgs) -> Result<(), Failure> {
    let wait = args.wait;
    let request = args.into_request()?;
    let launched = context.engine.launch(&request).await?;
    if context.console.is_json() && !wait {
        return context.console.print_json(&json::launched(context.fleet(), &request.name, &launched));
    }
    if !context.console.is_json() {
        // Rounds up, because the launch itself took some seconds of the time to live.
        let expires_at = launched.expires_at + Duration::from_secs(30);
        let left = table::relative_time(expires_at, context.engine.clock().now());
        let text = format!("Launched {} ({}); it expires in {left}.\n", launched.environment, request.name);
        context.console.print(&text)?;
    }
    if wait { wait_until_ready(context, &launched).await } else { Ok(()) }
}

async fn wait_until_ready(context: &Context<'_>, launched: &Launched) -> Result<(), Failure> {
    let id = &launched.environment;
    let failed = |message| Failure::new(Kind::Failed, message, format!("see: hatchery logs {id}"));
    let mut last_phase = String::new();
    let is_done = |world: &World, now| {
        let environments = Environment::all(world, now);
        // Reads lag writes, so a new record may not be listed yet.
        let found = environments.iter().find(|environment| environment.record.id == launched.record);
        let Some(environment) = found else { return Ok(false) };
        let estimates = Estimates::learn(world);
        match environment.state {
            EnvironmentState::Ready => {
                return report_ready(context, environment, world, &estimates).map(|()| true);
            }
            EnvironmentState::Failed | EnvironmentState::Terminating => {
                let problem = environment.problems().into_iter().next();
                let problem = problem.unwrap_or_else(|| "it is being terminated".to_owned());
                return Err(failed(format!("{id} did not become ready: {problem}")));
            }
            _ => last_phase = report_progress(context, environment, &estimates, now, &last_phase),
        }
        Ok(false)
    };
    if wait_until(context, id, "is launched", MAX_WAIT, is_done).await? {
        return Ok(());
    }
    Err(failed(format!("{id} is not ready after {}", format_duration(MAX_WAIT))))
}

fn report_ready(
    context: &Context<'_>,
    environment: &Environment<'_>,
    world: &World,
    estimates: &Estimates,
) -> Result<(), Failure> {
    let policy = &world.fleet.policy;
    let now = world.now().unwrap_or_else(|| context.engine.clock().now());
    context.console.progress("", None);
    if context.console.is_json() {
        let body = json::environment(environment, policy, estimates, now);
        return context.console.print_json(&json::ready(context.fleet(), &body));
    }
    let lines = match policy.access {
        Access::Vpn => {
            let urls = json::urls(environment, policy);
            urls.iter().map(|(endpoint, url)| format!("{endpoint:<10} {url}\n")).collect()
        }
        Access::Ssm => format!("Open it with: hatchery open {}\n", environment.id()),
    };
    context.console.print(&format!("{} is ready.\n{lines}", environment.id()))
}

/// Shows the progress, and returns the phase for the next call.
fn report_progress(
    context: &Context<'_>,
    environment: &Environment<'_>,
    estimates: &Estimates,
    now: DateTime<Utc>,
    last_phase: &str,
) -> String {
    let phase = environment.phase().map_or(environment.state.as_str(), |phase| phase.as_str());
    let progress = estimates.environment(environment, now);
    let percent = progress.map_or(0.0, |progress| progress.ratio * 100.0);
    let left = progress.and_then(|progress| progress.remaining);
    let left = left.map(|left| format!(", about {} left", format_duration(left))).unwrap_or_default();
    let new_phase = (phase != last_phase).then(|| format!("{}: {phase}", environment.id()));
    context.console.progress(&format!("{phase} {percent:.0}%{left}"), new_phase.as_deref());
    phase.to_owned()
}
