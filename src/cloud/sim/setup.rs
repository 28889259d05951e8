//! The initial state of a scenario.

use chrono::TimeDelta;

use super::state::{LaunchData, SimDatabase, SimDeployment, SimInstance, State, Template, seconds};
use crate::cloud::BaseTemplate;
use crate::domain::policy::Setting;
use crate::domain::record::{NewEnvironment, NewRecord, Purpose};
use crate::domain::tags::{self, Tags, key, role};
use crate::domain::{
    AuditEvent, FleetName, InstanceState, Label, NewDatabase, NewFleet, Number, Outcome, Policy, TagChanges,
};

use super::scenario::InitialEnvironment;

/// The security group of the fleet's instances, and one that admits the whole internet.
pub(super) const GROUP: &str = "sg-0a1";
pub(super) const OPEN_GROUP: &str = "sg-0open";

pub(super) const SUBNET_GROUP: &str = "private";

impl State {
    /// Creates the scenario's fleet and its resources. Invalid names and settings are ignored.
    pub(super) fn populate(&mut self) {
        let Ok(name) = self.scenario.fleet.parse::<FleetName>() else { return };
        let mut policy = Policy {
            source_database: self.scenario.source_database.clone(),
            database_subnet_group: SUBNET_GROUP.to_owned(),
            subnets: self.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
            ..Policy::new(&name)
        };
        for (setting, value) in self.scenario.policy.clone() {
            if let Some(setting) = Setting::find(&setting) {
                // An invalid value keeps the default.
                let _ = setting.set(&mut policy, &value);
            }
        }
        let initial_environments = self.scenario.environments.clone();
        let databases =
            initial_environments.len() + self.scenario.free as usize + self.scenario.creating as usize;
        policy.last_number = Number(u32::try_from(databases).unwrap_or(u32::MAX).saturating_add(5));
        self.add_fleet(&NewFleet {
            name: name.clone(),
            policy: policy.clone(),
            instance_type: "t3.2xlarge".to_owned(),
            security_groups: vec![GROUP.to_owned()],
            instance_profile: None,
            public_address: true,
            user_data: None,
            key_name: None,
            volume_gib: None,
        });
        let mut number = Number(6);
        for initial in &initial_environments {
            self.add_environment(&name, &policy, number, initial);
            number = number.next();
        }
        for _ in 0..self.scenario.free {
            self.add_database(&name, &policy, number, TimeDelta::hours(2), true);
            number = number.next();
        }
        for _ in 0..self.scenario.creating {
            self.add_database(&name, &policy, number, TimeDelta::minutes(6), false);
            number = number.next();
        }
        if self.scenario.decoys {
            self.add_decoys(&name);
        }
        self.add_neighbours();
        self.add_past(&name);
        self.audit.sort_by_key(|event| event.at);
        self.audit_groups = self.audit.iter().map(|event| (name.to_string(), event.at)).collect();
        // Events before the start take place at their own times.
        let now = self.now;
        self.now = self.next_due().unwrap_or(now).min(now);
        self.advance(now);
    }

    /// Adds a fleet's base template and returns its id.
    pub(super) fn add_fleet(&mut self, new: &NewFleet) -> String {
        let base = BaseTemplate {
            instance_type: Some(new.instance_type.as_str().into()),
            security_groups: new.security_groups.iter().map(|group| group.as_str().into()).collect(),
            instance_profile: new.instance_profile.as_deref().map(Into::into),
            key_name: new.key_name.as_deref().map(Into::into),
            ..BaseTemplate::default()
        };
        let (name, tags) = (new.name.template_name(), new.tags());
        self.add_template(Template { name, created_at: self.now, tags, launch: None, base })
    }

    /// Adds a launch template and returns its id.
    pub(super) fn add_template(&mut self, template: Template) -> String {
        let id = format!("lt-{:017x}", self.next_serial());
        self.names.insert(template.name.clone(), id.clone());
        self.templates.set(&id, self.now, template);
        id
    }

