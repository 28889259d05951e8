//! `hatchery redeploy`

use std::time::Duration;

use clap::Args;

use super::context::Context;
use super::json;
use super::lookup::resolve;
use super::services::parse_services;
use super::wait::wait_until;
use crate::domain::format::format_duration;
use crate::domain::{DeploymentState, Environment, EnvironmentState, World};
use crate::engine::{RedeployRequest, Redeployed};
use crate::failure::{Failure, Kind};

/// Longer than an instance may take.
const MAX_WAIT: Duration = Duration::from_mins(90);

#[derive(Debug, Args)]
pub(crate) struct RedeployArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// Service to test and its new image tag, such as payments=f-124; repeat for more than one. Other services keep their tags
    #[arg(long = "service", value_name = "SERVICE=TAG")]
    services: Vec<String>,
    /// Service that is no longer under test, so that the chart's own version is deployed; repeat for more than one
    #[arg(long = "default", value_name = "SERVICE")]
    defaults: Vec<String>,
    /// Wait until it is deployed
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(context: &Context<'_>, args: RedeployArgs) -> Result<(), Failure> {
    let services = parse_services(&args.services)?;
    let request = RedeployRequest { services, defaults: args.defaults.into_iter().collect() };
    let id = resolve(context, &args.env).await?.environment;
    let redeployed = context.engine.redeploy(&id, &request).await?;
    if context.console.is_json() && !args.wait {
        return context.console.print_json(&json::redeployed(context.fleet(), &redeployed));
    }
    if !context.console.is_json() {
        context.console.print(&format!("Deploying to {id}: {}.\n", redeployed.changes))?;
    }
    if args.wait { wait(context, &redeployed).await } else { Ok(()) }
}

async fn wait(context: &Context<'_>, redeployed: &Redeployed) -> Result<(), Failure> {
    let id = &redeployed.environment;
    let failed = |why: String| Failure::new(Kind::Failed, why, format!("see: hatchery logs {id}"));
    let mut last_detail = String::new();
    let is_done = |world: &World, now| {
        let environments = Environment::all(world, now);
        let Some(environment) =
            environments.iter().find(|environment| environment.record.id == redeployed.record)
        else {
            return Err(failed(format!("{id} ended before it was deployed")));
        };
        if matches!(environment.state, EnvironmentState::Failed | EnvironmentState::Terminating) {
            return Err(failed(format!("{id} is {} and does not deploy any more", environment.state)));
        }
        // Reads lag writes, so a listing may not show this request yet; it counts from when it or a later one is shown.
        let deployment = environment.deployment();
        let shown = deployment.filter(|deployment| deployment.request.at >= redeployed.deployment.at);
        let Some(deployment) = shown else { return Ok(false) };
        let detail =
            |default: &str| deployment.detail.map_or_else(|| default.to_owned(), ToString::to_string);
        match deployment.state {
            DeploymentState::Done => return Ok(true),
            DeploymentState::Failed => {
                let reason = detail("no reason given");
                return Err(failed(format!("the deployment to {id} failed: {reason}")));
            }
            DeploymentState::Requested | DeploymentState::Running => {
                let detail = detail("requested");
                let news = (detail != last_detail).then(|| format!("{id}: {detail}"));
                context.console.progress(&detail, news.as_deref());
                last_detail = detail;
            }
        }
        Ok(false)
    };
    if !wait_until(context, id, "deploys", MAX_WAIT, is_done).await? {
        return Err(failed(format!("{id} is not deployed after {}", format_duration(MAX_WAIT))));
    }
    context.console.progress("", None);
    if context.console.is_json() {
        return context.console.print_json(&json::redeployed(context.fleet(), redeployed));
    }
    context.console.print(&format!("{id} is deployed.\n"))
}
