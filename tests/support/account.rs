//! A fleet in an account, read and changed through the AWS API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use aws_sdk_ec2::types::{Filter, InstanceStateName, ResourceType, Tag, TagSpecification};

use super::binary::hatchery;
use super::emulator::{Emulator, Seed};

type Tags = BTreeMap<String, String>;

/// Runs `fleet init` on the server's seeded resources.
pub(crate) async fn init(emulator: &Emulator, name: &str, more: &[&str]) {
    let seed = emulator.seed(name).await;
    let arguments = init_arguments(&seed, name, more);
    hatchery(emulator, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
}

/// The arguments of `fleet init` for the seeded resources.
pub(crate) fn init_arguments(seed: &Seed, name: &str, more: &[&str]) -> Vec<String> {
    let subnets = seed.subnets.join(" ");
    let arguments = [
        "fleet",
        "init",
        name,
        "--source-database",
        &seed.source_database,
        "--database-subnet-group",
        &seed.subnet_group,
        "--subnets",
        &subnets,
        "--security-group",
        &seed.security_group,
        "--instance-type",
        "t3.2xlarge",
    ];
    arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect()
}

/// An instance as EC2 lists it.
#[derive(Debug, Clone)]
pub(crate) struct Ec2Instance {
    pub(crate) id: String,
    pub(crate) is_active: bool,
    pub(crate) tags: Tags,
}

/// Every resource in the account that carries a fleet's tags.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) records: BTreeMap<String, Tags>,
    pub(crate) instances: Vec<Ec2Instance>,
    pub(crate) databases: BTreeMap<String, Tags>,
    /// Those of them that are `available`.
    pub(crate) available: BTreeSet<String>,
}

impl State {
    pub(crate) fn active(&self) -> Vec<&Ec2Instance> {
        self.instances.iter().filter(|instance| instance.is_active).collect()
    }

    /// The number of available databases that no environment has claimed.
    pub(crate) fn free(&self) -> usize {
        let is_free = |id: &&String| !self.databases[*id].contains_key("hatchery:environment");
        self.available.iter().filter(is_free).count()
    }

    /// Whether only the fleet and its spare databases are left.
    pub(crate) fn is_at_rest(&self, spare: usize) -> bool {
        self.records.is_empty()
            && self.active().is_empty()
            && self.free() == spare
            && self.databases.len() == spare
    }
}

/// The account behind a server.
pub(crate) struct Account<'e> {
    emulator: &'e Emulator,
    ec2: aws_sdk_ec2::Client,
    rds: aws_sdk_rds::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

impl<'e> Account<'e> {
    pub(crate) async fn new(emulator: &'e Emulator) -> Self {
        Self { emulator, ec2: emulator.ec2().await, rds: emulator.rds().await, logs: emulator.logs().await }
    }

