//! The invariants, checked on the account as it truly is, after every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::{Change, SimInstance, State};
use hatchery::domain::tags::{self, Tags, key};

/// How long after an extension was written, and not confirmed yet, an engine may still act on what it saw before: a last look
/// holds for five seconds, and reads lag by up to eight.
const LATE: TimeDelta = TimeDelta::seconds(15);

/// When a record was marked for reaping, and when the mark was taken off again.
#[derive(Clone, Copy)]
struct Mark {
    since: DateTime<Utc>,
    removed: Option<DateTime<Utc>>,
}

/// What people were told, and what was seen so far.
#[derive(Default)]
pub(crate) struct InvariantChecker {
    /// The most databases that the policy allows.
    pub(crate) ceiling: usize,
    /// How long the policy keeps what is over.
    pub(crate) grace: TimeDelta,
    /// From when on engines that are too old only look.
    pub(crate) outdated_from: Option<DateTime<Utc>>,
    /// The expiry that was last confirmed to the owner, by record.
    pub(crate) confirmed: BTreeMap<String, DateTime<Utc>>,
    /// The tags of every template, as they were last.
    templates: BTreeMap<String, (String, Tags)>,
    marks: BTreeMap<String, Mark>,
    /// Records whose expiry was lost.
    lost_expiry: BTreeSet<String>,
    /// Instances that were seen.
    born: BTreeSet<String>,
    /// When engines began to end an environment because its time was over, by record.
    reaped: BTreeMap<String, DateTime<Utc>>,
    /// Databases that an instance was launched for.
    touched: BTreeSet<String>,
    /// Instances that are known to be ending.
    ended: BTreeSet<String>,
    /// Databases that are known to be going.
    going: BTreeSet<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) most_databases: usize,
}

/// Shared with the observer inside the cloud.
pub(crate) type SharedBook = Arc<Mutex<InvariantChecker>>;

/// What a change by hand or by the cloud itself may do, an engine may not.
fn is_engine(who: &str) -> bool {
    who != "operator" && who != "cloud" && who != "stranger"
}

impl InvariantChecker {
    fn violation(&mut self, state: &State, invariant: &str, what: impl std::fmt::Display) {
        self.violations.push(format!("{invariant} at {}: {what}", state.now().format("%F %T%.3f")));
    }

    /// What is there before anybody does anything.
    pub(crate) fn begin(&mut self, state: &State) {
        let all = state.templates().map(|(id, own)| (id.to_owned(), (own.name.clone(), own.tags.clone())));
        self.templates = all.collect();
        self.born = state.instances().map(|(id, _)| id.to_owned()).collect();
    }

    /// Checks everything that a change can have broken.
    pub(crate) fn check(&mut self, state: &State, who: &str, change: &Change) {
        match change {
            Change::Instance(id) => self.instance(state, who, id),
            Change::Database(id) => self.database(state, who, id),
            Change::Template(id) => self.template(state, who, id),
            Change::Tags(id) => {
                if is_engine(who) {
                    self.foreign(state, who, id);
                }
                self.note_template(state, id);
                self.note_lost_expiry(id);
                self.never_free_again(state);
            }
        }
    }

    /// I3: whoever is told that a launch is done has a record, now or until its end.
    pub(crate) fn confirm(&mut self, state: &State, who: &str, record: &str, expires_at: DateTime<Utc>) {
        if !self.templates.contains_key(record) {
            self.violation(state, "I3", format!("{who} was told of {record}, which never was"));
        }
        self.confirmed.insert(record.to_owned(), expires_at);
    }

    /// I4: nobody is told that an environment is kept which is being reaped.
    pub(crate) fn extended(&mut self, state: &State, who: &str, record: &str, expires_at: DateTime<Utc>) {
        if self.reaped.get(record).is_some_and(|at| *at < expires_at) {
            self.violation(state, "I4", format!("{who} was told that {record} is kept, and it is reaped"));
        }
        self.confirmed.insert(record.to_owned(), expires_at);
    }

