//! What tests need of an emulator of AWS: how to reach it, and an account with what a fleet needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use aws_config::{BehaviorVersion, Region};
use serde_json::Value;

use super::forked_server::ForkedServer;
use super::python::VirtualEnvironment;

pub(crate) const REGION: &str = "eu-west-1";

/// Ids of the resources that a fleet needs before it exists.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    pub(crate) subnets: Vec<String>,
    pub(crate) security_group: String,
    pub(crate) image: String,
    pub(crate) source_database: String,
    pub(crate) snapshot: String,
    pub(crate) subnet_group: String,
}

/// A running emulator; dropping it ends the process.
pub(crate) struct Emulator {
    python: &'static VirtualEnvironment,
    server: ForkedServer,
    home: tempfile::TempDir,
    seeds: Mutex<BTreeMap<String, Seed>>,
}

impl Emulator {
    /// Starts a server with an empty account: a Python module of this folder, with its options.
    pub(crate) fn start(python: &'static VirtualEnvironment, module: &'static str, options: &Value) -> Self {
        let server = ForkedServer::start(&python.program("python"), module, options);
        Self { python, server, home: tempfile::tempdir().unwrap(), seeds: Mutex::default() }
    }

    /// The emulator's name.
    pub(crate) fn name(&self) -> &str {
        self.python.name
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port)
    }

    /// The binary's environment variables.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.env_through(&self.url())
    }

    /// The same, with another URL for the server.
    pub(crate) fn env_through(&self, url: &str) -> Vec<(String, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let home = self.home.path().to_string_lossy().into_owned();
        [
            ("AWS_ENDPOINT_URL", url),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("HOME", &home),
            ("PATH", &path),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// The program of this name in the environment that the emulator is installed in.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.python.program(name)
    }

    async fn config(&self) -> aws_config::SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.url())
            .credentials_provider(credentials())
            .load()
            .await
    }

    pub(crate) async fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config().await)
    }

    pub(crate) async fn rds(&self) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&self.config().await)
    }

    pub(crate) async fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.config().await)
    }

    pub(crate) async fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&self.config().await)
    }

    pub(crate) async fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config().await)
    }

    /// Creates a repository with an image for each of these tags.
    pub(crate) async fn push_images(&self, repository: &str, tags: &[&str]) {
        let ecr = aws_sdk_ecr::Client::new(&self.config().await);
        ecr.create_repository().repository_name(repository).send().await.unwrap();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        for tag in tags {
            let manifest = serde_json::json!({
                "schemaVersion": 2, "mediaType": kind, "config": { "digest": format!("sha256:{tag}") }, "layers": [],
            });
            let request = ecr.put_image().repository_name(repository).image_tag(*tag);
            request
                .image_manifest(manifest.to_string())
                .image_manifest_media_type(kind)
                .send()
                .await
                .unwrap();
        }
    }

    /// The resources that [`Emulator::seed`] created for a fleet.
    pub(crate) fn seed_of(&self, fleet: &str) -> Seed {
        self.seeds.lock().unwrap()[fleet].clone()
    }

    /// Creates a network, an image, and a source database with a snapshot.
    pub(crate) async fn seed(&self, fleet: &str) -> Seed {
        let ec2 = self.ec2().await;
        let vpc = ec2.create_vpc().cidr_block("10.20.0.0/16").send().await.unwrap();
        let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
        let mut subnets = Vec::new();
        for (index, zone) in ["eu-west-1a", "eu-west-1b"].iter().enumerate() {
            let range = format!("10.20.{index}.0/24");
            let made = ec2
                .create_subnet()
                .vpc_id(&vpc)
                .cidr_block(range)
                .availability_zone(*zone)
                .send()
                .await
                .unwrap();
            subnets.push(made.subnet().unwrap().subnet_id().unwrap().to_owned());
        }
        let group = ec2
            .create_security_group()
            .group_name(format!("{fleet}-environments"))
            .description("environments")
            .vpc_id(&vpc)
            .send()
            .await
            .unwrap();
        let security_group = group.group_id().unwrap().to_owned();
        self.allow_ingress(&security_group, "10.0.0.0/8").await;
        let image = self.register_image(fleet).await;
        let source_database = format!("{fleet}-integration");
        let subnet_group = format!("{fleet}-private");
        let snapshot = self.create_source_database(&source_database, &subnet_group, &subnets).await;
        let seed = Seed { subnets, security_group, image, source_database, snapshot, subnet_group };
        self.seeds.lock().unwrap().insert(fleet.to_owned(), seed.clone());
        seed
    }

    /// Opens port 443 of a security group to an address range.
    pub(crate) async fn allow_ingress(&self, group: &str, range: &str) {
        let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip(range).build();
        let permission = aws_sdk_ec2::types::IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(443)
            .to_port(443)
            .ip_ranges(range);
        let ec2 = self.ec2().await;
        let allowed = ec2
            .authorize_security_group_ingress()
            .group_id(group)
            .ip_permissions(permission.build())
            .send()
            .await;
        allowed.unwrap();
    }

    async fn register_image(&self, fleet: &str) -> String {
        let ec2 = self.ec2().await;
        let image = ec2
            .register_image()
            .name(format!("{fleet}-service"))
            .root_device_name("/dev/xvda")
            .architecture("x86_64".into())
            .send()
            .await
            .unwrap();
        let image = image.image_id().unwrap().to_owned();
        let tag = aws_sdk_ec2::types::Tag::builder().key("hatchery:image").value(fleet).build();
        ec2.create_tags().resources(&image).tags(tag).send().await.unwrap();
        image
    }

    /// Returns the id of the snapshot.
    pub(crate) async fn create_source_database(
        &self,
        id: &str,
        subnet_group: &str,
        subnets: &[String],
    ) -> String {
        let rds = self.rds().await;
        rds.create_db_subnet_group()
            .db_subnet_group_name(subnet_group)
            .db_subnet_group_description("private")
            .set_subnet_ids(Some(subnets.to_vec()))
            .send()
            .await
            .unwrap();
        rds.create_db_instance()
            .db_instance_identifier(id)
            .db_instance_class("db.t4g.small")
            .engine("postgres")
            .engine_version("17.6")
            .master_username("root")
            .master_user_password("not-a-secret")
            .allocated_storage(20)
            .db_subnet_group_name(subnet_group)
            .send()
            .await
            .unwrap();
        let snapshot = format!("{id}-snapshot");
        rds.create_db_snapshot()
            .db_instance_identifier(id)
            .db_snapshot_identifier(&snapshot)
            .send()
            .await
            .unwrap();
        snapshot
    }
}

/// Emulators accept any credentials.
pub(crate) fn credentials() -> aws_sdk_ec2::config::Credentials {
    aws_sdk_ec2::config::Credentials::new("testing", "testing", None, None, "tests")
}
