//! A stub of Image Builder in front of an emulator, which lacks it.
//! <https://docs.aws.amazon.com/imagebuilder/latest/APIReference/Welcome.html>

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::account::rfc3339;
use super::http::{Request, response, serve};

const PREFIX: &str = "arn:aws:imagebuilder:eu-west-1:123456789012";
const BASE: &str = "hatchery-dev-base";
const SERVICE: &str = "hatchery-dev-service";

/// The states of a run; each listing of it shows the next one.
const STATES: [&str; 3] = ["BUILDING", "TESTING", "AVAILABLE"];

/// A run of a pipeline.
struct Run {
    /// Version and build number.
    version: String,
    created: String,
    /// How often it was listed.
    listings: usize,
    failed: bool,
}

impl Run {
    fn list(&mut self, pipeline: &str, image: &str) -> Value {
        let state = if self.failed { "FAILED" } else { STATES[self.listings.min(STATES.len() - 1)] };
        self.listings += 1;
        let reason = self.failed.then_some("\u{1b}[31mno space left on device");
        json!({
            "arn": format!("{PREFIX}:image/{pipeline}/{}", self.version),
            "state": { "status": state, "reason": reason },
            "dateCreated": self.created,
            "outputResources": { "amis": [{ "region": "eu-west-1", "image": image }] },
        })
    }
}

/// The pipelines of the fleet `dev` with their runs, oldest first.
struct Pipelines {
    runs: BTreeMap<&'static str, Vec<Run>>,
    /// The version of the recipes.
    version: &'static str,
    /// The id of every image.
    image: String,
}

impl Pipelines {
    fn name_in(body: &Value) -> &'static str {
        let arn = body["imagePipelineArn"].as_str().unwrap();
        let pipeline = [BASE, SERVICE].into_iter().find(|name| arn == pipeline_arn(name));
        pipeline.unwrap_or_else(|| panic!("a pipeline of another fleet: {arn}"))
    }

    fn answer(&mut self, request: &Request) -> Option<Value> {
        let body = request.json();
        match request.route() {
            "POST /ListImagePipelines" => {
                assert_eq!(body["filters"], json!([{ "name": "name", "values": [BASE, SERVICE] }]));
                let schedule = json!({ "scheduleExpression": "cron(0 4 * * ? *)" });
                let pipelines = self.runs.keys().map(|name| {
                    json!({ "arn": pipeline_arn(name), "name": name, "status": "ENABLED", "schedule": schedule })
                });
                Some(json!({ "imagePipelineList": pipelines.collect::<Vec<_>>() }))
            }
            // The latest run is on a page of its own.
            "POST /ListImagePipelineImages" => {
                let name = Self::name_in(&body);
                let runs = self.runs.get_mut(name)?;
                let latest = runs.len().saturating_sub(1);
                let (first, last) = runs.split_at_mut(latest);
                let (page, token) =
                    if body["nextToken"].is_null() { (first, Some("more")) } else { (last, None) };
                let images: Vec<_> = page.iter_mut().map(|run| run.list(name, &self.image)).collect();
                Some(json!({ "imageSummaryList": images, "nextToken": token }))
            }
            "PUT /StartImagePipelineExecution" => {
                let name = Self::name_in(&body);
                let runs = self.runs.get_mut(name)?;
                let version = format!("{}/{}", self.version, runs.len() + 1);
                let created = rfc3339(0);
                runs.push(Run { version: version.clone(), created, listings: 0, failed: false });
                Some(json!({ "imageBuildVersionArn": format!("{PREFIX}:image/{name}/{version}") }))
            }
            _ => None,
        }
    }
}

fn pipeline_arn(name: &str) -> String {
    format!("{PREFIX}:image-pipeline/{name}")
}

/// A running stub.
pub(crate) struct ImageBuilder {
    pipelines: Arc<Mutex<Pipelines>>,
    address: SocketAddr,
}

impl ImageBuilder {
    /// Starts the stub in front of `upstream` (`host:port`), for a fleet with a service pipeline that failed once and built an image then.
    pub(crate) fn start(upstream: String) -> Self {
        let run = |build, day, failed| Run {
            version: format!("1.0.3/{build}"),
            created: format!("2026-03-{day}T04:00:00.000Z"),
            listings: STATES.len(),
            failed,
        };
        let runs = BTreeMap::from([(SERVICE, vec![run(1, "08", true), run(2, "09", false)])]);
        Self::start_with(
            upstream,
            Pipelines { runs, version: "1.0.3", image: "ami-0123456789abcdef0".to_owned() },
        )
    }

    /// Starts the stub for a fleet whose pipelines have not run. They build this image.
    pub(crate) fn start_unused(upstream: String, image: &str) -> Self {
        let runs = BTreeMap::from([(BASE, Vec::new()), (SERVICE, Vec::new())]);
        Self::start_with(upstream, Pipelines { runs, version: "1.0.0", image: image.to_owned() })
    }

    fn start_with(upstream: String, pipelines: Pipelines) -> Self {
        let pipelines = Arc::new(Mutex::new(pipelines));
        let shared = Arc::clone(&pipelines);
        let address = serve(move |request, mut client| {
            let answer = shared.lock().unwrap_or_else(PoisonError::into_inner).answer(request);
            let whole = match answer {
                Some(body) => response("200 OK", &[("Content-Type", "application/json")], &body.to_string()),
                None => request.forward(&upstream)?,
            };
            client.write_all(&whole)
        });
        Self { pipelines, address }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether a run of the service pipeline has started.
    pub(crate) fn builds_services(&self) -> bool {
        let pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.runs.get(SERVICE).is_some_and(|runs| !runs.is_empty())
    }
}
