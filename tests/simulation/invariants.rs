//! The invariants of the design, checked on the account's true state after every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::{Change, SimInstance, State};
use hatchery::domain::tags::{self, Tags, key};
use hatchery::domain::{CloudError, EnvironmentId, ErrorClass, Policy};

use crate::alive::Alive;
use crate::deployments::Deployments;
use crate::lost::LostDatabases;
use crate::ownership::{Ownership, find_record, fleet_of, is_pool, record_name};
use crate::refusal_counts::RefusalCounts;
use crate::reset_invariants::{Switches, names_other};
use crate::swarm::is_reported;

/// How long an engine may still act on the state before an unconfirmed extension: a read authorises a change for 5 s, and reads
/// are stale by up to 8 s.
const EXTENSION_RACE: TimeDelta = TimeDelta::seconds(15);

/// How long an engine may still create databases under an earlier ceiling: listings are stale by up to two minutes, and a read authorises a
/// restore for a minute.
const CEILING_RACE: TimeDelta = TimeDelta::minutes(5);

/// When a record was marked for reaping, and when the mark was removed.
#[derive(Clone, Copy)]
struct Mark {
    since: DateTime<Utc>,
    removed: Option<DateTime<Utc>>,
}

/// The settings of a fleet that the checks need, over time.
struct Rules {
    /// The values of `max-databases` with the times from which they hold.
    ceilings: Vec<(DateTime<Utc>, usize)>,
    /// The shortest `grace` so far.
    grace: TimeDelta,
    /// The databases that count as failed restores.
    failures: BTreeSet<String>,
}

/// What was confirmed to users, and the account's history as far as the checks need it.
#[derive(Default)]
pub(crate) struct InvariantChecker {
    /// The time from which outdated engines must only observe.
    pub(crate) outdated_from: Option<DateTime<Utc>>,
    /// The expiries confirmed to users, by record.
    pub(crate) confirmed: BTreeMap<String, Vec<DateTime<Utc>>>,
    /// The time of the confirmation of each launch, by record.
    pub(crate) launched: BTreeMap<String, DateTime<Utc>>,
    pub(crate) ownership: Ownership,
    pub(crate) alive: Alive,
    rules: BTreeMap<String, Rules>,
    marks: BTreeMap<String, Mark>,
    /// Records whose expiry tag was deleted or made unreadable.
    lost_expiry: BTreeSet<String>,
    /// All instances so far.
    known_instances: BTreeSet<String>,
    known_databases: BTreeSet<String>,
    /// When engines began to delete an expired environment, by record.
    pub(crate) reaped: BTreeMap<String, DateTime<Utc>>,
    /// Databases for which an instance was launched, with its record.
    pub(crate) used: BTreeMap<String, String>,
    /// The databases that each record has named.
    pub(crate) named: BTreeMap<String, Switches>,
    /// The database with which the instance of each record has deployed last.
    pub(crate) rolled_out: BTreeMap<String, String>,
    /// Instances that are shutting down or terminated.
    ended: BTreeSet<String>,
    /// Databases that are being deleted.
    deleting: BTreeSet<String>,
    /// Records whose instance was ready.
    pub(crate) ready: BTreeSet<String>,
    pub(crate) lost: LostDatabases,
    /// Databases that were terminal, or whose restore took more than two hours.
    failed: BTreeSet<String>,
    creating_since: BTreeMap<String, DateTime<Utc>>,
    /// Until when users were told that a record or a database is held.
    pub(crate) held: BTreeMap<String, DateTime<Utc>>,
    /// The refused changes of each fleet's engines within the last hour, by operation.
    pub(crate) refusals: RefusalCounts,
    pub(crate) deployments: Deployments,
    pub(crate) violations: Vec<String>,
}

/// Shared with the observer inside the cloud.
pub(crate) type SharedChecker = Arc<Mutex<InvariantChecker>>;

