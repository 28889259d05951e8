//! The pages of the pool, the activity, the details and the health, with history from the audit log.
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::domain::history::Reading;
use hatchery::domain::instance::parse_timeline;
use hatchery::domain::{AuditEvent, CloudError, ErrorClass, LastPass, Outcome, Phase};
use hatchery::engine::{Event, NextStep, Refusal};
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, Model, Msg};
use hatchery::tui::glyphs;
use insta::assert_snapshot;
use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rstest::rstest;

use crate::support::builders;
use crate::support::sample_fleet::{
    self, blank, instance, model, moment, now, options, press, record, screen, seeing, send, type_in, world,
};

fn at(minutes_ago: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes_ago)
}

fn event(minutes_ago: i64, who: &str, action: &str, target: &str) -> AuditEvent {
    let reason = "the policy sets spare=2".into();
    AuditEvent { reason, ..builders::audit_event(at(minutes_ago), who, action, target) }
}

/// The restore, the launch and the end of twenty databases within a week, one of which was claimed too early.
fn week() -> Vec<AuditEvent> {
    let mut events = Vec::new();
    for number in 100..120_i64 {
        let start = (120 - number) * 470 - 90;
        let (id, database) = (format!("dev-{number}"), format!("hatchery-dev-{number}"));
        let took = 12 + number * 7 % 9;
        let is_miss = number == 109;
        events.push(event(start, "engine@schedule", "create-database", &database));
        let launched = start - if is_miss { 5 } else { took + 90 + number % 4 * 60 };
        let restore_seconds = (!is_miss).then(|| u64::try_from(took * 60).unwrap());
        events.push(AuditEvent {
            restore_seconds,
            reason: "as ledger-spike".into(),
            ..event(launched, "amy", "launch", &id)
        });
        events.push(event(launched - 3, "engine@schedule", "delete-database", &database));
    }
    for (days, code) in [
        (0, "InsufficientDBInstanceCapacity"),
        (0, "StorageQuotaExceeded"),
        (2, "InsufficientDBInstanceCapacity"),
    ] {
        events.push(AuditEvent {
            outcome: Outcome::Failed,
            detail: format!("RestoreDBInstanceFromDBSnapshot: it cannot be restored ({code})").into(),
            ..event(50 + days * 1_440, "engine@ci", "create-database", "hatchery-dev-15")
        });
    }
    events.push(AuditEvent {
        detail: "payments f-122 → f-123, ledger pr-39 → pr-40".into(),
        reason: "requested".into(),
        ..event(70, "pwong", "redeploy", "dev-12")
    });
    events
}

fn reading(days: i64) -> Reading {
    Reading { since: now() - TimeDelta::days(days), until: now() }
}

/// The sample fleet after the last day of its log was read, with a plan.
fn informed(width: u16, height: u16) -> Model {
    let mut model = model(width, height);
    inform(&mut model);
    model
}

/// Tells a dashboard of the last day and of a plan.
fn inform(model: &mut Model) {
    let day: Vec<_> = week().into_iter().filter(|event| event.at >= at(1_440)).collect();
    send(model, Msg::Engine(Event::Activity(day)));
    send(model, Msg::Engine(Event::AuditRead(Ok(reading(1)))));
    let refusal = Refusal {
        action: "retire-database",
        target: "hatchery-dev-14".to_owned(),
        reason: "only 0 of 1 fresh databases are free; it stays until its replacement is free".to_owned(),
    };
    send(model, Msg::Engine(Event::Refused(vec![refusal])));
    let next = |action, target: &str, reason: &str| NextStep {
        action,
        target: target.to_owned(),
        reason: reason.to_owned(),
    };
    let steps = vec![
        next("create-database", "hatchery-dev-17", "the policy sets spare=2; 1 missing"),
        next("mark-reaping", "dev-9", "it has expired"),
    ];
    send(model, Msg::Engine(Event::Planned(steps)));
}

/// Tells a dashboard of the whole week.
pub(super) fn with_history(model: &mut Model) {
    inform(model);
    send(model, Msg::History(Ok((week(), reading(7)))));
}

/// The page of the pool after the week was read.
fn pool_page(width: u16, height: u16) -> Model {
    let mut model = informed(width, height);
    let effects = press(&mut model, &["P"]);
    assert_eq!(effects, [Effect::ReadHistory(model_now() - TimeDelta::days(7))]);
    send(&mut model, Msg::History(Ok((week(), reading(7)))));
    model
}

