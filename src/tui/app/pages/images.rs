//! The fleet's images, and the pipelines that build them.

use ratatui::text::{Line, Span};

use super::page::Page;
use crate::domain::health::Level;
use crate::domain::{EnvironmentState, Pipeline, Run, RunState};
use crate::tui::app::model::Model;
use crate::tui::format;

/// The width of the longest state.
const STATE_WIDTH: usize = 12;

const VERSION_WIDTH: usize = 9;

const AGE_WIDTH: usize = 10;

pub(super) fn lines(model: &Model, width: usize) -> Vec<Line<'static>> {
    let mut page = Page::new(&model.styles, width);
    match model.fleet_view.as_ref().map(|view| &view.world.pipelines) {
        None => page.line(model.styles.span("text.muted", "loading…")),
        Some(Err(error)) => {
            let text = format!("cannot read the pipelines: {error}");
            page.paragraph(model.styles.level(Level::Warning), "text", &text);
        }
        Some(Ok(pipelines)) if pipelines.is_empty() => {
            let text = "The fleet has no image pipelines; they are part of the template of hatchery stack.";
            page.paragraph((model.styles.glyphs.empty, "text.muted"), "text.muted", text);
        }
        Some(Ok(pipelines)) => pipelines.iter().for_each(|pipeline| add_pipeline(&mut page, model, pipeline)),
    }
    page.into_lines()
}

fn add_pipeline(page: &mut Page<'_>, model: &Model, pipeline: &Pipeline) {
    page.heading(&format!("Pipeline {}", pipeline.kind));
    match &pipeline.schedule {
        Some(schedule) if pipeline.enabled => page.value("Schedule", schedule.to_string()),
        Some(_) => page.styled_value("Schedule", "level.warning", "disabled"),
        None => page.no_value("Schedule", "none"),
    }
    if pipeline.runs.is_empty() {
        page.no_value("Runs", "none yet");
    }
    for run in &pipeline.runs {
        add_run(page, model, run);
    }
}

fn add_run(page: &mut Page<'_>, model: &Model, run: &Run) {
    let styles = page.styles;
    let (glyph, role) = match run.state {
        RunState::Available => (styles.glyphs.check, "done"),
        RunState::Failed => styles.level(Level::Error),
        state if state.has_ended() => (styles.glyphs.empty, "text.muted"),
        _ => styles.state(EnvironmentState::Starting),
    };
    let age = format::coarse_age(format::between(run.started_at, model.aws_now())).text;
    let image = run.image.as_ref().map(ToString::to_string).unwrap_or_default();
    page.line(vec![
        styles.span(role, format!("{glyph} {:STATE_WIDTH$} ", run.state.as_str())),
        styles.span("text", format!("{:VERSION_WIDTH$} ", run.version)),
        styles.span("text.muted", format!("{:AGE_WIDTH$}", format!("{age} ago"))),
        Span::raw(image),
    ]);
    if let Some(reason) = &run.reason {
        page.paragraph((" ", "text"), "text", &reason.to_string());
    }
}
