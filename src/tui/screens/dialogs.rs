//! What lies on top of a screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::{field, span};
use crate::tui::app::Model;
use crate::tui::app::dialog::{
    Dialog, EXTENSIONS, ExtendPrompt, LaunchForm, OpenMenu, Palette, TerminatePrompt,
};
use crate::tui::app::form::Field;
use crate::tui::text;
use crate::tui::units;
use crate::tui::widgets::frame;
use crate::tui::widgets::spans;

/// Columns of the labels of fields.
const LABELS: u16 = 14;

/// Draws a dialog, and says where the cursor is to stand.
pub fn draw(model: &Model, dialog: &Dialog, buf: &mut Buffer) -> Option<Position> {
    match dialog {
        Dialog::Launch(form) => launch(model, form, buf),
        Dialog::Extend(prompt) => extend(model, prompt, buf),
        Dialog::Terminate(prompt) => terminate(model, prompt, buf),
        Dialog::Open(menu) => {
            open(model, menu, buf);
            None
        }
        Dialog::Palette(palette) => commands(model, palette, buf),
        Dialog::Notice { title, lines } => {
            notice(model, title, lines, buf);
            None
        }
    }
}

/// Writes lines from the top of an area; gives the row below them.
fn write(model: &Model, buf: &mut Buffer, area: Rect, lines: Vec<Line<'static>>) -> u16 {
    let mut y = area.y;
    for line in lines {
        if y >= area.y + area.height {
            break;
        }
        spans::put(buf, Rect { y, height: 1, ..area }, line, model.options.glyphs.ellipsis);
        y += 1;
    }
    y
}

fn keys(model: &Model, pairs: &[(&str, &str)]) -> Line<'static> {
    let mut line = Vec::new();
    for (key, does) in pairs {
        if !line.is_empty() {
            line.push(Span::raw("  "));
        }
        line.push(span(model, "key", (*key).to_owned()));
        line.push(span(model, "text.muted", format!(" {does}")));
    }
    Line::from(line)
}

fn bottom(area: Rect) -> Rect {
    Rect { y: area.y + area.height.saturating_sub(1), height: area.height.min(1), ..area }
}

fn launch(model: &Model, form: &LaunchForm, buf: &mut Buffer) -> Option<Position> {
    let area = frame::dialog(model, buf, "Launch an environment", 72, 11);
    // Every field has a line for what is wrong with it, as long as there is the room.
    let step = if area.height >= 10 { 2 } else { 1 };
    let mut cursor = None;
    let mut y = area.y + u16::from(area.height >= 10);
    for (index, one) in form.fields.iter().enumerate() {
        if y >= area.y + area.height {
            break;
        }
        let at = line(model, buf, Rect { y, height: 1, ..area }, one, form.focus == index);
        cursor = at.or(cursor);
        if let Some(error) = one.error.as_ref().filter(|_| one.visited)
            && step == 2
        {
            let place =
                Rect { x: area.x + LABELS, y: y + 1, width: area.width.saturating_sub(LABELS), height: 1 };
            let text = format!("{} {error}", model.options.glyphs.cross);
            spans::put(
                buf,
                place,
                Line::from(span(model, "field.error", text)),
                model.options.glyphs.ellipsis,
            );
        }
        y += step;
    }
    if y < area.y + area.height {
        let hints = keys(model, &[("enter", "launch"), ("tab", "next field"), ("esc", "cancel")]);
        spans::put(buf, bottom(area), hints, model.options.glyphs.ellipsis);
    }
    cursor
}

fn line(model: &Model, buf: &mut Buffer, area: Rect, one: &Field, focused: bool) -> Option<Position> {
    let role = if focused { "text.strong" } else { "text.muted" };
    spans::put(buf, area, Line::from(span(model, role, one.label)), "");
    let place = Rect { x: area.x + LABELS.min(area.width), width: area.width.saturating_sub(LABELS), ..area };
    let wrong = one.error.is_some() && one.visited;
    let style = model.theme.style(if focused { "field.focus" } else { "field" });
    let style = if wrong { style.patch(model.theme.style("field.error")) } else { style };
    let cursor = field(buf, place, &one.input, style);
    if one.input.value().is_empty() {
        let hint = text::fit(&one.placeholder, usize::from(place.width), model.options.glyphs.ellipsis);
        let muted = model
            .theme
            .style(if focused { "field.focus" } else { "field" })
            .patch(model.theme.style("text.muted"));
        buf.set_stringn(place.x, place.y, hint, usize::from(place.width), muted);
    }
    cursor.filter(|_| focused)
}

