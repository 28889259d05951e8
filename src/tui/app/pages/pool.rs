//! The pool: its databases, what the engine does next and what it refuses, and its past.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::layout::Alignment;
use ratatui::text::{Line, Span};

use super::graph;
use super::page::Page;
use crate::domain::cost::{self, HOURS_PER_MONTH};
use crate::domain::format::format_duration;
use crate::domain::health::Level;
use crate::domain::history::{Buckets, FreeHistory, Hits};
use crate::domain::replacement::DatabaseUsers;
use crate::domain::text::sanitize;
use crate::domain::{Database, DatabaseState, Pool};
use crate::tui::app::history::PoolPast;
use crate::tui::app::model::Model;
use crate::tui::app::rows::{PoolRow, short_name, with_hydration};
use crate::tui::format;
use crate::tui::text;
use crate::tui::widgets::table::Column;

const BAR_WIDTH: usize = 9;

/// The width of the longest bar of the histogram.
const HISTOGRAM_WIDTH: usize = 20;

/// The most causes of failures that are listed.
const MAX_CAUSES: usize = 8;

/// The titles of the days of the failures: how many days ago.
const DAYS: [&str; 7] = ["-6", "-5", "-4", "-3", "-2", "-1", "TODAY"];

/// Actions on the pool whose targets are not databases.
const POOL_ACTIONS: [&str; 5] =
    ["top-up", "note-failed-restore", "forget-failed-restores", "create-database", "engine"];

/// The page in three parts, because only the visible databases are worth their lines.
pub(super) struct Sections<'a> {
    model: &'a Model,
    width: usize,
    head: Vec<Line<'static>>,
    columns: [Column; 6],
    widths: Vec<usize>,
    databases: Vec<&'a PoolRow>,
    tail: Vec<Line<'static>>,
}

impl<'a> Sections<'a> {
    pub(super) fn new(model: &'a Model, width: usize) -> Self {
        let mut head = Page::new(&model.styles, width);
        summary(&mut head, model);
        next(&mut head, model);
        refused(&mut head, model);
        head.heading("Databases");
        let databases: Vec<_> = model.pool.status.rows.iter().chain(&model.pool.claimed).collect();
        let columns = columns(&databases);
        let mut widths = Vec::new();
        if !databases.is_empty() {
            widths = head.titles(&columns);
        } else if model.fleet_view.is_some() {
            let glyph = (model.styles.glyphs.empty, "text.muted");
            head.paragraph(glyph, "text.muted", model.no_databases());
        }
        let mut tail = Page::continued(&model.styles, width);
        if let Some(past) = &model.history.pool {
            free(&mut tail, model, past);
            restores(&mut tail, past);
            failures(&mut tail, past);
        }
        let (head, tail) = (head.into_lines(), tail.into_lines());
        Self { model, width, head, columns, widths, databases, tail }
    }

    pub(super) fn length(&self) -> usize {
        self.head.len() + self.databases.len() + self.tail.len()
    }

    /// Returns the lines from one on.
    pub(super) fn lines(self, first: usize, height: usize) -> Vec<Line<'static>> {
        let (before, count) = (self.head.len(), self.databases.len());
        let mut page = Page::new(&self.model.styles, self.width);
        for line in self.head.into_iter().skip(first).take(height) {
            page.line(line);
        }
        let now = self.model.aws_now();
        let until = (first + height).saturating_sub(before).min(count);
        let from = first.saturating_sub(before).min(until);
        for row in &self.databases[from..until] {
            let view = self.model.fleet_view.as_ref();
            let database = view
                .and_then(|view| view.world.databases.iter().find(|database| database.number == row.number));
            let cells = cells(&page, row, database, now);
            page.row(&self.columns, &self.widths, cells);
        }
        let skipped = first.saturating_sub(before + count);
        for line in self.tail.into_iter().skip(skipped) {
            page.line(line);
        }
        let mut lines = page.into_lines();
        lines.truncate(height);
        lines
    }
}

