//! The adapter to AWS: EC2, RDS, CloudWatch Logs, Image Builder, ECR, Systems Manager, SNS, Secrets Manager, STS and Service Quotas.
//!
//! Regions and endpoints come from the SDK's default chain; credentials, profiles and sessions from `credentials`, as in the AWS CLI.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use self::call::Limits;
use self::checked_bases::CheckedBases;
use self::credentials::{CredentialsCache, Profiles, Selected, Tell, login_of};
use self::date::ReadDate;
use self::digest::DueDigests;
use self::settings::Settings;
use self::truncation::RejectTruncated;
use super::{
    AskCode, BaseTemplate, Cloud, LaunchInstance, LogItem, LogQuery, Login, Observed, Pages, Result,
    SecurityGroup, SessionManager, StoredLines, Template, variable,
};
use crate::domain::notice::Claim;
use crate::domain::text::Untrusted;
use crate::domain::{
    AuditEvent, CloudError, Database, DatabaseId, Destination, EnvironmentId, ErrorClass, Fleet, FleetName,
    Image, ImageTags, Instance, InstanceId, Launch, Message, NewDatabase, NewRecord, Number, Pipeline,
    PipelineKind, Record, RecordId, Registry, Snapshot, Subnet, SubnetId, TagChanges,
};

mod account;
mod audit_log;
mod base_template;
mod call;
mod checked_bases;
mod classification;
mod credentials;
mod database_options;
mod databases;
mod date;
mod digest;
mod foreign;
mod holdings;
mod instances;
mod launch_template_copy;
mod launch_templates;
mod log_tail;
mod logs;
mod moto;
mod network;
mod notices;
mod older_lines;
mod permissions;
mod pipelines;
mod proofs;
mod quotas;
mod registry;
mod sessions;
mod settings;
mod skew;
mod tls;
mod truncation;

/// The timeout of one attempt, of a call with its retries, and of a connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Overrides of the SDK's default chain, and how the user is reached.
#[derive(Clone, Default)]
pub(crate) struct ConnectOptions {
    pub region: Option<String>,
    pub profile: Option<String>,
    /// The endpoint of every service, such as an emulator.
    pub endpoint_url: Option<String>,
    /// Asks for a code of an MFA device; `None` if there is no terminal to ask in.
    pub ask_code: Option<AskCode>,
    /// Tells what is waited for.
    pub tell: Option<Tell>,
}

/// Returns how the user logs in to the profile, if its credentials come from a session of the AWS CLI. No request is sent to AWS.
pub(crate) async fn login(profile: Option<&str>) -> Option<Login> {
    login_of(Selected::new(profile, variable)).await
}

/// AWS in one Region, for one caller. Clones share connections and rate limits.
#[derive(Clone)]
pub struct AwsCloud {
    region: String,
    /// The profile that the user named; empty if none.
    profile: String,
    /// Whether the endpoint is not AWS; see [`moto`].
    is_emulator: bool,
    ec2: aws_sdk_ec2::Client,
    rds: aws_sdk_rds::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    sts: aws_sdk_sts::Client,
    quotas: aws_sdk_servicequotas::Client,
    image_builder: aws_sdk_imagebuilder::Client,
    ecr: aws_sdk_ecr::Client,
    ssm: aws_sdk_ssm::Client,
    sns: aws_sdk_sns::Client,
    secrets: aws_sdk_secretsmanager::Client,
    /// The connector of webhooks; `None` for the default one.
    webhooks: Option<SharedHttpConnector>,
    limits: Arc<Limits>,
    /// The ARNs of databases from listings, because RDS needs them to change tags.
    arns: Arc<Mutex<BTreeMap<DatabaseId, String>>>,
    due_digests: Arc<DueDigests>,
    checked_bases: Arc<CheckedBases>,
}

