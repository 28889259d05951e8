//! The main screen: filter, marks and batches, palette with arguments, mouse, summary.
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use hatchery::domain::{Outcome, Phase, RecordId, World};
use hatchery::engine::{Event, Extended, ExtensionUndo, Terminating};
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, Model, Msg};
use insta::assert_snapshot;
use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rstest::rstest;

use crate::support::builders;
use crate::support::sample_fleet::{
    activity, draw, draw_clickable, model, moment, now, options, press, record, screen, seeing, send,
    type_in, world,
};

fn mouse(model: &mut Model, kind: MouseEventKind, x: u16, y: u16) -> Vec<Effect> {
    send(model, Msg::Mouse(MouseEvent { kind, column: x, row: y, modifiers: KeyModifiers::NONE }))
}

fn click(model: &mut Model, x: u16, y: u16) -> Vec<Effect> {
    mouse(model, MouseEventKind::Down(MouseButton::Left), x, y)
}

/// Clicks on the first occurrence of a text.
fn click_on(model: &mut Model, text: &str) -> Vec<Effect> {
    let screen = screen(model);
    let (y, line) = screen.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
    let x = line[..line.find(text).unwrap()].chars().count();
    click(model, u16::try_from(x).unwrap(), u16::try_from(y).unwrap())
}

/// The names in the table, from the top.
fn names(model: &Model) -> Vec<String> {
    let screen = screen(model);
    let rows = screen.lines().skip(3).take_while(|line| line.starts_with('│'));
    rows.filter_map(|line| {
        line.chars().skip(4).collect::<String>().split_whitespace().next().map(str::to_owned)
    })
    .filter(|word| word != "none" && word.chars().next().is_some_and(char::is_alphabetic))
    .collect()
}

fn filtered(text: &str) -> Vec<String> {
    let mut model = model(100, 24);
    press(&mut model, &["/"]);
    type_in(&mut model, text);
    names(&model)
}

#[rstest]
#[case::all_terms("owner:amy kyc", &["kyc-redesign"])]
#[case::state("state:failed", &["ledger-spike"])]
#[case::service("service:kyc", &["kyc-redesign"])]
#[case::note("note:voucher", &["checkout-fix"])]
#[case::letters_left_out("chkfix", &["checkout-fix"])]
#[case::only_of_the_field("owner:kyc", &[])]
fn filter_terms(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(filtered(text), expected);
}

/// A filter changes neither the sort order of exact matches nor puts the others before them.
#[test]
fn exact_matches_come_first_in_the_sort_order() {
    let mut next = world();
    next.records.items[0].name = "k-y-c".into();
    let mut model = seeing(options(), next, 100, 24);
    press(&mut model, &["/"]);
    type_in(&mut model, "kyc");
    assert_eq!(names(&model), ["kyc-redesign", "k-y-c"]);
}

#[test]
fn letters_left_out_are_highlighted() {
    let mut model = model(100, 24);
    press(&mut model, &["/"]);
    type_in(&mut model, "chfix");
    press(&mut model, &["enter"]);
    let buf = draw(&model);
    let highlight = |x: u16| buf[(x, 3)].style() != buf[(4 + 2, 3)].style();
    let marked: String = (4..16).map(|x| if highlight(x) { buf[(x, 3)].symbol() } else { "." }).collect();
    assert_eq!(marked, "ch.......fix");
}

#[test]
fn mine_limits_the_table_to_the_user() {
    let mut model = model(100, 24);
    press(&mut model, &["M"]);
    assert_eq!(names(&model), ["friday-demo", "checkout-fix"]);
    assert!(screen(&model).contains("Environments · mine"), "{}", screen(&model));
    press(&mut model, &["M"]);
    assert_eq!(names(&model).len(), 7);
}

/// Marks `friday-demo` and `checkout-fix`, which are the user's.
fn marked(width: u16, height: u16) -> Model {
    let mut model = model(width, height);
    press(&mut model, &["down", "down", "down", " ", " "]);
    model
}

