//! Takes back what the user has just extended.

use super::batch::{Batch, counted};
use super::message::Effect;
use super::model::Model;
use crate::engine::ExtensionUndo;

impl Model {
    /// Remembers an extension that was confirmed for a task.
    pub(super) fn remember_extension(&mut self, task: u64, extension: ExtensionUndo) {
        let batch = self.batches.iter().find(|batch| batch.has(task));
        let toast = batch.map_or(task, |batch| batch.toast);
        self.last_extensions.add(toast, extension, self.now.real);
    }

    /// Whether there is an extension that can be taken back.
    pub(crate) fn can_undo(&self) -> bool {
        self.last_extensions.can_be_undone(self.now.real)
    }

    /// Takes back what the last action has extended.
    pub(super) fn undo(&mut self) -> Vec<Effect> {
        let extensions = self.last_extensions.take();
        if let [extension] = &extensions[..] {
            let task = self.start_task(format!("undoing the extension of {}", extension.environment));
            return vec![Effect::UndoExtension(task, extension.clone())];
        }
        let requests: Vec<_> =
            extensions.into_iter().map(|extension| (self.next_task(), extension)).collect();
        let count = counted(requests.len());
        let toast = self.start_task(format!("undoing the extensions of {count}"));
        let tasks = requests.iter().map(|(task, _)| *task).collect();
        self.batches.push(Batch::new(toast, "undid the extensions of", tasks, Vec::new()));
        requests.into_iter().map(|(task, extension)| Effect::UndoExtension(task, extension)).collect()
    }
}
