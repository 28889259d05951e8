//! The confirmation before data is lost.

use super::context::{Context, place};
use crate::domain::Record;
use crate::failure::Failure;

/// Asks the user to confirm what an action loses. For another owner's environment the user has to type its name.
///
/// `verb` is the action, such as `terminate`, `done` its participle, and `loss` the end of the question, such as `and deletes its database`.
pub(super) async fn confirm(
    context: &Context<'_>,
    record: &Record,
    verb: &str,
    done: &str,
    loss: &str,
) -> Result<(), Failure> {
    let id = &record.environment;
    context.console.check_interactive(&format!("to {verb} {id}"))?;
    let (owner, name) = (&record.owner, &record.name);
    let is_own = *owner == context.engine.config().user;
    let expected = if is_own { "yes".to_owned() } else { name.to_string() };
    let whose = if is_own { "yours".to_owned() } else { format!("owned by {owner}") };
    let place = place(&context.account).await;
    let question = format!("This {verb}s {id} ({name}, {whose}) in {place}, {loss}.");
    context.console.confirm(&question, &expected, &format!("{id} was not {done}")).await
}
