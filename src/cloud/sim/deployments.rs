//! Deployments into an instance that exists: it reads its tags, deploys what they name, and answers by a tag.

use super::events::CLOUD;
use super::state::{Change, Event, State};
use crate::domain::tags::key;
use crate::domain::{Deployment, InstanceState, Rollout, RolloutState, StatusClass};

/// How often the instance looks at its tags, in seconds.
const POLL: f64 = 30.0;

/// How long a deployment takes once its database can be used, in seconds.
const DEPLOYS_FOR: [f64; 2] = [20.0, 60.0];

impl State {
    /// Schedules the answer of an instance whose tags request a deployment.
    pub(super) fn begin_deployment(&mut self, id: &str) {
        if self.instances.get(id).is_some_and(|instance| instance.tags.contains_key(key::DEPLOYMENT)) {
            let seconds = self.sample(&format!("{id} looks"), [0.0, POLL]);
            self.schedule_in(seconds, Event::Deploy(id.to_owned()));
        }
    }

    /// Goes on with the deployment that the tags of an instance request.
    pub(super) fn deploy(&mut self, id: &str) {
        let Some(instance) = self.instances.get(id).filter(|instance| !instance.state.is_ending()) else {
            return;
        };
        let tag = |key| instance.tags.get(key).map(String::as_str);
        let Some(deployment) = tag(key::DEPLOYMENT).and_then(Deployment::parse) else { return };
        let rollout = tag(key::ROLLOUT).and_then(Rollout::parse);
        let rollout = rollout.filter(|rollout| rollout.request == deployment.at);
        if rollout.as_ref().is_some_and(|rollout| rollout.state != RolloutState::Running) {
            return;
        }
        let is_ready = instance.state == InstanceState::Running && tag(key::PHASE) == Some("ready");
        let database = tag(key::DATABASE).and_then(|id| self.databases.get(id));
        let status = database.map(|database| StatusClass::from_status(&database.status));
        let answer = |state, detail: &str| Rollout { request: deployment.at, state, detail: detail.into() };
        let (next, seconds) = match (is_ready, rollout, status) {
            (true, _, None | Some(StatusClass::Failed)) => {
                (Some(answer(RolloutState::Failed, "its database cannot be reached")), 0.0)
            }
            (true, None, _) => {
                let seconds = self.sample(&format!("{id} deploys {}", deployment.at), DEPLOYS_FOR);
                (Some(answer(RolloutState::Running, "restarting the services")), seconds)
            }
            (true, Some(_), Some(StatusClass::Usable)) => (Some(answer(RolloutState::Done, "")), 0.0),
            // It waits for its database. A stopped instance goes on once it is started.
            (true, Some(_), _) | (false, ..) => (None, POLL),
        };
        if let Some(rollout) = next {
            self.instances.change(id, self.now, |instance| {
                instance.tags.insert(key::ROLLOUT.to_owned(), rollout.to_tag());
            });
            self.record(CLOUD, || format!("{id} deploys: {}", rollout.state));
            self.changed(CLOUD, &Change::Tags(id.to_owned()));
        }
        if seconds > 0.0 {
            self.schedule_in(seconds, Event::Deploy(id.to_owned()));
        }
    }
}
