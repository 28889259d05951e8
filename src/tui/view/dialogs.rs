//! The dialogs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use crate::tui::app::availability::PaletteRow;
use crate::tui::app::dialog::extend::{EXTENSIONS, ExtendPrompt};
use crate::tui::app::dialog::keep::KeepForm;
use crate::tui::app::dialog::launch::LaunchForm;
use crate::tui::app::dialog::log_prompt::LogPrompt;
use crate::tui::app::dialog::open::OpenMenu;
use crate::tui::app::dialog::palette::Palette;
use crate::tui::app::dialog::redeploy::RedeployForm;
use crate::tui::app::dialog::targets::{Target, Targets};
use crate::tui::app::dialog::terminate::TerminatePrompt;
use crate::tui::app::form::Field;
use crate::tui::app::rows::EnvironmentRow;
use crate::tui::format;
use crate::tui::styles::Styles;
use crate::tui::text;
use crate::tui::widgets::{field, frame, line};

/// The width of the column of field labels.
const LABEL_WIDTH: u16 = 14;

/// The width of the dialogs, without border and padding.
const FORM_WIDTH: u16 = 72;
const EXTEND_WIDTH: u16 = 60;
pub(super) const TERMINATE_WIDTH: u16 = 62;
pub(super) const PALETTE_WIDTH: u16 = 66;
pub(super) const MIN_OPEN_WIDTH: u16 = 44;
const MAX_OPEN_WIDTH: u16 = 90;
const MAX_NOTICE_WIDTH: usize = 76;

/// The columns before a URL in the menu.
const URL_INDENT: usize = 14;

/// What is between two suggestions.
const SUGGESTION_GAP: &str = "  ";

/// The width of the field for a custom extension.
const CUSTOM_WIDTH: u16 = 14;

/// Draws keys with their meaning on the last row, where they can be clicked.
pub(super) fn keys(styles: &Styles, buf: &mut Buffer, out: &mut Targets, area: Rect, pairs: &[(&str, &str)]) {
    let mut line = Vec::new();
    let last = rows_from_end(area, 1);
    let mut used = 0;
    for (key, help) in pairs {
        if !line.is_empty() {
            line.push(Span::raw("  "));
            used += 2;
        }
        line.push(styles.span("key", *key));
        line.push(styles.span("text.muted", format!(" {help}")));
        let width = columns_of(key) + columns_of(help) + 1;
        out.add_key(Rect { width, ..without_start(last, used) }.intersection(last), key);
        used += width;
    }
    line::put(buf, last, line, styles.glyphs.ellipsis);
}

/// Returns the part of the area from the `count`-th row from the end on.
pub(super) fn rows_from_end(area: Rect, count: u16) -> Rect {
    let height = area.height.min(count);
    Rect { y: area.bottom() - height, height, ..area }
}

/// Returns the area without its last `count` rows.
pub(super) fn without_end(area: Rect, count: u16) -> Rect {
    Rect { height: area.height.saturating_sub(count), ..area }
}

/// Returns the area without its first `columns` columns.
fn without_start(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect { x: area.x + columns, width: area.width - columns, ..area }
}

fn columns_of(text: &str) -> u16 {
    u16::try_from(text::width(text)).unwrap_or(u16::MAX)
}

/// Draws the form of a launch; `fleet` names the fleet in its title if there are several.
pub(crate) fn launch(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    launch: &LaunchForm,
    fleet: &str,
) -> Option<Position> {
    let title = format!("Launch an environment{fleet}");
    let suggestions = launch.suggestions();
    let extras = Extras {
        suggestions: (LaunchForm::SERVICES, &suggestions),
        notes: &launch.notes(),
        key: launch.outlook.last.is_some().then_some(("ctrl-l", "as last time")),
    };
    form(styles, buf, out, (&title, "launch"), &launch.fields, launch.focus, &extras)
}

pub(crate) fn keep(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    keep: &KeepForm,
) -> Option<Position> {
    form(styles, buf, out, (&keep.title(), keep.verb()), &keep.fields, keep.focus, &Extras::default())
}

