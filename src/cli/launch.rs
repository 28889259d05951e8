//! `launch`, `extend` and `terminate`.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;

use super::connect::Context;
use super::list::observe;
use super::{is_interactive, json, print, print_json, table};
use crate::domain::environment::{self, Lookup};
use crate::domain::progress::Estimates;
use crate::domain::record::parse_service;
use crate::domain::{Environment, EnvironmentId, EnvironmentState, Label, Record, World};
use crate::engine::{LaunchRequest, Launched};
use crate::failure::{Failure, Kind};

/// How often `--wait` looks, and how long it waits at most.
const LOOK: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What to launch.
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// What people will call it, such as checkout-fix
    name: String,
    /// A service under test and its image tag, such as payments=f-123; may be repeated
    #[arg(long = "service", value_name = "SERVICE=TAG")]
    services: Vec<String>,
    /// How long it lives; the fleet's policy says the default
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    ttl: Option<Duration>,
    /// A remark for others to read
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Wait until it is ready
    #[arg(long)]
    wait: bool,
}

impl LaunchArgs {
    fn request(self) -> Result<LaunchRequest, Failure> {
        let name: Label = self.name.parse()?;
        let mut services = BTreeMap::new();
        for service in &self.services {
            let (name, tag) = parse_service(service)?;
            if services.insert(name.clone(), tag).is_some() {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("service {name} is named twice"),
                    "name it once",
                ));
            }
        }
        Ok(LaunchRequest { name, services, ttl: self.ttl, note: self.note.filter(|note| !note.is_empty()) })
    }
}

pub(crate) async fn launch(context: &Context, args: LaunchArgs) -> Result<(), Failure> {
    let wait = args.wait;
    let request = args.request()?;
    let launched = context.engine.launch(&request).await?;
    if context.json && !wait {
        return print_json(&json::Launch {
            version: json::VERSION,
            fleet: context.fleet(),
            environment: json::LaunchedBody {
                id: &launched.environment,
                name: request.name.as_str(),
                record: launched.record.as_str(),
                instance: launched.instance.as_ref().map(crate::domain::InstanceId::as_str),
                database: launched.database.as_str(),
                expires_at: launched.expires_at,
            },
        });
    }
    if !context.json {
        let now = context.engine.clock().now();
        // The launch itself took a moment of it.
        let left = table::until(launched.expires_at + Duration::from_secs(30), now);
        print(&format!("Launched {} as {}; it lives for {left}.\n", launched.environment, request.name))?;
    }
    if wait { until_ready(context, &launched).await } else { Ok(()) }
}

async fn until_ready(context: &Context, launched: &Launched) -> Result<(), Failure> {
    let id = &launched.environment;
    let mut said = String::new();
    let begun = context.engine.clock().elapsed();
    while context.engine.clock().elapsed().saturating_sub(begun) < LONGEST_WAIT {
        let (world, now) = observe(context).await?;
        let all = Environment::all(&world, now);
        let estimates = Estimates::learn(&world);
        // One that was just launched may not be listed yet.
        if let Some(one) = all.iter().find(|one| one.record.id == launched.record) {
            match one.state {
                EnvironmentState::Ready => return ready(context, one, &world, &estimates),
                EnvironmentState::Failed | EnvironmentState::Terminating => {
                    let why = one
                        .problems()
                        .into_iter()
                        .next()
                        .unwrap_or_else(|| "it is being terminated".to_owned());
                    let hint = format!("see hatchery logs {id}");
                    return Err(Failure::new(Kind::Failed, format!("{id} did not come up: {why}"), hint));
                }
                _ => said = say(one, &estimates, now, &said),
            }
        }
        context.engine.clock().sleep(LOOK).await;
    }
    let message = format!("{id} is not ready after {}", table::length(LONGEST_WAIT));
    Err(Failure::new(Kind::Failed, message, format!("see hatchery logs {id}")))
}

fn ready(
    context: &Context,
    environment: &Environment<'_>,
    world: &World,
    estimates: &Estimates,
) -> Result<(), Failure> {
    let policy = &world.fleet.policy;
    let now = world.now().unwrap_or_else(|| context.engine.clock().now());
    if context.json {
        let body = json::environment(environment, policy, estimates, now);
        return print_json(&serde_json::json!({
            "version": json::VERSION, "fleet": context.fleet(), "environment": body,
        }));
    }
    let urls = json::urls(environment, policy);
    let lines: String = urls.iter().map(|(face, url)| format!("{face:<10} {url}\n")).collect();
    print(&format!("{} is ready.\n{lines}", environment.id()))
}

