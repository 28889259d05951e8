//! `hatchery extend`

use std::time::Duration;

use super::context::Context;
use super::lookup::resolve;
use super::{json, table};
use crate::failure::{Failure, Kind};

pub(crate) async fn run(context: &Context<'_>, env: &str, by: Duration) -> Result<(), Failure> {
    if by.is_zero() {
        let message = "cannot extend by zero";
        return Err(Failure::new(Kind::Usage, message, "use a duration such as --by 4h"));
    }
    let id = resolve(context, env).await?.environment;
    let extended = context.engine.extend(&id, by).await?;
    if context.console.is_json() {
        return context.console.print_json(&json::extended(context.fleet(), &extended));
    }
    let left = table::relative_time(extended.expires_at, context.engine.clock().now());
    let capped = if extended.capped { ", the maximum that the fleet allows" } else { "" };
    context.console.print(&format!("{id} now expires in {left}{capped}.\n"))
}