pub(crate) fn log_prompt(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    prompt: &LogPrompt,
) -> Option<Position> {
    let fields = std::slice::from_ref(&prompt.field);
    form(styles, buf, out, (&prompt.title, prompt.verb()), fields, 0, &Extras::default())
}

/// What a form says beside its fields.
#[derive(Debug, Default)]
struct Extras<'a> {
    /// What a field can become, in place of its error.
    suggestions: (usize, &'a [String]),
    /// Lines below the fields.
    notes: &'a [String],
    /// A key of its own.
    key: Option<(&'a str, &'a str)>,
}

/// Draws a form with a line for each field's error, if there is room, and what enter does.
fn form(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    (title, verb): (&str, &str),
    fields: &[Field],
    focus: usize,
    extras: &Extras<'_>,
) -> Option<Position> {
    let tall = u16::try_from(2 + 2 * fields.len()).unwrap_or(u16::MAX);
    let notes = u16::try_from(extras.notes.len()).unwrap_or(u16::MAX);
    let area = frame::dialog(styles, buf, title, FORM_WIDTH, tall + 1 + notes);
    out.set_area(area);
    let has_error_lines = area.height >= tall;
    let (first, step) = if has_error_lines { (1, 2) } else { (0, 1) };
    let mut cursor = None;
    for (index, form_field) in fields.iter().enumerate() {
        let mut rows = area.rows().skip(first + index * step);
        let Some(row) = rows.next() else { break };
        let focused = focus == index;
        out.add(row, Target::Field(index));
        let at = labelled_field(styles, buf, row, form_field, focused);
        cursor = cursor.or(at.filter(|_| focused));
        let Some(row) = rows.next().filter(|_| has_error_lines) else { continue };
        let place = without_start(row, LABEL_WIDTH);
        let (suggesting, suggestions) = extras.suggestions;
        if focused && suggesting == index && !suggestions.is_empty() {
            put_suggestions(styles, buf, out, place, suggestions);
        } else if let Some(error) = form_field.visible_error() {
            let text = format!("{} {error}", styles.glyphs.cross);
            line::put(buf, place, styles.span("field.error", text), styles.glyphs.ellipsis);
        }
    }
    let used = first + fields.len() * step;
    let lines = extras.notes.iter().map(|note| Line::from(styles.span("text.muted", note)));
    for (row, line) in without_end(area, 1).rows().skip(used).zip(lines) {
        line::put(buf, row, line, styles.glyphs.ellipsis);
    }
    if usize::from(area.height) > used {
        let mut pairs = vec![("enter", verb)];
        pairs.extend((fields.len() > 1).then_some(("tab", "next field")));
        pairs.extend(extras.key);
        pairs.push(("esc", "cancel"));
        keys(styles, buf, out, area, &pairs);
    }
    cursor
}

/// Draws suggestions, which can be clicked.
fn put_suggestions(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    place: Rect,
    suggestions: &[String],
) {
    let text = suggestions.join(SUGGESTION_GAP);
    let line = vec![styles.span("key", "tab "), styles.span("text.muted", text)];
    line::put(buf, place, line, styles.glyphs.ellipsis);
    let mut rest = without_start(place, 4);
    for (index, suggestion) in suggestions.iter().enumerate() {
        let width = columns_of(suggestion).min(rest.width);
        out.add(Rect { width, ..rest }, Target::Suggestion(index));
        rest = without_start(rest, width + columns_of(SUGGESTION_GAP));
    }
}

/// Draws a label and its field; returns the position of the cursor.
pub(super) fn labelled_field(
    styles: &Styles,
    buf: &mut Buffer,
    area: Rect,
    form_field: &Field,
    focused: bool,
) -> Option<Position> {
    let label_role = if focused { "text.strong" } else { "text.muted" };
    line::put(buf, area, styles.span(label_role, form_field.label), "");
    let place = without_start(area, LABEL_WIDTH);
    let field_style = styles.role(if focused { "field.focus" } else { "field" });
    let style = match form_field.visible_error() {
        Some(_) => field_style.patch(styles.role("field.error")),
        None => field_style,
    };
    let cursor = field::draw(buf, place, &form_field.input, style);
    if form_field.input.value().is_empty() {
        let columns = usize::from(place.width);
        let placeholder = text::fit(&form_field.placeholder, columns, styles.glyphs.ellipsis);
        let style = field_style.patch(styles.role("text.muted"));
        buf.set_stringn(place.x, place.y, placeholder, columns, style);
    }
    cursor
}

