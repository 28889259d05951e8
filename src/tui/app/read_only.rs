//! Whether the user can change anything: read-only mode is a choice of the user, or a limit of the credentials.

use super::message::Effect;
use super::model::{Connection, Model, Severity};
use super::writes::{CANNOT_CHANGE, Writes};
use crate::cloud::Answer;

impl Model {
    /// Returns why nothing can be changed.
    pub(crate) fn read_only_reason(&self) -> Option<&'static str> {
        match (self.options.read_only, self.writes.refused) {
            (true, _) => Some("read-only"),
            (false, true) => Some(CANNOT_CHANGE),
            (false, false) => None,
        }
    }

    /// Returns the question to AWS, if it is due. Policies allow by the tags of environments, so the answer needs an observation.
    pub(super) fn write_check(&mut self) -> Option<Effect> {
        let observed = self.fleet_view.as_ref().is_some_and(|view| view.world.records.complete);
        let due =
            self.writes.due && observed && self.last_error.is_none() && self.connection == Connection::Up;
        if !due || self.options.read_only {
            return None;
        }
        self.writes.due = false;
        Some(Effect::CheckWrites)
    }

    /// Asks AWS again after a request of the user, unless it has granted them already.
    pub(super) fn check_writes_again(&mut self) {
        self.writes.due |= !self.writes.granted;
    }

    /// Returns what the engine is to do if it changes. Its steps would be refused, and so would their entries in the audit log.
    pub(super) fn writes_checked(&mut self, answer: &Answer) -> Vec<Effect> {
        let before = self.writes.refused;
        match answer {
            Answer::Granted => {
                if before {
                    self.notify(Severity::Info, "your credentials can change things now");
                }
                self.writes = Writes { granted: true, refused: false, ..self.writes };
            }
            Answer::Denied(_) => self.writes = Writes { granted: false, refused: true, ..self.writes },
            // Nothing is known, so nothing changes.
            Answer::Unknown(_) => {}
        }
        let refused = self.writes.refused;
        if refused == before {
            return Vec::new();
        }
        vec![Effect::SetBackground(!refused && self.options.engine_enabled)]
    }
}
