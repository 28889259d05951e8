//! Image Builder: the daily service image, and runs that users start.

use chrono::{DateTime, TimeDelta, Utc};
use strum::IntoEnumIterator as _;

use super::state::{Event, SimRun, State};
use crate::domain::{Image, ImageId, Pipeline, PipelineKind, Run, RunState};

/// The state of a run by the minutes since its start.
const STATES: [(i64, RunState); 5] = [
    (0, RunState::Pending),
    (1, RunState::Building),
    (9, RunState::Testing),
    (13, RunState::Distributing),
    (15, RunState::Available),
];

const RUN_TIME: TimeDelta = TimeDelta::minutes(15);

impl State {
    /// Makes the daily service image.
    pub(super) fn build_image(&mut self, at: DateTime<Utc>) {
        let image = self.make_image(PipelineKind::Service, at);
        let build = self.next_build(PipelineKind::Service);
        self.runs.push(SimRun {
            kind: PipelineKind::Service,
            build,
            started_at: at - RUN_TIME,
            image: Some(image),
        });
    }

    /// Starts a run and returns its version.
    pub(super) fn start_run(&mut self, kind: PipelineKind) -> String {
        let build = self.next_build(kind);
        self.runs.push(SimRun { kind, build, started_at: self.now, image: None });
        self.schedule(self.now + RUN_TIME, Event::RunEnded(kind, build));
        version(build)
    }

    pub(super) fn end_run(&mut self, kind: PipelineKind, build: usize) {
        let image = self.make_image(kind, self.now);
        if let Some(run) = self.runs.iter_mut().find(|run| (run.kind, run.build) == (kind, build)) {
            run.image = Some(image);
        }
    }

    pub(super) fn pipelines(&self) -> Vec<Pipeline> {
        PipelineKind::iter()
            .map(|kind| {
                let schedule = match kind {
                    PipelineKind::Base => "cron(0 1 ? * sun *)",
                    PipelineKind::Service => "cron(0 4 * * ? *)",
                };
                let runs = self.runs.iter().rev().filter(|run| run.kind == kind);
                Pipeline {
                    kind,
                    enabled: true,
                    schedule: Some(schedule.into()),
                    runs: runs.map(|run| run.parse(self.now)).collect(),
                }
            })
            .collect()
    }

    fn make_image(&mut self, kind: PipelineKind, at: DateTime<Utc>) -> ImageId {
        let id = ImageId::new(format!("ami-{:017x}", self.next_serial()));
        if kind == PipelineKind::Service {
            let name = format!("service-{}", at.format("%Y-%m-%d"));
            self.images.push(Image {
                id: id.clone(),
                name: name.into(),
                created_at: at,
                root_device: Some("/dev/xvda".into()),
            });
            self.images.retain(|image| image.created_at > at - TimeDelta::days(7));
            self.runs.retain(|run| run.started_at > at - TimeDelta::days(7));
        }
        id
    }

    fn next_build(&self, kind: PipelineKind) -> usize {
        self.runs.iter().rev().find(|run| run.kind == kind).map_or(1, |run| run.build + 1)
    }
}

impl SimRun {
    fn parse(&self, now: DateTime<Utc>) -> Run {
        let minutes = (now - self.started_at).num_minutes();
        let state = STATES.iter().rev().find(|(from, _)| *from <= minutes);
        Run {
            version: version(self.build).into(),
            state: state.map_or(RunState::Pending, |(_, state)| *state),
            reason: None,
            started_at: self.started_at,
            image: self.image.clone(),
        }
    }
}

fn version(build: usize) -> String {
    format!("1.0.0/{build}")
}