impl AwsCloud {
    /// Resolves the configuration. No request is sent to AWS.
    ///
    /// # Errors
    /// Returns class `Invalid` if no Region is set or if a setting of the environment or the profile is not valid, and class `Auth` if the
    /// profile does not exist or the files cannot be read.
    pub(crate) async fn connect(options: &ConnectOptions) -> Result<Self> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let selected = Selected::new(options.profile.as_deref(), variable);
        let (files, name, sections) = Profiles::read(selected.clone()).await?.into_sdk();
        let settings = Settings::new(sections);
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .http_client(settings.http_client()?)
            .profile_files(files)
            .profile_name(name)
            // Replaced below.
            .no_credentials();
        let webhooks = Some(settings.webhook_connector()?);
        let loader = match &options.region {
            Some(region) => loader.region(Region::new(region.clone())),
            None => settings.with_region(loader)?,
        };
        let mut config = settings.with_endpoints(loader.load().await)?;
        // As in the AWS CLI, the option does not apply to the services that issue the credentials.
        let (ask, tell) = (options.ask_code.clone(), options.tell.clone());
        let credentials = CredentialsCache::of_user(selected, config.clone(), ask, tell);
        if let Some(url) = options.endpoint_url.as_deref().filter(|url| !url.is_empty()) {
            settings::check_endpoint("--endpoint-url", url)?;
            let mut builder = config.into_builder().endpoint_url(url);
            builder.set_service_config(None::<settings::Endpoints>);
            config = builder.build();
        }
        let cloud = Self::with_credentials(&config, Some(Arc::new(credentials)))?;
        Ok(Self { profile: options.profile.clone().unwrap_or_default(), webhooks, ..cloud })
    }

    /// Resolves the credentials now if the user has to be asked for a code, before anything else is on the screen. Returns whether it was so.
    pub(crate) async fn ask_for_code(&self) -> Result<bool> {
        let Some(credentials) = self.limits.credentials() else { return Ok(false) };
        if !credentials.needs_code().await {
            return Ok(false);
        }
        credentials.get("AssumeRole").await.map(|_| true)
    }

    /// Creates clients with a resolved configuration.
    ///
    /// # Errors
    /// Returns class `Invalid` if no Region is set.
    pub fn with_config(config: &SdkConfig) -> Result<Self> {
        let credentials = config.credentials_provider().map(CredentialsCache::new).map(Arc::new);
        Self::with_credentials(config, credentials)
    }

    fn with_credentials(config: &SdkConfig, credentials: Option<Arc<CredentialsCache>>) -> Result<Self> {
        let region = config.region().map(ToString::to_string).filter(|region| !region.is_empty());
        let region = region.ok_or_else(|| {
            let message = "no Region is set; use --region, AWS_REGION or the profile";
            CloudError::new(ErrorClass::Invalid, "Connect", "NoRegion", message)
        })?;
        let config = &match &credentials {
            // Without a cache of the SDK's own, which would keep credentials that AWS refuses.
            Some(shared) => config
                .to_builder()
                .credentials_provider(shared_provider(shared))
                .identity_cache(IdentityCache::no_cache())
                .build(),
            None => config.clone(),
        };
        Ok(Self {
            region,
            profile: String::new(),
            is_emulator: config.endpoint_url().is_some_and(is_emulator),
            ec2: aws_sdk_ec2::Client::from_conf(
                aws_sdk_ec2::config::Builder::from(config)
                    .interceptor(ReadDate)
                    .interceptor(RejectTruncated)
                    .retry_classifier(RejectTruncated)
                    .build(),
            ),
            rds: aws_sdk_rds::Client::from_conf(
                aws_sdk_rds::config::Builder::from(config)
                    .interceptor(ReadDate)
                    .interceptor(RejectTruncated)
                    .retry_classifier(RejectTruncated)
                    .build(),
            ),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(
                aws_sdk_cloudwatchlogs::config::Builder::from(config)
                    .interceptor(ReadDate)
                    .retry_classifier(RejectTruncated)
                    .build(),
            ),
            sts: aws_sdk_sts::Client::from_conf(
                aws_sdk_sts::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            quotas: aws_sdk_servicequotas::Client::from_conf(
                aws_sdk_servicequotas::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            image_builder: aws_sdk_imagebuilder::Client::from_conf(
                aws_sdk_imagebuilder::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            ecr: aws_sdk_ecr::Client::from_conf(
                aws_sdk_ecr::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            ssm: aws_sdk_ssm::Client::from_conf(
                aws_sdk_ssm::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            sns: aws_sdk_sns::Client::from_conf(
                aws_sdk_sns::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            secrets: aws_sdk_secretsmanager::Client::from_conf(
                aws_sdk_secretsmanager::config::Builder::from(config).interceptor(ReadDate).build(),
            ),
            webhooks: None,
            limits: Arc::new(Limits::new(credentials)),
            arns: Arc::default(),
            due_digests: Arc::default(),
            checked_bases: Arc::default(),
        })
    }
}

fn shared_provider(cache: &Arc<CredentialsCache>) -> SharedCredentialsProvider {
    let cache: Arc<dyn ProvideCredentials> = Arc::clone(cache) as _;
    SharedCredentialsProvider::new(cache)
}

/// Whether an endpoint is an emulator. AWS is reached by HTTPS only, under many names: those of its services, of VPC endpoints, and private
/// ones.
fn is_emulator(endpoint: &str) -> bool {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let host = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host_and_port.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_local = ["localhost", "host.docker.internal"].contains(&host.as_str())
        || [".localhost", ".localhost.localstack.cloud"].iter().any(|suffix| host.ends_with(suffix));
    !scheme.eq_ignore_ascii_case("https") || is_loopback || is_local
}

/// Converts a time of the SDK.
fn from_sdk_time(at: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.secs(), at.subsec_nanos())
}

// The operations are implemented by inherent methods of the same names in the modules, which method calls prefer to the trait's.
#[async_trait]
impl Cloud for AwsCloud {
    fn region(&self) -> &str {
        &self.region
    }

    fn time(&self) -> Option<DateTime<Utc>> {
        self.limits.now()
    }

    async fn credentials_changed(&self) {
        match self.limits.credentials() {
            Some(credentials) => credentials.changed().await,
            None => std::future::pending().await,
        }
    }

    async fn fleet(&self, name: &FleetName) -> Result<Option<Fleet>> {
        self.fleet(name).await
    }

    fn templates<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Template> {
        self.templates(fleet)
    }

    fn instances<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Instance> {
        self.instances(fleet)
    }

    fn databases<'a>(&'a self, fleet: &'a FleetName) -> Pages<'a, Database> {
        self.databases(fleet)
    }

    async fn latest_snapshot(&self, source: &str) -> Result<Option<Snapshot>> {
        self.latest_snapshot(source).await
    }

    async fn latest_image(&self, tag: &str) -> Result<Option<Image>> {
        self.latest_image(tag).await
    }

    async fn pipelines(&self, fleet: &FleetName) -> Result<Vec<Pipeline>> {
        self.pipelines(fleet).await
    }

    async fn start_pipeline(&self, fleet: &FleetName, kind: PipelineKind) -> Result<Untrusted> {
        self.start_pipeline(fleet, kind).await
    }

    async fn repositories(&self, registry: &Registry) -> Result<Vec<Untrusted>> {
        self.repositories(registry).await
    }

    async fn image_tags(&self, registry: &Registry, service: &str) -> Result<ImageTags> {
        self.image_tags(registry, service).await
    }

    async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>> {
        self.subnets(ids).await
    }

    async fn record(&self, fleet: &FleetName, id: &RecordId) -> Result<Observed<Option<Record>>> {
        self.record(fleet, id).await
    }

    async fn find_record(&self, environment: &EnvironmentId) -> Result<Observed<Option<Record>>> {
        self.find_record(environment).await
    }

    async fn instance(&self, fleet: &FleetName, id: &InstanceId) -> Result<Observed<Option<Instance>>> {
        self.instance(fleet, id).await
    }

    async fn instance_of(&self, record: &Record) -> Result<Observed<Option<Instance>>> {
        self.instance_of(record).await
    }

    async fn instances_of(&self, environment: &EnvironmentId) -> Result<Observed<Vec<Instance>>> {
        self.instances_of(environment).await
    }

    async fn database(&self, fleet: &FleetName, number: Number) -> Result<Observed<Option<Database>>> {
        self.database(fleet, number).await
    }

    async fn create_record(&self, fleet: &Fleet, new: &NewRecord) -> Result<RecordId> {
        self.create_record(fleet, new).await
    }

    async fn delete_record(&self, id: &RecordId) -> Result<()> {
        self.delete_record(id).await
    }

    async fn tag_record(&self, id: &RecordId, changes: &TagChanges) -> Result<()> {
        self.tag_ec2(id.as_str(), changes).await
    }

    async fn launch_instance(&self, request: &LaunchInstance) -> Result<InstanceId> {
        self.launch_instance(request).await
    }

    async fn terminate_instance(&self, id: &InstanceId) -> Result<()> {
        self.terminate_instance(id).await
    }

    async fn tag_instance(&self, id: &InstanceId, changes: &TagChanges) -> Result<()> {
        self.tag_ec2(id.as_str(), changes).await
    }

    async fn create_database(&self, new: &NewDatabase) -> Result<()> {
        self.create_database(new).await
    }

    async fn start_database(&self, id: &DatabaseId) -> Result<()> {
        self.start_database(id).await
    }

    async fn tag_database(&self, id: &DatabaseId, changes: &TagChanges) -> Result<()> {
        self.tag_database(id, changes).await
    }

    async fn delete_database(&self, id: &DatabaseId) -> Result<()> {
        self.delete_database(id).await
    }

    async fn tag_fleet(&self, template: &RecordId, changes: &TagChanges) -> Result<()> {
        self.tag_ec2(template.as_str(), changes).await
    }

    async fn base_template(&self, template: &RecordId) -> Result<BaseTemplate> {
        self.base_template(template).await
    }

    async fn security_groups(&self, ids: &[String]) -> Result<Vec<SecurityGroup>> {
        self.security_groups(ids).await
    }

    async fn claim_notice(&self, fleet: &FleetName, name: &str) -> Result<()> {
        self.claim_notice(fleet, name).await
    }

    async fn notice_claims(&self, fleet: &FleetName, notice: &str) -> Result<Observed<Vec<Claim>>> {
        self.notice_claims(fleet, notice).await
    }

    async fn send_notice(&self, destination: &Destination, message: &Message) -> Result<()> {
        self.send_notice(destination, message).await
    }

    async fn append_audit(&self, fleet: &FleetName, events: &[AuditEvent]) -> Result<()> {
        self.append_audit(fleet, events).await
    }

    async fn audit(&self, fleet: &FleetName, since: DateTime<Utc>, limit: usize) -> Result<Vec<AuditEvent>> {
        self.audit(fleet, since, limit).await
    }

    async fn launches(&self, fleet: &FleetName, since: DateTime<Utc>) -> Result<Vec<Launch>> {
        self.launches(fleet, since).await
    }

    async fn logs(&self, query: &LogQuery) -> Result<StoredLines> {
        self.logs(query).await
    }

    fn session_manager(&self) -> Option<&dyn SessionManager> {
        Some(self)
    }

    fn follow(&self, query: LogQuery, older_bytes: usize) -> BoxStream<'_, Result<LogItem>> {
        self.follow(query, older_bytes)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::is_emulator;

    #[rstest]
    #[case("http://127.0.0.1:5000", true)]
    #[case("https://localhost:4566/", true)]
    #[case("http://logs@127.0.0.1:5000", true)]
    #[case("http://moto:5000", true)]
    #[case("https://[::1]:4566", true)]
    #[case("https://host.docker.internal:4566", true)]
    #[case("https://ec2.localhost.localstack.cloud:4566", true)]
    #[case("https://ec2.eu-west-1.amazonaws.com", false)]
    #[case("https://ec2.eu-west-1.api.aws", false)]
    #[case("https://ec2.cn-north-1.amazonaws.com.cn", false)]
    #[case("https://vpce-0123.ec2.eu-west-1.vpce.amazonaws.com", false)]
    #[case("https://aws.internal.example", false)]
    fn emulators_are_known_by_their_address(#[case] endpoint: &str, #[case] expected: bool) {
        assert_eq!(is_emulator(endpoint), expected);
    }
}
