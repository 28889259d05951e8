//! The invariants of the design, checked on the account's true state after every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::{Change, SimInstance, State};
use hatchery::domain::tags::{self, Tags, key};

/// How long an engine may still act on the state before an unconfirmed extension: a read authorises a change for 5 s, and reads
/// are stale by up to 8 s.
const EXTENSION_RACE: TimeDelta = TimeDelta::seconds(15);

/// When a record was marked for reaping, and when the mark was removed.
#[derive(Clone, Copy)]
struct Mark {
    since: DateTime<Utc>,
    removed: Option<DateTime<Utc>>,
}

/// What was confirmed to users, and the account's history as far as the checks need it.
#[derive(Default)]
pub(crate) struct InvariantChecker {
    /// The policy's `max-databases`.
    pub(crate) max_databases: usize,
    /// The policy's `grace`.
    pub(crate) grace: TimeDelta,
    /// The time from which outdated engines must only observe.
    pub(crate) outdated_from: Option<DateTime<Utc>>,
    /// The expiry last confirmed to the owner, by record.
    pub(crate) confirmed: BTreeMap<String, DateTime<Utc>>,
    /// The latest name and tags of every template, deleted ones included.
    templates: BTreeMap<String, (String, Tags)>,
    marks: BTreeMap<String, Mark>,
    /// Records whose expiry tag was deleted or made unreadable.
    lost_expiry: BTreeSet<String>,
    /// All instances so far.
    known_instances: BTreeSet<String>,
    /// When engines began to delete an expired environment, by record.
    reaped: BTreeMap<String, DateTime<Utc>>,
    /// Databases for which an instance was launched.
    used: BTreeSet<String>,
    /// Instances that are shutting down or terminated.
    ended: BTreeSet<String>,
    /// Databases that are being deleted.
    deleting: BTreeSet<String>,
    pub(crate) violations: Vec<String>,
}

/// Shared with the observer inside the cloud.
pub(crate) type SharedChecker = Arc<Mutex<InvariantChecker>>;

/// Whether a change is an engine's, and not the operator's or AWS's own.
fn is_engine(who: &str) -> bool {
    who != "operator" && who != "cloud" && who != "stranger"
}

impl InvariantChecker {
    fn violation(&mut self, state: &State, invariant: &str, what: impl std::fmt::Display) {
        self.violations.push(format!("{invariant} at {}: {what}", state.now().format("%F %T%.3f")));
    }

    /// Records the initial state.
    pub(crate) fn begin(&mut self, state: &State) {
        let all = state.templates().map(|(id, own)| (id.to_owned(), (own.name.clone(), own.tags.clone())));
        self.templates = all.collect();
        self.known_instances = state.instances().map(|(id, _)| id.to_owned()).collect();
    }

    /// Checks every invariant that a change may violate.
    pub(crate) fn check(&mut self, state: &State, who: &str, change: &Change) {
        match change {
            Change::Instance(id) => self.instance(state, who, id),
            Change::Database(id) => self.database(state, who, id),
            Change::Template(id) => self.template(state, who, id),
            Change::Tags(id) => {
                if is_engine(who) {
                    self.foreign(state, who, id);
                }
                self.update_template(state, id);
                self.update_lost_expiry(id);
                self.never_free_again(state);
            }
        }
    }

    /// I3: a confirmed launch has a record.
    pub(crate) fn confirm(&mut self, state: &State, who: &str, record: &str, expires_at: DateTime<Utc>) {
        if !self.templates.contains_key(record) {
            self.violation(
                state,
                "I3",
                format!("a launch of {who} was confirmed with {record}, which never existed"),
            );
        }
        self.confirmed.insert(record.to_owned(), expires_at);
    }

    /// I4: no extension is confirmed for an environment that is being reaped.
    pub(crate) fn extended(&mut self, state: &State, who: &str, record: &str, expires_at: DateTime<Utc>) {
        if self.reaped.get(record).is_some_and(|at| *at < expires_at) {
            self.violation(
                state,
                "I4",
                format!("an extension of {record} was confirmed to {who}, and it is being reaped"),
            );
        }
        self.confirmed.insert(record.to_owned(), expires_at);
    }

