//! The Lambda function: runs the engine on a schedule, and takes requests of engineers.
//!
//! The event of a schedule runs one pass of the engine. Responses are the JSON documents of the command line; a failure fails the
//! invocation.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;

use super::console::Console;
use super::context::{Context, Session};
use super::lookup::resolve;
use super::options::GlobalOptions;
use super::{json, metrics};
use crate::config::Config;
use crate::domain::Label;
use crate::domain::format::parse_duration;
use crate::domain::record::parse_service;
use crate::engine::{LaunchRequest, RedeployRequest};
use crate::failure::{Failure, Kind};

/// The part of the time-out in which no step of a pass starts, because a started one may take this long.
const DEADLINE_MARGIN: Duration = Duration::from_secs(45);

/// A request of an invocation, such as `{"launch": {"name": "checkout-fix"}}`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    Engine {},
    Ls {},
    Launch(LaunchFields),
    Extend { environment: String, by: String, owner: Option<String> },
    Redeploy(RedeployFields),
    Terminate { environment: String, owner: Option<String> },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LaunchFields {
    name: String,
    owner: Option<String>,
    #[serde(default)]
    services: BTreeMap<String, String>,
    ttl: Option<String>,
    note: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RedeployFields {
    environment: String,
    owner: Option<String>,
    #[serde(default)]
    services: BTreeMap<String, String>,
    /// Services that are no longer under test.
    #[serde(default)]
    defaults: BTreeSet<String>,
}

impl Request {
    /// Parses an event. An empty one and those of `EventBridge`, which have a source, request a pass of the engine.
    fn parse(event: Value) -> Result<Self, Failure> {
        let is_scheduled = event.as_object().is_some_and(|fields| {
            fields.is_empty() || fields.contains_key("source") && fields.contains_key("detail-type")
        });
        if is_scheduled {
            return Ok(Self::Engine {});
        }
        serde_json::from_value(event).map_err(|error| {
            let hint =
                "use an empty event, or one of engine, ls, launch, extend, redeploy and terminate with its fields";
            Failure::new(Kind::Usage, format!("not a valid event: {error}"), hint)
        })
    }

    /// The name in the audit log, as the caller states it.
    fn owner(&self) -> Option<&String> {
        match self {
            Self::Launch(fields) => fields.owner.as_ref(),
            Self::Redeploy(fields) => fields.owner.as_ref(),
            Self::Extend { owner, .. } | Self::Terminate { owner, .. } => owner.as_ref(),
            Self::Engine {} | Self::Ls {} => None,
        }
    }
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

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let deadline = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let time = deadline.saturating_sub(DEADLINE_MARGIN);
    respond(event.payload, &event.context.request_id, time).await.map_err(|failure| {
        tracing::error!(kind = failure.kind.as_str(), message = failure.message, "failed");
        // A failure fails the invocation, so that alarms and callers see it.
        Diagnostic { error_type: failure.kind.as_str().to_owned(), error_message: failure.sentence() }
    })
}

/// Responds with the documents of the command line. No step of a pass starts after `time`.
async fn respond(event: Value, request_id: &str, time: Duration) -> Result<Value, Failure> {
    let request = Request::parse(event)?;
    let owner = request.owner().cloned().or_else(|| Some("lambda".to_owned()));
    let config = Config { owner, ..Config::default() };
    let session =
        Session::new(GlobalOptions::from_env()?, config, Console::stdio(true)).of_lambda_request(request_id);
    let context = session.context().await?;
    match request {
        Request::Engine {} => {
            let report = context.engine.once_within(time).await?;
            let metrics = metrics::line(context.fleet(), &report, context.engine.clock().now());
            context.console.print_json(&metrics)?;
            // A schedule sees nothing but success or failure.
            report.check()?;
            to_value(&json::report(context.fleet(), &report))
        }
        Request::Ls {} => {
            let (world, now) = context.observe().await?;
            to_value(&json::environments(&world, context.cloud().region(), now))
        }
        Request::Launch(fields) => launch(&context, fields).await,
        Request::Extend { environment, by, .. } => {
            let id = resolve(&context, &environment).await?.environment;
            let extended = context.engine.extend(&id, duration(&by)?).await?;
            to_value(&json::extended(context.fleet(), &extended))
        }
        Request::Redeploy(fields) => redeploy(&context, fields).await,
        Request::Terminate { environment, .. } => {
            let id = resolve(&context, &environment).await?.environment;
            to_value(&json::terminating(context.fleet(), &context.engine.terminate(&id).await?))
        }
    }
}

async fn launch(context: &Context<'_>, fields: LaunchFields) -> Result<Value, Failure> {
    let request = LaunchRequest {
        name: fields.name.parse::<Label>()?,
        services: parse_services(&fields.services)?,
        ttl: fields.ttl.as_deref().map(duration).transpose()?,
        note: fields.note,
    };
    let launched = match context.engine.repeated_launch().await? {
        Some(launched) => launched,
        None => context.engine.launch(&request).await?,
    };
    to_value(&json::launched(context.fleet(), &request.name, &launched))
}

async fn redeploy(context: &Context<'_>, fields: RedeployFields) -> Result<Value, Failure> {
    let request = RedeployRequest { services: parse_services(&fields.services)?, defaults: fields.defaults };
    let id = resolve(context, &fields.environment).await?.environment;
    to_value(&json::redeployed(context.fleet(), &context.engine.redeploy(&id, &request).await?))
}

fn parse_services(services: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let services = services.iter().map(|(name, tag)| parse_service(&format!("{name}={tag}")));
    Ok(services.collect::<Result<_, _>>()?)
}

fn duration(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).map_err(|error| Failure::new(Kind::Usage, error.to_string(), ""))
}

fn to_value(document: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::new(Kind::Failed, error.to_string(), ""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::empty(json!({}))]
    #[case::schedule(json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} }))]
    #[case::explicit(json!({ "engine": {} }))]
    fn schedule_requests_a_pass(#[case] event: Value) {
        assert_eq!(Request::parse(event), Ok(Request::Engine {}));
    }

    #[rstest]
    #[case::unknown(json!({ "lunch": {} }), "unknown variant `lunch`")]
    #[case::two(json!({ "ls": {}, "engine": {} }), "not a valid event")]
    #[case::missing_field(json!({ "extend": { "environment": "dev-1" } }), "missing field `by`")]
    #[case::unknown_field(json!({ "launch": { "name": "x", "tll": "8h" } }), "unknown field `tll`")]
    #[case::no_object(json!("launch"), "not a valid event")]
    fn bad_event_is_a_usage_error(#[case] event: Value, #[case] message: &str) {
        let failure = Request::parse(event).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}