/// Whether a change is an engine's, and not the operator's or AWS's own.
pub(crate) fn is_engine(who: &str) -> bool {
    !matches!(who, "operator" | "cloud" | "stranger" | "administrator")
}

/// Whether RDS never leaves the status by itself, so that the database serves no one.
fn is_terminal(status: &str) -> bool {
    matches!(
        status,
        "failed" | "restore-error" | "insufficient-capacity" | "inaccessible-encryption-credentials"
    ) || status.starts_with("incompatible-")
}

impl InvariantChecker {
    pub(crate) fn violation(&mut self, state: &State, invariant: &str, what: impl std::fmt::Display) {
        self.report(format!("{invariant} at {}: {what}", state.now().format("%F %T%.3f")));
    }

    /// Adds a violation, unless the engine is known to cause it.
    pub(crate) fn report(&mut self, violation: String) {
        if is_reported(&violation) {
            self.violations.push(violation);
        }
    }

    /// Records the initial state.
    pub(crate) fn begin(&mut self, state: &State, fleets: &[&str]) {
        self.ownership.begin(state, fleets);
        self.known_instances = state.instances().map(|(id, _)| id.to_owned()).collect();
        self.known_databases = state.databases().map(|(id, _)| id.to_owned()).collect();
        let fleets: Vec<_> = self.ownership.fleet_templates();
        for id in fleets {
            self.update_rules(state, "stranger", &id);
        }
    }

    /// Checks every invariant that a change may violate.
    pub(crate) fn check(&mut self, state: &State, who: &str, change: &Change) {
        if let Change::Template(id) | Change::Tags(id) = change
            && !is_engine(who)
        {
            self.update_lost_hold(state, id);
        }
        match change {
            Change::Instance(id) => self.instance(state, who, id),
            Change::Database(id) => self.database(state, who, id),
            Change::Template(id) => self.template(state, who, id),
            Change::Tags(id) => {
                if is_engine(who) {
                    self.foreign(state, who, id);
                    self.give_up(state, who, id);
                    if let Some(what) = Deployments::changed(&self.ownership, state, who, id) {
                        self.violation(state, "I4", what);
                    }
                    self.one_database(state, id);
                }
                self.ownership.update_lost_tags(state, is_engine(who), id);
                self.update_template(state, id);
                self.update_rules(state, who, id);
                self.update_ready(state, id);
                self.update_rolled_out(state, who, id);
                self.update_used(state, who, id);
                self.update_named(state, who, id);
                self.update_lost_expiry(id);
                self.never_free_again(state);
            }
        }
    }

    /// I10: all engines of a fleet together send only some requests an hour that AWS refuses.
    pub(crate) fn refused(
        &mut self,
        who: &str,
        operation: &'static str,
        error: &CloudError,
        now: DateTime<Utc>,
    ) {
        if !who.contains("host-") {
            return;
        }
        // Missing permissions are those of one caller, so each engine finds out by itself.
        let among = if error.is(ErrorClass::Auth) { who } else { fleet_of(who) };
        if let Some(count) = self.refusals.too_many(among, who, operation, now) {
            let what = format!("{among}: {count} refusals of {operation:?} within an hour, such as {error}");
            self.report(format!("I10 at {}: {what}", now.format("%F %T")));
        }
    }

    /// I3: a confirmed launch has a record.
    pub(crate) fn confirm(&mut self, state: &State, who: &str, record: &str, expires_at: DateTime<Utc>) {
        if !self.ownership.templates.contains_key(record) {
            self.violation(
                state,
                "I3",
                format!("a launch of {who} was confirmed with {record}, which never existed"),
            );
        }
        self.launched.insert(record.to_owned(), state.now());
        self.raise_confirmed(record, expires_at);
    }