fn summary(page: &mut Page<'_>, model: &Model) {
    let status = &model.pool.status;
    let Some(view) = &model.fleet_view else { return page.no_value("Free", "loading…") };
    if !model.databases_complete() {
        return page.no_value("Free", model.no_databases());
    }
    let count = |state| match state {
        DatabaseState::Claimed => status.claimed,
        _ => status.rows.iter().filter(|row| row.state == state).count(),
    };
    let states = [
        DatabaseState::Creating,
        DatabaseState::Stale,
        DatabaseState::Busy,
        DatabaseState::Failed,
        DatabaseState::Held,
        DatabaseState::Claimed,
        DatabaseState::Deleting,
    ];
    let others: Vec<_> = states
        .into_iter()
        .filter_map(|state| {
            Some(count(state)).filter(|count| *count > 0).map(|count| format!("{count} {state}"))
        })
        .collect();
    let role = if status.free == 0 {
        "pool.empty"
    } else if status.free < status.target {
        "pool.low"
    } else {
        "text"
    };
    let free = [vec![format!("{} of {} wanted", status.free, status.target)], others].concat().join(", ");
    page.styled_value("Free", role, &free);
    let reason = status.target_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    page.value("Target", sanitize(&format!("{}{reason}", status.target_text)));
    match cost::of_pool(&view.world) {
        Some((count, per_hour)) => {
            let month = format::dollars(per_hour * HOURS_PER_MONTH);
            page.value("Cost", format!("{month} a month for {count} databases without an environment"));
        }
        None => page.no_value("Cost", "unknown; set the price with: hatchery fleet set price.database="),
    }
    if let Some(past) = &model.history.pool {
        let day = format!("{} in 24 h", format_hits(past.hits_of_day));
        let week = format!("{} in 7 days", format_hits(past.hits_of_week));
        page.value("Hit rate", format!("{day}, {week}"));
        match (past.restores.percentile(50), past.restores.percentile(95)) {
            (Some(p50), Some(p95)) => {
                let count = past.restores.count();
                let (p50, p95) = (format_duration(p50), format_duration(p95));
                page.value("Restore time", format!("p50 {p50}, p95 {p95} of {count} restores"));
            }
            _ => page.no_value("Restore time", "no restore is known"),
        }
    }
    let week = model.aws_now() - TimeDelta::days(7);
    if let Some(gap) = model.history.gap(week, model.styles.zone) {
        page.styled_value("History", "text.muted", &sanitize(&gap));
    }
}

fn format_hits(hits: Hits) -> String {
    match hits.percent() {
        Some(percent) => format!("{:.0} % of {} launches", percent.floor(), hits.total()),
        None => "no launches".to_owned(),
    }
}

fn is_of_pool(action: &str, target: &str) -> bool {
    target.starts_with("hatchery-") || target == "pool" || POOL_ACTIONS.contains(&action)
}

/// Adds those of the steps, each an action, its target and its reason, that are about the pool. Returns whether there are any.
fn list_of_pool<'a>(
    page: &mut Page<'_>,
    glyph: (&str, &str),
    steps: impl Iterator<Item = (&'static str, &'a str, &'a str)>,
) -> bool {
    let mut found = false;
    for (action, target, reason) in steps.filter(|(action, target, _)| is_of_pool(action, target)) {
        found = true;
        let text = format!("{} {target}: {reason}", action.replace('-', " "));
        page.paragraph(glyph, "text", &sanitize(&text));
    }
    found
}

fn next(page: &mut Page<'_>, model: &Model) {
    page.heading("What the engine does next");
    let steps = model.next_steps.iter().map(|step| (step.action, step.target.as_str(), step.reason.as_str()));
    if !list_of_pool(page, (page.styles.glyphs.half, "pool.creating"), steps) {
        let text =
            if model.fleet_view.is_some() { "nothing: the pool is as it should be" } else { "loading…" };
        page.paragraph((page.styles.glyphs.check, "done"), "text", text);
    }
}

fn refused(page: &mut Page<'_>, model: &Model) {
    page.heading("What it refuses");
    let refusals = model.refusals.iter();
    let refusals = refusals.map(|refusal| (refusal.action, refusal.target.as_str(), refusal.reason.as_str()));
    if !list_of_pool(page, (page.styles.glyphs.paused, "level.warning"), refusals) {
        page.paragraph((page.styles.glyphs.empty, "text.muted"), "text.muted", "nothing");
    }
}

fn columns(rows: &[&PoolRow]) -> [Column; 6] {
    let name = rows.iter().map(|row| text::width(&row.name)).max().unwrap_or(0).clamp(6, 24);
    let column = |title, min, max, priority| Column { title, min, max, alignment: Alignment::Left, priority };
    let right = |column| Column { alignment: Alignment::Right, ..column };
    [
        column("DATABASE", name.max(8), name.max(8), 6),
        column("STATE", 10, 10, 5),
        right(column("AGE", 4, 4, 3)),
        right(column("SNAPSHOT", 8, 8, 2)),
        right(column("RESTORE", 7, 8, 1)),
        column("", 8, usize::MAX, 4),
    ]
}

/// Returns the databases that environments have or will have, which the pane of the pool only counts.
pub(crate) fn claimed(model: &Model) -> Vec<PoolRow> {
    let Some(view) = &model.fleet_view else { return Vec::new() };
    let users = DatabaseUsers::new(&view.world);
    let names: HashMap<_, _> =
        model.environments.all().iter().map(|row| (&row.id, row.name.as_str())).collect();
    let row = |database: &Database| {
        let user = users.of(database);
        let used = match (user.and_then(|id| names.get(id)), user) {
            (Some(name), _) => format!("used by {name}"),
            (None, Some(id)) => format!("claimed by {id}"),
            (None, None) => "being retired".to_owned(),
        };
        PoolRow {
            number: database.number,
            name: short_name(database),
            state: DatabaseState::Claimed,
            progress: None,
            info: with_hydration(used, database),
        }
    };
    Pool::new(&view.world).in_state(DatabaseState::Claimed).map(row).collect()
}