    /// Adds an environment in the state that its launch would have left.
    fn add_environment(
        &mut self,
        fleet: &FleetName,
        policy: &Policy,
        number: Number,
        initial: &InitialEnvironment,
    ) {
        let Ok(label) = initial.name.parse::<Label>() else { return };
        let created_at = self.now - seconds(initial.age.as_secs_f64());
        let index = number.0 as usize % self.subnets.len();
        let Some(image) = self.images.last().cloned() else { return };
        let new = NewRecord {
            environment: fleet.environment(number),
            owner: initial.owner.clone(),
            created_at,
            claim: "initial".to_owned(),
            company_tags: policy.company_tags.clone(),
            purpose: Purpose::Launch(Box::new(NewEnvironment {
                name: label,
                expires_at: created_at + initial.ttl,
                services: initial.services.clone(),
                note: initial.note.clone(),
                image: image.id,
                root_device: image.root_device.map(|device| device.raw().to_owned()),
                subnet: self.subnets[index].id.clone(),
            })),
        };
        self.add_database(fleet, policy, number, TimeDelta::hours(1) + (self.now - created_at), true);
        let database = fleet.database_id(number);
        let restore_seconds = self.restore_seconds(database.as_str());
        let claim = TagChanges::new().set(key::ENVIRONMENT, new.environment.to_string());
        self.databases.change(database.as_str(), self.now, |database| claim.apply_to(&mut database.tags));

        let launch = LaunchData {
            instance_type: "t3.2xlarge".to_owned(),
            subnet: self.subnets[index].id.clone(),
            tags: new.identity_tags(),
        };
        let record = self.add_template(Template {
            name: new.environment.record_name(),
            created_at,
            tags: new.tags(),
            launch: Some(launch.clone()),
            base: BaseTemplate::default(),
        });
        let id = self.add_instance(&record, &launch, created_at + TimeDelta::seconds(1));
        self.instances.change(&id, self.now, |instance| instance.fails.clone_from(&initial.fails));
        let note = TagChanges::new().set(key::INSTANCE, id.as_str());
        self.templates.change(&record, self.now, |template| note.apply_to(&mut template.tags));
        self.boot(&id);
        self.audit.push(AuditEvent {
            at: created_at,
            who: initial.owner.as_str().into(),
            action: "launch".into(),
            target: new.environment.to_string().into(),
            reason: format!("as {}", initial.name).into(),
            outcome: Outcome::Done,
            detail: format!("{id} with {database}").into(),
            restore_seconds,
            loaded_percent: restore_seconds.map(|_| 100),
        });
    }