    /// I3: an environment that a user is told to be terminated is being terminated.
    pub(crate) fn denied(&mut self, state: &State, who: &str, environment: &EnvironmentId) {
        let name = environment.record_name();
        let kept = |tags: &Tags| {
            let ends = [key::TERMINATE, key::FAILURE, key::REAPING_SINCE];
            tags.get(key::OWNER).is_some_and(|owner| owner == who)
                && !ends.iter().any(|key| tags.contains_key(*key))
        };
        if state.templates().any(|(_, template)| template.name == name && kept(&template.tags)) {
            let what = format!("{who} was told that {environment} is terminated, and it is not");
            self.violation(state, "I3", what);
        }
    }

    fn update_template(&mut self, state: &State, id: &str) {
        let Some((_, template)) = state.templates().find(|(own, _)| *own == id) else { return };
        self.ownership.update(id, template);
        let since = tags::parse_time(&template.tags, key::REAPING_SINCE);
        match (since, self.marks.get_mut(id)) {
            (Some(since), _) => {
                self.marks.insert(id.to_owned(), Mark { since, removed: None });
            }
            (None, Some(mark)) => {
                mark.removed.get_or_insert(state.now());
            }
            (None, None) => {}
        }
    }

    /// Notes the fleet's settings, and checks that each database counted as a failed restore has failed.
    fn update_rules(&mut self, state: &State, who: &str, id: &str) {
        let Some((name, tags)) = self.ownership.templates.get(id) else { return };
        let Some(fleet) = name.strip_prefix("hatchery/").filter(|fleet| !fleet.contains('/')) else { return };
        let (fleet, Ok(parsed)) = (fleet.to_owned(), fleet.parse()) else { return };
        let (policy, _) = Policy::parse(tags, &parsed);
        let grace = TimeDelta::from_std(policy.grace).unwrap_or(TimeDelta::MAX);
        let failures: BTreeSet<String> = policy
            .restore_failures
            .numbers
            .iter()
            .map(|number| parsed.database_id(*number).to_string())
            .collect();
        let now = state.now();
        let rules = self.rules.entry(fleet.clone()).or_insert(Rules {
            ceilings: Vec::new(),
            grace,
            failures: BTreeSet::new(),
        });
        rules.grace = rules.grace.min(grace);
        let ceiling = policy.max_databases as usize;
        if rules.ceilings.last().is_none_or(|(_, last)| *last != ceiling) {
            rules.ceilings.push((now, ceiling));
        }
        let new: Vec<_> = failures.difference(&rules.failures).cloned().collect();
        rules.failures = failures;
        let long = |since: &DateTime<Utc>| *since + TimeDelta::minutes(115) <= now;
        for database in new {
            let failed =
                self.failed.contains(&database) || self.creating_since.get(&database).is_some_and(long);
            if is_engine(who) && !failed {
                let why = match self.creating_since.get(&database) {
                    Some(since) => format!("has been creating only since {since}"),
                    None => "was only busy".to_owned(),
                };
                let what = format!("{who} counted {database} as a failed restore, and it {why}");
                self.violation(state, "I4", what);
            }
        }
    }

    fn update_ready(&mut self, state: &State, id: &str) {
        if let Some((_, instance)) = state.instances().find(|(own, _)| *own == id)
            && instance.tags.get(key::PHASE).is_some_and(|phase| phase == "ready")
        {
            self.ready.extend(find_record(instance).map(str::to_owned));
        }
    }

    /// Once the operator removed the expiry, the next extension sets the confirmed one.
    fn update_lost_expiry(&mut self, id: &str) {
        let Some((_, tags)) = self.ownership.templates.get(id) else { return };
        match tags::parse_time(tags, key::EXPIRES_AT) {
            None => {
                self.lost_expiry.insert(id.to_owned());
            }
            Some(written) if self.lost_expiry.contains(id) => {
                self.confirmed.insert(id.to_owned(), vec![written]);
            }
            Some(_) => {}
        }
    }