fn cells(
    page: &Page<'_>,
    row: &PoolRow,
    database: Option<&Database>,
    now: DateTime<Utc>,
) -> Vec<Line<'static>> {
    let styles = page.styles;
    let (glyph, role) = styles.database(row.state);
    let none = || styles.glyphs.none.to_owned();
    let age = |at: Option<DateTime<Utc>>| {
        at.map_or_else(none, |at| format::coarse_age(format::between(at, now)).text)
    };
    let restore = database.and_then(Database::restore_time);
    let mut info = Vec::new();
    if let Some(progress) = row.progress {
        info.extend(styles.bar(progress.ratio, BAR_WIDTH));
        info.push(Span::raw("  "));
    }
    info.push(styles.span("text.muted", &row.info));
    let muted = |text: String| Line::from(styles.span("text.muted", text));
    vec![
        Line::from(styles.span("text.strong", &row.name)),
        Line::from(styles.span(role, format!("{glyph} {}", row.state))),
        muted(age(database.and_then(Database::since))),
        muted(age(database.and_then(|database| database.snapshot_at))),
        muted(
            restore.map_or_else(none, |took| format_duration(Duration::from_secs(took.as_secs() / 60 * 60))),
        ),
        Line::from(info),
    ]
}

fn free(page: &mut Page<'_>, model: &Model, past: &PoolPast) {
    let zone = model.styles.zone;
    let target = model.pool.status.target;
    let mut add = |title: &str, (buckets, history): &(Buckets, FreeHistory), format: &str| {
        page.heading(title);
        let label = |index| zone.at(buckets.start(index)).format(format).to_string();
        for line in graph::lines(page.styles, &history.lowest, target, page.width, label) {
            page.line(line);
        }
    };
    add("Free databases, 24 hours: the lowest number in each quarter of an hour", &past.day, "%H:%M");
    add("Free databases, 7 days: the lowest number in each hour", &past.week, "%a %d");
    let unknown = past.week.1.lowest.iter().any(Option::is_none);
    let note = match (past.week.1.unsure, unknown) {
        (0, false) => return,
        (0, true) => format!("{} not known", page.styles.glyphs.dot),
        (unsure, _) => format!(
            "{} not known; {unsure} databases are not counted, because the log does not tell when they were free",
            page.styles.glyphs.dot
        ),
    };
    page.styled_line("text.muted", &note);
}

fn restores(page: &mut Page<'_>, past: &PoolPast) {
    page.heading("Restore times");
    let bars = past.restores.histogram();
    let highest = bars.iter().map(|(.., count)| *count).max().unwrap_or(1).max(1);
    if bars.is_empty() {
        page.paragraph((page.styles.glyphs.empty, "text.muted"), "text.muted", "no restore is known");
    }
    for (from, to, count) in bars {
        let name = to.map_or_else(|| format!("{from}m or more"), |to| format!("{from}-{to}m"));
        #[allow(clippy::cast_precision_loss)]
        let ratio = count as f64 / highest as f64;
        let (mut bar, _) = page.styles.glyphs.progress(ratio, HISTOGRAM_WIDTH);
        if bar.is_empty() && count > 0 {
            page.styles.glyphs.bar[0].clone_into(&mut bar);
        }
        let count = page.styles.span("text", format!("{count:>4}  "));
        page.spans(&name, vec![count, page.styles.span("bar", bar)]);
    }
}

fn failures(page: &mut Page<'_>, past: &PoolPast) {
    page.heading("Failures by cause and day, in days ago");
    if past.failures.is_empty() {
        let text = "none in the known part of the last 7 days";
        return page.paragraph((page.styles.glyphs.check, "done"), "text", text);
    }
    let day =
        |title: &'static str| Column { title, min: 5, max: 5, alignment: Alignment::Right, priority: 1 };
    let cause = Column { title: "CAUSE", min: 16, max: 60, alignment: Alignment::Left, priority: 9 };
    let mut columns = vec![cause];
    columns.extend(DAYS.map(day));
    // Of a narrow table, the latest days stay.
    for (column, priority) in columns.iter_mut().skip(1).zip(1..) {
        column.priority = priority;
    }
    let none = page.styles.glyphs.dot;
    let rows = past.failures.iter().take(MAX_CAUSES).map(|failures| {
        let (_, role) = page.styles.level(Level::Error);
        let mut cells = vec![Line::from(page.styles.span("text", failures.cause.to_string()))];
        cells.extend(past.days.iter().map(|day| match failures.by_day.get(day) {
            Some(count) => Line::from(page.styles.span(role, count.to_string())),
            None => Line::from(page.styles.span("text.muted", none)),
        }));
        cells
    });
    let rows: Vec<_> = rows.collect();
    page.table(&columns, rows);
    if past.failures.len() > MAX_CAUSES {
        let more = past.failures.len() - MAX_CAUSES;
        page.styled_line("text.muted", &format!("and {more} more causes; see: hatchery activity --since 7d"));
    }
}
