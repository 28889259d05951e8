//! A stub of Image Builder in front of moto, which has none.
//! <https://docs.aws.amazon.com/imagebuilder/latest/APIReference/Welcome.html>

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::http::{Request, response, serve};

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

/// Starts the stub in front of `upstream` (`host:port`), for a fleet `dev` with a service pipeline.
pub(crate) fn start(upstream: String) -> SocketAddr {
    let listings = AtomicUsize::new(0);
    serve(move |request, mut client| {
        let whole = match answer(request, &listings) {
            Some(body) => response("200 OK", &[("Content-Type", "application/json")], &body.to_string()),
            None => request.forward(&upstream)?,
        };
        client.write_all(&whole)
    })
}