    fn instance(&mut self, state: &State, who: &str, id: &str) {
        let Some((_, instance)) = state.instances().find(|(own, _)| *own == id) else { return };
        let record = find_record(instance).unwrap_or_default();
        let is_new = self.known_instances.insert(id.to_owned());
        if is_new && is_engine(who) {
            self.ownership.created(who, id);
            // I1: instances are launched from existing records only.
            if !state.templates().any(|(own, _)| own == record) {
                self.violation(state, "I1", format!("{who} launched {id} from {record}, which is deleted"));
            }
        }
        if is_new {
            self.update_used(state, who, id);
        }
        // I1: no database serves two environments at the same time.
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut shared = Vec::new();
        for (other, instance) in state.instances().filter(|(_, instance)| !instance.state.is_ending()) {
            let (Some(database), Some(record)) = (instance.tags.get(key::DATABASE), find_record(instance))
            else {
                continue;
            };
            if owners.insert(database, record).is_some_and(|before| before != record) {
                shared.push(format!("{database} serves {other} and another"));
            }
        }
        for what in shared {
            self.violation(state, "I1", what);
        }
        if instance.state.is_ending() && self.ended.insert(id.to_owned()) && is_engine(who) {
            self.foreign(state, who, id);
            let other =
                |instance: &SimInstance| find_record(instance) == Some(record) && !instance.state.is_ending();
            let surplus = state.instances().any(|(_, instance)| other(instance));
            // If the operator deleted the record, the owner is unknown.
            let has_record = state.templates().any(|(own, _)| own == record);
            if has_record && !surplus {
                self.may_end(state, who, record, &format!("{id} of {record}"));
            }
        }
        self.never_free_again(state);
    }

    fn database(&mut self, state: &State, who: &str, id: &str) {
        let now = state.now();
        if is_engine(who) && self.known_databases.insert(id.to_owned()) {
            self.ownership.created(who, id);
            self.ceiling(state, who);
        }
        let Some((_, database)) = state.databases().find(|(own, _)| *own == id) else {
            self.used.remove(id);
            self.known_databases.remove(id);
            self.ownership.forget(id);
            self.lost.lose(id, now);
            self.held.remove(id);
            return;
        };
        let is_lost = is_terminal(&database.status) || database.status == "deleting";
        if is_lost {
            self.lost.lose(id, now);
        } else {
            self.lost.recover(id, now);
        }
        match database.status.as_str() {
            "creating" => {
                self.failed.remove(id);
                self.creating_since.insert(id.to_owned(), now);
            }
            status if is_terminal(status) => drop(self.failed.insert(id.to_owned())),
            _ if database.created_at.is_some() => drop(self.creating_since.remove(id)),
            _ => {}
        }
        if database.status == "deleting" && self.deleting.insert(id.to_owned()) && is_engine(who) {
            self.foreign(state, who, id);
            if self.is_held(id, now) {
                self.violation(state, "I4", format!("{who} deleted {id}, which is held"));
            }
            if let Some(name) = database.tags.get(key::ENVIRONMENT).and_then(|id| record_name(id))
                && let Some((record, template)) =
                    state.templates().find(|(_, template)| template.name == name)
            {
                if names_other(id, &template.tags) {
                    self.may_leave(state, who, record, id);
                } else {
                    self.may_end(state, who, record, id);
                }
            }
            self.users_may_end(state, who, id);
        }
        if database.status != "deleting" {
            self.deleting.remove(id);
        }
        self.never_free_again(state);
    }

    /// I8: the ceiling holds at every instant.
    fn ceiling(&mut self, state: &State, who: &str) {
        let fleet = fleet_of(who);
        let own = state.databases().filter(|(id, database)| is_pool(fleet, id, &database.tags)).count();
        let Some(rules) = self.rules.get(fleet) else { return };
        // Of the values that no longer hold, the last one still counts for a while.
        let limit = state.now() - CEILING_RACE;
        let old = rules.ceilings.iter().rposition(|(since, _)| *since <= limit).unwrap_or(0);
        let ceiling = rules.ceilings[old..].iter().map(|(_, ceiling)| *ceiling).max().unwrap_or(usize::MAX);
        if own > ceiling {
            self.violation(state, "I8", format!("{own} databases, max-databases is {ceiling}, by {who}"));
        }
    }