/// AWS's time in [`model`], three seconds after its world.
fn model_now() -> DateTime<Utc> {
    now() + TimeDelta::seconds(3)
}

#[rstest]
#[case(60, 15)]
#[case(80, 24)]
#[case(160, 45)]
#[case(240, 60)]
fn pool(#[case] width: u16, #[case] height: u16) {
    let mut model = pool_page(width, height);
    assert_snapshot!(format!("pool_{width}x{height}"), screen(&model));
    press(&mut model, &["G"]);
    assert_snapshot!(format!("pool_{width}x{height}_end"), screen(&model));
}

#[rstest]
#[case::theme_without_colours(false)]
#[case::without_unicode(true)]
fn pages_need_neither_colours_nor_unicode(#[case] ascii: bool) {
    for keys in [&["P"][..], &["a"], &["!"], &["down", "down", "down", "down", "enter"]] {
        let mut options = options();
        options.choose_theme(Some("mono"), false).unwrap();
        if ascii {
            options.glyphs = glyphs::ASCII;
        }
        let mut mono = seeing(options, world(), 100, 60);
        let mut colours = seeing(sample_fleet::options(), world(), 100, 60);
        for model in [&mut mono, &mut colours] {
            send(model, Msg::Engine(Event::Activity(week())));
            send(model, Msg::Engine(Event::AuditRead(Ok(reading(7)))));
            press(model, keys);
        }
        if ascii {
            assert!(screen(&mono).is_ascii(), "{}", screen(&mono));
        } else {
            assert_eq!(screen(&mono), screen(&colours));
        }
    }
}

#[test]
fn week_is_read_once_and_a_failure_is_said() {
    let mut model = informed(100, 50);
    assert_eq!(press(&mut model, &["P"]).len(), 1);
    assert!(screen(&model).contains("reading the last seven days"), "{}", screen(&model));
    assert!(press(&mut model, &["esc", "a", "esc", "P"]).is_empty(), "it is being read");
    let failure =
        Failure::new(Kind::NotPermitted, "cannot read the audit log: denied", "ask for logs:FilterLogEvents");
    send(&mut model, Msg::History(Err(failure)));
    assert!(screen(&model).contains("cannot read the audit log: denied"), "{}", screen(&model));
    assert_eq!(press(&mut model, &["esc", "P"]).len(), 1, "opened again, it is read again");
    send(&mut model, Msg::History(Ok((week(), reading(7)))));
    assert!(!screen(&model).contains("History"), "{}", screen(&model));
    assert!(press(&mut model, &["esc", "a"]).is_empty());
    let denied = CloudError::new(ErrorClass::Auth, "FilterLogEvents", "AccessDenied", "denied");
    send(&mut model, Msg::Engine(Event::AuditRead(Err(denied))));
    assert!(screen(&model).contains("new events are missing: FilterLogEvents"), "{}", screen(&model));
}

/// A read that reaches its limit does not know what came before its first event.
#[test]
fn limited_history_is_said() {
    let mut model = informed(120, 60);
    press(&mut model, &["P"]);
    let limited = Reading { since: at(3_000), until: now() };
    send(&mut model, Msg::History(Ok((week(), limited))));
    let shown = screen(&model);
    assert!(shown.contains("events are known from 2026-03-08 10:04 on"), "{shown}");
    assert!(shown.contains("hatchery activity --since 14d"), "{shown}");
}

#[test]
fn nothing_is_requested_before_the_connection() {
    let mut model = blank(options(), 100, 24);
    assert!(press(&mut model, &["P", "esc", "a"]).is_empty());
    assert!(screen(&model).contains("the audit log has not been read yet"), "{}", screen(&model));
}

#[test]
fn enter_opens_the_page_of_the_focused_pane() {
    let mut model = informed(100, 24);
    press(&mut model, &["tab", "enter"]);
    assert!(screen(&model).contains("Warm pool"), "{}", screen(&model));
    assert!(!screen(&model).contains("Environments"), "{}", screen(&model));
    press(&mut model, &["esc", "tab", "enter"]);
    assert!(screen(&model).contains("CHANGE AND REASON"), "{}", screen(&model));
    press(&mut model, &["esc", "esc", "enter"]);
    assert!(screen(&model).contains("old-spike · dev-8"), "{}", screen(&model));
}

