//! The fleet's problems and the steps that the engine refused.

use ratatui::text::Line;

use super::page::Page;
use crate::domain::health::{Leftovers, Level};
use crate::domain::text::sanitize;
use crate::tui::app::model::Model;
use crate::tui::format;

pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    let styles = &model.styles;
    let glyphs = &styles.glyphs;
    let mut page = Page::new(styles, width);
    figures(&mut page, model);
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
    page.heading("Not checked here");
    let text = "permissions, quotas, network exposure and the schedule of the account; see: hatchery doctor";
    page.paragraph((glyphs.empty, "text.muted"), "text.muted", text);
    page.into_lines()
}

/// Adds the figures of the fleet's health in one line, at zero too.
fn figures(page: &mut Page<'_>, model: &Model) {
    let styles = page.styles;
    let Some(view) = &model.fleet_view else {
        return page.line(styles.span("text.muted", "loading…"));
    };
    let (world, now) = (&view.world, model.aws_now());
    let of_fleet = model.pool.status.verdicts.iter().filter(|verdict| verdict.level > Level::Info).count();
    let errors = usize::from(model.last_error.is_some()) + usize::from(model.audit_error.is_some());
    let of_environments = model.environments.all().iter().filter(|row| !row.problems.is_empty()).count();
    let problems = of_fleet + errors + of_environments;
    let leftovers = Leftovers::new(world, now);
    let role = |count: usize| if count == 0 { "done" } else { "level.warning" };
    let plural =
        |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let mut line = vec![styles.span(role(problems), plural(problems, "problem"))];
    match leftovers {
        Some(leftovers) => {
            let total = leftovers.total();
            line.push(styles.span(role(total), format!(", {}", plural(total, "leftover"))));
        }
        None => line.push(styles.span("text.muted", ", leftovers unknown until everything is listed")),
    }
    line.push(styles.span("text", format!(", {}", last_pass(model))));
    page.line(line);
    if let Some(leftovers) = leftovers.filter(|leftovers| leftovers.total() > 0) {
        let Leftovers { orphans, unreadable, overdue } = leftovers;
        let text = format!("{orphans} without a counterpart, {unreadable} unreadable, {overdue} overdue");
        page.paragraph((" ", "text"), "text.muted", &text);
    }
    let counts = format!(
        "{} listed, {}, {}",
        plural(world.records.items.len(), "record"),
        plural(world.instances.items.len(), "instance"),
        plural(world.databases.items.len(), "database"),
    );
    page.line(styles.span("text.muted", counts));
}

/// Says when an engine last made a pass: this one, else the one that recorded it.
fn last_pass(model: &Model) -> String {
    if let Some(at) = model.passed_at {
        let ago = format::age(model.now.clock.saturating_sub(at)).text;
        return format!("last pass {ago} ago by this dashboard");
    }
    let recorded = model.fleet_view.as_ref().and_then(|view| view.world.fleet.last_pass.as_ref());
    match recorded {
        Some(last) => {
            let ago = format::age(format::between(last.at, model.aws_now())).text;
            format!("last recorded pass {ago} ago by {}", last.by)
        }
        None => "no pass is recorded".to_owned(),
    }
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
        let (problem, advice) = verdict.parts();
        page.paragraph(styles.level(verdict.level), "text", problem);
        if let Some(advice) = advice {
            page.paragraph((" ", "text"), "text.muted", &format!("{} {advice}", glyphs.pointer));
        }
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
