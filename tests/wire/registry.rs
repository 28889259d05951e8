//! The registry of the services' images: what is asked of ECR, and what `hatchery services` prints.
//!
//! moto and ministack have repositories and images, but neither pages of them nor Regions and accounts that differ, so a stub of ECR has
//! those.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region};
use hatchery::cloud::Cloud as _;
use hatchery::cloud::aws::AwsCloud;
use hatchery::domain::text::Untrusted;
use hatchery::domain::{ErrorClass, ImageTags, Registry};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::account::init;
use crate::support::binary::hatchery;
use crate::support::emulator::credentials;
use crate::support::emulators::EmulatorKind;
use crate::support::http::{Request, response, serve};

/// Answers requests with the value of a function; the body of each is kept with its operation and Region.
async fn ecr(answer: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> (AwsCloud, Requests) {
    let requests = Requests::default();
    let kept = Arc::clone(&requests);
    let address = serve(move |request: &Request, mut client| {
        let (_, operation) = request.header("x-amz-target").rsplit_once('.').unwrap_or_default();
        let scope = request.header("authorization");
        let region = scope.split('/').nth(2).unwrap_or_default().to_owned();
        kept.lock().unwrap().push((operation.to_owned(), region, request.json()));
        let headers = [("Content-Type", "application/x-amz-json-1.1")];
        let answer = answer(operation, &request.json());
        let status = if answer.get("__type").is_some() { "400 Bad Request" } else { "200 OK" };
        client.write_all(&response(status, &headers, &answer.to_string()))
    });
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(format!("http://{address}"))
        .credentials_provider(credentials())
        .load()
        .await;
    (AwsCloud::with_config(&config).unwrap(), requests)
}

type Requests = Arc<Mutex<Vec<(String, String, Value)>>>;

fn registry() -> Registry {
    "210987654321.dkr.ecr.us-east-1.amazonaws.com/acme".parse().unwrap()
}

fn names(found: &ImageTags) -> Vec<&str> {
    found.tags.iter().map(|tag| tag.name.raw()).collect()
}

/// A page whose token is the number of the next one; the images are older from page to page, except for the last.
fn images(request: &Value, last: u32) -> Value {
    let page: u32 = request["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let pushed_at = if page == last { 2_000_000.0 } else { 1_000_000.5 - f64::from(page) };
    let mut answer = json!({ "imageDetails": [
        { "imageTags": [format!("f-{page}"), format!("pr-{page}")], "imagePushedAt": pushed_at },
        { "imageDigest": "sha256:0", "imagePushedAt": 3_000_000 },
        { "imageTags": ["without-a-time"] },
    ]});
    if page < last {
        answer["nextToken"] = json!((page + 1).to_string());
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_tags_of_all_pages_come_first() {
    let (cloud, requests) = ecr(|_, request| images(request, 2)).await;
    let found = cloud.image_tags(&registry(), "orders").await.unwrap();
    assert_eq!(names(&found), ["f-2", "pr-2", "f-0", "pr-0", "f-1", "pr-1"]);
    assert!(!found.is_partial);
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    for (operation, region, body) in &requests {
        assert_eq!((operation.as_str(), region.as_str()), ("DescribeImages", "us-east-1"));
        assert_eq!(
            (&body["registryId"], &body["repositoryName"]),
            (&json!("210987654321"), &json!("acme/orders"))
        );
        assert_eq!(body["filter"], json!({ "tagStatus": "TAGGED" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_large_repository_are_limited() {
    let (cloud, requests) = ecr(|_, request| images(request, 1_000)).await;
    let found = cloud.image_tags(&registry(), "orders").await.unwrap();
    assert!(found.is_partial);
    assert_eq!(requests.lock().unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_of_all_pages_are_listed() {
    let (cloud, requests) = ecr(|_, request| match request["nextToken"].as_str() {
        None => json!({ "repositories": [{ "repositoryName": "acme/orders" }, {}], "nextToken": "next" }),
        Some(_) => {
            json!({ "repositories": [{ "repositoryName": "other" }, { "repositoryName": "acme/kyc" }] })
        }
    })
    .await;
    let found = cloud.repositories(&registry()).await.unwrap();
    assert_eq!(found.iter().map(Untrusted::raw).collect::<Vec<_>>(), ["acme/orders", "other", "acme/kyc"]);
    assert_eq!(registry().services(&found), ["kyc", "orders"]);
    let requests = requests.lock().unwrap().clone();
    assert!(
        requests
            .iter()
            .all(|(_, region, body)| region == "us-east-1" && body["registryId"] == "210987654321")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_names_the_operation() {
    let (cloud, _) = ecr(|operation, _| {
        let message = format!("User: amy is not authorized to perform: ecr:{operation}");
        json!({ "__type": "AccessDeniedException", "message": message })
    })
    .await;
    let error = cloud.image_tags(&registry(), "orders").await.unwrap_err();
    assert_eq!((error.class, error.operation), (ErrorClass::Auth, "DescribeImages"));
    assert_eq!(error.code, "AccessDeniedException");
    let error = cloud.repositories(&registry()).await.unwrap_err();
    assert_eq!((error.class, error.operation), (ErrorClass::Auth, "DescribeRepositories"));
}

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test(flavor = "multi_thread")]
async fn services_prints_what_was_pushed(#[case] kind: EmulatorKind) {
    let emulator = kind.start();
    let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/services";
    init(&emulator, "dev", &["--registry", registry]).await;
    emulator.push_images("services/payments", &["f-1", "f-2"]).await;
    emulator.push_images("other", &["f-3"]).await;
    assert_eq!(hatchery(&emulator, &["services"]).ok().out, "SERVICE\npayments\n");
    let tags = hatchery(&emulator, &["services", "--tags", "payments", "--json"]).ok().json();
    let mut tags: Vec<_> = tags["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].clone()).collect();
    // Both were pushed within a second, which is as fine as the emulators' times are.
    tags.sort_by_key(ToString::to_string);
    assert_eq!(tags, ["f-1", "f-2"]);
    let missing = hatchery(&emulator, &["services", "--tags", "kyc"]);
    assert!(missing.err.contains("cannot list the image tags of kyc"), "{missing:?}");
}