    fn update_template(&mut self, state: &State, id: &str) {
        let Some((_, template)) = state.templates().find(|(own, _)| *own == id) else { return };
        self.templates.insert(id.to_owned(), (template.name.clone(), template.tags.clone()));
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

    /// Once the operator removed the expiry, the next extension sets the confirmed one.
    fn update_lost_expiry(&mut self, id: &str) {
        let Some((_, tags)) = self.templates.get(id) else { return };
        match tags::parse_time(tags, key::EXPIRES_AT) {
            None => {
                self.lost_expiry.insert(id.to_owned());
            }
            Some(written) if self.lost_expiry.contains(id) => {
                self.confirmed.insert(id.to_owned(), written);
            }
            Some(_) => {}
        }
    }

    fn instance(&mut self, state: &State, who: &str, id: &str) {
        let Some((_, instance)) = state.instances().find(|(own, _)| *own == id) else { return };
        if let Some(database) = instance.tags.get(key::DATABASE) {
            self.used.insert(database.clone());
        }
        // I1: instances are launched from existing records only.
        if self.known_instances.insert(id.to_owned()) && is_engine(who) {
            let record = find_record(instance).unwrap_or_default();
            if !state.templates().any(|(own, _)| own == record) {
                self.violation(state, "I1", format!("{who} launched {id} from {record}, which is deleted"));
            }
        }
        // I1: no database serves two environments.
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
            let record = find_record(instance).unwrap_or_default();
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
        let max_databases = self.max_databases;
        let own = state.databases().filter(|(id, database)| is_pool(id, &database.tags)).count();
        // I8: the ceiling holds at every instant.
        if own > max_databases {
            self.violation(
                state,
                "I8",
                format!("{own} databases, max-databases is {max_databases}, by {who}"),
            );
        }
        let Some((_, database)) = state.databases().find(|(own, _)| *own == id) else {
            self.used.remove(id);
            return;
        };
        if database.status == "deleting" && self.deleting.insert(id.to_owned()) && is_engine(who) {
            self.foreign(state, who, id);
            if let Some(environment) = database.tags.get(key::ENVIRONMENT) {
                let name = format!("hatchery/{}", environment.replacen('-', "/", 1));
                if let Some((record, _)) = state.templates().find(|(_, template)| template.name == name) {
                    self.may_end(state, who, record, id);
                }
            }
        }
        if database.status != "deleting" {
            self.deleting.remove(id);
        }
        self.never_free_again(state);
    }

    fn template(&mut self, state: &State, who: &str, id: &str) {
        if state.templates().any(|(own, _)| own == id) {
            return self.update_template(state, id);
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
    fn may_end(&mut self, state: &State, who: &str, record: &str, what: &str) {
        let Some((name, tags)) = self.templates.get(record) else { return };
        if tags.contains_key(key::TERMINATE) {
            return;
        }
        let now = state.now();
        let confirmed = self.confirmed.get(record).copied();
        let expiry = confirmed.or_else(|| tags::parse_time(tags, key::EXPIRES_AT));
        let over = tags.contains_key(key::FAILURE) || expiry.is_none_or(|at| at <= now);
        let mark = self.marks.get(record);
        let swept = mark.is_some_and(|mark| {
            mark.since + self.grace <= now
                && mark.removed.is_none_or(|removed| removed + EXTENSION_RACE >= now)
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

    /// I5: resources without the fleet's name or tags are never changed.
    fn foreign(&mut self, state: &State, who: &str, id: &str) {
        let template = self.templates.get(id).map(|(name, tags)| is_template(name, tags));
        let instance = state.instances().find(|(own, _)| *own == id).map(|(_, own)| is_instance(&own.tags));
        let database = state.databases().find(|(own, _)| *own == id).map(|(_, own)| is_pool(id, &own.tags));
        if template.or(instance).or(database) == Some(false) {
            self.violation(state, "I5", format!("{who} changed {id}, which does not belong to the fleet"));
        }
    }

    /// I2: a database that an instance may have used is never free again.
    fn never_free_again(&mut self, state: &State) {
        let free: Vec<_> = state
            .databases()
            .filter(|(id, database)| self.used.contains(*id) && !database.tags.contains_key(key::ENVIRONMENT))
            .map(|(id, _)| id.to_owned())
            .collect();
        for id in free {
            self.violation(state, "I2", format!("{id} was used, and is free"));
        }
    }

    /// I7: after users stop and faults end, only the spare databases are left. Returns everything else.
    pub(crate) fn leftovers(state: &State, spare: usize) -> Vec<String> {
        let mut left = Vec::new();
        let records = |name: &str, tags: &Tags| name.starts_with("hatchery/dev/") && is_template(name, tags);
        for (id, template) in state.templates().filter(|(_, own)| records(&own.name, &own.tags)) {
            left.push(format!("record {id} {} {:?}", template.name, template.tags));
        }
        let alive = |instance: &SimInstance| !instance.state.is_ending() && is_instance(&instance.tags);
        for (id, instance) in state.instances().filter(|(_, instance)| alive(instance)) {
            left.push(format!("instance {id} {:?}", instance.tags));
        }
        let databases: Vec<_> = state.databases().filter(|(id, own)| is_pool(id, &own.tags)).collect();
        let free = databases.iter().filter(|(_, database)| {
            database.status == "available" && !database.tags.contains_key(key::ENVIRONMENT)
        });
        if free.count() != spare || databases.len() != spare {
            left.extend(
                databases
                    .iter()
                    .map(|(id, database)| format!("database {id} {} {:?}", database.status, database.tags)),
            );
        }
        left
    }
}

fn is_fleets(tags: &Tags) -> bool {
    tags.get(key::FLEET).is_some_and(|fleet| fleet == "dev")
}

fn is_template(name: &str, tags: &Tags) -> bool {
    (name == "hatchery/dev" || name.starts_with("hatchery/dev/")) && is_fleets(tags)
}

fn is_instance(tags: &Tags) -> bool {
    tags.get(key::ENVIRONMENT).is_some_and(|id| id.starts_with("dev-")) && is_fleets(tags)
}

fn is_pool(id: &str, tags: &Tags) -> bool {
    id.starts_with("hatchery-dev-") && is_fleets(tags)
}

fn find_record(instance: &SimInstance) -> Option<&str> {
    instance.tags.get(key::AWS_TEMPLATE_ID).map(String::as_str)
}

/// How long a fleet may take to become idle.
pub(crate) const MAX_TIME_TO_IDLE: TimeDelta = TimeDelta::hours(60);
