//! The port to the simulated account.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::Caller;
use super::faults::call_error;
use super::listings::{
    Parse, attributes, parse_database, parse_fleet, parse_instance, parse_record, parse_template, readable,
};
use super::logs::newest_first;
use super::mutations::{create_database, create_template, launch_instance};
use super::operations::{
    AUDIT, CREATE_STREAM, CREATE_TEMPLATE, DATABASES, EC2_TAGS, IMAGE_TAGS, INSTANCES, LOGS, PUBLISH,
    RDS_TAGS, REPOSITORIES, RUN, STREAMS, TEMPLATES, TERMINATE, WEBHOOK, read, write,
};
use super::setup::{GROUP, OPEN_GROUP};
use super::state::{LaunchData, SimDatabase, SimInstance, Template};
use super::throttle::Bucket;
use crate::cloud::seen_lines::SeenLines;
use crate::cloud::{
    BaseTemplate, Cloud, LaunchInstance, LogItem, LogQuery, Observed, Pages, Result, SecurityGroup,
    StoredLines,
};
use crate::domain::notice::Claim;
use crate::domain::tags::key;
use crate::domain::text::Untrusted;
use crate::domain::{
    AuditEvent, Database, DatabaseId, Destination, EnvironmentId, ErrorClass, Fleet, FleetName, Image,
    ImageTags, Instance, InstanceId, Launch, Message, NewDatabase, NewRecord, Number, Pipeline, PipelineKind,
    Purpose, Record, RecordId, Registry, Snapshot, Subnet, SubnetId, TagChanges, audit,
};

/// How far back new lines of a log are looked for, because they arrive late and out of order.
const LOG_OVERLAP: TimeDelta = TimeDelta::minutes(1);

#[async_trait]
impl Cloud for Caller {
    fn region(&self) -> &str {
        &self.cloud.region
    }

    async fn fleet(&self, name: &FleetName) -> Result<Option<Fleet>> {
        let wanted = name.template_name();
        let found = self.read(TEMPLATES, |state, at| {
            // Names are found without lag, because the base template is as old as the fleet.
            let Some(id) = state.names.get(&wanted).cloned() else { return Ok(None) };
            Ok(state.templates.at(&id, at).and_then(|template| parse_fleet(&id, template, &template.tags)))
        });
        Ok(found.await?.value)
    }

    fn templates<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, crate::cloud::Template> {
        let parse: Parse<'a, Template, crate::cloud::Template> =
            Box::new(move |id, template, tags, _| parse_template(fleet, id, template, tags));
        self.pages(TEMPLATES, |state| &state.templates, |template| &template.tags, parse)
    }

    fn instances<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Instance> {
        let parse: Parse<'a, SimInstance, Instance> =
            Box::new(move |id, instance, tags, _| parse_instance(fleet, id, instance, tags).map(Ok));
        self.pages(INSTANCES, |state| &state.instances, |instance| &instance.tags, parse)
    }

