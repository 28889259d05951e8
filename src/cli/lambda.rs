//! The Lambda face: the schedule that tops the pool up and reaps, and a function that engineers can invoke.
//!
//! An event without an action, such as the schedule's, runs one pass. The answers are the documents of the command line.

use std::collections::BTreeMap;
use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;

use super::connect::{Context, context};
use super::launch::find;
use super::{Cli, json};
use crate::config::Config;
use crate::domain::Label;
use crate::domain::record::parse_service;
use crate::engine::LaunchRequest;
use crate::failure::{Failure, Kind};

/// What the function is asked. What the schedule's own events say beside it does not matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Request {
    action: Option<String>,
    name: Option<String>,
    owner: Option<String>,
    services: BTreeMap<String, String>,
    ttl: Option<String>,
    note: Option<String>,
    environment: Option<String>,
    by: Option<String>,
}

/// Whether the Lambda runtime has started this process.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>
#[must_use]
pub fn is_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Answers events until the runtime ends the process.
#[must_use]
pub fn main() -> ExitCode {
    let format = tracing_subscriber::fmt().json().with_ansi(false).with_target(false);
    // Nothing else in this process writes a log.
    let _ = format.with_max_level(tracing::Level::INFO).try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(lambda_runtime::run(service_fn(handle))),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the runtime has ended");
            ExitCode::FAILURE
        }
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let scheduled =
        event.payload.as_object().is_some_and(|event| event.get("action").is_none_or(Value::is_null));
    match answer(event.payload).await {
        Ok(document) => Ok(document),
        // A refusal is an answer; only the schedule's pass fails the invocation, so that it shows in the metrics.
        Err(failure) => {
            tracing::error!(kind = failure.kind.as_str(), message = failure.message, "failed");
            if scheduled {
                Err(failure.sentence().into())
            } else {
                Ok(serde_json::to_value(json::error(&failure))?)
            }
        }
    }
}

async fn answer(payload: Value) -> Result<Value, Failure> {
    let request: Request = serde_json::from_value(payload)
        .map_err(|error| Failure::new(Kind::Usage, format!("the event makes no sense: {error}"), ""))?;
    let mut config = Config::default();
    config.owner.clone_from(&request.owner);
    // Flags have no place here: the environment says the fleet, and AWS the rest.
    let cli = <Cli as clap::Parser>::try_parse_from(["hatchery", "--json"])
        .map_err(|error| Failure::new(Kind::Usage, error.to_string(), "correct HATCHERY_FLEET"))?;
    let context = context(&cli.global, &config).await?;
    match request.action.as_deref() {
        None | Some("engine") => {
            let report = context.engine.once(false).await?;
            to_value(&json::report(context.fleet(), &report))
        }
        Some("ls") => {
            let (world, now) = super::list::observe(&context).await?;
            to_value(&json::environments(&world, context.cloud().region(), now))
        }
        Some("launch") => launch(&context, request).await,
        Some("extend") => {
            let id = find(&context, &needed(request.environment, "environment")?).await?.environment;
            let by = length(&needed(request.by, "by")?)?;
            let extended = context.engine.extend(&id, by).await?;
            to_value(&json::Change {
                version: json::VERSION,
                fleet: context.fleet(),
                id: &id,
                expires_at: Some(extended.expires_at),
                capped: Some(extended.capped),
                terminating: None,
            })
        }
        Some("terminate") => {
            let id = find(&context, &needed(request.environment, "environment")?).await?.environment;
            context.engine.terminate(&id).await?;
            to_value(&json::Change {
                version: json::VERSION,
                fleet: context.fleet(),
                id: &id,
                expires_at: None,
                capped: None,
                terminating: Some(true),
            })
        }
        Some(other) => {
            let hint = "there are: engine, ls, launch, extend, terminate";
            Err(Failure::new(Kind::Usage, format!("there is no action {other:?}"), hint))
        }
    }
}

async fn launch(context: &Context, request: Request) -> Result<Value, Failure> {
    let name: Label = needed(request.name, "name")?.parse()?;
    let services = request.services.iter().map(|(name, tag)| parse_service(&format!("{name}={tag}")));
    let wanted = LaunchRequest {
        name,
        services: services.collect::<Result<_, _>>()?,
        ttl: request.ttl.as_deref().map(length).transpose()?,
        note: request.note,
    };
    let launched = context.engine.launch(&wanted).await?;
    to_value(&json::Launch {
        version: json::VERSION,
        fleet: context.fleet(),
        environment: json::LaunchedBody {
            id: &launched.environment,
            name: wanted.name.as_str(),
            record: launched.record.as_str(),
            instance: launched.instance.as_ref().map(crate::domain::InstanceId::as_str),
            database: launched.database.as_str(),
            expires_at: launched.expires_at,
        },
    })
}

fn needed(value: Option<String>, name: &str) -> Result<String, Failure> {
    value.ok_or_else(|| Failure::new(Kind::Usage, format!("the event says no {name}"), ""))
}

fn length(text: &str) -> Result<std::time::Duration, Failure> {
    humantime::parse_duration(text).map_err(|error| {
        Failure::new(Kind::Usage, format!("{text:?} is no length of time: {error}"), "use 4h, say")
    })
}

fn to_value(document: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::new(Kind::Failed, error.to_string(), ""))
}
