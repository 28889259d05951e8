//! The services of two environments side by side.

use ratatui::text::Line;

use super::page::Page;
use crate::domain::diff::{Comparison, Version, diff};
use crate::domain::format::short_digest;
use crate::domain::health::Level;
use crate::domain::{Environment, RecordId};
use crate::tui::app::model::Model;

pub(super) fn lines(model: &Model, ids: &(RecordId, RecordId), width: usize) -> Vec<Line<'static>> {
    let styles = &model.styles;
    let mut page = Page::new(styles, width);
    let environments = model.fleet_view.as_ref().map(|view| Environment::all(&view.world, model.aws_now()));
    let environments = environments.unwrap_or_default();
    let find = |id: &RecordId| environments.iter().find(|environment| environment.record.id == *id);
    let (Some(first), Some(second)) = (find(&ids.0), find(&ids.1)) else {
        page.line(styles.span("text.muted", "one of the environments no longer exists"));
        return page.into_lines();
    };
    let services = diff(first, second);
    if services.is_empty() {
        let text = "Neither environment has services under test; both run the chart's own versions.";
        page.paragraph((styles.glyphs.empty, "text.muted"), "text.muted", text);
    }
    for service in services {
        let (glyph, role, text) = match service.comparison {
            Comparison::Equal => (styles.glyphs.check, "done", "equal".to_owned()),
            Comparison::Different => {
                let (glyph, role) = styles.level(Level::Warning);
                (glyph, role, "different".to_owned())
            }
            Comparison::OnlyFirst => (styles.glyphs.empty, "text.muted", format!("only in {}", first.id())),
            Comparison::OnlySecond => (styles.glyphs.empty, "text.muted", format!("only in {}", second.id())),
        };
        page.heading(&service.service.to_string());
        page.line(vec![styles.span(role, format!("{glyph} ")), styles.span("text", text)]);
        for (environment, version) in [(first, service.first), (second, service.second)] {
            let id = environment.id().to_string();
            match version {
                Some(version) => page.value(&id, format_version(version)),
                None => page.no_value(&id, "the chart's own version"),
            }
        }
    }
    page.into_lines()
}

fn format_version(Version { tag, digest }: Version<'_>) -> String {
    match digest {
        Some(digest) => format!("{tag} (runs {})", short_digest(digest)),
        None => tag.to_string(),
    }
}
