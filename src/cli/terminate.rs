//! `hatchery terminate`

use super::confirm::confirm;
use super::context::Context;
use super::json;
use super::lookup::resolve;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context<'_>, env: &str, yes: bool) -> Result<(), Failure> {
    let record = resolve(context, env).await?;
    if !yes {
        confirm(context, &record, "terminate", "terminated", "and deletes its database").await?;
    }
    let id = &record.environment;
    let terminating = context.engine.terminate(id).await?;
    if context.console.is_json() {
        return context.console.print_json(&json::terminating(context.fleet(), &terminating));
    }
    context.console.print(&match &terminating.delayed_by {
        None => format!("Terminating {id}; the engine finishes it in the background.\n"),
        Some(reason) => format!("The termination of {id} is recorded. No engine acts on it yet: {reason}.\n"),
    })
}
