//! The services under test: the tags that were asked for, and the images that run.

use ratatui::layout::Alignment;
use ratatui::text::Line;

use crate::domain::format::short_digest;
use crate::domain::text::Untrusted;
use crate::domain::{DeploymentState, DeploymentStatus};
use crate::tui::app::model::Model;
use crate::tui::app::pages::page::Page;
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::format;
use crate::tui::text;
use crate::tui::widgets::table::Column;

/// How what runs compares with what was asked for, as a theme role and a text.
type Verdict = (&'static str, String);

pub(super) fn add(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let services = &row.details.record.services;
    if services.is_empty() && row.details.record.deployment.is_none() {
        return;
    }
    page.heading("Services");
    let widest = |texts: &mut dyn Iterator<Item = String>, min| {
        texts.map(|text| text::width(&text)).max().unwrap_or(0).max(min)
    };
    let name = widest(&mut services.keys().map(ToString::to_string), 7);
    let tag = widest(&mut services.values().map(ToString::to_string), 9);
    let column = |title, min, max, priority| Column { title, min, max, alignment: Alignment::Left, priority };
    let columns = [
        column("SERVICE", name.min(12), name, 5),
        column("ASKED FOR", tag.min(12), tag, 4),
        column("RUNS", 19, 19, 3),
        column("", 8, usize::MAX, 2),
    ];
    let digests = row.details.instance.as_ref().map(|instance| &instance.digests);
    let rows = services.iter().map(|(service, tag)| {
        let digest = digests.and_then(|digests| digests.get(service));
        let (role, verdict) = verdict(model, row, service, tag, digest);
        let runs = digest.map_or_else(|| page.styles.glyphs.none.to_owned(), short_digest);
        vec![
            Line::from(page.styles.span("text.strong", service.to_string())),
            Line::from(page.styles.span("text", tag.to_string())),
            Line::from(page.styles.span("text", runs)),
            Line::from(page.styles.span(role, verdict)),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        page.table(&columns, rows);
    }
    deployment(page, model, row);
}

/// Compares the image that runs with the tag that was asked for. Only the registry knows the image of a tag, but another environment that runs
/// another image of the same tag shows that the tag has moved.
fn verdict(
    model: &Model,
    row: &EnvironmentRow,
    service: &Untrusted,
    tag: &Untrusted,
    digest: Option<&Untrusted>,
) -> Verdict {
    let instance = row.details.instance.as_ref();
    let deployed = instance.and_then(|instance| instance.services.get(service));
    if row.is_deploying {
        return ("state.starting", "being deployed".to_owned());
    }
    if let Some(deployed) = deployed.filter(|deployed| *deployed != tag) {
        return ("level.warning", format!("the instance still has {deployed}"));
    }
    let Some(digest) = digest else {
        return ("text.muted", "not reported by the instance".to_owned());
    };
    let other = model.environments.all().iter().find(|other| {
        let of_other = other.details.instance.as_ref().and_then(|instance| instance.digests.get(service));
        other.record != row.record
            && other.details.record.services.get(service) == Some(tag)
            && of_other.is_some_and(|of_other| of_other != digest)
    });
    match other {
        Some(other) => ("level.warning", format!("{} runs another image of this tag", other.id)),
        None => ("text.muted", String::new()),
    }
}

/// Adds the last request to deploy anew.
fn deployment(page: &mut Page<'_>, model: &Model, row: &EnvironmentRow) {
    let Some(request) = &row.details.record.deployment else { return };
    let rollout = row.details.instance.as_ref().and_then(|instance| instance.rollout.as_ref());
    let status = DeploymentStatus::new(request, rollout);
    let at = format::date_time(request.at, model.styles.zone);
    let detail = status.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    let role = if status.state == DeploymentState::Failed { "level.error" } else { "text" };
    page.styled_value("Deployment", role, &format!("{}, by {} at {at}{detail}", status.state, request.by));
}