#[test]
fn marked_environments_are_extended_together() {
    let mut model = marked(100, 24);
    assert!(screen(&model).contains(" · 2 marked"), "{}", screen(&model));
    press(&mut model, &["e"]);
    type_in(&mut model, "3 hours please");
    assert!(press(&mut model, &["enter"]).is_empty());
    press(&mut model, &["ctrl-u"]);
    type_in(&mut model, "2h");
    let effects = press(&mut model, &["enter"]);
    let [Effect::Extend(first, one, by), Effect::Extend(second, other, _)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((one.to_string().as_str(), other.to_string().as_str()), ("dev-11", "dev-12"));
    assert_eq!(*by, Duration::from_hours(2));
    let extended = Extended { environment: one.clone(), expires_at: now(), capped: false, undo: None };
    send(&mut model, Msg::Extended(*first, Ok(extended)));
    assert!(screen(&model).contains("extending 2 environments…"), "{}", screen(&model));
    let failure = Failure::new(Kind::TooLate, "cannot extend dev-12: it is ending", "");
    send(&mut model, Msg::Extended(*second, Err(failure)));
    let shown = screen(&model);
    assert!(shown.contains("extended 1 environment; 1 failed"), "{shown}");
    assert!(shown.contains("cannot extend dev-12: it is ending"), "{shown}");
    press(&mut model, &["x"]);
    assert!(!screen(&model).contains(" · 2 marked"), "the marks are used up");
}

#[test]
fn extensions_of_marked_environments_are_undone_together() {
    let mut model = marked(100, 24);
    let effects = press(&mut model, &["e", "enter"]);
    assert_eq!(effects.len(), 2);
    for effect in &effects {
        let Effect::Extend(task, id, _) = effect else { panic!("{effect:?}") };
        let undo = ExtensionUndo {
            environment: id.clone(),
            record: RecordId::new("lt-1"),
            nonce: String::new(),
            expires_at: now() + TimeDelta::hours(4),
            earlier: now(),
        };
        let extended = Extended {
            environment: id.clone(),
            expires_at: undo.expires_at,
            capped: false,
            undo: Some(undo),
        };
        send(&mut model, Msg::Extended(*task, Ok(extended)));
    }
    let effects = press(&mut model, &["z"]);
    for effect in &effects {
        let Effect::UndoExtension(task, undo) = effect else { panic!("{effect:?}") };
        send(&mut model, Msg::ExtensionUndone(*task, undo.environment.clone(), Ok(now())));
    }
    assert_eq!(effects.len(), 2);
    assert!(screen(&model).contains("undid the extensions of 2 environments"), "{}", screen(&model));
}

#[test]
fn termination_of_own_marked_environments_takes_a_y() {
    let mut model = marked(100, 24);
    press(&mut model, &["x"]);
    assert!(press(&mut model, &["enter"]).is_empty());
    let effects = press(&mut model, &["y"]);
    assert_eq!(effects.len(), 2, "{effects:?}");
    for effect in effects {
        let Effect::Terminate(task, id) = effect else { panic!("{effect:?}") };
        send(
            &mut model,
            Msg::Terminated(task, id.clone(), Ok(Terminating { environment: id, delayed_by: None })),
        );
    }
    assert!(screen(&model).contains("✓ terminated 2 environments"), "{}", screen(&model));
}

#[test]
fn termination_of_others_environments_takes_a_typed_count() {
    let mut model = model(100, 24);
    // All seven, of which one is terminating already.
    press(&mut model, &["*", "x"]);
    assert!(screen(&model).contains("Type terminate 6 to confirm"), "{}", screen(&model));
    assert!(screen(&model).contains("left out: already terminating"), "{}", screen(&model));
    assert!(press(&mut model, &["y", "enter"]).is_empty());
    press(&mut model, &["backspace"]);
    type_in(&mut model, "terminate 6");
    assert_eq!(press(&mut model, &["enter"]).len(), 6);
}

#[test]
fn environment_that_is_gone_fails_alone() {
    let mut model = marked(100, 24);
    press(&mut model, &["x"]);
    let mut next = world();
    next.records.items.retain(|record| record.name != "checkout-fix");
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    let effects = press(&mut model, &["y"]);
    let [Effect::Terminate(task, id)] = &effects[..] else { panic!("{effects:?}") };
    send(
        &mut model,
        Msg::Terminated(*task, id.clone(), Ok(Terminating { environment: id.clone(), delayed_by: None })),
    );
    assert!(screen(&model).contains("too late: dev-12 no longer exists"), "{}", screen(&model));
}

#[test]
fn esc_removes_the_marks() {
    let mut model = marked(100, 24);
    press(&mut model, &["esc"]);
    assert!(!screen(&model).contains(" · 2 marked"), "{}", screen(&model));
}

fn command(model: &mut Model, text: &str) -> Vec<Effect> {
    press(model, &[":"]);
    type_in(model, text);
    press(model, &["enter"])
}

#[test]
fn palette_takes_arguments() {
    let mut model = model(100, 30);
    press(&mut model, &["down", "down", "down", "down"]);
    let effects = command(&mut model, "extend 2h");
    assert!(
        matches!(&effects[..], [Effect::Extend(_, id, by)]
            if id.to_string() == "dev-12" && *by == Duration::from_hours(2)),
        "{effects:?}"
    );
    let effects = command(&mut model, "pin 23:59");
    assert!(matches!(&effects[..], [Effect::Pin(..)]), "{effects:?}");
    command(&mut model, "filter owner:amy");
    assert_eq!(names(&model), ["ledger-spike", "kyc-redesign"]);
    command(&mut model, "sort cost desc");
    assert!(screen(&model).contains("by cost ↓"), "{}", screen(&model));
    assert_eq!(command(&mut model, "theme dark"), [Effect::Redraw]);
    command(&mut model, "launch voucher-fix payments=f-1 kyc=pr-2 ttl=2h note=second voucher");
    let effects = press(&mut model, &["enter"]);
    let [Effect::Launch(_, request)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(request.name.as_str(), "voucher-fix");
    assert_eq!((request.ttl, request.services.len()), (Some(Duration::from_hours(2)), 2));
    assert_eq!(request.note.as_deref(), Some("second voucher"));
}

#[rstest]
#[case("extend soon", "not a valid duration")]
#[case("sort colour", "no column colour; use one of number, name")]
#[case("sort cost up", "not an order: up")]
#[case("theme pink", "unknown theme")]
#[case("terminate now", "terminate takes no argument")]
#[case("pin noon", "not a time: noon")]
fn palette_keeps_a_wrong_command(#[case] text: &str, #[case] error: &str) {
    let mut model = model(100, 30);
    press(&mut model, &["down", "down", "down", "down"]);
    assert!(command(&mut model, text).is_empty());
    let shown = screen(&model);
    assert!(shown.contains(error) && shown.contains(&format!(":{text}")), "{shown}");
    press(&mut model, &["backspace"]);
    assert!(!screen(&model).contains(error), "the error goes with the next key");
}

#[test]
fn palette_does_not_change_anything_in_read_only_mode() {
    let mut options = options();
    options.read_only = true;
    let mut model = seeing(options, world(), 100, 30);
    assert!(command(&mut model, "extend 2h").is_empty());
    assert!(screen(&model).contains("read-only"), "{}", screen(&model));
}

#[test]
fn click_on_a_title_sorts_and_reverses() {
    let mut model = model(100, 24);
    click_on(&mut model, "OWNER");
    assert!(screen(&model).contains("by owner ↑"), "{}", screen(&model));
    click_on(&mut model, "OWNER");
    assert!(screen(&model).contains("by owner ↓"), "{}", screen(&model));
    click_on(&mut model, "SERVICES");
    assert!(screen(&model).contains("by services ↑"), "{}", screen(&model));
    click_on(&mut model, "COST");
    assert!(screen(&model).contains("by cost ↑"), "{}", screen(&model));
}

#[test]
fn click_on_the_footer_runs_the_action() {
    let mut model = model(100, 24);
    click_on(&mut model, "l launch  ");
    assert!(screen(&model).contains("Launch an environment"), "{}", screen(&model));
    press(&mut model, &["esc"]);
    assert_eq!(click_on(&mut model, "q quit"), [Effect::Quit]);
}

#[test]
fn click_closes_a_message_but_not_that_of_a_task() {
    let mut model = model(100, 24);
    press(&mut model, &["r"]);
    click_on(&mut model, "· refreshing");
    assert!(!screen(&model).contains("refreshing"), "{}", screen(&model));
    press(&mut model, &["down", "down", "down", "down"]);
    command(&mut model, "extend 2h");
    click_on(&mut model, "extending dev-12");
    assert!(screen(&model).contains("extending dev-12"), "{}", screen(&model));
}

#[test]
fn wheel_moves_in_a_dialog() {
    let mut model = model(100, 30);
    press(&mut model, &["down", "down", "down", "down", ":"]);
    draw_clickable(&mut model);
    mouse(&mut model, MouseEventKind::ScrollDown, 50, 10);
    press(&mut model, &["enter"]);
    assert!(screen(&model).contains("Extend "), "the second command: {}", screen(&model));
}

#[test]
fn help_is_filtered() {
    let mut model = model(100, 40);
    press(&mut model, &["?", "/"]);
    type_in(&mut model, "environment's database");
    let shown = screen(&model);
    assert!(shown.contains("Open a console") && !shown.contains("Launch an"), "{shown}");
    press(&mut model, &["enter", "esc"]);
    assert!(screen(&model).contains("Launch an"), "{}", screen(&model));
    press(&mut model, &["esc"]);
    assert!(screen(&model).contains("Warm pool"));
}

#[rstest]
#[case(140, 30)]
#[case(160, 45)]
#[case(240, 60)]
fn summary_is_beside_the_table(#[case] width: u16, #[case] height: u16) {
    let mut model = model(width, height);
    press(&mut model, &["down", "down", "down", "down"]);
    assert_snapshot!(format!("summary_{width}x{height}"), screen(&model));
}

#[test]
fn summary_of_a_failure_and_click_on_it() {
    let mut model = model(160, 45);
    press(&mut model, &["down", "down"]);
    assert_snapshot!("summary_failed", screen(&model));
    click(&mut model, 150, 5);
    assert!(screen(&model).contains("Bootstrap") || screen(&model).contains("Endpoints"));
}

#[rstest]
#[case(60, 15)]
#[case(80, 24)]
#[case(160, 45)]
#[case(240, 60)]
fn batch_prompt(#[case] width: u16, #[case] height: u16) {
    let mut model = model(width, height);
    press(&mut model, &["*", "x"]);
    type_in(&mut model, "terminate");
    assert_snapshot!(format!("batch_{width}x{height}"), screen(&model));
}

#[test]
fn batch_extension_and_palette_error() {
    let mut model = marked(80, 24);
    press(&mut model, &["e"]);
    assert_snapshot!("batch_extend", screen(&model));
    press(&mut model, &["esc"]);
    command(&mut model, "extend soon");
    assert_snapshot!("palette_error", screen(&model));
}

#[test]
fn launch_form_knows_the_fleet() {
    let mut model = model(80, 24);
    press(&mut model, &["l"]);
    assert!(screen(&model).contains("A database is free: ready in about"), "{}", screen(&model));
    assert!(screen(&model).contains("Costs about $2.93 in 8h"), "{}", screen(&model));
    type_in(&mut model, "again");
    press(&mut model, &["tab"]);
    type_in(&mut model, "2h");
    assert!(screen(&model).contains("Costs about $0.73 in 2h"), "{}", screen(&model));
    press(&mut model, &["tab"]);
    type_in(&mut model, "pay");
    assert_snapshot!("launch_suggestions", screen(&model));
    press(&mut model, &["tab", "tab"]);
    let effects = press(&mut model, &["enter"]);
    let [Effect::Launch(_, request)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(request.services["payments"], "f-123");
}

#[test]
fn launch_repeats_the_last_one_of_the_user() {
    let mut model = model(80, 24);
    press(&mut model, &["l"]);
    type_in(&mut model, "again");
    press(&mut model, &["ctrl-l"]);
    let effects = press(&mut model, &["enter"]);
    let [Effect::Launch(_, request)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(request.services.len(), 2);
    assert_eq!(request.note.as_deref(), Some("checkout drops the second voucher"));
}

#[test]
fn activity_leaves_out_routine_and_half_words() {
    let mut model = model(120, 40);
    let shown = screen(&model);
    assert!(!shown.contains("created database"), "{shown}");
    let mut failed = builders::audit_event(now(), "engine@ci", "create-database", "hatchery-dev-17");
    failed.outcome = Outcome::Failed;
    failed.detail = "InstanceQuotaExceeded: the account may have no more than forty databases".into();
    let mut hint = builders::audit_event(now(), "engine@ci", "move-hint", "dev");
    hint.reason = "the number was used".into();
    let mut events = activity();
    events.extend([failed, hint]);
    send(&mut model, Msg::Engine(Event::Activity(events)));
    let shown = screen(&model);
    assert!(shown.contains("failed to create database") && !shown.contains("hint"), "{shown}");
    for line in shown.lines() {
        let cut = line.trim_end_matches(['│', ' ']).trim_end();
        if let Some(before) = cut.strip_suffix('…') {
            let word = before.rsplit(' ').next().unwrap();
            assert!(
                "InstanceQuotaExceeded: the account may have no more than forty".contains(word),
                "{line}"
            );
        }
    }
}

#[test]
fn pool_counts_claimed_databases() {
    let model = model(120, 40);
    let shown = screen(&model);
    assert!(shown.contains("claimed ─"), "{shown}");
    assert!(!shown.contains("used by"), "{shown}");
}

/// Nothing that is worth a frame happens within half a minute.
#[test]
fn idle_screen_rests() {
    let mut quiet = builders::world_with(300);
    for (index, record) in quiet.records.items.iter_mut().enumerate() {
        let seconds = i64::try_from(index * 7).unwrap();
        record.expires_at = Some(now() + chrono::TimeDelta::seconds(20_000 + seconds));
    }
    let mut model = seeing(options(), quiet, 160, 45);
    let mut frames = 0;
    let mut at = Duration::ZERO;
    while at < Duration::from_mins(1) {
        at += model.next_change().clock.unwrap();
        model.set_now(moment(at.as_secs() + 1));
        at = Duration::from_secs(at.as_secs() + 1);
        frames += 1;
    }
    assert!(frames <= 4, "{frames} frames a minute");
}

/// A refresh reuses the rows of unchanged environments; what has changed must be seen all the same.
#[rstest]
#[case::note(|world: &mut World| world.records.items[4].note = Some("another".into()))]
#[case::owner(|world: &mut World| world.records.items[4].owner = "zoe".into())]
#[case::expiry(|world: &mut World| world.records.items[4].expires_at = Some(now() + chrono::TimeDelta::minutes(50)))]
#[case::instance(|world: &mut World| world.instances.items[4].phase = Some(Phase::Failed))]
#[case::no_instance(|world: &mut World| { world.instances.items.remove(4); })]
#[case::database(|world: &mut World| {
    for database in &mut world.databases.items {
        database.status = "stopped".into();
    }
})]
#[case::no_database(|world: &mut World| world.databases.items.clear())]
#[case::price(|world: &mut World| world.fleet.policy.price_instance = Some(7.5))]
#[case::address(|world: &mut World| world.fleet.policy.url_app = "https://{public_ip}.example/x".into())]
#[case::gone(|world: &mut World| { world.records.items.remove(3); })]
#[case::new(|world: &mut World| world.records.items.push(record(9, "another-nine", "zoe", 1, 100)))]
fn refresh_shows_what_a_fresh_start_shows(#[case] change: fn(&mut World)) {
    let mut next = world();
    change(&mut next);
    let mut fresh = seeing(options(), next.clone(), 160, 45);
    let mut refreshed = seeing(options(), world(), 160, 45);
    for model in [&mut fresh, &mut refreshed] {
        command(model, "filter checkout");
    }
    assert_ne!(screen(&fresh), screen(&refreshed), "the case changes nothing on the screen");
    send(&mut refreshed, Msg::Engine(Event::World(Arc::new(next))));
    for model in [&mut fresh, &mut refreshed] {
        // Only the refreshed one has news, in messages that disappear.
        model.set_now(moment(20));
    }
    assert_eq!(screen(&fresh), screen(&refreshed));
    for model in [&mut fresh, &mut refreshed] {
        press(model, &["esc", "g"]);
    }
    assert_eq!(screen(&fresh), screen(&refreshed));
}
