//! `hatchery ls`

use chrono::{DateTime, Utc};

use super::context::Context;
use super::{json, table};
use crate::domain::progress::Estimates;
use crate::domain::{Environment, EnvironmentState, World, cost};
use crate::failure::Failure;

pub(crate) async fn run(context: &Context<'_>) -> Result<(), Failure> {
    let (world, now) = context.observe().await?;
    if context.console.is_json() {
        return context.console.print_json(&json::environments(&world, context.cloud().region(), now));
    }
    let estimates = Estimates::learn(&world);
    let rows = Environment::all(&world, now)
        .iter()
        .map(|environment| row(environment, &world, &estimates, now))
        .collect();
    let headings = ["ID", "NAME", "OWNER", "STATE", "LEFT", "DATABASE", "SERVICES", "COST"];
    // An empty list is either an empty fleet or a launch that reads do not show yet.
    let placeholder = "There are no environments, or AWS does not show a new one yet. Launch one with: hatchery launch NAME";
    context.console.print(&table::render(&headings, rows, placeholder))
}

fn row(
    environment: &Environment<'_>,
    world: &World,
    estimates: &Estimates,
    now: DateTime<Utc>,
) -> Vec<String> {
    let record = environment.record;
    let state = match estimates.environment(environment, now) {
        Some(progress) => {
            let phase = environment.phase().map_or(environment.state.as_str(), |phase| phase.as_str());
            format!("{phase} {:.0}%", progress.ratio * 100.0)
        }
        None if environment.is_deploying() => "deploying".to_owned(),
        None => environment.state.as_str().to_owned(),
    };
    let services: Vec<_> = record.services.iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
    let cost = cost::of_environment(environment, &world.fleet.policy, now);
    vec![
        record.environment.to_string(),
        record.name.to_string(),
        record.owner.to_string(),
        state,
        time_left(environment, world, now),
        database(environment, estimates, now),
        services.join(" "),
        cost.map(|cost| format!("${:.2}", cost.accrued)).unwrap_or_default(),
    ]
}

/// Returns the status of the database, and how far a reset is.
fn database(environment: &Environment<'_>, estimates: &Estimates, now: DateTime<Utc>) -> String {
    let status = environment.database.map(|database| database.status.to_string()).unwrap_or_default();
    let Some(reset) = &environment.reset else { return status };
    let next = match reset.database {
        None => "to be restored".to_owned(),
        Some(database) => match estimates.database(database, now).filter(|_| !database.is_ready()) {
            Some(progress) => format!("{} {:.0}%", database.status, progress.ratio * 100.0),
            None => database.status.to_string(),
        },
    };
    format!("{status}, reset: {next}")
}

fn time_left(environment: &Environment<'_>, world: &World, now: DateTime<Utc>) -> String {
    match environment.state {
        EnvironmentState::Terminating | EnvironmentState::Failed => String::new(),
        EnvironmentState::Reaping => {
            let kept_until = environment.kept_until(&world.fleet.policy);
            kept_until.map(|at| format!("grace {}", table::relative_time(at, now))).unwrap_or_default()
        }
        _ => environment.record.expires_at.map(|at| table::relative_time(at, now)).unwrap_or_default(),
    }
}