    pub(crate) fn emulator(&self) -> &'e Emulator {
        self.emulator
    }

    /// Lists the account.
    pub(crate) async fn inspect(&self) -> State {
        let mut state = State::default();
        // moto's DescribeLaunchTemplates returns the tags of the creation only; AWS returns the current ones.
        let filter = Filter::builder().name("resource-type").values("launch-template").build();
        let mut pages = self.ec2.describe_tags().filters(filter).into_paginator().items().send();
        let mut current: BTreeMap<String, Tags> = BTreeMap::new();
        while let Some(tag) = pages.next().await {
            let tag = tag.unwrap();
            let tags = current.entry(tag.resource_id.unwrap()).or_default();
            tags.insert(tag.key.unwrap(), tag.value.unwrap_or_default());
        }
        let found = self.ec2.describe_launch_templates().max_results(200).send().await.unwrap();
        for template in found.launch_templates() {
            let name = template.launch_template_name().unwrap().to_owned();
            let tags = current.remove(template.launch_template_id().unwrap()).unwrap_or_default();
            if tags.get("hatchery:role").is_some_and(|role| role != "fleet") {
                state.records.insert(name, tags);
            }
        }
        let mut pages = self.ec2.describe_instances().into_paginator().send();
        while let Some(page) = pages.next().await {
            for instance in
                page.unwrap().reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances)
            {
                let name = instance.state().and_then(|state| state.name()).unwrap();
                state.instances.push(Ec2Instance {
                    id: instance.instance_id().unwrap().to_owned(),
                    is_active: !matches!(
                        name,
                        InstanceStateName::Terminated | InstanceStateName::ShuttingDown
                    ),
                    tags: ec2_tags(instance.tags()),
                });
            }
        }
        let mut pages = self.rds.describe_db_instances().into_paginator().items().send();
        while let Some(database) = pages.next().await {
            let database = database.unwrap();
            let pairs = database.tag_list().iter();
            let tags: Tags = pairs
                .map(|tag| (tag.key().unwrap().to_owned(), tag.value().unwrap_or_default().to_owned()))
                .collect();
            if tags.contains_key("hatchery:role") {
                let id = database.db_instance_identifier().unwrap();
                if database.db_instance_status() == Some("available") {
                    state.available.insert(id.to_owned());
                }
                state.databases.insert(id.to_owned(), tags);
            }
        }
        state
    }

    /// Runs single passes of the engine until the condition is true.
    pub(crate) async fn run_engine_until(&self, condition: &str, is_true: impl Fn(&State) -> bool) {
        let mut last = String::new();
        for _ in 0..40 {
            let state = self.inspect().await;
            if is_true(&state) {
                return;
            }
            // A step may fail; the next pass takes it again.
            last = hatchery(self.emulator, &["engine", "--once", "--json"]).out;
            // RDS creates and deletes databases meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never true: {condition}; {:#?}; the last pass: {last}", self.inspect().await);
    }

    /// Writes the tags that the bootstrap on an instance writes.
    pub(crate) async fn set_phase(&self, instance: &str, phase: &str) {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let timeline = "booting=20 database=26 images=30 cluster=75 services=121 ready=200";
        let tags = [tag("hatchery:phase", phase), tag("hatchery:timeline", timeline)];
        self.tag(instance, &tags).await;
    }

    /// Reports as an instance does how far it is with the deployment that was requested at a time: a state, and details.
    pub(crate) async fn set_rollout(&self, instance: &str, request: &str, report: &str) {
        let value = format!("{request} {report}");
        self.tag(instance, &[Tag::builder().key("hatchery:rollout").value(value).build()]).await;
    }

    /// Tags a resource of EC2, as soon as EC2's writes find it.
    async fn tag(&self, id: &str, tags: &[Tag]) {
        for _ in 0..100 {
            let tagged = self.ec2.create_tags().resources(id).set_tags(Some(tags.to_vec())).send().await;
            match tagged {
                Err(error) if error.code().is_some_and(|code| code.ends_with(".NotFound")) => {}
                tagged => return drop(tagged.unwrap()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{id} cannot be tagged");
    }

    /// The id of a launch template.
    pub(crate) async fn template_id(&self, name: &str) -> String {
        let found = self.ec2.describe_launch_templates().launch_template_names(name).send().await.unwrap();
        found.launch_templates()[0].launch_template_id().unwrap().to_owned()
    }

    /// Changes a record's tag directly.
    pub(crate) async fn tag_record(&self, name: &str, key: &str, value: &str) {
        let id = self.template_id(name).await;
        self.tag(&id, &[Tag::builder().key(key).value(value).build()]).await;
    }

    /// Writes log lines as a record's instance does.
    pub(crate) async fn ship_log(&self, fleet: &str, record: &str, source: &str, lines: &[&str]) {
        let stream = format!("{}/{source}", self.template_id(record).await);
        self.put_log(&format!("/hatchery/{fleet}/environments"), &stream, lines).await;
    }

    /// Writes log lines into a new stream.
    pub(crate) async fn put_log(&self, group: &str, stream: &str, lines: &[&str]) {
        // The group may already exist.
        let _ = self.logs.create_log_group().log_group_name(group).send().await;
        self.logs.create_log_stream().log_group_name(group).log_stream_name(stream).send().await.unwrap();
        let mut put = self.logs.put_log_events().log_group_name(group).log_stream_name(stream);
        for line in lines {
            let event = aws_sdk_cloudwatchlogs::types::InputLogEvent::builder()
                .timestamp(
                    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_millis(),
                )
                .message(*line)
                .build()
                .unwrap();
            put = put.log_events(event);
        }
        put.send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// Finds a log group by its full name.
    pub(crate) async fn log_group(&self, name: &str) -> aws_sdk_cloudwatchlogs::types::LogGroup {
        let found = self.logs.describe_log_groups().log_group_name_prefix(name).send().await.unwrap();
        found.log_groups.unwrap().into_iter().find(|group| group.log_group_name() == Some(name)).unwrap()
    }

    /// Creates environments directly, without the binary.
    pub(crate) async fn create_environments(&self, fleet: &str, count: u32) {
        self.create_environments_from(fleet, 1, count).await;
    }

    /// As [`Self::create_environments`], from a number on.
    pub(crate) async fn create_environments_from(&self, fleet: &str, first: u32, count: u32) {
        let seed = self.emulator.seed_of(fleet);
        for number in first..first + count {
            let created = rfc3339(-3_600);
            let expires = rfc3339(6 * 3_600);
            let environment = format!("{fleet}-{number}");
            let database = format!("hatchery-{fleet}-{number}");
            let pairs = [
                ("hatchery:fleet", fleet),
                ("hatchery:role", "environment"),
                ("hatchery:environment", &environment),
                ("hatchery:name", &format!("feature-{number}")),
                ("hatchery:owner", "amy"),
                ("hatchery:database", &database),
                ("hatchery:created-at", &created),
                ("hatchery:expires-at", &expires),
            ];
            let tags: Vec<_> =
                pairs.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build()).collect();
            let specification = |resource| {
                TagSpecification::builder().resource_type(resource).set_tags(Some(tags.clone())).build()
            };
            self.ec2
                .create_launch_template()
                .launch_template_name(format!("hatchery/{fleet}/{number}"))
                .launch_template_data(
                    aws_sdk_ec2::types::RequestLaunchTemplateData::builder()
                        .image_id(&seed.image)
                        .instance_type("t3.2xlarge".into())
                        .build(),
                )
                .tag_specifications(specification(ResourceType::LaunchTemplate))
                .send()
                .await
                .unwrap();
            self.ec2
                .run_instances()
                .image_id(&seed.image)
                .instance_type("t3.2xlarge".into())
                .subnet_id(&seed.subnets[number as usize % seed.subnets.len()])
                .min_count(1)
                .max_count(1)
                .tag_specifications(specification(ResourceType::Instance))
                .send()
                .await
                .unwrap();
            let tag =
                |key: &str, value: &str| aws_sdk_rds::types::Tag::builder().key(key).value(value).build();
            self.rds
                .restore_db_instance_from_db_snapshot()
                .db_instance_identifier(&database)
                .db_snapshot_identifier(&seed.snapshot)
                .tags(tag("hatchery:fleet", fleet))
                .tags(tag("hatchery:role", "pool"))
                .tags(tag("hatchery:environment", &environment))
                .send()
                .await
                .unwrap();
        }
    }
}

fn ec2_tags(tags: &[Tag]) -> Tags {
    tags.iter()
        .map(|tag| (tag.key().unwrap().to_owned(), tag.value().unwrap_or_default().to_owned()))
        .collect()
}

pub(crate) fn rfc3339(seconds_from_now: i64) -> String {
    let now = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now());
    (now + chrono::TimeDelta::seconds(seconds_from_now)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
