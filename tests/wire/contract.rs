//! The contract of the cloud port, run through the AWS adapter against moto.

use crate::support::contract::{self, Fixtures};
use crate::support::moto::{Moto, REGION};
use aws_config::{BehaviorVersion, Region};
use hatchery::cloud::Account as _;
use hatchery::cloud::aws::AwsCloud;
use hatchery::domain::ErrorClass;

async fn connect(endpoint_url: &str) -> AwsCloud {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint_url)
        .credentials_provider(crate::support::moto::credentials())
        .load()
        .await;
    AwsCloud::with_config(&config).unwrap()
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
