//! Pipelines of EC2 Image Builder.

use aws_sdk_imagebuilder::types::{
    Ami, Filter, ImagePipeline, ImageState, ImageSummary, OutputResources, PipelineStatus,
};
use chrono::{DateTime, Utc};
use strum::IntoEnumIterator as _;

use super::AwsCloud;
use super::call::{Access, Bucket, call};
use crate::cloud::Result;
use crate::domain::text::Untrusted;
use crate::domain::{CloudError, ErrorClass, FleetName, ImageId, Pipeline, PipelineKind, Run, RunState};

/// How many of a pipeline's latest runs are returned.
const MAX_RUNS: usize = 10;

impl AwsCloud {
    pub(super) async fn pipelines(&self, fleet: &FleetName) -> Result<Vec<Pipeline>> {
        let found = self.image_pipelines(fleet).await?;
        futures::future::try_join_all(found.into_iter().map(|(kind, pipeline)| async move {
            let runs = self.runs(pipeline.arn().unwrap_or_default()).await?;
            Ok(Pipeline {
                kind,
                enabled: pipeline.status() != Some(&PipelineStatus::Disabled),
                schedule: pipeline.schedule.and_then(|schedule| schedule.schedule_expression).map(Into::into),
                runs,
            })
        }))
        .await
    }

    pub(super) async fn start_pipeline(&self, fleet: &FleetName, kind: PipelineKind) -> Result<Untrusted> {
        const OPERATION: &str = "StartImagePipelineExecution";
        let found = self.image_pipelines(fleet).await?;
        let arn = found.into_iter().find(|(of, _)| *of == kind).and_then(|(_, pipeline)| pipeline.arn);
        let arn = arn.ok_or_else(|| {
            let message = format!("there is no pipeline {}", kind.pipeline_name(fleet));
            CloudError::new(ErrorClass::NotFound, OPERATION, "NoPipeline", message)
        })?;
        let request = self.image_builder.start_image_pipeline_execution().image_pipeline_arn(arn);
        let started = call(&self.limits, Bucket::Other, Access::Write, OPERATION, request.send()).await?;
        let version = started.value.image_build_version_arn().and_then(version);
        version.map(Untrusted::from).ok_or_else(|| {
            CloudError::new(ErrorClass::Unknown, OPERATION, "BadResponse", "the response has no image")
        })
    }

    /// Returns the fleet's pipelines, `base` first.
    async fn image_pipelines(&self, fleet: &FleetName) -> Result<Vec<(PipelineKind, ImagePipeline)>> {
        let names = PipelineKind::iter().map(|kind| kind.pipeline_name(fleet)).collect();
        let filter = Filter::builder().name("name").set_values(Some(names)).build();
        let pages = self.image_builder.list_image_pipelines().filters(filter).into_paginator().items().send();
        let listed = pages.collect::<std::result::Result<Vec<_>, _>>();
        let listed = call(&self.limits, Bucket::Other, Access::Read, "ListImagePipelines", listed).await?;
        let mut pipelines = listed.value;
        let kinds = PipelineKind::iter().filter_map(|kind| {
            let name = kind.pipeline_name(fleet);
            let index = pipelines.iter().position(|pipeline| pipeline.name() == Some(&name))?;
            Some((kind, pipelines.swap_remove(index)))
        });
        Ok(kinds.collect())
    }

    /// Returns the latest runs, newest first. Image Builder documents no order.
    async fn runs(&self, pipeline: &str) -> Result<Vec<Run>> {
        let request = self.image_builder.list_image_pipeline_images().image_pipeline_arn(pipeline);
        let pages = request.into_paginator().items().send();
        let listed = pages.collect::<std::result::Result<Vec<_>, _>>();
        let listed =
            call(&self.limits, Bucket::Other, Access::Read, "ListImagePipelineImages", listed).await?;
        let mut runs: Vec<_> = listed.value.iter().filter_map(parse).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started_at));
        runs.truncate(MAX_RUNS);
        Ok(runs)
    }
}

/// Returns `None` for an image without a version or time.
fn parse(image: &ImageSummary) -> Option<Run> {
    let state = image.state();
    let status = state.and_then(ImageState::status);
    let amis = image.output_resources().map(OutputResources::amis).unwrap_or_default();
    Some(Run {
        version: version(image.arn()?)?.into(),
        state: status.and_then(|status| status.as_str().parse().ok()).unwrap_or(RunState::Unknown),
        reason: state.and_then(ImageState::reason).filter(|reason| !reason.is_empty()).map(Into::into),
        started_at: image.date_created()?.parse::<DateTime<Utc>>().ok()?,
        image: amis.iter().find_map(Ami::image).map(ImageId::new),
    })
}

/// Returns the version and the build number at the end of an ARN:
/// `arn:aws:imagebuilder:<region>:<account>:image/<name>/1.0.3/2`.
fn version(arn: &str) -> Option<String> {
    let (rest, build) = arn.rsplit_once('/')?;
    let (_, version) = rest.rsplit_once('/')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (is_number(version) && is_number(build)).then(|| format!("{version}/{build}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("arn:aws:imagebuilder:eu-west-1:123456789012:image/hatchery-dev-base/1.0.3/2", Some("1.0.3/2"))]
    #[case("arn:aws:imagebuilder:eu-west-1:123456789012:image/hatchery-dev-base/1.0.3", None)]
    #[case("\u{1b}[31m/1.0.\u{1b}/2", None)]
    #[case("", None)]
    fn version_is_the_end_of_the_arn(#[case] arn: &str, #[case] expected: Option<&str>) {
        assert_eq!(version(arn).as_deref(), expected);
    }
}
