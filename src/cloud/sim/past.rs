//! Earlier launches in the audit log of a scenario, so that a front end has a past to show. Nothing else is left of them.

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use super::state::{State, seconds};
use crate::domain::{AuditEvent, FleetName, Number, Outcome};

/// The numbers of earlier databases, below those of the initial ones. A number is used again once its database is gone.
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=5;

/// The latest end of an earlier environment, so that the initial ones have the latest events.
const UNTIL: TimeDelta = TimeDelta::hours(3);

/// The hours in which users launch.
const OPEN: std::ops::Range<u32> = 7..18;

const ENGINE: &str = "engine@schedule";

impl State {
    /// Adds the events of the scenario's earlier days. Their times depend on the seed alone.
    pub(super) fn add_past(&mut self, fleet: &FleetName) {
        let days = self.scenario.days_of_history;
        if days == 0 || self.scenario.environments.is_empty() {
            return;
        }
        let start = self.now - TimeDelta::days(days.into());
        for number in NUMBERS {
            let mut at = start + seconds(self.sample(&format!("past {number}"), [0.0, 14_400.0]));
            for cycle in 0_u32.. {
                let events = self.past_cycle(fleet, Number(number), cycle, at);
                match events.last() {
                    Some(last) if last.at <= self.now - UNTIL => at = last.at + TimeDelta::minutes(7),
                    _ => break,
                }
                self.audit.extend(events);
            }
        }
    }

    /// Returns the events of one database, from the request of its restore to its deletion.
    fn past_cycle(
        &self,
        fleet: &FleetName,
        number: Number,
        cycle: u32,
        start: DateTime<Utc>,
    ) -> Vec<AuditEvent> {
        let draw = |what: &str, range| self.sample(&format!("past {number} {cycle} {what}"), range);
        let minutes = |what: &str, min: f64, max: f64| seconds(draw(what, [min, max]) * 60.0);
        let (id, database) = (fleet.environment(number).to_string(), fleet.database_id(number).to_string());
        let event = |at, who: &str, action: &str, target: &str, reason: &str, detail: &str| AuditEvent {
            at,
            who: who.into(),
            action: action.into(),
            target: target.into(),
            reason: reason.into(),
            outcome: Outcome::Done,
            detail: detail.into(),
            restore_seconds: None,
            loaded_percent: None,
        };
        let environments = &self.scenario.environments;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let chosen = &environments[draw("user", [0.0, environments.len() as f64 - 0.01]) as usize];
        let (owner, name) = (chosen.owner.as_str(), chosen.name.as_str());
        let mut events = Vec::new();
        let mut at = start;
        if draw("refused", [0.0, 1.0]) < 0.07 {
            let detail =
                "RestoreDBInstanceFromDBSnapshot: the zone has no room (InsufficientDBInstanceCapacity)";
            let refused = event(at, ENGINE, "create-database", &database, "the policy sets spare=2", detail);
            events.push(AuditEvent { outcome: Outcome::Failed, ..refused });
            at += TimeDelta::minutes(2);
        }
        events.push(event(
            at,
            ENGINE,
            "create-database",
            &database,
            "the policy sets spare=2; 1 missing",
            "",
        ));
        let is_slow = draw("slow", [0.0, 1.0]) < 0.1;
        let took = if is_slow { minutes("took", 20.0, 34.0) } else { minutes("took", 11.0, 17.0) };
        let is_miss = draw("miss", [0.0, 1.0]) < 0.08;
        let mut launched =
            at + if is_miss { minutes("wait", 2.0, 9.0) } else { took + minutes("wait", 4.0, 150.0) };
        if !OPEN.contains(&launched.hour()) {
            // It waits for the next morning.
            let hours = (OPEN.start + 24 - launched.hour()) % 24;
            launched += TimeDelta::hours(hours.into()) + minutes("morning", 0.0, 55.0);
        }
        let is_ready = launched >= at + took;
        let launch =
            event(launched, owner, "launch", &id, &format!("as {name}"), &format!("with {database}"));
        let restore_seconds = is_ready.then(|| u64::try_from(took.num_seconds()).unwrap_or(0));
        events.push(AuditEvent { restore_seconds, ..launch });
        let mut ends = launched + minutes("life", 60.0, 330.0);
        if draw("redeploys", [0.0, 1.0]) < 0.4 {
            let service = chosen.services.keys().next().map_or("payments", String::as_str);
            let detail = format!("{service} f-{number}{cycle} → f-{number}{cycle}-fix");
            let deployed = launched + minutes("deployed", 10.0, 50.0);
            events.push(event(deployed, owner, "redeploy", &id, "requested", &detail));
        }
        if draw("extends", [0.0, 1.0]) < 0.3 {
            let until = ends + TimeDelta::hours(1);
            let detail = format!("until {}", until.format("%F %T UTC"));
            events.push(event(ends - TimeDelta::minutes(9), owner, "extend", &id, "by 1h", &detail));
            ends = until;
        }
        let by_owner = draw("ended", [0.0, 1.0]) < 0.6;
        if by_owner {
            events.push(event(ends, owner, "terminate", &id, "requested", ""));
        } else {
            events.push(event(ends, ENGINE, "mark-reaping", &id, "it has expired", ""));
            ends += TimeDelta::minutes(15);
        }
        let reason = if by_owner { "its user asked for its end" } else { "its time and its grace are over" };
        for (after, action, target) in
            [(1, "terminate-instance", &id), (2, "delete-database", &database), (8, "delete-record", &id)]
        {
            events.push(event(ends + TimeDelta::minutes(after), ENGINE, action, target, reason, ""));
        }
        events
    }
}
