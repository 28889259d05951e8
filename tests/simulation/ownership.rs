//! Which resources are whose: by their origin, and by what their names and tags say now.

use std::collections::{BTreeMap, BTreeSet};

use hatchery::cloud::sim::{SimInstance, State, Template};
use hatchery::domain::tags::{Tags, key};

/// The origin of the account's resources.
#[derive(Default)]
pub(crate) struct Ownership {
    /// The latest name and tags of every template, deleted ones included.
    pub(crate) templates: BTreeMap<String, (String, Tags)>,
    /// The fleet of each resource that an engine has created, or that belonged to a fleet from the start.
    owners: BTreeMap<String, String>,
    /// Databases whose tags were removed by hand.
    lost_tags: BTreeSet<String>,
}

/// Returns the fleet of a process. Processes of other fleets than `dev` have its name before a slash.
pub(crate) fn fleet_of(who: &str) -> &str {
    who.split_once('/').map_or("dev", |(fleet, _)| fleet)
}

impl Ownership {
    /// Records the initial owners.
    pub(crate) fn begin(&mut self, state: &State, fleets: &[&str]) {
        let all = state.templates().map(|(id, own)| (id.to_owned(), (own.name.clone(), own.tags.clone())));
        self.templates = all.collect();
        for fleet in fleets {
            let templates = state.templates().filter(|(_, own)| is_template(fleet, &own.name, &own.tags));
            let instances = state.instances().filter(|(_, own)| is_instance(fleet, &own.tags));
            let databases = state.databases().filter(|(id, own)| is_pool(fleet, id, &own.tags));
            let ids = templates.map(|(id, _)| id).chain(instances.map(|(id, _)| id));
            let ids: Vec<_> = ids.chain(databases.map(|(id, _)| id)).collect();
            self.owners.extend(ids.into_iter().map(|id| (id.to_owned(), (*fleet).to_owned())));
        }
    }