fn extend(model: &Model, prompt: &ExtendPrompt, buf: &mut Buffer) -> Option<Position> {
    let row = model.all.iter().find(|row| row.record == prompt.record);
    let name = row.map_or_else(|| prompt.id.to_string(), |row| row.name.clone());
    let area = frame::dialog(model, buf, &format!("Extend {name}"), 60, 7);
    let now = model.aws_now();
    let ends = row.and_then(|row| row.expires_at);
    let zone = model.options.zone;
    let mut lines = vec![Line::from(match ends {
        Some(at) if at > now => vec![
            span(model, "text.muted", "ends in "),
            span(model, "text", units::left(units::between(now, at)).text),
            span(model, "text.muted", format!(", at {}", units::when(at, now, zone))),
        ],
        Some(_) => vec![span(model, "state.expired", "its time is over; more time keeps it")],
        None => vec![span(model, "text.muted", "its expiry cannot be read")],
    })];
    lines.push(Line::default());
    let mut choices = Vec::new();
    for (index, (label, _)) in EXTENSIONS.iter().enumerate() {
        let role = if prompt.choice == index { "selection" } else { "text" };
        choices.push(span(model, role, format!(" +{label} ")));
        choices.push(Span::raw(" "));
    }
    let role = if prompt.is_custom() { "selection" } else { "text" };
    choices.push(span(model, role, " other "));
    let offset = spans::width(&Line::from(choices.clone())) + 1;
    lines.push(Line::from(choices));
    let until = prompt.by().and_then(|by| {
        let base = ends.map_or(now, |at| at.max(now));
        let cap = model
            .fleet_view
            .as_ref()
            .zip(row)
            .map(|(seen, row)| row.facts.record.created_at + seen.world.fleet.policy.max_lifetime);
        let asked = base.checked_add_signed(chrono::TimeDelta::from_std(by).ok()?)?;
        let (until, capped) = cap.filter(|cap| *cap < asked).map_or((asked, false), |cap| (cap, true));
        let note = if capped { " (the policy's limit)" } else { "" };
        Some(format!("then ends at {}{note}", units::when(until, now, zone)))
    });
    lines.push(Line::default());
    lines.push(match (&prompt.custom.error, until) {
        (Some(error), _) if prompt.is_custom() => {
            Line::from(span(model, "field.error", format!("{} {error}", model.options.glyphs.cross)))
        }
        (_, until) => Line::from(span(model, "text", until.unwrap_or_default())),
    });
    write(model, buf, area, lines);
    let hints = keys(model, &[("enter", "extend"), ("tab", "next"), ("0-9", "other"), ("esc", "cancel")]);
    if area.height > 5 {
        spans::put(buf, bottom(area), hints, model.options.glyphs.ellipsis);
    }
    if !prompt.is_custom() || area.height < 3 {
        return None;
    }
    let offset = u16::try_from(offset).unwrap_or(u16::MAX).min(area.width);
    let place = Rect { x: area.x + offset, y: area.y + 2, width: (area.width - offset).min(14), height: 1 };
    field(buf, place, &prompt.custom.input, model.theme.style("field.focus"))
}

fn terminate(model: &Model, prompt: &TerminatePrompt, buf: &mut Buffer) -> Option<Position> {
    let row = model.all.iter().find(|row| row.record == prompt.record);
    let mut lines = vec![Line::from(vec![
        span(model, "danger", "This cannot be undone. "),
        span(model, "text", "What will be lost:"),
    ])];
    let mut lost = Vec::new();
    if let Some(row) = row {
        match &row.facts.instance {
            Some(instance) => {
                let up =
                    units::length(units::between(instance.launched_at, model.aws_now()).as_secs() / 60 * 60);
                lost.push(format!("instance {} ({}), up {up}", instance.id, instance.instance_type));
            }
            None => lost.push("its place: the instance has not been launched yet".to_owned()),
        }
        match &row.facts.database {
            Some(database) => {
                lost.push(format!("database {} and all data in it; no snapshot is taken", database.id));
            }
            None => lost.push(format!("database {}", row.id.database_id())),
        }
        if !row.facts.record.services.is_empty() {
            lost.push(format!("services under test: {}", row.services));
        }
        if prompt.ask.is_some() {
            lost.push(format!("the work of {}, whose environment this is", row.owner));
        }
    } else {
        lost.push("nothing: it is gone already".to_owned());
    }
    let width = 62_u16;
    let columns = usize::from(width.min(buf.area.width.saturating_sub(4))).saturating_sub(4).max(8);
    for item in lost {
        for (index, piece) in text::fold(&item, columns).into_iter().enumerate() {
            let sign =
                if index == 0 { format!("  {} ", model.options.glyphs.dot) } else { "    ".to_owned() };
            lines.push(Line::from(vec![span(model, "danger", sign), span(model, "text", piece)]));
        }
    }
    lines.push(Line::default());
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(if prompt.ask.is_some() {
        3
    } else {
        1
    });
    let title = format!("Terminate {} {} {}?", prompt.name, model.options.glyphs.dot, prompt.id);
    let area = frame::dialog(model, buf, &title, width, height);
    let Some(ask) = &prompt.ask else {
        let room = Rect { height: area.height.saturating_sub(1), ..area };
        write(model, buf, room, lines);
        spans::put(buf, bottom(area), keys(model, &[("y", "terminate"), ("n", "keep it")]), "");
        return None;
    };
    // The question stays in sight, whatever else has no room.
    let room = Rect { height: area.height.saturating_sub(3), ..area };
    write(model, buf, room, lines);
    let question = format!("Type {ask} to confirm: ");
    let y = area.y + area.height.saturating_sub(3);
    let place = Rect { y, height: area.height.min(1), ..area };
    spans::put(
        buf,
        place,
        Line::from(span(model, "text.strong", question.clone())),
        model.options.glyphs.ellipsis,
    );
    let used = u16::try_from(text::width(&question)).unwrap_or(u16::MAX).min(area.width.saturating_sub(4));
    let place = Rect { x: area.x + used, width: area.width.saturating_sub(used), ..place };
    let role = if prompt.is_confirmed() { "danger" } else { "field.focus" };
    let style = model.theme.style("field.focus").patch(model.theme.style(role));
    let cursor = field(buf, place, &prompt.typed, style);
    spans::put(buf, bottom(area), keys(model, &[("enter", "terminate"), ("esc", "keep it")]), "");
    cursor
}

