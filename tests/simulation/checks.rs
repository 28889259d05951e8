//! The invariants, checked on the account as it truly is, after every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::cloud::sim::{Change, Machine, State};
use hatchery::domain::tags::{self, Tags, key};

/// What people were told, and what was seen so far.
#[derive(Default)]
pub(crate) struct Book {
    /// The expiry that was last confirmed to the owner, by record.
    pub(crate) confirmed: BTreeMap<String, DateTime<Utc>>,
    /// The tags of every template, as they were last.
    templates: BTreeMap<String, (String, Tags)>,
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
pub(crate) type SharedBook = Arc<Mutex<Book>>;

/// What a change by hand or by the cloud itself may do, an engine may not.
fn is_engine(who: &str) -> bool {
    who != "operator" && who != "cloud" && who != "stranger"
}

impl Book {
    fn violation(&mut self, state: &State, invariant: &str, what: impl std::fmt::Display) {
        self.violations.push(format!("{invariant} at {}: {what}", state.now().format("%F %T%.3f")));
    }

    /// Checks everything that a change can have broken.
    pub(crate) fn check(&mut self, state: &State, who: &str, change: &Change, ceiling: usize) {
        match change {
            Change::Instance(id) => self.instance(state, who, id),
            Change::Database(id) => self.database(state, who, id, ceiling),
            Change::Template(id) => self.template(state, who, id),
            Change::Tags(id) => {
                if is_engine(who) {
                    self.foreign(state, who, id);
                }
                if let Some((_, template)) = state.templates().find(|(own, _)| own == id) {
                    self.templates.insert(id.clone(), (template.name.clone(), template.tags.clone()));
                }
                self.never_free_again(state);
            }
        }
    }

    fn instance(&mut self, state: &State, who: &str, id: &str) {
        let Some((_, machine)) = state.machines().find(|(own, _)| *own == id) else { return };
        if let Some(database) = machine.tags.get(key::DATABASE) {
            self.touched.insert(database.clone());
        }
        // I1: no database serves two environments.
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let mut shared = Vec::new();
        for (other, machine) in state.machines().filter(|(_, machine)| !machine.state.is_ending()) {
            let (Some(database), Some(record)) = (machine.tags.get(key::DATABASE), record_of(machine)) else {
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
            let record = record_of(machine).unwrap_or_default();
            let other = |machine: &Machine| record_of(machine) == Some(record) && !machine.state.is_ending();
            let surplus = state.machines().any(|(_, machine)| other(machine));
            if !surplus {
                self.may_end(state, who, record, &format!("{id} of {record}"));
            }
        }
        self.never_free_again(state);
    }

    fn database(&mut self, state: &State, who: &str, id: &str, ceiling: usize) {
        let own = state.databases().filter(|(id, _)| id.starts_with("hatchery-dev-")).count();
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
                let record =
                    self.templates.iter().find(|(_, (own, _))| *own == name).map(|(id, _)| id.clone());
                let standing = record.filter(|id| state.templates().any(|(own, _)| own == id));
                if let Some(record) = standing {
                    self.may_end(state, who, &record, id);
                }
            }
        }
        if database.status != "deleting" {
            self.going.remove(id);
        }
        self.never_free_again(state);
    }

    fn template(&mut self, state: &State, who: &str, id: &str) {
        if let Some((_, template)) = state.templates().find(|(own, _)| *own == id) {
            self.templates.insert(id.to_owned(), (template.name.clone(), template.tags.clone()));
            return;
        }
        if is_engine(who) {
            self.foreign(state, who, id);
            // A claim that turned out to be unfit is given back by whoever took it, before anything was launched.
            let launched = state.machines().any(|(_, machine)| record_of(machine) == Some(id));
            if launched || self.confirmed.contains_key(id) {
                self.may_end(state, who, id, id);
            }
            let alive = state.machines().find(|(_, m)| record_of(m) == Some(id) && !m.state.is_ending());
            if let Some((machine, _)) = alive {
                self.violation(state, "I7", format!("{who} deleted {id} and left {machine}"));
            }
        }
    }

    /// I3 and I4: what was confirmed ends only when its time is over, when somebody asked for it, or when it has failed.
    fn may_end(&mut self, state: &State, who: &str, record: &str, what: &str) {
        let Some((name, tags)) = self.templates.get(record) else { return };
        let asked = tags.contains_key(key::TERMINATE) || tags.contains_key(key::FAILURE);
        // Deleted by hand: nothing is left to tell whose it was.
        let orphan = !state.templates().any(|(own, _)| own == record);
        let confirmed = self.confirmed.get(record).copied();
        let over =
            confirmed.or_else(|| tags::read_time(tags, key::EXPIRES_AT)).is_none_or(|at| at <= state.now());
        if !asked && !over && !orphan {
            let name = name.clone();
            self.violation(
                state,
                "I4",
                format!("{who} ended {what} of {name}, confirmed until {confirmed:?}"),
            );
        }
    }

    /// I5: nothing that is not the fleet's is touched.
    fn foreign(&mut self, state: &State, who: &str, id: &str) {
        let of = |tags: &Tags| tags.get(key::FLEET).is_some_and(|fleet| fleet != "dev");
        let template = self.templates.get(id).is_some_and(|(_, tags)| of(tags));
        let machine = state.machines().any(|(own, machine)| own == id && of(&machine.tags));
        let database = state.databases().any(|(own, database)| own == id && of(&database.tags));
        if template || machine || database {
            self.violation(state, "I5", format!("{who} touched {id}, which is another fleet's"));
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
        let own = |tags: &Tags| tags.get(key::FLEET).is_none_or(|fleet| fleet == "dev");
        for (id, template) in
            state.templates().filter(|(_, template)| template.name.starts_with("hatchery/dev/"))
        {
            left.push(format!("record {id} {} {:?}", template.name, template.tags));
        }
        for (id, machine) in
            state.machines().filter(|(_, machine)| !machine.state.is_ending() && own(&machine.tags))
        {
            left.push(format!("instance {id} {:?}", machine.tags));
        }
        let databases: Vec<_> = state.databases().filter(|(id, _)| id.starts_with("hatchery-dev-")).collect();
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

fn record_of(machine: &Machine) -> Option<&str> {
    machine.tags.get(key::AWS_TEMPLATE_ID).map(String::as_str)
}

/// How long a fleet may take to come to rest.
pub(crate) const REST: TimeDelta = TimeDelta::hours(30);
