//! Marked environments, and the actions on all of them.

use std::collections::HashSet;

use super::batch::{Batch, BatchAction, counted};
use super::dialog::Dialog;
use super::dialog::batch::BatchPrompt;
use super::dialog::response::Response;
use super::message::Effect;
use super::model::{Model, Screen, Severity};
use super::regions::Pane;
use crate::failure::Failure;
use crate::tui::action::Action;

impl Model {
    /// Marks the selected environment, or removes its mark, and goes to the next one.
    pub(super) fn toggle_mark(&mut self) {
        let Some(record) = self.environments.selection.selected.clone() else { return };
        if !self.environments.marks.remove(&record) {
            self.environments.marks.insert(record);
        }
        self.pane = Pane::Environments;
        super::actions::move_in_pane(self, Pane::Environments, 1);
    }

    /// Marks all visible environments, or removes all marks if they are.
    pub(super) fn toggle_all_marks(&mut self) {
        let visible: HashSet<_> = self.environments.visible().map(|row| row.record.clone()).collect();
        if visible.is_subset(&self.environments.marks) {
            self.environments.marks.clear();
        } else {
            self.environments.marks.extend(visible);
        }
    }

    /// Returns what the action does to all marked environments; `None` if it is for one.
    pub(super) fn batch_action(&self, action: Action) -> Option<BatchAction> {
        if !matches!(self.screen, Screen::Main) || self.environments.marks.is_empty() {
            return None;
        }
        match action {
            Action::Extend => Some(BatchAction::Extend),
            Action::Pin => Some(BatchAction::Pin),
            Action::Terminate => Some(BatchAction::Terminate),
            _ => None,
        }
    }

    /// Asks for the confirmation of an action on all marked environments, with a text in its field.
    pub(super) fn open_batch(&mut self, action: BatchAction, text: &str) {
        let rows = self.environments.marked();
        let (now, zone) = (self.aws_now(), self.styles.zone);
        let mut prompt = BatchPrompt::new(action, &rows, &self.options.user, now, zone);
        prompt.field.input = text.into();
        self.dialog = Some(Dialog::Batch(prompt));
    }

    /// Sends the confirmed requests.
    pub(super) fn start_batch(&mut self, action: BatchAction, requests: Vec<Response>) -> Vec<Effect> {
        let (mut tasks, mut failed, mut effects) = (HashSet::new(), Vec::new(), Vec::new());
        for request in requests {
            let (Response::Extend(record, id, _)
            | Response::Pin(record, id, _)
            | Response::Terminate(record, id)) = &request
            else {
                continue;
            };
            if self.environments.find(record).is_none() {
                failed.push(format!("too late: {id} no longer exists"));
                continue;
            }
            let task = self.next_task();
            tasks.insert(task);
            match request {
                Response::Extend(_, id, by) => effects.push(Effect::Extend(task, id, by)),
                Response::Pin(_, id, until) => effects.push(Effect::Pin(task, id, until)),
                Response::Terminate(_, id) => effects.push(Effect::Terminate(task, id)),
                _ => {}
            }
        }
        let toast = self.start_task(format!("{} {}", action.doing(), counted(tasks.len())));
        self.environments.marks.clear();
        let batch = Batch::new(toast, action.done(), tasks, failed);
        if batch.is_finished() {
            self.report(batch);
        } else {
            self.batches.push(batch);
        }
        effects
    }

    /// Takes the result of a task that belongs to a batch, and reports the batch with its last one; returns whether it belongs to one.
    pub(super) fn finish_in_batch(&mut self, task: u64, result: &Result<String, Failure>) -> bool {
        let Some(index) = self.batches.iter().position(|batch| batch.has(task)) else { return false };
        self.batches[index].finish(task, result);
        if self.batches[index].is_finished() {
            let batch = self.batches.remove(index);
            self.report(batch);
        }
        true
    }

    /// Says what a batch has done, and lists what failed.
    fn report(&mut self, batch: Batch) {
        let summary = batch.summary();
        if batch.failed.is_empty() {
            return self.finish_task(batch.toast, Severity::Done, summary);
        }
        self.finish_task(batch.toast, Severity::Error, &summary);
        if self.dialog.is_none() {
            self.dialog = Some(Dialog::Notice { title: summary, lines: batch.failed });
        } else {
            // A dialog must not disappear while the user types into it.
            for sentence in batch.failed {
                let task = self.next_task();
                self.finish_task(task, Severity::Error, sentence);
            }
        }
    }
}
