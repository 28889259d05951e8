//! `hatchery terminate`

use super::context::{Context, place};
use super::json;
use super::lookup::resolve;
use crate::domain::Record;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context<'_>, env: &str, yes: bool) -> Result<(), Failure> {
    let record = resolve(context, env).await?;
    if !yes {
        confirm(context, &record).await?;
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

/// Asks the user to confirm. For another owner's environment the user has to type its name.
async fn confirm(context: &Context<'_>, record: &Record) -> Result<(), Failure> {
    let id = &record.environment;
    context.console.check_interactive(&format!("to terminate {id}"))?;
    let (owner, name) = (&record.owner, &record.name);
    let is_own = *owner == context.engine.config().user;
    let expected = if is_own { "yes".to_owned() } else { name.to_string() };
    let whose = if is_own { "yours".to_owned() } else { format!("owned by {owner}") };
    let place = place(&context.account).await;
    let question = format!("This terminates {id} ({name}, {whose}) in {place}, and deletes its database.");
    context.console.confirm(&question, &expected, &format!("{id} was not terminated")).await
}
