//! The confirmation of an action on several environments.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::dialogs::{TERMINATE_WIDTH, keys, labelled_field, rows_from_end, without_end};
use crate::tui::app::batch::BatchAction;
use crate::tui::app::dialog::batch::BatchPrompt;
use crate::tui::app::dialog::targets::Targets;
use crate::tui::styles::Styles;
use crate::tui::widgets::{frame, line};

/// The width of the column of names.
const NAME: usize = 16;

/// The most environments that are listed at a time.
const MAX_ROWS: usize = 12;

/// Draws the prompt with the environments, as many as fit. `place` says where it acts, which is always said if there are several fleets.
pub(crate) fn draw(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    prompt: &BatchPrompt,
    place: &str,
    several_fleets: bool,
) -> Option<Position> {
    let ellipsis = styles.glyphs.ellipsis;
    let is_loss = prompt.action == BatchAction::Terminate;
    let mut head = Vec::new();
    if is_loss || several_fleets {
        head.push(Line::from(styles.span("text.strong", format!("In {place}."))));
    }
    if is_loss {
        head.push(Line::from(vec![
            styles.span("danger", "This cannot be undone. "),
            styles.span("text", "What is lost, with all data:"),
        ]));
    }
    let confirmation = prompt.confirmation();
    // An error has its row between the list and the field.
    let tail: u16 = if prompt.takes_text() { 3 } else { 1 };
    let listed = prompt.targets.len().min(MAX_ROWS);
    let height = u16::try_from(head.len() + listed + 1).unwrap_or(u16::MAX).saturating_add(tail);
    let area = frame::dialog(styles, buf, &prompt.title(), TERMINATE_WIDTH, height);
    out.set_area(area);
    let body = without_end(area, tail);
    let room = usize::from(body.height).saturating_sub(head.len());
    let mut lines = head;
    lines.extend(targets(styles, prompt, room));
    line::put_all(buf, body, lines, ellipsis);
    let verb = prompt.action.verb();
    if !prompt.takes_text() {
        keys(styles, buf, out, area, &[("y", verb), ("n", "cancel")]);
        return None;
    }
    let row = |from_end| Rect { height: area.height.min(1), ..rows_from_end(area, from_end) };
    if let Some(error) = prompt.field.visible_error() {
        let error = format!("{} {error}", styles.glyphs.cross);
        line::put(buf, row(3), styles.span("field.error", error), ellipsis);
    } else if let Some(required) = &confirmation {
        let question = format!("Some are not yours. Type {required} to confirm.");
        line::put(buf, row(3), styles.span("text.strong", question), ellipsis);
    }
    let cursor = labelled_field(styles, buf, row(2), &prompt.field, true);
    keys(styles, buf, out, area, &[("enter", verb), ("up down", "scroll"), ("esc", "cancel")]);
    cursor
}

/// Returns a line for each environment from the first visible one on, and how many more there are.
fn targets(styles: &Styles, prompt: &BatchPrompt, room: usize) -> Vec<Line<'static>> {
    let total = prompt.targets.len();
    let room = if total > room { room.saturating_sub(1) } else { room };
    let first = prompt.offset.min(total.saturating_sub(room));
    let mut lines: Vec<_> = prompt
        .targets
        .iter()
        .skip(first)
        .take(room)
        .map(|target| {
            let role = if target.skipped.is_some() { "text.muted" } else { "text" };
            let mut line = vec![
                Span::raw("  "),
                styles.span("text.muted", format!("{:10} ", target.id.to_string())),
                styles.span(role, format!("{:NAME$}", target.name)),
            ];
            if let Some(reason) = target.skipped {
                line.push(styles.span("text.muted", format!(" left out: {reason}")));
            } else if target.is_foreign {
                line.push(styles.span("level.warning", format!(" of {}", target.owner)));
            }
            Line::from(line)
        })
        .collect();
    if total > room {
        let text = format!("  {}-{} of {total}", first + 1, first + room);
        lines.push(Line::from(styles.span("text.muted", text)));
    }
    lines
}