/// Draws the prompt for an extension; `row` is `None` if the environment no longer exists.
pub(crate) fn extend(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    prompt: &ExtendPrompt,
    row: Option<&EnvironmentRow>,
    max_lifetime: Option<Duration>,
    now: DateTime<Utc>,
) -> Option<Position> {
    let name = row.map_or_else(|| prompt.id.to_string(), |row| row.name.clone());
    let area = frame::dialog(styles, buf, &format!("Extend {name}"), EXTEND_WIDTH, 7);
    out.set_area(area);
    let expires_at = row.and_then(|row| row.expires_at);
    let max = row.zip(max_lifetime).map(|(row, max)| row.details.record.created_at + max);
    let mut choices = Vec::new();
    let mut rest = area.rows().nth(2).unwrap_or_default();
    let labels = EXTENSIONS.iter().map(|(label, _)| format!(" +{label} "));
    for (index, label) in labels.chain([" other ".to_owned()]).enumerate() {
        if index > 0 {
            choices.push(Span::raw(" "));
            rest = without_start(rest, 1);
        }
        let role = if prompt.choice == index { "selection" } else { "text" };
        let width = columns_of(&label).min(rest.width);
        out.add(Rect { width, ..rest }, Target::Row(index));
        rest = without_start(rest, width);
        choices.push(styles.span(role, label));
    }
    let custom_at = choices.iter().map(Span::width).sum::<usize>() + 1;
    let result = match &prompt.custom.error {
        Some(error) if prompt.is_custom() => {
            styles.span("field.error", format!("{} {error}", styles.glyphs.cross))
        }
        _ => {
            let text = prompt.preview(expires_at, max, now).map(|extension| {
                let at = format::short_date_time(extension.expires_at, now, styles.zone);
                let note = if extension.capped { ", the fleet's max-lifetime" } else { "" };
                format!("extends to {at}{note}")
            });
            styles.span("text", text.unwrap_or_default())
        }
    };
    let lines = [
        Line::from(current_end(styles, expires_at, now)),
        Line::default(),
        Line::from(choices),
        Line::default(),
        Line::from(result),
    ];
    line::put_all(buf, area, lines, styles.glyphs.ellipsis);
    if area.height > 5 {
        let pairs = [("enter", "extend"), ("tab", "next"), ("0-9", "other"), ("esc", "cancel")];
        keys(styles, buf, out, area, &pairs);
    }
    let row = area.rows().nth(2).filter(|_| prompt.is_custom())?;
    let place = without_start(row, u16::try_from(custom_at).unwrap_or(u16::MAX));
    let place = Rect { width: place.width.min(CUSTOM_WIDTH), ..place };
    field::draw(buf, place, &prompt.custom.input, styles.role("field.focus"))
}

fn current_end(styles: &Styles, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Vec<Span<'static>> {
    match expires_at {
        Some(at) if at > now => vec![
            styles.span("text.muted", "ends in "),
            styles.span("text", format::left(format::between(now, at)).text),
            styles.span("text.muted", format!(", at {}", format::short_date_time(at, now, styles.zone))),
        ],
        Some(_) => vec![styles.span("state.expired", "expired; extend it to keep it")],
        None => vec![styles.span("text.muted", "unreadable expiry")],
    }
}

