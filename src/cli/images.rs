//! `hatchery images`

use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::context::Context;
use super::{json, table};
use crate::domain::format::format_duration;
use crate::domain::{Pipeline, PipelineKind, Run, RunState};
use crate::failure::{Failure, Kind};

/// How often a run is read while it is followed. Its states last for minutes.
const POLL_INTERVAL: Duration = Duration::from_secs(15);

/// The longest time that a run is followed.
const MAX_WAIT: Duration = Duration::from_hours(4);

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Build an image and follow the run until it ends
    Bake {
        /// Which image to build
        image: ImageArg,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ImageArg {
    /// The operating system with Docker, Minikube and the tools of the bootstrap
    Base,
    /// The base image with a cluster that contains the latest images of the services
    Service,
}

impl From<ImageArg> for PipelineKind {
    fn from(image: ImageArg) -> Self {
        match image {
            ImageArg::Base => Self::Base,
            ImageArg::Service => Self::Service,
        }
    }
}

pub(crate) async fn run(context: &Context<'_>, command: Option<&ImagesCommand>) -> Result<(), Failure> {
    match command {
        None => list(context).await,
        Some(ImagesCommand::Bake { image }) => bake(context, (*image).into()).await,
    }
}

async fn pipelines(context: &Context<'_>) -> Result<Vec<Pipeline>, Failure> {
    let pipelines = context.cloud().pipelines(context.fleet()).await;
    pipelines.map_err(|error| Failure::cloud("cannot read the image pipelines", &error))
}

async fn list(context: &Context<'_>) -> Result<(), Failure> {
    let pipelines = pipelines(context).await?;
    if context.console.is_json() {
        return context.console.print_json(&json::images(context.fleet(), &pipelines));
    }
    let now = context.engine.clock().now();
    let rows = pipelines.iter().flat_map(|pipeline| {
        pipeline.runs.iter().map(move |run| {
            vec![
                pipeline.kind.to_string(),
                run.version.to_string(),
                run.state.to_string(),
                table::relative_time(run.started_at, now),
                run.image.as_ref().map(ToString::to_string).unwrap_or_default(),
                run.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        })
    });
    let headings = ["IMAGE", "VERSION", "STATE", "STARTED", "AMI", "REASON"];
    let runs = table::render(&headings, rows.collect(), "No image has been built yet.");
    let schedules = pipelines.iter().map(|pipeline| {
        let schedule = match &pipeline.schedule {
            Some(schedule) if pipeline.enabled => schedule.to_string(),
            Some(_) => "disabled".to_owned(),
            None => "on request".to_owned(),
        };
        format!("Pipeline {}: {schedule}\n", pipeline.kind)
    });
    let schedules: String = schedules.collect();
    let none = "The fleet has no image pipelines; they are part of: hatchery stack\n";
    context.console.print(&if pipelines.is_empty() {
        none.to_owned()
    } else {
        format!("{runs}\n{schedules}")
    })
}

async fn bake(context: &Context<'_>, kind: PipelineKind) -> Result<(), Failure> {
    let version = context.engine.bake(kind).await?;
    context
        .console
        .notice(&format!("building {kind} image {version}; it goes on if this command is interrupted"));
    let clock = context.engine.clock();
    let started = clock.elapsed();
    let mut last_state = None;
    loop {
        let took = clock.elapsed().saturating_sub(started);
        let pipelines = pipelines(context).await?;
        let runs =
            pipelines.iter().filter(|pipeline| pipeline.kind == kind).flat_map(|pipeline| &pipeline.runs);
        // A new run may not be listed yet.
        if let Some(run) = runs.into_iter().find(|run| run.version == version) {
            if run.state.has_ended() {
                context.console.progress("", None);
                return report(context, kind, run);
            }
            let new_state = (last_state != Some(run.state)).then(|| format!("{version}: {}", run.state));
            context
                .console
                .progress(&format!("{} {}", run.state, format_duration(took)), new_state.as_deref());
            last_state = Some(run.state);
        }
        if took > MAX_WAIT {
            let message = format!("{kind} image {version} is not built after {}", format_duration(MAX_WAIT));
            return Err(Failure::new(Kind::Failed, message, "see: hatchery images"));
        }
        clock.sleep(POLL_INTERVAL).await;
    }
}

fn report(context: &Context<'_>, kind: PipelineKind, run: &Run) -> Result<(), Failure> {
    if run.state != RunState::Available {
        let reason = run.why();
        let message = format!("{kind} image {} is {}: {reason}", run.version, run.state);
        let hint = format!("see the log group /aws/imagebuilder/hatchery-{}", context.fleet());
        return Err(Failure::new(Kind::Failed, message, hint));
    }
    if context.console.is_json() {
        return context.console.print_json(&json::image(context.fleet(), kind, run));
    }
    let image = run.image.as_ref().map(|image| format!(" as {image}")).unwrap_or_default();
    context.console.print(&format!("The {kind} image {} is available{image}.\n", run.version))
}