    fn databases<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Database> {
        let minutes = self.cloud.lock().scenario.strictness.loading_minutes;
        let parse: Parse<'a, SimDatabase, Database> = Box::new(move |id, database, tags, at| {
            parse_database(fleet, id, database, tags, database.loaded(minutes, at))
        });
        self.pages(DATABASES, |state| &state.databases, |database| &database.tags, parse)
    }

    async fn latest_snapshot(&self, source: &str) -> Result<Option<Snapshot>> {
        let operation = read("DescribeDBSnapshots", Bucket::Database);
        let found = self.read(operation, |state, _| {
            Ok(state.snapshots.last().filter(|_| source == state.scenario.source_database).cloned())
        });
        Ok(found.await?.value)
    }

    async fn latest_image(&self, tag: &str) -> Result<Option<Image>> {
        let operation = read("DescribeImages", Bucket::Describe);
        let found = self.read(operation, |state, _| {
            Ok(state.images.last().filter(|_| tag == state.scenario.fleet).cloned())
        });
        Ok(found.await?.value)
    }

    /// Without latency and faults, because nothing depends on it.
    async fn pipelines(&self, fleet: &FleetName) -> Result<Vec<Pipeline>> {
        let state = self.cloud.advanced();
        Ok(if state.scenario.fleet == fleet.as_str() { state.pipelines() } else { Vec::new() })
    }

    async fn start_pipeline(&self, _: &FleetName, kind: PipelineKind) -> Result<Untrusted> {
        let operation = write("StartImagePipelineExecution", Bucket::Change);
        self.write(operation, move |state, _| Ok(state.start_run(kind).into())).await
    }

    async fn repositories(&self, registry: &Registry) -> Result<Vec<Untrusted>> {
        Ok(self.read(REPOSITORIES, |state, _| state.repositories(registry)).await?.value)
    }

    async fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags> {
        Ok(self.read(IMAGE_TAGS, |state, _| state.image_tags(registry, service)).await?.value)
    }

    async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>> {
        let operation = read("DescribeSubnets", Bucket::Describe);
        let found = self.read(operation, |state, _| {
            let find = |id: &SubnetId| {
                state.subnets.iter().find(|subnet| subnet.id == *id).cloned().ok_or_else(|| {
                    let message = format!("The subnet ID '{id}' does not exist");
                    call_error(ErrorClass::NotFound, operation, "InvalidSubnetID.NotFound", &message)
                })
            };
            ids.iter().map(find).collect()
        });
        Ok(found.await?.value)
    }

    async fn record(&self, fleet: &FleetName, id: &RecordId) -> Result<Observed<Option<Record>>> {
        self.read(TEMPLATES, |state, at| {
            let seen = state.see_tags();
            let found = state.templates.at(id.as_str(), at);
            let parse =
                |template: &Template| parse_record(fleet, id.as_str(), template, seen(&template.tags));
            readable(TEMPLATES, found.and_then(parse))
        })
        .await
    }

    async fn find_record(&self, environment: &EnvironmentId) -> Result<Observed<Option<Record>>> {
        let name = environment.record_name();
        self.read(TEMPLATES, |state, at| {
            let seen = state.see_tags();
            let found = state.templates.page("", at).find(|(_, template)| template.name == name);
            let parse = |(id, template): (&str, &Template)| {
                parse_record(&environment.fleet, id, template, seen(&template.tags))
            };
            readable(TEMPLATES, found.and_then(parse))
        })
        .await
    }

    async fn instance_of(&self, record: &Record) -> Result<Observed<Option<Instance>>> {
        self.read(INSTANCES, |state, at| {
            let is_named = |id: &str, instance: &SimInstance| match &record.instance {
                Some(named) => named.as_str() == id,
                None => instance.tags.get(key::AWS_TEMPLATE_ID).is_some_and(|id| *id == record.id.as_str()),
            };
            let all = state.instances.page("", at).filter(|(id, instance)| is_named(id, instance));
            let parsed =
                all.map(|(id, found)| Instance::parse_of(record, attributes(id, found), &found.tags));
            Ok(Instance::first(parsed.collect::<Result<_>>()?))
        })
        .await
    }

    async fn instance(&self, fleet: &FleetName, id: &InstanceId) -> Result<Observed<Option<Instance>>> {
        self.read(INSTANCES, |state, at| {
            let seen = state.see_tags();
            let found = state.instances.at(id.as_str(), at);
            Ok(found.and_then(|instance| parse_instance(fleet, id.as_str(), instance, seen(&instance.tags))))
        })
        .await
    }

    async fn instances_of(&self, environment: &EnvironmentId) -> Result<Observed<Vec<Instance>>> {
        let wanted = environment.to_string();
        self.read(INSTANCES, |state, at| {
            let seen = state.see_tags();
            let all = state.instances.page("", at);
            let matching = all.filter(|(_, instance)| instance.environment() == Some(wanted.as_str()));
            let parse = |(id, instance): (&str, &SimInstance)| {
                parse_instance(&environment.fleet, id, instance, seen(&instance.tags))
            };
            Ok(matching.filter_map(parse).collect())
        })
        .await
    }

    async fn database(&self, fleet: &FleetName, number: Number) -> Result<Observed<Option<Database>>> {
        let id = fleet.database_id(number);
        self.read(DATABASES, |state, at| {
            let seen = state.see_tags();
            let parse = |database: &SimDatabase| {
                let loaded = state.loaded(database, at);
                parse_database(fleet, id.as_str(), database, seen(&database.tags), loaded)
            };
            readable(DATABASES, state.databases.at(id.as_str(), at).and_then(parse))
        })
        .await
    }

    async fn create_record(&self, fleet: &Fleet, new: &NewRecord) -> Result<RecordId> {
        let (new, base) = (new.clone(), fleet.template.clone());
        self.write(CREATE_TEMPLATE, move |state, who| {
            let name = new.environment.record_name();
            let Some(instance_type) =
                state.templates.get(base.as_str()).map(|base| base.base.instance_type.clone())
            else {
                let message = "the base template does not exist";
                return Err(call_error(
                    ErrorClass::NotFound,
                    CREATE_TEMPLATE,
                    "InvalidLaunchTemplateId.NotFound",
                    message,
                ));
            };
            let launch = match &new.purpose {
                Purpose::Launch(environment) => Some(LaunchData {
                    instance_type: instance_type.map(|kind| kind.raw().to_owned()).unwrap_or_default(),
                    subnet: environment.subnet.clone(),
                    tags: new.identity_tags(),
                }),
                Purpose::Retire { .. } | Purpose::Hold(_) | Purpose::Replace(_) => None,
            };
            let (created_at, tags) = (state.now, new.tags());
            create_template(
                state,
                who,
                Template { name, created_at, tags, launch, base: BaseTemplate::default() },
            )
        })
        .await
    }

    async fn delete_record(&self, id: &RecordId) -> Result<()> {
        let id = id.to_string();
        self.write(write("DeleteLaunchTemplate", Bucket::Change), move |state, who| {
            state.delete_template(&id, who);
            Ok(())
        })
        .await
    }

    async fn tag_record(&self, id: &RecordId, changes: &TagChanges) -> Result<()> {
        let missing = "InvalidLaunchTemplateId.NotFound";
        self.tag(
            EC2_TAGS,
            |state| &mut state.templates,
            |template| &mut template.tags,
            id.as_str(),
            changes,
            missing,
        )
        .await
    }

    async fn launch_instance(&self, request: &LaunchInstance) -> Result<InstanceId> {
        let request = request.clone();
        self.write(RUN, move |state, who| launch_instance(state, who, &request)).await
    }

    async fn terminate_instance(&self, id: &InstanceId) -> Result<()> {
        let id = id.to_string();
        self.write(TERMINATE, move |state, who| {
            if state.instances.get(&id).is_some_and(|instance| instance.protected && !instance.state.is_ending())
            {
                state.count_fault("termination protection");
                let message = format!("The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.");
                return Err(call_error(ErrorClass::Invalid, TERMINATE, "OperationNotPermitted", &message));
            }
            state.terminate(&id, who);
            Ok(())
        })
        .await
    }

    async fn tag_instance(&self, id: &InstanceId, changes: &TagChanges) -> Result<()> {
        let missing = "InvalidInstanceID.NotFound";
        self.tag(
            EC2_TAGS,
            |state| &mut state.instances,
            |instance| &mut instance.tags,
            id.as_str(),
            changes,
            missing,
        )
        .await
    }

    async fn create_database(&self, new: &NewDatabase) -> Result<()> {
        let new = new.clone();
        let operation = write("RestoreDBInstanceFromDBSnapshot", Bucket::Database);
        let (id, tags) = (new.id(), new.tags());
        self.write(operation, move |state, who| {
            create_database(state, who, operation, id.as_str(), &tags, &new)
        })
        .await
    }

    async fn start_database(&self, id: &DatabaseId) -> Result<()> {
        let id = id.to_string();
        let operation = write("StartDBInstance", Bucket::Database);
        self.write(operation, move |state, who| state.start_database(&id, who, operation)).await
    }

    async fn tag_database(&self, id: &DatabaseId, changes: &TagChanges) -> Result<()> {
        let missing = "DBInstanceNotFound";
        self.tag(
            RDS_TAGS,
            |state| &mut state.databases,
            |database| &mut database.tags,
            id.as_str(),
            changes,
            missing,
        )
        .await
    }

    async fn delete_database(&self, id: &DatabaseId) -> Result<()> {
        let id = id.to_string();
        let operation = write("DeleteDBInstance", Bucket::Database);
        self.write(operation, move |state, who| {
            match state.databases.get(&id).map(|database| database.status.clone()).as_deref() {
                None | Some("deleting") => {}
                Some(_) => {
                    state.check_protection(&id, operation)?;
                    state.check_changeable(&id, operation)?;
                    state.delete_database(&id, who);
                }
            }
            Ok(())
        })
        .await
    }

    async fn tag_fleet(&self, template: &RecordId, changes: &TagChanges) -> Result<()> {
        self.tag_record(template, changes).await
    }

    async fn base_template(&self, template: &RecordId) -> Result<BaseTemplate> {
        let operation = read("DescribeLaunchTemplateVersions", Bucket::Describe);
        let found = self.read(operation, |state, at| {
            state.templates.at(template.as_str(), at).map(|template| template.base.clone()).ok_or_else(|| {
                call_error(
                    ErrorClass::NotFound,
                    operation,
                    "InvalidLaunchTemplateId.NotFound",
                    "the template does not exist",
                )
            })
        });
        Ok(found.await?.value)
    }

    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        let operation = read("DescribeSecurityGroups", Bucket::Describe);
        let find = |id: &String| match id.as_str() {
            GROUP | OPEN_GROUP => Ok(SecurityGroup {
                id: id.as_str().into(),
                name: "environments".into(),
                vpc: "vpc-0a1".into(),
                open_to: if id == OPEN_GROUP { vec!["0.0.0.0/0".into()] } else { Vec::new() },
                unread: Vec::new(),
            }),
            _ => {
                let message = format!("The security group '{id}' does not exist");
                Err(call_error(ErrorClass::NotFound, operation, "InvalidGroup.NotFound", &message))
            }
        };
        Ok(self.read(operation, |_, _| ids.iter().map(find).collect()).await?.value)
    }

    async fn claim_notice(&self, fleet: &FleetName, name: &str) -> Result<()> {
        let name = format!("{fleet}/{name}");
        self.write(CREATE_STREAM, move |state, who| state.claim_notice(who, &name)).await
    }

    async fn notice_claims(&self, fleet: &FleetName, notice: &str) -> Result<Observed<Vec<Claim>>> {
        self.read(STREAMS, |state, at| Ok(state.notice_claims(fleet.as_str(), notice, at))).await
    }

    async fn send_notice(&self, destination: &Destination, message: &Message) -> Result<()> {
        let (destination, message) = (destination.clone(), message.clone());
        let operation = if matches!(destination, Destination::Topic(_)) { PUBLISH } else { WEBHOOK };
        self.write(operation, move |state, who| state.send_notice(who, &destination, &message, operation))
            .await
    }

    async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()> {
        let (group, events) = (fleet.to_string(), events.to_vec());
        self.write(AUDIT, move |state, _| state.append_audit(&group, &events)).await
    }

    async fn audit(&self, fleet: &FleetName, since: DateTime<Utc>, limit: usize) -> Result<Vec<AuditEvent>> {
        let found = self.read(LOGS, |state, _| {
            let events = state.visible_audit(fleet.as_str()).filter(|event| event.at >= since);
            let mut events = audit::distinct(events.cloned());
            events.sort_by_key(|event| event.at);
            let surplus = events.len().saturating_sub(limit);
            Ok(events.split_off(surplus))
        });
        Ok(found.await?.value)
    }

    async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>> {
        let found = self.read(LOGS, |state, _| {
            let events = state.visible_audit(fleet.as_str()).filter(|event| event.at >= since);
            Ok(audit::distinct(events.cloned()).iter().filter_map(Launch::parse).collect())
        });
        Ok(found.await?.value)
    }

    async fn logs(&self, query: &LogQuery) -> Result<StoredLines> {
        let lines = self.read(LOGS, |state, _| Ok(state.lines(query))).await?.value;
        Ok(StoredLines::newest_of(lines))
    }

    fn follow(&self, query: LogQuery, older_bytes: usize) -> BoxStream<'_, Result<LogItem>> {
        let mode = futures::stream::once(async { Ok(LogItem::Mode("live tail".to_owned())) });
        let lines = futures::stream::unfold((query, None), move |(mut query, seen)| async move {
            let is_first = seen.is_none();
            let mut seen: SeenLines = seen.unwrap_or_default();
            loop {
                let mut new = self.cloud.advanced().lines(&query);
                new.retain(|line| seen.is_new(line));
                if let Some(last) = new.last() {
                    // Lines arrive late and out of order.
                    query.since = query.since.max(last.at - LOG_OVERLAP);
                    seen.forget_before(query.since);
                    let items =
                        if is_first { newest_first(new, older_bytes) } else { vec![LogItem::Lines(new)] };
                    return Some((futures::stream::iter(items.into_iter().map(Ok)), (query, Some(seen))));
                }
                self.cloud.clock.sleep(Duration::from_secs(2)).await;
            }
        })
        .flatten();
        mode.chain(lines).boxed()
    }
}