fn open(model: &Model, menu: &OpenMenu, buf: &mut Buffer) {
    let Some(row) = model.all.iter().find(|row| row.record == menu.record) else {
        notice(model, "Open", &["the environment is gone".to_owned()], buf);
        return;
    };
    let widest =
        row.urls.iter().filter_map(|(_, url)| url.as_ref()).map(|url| text::width(url)).max().unwrap_or(20);
    let width = u16::try_from(widest + 16).unwrap_or(u16::MAX).clamp(44, 90);
    let area = frame::dialog(model, buf, &format!("Open {}", row.name), width, 5);
    for (index, (name, url)) in row.urls.iter().enumerate() {
        let y = area.y + u16::try_from(index).unwrap_or(0);
        if y >= area.y + area.height {
            break;
        }
        let place = Rect { y, height: 1, ..area };
        let role = if url.is_some() { "text" } else { "text.muted" };
        let line = Line::from(vec![
            span(model, "key", name.chars().take(1).collect::<String>()),
            span(model, "text", format!("{:13}", &name[1..])),
            span(model, role, url.clone().unwrap_or_else(|| "no address yet".to_owned())),
        ]);
        spans::put(buf, place, line, model.options.glyphs.ellipsis);
        if index == menu.index {
            buf.set_style(place, model.theme.style("selection"));
        }
    }
    if area.height >= 5 {
        spans::put(
            buf,
            bottom(area),
            keys(model, &[("enter", "open"), ("a d l", "directly"), ("esc", "close")]),
            "",
        );
    }
}

fn commands(model: &Model, palette: &Palette, buf: &mut Buffer) -> Option<Position> {
    let found = palette.found(model.context());
    let area = frame::dialog(model, buf, "Commands", 66, 14);
    if area.is_empty() {
        return None;
    }
    let ascii = model.options.glyphs.name == "ascii";
    let top = Rect { height: 1, ..area };
    spans::put(buf, top, Line::from(span(model, "key", ":")), "");
    let place = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..top };
    let cursor = field(buf, place, &palette.input, model.theme.style("field.focus"));
    let height = usize::from(area.height.saturating_sub(1));
    let offset = (palette.index + 1).saturating_sub(height);
    for (y, (index, entry)) in (area.y + 1..area.y + area.height).zip(found.iter().enumerate().skip(offset)) {
        let place = Rect { y, height: 1, ..area };
        let why = model.why_not(entry.action);
        let role = if why.is_some() { "text.muted" } else { "text" };
        let keys =
            if why.is_some() { String::new() } else { model.options.keymap.shown(entry.action, ascii) };
        let taken = u16::try_from(text::width(&keys)).unwrap_or(u16::MAX).saturating_add(2);
        let room = area.width.saturating_sub(taken);
        let line = Line::from(vec![
            span(model, if why.is_some() { "text.muted" } else { "text.strong" }, format!("{:16}", entry.id)),
            span(model, role, why.unwrap_or(entry.help)),
        ]);
        spans::put(buf, Rect { width: room, ..place }, line, model.options.glyphs.ellipsis);
        spans::put_right(buf, place, Line::from(span(model, "key", keys)), "");
        if index == palette.index {
            buf.set_style(place, model.theme.style("selection"));
        }
    }
    if found.is_empty() && area.height > 1 {
        let place = Rect { y: area.y + 1, height: 1, ..area };
        spans::put(buf, place, Line::from(span(model, "text.muted", "no command is called that")), "");
    }
    cursor
}

fn notice(model: &Model, title: &str, lines: &[String], buf: &mut Buffer) {
    let most = usize::from(buf.area.width.saturating_sub(8)).clamp(1, 76);
    let folded: Vec<_> = lines.iter().flat_map(|line| text::fold(line, most)).collect();
    let width = folded.iter().map(|line| text::width(line)).max().unwrap_or(0).max(20);
    let height = u16::try_from(folded.len() + 2).unwrap_or(u16::MAX);
    let area = frame::dialog(model, buf, title, u16::try_from(width).unwrap_or(u16::MAX), height);
    let room = Rect { height: area.height.saturating_sub(1), ..area };
    write(model, buf, room, folded.into_iter().map(|line| Line::from(span(model, "text", line))).collect());
    spans::put(buf, bottom(area), keys(model, &[("any key", "closes this")]), "");
}