    fn template(&mut self, state: &State, who: &str, id: &str) {
        if state.templates().any(|(own, _)| own == id) {
            if is_engine(who) {
                self.ownership.created(who, id);
            }
            self.update_template(state, id);
            return self.update_rules(state, who, id);
        }
        if is_engine(who) {
            self.foreign(state, who, id);
            // An engine may delete the record of its own claim as long as it has launched nothing.
            let launched = state.instances().any(|(_, instance)| find_record(instance) == Some(id));
            if launched || self.confirmed.contains_key(id) {
                self.may_end(state, who, id, id);
            }
            let alive = state.instances().find(|(_, m)| find_record(m) == Some(id) && !m.state.is_ending());
            if let Some((instance, _)) = alive {
                self.violation(state, "I7", format!("{who} deleted {id} and left {instance}"));
            }
        }
    }

    /// I4: an environment ends only if its termination was requested, or if its confirmed expiry has passed and the grace
    /// period since the first sweep has too.
    pub(crate) fn may_end(&mut self, state: &State, who: &str, record: &str, what: &str) {
        let Some((name, tags)) = self.ownership.templates.get(record) else { return };
        if tags.contains_key(key::TERMINATE) {
            return;
        }
        let now = state.now();
        let confirmed = self.latest_confirmed(record);
        let expiry = confirmed.or_else(|| tags::parse_time(tags, key::EXPIRES_AT));
        let failed = tags.contains_key(key::FAILURE) && !self.is_held(record, now);
        let over = failed || expiry.is_none_or(|at| at <= now);
        let mark = self.marks.get(record);
        let grace = self.rules.get(fleet_of(who)).map_or(TimeDelta::zero(), |rules| rules.grace);
        let swept = mark.is_some_and(|mark| {
            mark.since + grace <= now && mark.removed.is_none_or(|removed| removed + EXTENSION_RACE >= now)
        });
        if !tags.contains_key(key::FAILURE) {
            self.reaped.entry(record.to_owned()).or_insert(now);
        }
        if !over || !swept {
            let name = name.clone();
            let since = mark.map(|mark| mark.since);
            let what =
                format!("{who} ended {what} of {name}, confirmed until {confirmed:?}, marked {since:?}");
            self.violation(state, "I4", what);
        }
    }

    /// I1: each database is bound to the number that it has.
    fn one_database(&mut self, state: &State, id: &str) {
        let Some((_, tagged)) = state.databases().find(|(own, _)| *own == id) else { return };
        let Some(environment) = tagged.tags.get(key::ENVIRONMENT) else { return };
        if id != format!("hatchery-{environment}") {
            self.violation(state, "I1", format!("{id} is tagged with {environment}"));
        }
    }

    /// I5: resources of other owners are never changed, and neither are those that have lost the fleet's tags, unless a record names them.
    fn foreign(&mut self, state: &State, who: &str, id: &str) {
        if !self.ownership.may_change(state, who, id) {
            self.violation(state, "I5", format!("{who} changed {id}, which does not belong to the fleet"));
        }
    }

    /// I2: a database that an instance may have used is never free again.
    fn never_free_again(&mut self, state: &State) {
        let free: Vec<_> = state
            .databases()
            .filter(|(id, database)| {
                let is_free =
                    !database.tags.contains_key(key::ENVIRONMENT) && database.tags.contains_key(key::FLEET);
                self.used.contains_key(*id) && is_free && !self.ownership.is_claimed_without_tag(state, id)
            })
            .map(|(id, _)| id.to_owned())
            .collect();
        for id in free {
            self.violation(state, "I2", format!("{id} was used, and is free"));
        }
    }
}

/// How long a fleet may take to become idle.
pub(crate) const MAX_TIME_TO_IDLE: TimeDelta = TimeDelta::hours(60);