    /// Adds resources with the fleet's name but not its tags, and with its tags but not its name.
    fn add_decoys(&mut self, fleet: &FleetName) {
        let tags = |role: &str| -> Tags {
            [(key::FLEET, fleet.as_str()), (key::ROLE, role)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        let namesake = fleet.environment(Number(3));
        let templates =
            [(namesake.record_name(), Tags::new()), ("copy-of-a-record".to_owned(), tags(role::ENVIRONMENT))];
        for (name, tags) in templates {
            let created_at = self.now;
            self.add_template(Template {
                name,
                created_at,
                tags,
                launch: None,
                base: BaseTemplate::default(),
            });
        }
        let databases = [
            (namesake.database_id().to_string(), Tags::new()),
            (format!("{}-copy", self.scenario.source_database), tags(role::POOL)),
        ];
        for (id, tags) in databases {
            let zone = self.subnets[0].zone.raw().to_owned();
            let (status, created_at) = ("available".to_owned(), Some(self.now));
            let endpoint = Some(format!("{id}.c9akciq32.eu-west-1.rds.amazonaws.com:5432"));
            let database =
                SimDatabase { status, endpoint, created_at, zone, tags, protected: false, episode: 0 };
            self.databases.set(&id, self.now, database);
        }
        let launch = LaunchData {
            instance_type: "t3.large".to_owned(),
            subnet: self.subnets[0].id.clone(),
            tags: tags(role::ENVIRONMENT),
        };
        self.add_instance("lt-of-another-team", &launch, self.now);
    }

    /// Adds the resources of other owners, and the source database.
    fn add_neighbours(&mut self) {
        let neighbours = self.scenario.neighbours.clone();
        let name = |n: u32| format!("{}-{n}", ["app", "hatchery-other", "hatchery-x", "web"][n as usize % 4]);
        if neighbours.source {
            let source = self.scenario.source_database.clone();
            let database = self.other_database(&source);
            self.databases.set(&source, self.now, database);
        }
        for id in (0..neighbours.databases).map(name) {
            let database = self.other_database(&id);
            self.databases.set(&id, self.now, database);
        }
        for name in (0..neighbours.templates).map(name) {
            self.add_other_template(name, Tags::new());
        }
        for n in 0..neighbours.instances {
            let launch = LaunchData {
                instance_type: "m7g.large".to_owned(),
                subnet: self.subnets[n as usize % self.subnets.len()].id.clone(),
                tags: Tags::new(),
            };
            self.add_instance("lt-of-another-team", &launch, self.now);
        }
    }

    /// Adds an unclaimed database of the pool.
    fn add_database(
        &mut self,
        fleet: &FleetName,
        policy: &Policy,
        number: Number,
        age: TimeDelta,
        is_available: bool,
    ) {
        let requested_at = self.now - age;
        let index = number.0 as usize % self.subnets.len();
        let Some(snapshot) = self.snapshots.last().cloned() else { return };
        let new = NewDatabase {
            fleet: fleet.clone(),
            number,
            claim: None,
            requested_at,
            source: policy.source_database.clone(),
            snapshot,
            zone: self.subnets[index].zone.raw().to_owned(),
            class: policy.database_class.clone(),
            subnet_group: policy.database_subnet_group.clone(),
            security_groups: Vec::new(),
            parameter_group: None,
            iam_auth: false,
            settings: policy.database_settings(),
            company_tags: policy.company_tags.clone(),
        };
        let id = new.id().to_string();
        let minutes = self.sample(&id, [11.0, 17.0]);
        let created_at = requested_at + seconds(minutes * 60.0);
        let database = SimDatabase {
            status: if is_available { "available" } else { "creating" }.to_owned(),
            endpoint: is_available.then(|| format!("{id}.c9akciq32.eu-west-1.rds.amazonaws.com:5432")),
            created_at: is_available.then_some(created_at),
            zone: new.zone.clone(),
            tags: new.tags(),
            protected: false,
            episode: 0,
        };
        self.databases.set(&id, self.now, database);
        if is_available {
            self.begin_database_events(&id);
        } else {
            self.schedule(created_at, super::state::Event::Restored(id.clone()));
        }
        self.audit.push(AuditEvent {
            at: requested_at,
            who: "engine@schedule".into(),
            action: "create-database".into(),
            target: id.into(),
            reason: format!("the policy sets spare={}", policy.spare).into(),
            outcome: Outcome::Done,
            detail: format!("from {}", new.snapshot.id).into(),
            restore_seconds: None,
            loaded_percent: None,
        });
    }

    /// Returns how long the restore of a database took.
    fn restore_seconds(&self, id: &str) -> Option<u64> {
        let database = self.databases.get(id)?;
        let requested = tags::parse_time(&database.tags, key::CREATED_AT)?;
        u64::try_from((database.created_at? - requested).num_seconds()).ok()
    }

    /// Adds an instance of a record and returns its id.
    pub(super) fn add_instance(
        &mut self,
        record: &str,
        launch: &LaunchData,
        launched_at: chrono::DateTime<chrono::Utc>,
    ) -> String {
        let serial = self.next_serial();
        let id = format!("i-{serial:017x}");
        let zone = self.subnets.iter().find(|subnet| subnet.id == launch.subnet);
        let zone = zone.map(|subnet| subnet.zone.raw().to_owned()).unwrap_or_default();
        let mut tags = launch.tags.clone();
        tags.insert(key::AWS_TEMPLATE_ID.to_owned(), record.to_owned());
        let instance = SimInstance {
            state: InstanceState::Pending,
            instance_type: launch.instance_type.clone(),
            zone,
            public_ip: Some(format!("203.0.113.{}", serial % 250 + 1)),
            private_ip: format!("10.20.{}.{}", serial / 250 % 250, serial % 250 + 1),
            launched_at,
            tags,
            fails: None,
            protected: false,
            deployment: SimDeployment::default(),
        };
        self.instances.set(&id, self.now, instance);
        id
    }
}