/// Draws the confirmation of a termination or a reset with what it destroys, and where.
pub(crate) fn terminate(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    prompt: &TerminatePrompt,
    place: &str,
    losses: &[String],
) -> Option<Position> {
    let glyphs = &styles.glyphs;
    let columns = usize::from(TERMINATE_WIDTH.min(buf.area.width.saturating_sub(4)));
    let mut lines: Vec<_> = text::wrap(&format!("In {place}."), columns.max(8))
        .into_iter()
        .map(|part| Line::from(styles.span("text.strong", part)))
        .collect();
    lines.push(Line::from(vec![
        styles.span("danger", "This cannot be undone. "),
        styles.span("text", "What will be lost:"),
    ]));
    for loss in losses {
        for (index, part) in text::wrap(loss, columns.saturating_sub(4).max(8)).into_iter().enumerate() {
            let bullet = if index == 0 { format!("  {} ", glyphs.dot) } else { "    ".to_owned() };
            lines.push(Line::from(vec![styles.span("danger", bullet), styles.span("text", part)]));
        }
    }
    lines.push(Line::default());
    // The question and the keys have their rows even if not all losses fit.
    let reserved = if prompt.confirmation.is_some() { 3 } else { 1 };
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(reserved);
    let (capital, verb) = prompt.loss.verb();
    let title = format!("{capital} {} {} {}?", prompt.name, glyphs.dot, prompt.id);
    let area = frame::dialog(styles, buf, &title, TERMINATE_WIDTH, height);
    out.set_area(area);
    line::put_all(buf, without_end(area, reserved), lines, glyphs.ellipsis);
    let Some(required) = &prompt.confirmation else {
        keys(styles, buf, out, area, &[("y", verb), ("n", "cancel")]);
        return None;
    };
    let question = format!("Type {required} to confirm: ");
    let row = Rect { height: area.height.min(1), ..rows_from_end(area, reserved) };
    let used = columns_of(&question).min(area.width.saturating_sub(4));
    line::put(buf, row, styles.span("text.strong", question), glyphs.ellipsis);
    let role = if prompt.is_confirmed() { "danger" } else { "field.focus" };
    let style = styles.role("field.focus").patch(styles.role(role));
    let cursor = field::draw(buf, without_start(row, used), &prompt.typed, style);
    keys(styles, buf, out, area, &[("enter", verb), ("esc", "cancel")]);
    cursor
}

pub(crate) fn redeploy(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    form: &RedeployForm,
) -> Option<Position> {
    let area = frame::dialog(styles, buf, &format!("Redeploy {}", form.name), FORM_WIDTH, 4);
    out.set_area(area);
    let mut rows = area.rows();
    let cursor = labelled_field(styles, buf, rows.next()?, &form.services, true);
    if let Some(row) = rows.next() {
        let place = without_start(row, LABEL_WIDTH);
        let line = match form.services.visible_error() {
            Some(error) => styles.span("field.error", format!("{} {error}", styles.glyphs.cross)),
            None => styles.span("text.muted", form.preview().unwrap_or_default()),
        };
        line::put(buf, place, line, styles.glyphs.ellipsis);
    }
    if let Some(row) = rows.next().filter(|row| row.bottom() < area.bottom()) {
        let suggestions = form.suggestions();
        if suggestions.is_empty() {
            let note = form.suggestions.note.clone().unwrap_or_default();
            line::put(buf, row, styles.span("text.muted", note), styles.glyphs.ellipsis);
        } else {
            put_suggestions(styles, buf, out, without_start(row, LABEL_WIDTH), &suggestions);
        }
    }
    if area.height > 2 {
        keys(styles, buf, out, area, &[("enter", "redeploy"), ("esc", "cancel")]);
    }
    cursor
}