    /// Returns the ids of the fleets' base templates.
    pub(crate) fn fleet_templates(&self) -> Vec<String> {
        let is_fleet = |name: &str| name.strip_prefix("hatchery/").is_some_and(|rest| !rest.contains('/'));
        self.templates.iter().filter(|(_, (name, _))| is_fleet(name)).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn created(&mut self, who: &str, id: &str) {
        self.owners.insert(id.to_owned(), fleet_of(who).to_owned());
    }

    /// Forgets a database that is gone, because its identifier can be used again.
    pub(crate) fn forget(&mut self, database: &str) {
        self.owners.remove(database);
        self.lost_tags.remove(database);
    }

    pub(crate) fn update_lost_tags(&mut self, state: &State, by_engine: bool, id: &str) {
        let Some((_, database)) = state.databases().find(|(own, _)| *own == id) else { return };
        if database.tags.contains_key(key::ENVIRONMENT) {
            self.lost_tags.remove(id);
        } else if !by_engine {
            self.lost_tags.insert(id.to_owned());
        }
    }

    /// Whether a record claims a database whose tags were removed by hand.
    pub(crate) fn is_claimed_without_tag(&self, state: &State, id: &str) -> bool {
        let names = |tags: &Tags| tags.get(key::DATABASE).is_some_and(|named| named == id);
        self.lost_tags.contains(id)
            && (state.templates().any(|(_, own)| own.name.replace('/', "-") == id || names(&own.tags))
                || state.instances().any(|(_, own)| names(&own.tags)))
    }

    pub(crate) fn update(&mut self, id: &str, template: &Template) {
        self.templates.insert(id.to_owned(), (template.name.clone(), template.tags.clone()));
    }

    /// Whether an engine created the resource, or it belonged to a fleet from the start.
    pub(crate) fn is_owned(&self, id: &str) -> bool {
        self.owners.contains_key(id)
    }

    /// Returns what an engine has created and no engine will ever remove: running instances without tags, and databases without tags that were
    /// claimed.
    pub(crate) fn leaks(&self, state: &State) -> Vec<String> {
        let mut leaks = Vec::new();
        for (id, instance) in
            state.instances().filter(|(id, own)| self.is_owned(id) && !own.state.is_ending())
        {
            leaks.push(format!("instance {id} {:?}", instance.tags));
        }
        for (id, database) in state.databases().filter(|(id, _)| self.is_owned(id)) {
            // A free database without tags is unknown to engines, and unknown means keep.
            if database.tags.contains_key(key::ENVIRONMENT) {
                leaks.push(format!("database {id} {} {:?}", database.status, database.tags));
            }
        }
        leaks
    }

    /// Whether an engine may change a resource: it is its fleet's by origin, and its tags say so or a record names it.
    pub(crate) fn may_change(&self, state: &State, who: &str, id: &str) -> bool {
        let fleet = fleet_of(who);
        if self.owners.get(id).is_none_or(|owner| owner != fleet) {
            return false;
        }
        if let Some((name, tags)) = self.templates.get(id) {
            // The tags of a record that has lost some are restored, as long as one of hatchery is left.
            return is_template(fleet, name, tags) || tags.keys().any(|key| key.starts_with(key::PREFIX));
        }
        let is_record = |wanted: &dyn Fn(&str, &Template) -> bool| {
            state.templates().any(|(record, template)| self.is_owned(record) && wanted(record, template))
        };
        if let Some((_, instance)) = state.instances().find(|(own, _)| *own == id) {
            let record = find_record(instance);
            return is_instance(fleet, &instance.tags) || is_record(&|id, _| record == Some(id));
        }
        if let Some((_, database)) = state.databases().find(|(own, _)| *own == id) {
            return is_pool(fleet, id, &database.tags)
                || database.tags.contains_key(key::SNAPSHOT_AT)
                || is_record(&|_, template| template.name.replace('/', "-") == id);
        }
        true
    }
}

/// I7: after users stop and faults end, only the spare databases are left, any number of them if the pool is sized by demand. Returns everything
/// else.
pub(crate) fn leftovers(state: &State, fleet: &str, spare: Option<usize>) -> Vec<String> {
    let mut left = Vec::new();
    let prefix = format!("hatchery/{fleet}/");
    let records = |name: &str, tags: &Tags| name.starts_with(&prefix) && is_template(fleet, name, tags);
    for (id, template) in state.templates().filter(|(_, own)| records(&own.name, &own.tags)) {
        left.push(format!("record {id} {} {:?}", template.name, template.tags));
    }
    let alive = |instance: &SimInstance| !instance.state.is_ending() && is_instance(fleet, &instance.tags);
    for (id, instance) in state.instances().filter(|(_, instance)| alive(instance)) {
        left.push(format!("instance {id} {:?}", instance.tags));
    }
    // A database can neither be claimed nor retired while a template of others has the name of its record.
    let is_blocked = |database: &str| {
        let number = database.rsplit('-').next().unwrap_or_default();
        let name = format!("{prefix}{number}");
        state.templates().any(|(_, own)| own.name == name && !is_template(fleet, &own.name, &own.tags))
    };
    let own = state.databases().filter(|(id, own)| is_pool(fleet, id, &own.tags) && !is_blocked(id));
    let databases: Vec<_> = own.collect();
    let free = databases.iter().filter(|(_, database)| {
        database.status == "available" && !database.tags.contains_key(key::ENVIRONMENT)
    });
    let free = free.count();
    let spare = spare.unwrap_or(free);
    if free != spare || databases.len() != spare {
        left.extend(
            databases
                .iter()
                .map(|(id, database)| format!("database {id} {} {:?}", database.status, database.tags)),
        );
    }
    left
}
fn is_fleets(fleet: &str, tags: &Tags) -> bool {
    tags.get(key::FLEET).is_some_and(|own| own == fleet)
}

pub(crate) fn is_template(fleet: &str, name: &str, tags: &Tags) -> bool {
    let own = name.strip_prefix("hatchery/").and_then(|name| name.strip_prefix(fleet));
    own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && is_fleets(fleet, tags)
}

pub(crate) fn is_instance(fleet: &str, tags: &Tags) -> bool {
    let number = tags.get(key::ENVIRONMENT).and_then(|id| id.strip_prefix(fleet));
    number.is_some_and(|rest| rest.starts_with('-')) && is_fleets(fleet, tags)
}

pub(crate) fn is_pool(fleet: &str, id: &str, tags: &Tags) -> bool {
    let number = id.strip_prefix("hatchery-").and_then(|id| id.strip_prefix(fleet));
    number.is_some_and(|rest| rest.starts_with('-')) && is_fleets(fleet, tags)
}

/// Returns the record of an instance, from a tag that only EC2 writes.
pub(crate) fn find_record(instance: &SimInstance) -> Option<&str> {
    instance.tags.get(key::AWS_TEMPLATE_ID).map(String::as_str)
}

/// Returns the name of an environment's record.
pub(crate) fn record_name(environment: &str) -> Option<String> {
    let (fleet, number) = environment.rsplit_once('-')?;
    Some(format!("hatchery/{fleet}/{number}"))
}