fn activity_page(width: u16, height: u16) -> Model {
    let mut model = informed(width, height);
    press(&mut model, &["a"]);
    send(&mut model, Msg::History(Ok((week(), reading(7)))));
    model
}

#[rstest]
#[case(60, 15)]
#[case(80, 24)]
#[case(160, 45)]
#[case(240, 60)]
fn activity(#[case] width: u16, #[case] height: u16) {
    let mut model = activity_page(width, height);
    press(&mut model, &["/"]);
    type_in(&mut model, "action:redeploy f-123");
    press(&mut model, &["enter"]);
    assert_snapshot!(format!("activity_page_{width}x{height}_filtered"), screen(&model));
    press(&mut model, &["esc", "down", "down", "down", "down", "down", "down"]);
    assert_snapshot!(format!("activity_page_{width}x{height}"), screen(&model));
}

#[test]
fn activity_is_filtered_and_scrolled() {
    let mut model = activity_page(100, 24);
    press(&mut model, &["/"]);
    type_in(&mut model, "result:failed storage");
    let shown = screen(&model);
    assert!(shown.contains("1 of ") && shown.contains("StorageQuotaExceeded"), "{shown}");
    send(&mut model, Msg::Paste(" zzz".to_owned()));
    assert!(screen(&model).contains("no event matches"), "{}", screen(&model));
    press(&mut model, &["enter", "esc"]);
    assert!(screen(&model).contains("Activity"), "the first esc clears the filter: {}", screen(&model));
    press(&mut model, &["G"]);
    let last = screen(&model);
    assert!(last.contains("▸ 03-04"), "{last}");
    let wheel =
        MouseEvent { kind: MouseEventKind::ScrollUp, column: 5, row: 8, modifiers: KeyModifiers::NONE };
    send(&mut model, Msg::Mouse(wheel));
    assert_ne!(screen(&model), last);
    let kind = MouseEventKind::Down(MouseButton::Left);
    send(&mut model, Msg::Mouse(MouseEvent { kind, row: 3, ..wheel }));
    let row = screen(&model).lines().nth(3).unwrap().to_owned();
    assert!(row.starts_with("│ ▸"), "{}", screen(&model));
    press(&mut model, &["esc"]);
    assert!(screen(&model).contains("Environments"), "{}", screen(&model));
}

/// An event that comes while the user reads an older one does not move the selection.
#[test]
fn selected_event_stays_when_others_come() {
    let mut model = activity_page(100, 24);
    press(&mut model, &["down", "down", "down"]);
    let selected = |model: &Model| screen(model).lines().find(|line| line.contains('▸')).unwrap().to_owned();
    let before = selected(&model);
    send(&mut model, Msg::Engine(Event::Activity(vec![event(0, "jo", "extend", "dev-9")])));
    assert_eq!(selected(&model), before);
    press(&mut model, &["g"]);
    assert!(selected(&model).contains("extended"), "{}", selected(&model));
}

/// The sample fleet with more ready environments, and one whose images take long.
fn details_page(width: u16, height: u16, keys: &[&str]) -> Model {
    let mut world = world();
    for number in 30..36_u32 {
        let record = record(number, &format!("env-{number}"), "jo", 200, 100);
        let mut instance = instance(&record, Some(Phase::Ready));
        let more = u64::from(number - 30);
        let timeline = format!(
            "booting=0 database={} images={} cluster={} services={} ready={}",
            22 + more,
            26 + more,
            60 + 2 * more,
            102 + 2 * more,
            180 + 3 * more
        );
        instance.timeline = parse_timeline(&timeline);
        instance.digests = [("payments".into(), format!("sha256:{}", "ab".repeat(32)).into())].into();
        let mut record = record;
        record.services = [("payments".into(), "f-123".into())].into();
        world.records.items.push(record);
        world.instances.items.push(instance);
    }
    let slow = "booting=0 database=24 images=27 cluster=201 services=244 ready=327";
    world.instances.items[4].timeline = parse_timeline(slow);
    let mut model = seeing(options(), world, width, height);
    model.set_now(moment(3));
    send(&mut model, Msg::Engine(Event::Activity(week())));
    send(&mut model, Msg::Engine(Event::AuditRead(Ok(reading(1)))));
    press(&mut model, keys);
    model
}

