//! The user's last extension, or those of several environments at once.

use std::time::Duration;

use crate::engine::ExtensionUndo;

/// How long an extension can be taken back. Later, the user may have forgotten what the key does.
const UNDO_TIME: Duration = Duration::from_mins(5);

/// What the last action has extended.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastExtensions {
    /// The task of the toast that reported them.
    toast: u64,
    extensions: Vec<ExtensionUndo>,
    /// Until when they can be taken back, in real time.
    until: Duration,
}

impl LastExtensions {
    /// Adds an extension. `toast` is the task of the toast that reports it; an extension with another one begins anew.
    pub(super) fn add(&mut self, toast: u64, extension: ExtensionUndo, now: Duration) {
        if self.toast != toast {
            *self = Self { toast, ..Self::default() };
        }
        self.extensions.push(extension);
        self.until = now + UNDO_TIME;
    }

    pub(super) fn can_be_undone(&self, now: Duration) -> bool {
        !self.extensions.is_empty() && now < self.until
    }

    pub(super) fn take(&mut self) -> Vec<ExtensionUndo> {
        std::mem::take(self).extensions
    }
}
