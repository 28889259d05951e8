//! The fleet's problems and the steps that the engine refused.

use ratatui::text::Line;

use super::page::Page;
use crate::domain::health::Level;
use crate::domain::text::sanitize;
use crate::tui::app::model::Model;

pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    let styles = &model.styles;
    let glyphs = &styles.glyphs;
    let mut page = Page::new(styles, width);
    page.heading("Fleet");
    fleet(&mut page, model);
    if let Some(reason) = &model.pool.status.target_reason {
        page.heading("Warm pool");
        let text = sanitize(&format!("target {}: {reason}", model.pool.status.target_text));
        page.paragraph(styles.level(Level::Info), "text", &text);
    }
    page.heading("Refused by the engine");
    if model.refusals.is_empty() {
        page.paragraph((glyphs.empty, "text.muted"), "text.muted", "nothing");
    }
    for refusal in &model.refusals {
        let action = refusal.action.replace('-', " ");
        let text = sanitize(&format!("{action} {}: {}", refusal.target, refusal.reason));
        page.paragraph((glyphs.paused, "level.warning"), "text", &text);
    }
    for (index, row) in model.environments.all().iter().filter(|row| !row.problems.is_empty()).enumerate() {
        if index == 0 {
            page.heading("Environments");
        }
        let text = format!("{} ({}): {}", row.name, row.id, row.problems.join("; "));
        page.paragraph(styles.level(Level::Error), "text", &text);
    }
    page.into_lines()
}

fn fleet(page: &mut Page<'_>, model: &Model) {
    let styles = page.styles;
    let glyphs = &styles.glyphs;
    let verdicts = &model.pool.status.verdicts;
    if let Some(failure) = &model.last_error {
        page.paragraph(styles.level(Level::Error), "text", &failure.sentence());
    }
    if let Some(error) = &model.audit_error {
        let text = format!("cannot write the audit log: {error}");
        page.paragraph(styles.level(Level::Error), "text", &text);
    }
    for verdict in verdicts {
        page.paragraph(styles.level(verdict.level), "text", &verdict.message);
    }
    if model.last_error.is_none() && model.audit_error.is_none() && verdicts.is_empty() {
        let complete = model.fleet_view.as_ref().is_some_and(|view| view.world.is_complete());
        if complete {
            page.paragraph((glyphs.check, "done"), "text", "no problems");
        } else {
            page.paragraph((glyphs.empty, "text.muted"), "text", "no data yet");
        }
    }
}