    fn note_template(&mut self, state: &State, id: &str) {
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

    /// Once the expiry was taken off by hand, nobody knows what it was, and an extension counts from then.
    fn note_lost_expiry(&mut self, id: &str) {
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
        let Some((_, machine)) = state.instances().find(|(own, _)| *own == id) else { return };
        if let Some(database) = machine.tags.get(key::DATABASE) {
            self.touched.insert(database.clone());
        }
        // I1: an instance is born of a record that stands, or nobody knows whose it is.
        if self.born.insert(id.to_owned()) && is_engine(who) {
            let record = find_record(machine).unwrap_or_default();
            if !state.templates().any(|(own, _)| own == record) {
                self.violation(state, "I1", format!("{who} launched {id} from {record}, which is deleted"));
            }
        }
        // I1: no database serves two environments.
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut shared = Vec::new();
        for (other, machine) in state.instances().filter(|(_, machine)| !machine.state.is_ending()) {
            let (Some(database), Some(record)) = (machine.tags.get(key::DATABASE), find_record(machine))
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
        if machine.state.is_ending() && self.ended.insert(id.to_owned()) && is_engine(who) {
            self.foreign(state, who, id);
            let record = find_record(machine).unwrap_or_default();
            let other =
                |machine: &SimInstance| find_record(machine) == Some(record) && !machine.state.is_ending();
            let surplus = state.instances().any(|(_, machine)| other(machine));
            // Where the record was deleted by hand, nothing is left to tell whose it was.
            let stands = state.templates().any(|(own, _)| own == record);
            if stands && !surplus {
                self.may_end(state, who, record, &format!("{id} of {record}"));
            }
        }
        self.never_free_again(state);
    }

    fn database(&mut self, state: &State, who: &str, id: &str) {
        let ceiling = self.ceiling;
        let own = state.databases().filter(|(id, database)| is_pool(id, &database.tags)).count();
        self.most_databases = self.most_databases.max(own);
        // I8: the ceiling holds at every instant.
        if own > ceiling {
            self.violation(state, "I8", format!("{own} databases and a ceiling of {ceiling}, by {who}"));
        }
        let Some((_, database)) = state.databases().find(|(own, _)| *own == id) else {
            self.touched.remove(id);
            return;
        };
        if database.status == "deleting" && self.going.insert(id.to_owned()) && is_engine(who) {
            self.foreign(state, who, id);
            if let Some(environment) = database.tags.get(key::ENVIRONMENT) {
                let name = format!("hatchery/{}", environment.replacen('-', "/", 1));
                if let Some((record, _)) = state.templates().find(|(_, template)| template.name == name) {
                    self.may_end(state, who, record, id);
                }
            }
        }
        if database.status != "deleting" {
            self.going.remove(id);
        }
        self.never_free_again(state);
    }

    fn template(&mut self, state: &State, who: &str, id: &str) {
        if state.templates().any(|(own, _)| own == id) {
            return self.note_template(state, id);
        }
        if is_engine(who) {
            self.foreign(state, who, id);
            // A claim that turned out to be unfit is given back by whoever took it, before anything was launched.
            let launched = state.instances().any(|(_, machine)| find_record(machine) == Some(id));
            if launched || self.confirmed.contains_key(id) {
                self.may_end(state, who, id, id);
            }
            let alive = state.instances().find(|(_, m)| find_record(m) == Some(id) && !m.state.is_ending());
            if let Some((machine, _)) = alive {
                self.violation(state, "I7", format!("{who} deleted {id} and left {machine}"));
            }
        }
    }

    /// I4: what was confirmed ends only when somebody asked for it, or when its time is over and the grace that began with
    /// the first sweep is over too.
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
            mark.since + self.grace <= now && mark.removed.is_none_or(|removed| removed + LATE >= now)
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

    /// I5: nothing that lacks the fleet's name or its tags is touched.
    fn foreign(&mut self, state: &State, who: &str, id: &str) {
        let template = self.templates.get(id).map(|(name, tags)| is_template(name, tags));
        let machine = state.instances().find(|(own, _)| *own == id).map(|(_, own)| is_instance(&own.tags));
        let database = state.databases().find(|(own, _)| *own == id).map(|(_, own)| is_pool(id, &own.tags));
        if template.or(machine).or(database) == Some(false) {
            self.violation(state, "I5", format!("{who} touched {id}, which is not the fleet's"));
        }
    }

    /// I2: what an instance may have touched is claimed for good.
    fn never_free_again(&mut self, state: &State) {
        let free: Vec<_> = state
            .databases()
            .filter(|(id, database)| {
                self.touched.contains(*id) && !database.tags.contains_key(key::ENVIRONMENT)
            })
            .map(|(id, _)| id.to_owned())
            .collect();
        for id in free {
            self.violation(state, "I2", format!("{id} was touched and is free"));
        }
    }

    /// I7: when people stop and all goes well again, exactly the spare databases are left.
    pub(crate) fn at_rest(state: &State, spare: usize) -> Vec<String> {
        let mut left = Vec::new();
        let records = |name: &str, tags: &Tags| name.starts_with("hatchery/dev/") && is_template(name, tags);
        for (id, template) in state.templates().filter(|(_, own)| records(&own.name, &own.tags)) {
            left.push(format!("record {id} {} {:?}", template.name, template.tags));
        }
        let alive = |machine: &SimInstance| !machine.state.is_ending() && is_instance(&machine.tags);
        for (id, machine) in state.instances().filter(|(_, machine)| alive(machine)) {
            left.push(format!("instance {id} {:?}", machine.tags));
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

fn find_record(machine: &SimInstance) -> Option<&str> {
    machine.tags.get(key::AWS_TEMPLATE_ID).map(String::as_str)
}

/// How long a fleet may take to come to rest.
pub(crate) const REST: TimeDelta = TimeDelta::hours(60);
