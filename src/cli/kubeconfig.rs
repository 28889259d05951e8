//! `hatchery kubeconfig`

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::lookup::{FoundTarget, audit_session, find_target};
use super::options::parse_duration;
use super::{json, table};
use crate::domain::EnvironmentId;
use crate::domain::format::format_duration;
use crate::failure::{Failure, Kind};
use crate::sessions::read_kubeconfig;
use crate::signals::Cancellation;

mod access;
mod file;

pub(crate) use access::ClusterAccess;
pub(crate) use file::{KubeconfigFile, document};

/// How long a token is valid unless the user says otherwise.
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_hours(8);

/// What Kubernetes accepts, and what the instances' script allows.
const MIN_LIFETIME: Duration = Duration::from_mins(10);
const MAX_LIFETIME: Duration = Duration::from_hours(12);

#[derive(Debug, Args)]
pub(crate) struct KubeconfigArgs {
    /// Id of the environment, or its name if that is unique
    env: String,
    /// How long it is valid, from 10m to 12h, and never longer than the environment [default: 8h]
    #[arg(long = "for", value_parser = parse_lifetime, value_name = "DURATION")]
    lifetime: Option<Duration>,
    /// Print it, with its secret token, instead of changing the kubeconfig file
    #[arg(long, conflicts_with = "json")]
    print: bool,
    /// Remove the environment's context from the kubeconfig file
    #[arg(long, conflicts_with_all = ["print", "lifetime"])]
    remove: bool,
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_duration(text)?;
    if (MIN_LIFETIME..=MAX_LIFETIME).contains(&lifetime) {
        Ok(lifetime)
    } else {
        Err("a token is valid for 10m to 12h".to_owned())
    }
}

/// Returns the name of an environment's context, cluster and user.
pub(crate) fn context_name(id: &EnvironmentId) -> String {
    format!("hatchery-{id}")
}

/// Returns `None` if the user has interrupted it.
pub(crate) async fn run(
    context: &Context<'_>,
    args: KubeconfigArgs,
    cancellation: &Cancellation,
) -> Result<Option<()>, Failure> {
    if args.remove {
        return remove(context, &args.env).await.map(Some);
    }
    let found = find_target(context, &args.env).await?;
    let id = &found.target.environment;
    let name = context_name(id);
    // Before a token is issued, so that a broken file does not cost one.
    let mut file = if args.print { None } else { Some(KubeconfigFile::open()?) };
    let lifetime = args.lifetime.unwrap_or(DEFAULT_LIFETIME);
    let Some(access) = get_access(context, &found, lifetime, cancellation).await? else { return Ok(None) };
    let Some(file) = &mut file else {
        let text = document(&name, &access, access::free_port()?)?;
        return context.console.print(&text).map(Some);
    };
    let port = match file.port(&name) {
        Some(port) => port,
        None => access::free_port()?,
    };
    file.set(&name, &access, port)?;
    file.save()?;
    let path = file.path().display().to_string();
    if context.console.is_json() {
        let document = json!({
            "version": json::VERSION,
            "fleet": context.fleet(),
            "id": id,
            "context": name,
            "file": path,
            "server": access::server(port),
            "expires_at": access.expires_at,
        });
        return context.console.print_json(&document).map(Some);
    }
    let left = table::relative_time(access.expires_at, found.now);
    let until = context.zone.format_full(access.expires_at);
    context.console.print(&format!(
        "The context {name} is in {path}. It is valid until {until} ({left}).\n\
         Use it while this runs: hatchery connect {id}\n\
         kubectl --context {name} get pods\n"
    ))?;
    Ok(Some(()))
}

/// Gets a token from the environment, which ends before the environment does. Returns `None` if the user has interrupted it.
pub(crate) async fn get_access(
    context: &Context<'_>,
    found: &FoundTarget,
    lifetime: Duration,
    cancellation: &Cancellation,
) -> Result<Option<ClusterAccess>, Failure> {
    let id = &found.target.environment;
    let seconds = seconds(id, lifetime, found.expires_at - found.now)?;
    context.console.notice(&format!("connecting to {id}"));
    let read = read_kubeconfig(context.cloud(), &found.target, seconds, cancellation.wait());
    let Some(config) = read.await? else { return Ok(None) };
    let expires_at = found.now + TimeDelta::seconds(seconds.into());
    let access = ClusterAccess::parse(&config, expires_at).ok_or_else(|| {
        let message = format!("the kubeconfig of {id} is not valid");
        Failure::new(Kind::Failed, message, "its image may be of another version of hatchery")
    })?;
    let detail = format!("valid for {}", format_duration(Duration::from_secs(seconds.into())));
    // A panic is already logged.
    let _ = audit_session(context, "issue-kubeconfig", id, &detail).await;
    Ok(Some(access))
}

fn seconds(id: &EnvironmentId, lifetime: Duration, left: TimeDelta) -> Result<u32, Failure> {
    let left = left.to_std().unwrap_or_default();
    if left < MIN_LIFETIME {
        let message = format!("{id} expires in less than 10m, which is the shortest lifetime of a token");
        return Err(Failure::new(Kind::TooLate, message, "extend it first, with: hatchery extend"));
    }
    Ok(u32::try_from(lifetime.min(left).as_secs()).unwrap_or(u32::MAX))
}

async fn remove(context: &Context<'_>, env: &str) -> Result<(), Failure> {
    // An id needs no read from AWS, where the environment may be gone.
    let id = match env.parse::<EnvironmentId>() {
        Ok(id) => id,
        Err(_) => super::lookup::resolve(context, env).await?.environment,
    };
    let name = context_name(&id);
    let mut file = KubeconfigFile::open()?;
    let removed = file.remove(&name)?;
    if removed {
        file.save()?;
    }
    let path = file.path().display().to_string();
    if context.console.is_json() {
        let document: Value = json!({
            "version": json::VERSION, "fleet": context.fleet(), "id": id, "context": name, "file": path, "removed": removed,
        });
        return context.console.print_json(&document);
    }
    context.console.print(&if removed {
        format!("Removed the context {name} from {path}.\n")
    } else {
        format!("There is no context {name} in {path}.\n")
    })
}
