//! All actions with their keys.

use ratatui::text::Line;

use super::page::Page;
use crate::tui::action::{ACTIONS, Entry, Group};
use crate::tui::app::model::Model;
use crate::tui::text;

/// The width of the column of keys.
const KEY_WIDTH: usize = 18;

const MOUSE: [(&str, &str); 6] = [
    ("click", "Select a row, or run an action of the footer"),
    ("on a title", "Sort by the column; reverse the order the second time"),
    ("on a message", "Close it"),
    ("on the notice", "Show the fleet's problems"),
    ("double-click", "Show the environment's details"),
    ("wheel", "Scroll"),
];

const FILTER: [(&str, &str); 3] = [
    ("checkout", "Any field has it, or in one word the letters in order: chfix"),
    ("owner:amy", "The owner has it; so with name, state, service, note, id and fleet"),
    ("several words", "All match; exact matches come first, each part in the sort order"),
];

pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    let styles = &model.styles;
    let mut page = Page::new(styles, width);
    let query = &model.help_filter;
    let needle = query.text();
    if query.editing || !needle.is_empty() {
        let cursor = if query.editing { "_" } else { "" };
        page.line(vec![styles.span("key", "/"), styles.span("text.strong", format!("{needle}{cursor}"))]);
    }
    let matches = |entry: &Entry| {
        let keys = model.options.keymap.keys(entry.action).iter().map(ToString::to_string);
        [entry.id, entry.label, entry.help].into_iter().any(|field| text::contains(field, needle))
            || keys.into_iter().any(|key| key == needle)
    };
    for group in Group::ALL {
        let entries: Vec<_> = ACTIONS.iter().filter(|entry| entry.group == group && matches(entry)).collect();
        if entries.is_empty() {
            continue;
        }
        page.heading(group.title());
        for entry in entries {
            let keys = model.options.keymap.keys(entry.action);
            let keys: Vec<_> = keys.iter().map(|key| key.label(styles.glyphs.ascii)).collect();
            let keys = if keys.is_empty() { "unbound".to_owned() } else { keys.join(" ") };
            let disabled = entry.mutates && model.read_only_reason().is_some();
            let (key_role, help_role) = if disabled { ("key.off", "key.off") } else { ("key", "text") };
            let mut line = vec![styles.span(key_role, padded(&keys)), styles.span(help_role, entry.help)];
            if disabled {
                line.push(styles.span("badge.read-only", "  read-only"));
            }
            page.line(line);
        }
    }
    let mouse = if model.mouse { "Mouse" } else { "Mouse, while the dashboard has it" };
    for (title, pairs) in [("Filter of the environments", &FILTER[..]), (mouse, &MOUSE[..])] {
        let pairs: Vec<_> = pairs.iter().filter(|(_, help)| text::contains(help, needle)).collect();
        if pairs.is_empty() {
            continue;
        }
        page.heading(title);
        for (name, help) in pairs {
            page.line(vec![styles.span("key", padded(name)), styles.span("text", *help)]);
        }
    }
    page.into_lines()
}

fn padded(keys: &str) -> String {
    format!("  {keys}{}", " ".repeat(KEY_WIDTH.saturating_sub(text::width(keys)).max(1)))
}
