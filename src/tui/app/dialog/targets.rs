//! What can be clicked in a dialog. The view says where it has drawn what; a click is then the key that does the same.

use std::mem::{Discriminant, discriminant};

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::{Position, Rect};

use super::Dialog;
use crate::tui::keymap::Key;

/// Something that can be clicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The row of a list with this index.
    Row(usize),
    /// The field of a form with this index.
    Field(usize),
    /// The suggestion with this index.
    Suggestion(usize),
    /// The hint for a key.
    Key(Key),
}

/// The targets of the dialog that was drawn last, and where they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    dialog: Option<Discriminant<Dialog>>,
    /// The inside of the dialog.
    area: Rect,
    places: Vec<(Rect, Target)>,
}

impl Targets {
    /// Returns those of the open dialog before it is drawn.
    pub(crate) fn of(dialog: Option<&Dialog>) -> Self {
        Self { dialog: dialog.map(discriminant), ..Self::default() }
    }

    pub(crate) fn set_area(&mut self, area: Rect) {
        self.area = area;
    }

    pub(crate) fn add(&mut self, place: Rect, target: Target) {
        self.places.push((place, target));
    }

    /// Adds the hint for a key, unless it names none, such as `0-9`.
    pub(crate) fn add_key(&mut self, place: Rect, label: &str) {
        if let Ok(key) = label.parse() {
            self.add(place, Target::Key(key));
        }
    }

    /// Returns the target at a position if this dialog was drawn there.
    pub(crate) fn at(&self, dialog: &Dialog, at: Position) -> Option<Target> {
        let found = self.places.iter().find(|(place, _)| place.contains(at));
        found.filter(|_| self.dialog == Some(discriminant(dialog))).map(|(_, target)| *target)
    }

    /// Whether a position is inside this dialog.
    pub(crate) fn contains(&self, dialog: &Dialog, at: Position) -> bool {
        self.dialog == Some(discriminant(dialog)) && self.area.contains(at)
    }
}

impl Dialog {
    /// Whether what is confirmed cannot be undone.
    pub(crate) fn is_destructive(&self) -> bool {
        matches!(self, Self::Terminate(_) | Self::Batch(_))
    }

    /// Whether the arrow keys move in a list.
    pub(crate) fn has_list(&self) -> bool {
        matches!(
            self,
            Self::Extend(_)
                | Self::Batch(_)
                | Self::Open(_)
                | Self::Palette(_)
                | Self::Diff(_)
                | Self::Sources(_)
        )
    }

    /// Selects what is clicked. Returns the key that does the rest: that of a hint, and of a row that is clicked `again`.
    pub(crate) fn click(&mut self, target: Target, again: bool) -> Option<KeyEvent> {
        let index = match target {
            Target::Key(key) => return Some(key.into()),
            Target::Field(index) => {
                match self {
                    Self::Launch(form) => form.focus_field(index),
                    Self::Keep(form) => form.focus = index,
                    _ => {}
                }
                return None;
            }
            Target::Suggestion(index) => {
                match self {
                    Self::Launch(form) => {
                        form.complete(index);
                    }
                    Self::Redeploy(form) => form.complete(index),
                    _ => {}
                }
                return None;
            }
            Target::Row(index) => index,
        };
        let (selected, key) = match self {
            Self::Extend(prompt) => (&mut prompt.choice, KeyCode::Enter),
            Self::Open(menu) => (&mut menu.index, KeyCode::Enter),
            Self::Palette(palette) => (&mut palette.index, KeyCode::Enter),
            Self::Diff(menu) => (&mut menu.index, KeyCode::Enter),
            Self::Sources(menu) => (&mut menu.index, KeyCode::Char(' ')),
            _ => return None,
        };
        let was_selected = std::mem::replace(selected, index) == index;
        (was_selected && again).then(|| KeyEvent::from(key))
    }
}
