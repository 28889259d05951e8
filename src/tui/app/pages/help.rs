//! All actions with their keys.

use ratatui::text::Line;

use super::page::Page;
use crate::tui::action::{ACTIONS, Group};
use crate::tui::app::model::Model;
use crate::tui::text;

/// The width of the column of keys.
const KEY_WIDTH: usize = 18;

const MOUSE: [(&str, &str); 3] =
    [("click", "Select a row"), ("double-click", "Show the environment's details"), ("wheel", "Scroll")];

pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    let styles = &model.styles;
    let mut page = Page::new(styles, width);
    for group in Group::ALL {
        page.heading(group.title());
        for entry in ACTIONS.iter().filter(|entry| entry.group == group) {
            let keys = model.options.keymap.keys(entry.action);
            let keys: Vec<_> = keys.iter().map(|key| key.label(styles.glyphs.ascii)).collect();
            let keys = if keys.is_empty() { "unbound".to_owned() } else { keys.join(" ") };
            let disabled = entry.mutates && model.options.read_only;
            let (key_role, help_role) = if disabled { ("key.off", "key.off") } else { ("key", "text") };
            let mut line = vec![styles.span(key_role, padded(&keys)), styles.span(help_role, entry.help)];
            if disabled {
                line.push(styles.span("badge.read-only", "  read-only"));
            }
            page.line(line);
        }
    }
    page.heading(if model.mouse { "Mouse" } else { "Mouse, while the dashboard has it" });
    for (gesture, help) in MOUSE {
        page.line(vec![styles.span("key", padded(gesture)), styles.span("text", help)]);
    }
    page.into_lines()
}

fn padded(keys: &str) -> String {
    format!("  {keys}{}", " ".repeat(KEY_WIDTH.saturating_sub(text::width(keys)).max(1)))
}
