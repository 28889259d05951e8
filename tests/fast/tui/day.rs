//! A day of the dashboard: what it keeps is bounded.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::TimeDelta;
use hatchery::cloud::{LogItem, LogLine};
use hatchery::domain::{AuditEvent, Outcome};
use hatchery::engine::Event;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, Model, Msg};

use crate::support::sample_fleet::{draw_clickable, model, moment, now, press, record, send, world};

const HOURS: u64 = 24;

/// The hour from which on nothing may grow: by then the audit log and the buffer of the open log are full.
const FULL: u64 = 12;

/// The size of all that the model keeps, as the length of its debug output.
fn size(model: &Model) -> usize {
    struct Length(usize);
    impl std::fmt::Write for Length {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut length = Length(0);
    write!(length, "{model:?}").unwrap();
    length.0
}

/// The environments change each ten minutes, and with them the numbers of records and instances.
fn observed(minute: u64) -> Event {
    let mut world = world();
    let number = 100 + u32::try_from(minute / 10 % 500).unwrap();
    let mut next = record(number, &format!("branch-{number}"), "amy", 1, 100);
    next.expires_at = Some(now() + TimeDelta::minutes(i64::try_from(minute).unwrap() + 45));
    world.records.items.push(next);
    let as_of = Some(now() + TimeDelta::minutes(i64::try_from(minute).unwrap()));
    for seen in [&mut world.records.as_of, &mut world.instances.as_of, &mut world.databases.as_of] {
        *seen = as_of;
    }
    Event::World(Arc::new(world))
}

fn events(minute: u64) -> Vec<AuditEvent> {
    let event = |second: u64| AuditEvent {
        at: now() + TimeDelta::seconds(i64::try_from(minute * 60 + second).unwrap()),
        who: if second.is_multiple_of(2) { "engine@ci".into() } else { "amy".into() },
        action: if second.is_multiple_of(2) { "create-database".into() } else { "extend".into() },
        target: format!("dev-{}", 10_000 + minute).into(),
        reason: "asked for".into(),
        outcome: if second == 0 { Outcome::Failed } else { Outcome::Done },
        detail: "".into(),
        restore_seconds: None,
        loaded_percent: None,
    };
    (0..20).map(event).collect()
}

fn lines(minute: u64) -> Vec<LogLine> {
    let line = |number: u64| LogLine {
        id: format!("{minute:05}-{number:04}"),
        at: now() + TimeDelta::milliseconds(i64::try_from(minute * 60_000 + number).unwrap()),
        source: format!("service-{}", number % 7).into(),
        text: format!("INFO GET /orders/{} 200 {}ms", 100_000 + minute, "x".repeat(1_000)).into(),
    };
    (0..50).map(line).collect()
}

fn generation(effects: &[Effect]) -> u64 {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::FollowLogs(_, generation) => Some(*generation),
        _ => None,
    });
    found.unwrap()
}

/// One dashboard has a log open all day; the other opens and closes views, dialogs, logs and shells.
#[test]
fn day_with_logs_and_shells_keeps_the_memory_flat() {
    let (mut tailing, mut busy) = (model(160, 45), model(100, 30));
    press(&mut tailing, &["down", "down", "down", "down"]);
    let stream = generation(&press(&mut tailing, &["L"]));
    let mut sizes = Vec::new();
    for minute in 0..HOURS * 60 {
        for model in [&mut tailing, &mut busy] {
            model.set_now(moment(minute * 60));
            if minute.is_multiple_of(10) {
                send(model, Msg::Engine(observed(minute)));
            }
            send(model, Msg::Engine(Event::Activity(events(minute))));
        }
        send(&mut tailing, Msg::Log(stream, Ok(LogItem::Lines(lines(minute)))));
        if minute.is_multiple_of(10) {
            send(&mut tailing, Msg::Log(stream, Ok(LogItem::Interrupted("no update for 5 s".to_owned()))));
            send(&mut tailing, Msg::Log(stream, Ok(LogItem::Mode("live tail".to_owned()))));
            visit(&mut busy, minute);
        }
        if [60, FULL * 60, HOURS * 60].contains(&(minute + 1)) {
            draw_clickable(&mut tailing);
            sizes.push((size(&tailing), size(&busy)));
        }
    }
    let [first, full, last] = sizes[..] else { panic!("{sizes:?}") };
    assert!(full.0 > 5 * first.0, "the log was filled: {sizes:?}");
    // What varies with the numbers and times is less than that.
    assert!(last.0 < full.0 + full.0 / 50 && last.1 < full.1 + full.1 / 50, "{sizes:?}");
}

/// Opens and closes what there is, with a failure of each kind of task.
fn visit(model: &mut Model, minute: u64) {
    press(model, &["g", "down", "down", "down", "down"]);
    for keys in [
        &["enter", "esc"][..],
        &["P", "esc"],
        &["a", "G", "esc"],
        &["i", "esc"],
        &["!", "esc"],
        &["?", "esc"],
        &[":", "esc"],
        &["l", "esc"],
        &["e", "esc"],
        &["/", "b", "enter", "esc"],
    ] {
        press(model, keys);
        draw_clickable(model);
    }
    press(model, &["g", "down", "down", "down", "down"]);
    let stream = generation(&press(model, &["L"]));
    send(model, Msg::Log(stream, Ok(LogItem::Lines(lines(minute)))));
    send(model, Msg::Log(stream, Ok(LogItem::Older { lines: lines(minute), left_out: None })));
    press(model, &["/", "o", "r", "enter", "esc", "esc"]);
    // A line that comes after the log was closed.
    send(model, Msg::Log(stream, Ok(LogItem::Lines(lines(minute)))));
    for effect in press(model, &["s"]).into_iter().chain(press(model, &["D"])) {
        if let Effect::HandOver(request) = effect {
            let failure = Failure::new(Kind::Failed, "the session has ended", "");
            send(model, Msg::ConsoleClosed(request.clone(), Err(failure)));
            send(model, Msg::ConsoleClosed(request, Ok(None)));
        }
    }
    press(model, &["esc", "esc", "esc"]);
}