#[rstest]
#[case(60, 15)]
#[case(80, 24)]
#[case(160, 45)]
#[case(240, 60)]
fn details(#[case] width: u16, #[case] height: u16) {
    let mut model = details_page(width, height, &["down", "down", "down", "down", "enter"]);
    assert_snapshot!(format!("details_page_{width}x{height}"), screen(&model));
    press(&mut model, &["G"]);
    assert_snapshot!(format!("details_page_{width}x{height}_end"), screen(&model));
}

#[test]
fn details_explain_what_ends_and_why() {
    let model = details_page(120, 60, &["down", "enter"]);
    let shown = screen(&model);
    assert!(shown.contains("12:16 to 12:26 (in grace; an extension still keeps it)"), "{shown}");
    assert!(shown.contains("To do         extend it (e) to keep it"), "{shown}");
    let model = details_page(120, 60, &["down", "down", "enter"]);
    let shown = screen(&model);
    assert!(shown.contains("To do         read its log (L), keep it for inspection (H)"), "{shown}");
}

#[test]
fn slow_phase_is_named() {
    let model = details_page(120, 60, &["down", "down", "down", "down", "enter"]);
    let shown = screen(&model);
    let expected = "images is the slow phase: it took 2m 54s; of 6 others, half took at most";
    assert!(shown.contains(expected), "{shown}");
    assert!(shown.contains("dev-30 runs another image of this tag"), "{shown}");
    let model = details_page(120, 60, &["G", "enter"]);
    assert!(!screen(&model).contains("slow phase"), "{}", screen(&model));
}

#[rstest]
#[case(60, 15)]
#[case(80, 24)]
#[case(160, 45)]
#[case(240, 60)]
fn health(#[case] width: u16, #[case] height: u16) {
    let mut troubled = world();
    troubled.fleet.last_pass = Some(LastPass { at: at(95), by: "engine@ci".into() });
    troubled.databases.items[6].orphan_since = Some(at(20));
    troubled.instances.items[5].orphan_since = Some(at(20));
    let mut model = seeing(options(), troubled, width, height);
    press(&mut model, &["!"]);
    assert_snapshot!(format!("health_{width}x{height}"), screen(&model));
}

#[test]
fn health_is_said_at_zero_too() {
    let mut healthy = world();
    healthy.records.items.remove(2);
    healthy.instances.items.remove(2);
    let mut model = seeing(options(), healthy.clone(), 100, 24);
    press(&mut model, &["!"]);
    assert!(
        screen(&model).contains("0 problems, 0 leftovers, last recorded pass 3m ago by engine@schedule"),
        "{}",
        screen(&model)
    );
    send(&mut model, Msg::Engine(Event::Passed(Box::default())));
    model.set_now(moment(40));
    assert!(
        screen(&model).contains("0 problems, 0 leftovers, last pass 40s ago by this dashboard"),
        "{}",
        screen(&model)
    );
    healthy.databases.complete = false;
    let mut model = seeing(options(), healthy, 100, 24);
    press(&mut model, &["!"]);
    assert!(screen(&model).contains("leftovers unknown until everything is listed"), "{}", screen(&model));
}

/// Text of an event that would change the terminal.
#[test]
fn hostile_events_are_shown_safely() {
    let hostile = AuditEvent {
        who: "a\u{1b}[31mmy".into(),
        action: "la\u{7}unch".into(),
        reason: "x\u{1b}]0;owned\u{7}".into(),
        detail: "\u{202e}gnp.exe".into(),
        ..event(1, "", "", "dev-1\u{1b}[2J")
    };
    for keys in ["a", "P"] {
        let mut model = informed(100, 40);
        let failed =
            AuditEvent { outcome: Outcome::Failed, action: "create-database".into(), ..hostile.clone() };
        send(&mut model, Msg::Engine(Event::Activity(vec![hostile.clone(), failed])));
        press(&mut model, &[keys, "G"]);
        let shown = screen(&model);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown}");
    }
}

/// The page that is open follows the fleet.
#[test]
fn pool_page_follows_the_world() {
    let mut model = pool_page(100, 24);
    let mut next = world();
    next.databases.items.retain(|database| database.number.0 != 14);
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    assert!(screen(&model).contains("0 of 1 wanted"), "{}", screen(&model));
}