/// Draws the menu of endpoints; `row` is `None` if the environment no longer exists.
pub(crate) fn open(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    menu: &OpenMenu,
    row: Option<&EnvironmentRow>,
) {
    let Some(row) = row else {
        return notice(styles, buf, out, "Open", &[format!("{} no longer exists", menu.id)]);
    };
    let addresses = row.addresses.iter().filter_map(|(_, address)| address.as_ref());
    let width =
        addresses.map(|address| text::width(&address.to_string())).max().unwrap_or(20) + URL_INDENT + 2;
    let width = u16::try_from(width).unwrap_or(u16::MAX).clamp(MIN_OPEN_WIDTH, MAX_OPEN_WIDTH);
    let area = frame::dialog(styles, buf, &format!("Open {}", row.name), width, 5);
    out.set_area(area);
    for ((index, (name, address)), place) in row.addresses.iter().enumerate().zip(area.rows()) {
        let (initial, rest) = name.split_at(1);
        let address = match address {
            Some(address) => styles.span("text", address.to_string()),
            None => styles.span("text.muted", "no address yet"),
        };
        let rest = format!("{rest:width$}", width = URL_INDENT - 1);
        let spans = vec![styles.span("key", initial), styles.span("text", rest), address];
        line::put(buf, place, spans, styles.glyphs.ellipsis);
        out.add(place, Target::Row(index));
        if index == menu.index {
            buf.set_style(place, styles.role("selection"));
        }
    }
    if area.height >= 5 {
        keys(styles, buf, out, area, &[("enter", "open"), ("a/d/l", "open directly"), ("esc", "close")]);
    }
}

pub(crate) fn palette(
    styles: &Styles,
    buf: &mut Buffer,
    out: &mut Targets,
    palette: &Palette,
    rows: Vec<PaletteRow>,
) -> Option<Position> {
    let area = frame::dialog(styles, buf, "Commands", PALETTE_WIDTH, 14);
    out.set_area(area);
    if area.is_empty() {
        return None;
    }
    let ellipsis = styles.glyphs.ellipsis;
    let top = Rect { height: 1, ..area };
    line::put(buf, top, styles.span("key", ":"), "");
    let cursor = field::draw(buf, without_start(top, 1), &palette.input, styles.role("field.focus"));
    let mut list = rows_from_end(area, area.height - 1);
    let (role, below) = match (&palette.error, palette.example()) {
        (Some(error), _) => ("field.error", format!("{} {error}", styles.glyphs.cross)),
        (None, Some(example)) => ("text.muted", format!("for example {example}")),
        (None, None) => ("text", String::new()),
    };
    if !below.is_empty() {
        for part in text::wrap(&below, usize::from(area.width)) {
            line::put(buf, list, styles.span(role, part), ellipsis);
            list = rows_from_end(list, list.height.saturating_sub(1));
        }
    }
    if rows.is_empty() {
        line::put(buf, list, styles.span("text.muted", "no matching command"), "");
    }
    // The list scrolls as far as needed to show the selected row.
    let offset = (palette.index + 1).saturating_sub(usize::from(list.height));
    for (place, (index, row)) in list.rows().zip(rows.into_iter().enumerate().skip(offset)) {
        let (id_role, help_role, help, key) = match row.disabled_reason {
            Some(reason) => ("text.muted", "text.muted", reason, String::new()),
            None => ("text.strong", "text", row.help, row.key),
        };
        let room = place.width.saturating_sub(columns_of(&key).saturating_add(2));
        let spans = vec![styles.span(id_role, format!("{:16}", row.id)), styles.span(help_role, help)];
        line::put(buf, Rect { width: room, ..place }, spans, ellipsis);
        line::put_right(buf, place, styles.span("key", key), "");
        out.add(place, Target::Row(index));
        if index == palette.index {
            buf.set_style(place, styles.role("selection"));
        }
    }
    cursor
}

/// Draws a text that any key closes.
pub(crate) fn notice(styles: &Styles, buf: &mut Buffer, out: &mut Targets, title: &str, lines: &[String]) {
    let max = usize::from(buf.area.width.saturating_sub(8)).clamp(1, MAX_NOTICE_WIDTH);
    let lines: Vec<_> = lines.iter().flat_map(|line| text::wrap(line, max)).collect();
    let width = lines.iter().map(|line| columns_of(line)).max().unwrap_or(0).max(20);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = frame::dialog(styles, buf, title, width, height);
    out.set_area(area);
    let lines = lines.into_iter().map(|line| Line::from(styles.span("text", line)));
    line::put_all(buf, without_end(area, 1), lines, styles.glyphs.ellipsis);
    keys(styles, buf, out, area, &[("any key", "to close")]);
    out.add_key(area, "esc");
}
