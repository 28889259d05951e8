//! A layer between an engine and the account that observes every call and may change its result.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hatchery::cloud::{
    BaseTemplate, Cloud, DynCloud, LaunchInstance, LogItem, LogQuery, Observed, Page, Pages, Result,
    SecurityGroup, StoredLines, Template,
};
use hatchery::domain::notice::Claim;
use hatchery::domain::text::Untrusted;
use hatchery::domain::{
    AuditEvent, CloudError, Database, DatabaseId, Destination, EnvironmentId, Fleet, FleetName, Image,
    ImageTags, Instance, InstanceId, Launch, Message, NewDatabase, NewRecord, Number, Pipeline, PipelineKind,
    Record, RecordId, Registry, Snapshot, Subnet, SubnetId, TagChanges,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// A change or a creation.
    Write,
    Delete,
    /// A write to the audit log.
    Audit,
}

/// Name of `RunInstances` in [`Call::operation`].
pub(crate) const LAUNCH: &str = "launch";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) access: Access,
    pub(crate) operation: &'static str,
    /// The resource; for tag changes, with the tags.
    pub(crate) target: String,
}

/// Observes and changes calls. The default methods change nothing.
#[async_trait]
pub(crate) trait Hook: Send + Sync + 'static {
    /// Runs before a call is sent.
    async fn before(&self, _: &Call) {}

    /// The failure of a call, if any.
    fn failure(&self, _: &Call) -> Option<Failure> {
        None
    }

    /// Runs after the response.
    async fn after(&self, _: &Call, _: Option<&CloudError>) {}

    /// Runs when a listing starts and ends.
    fn listing(&self, _: &'static str, _: ListingEvent) {}

    /// Runs after a record was created.
    fn created(&self, _: &str) {}

    fn clock(&self, truth: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        truth
    }

    fn templates<'a>(&'a self, pages: Pages<'a, Template>) -> Pages<'a, Template> {
        pages
    }

    fn instances<'a>(&'a self, pages: Pages<'a, Instance>) -> Pages<'a, Instance> {
        pages
    }

    fn databases<'a>(&'a self, pages: Pages<'a, Database>) -> Pages<'a, Database> {
        pages
    }

    /// Replaces the read of a record: a record and AWS's time.
    fn cached_record(&self, _: &RecordId) -> Option<(Record, DateTime<Utc>)> {
        None
    }

    fn record(&self, _: &RecordId, seen: Option<Record>) -> Option<Record> {
        seen
    }

    fn instances_of(&self, seen: Vec<Instance>) -> Vec<Instance> {
        seen
    }

    fn database(&self, _: Number, seen: Option<Database>) -> Option<Database> {
        seen
    }

    /// Replaces a change; `None` passes it through.
    async fn replace(&self, _: &DynCloud, _: &Change<'_>) -> Option<Result<()>> {
        None
    }

    /// Replaces the creation of a record.
    fn fake_record(&self, _: &NewRecord) -> Option<RecordId> {
        None
    }

    /// Replaces the launch of an instance.
    fn fake_instance(&self, _: &RecordId) -> Option<InstanceId> {
        None
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The call is not applied.
    NotApplied(CloudError),
    /// The call is applied, and its response is lost.
    ResponseLost(CloudError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListingEvent {
    Started,
    Complete,
    Failed,
}

/// A change that a hook may replace.
pub(crate) enum Change<'a> {
    TagRecord(&'a RecordId, &'a TagChanges),
    TagInstance(&'a TagChanges),
    TagDatabase(&'a DatabaseId, &'a TagChanges),
    CreateDatabase(&'a NewDatabase),
    Terminate(&'a InstanceId),
    DeleteDatabase,
    Audit,
}

/// The cloud port with a hook around every call.
pub(crate) struct Layer<H> {
    pub(crate) inner: DynCloud,
    pub(crate) hook: H,
}

impl<H: Hook> Layer<H> {
    async fn call<T>(
        &self,
        access: Access,
        operation: &'static str,
        target: impl ToString,
        answer: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let call = Call { access, operation, target: target.to_string() };
        self.hook.before(&call).await;
        let answer = match self.hook.failure(&call) {
            None => answer.await,
            Some(Failure::NotApplied(error)) => Err(error),
            Some(Failure::ResponseLost(error)) => answer.await.and(Err(error)),
        };
        self.hook.after(&call, answer.as_ref().err()).await;
        answer
    }

    async fn change(
        &self,
        access: Access,
        operation: &'static str,
        target: impl ToString,
        change: Change<'_>,
        answer: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        let call = async {
            match self.hook.replace(&self.inner, &change).await {
                Some(instead) => instead,
                None => answer.await,
            }
        };
        self.call(access, operation, target, call).await
    }

    /// Treats each page of a listing as one call.
    fn hooked<'a, T: Send + 'a>(&'a self, what: &'static str, pages: Pages<'a, T>) -> Pages<'a, T> {
        self.hook.listing(what, ListingEvent::Started);
        futures::stream::unfold(Some(pages), move |pages| async move {
            let mut pages = pages?;
            let call = Call { access: Access::Read, operation: what, target: String::new() };
            self.hook.before(&call).await;
            let (page, rest) = match self.hook.failure(&call) {
                None => (pages.next().await, Some(pages)),
                Some(Failure::NotApplied(error) | Failure::ResponseLost(error)) => (Some(Err(error)), None),
            };
            self.hook.after(&call, page.as_ref().and_then(|page| page.as_ref().err())).await;
            match &page {
                None => self.hook.listing(what, ListingEvent::Complete),
                Some(Err(_)) => self.hook.listing(what, ListingEvent::Failed),
                Some(Ok(_)) => {}
            }
            let clocked = |page: Page<T>| Page { as_of: self.hook.clock(page.as_of), ..page };
            Some((page?.map(clocked), rest))
        })
        .boxed()
    }

    fn with_clock<T>(&self, observed: Observed<T>) -> Observed<T> {
        Observed { as_of: self.hook.clock(observed.as_of), ..observed }
    }
}

/// Describes a tag change. Times are left out, so that the same change by two engines has the same description.
fn describe_tags(id: impl std::fmt::Display, changes: &TagChanges) -> String {
    let is_time =
        |value: &str| value.split(' ').next().is_some_and(|word| DateTime::parse_from_rfc3339(word).is_ok());
    let set = changes.set.iter().map(|(key, value)| match value {
        value if is_time(value) => format!("+{key}"),
        value => format!("+{key}={value}"),
    });
    let removed = changes.remove.iter().map(|key| format!("-{key}"));
    std::iter::once(id.to_string()).chain(set).chain(removed).collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl<H: Hook> Cloud for Layer<H> {
    fn region(&self) -> &str {
        self.inner.region()
    }

    async fn fleet(&self, name: &FleetName) -> Result<Option<Fleet>> {
        self.call(Access::Read, "fleet", name, self.inner.fleet(name)).await
    }

    fn templates<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Template> {
        self.hook.templates(self.hooked("records", self.inner.templates(fleet)))
    }

    fn instances<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Instance> {
        self.hook.instances(self.hooked("instances", self.inner.instances(fleet)))
    }

    fn databases<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Database> {
        self.hook.databases(self.hooked("databases", self.inner.databases(fleet)))
    }

    async fn latest_snapshot(&self, source: &str) -> Result<Option<Snapshot>> {
        self.call(Access::Read, "latest snapshot", source, self.inner.latest_snapshot(source)).await
    }

    async fn latest_image(&self, tag: &str) -> Result<Option<Image>> {
        self.call(Access::Read, "latest image", tag, self.inner.latest_image(tag)).await
    }

    async fn pipelines(&self, fleet: &FleetName) -> Result<Vec<Pipeline>> {
        self.inner.pipelines(fleet).await
    }

    async fn start_pipeline(&self, fleet: &FleetName, kind: PipelineKind) -> Result<Untrusted> {
        self.inner.start_pipeline(fleet, kind).await
    }

    async fn repositories(&self, registry: &Registry) -> Result<Vec<Untrusted>> {
        self.inner.repositories(registry).await
    }

    async fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags> {
        self.inner.image_tags(registry, service).await
    }

    async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>> {
        self.call(Access::Read, "subnets", "", self.inner.subnets(ids)).await
    }

    async fn record(&self, fleet: &FleetName, id: &RecordId) -> Result<Observed<Option<Record>>> {
        if let Some((record, now)) = self.hook.cached_record(id) {
            return Ok(Observed { value: Some(record), as_of: Some(now) });
        }
        let seen = self.call(Access::Read, "record", id, self.inner.record(fleet, id)).await?;
        let Observed { value, as_of } = self.with_clock(seen);
        Ok(Observed { value: self.hook.record(id, value), as_of })
    }

    async fn find_record(&self, environment: &EnvironmentId) -> Result<Observed<Option<Record>>> {
        let read = self.inner.find_record(environment);
        Ok(self.with_clock(self.call(Access::Read, "record of", environment, read).await?))
    }

    async fn instance(&self, fleet: &FleetName, id: &InstanceId) -> Result<Observed<Option<Instance>>> {
        let read = self.inner.instance(fleet, id);
        let Observed { value, as_of } = self.with_clock(self.call(Access::Read, "instance", id, read).await?);
        Ok(Observed { value: self.hook.instances_of(value.into_iter().collect()).pop(), as_of })
    }

    async fn instance_of(&self, record: &Record) -> Result<Observed<Option<Instance>>> {
        let read = self.inner.instance_of(record);
        let Observed { value, as_of } =
            self.with_clock(self.call(Access::Read, "instance of", &record.id, read).await?);
        Ok(Observed { value: self.hook.instances_of(value.into_iter().collect()).pop(), as_of })
    }

    async fn instances_of(&self, environment: &EnvironmentId) -> Result<Observed<Vec<Instance>>> {
        let read = self.inner.instances_of(environment);
        let Observed { value, as_of } =
            self.with_clock(self.call(Access::Read, "instances of", environment, read).await?);
        Ok(Observed { value: self.hook.instances_of(value), as_of })
    }

    async fn database(&self, fleet: &FleetName, number: Number) -> Result<Observed<Option<Database>>> {
        let read = self.inner.database(fleet, number);
        let Observed { value, as_of } =
            self.with_clock(self.call(Access::Read, "database", number, read).await?);
        Ok(Observed { value: self.hook.database(number, value), as_of })
    }

    async fn create_record(&self, fleet: &Fleet, new: &NewRecord) -> Result<RecordId> {
        let create = async {
            match self.hook.fake_record(new) {
                Some(id) => Ok(id),
                None => self.inner.create_record(fleet, new).await,
            }
        };
        let id = self.call(Access::Write, "create record", &new.environment, create).await?;
        self.hook.created(id.as_str());
        Ok(id)
    }

    async fn delete_record(&self, id: &RecordId) -> Result<()> {
        self.call(Access::Delete, "delete record", id, self.inner.delete_record(id)).await
    }

    async fn tag_record(&self, id: &RecordId, changes: &TagChanges) -> Result<()> {
        let change = Change::TagRecord(id, changes);
        let tag = self.inner.tag_record(id, changes);
        self.change(Access::Write, "tag record", describe_tags(id, changes), change, tag).await
    }

    async fn launch_instance(&self, request: &LaunchInstance) -> Result<InstanceId> {
        if let Some(id) = self.hook.fake_instance(&request.record) {
            return Ok(id);
        }
        let target = format!("{} {}", request.record, request.token);
        self.call(Access::Write, LAUNCH, target, self.inner.launch_instance(request)).await
    }

    async fn terminate_instance(&self, id: &InstanceId) -> Result<()> {
        let end = self.inner.terminate_instance(id);
        self.change(Access::Delete, "terminate", id, Change::Terminate(id), end).await
    }

    async fn tag_instance(&self, id: &InstanceId, changes: &TagChanges) -> Result<()> {
        let change = Change::TagInstance(changes);
        let tag = self.inner.tag_instance(id, changes);
        self.change(Access::Write, "tag instance", describe_tags(id, changes), change, tag).await
    }

    async fn create_database(&self, new: &NewDatabase) -> Result<()> {
        let create = self.inner.create_database(new);
        self.change(Access::Write, "create database", new.id(), Change::CreateDatabase(new), create).await
    }

    async fn start_database(&self, id: &DatabaseId) -> Result<()> {
        self.call(Access::Write, "start database", id, self.inner.start_database(id)).await
    }

    async fn tag_database(&self, id: &DatabaseId, changes: &TagChanges) -> Result<()> {
        let tag = self.inner.tag_database(id, changes);
        let change = Change::TagDatabase(id, changes);
        self.change(Access::Write, "tag database", describe_tags(id, changes), change, tag).await
    }

    async fn delete_database(&self, id: &DatabaseId) -> Result<()> {
        let delete = self.inner.delete_database(id);
        self.change(Access::Delete, "delete database", id, Change::DeleteDatabase, delete).await
    }

    async fn tag_fleet(&self, template: &RecordId, changes: &TagChanges) -> Result<()> {
        let tag = self.inner.tag_fleet(template, changes);
        self.call(Access::Write, "tag fleet", describe_tags(template, changes), tag).await
    }

    async fn base_template(&self, template: &RecordId) -> Result<BaseTemplate> {
        self.call(Access::Read, "base template", template, self.inner.base_template(template)).await
    }

    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        self.call(Access::Read, "security groups", "", self.inner.security_groups(ids)).await
    }

    async fn claim_notice(&self, fleet: &FleetName, name: &str) -> Result<()> {
        self.call(Access::Write, "claim notice", name, self.inner.claim_notice(fleet, name)).await
    }

    async fn notice_claims(&self, fleet: &FleetName, notice: &str) -> Result<Observed<Vec<Claim>>> {
        self.call(Access::Read, "notice claims", notice, self.inner.notice_claims(fleet, notice)).await
    }

    async fn send_notice(&self, destination: &Destination, message: &Message) -> Result<()> {
        self.call(Access::Write, "send notice", &message.id, self.inner.send_notice(destination, message))
            .await
    }

    async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()> {
        let append = self.inner.append_audit(fleet, events);
        self.change(Access::Audit, "audit", fleet, Change::Audit, append).await
    }

    async fn audit(&self, fleet: &FleetName, since: DateTime<Utc>, limit: usize) -> Result<Vec<AuditEvent>> {
        self.call(Access::Read, "read audit", fleet, self.inner.audit(fleet, since, limit)).await
    }

    async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>> {
        self.call(Access::Read, "launches", fleet, self.inner.launches(fleet, since)).await
    }

    async fn logs(&self, query: &LogQuery) -> Result<StoredLines> {
        self.inner.logs(query).await
    }

    fn follow(&self, query: LogQuery, older_bytes: usize) -> BoxStream<'_, Result<LogItem>> {
        self.inner.follow(query, older_bytes)
    }
}