/// Says how far it is, where that has changed: one line that is rewritten on a terminal.
fn say(
    environment: &Environment<'_>,
    estimates: &Estimates,
    now: chrono::DateTime<chrono::Utc>,
    said: &str,
) -> String {
    let phase = environment.phase().map_or(environment.state.as_str(), |phase| phase.as_str());
    let mut err = std::io::stderr().lock();
    // Progress is a courtesy: whoever closed stderr does not want it.
    if err.is_terminal() {
        let progress = estimates.environment(environment, now);
        let percent = progress.map_or(0.0, |progress| progress.ratio * 100.0);
        let left = progress.and_then(|progress| progress.remaining);
        let left = left.map(|left| format!(", about {} left", table::length(left))).unwrap_or_default();
        let _ = write!(err, "\r\x1b[K{phase} {percent:.0}%{left}");
        let _ = err.flush();
    } else if said != phase {
        let _ = writeln!(err, "{}: {phase}", environment.id());
    }
    phase.to_owned()
}

pub(crate) async fn extend(context: &Context, word: &str, by: Duration) -> Result<(), Failure> {
    if by.is_zero() {
        return Err(Failure::new(Kind::Usage, "an extension by nothing makes no sense", "use --by 4h, say"));
    }
    let id = find(context, word).await?.environment;
    let extended = context.engine.extend(&id, by).await?;
    if context.json {
        return print_json(&json::Change {
            version: json::VERSION,
            fleet: context.fleet(),
            id: &id,
            expires_at: Some(extended.expires_at),
            capped: Some(extended.capped),
            terminating: None,
        });
    }
    let left = table::until(extended.expires_at, context.engine.clock().now());
    let capped = if extended.capped { ", the longest that the fleet allows" } else { "" };
    print(&format!("{id} lives for another {left}{capped}.\n"))
}

pub(crate) async fn terminate(context: &Context, word: &str, yes: bool) -> Result<(), Failure> {
    let record = find(context, word).await?;
    let id = record.environment.clone();
    if !yes {
        confirm(context, &record)?;
    }
    context.engine.terminate(&id).await?;
    if context.json {
        return print_json(&json::Change {
            version: json::VERSION,
            fleet: context.fleet(),
            id: &id,
            expires_at: None,
            capped: None,
            terminating: Some(true),
        });
    }
    print(&format!("{id} is being terminated; any engine of the fleet finishes it.\n"))
}

/// Asks. Somebody else's environment has to be named.
fn confirm(context: &Context, record: &Record) -> Result<(), Failure> {
    let id = &record.environment;
    if !is_interactive() {
        let message = format!("terminating {id} wants a confirmation, and nobody is there to give it");
        return Err(Failure::new(Kind::Usage, message, "add --yes"));
    }
    let own = record.owner == context.engine.config().user;
    let whose = if own { "yours".to_owned() } else { format!("{}'s", record.owner) };
    let (question, wanted) = if own {
        ("Type yes to go on: ".to_owned(), "yes".to_owned())
    } else {
        (format!("It is not yours. Type {} to go on: ", record.name), record.name.clone())
    };
    let mut err = std::io::stderr().lock();
    let asked = write!(
        err,
        "{id} ({}, {whose}) will be terminated with its database and everything in it.\n{question}",
        record.name
    )
    .and_then(|()| err.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| std::io::stdin().read_line(&mut answer));
    read.map_err(|error| Failure::new(Kind::Failed, format!("cannot ask: {error}"), "add --yes"))?;
    if answer.trim() == wanted {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, format!("{id} was left alone"), ""))
}

/// The record that a person's word means.
pub(crate) async fn find(context: &Context, word: &str) -> Result<Record, Failure> {
    // An id needs no listing.
    if let Ok(id) = word.parse::<EnvironmentId>()
        && id.fleet == *context.fleet()
    {
        let seen = context.cloud().find_record(&id).await;
        let seen = seen.map_err(|error| Failure::cloud(format!("cannot read {id}"), &error))?;
        if let Some(record) = seen.value.filter(|record| !record.retirement) {
            return Ok(record);
        }
    }
    let (world, _) = observe(context).await?;
    lookup(&world, word).cloned()
}

/// The record that a person's word means in a world.
pub(crate) fn lookup<'w>(world: &'w World, word: &str) -> Result<&'w Record, Failure> {
    match environment::find(world, word) {
        Lookup::Found(record) => Ok(record),
        Lookup::Missing if !world.records.complete => {
            let message = format!("{word:?} was not found, but not every environment could be listed");
            Err(Failure::new(Kind::Failed, message, "try again, or use its id"))
        }
        Lookup::Missing => {
            let message = format!("there is no environment {word:?} in fleet {}", world.fleet.name);
            Err(Failure::new(Kind::NotFound, message, "list them with: hatchery ls"))
        }
        Lookup::Ambiguous(mut records) => {
            records.sort_by_key(|record| record.number());
            let ids: Vec<_> = records.iter().map(|record| record.environment.to_string()).collect();
            let message = format!("{} environments are called {word:?}: {}", ids.len(), ids.join(", "));
            Err(Failure::new(Kind::Ambiguous, message, "use an id"))
        }
    }
}
