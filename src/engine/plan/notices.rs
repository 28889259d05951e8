//! The notices' part of the plan: events to send to the destination of the policy, if there is one.

use super::planner::Planner;
use crate::domain::notice;
use crate::domain::policy::Problem;
use crate::domain::{DatabaseState, Environment, Notice, Pool, Target};
use crate::engine::step::{SEND_NOTICE, Step};

/// Plans the notices of environments. They are no change of the fleet, so a paused one sends them too.
pub(super) fn plan_environments(planner: &mut Planner<'_>, claims: &[Environment<'_>]) {
    if planner.policy.notify.is_some() {
        let notices = notice::of_environments(claims, planner.policy, planner.now);
        for notice in notices {
            planner.notify(notice);
        }
    }
}

/// Marks the fleet while its pool is empty, and plans the notice once the mark is old. The mark's time identifies the notice, so that it is sent
/// once for as long as the pool stays empty.
pub(super) fn plan_pool(planner: &mut Planner<'_>, pool: &Pool<'_>) {
    let world = planner.world;
    let is_known = world.is_complete() && !world.fleet.problems.iter().any(Problem::stops_pool);
    if planner.policy.notify.is_none() || !is_known {
        return;
    }
    let wanted = Target::new(world, planner.policy, planner.now).wanted;
    let is_empty = wanted > 0 && pool.in_state(DatabaseState::Free).next().is_none();
    match world.fleet.pool_empty {
        None if is_empty => planner.push(Step::MarkPoolEmpty { marked: true }, "no database is free"),
        Some(_) if !is_empty => {
            let reason = if wanted == 0 { "no database is wanted" } else { "a database is free" };
            planner.push(Step::MarkPoolEmpty { marked: false }, reason);
        }
        Some(_) => {
            if let Some(notice) = notice::of_pool(world, planner.now) {
                planner.notify(notice);
            }
        }
        None => {}
    }
}

impl Planner<'_> {
    /// Plans a notice, or refuses it while the destination has a pause.
    fn notify(&mut self, notice: Notice) {
        let reason = notice.title.clone();
        let step = Step::SendNotice(Box::new(notice));
        let failure = self.world.fleet.failed_notice.as_ref();
        if let Some(failure) =
            failure.filter(|failure| failure.action == SEND_NOTICE && self.now < failure.retry_at())
        {
            let why = format!("{reason}; {}", failure.pause("notices have", "are"));
            return self.refuse(step.action(), step.target(), why);
        }
        self.push(step, reason);
    }
}
