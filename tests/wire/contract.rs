//! The contract of the cloud port, run through the AWS adapter against the emulators.

use crate::support::contract::{self, Fixtures, TagReader};
use crate::support::emulator::{Emulator, REGION};
use crate::support::emulators::EmulatorKind;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_ec2::types::Filter;
use futures::FutureExt as _;
use hatchery::cloud::Account as _;
use hatchery::cloud::aws::AwsCloud;
use hatchery::domain::{ErrorClass, Tags};
use rstest::rstest;

async fn connect(endpoint_url: &str) -> AwsCloud {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint_url)
        .credentials_provider(crate::support::emulator::credentials())
        .load()
        .await;
    AwsCloud::with_config(&config).unwrap()
}

/// Reads tags from the emulator: of a DB instance, or of a resource of EC2. A launch template's launch data has those of the instance and its volumes,
/// which the emulators do not give to volumes.
async fn tag_reader(emulator: &Emulator) -> TagReader {
    let (ec2, rds) = (emulator.ec2().await, emulator.rds().await);
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

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn aws_adapter_fulfils_the_contract(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    let seed = emulator.seed("dev").await;
    emulator.push_images("services/payments", &["f-1", "f-2"]).await;
    let fixtures = Fixtures {
        subnets: seed.subnets,
        security_group: seed.security_group,
        source_database: seed.source_database,
        subnet_group: seed.subnet_group,
        now: chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()),
        tags_of: tag_reader(&emulator).await,
    };
    let cloud = connect(&emulator.url()).await;
    contract::check(&cloud, &fixtures).await;
}

#[tokio::test]
async fn closed_port_is_an_unreachable_endpoint() {
    let cloud = connect("http://127.0.0.1:9").await;
    let error = cloud.identity().await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Transient, "Unreachable"));
}
