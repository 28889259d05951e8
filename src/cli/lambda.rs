//! The Lambda function: runs the engine on a schedule, and takes requests of engineers.
//!
//! An event without an `action`, such as the schedule's, runs one pass of the engine. Responses are the JSON documents of
//! the command line.

use std::collections::BTreeMap;
use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;

use super::console::Console;
use super::context::{Context, Session};
use super::json;
use super::lookup::resolve;
use super::options::GlobalOptions;
use crate::config::Config;
use crate::domain::Label;
use crate::domain::format::parse_duration;
use crate::domain::record::parse_service;
use crate::engine::LaunchRequest;
use crate::failure::{Failure, Kind};

/// Payload of an invocation. Other fields, such as those of a scheduled event, are ignored.
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

/// Whether the Lambda runtime started this process.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>
#[must_use]
pub fn is_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Handles invocations until the runtime ends the process.
#[must_use]
pub fn main() -> ExitCode {
    let format = tracing_subscriber::fmt().json().with_ansi(false).with_target(false);
    // Cannot fail: no other subscriber was set before.
    let _ = format.with_max_level(tracing::Level::INFO).try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(lambda_runtime::run(service_fn(handle))),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let event_fields = event.payload.as_object();
    let is_scheduled = event_fields.is_some_and(|fields| fields.get("action").is_none_or(Value::is_null));
    match respond(event.payload).await {
        Ok(document) => Ok(document),
        Err(failure) => {
            tracing::error!(kind = failure.kind.as_str(), message = failure.message, "failed");
            // A failed schedule fails the invocation, because CloudWatch alarms count failed invocations. A request gets the
            // failure as a document, as on the command line.
            if is_scheduled {
                Err(failure.sentence().into())
            } else {
                Ok(serde_json::to_value(json::error(&failure))?)
            }
        }
    }
}

async fn respond(payload: Value) -> Result<Value, Failure> {
    let request: Request = serde_json::from_value(payload)
        .map_err(|error| Failure::new(Kind::Usage, format!("not a valid event: {error}"), ""))?;
    let config = Config { owner: request.owner.clone(), ..Config::default() };
    let session = Session::new(GlobalOptions::from_env()?, config, Console::stdio(true));
    let context = session.context().await?;
    match request.action.as_deref() {
        None | Some("engine") => {
            let report = context.engine.once(false).await?;
            to_value(&json::report(context.fleet(), &report))
        }
        Some("ls") => {
            let (world, now) = context.observe().await?;
            to_value(&json::environments(&world, context.cloud().region(), now))
        }
        Some("launch") => launch(&context, request).await,
        Some("extend") => {
            let id = resolve(&context, &required(request.environment, "environment")?).await?.environment;
            let by = duration(&required(request.by, "by")?)?;
            let extended = context.engine.extend(&id, by).await?;
            to_value(&json::extended(context.fleet(), &extended))
        }
        Some("terminate") => {
            let id = resolve(&context, &required(request.environment, "environment")?).await?.environment;
            context.engine.terminate(&id).await?;
            to_value(&json::terminating(context.fleet(), &id))
        }
        Some(unknown) => {
            let hint = "use engine, ls, launch, extend or terminate";
            Err(Failure::new(Kind::Usage, format!("unknown action {unknown:?}"), hint))
        }
    }
}

async fn launch(context: &Context<'_>, request: Request) -> Result<Value, Failure> {
    let name: Label = required(request.name, "name")?.parse()?;
    let services = request.services.iter().map(|(name, tag)| parse_service(&format!("{name}={tag}")));
    let request = LaunchRequest {
        name,
        services: services.collect::<Result<_, _>>()?,
        ttl: request.ttl.as_deref().map(duration).transpose()?,
        note: request.note,
    };
    let launched = context.engine.launch(&request).await?;
    to_value(&json::launched(context.fleet(), &request.name, &launched))
}

fn required(value: Option<String>, field: &str) -> Result<String, Failure> {
    value.ok_or_else(|| Failure::new(Kind::Usage, format!("the event has no field {field:?}"), ""))
}

fn duration(text: &str) -> Result<std::time::Duration, Failure> {
    parse_duration(text).map_err(|error| Failure::new(Kind::Usage, error.to_string(), ""))
}

fn to_value(document: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::new(Kind::Failed, error.to_string(), ""))
}
