//! The contract of the cloud port, run through the AWS adapter against moto.

use crate::support::contract::{self, Fixtures, TagReader};
use crate::support::moto::{Moto, REGION};
use aws_config::{BehaviorVersion, Region};
use aws_sdk_ec2::types::Filter;
use futures::FutureExt as _;
use hatchery::cloud::Account as _;
use hatchery::cloud::aws::AwsCloud;
use hatchery::domain::{ErrorClass, Tags};

async fn connect(endpoint_url: &str) -> AwsCloud {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint_url)
        .credentials_provider(crate::support::moto::credentials())
        .load()
        .await;
    AwsCloud::with_config(&config).unwrap()
}

/// Reads tags from moto: of a DB instance, or of a resource of EC2. A launch template's launch data has those of the instance and its volumes,
/// which moto does not give to volumes.
async fn tag_reader(moto: &Moto) -> TagReader {
    let (ec2, rds) = (moto.ec2().await, moto.rds().await);
    Box::new(move |id| {
        let (ec2, rds) = (ec2.clone(), rds.clone());
        async move {
            if id.starts_with("hatchery-") {
                let found = rds.describe_db_instances().db_instance_identifier(id).send().await.unwrap();
                let tags = found.db_instances()[0].tag_list().iter();
                return vec![tags.map(|tag| pair(tag.key(), tag.value())).collect()];
            }
            let filter = Filter::builder().name("resource-id").values(&id).build();
            let found = ec2.describe_tags().filters(filter).send().await.unwrap();
            let mut all: Vec<Tags> =
                vec![found.tags().iter().map(|tag| pair(tag.key(), tag.value())).collect()];
            if id.starts_with("lt-") {
                let request =
                    ec2.describe_launch_template_versions().launch_template_id(id).versions("$Default");
                let versions = request.send().await.unwrap();
                let data = versions.launch_template_versions()[0].launch_template_data().unwrap();
                let specifications = data.tag_specifications().iter();
                all.extend(specifications.map(|found| {
                    found.tags().iter().map(|tag| pair(tag.key(), tag.value())).collect::<Tags>()
                }));
            }
            all
        }
        .boxed()
    })
}

fn pair(key: Option<&str>, value: Option<&str>) -> (String, String) {
    (key.unwrap().to_owned(), value.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn aws_adapter_fulfils_the_contract() {
    let moto = Moto::start();
    let seed = moto.seed("dev").await;
    let fixtures = Fixtures {
        subnets: seed.subnets,
        security_group: seed.security_group,
        source_database: seed.source_database,
        subnet_group: seed.subnet_group,
        now: chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()),
        tags_of: tag_reader(&moto).await,
    };
    let cloud = connect(&moto.url()).await;
    contract::check(&cloud, &fixtures).await;
}

#[tokio::test]
async fn closed_port_is_an_unreachable_endpoint() {
    let cloud = connect("http://127.0.0.1:9").await;
    let error = cloud.identity().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Transient, "Unreachable"));
}
