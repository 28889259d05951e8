//! Image pipelines over the wire. moto has no Image Builder, so a stub answers for it.
//! <https://docs.aws.amazon.com/imagebuilder/latest/APIReference/Welcome.html>

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::account::init;
use crate::support::binary::{Run, command_through};
use crate::support::http::{Request, response, serve};
use crate::support::moto::Moto;

const PREFIX: &str = "arn:aws:imagebuilder:eu-west-1:123456789012";

fn image(version: &str, status: &str, created: &str) -> Value {
    let reason = (status == "FAILED").then_some("\u{1b}[31mno space left on device");
    json!({
        "arn": format!("{PREFIX}:image/hatchery-dev-service/{version}"),
        "state": { "status": status, "reason": reason },
        "dateCreated": created,
        "outputResources": { "amis": [{ "region": "eu-west-1", "image": "ami-0123456789abcdef0" }] },
    })
}

/// Answers for Image Builder. The latest run is available once its pipeline was listed twice.
fn answer(request: &Request, listings: &AtomicUsize) -> Option<Value> {
    let body = request.json();
    match request.route() {
        "POST /ListImagePipelines" => {
            let names = json!(["hatchery-dev-base", "hatchery-dev-service"]);
            assert_eq!(body["filters"], json!([{ "name": "name", "values": names }]));
            let schedule = json!({ "scheduleExpression": "cron(0 4 * * ? *)" });
            let arn = format!("{PREFIX}:image-pipeline/hatchery-dev-service");
            Some(json!({ "imagePipelineList": [
                { "arn": arn, "name": "hatchery-dev-service", "status": "ENABLED", "schedule": schedule },
            ] }))
        }
        // The oldest image first, on two pages.
        "POST /ListImagePipelineImages" if body["nextToken"].is_null() => Some(json!({
            "imageSummaryList": [
                image("1.0.3/1", "FAILED", "2026-03-08T04:00:00.000Z"),
                image("1.0.3/2", "AVAILABLE", "2026-03-09T04:00:00.000Z"),
            ],
            "nextToken": "more",
        })),
        "POST /ListImagePipelineImages" => {
            let state = if listings.fetch_add(1, Ordering::SeqCst) == 0 { "TESTING" } else { "AVAILABLE" };
            Some(json!({ "imageSummaryList": [image("1.0.3/3", state, "2026-03-10T04:00:00.000Z")] }))
        }
        "PUT /StartImagePipelineExecution" => {
            assert_eq!(body["imagePipelineArn"], format!("{PREFIX}:image-pipeline/hatchery-dev-service"));
            let arn = format!("{PREFIX}:image/hatchery-dev-service/1.0.3/3");
            Some(json!({ "imageBuildVersionArn": arn }))
        }
        _ => None,
    }
}

/// Runs the binary on an account with a fleet and its service pipeline.
async fn run(arguments: &[&str]) -> Run {
    let moto = Moto::start();
    init(&moto, "dev", &[]).await;
    let upstream = moto.address();
    let listings = AtomicUsize::new(0);
    let address = serve(move |request, mut client| {
        let whole = match answer(request, &listings) {
            Some(body) => response("200 OK", &[("Content-Type", "application/json")], &body.to_string()),
            None => request.forward(&upstream)?,
        };
        client.write_all(&whole)
    });
    command_through(&moto, &format!("http://{address}")).args(arguments).output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_newest_first() {
    let document = run(&["images", "--json"]).await.ok().json();
    let runs = document["pipelines"][0]["runs"].as_array().unwrap();
    let versions: Vec<_> = runs.iter().map(|run| run["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["1.0.3/3", "1.0.3/2", "1.0.3/1"]);
    assert_eq!(runs[1]["state"], "available");
    assert_eq!(runs[1]["image"], "ami-0123456789abcdef0");
    // Without the control sequence.
    assert_eq!(runs[2]["reason"], "no space left on device");
}

#[tokio::test(flavor = "multi_thread")]
async fn bake_follows_its_run() {
    let run = run(&["images", "bake", "service"]).await.ok();
    assert_eq!(run.out, "The service image 1.0.3/3 is available as ami-0123456789abcdef0.\n");
    assert!(run.err.contains("1.0.3/3: testing"), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_pipeline_is_not_found() {
    run(&["images", "bake", "base"]).await.fails(3, &["no pipeline of base images", "hatchery stack"]);
}
