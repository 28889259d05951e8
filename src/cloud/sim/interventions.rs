//! Changes that people make by hand, in the console of AWS or with other tools.

use chrono::TimeDelta;

use super::SimCloud;
use super::operations::write;
use super::state::{Change, Event, SimDatabase, SimInstance, State, Template};
use super::throttle::Bucket;
use crate::cloud::BaseTemplate;
use crate::domain::tags::{Tags, key};
use crate::domain::{InstanceState, StatusClass};

/// A change by hand. Ids are those of instances, databases or launch templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intervention {
    /// Stops an instance or a database.
    Stop(String),
    /// Starts a stopped instance or database.
    Start(String),
    /// Sets or removes the protection of an instance from termination, or of a database from deletion.
    Protect(String, bool),
    /// Puts a database into a status that it does not leave by itself.
    SetStatus(String, &'static str),
    /// Sets a tag, or removes it.
    Tag(String, String, Option<String>),
    /// Writes a tag again as it was when it was last removed by hand, unless it has a value.
    RestoreTag(String, String),
    /// Deletes an instance, a database or a launch template.
    Delete(String),
    /// Creates a database with this id and without tags.
    CreateDatabase(String),
    /// Creates a launch template with this name and without tags.
    CreateTemplate(String),
    /// Makes all launches fail with this error code, such as `InvalidKeyPair.NotFound`, until it is `None`.
    BreakLaunches(Option<&'static str>),
}

impl SimCloud {
    /// Makes a change by hand. Returns whether anything has changed.
    #[must_use]
    pub fn intervene(&self, who: &str, change: &Intervention) -> bool {
        self.advanced().intervene_by_hand(who, change)
    }
}

impl State {
    fn intervene_by_hand(&mut self, who: &str, change: &Intervention) -> bool {
        self.record(who, || format!("by hand: {change:?}"));
        let done = match change {
            Intervention::Stop(id) if self.instances.get(id).is_some() => self.stop_instance(id, who),
            Intervention::Stop(id) => {
                self.stop_database(id, who, write("StopDBInstance", Bucket::Database)).is_ok()
            }
            Intervention::Start(id) if self.instances.get(id).is_some() => self.start_instance(id, who),
            Intervention::Start(id) => {
                self.start_database(id, who, write("StartDBInstance", Bucket::Database)).is_ok()
            }
            Intervention::Protect(id, protected) => self.protect(id, *protected),
            Intervention::SetStatus(id, status) => {
                // A database that RDS still creates can only fail.
                let is_possible = |database: &SimDatabase| {
                    let fails = StatusClass::from_status(status) == StatusClass::Failed;
                    database.status != "deleting" && (database.created_at.is_some() || fails)
                };
                self.databases.get(id).is_some_and(is_possible) && self.enter_status(id, status, who)
            }
            Intervention::Tag(id, key, value) => self.tag_by_hand(who, id, key, value.as_deref()),
            Intervention::RestoreTag(id, key) => {
                let lost = self.lost_tags.remove(&(id.clone(), key.clone()));
                let missing = lost.filter(|_| self.tag_of(id, key).is_none());
                missing.is_some_and(|value| self.tag_by_hand(who, id, key, Some(&value)))
            }
            Intervention::Delete(id) => self.delete_by_hand(who, id),
            Intervention::CreateDatabase(id) => {
                self.databases.get(id).is_none() && {
                    let database = self.other_database(id);
                    self.databases.set(id, self.now, database);
                    self.changed(who, &Change::Database(id.clone()));
                    true
                }
            }
            Intervention::CreateTemplate(name) => {
                !self.names.contains_key(name) && {
                    let id = self.add_other_template(name.clone(), Tags::new());
                    self.changed(who, &Change::Template(id));
                    true
                }
            }
            Intervention::BreakLaunches(code) => {
                let before = std::mem::replace(&mut self.broken_launches, *code);
                before != *code
            }
        };
        if done {
            self.count_fault("change by hand");
        }
        done
    }

    fn stop_instance(&mut self, id: &str, who: &str) -> bool {
        let done = self.change_instance(id, who, InstanceState::Running, |instance| {
            instance.state = InstanceState::Stopping;
            instance.public_ip = None;
        });
        if done {
            self.schedule(self.now + TimeDelta::minutes(1), Event::InstanceStopped(id.to_owned()));
        }
        done
    }

    /// Starts a stopped instance. EC2 changes its launch time.
    fn start_instance(&mut self, id: &str, who: &str) -> bool {
        let now = self.now;
        let done = self.change_instance(id, who, InstanceState::Stopped, |instance| {
            (instance.state, instance.launched_at) = (InstanceState::Pending, now);
        });
        if done {
            self.schedule(now + TimeDelta::minutes(1), Event::Running(id.to_owned()));
        }
        done
    }

    fn change_instance(
        &mut self,
        id: &str,
        who: &str,
        from: InstanceState,
        change: impl FnOnce(&mut SimInstance),
    ) -> bool {
        if self.instances.get(id).is_none_or(|instance| instance.state != from) {
            return false;
        }
        self.instances.change(id, self.now, change);
        self.changed(who, &Change::Instance(id.to_owned()));
        true
    }

    fn protect(&mut self, id: &str, protected: bool) -> bool {
        let now = self.now;
        self.instances.change(id, now, |instance| instance.protected = protected)
            || self.databases.change(id, now, |database| database.protected = protected)
    }

    fn tag_by_hand(&mut self, who: &str, id: &str, key: &str, value: Option<&str>) -> bool {
        // Tags of AWS cannot be changed.
        if key == key::AWS_TEMPLATE_ID {
            return false;
        }
        let now = self.now;
        let (mut changed, mut lost) = (false, None);
        let mut apply = |tags: &mut Tags| {
            let before = match value {
                Some(value) => tags.insert(key.to_owned(), value.to_owned()),
                None => tags.remove(key),
            };
            changed = before.as_deref() != value;
            lost = before.filter(|_| value.is_none());
        };
        let exists = self.instances.change(id, now, |instance| apply(&mut instance.tags))
            || self.templates.change(id, now, |template| apply(&mut template.tags))
            || self.databases.change(id, now, |database| apply(&mut database.tags));
        if exists && changed {
            if let Some(value) = lost {
                self.lost_tags.insert((id.to_owned(), key.to_owned()), value);
            }
            self.changed(who, &Change::Tags(id.to_owned()));
        }
        exists && changed
    }

    /// Returns a tag of an instance, a launch template or a database.
    fn tag_of(&self, id: &str, key: &str) -> Option<&String> {
        let instance = self.instances.get(id).map(|instance| &instance.tags);
        let template = self.templates.get(id).map(|template| &template.tags);
        let database = self.databases.get(id).map(|database| &database.tags);
        instance.or(template).or(database)?.get(key)
    }

    fn delete_by_hand(&mut self, who: &str, id: &str) -> bool {
        if self.instances.get(id).is_some_and(|instance| !instance.state.is_ending() && !instance.protected) {
            self.terminate(id, who);
        } else if self.databases.get(id).is_some_and(|database| {
            StatusClass::from_status(&database.status) != StatusClass::Deleting && !database.protected
        }) {
            self.delete_database(id, who);
        } else if self.templates.get(id).is_some() {
            self.delete_template(id, who);
        } else {
            return false;
        }
        true
    }

    /// Returns a database of another owner.
    pub(super) fn other_database(&self, id: &str) -> SimDatabase {
        SimDatabase {
            status: "available".to_owned(),
            endpoint: Some(format!("{id}.c9akciq32.eu-west-1.rds.amazonaws.com:5432")),
            created_at: Some(self.now),
            zone: self.subnets[0].zone.raw().to_owned(),
            tags: Tags::new(),
            protected: false,
            episode: 0,
        }
    }

    pub(super) fn add_other_template(&mut self, name: String, tags: Tags) -> String {
        let created_at = self.now;
        self.add_template(Template { name, created_at, tags, launch: None, base: BaseTemplate::default() })
    }
}
