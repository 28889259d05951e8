//! The update function: messages in, effects out.
use std::sync::Arc;
use std::time::Duration;

use crate::support::sample_fleet::{
    self, blank, dev, lines, model, moment, options, press, record, screen, seeing, send, type_in, world,
};
use chrono::TimeDelta;
use hatchery::cloud::{Console, LogItem};
use hatchery::domain::{
    Access, Deployment, EnvironmentId, Number, RecordId, RecordKind, Replaces, Rollout, RolloutState,
};
use hatchery::engine::{Event, Extended, ExtensionUndo, Launched, RedeployRequest, Redeployed};
use hatchery::failure::{Failure, Kind};
use hatchery::tui::TuiOptions;
use hatchery::tui::app::{Effect, ForwardRequest, Model, Msg, Purpose, Screen, Tool};
use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use rstest::rstest;

fn selected(model: &Model) -> String {
    model.current().map(|row| row.name.clone()).unwrap_or_default()
}

fn click(model: &mut Model, x: u16, y: u16) -> Vec<Effect> {
    let kind = MouseEventKind::Down(MouseButton::Left);
    send(model, Msg::Mouse(MouseEvent { kind, column: x, row: y, modifiers: KeyModifiers::NONE }))
}

#[test]
fn selection_follows_its_environment() {
    let mut model = model(100, 24);
    press(&mut model, &["j", "j", "j", "j"]);
    assert_eq!(selected(&model), "checkout-fix");
    let mut next = world();
    next.records.items.remove(0);
    next.records.items.push(record(3, "new-on-top", "sam", 5, 100));
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    assert_eq!(selected(&model), "checkout-fix");
    press(&mut model, &["c"]);
    assert_eq!(selected(&model), "checkout-fix");
    press(&mut model, &["G"]);
    let last = selected(&model);
    press(&mut model, &["g", "ctrl-d", "ctrl-u"]);
    assert_ne!(selected(&model), last);
}

#[test]
fn launched_environment_is_selected() {
    let mut model = model(100, 24);
    press(&mut model, &["l"]);
    assert!(press(&mut model, &["enter"]).is_empty(), "a launch needs a name");
    send(&mut model, Msg::Paste("voucher-fix\n".to_owned()));
    press(&mut model, &["tab"]);
    type_in(&mut model, "2h");
    press(&mut model, &["tab"]);
    type_in(&mut model, "payments=f-1 kyc=pr-2");
    let effects = press(&mut model, &["enter"]);
    let [Effect::Launch(token, request)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(request.name.as_str(), "voucher-fix");
    assert_eq!(request.ttl, Some(Duration::from_hours(2)));
    assert_eq!(request.services.len(), 2);
    assert!(screen(&model).contains("launching voucher-fix"));
    let new = record(17, "voucher-fix", "pwong", 0, 120);
    let launched = Launched {
        environment: new.environment.clone(),
        record: new.id.clone(),
        database: dev().database_id(Number(17)),
        instance: None,
        expires_at: sample_fleet::now(),
    };
    assert_eq!(send(&mut model, Msg::Launched(*token, Ok(launched))), [Effect::Refresh]);
    assert!(!screen(&model).contains("launching voucher-fix…"));
    let mut next = world();
    next.records.items.push(new);
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    assert_eq!(selected(&model), "voucher-fix");
}

#[test]
fn terminate_requires_the_name_unless_owned() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    assert!(press(&mut model, &["x", "enter"]).is_empty(), "enter alone terminates nothing");
    let effects = press(&mut model, &["y"]);
    assert!(matches!(effects.as_slice(), [Effect::Terminate(_, id)] if id.to_string() == "dev-12"));
    press(&mut model, &["down", "x"]);
    assert!(press(&mut model, &["y", "enter"]).is_empty());
    press(&mut model, &["backspace"]);
    assert!(type_in(&mut model, "kyc-redesign").is_empty());
    let effects = press(&mut model, &["enter"]);
    assert!(matches!(effects.as_slice(), [Effect::Terminate(_, id)] if id.to_string() == "dev-13"));
}

#[test]
fn reset_always_asks_and_requires_the_name_unless_owned() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    assert!(press(&mut model, &["ctrl-r", "enter"]).is_empty(), "enter alone resets nothing");
    assert!(screen(&model).contains("all data in database hatchery-dev-12"), "{}", screen(&model));
    let effects = press(&mut model, &["y"]);
    assert!(matches!(effects.as_slice(), [Effect::Reset(_, id)] if id.to_string() == "dev-12"));
    press(&mut model, &["down", "ctrl-r"]);
    assert!(screen(&model).contains("reset: it is not ready"), "{}", screen(&model));
}

#[test]
fn reset_in_progress_is_shown_and_disables_another() {
    let mut model = model(100, 40);
    let mut next = world();
    let user = next.records.items.iter().find(|record| record.name == "checkout-fix").unwrap().clone();
    let mut replacement = record(40, "dev-40", "amy", 1, 0);
    (replacement.expires_at, replacement.instance) = (None, None);
    replacement.kind = RecordKind::Replacement(Replaces { record: user.id, environment: user.environment });
    next.records.items.push(replacement);
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    press(&mut model, &["down", "down", "down", "down"]);
    press(&mut model, &["ctrl-r"]);
    assert!(screen(&model).contains("a reset is in progress"), "{}", screen(&model));
    press(&mut model, &["enter"]);
    let details = screen(&model);
    assert!(details.contains("hatchery-dev-40 (to be restored) replaces hatchery-dev-12"), "{details}");
    assert!(!details.contains("dev-40 (dev-40)"), "it is no environment of its own: {details}");
}

#[test]
fn terminate_after_the_environment_is_gone() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down", "x"]);
    let mut next = world();
    next.records.items.retain(|record| record.name != "checkout-fix");
    // The same id under another record is another environment.
    let mut again = record(12, "somebody-elses", "amy", 1, 100);
    again.id = RecordId::new("lt-another");
    next.records.items.push(again);
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    assert!(press(&mut model, &["y"]).is_empty());
    assert!(screen(&model).contains("too late"));
}

#[test]
fn extension_result_is_shown() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    let effects = press(&mut model, &["e", "right", "enter"]);
    let [Effect::Extend(token, id, by)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(*by, Duration::from_hours(8));
    let extended =
        Extended { environment: id.clone(), expires_at: sample_fleet::now(), capped: true, undo: None };
    send(&mut model, Msg::Extended(*token, Ok(extended)));
    assert!(screen(&model).contains("dev-12 extended to 12:04, the fleet's max-lifetime"));
    let effects = press(&mut model, &["e", "enter"]);
    let [Effect::Extend(token, ..)] = effects.as_slice() else { panic!("{effects:?}") };
    send(&mut model, Msg::Extended(*token, Err(Failure::new(Kind::TooLate, "dev-12 is being reaped", ""))));
    assert!(screen(&model).contains("too late: dev-12 is being reaped"));
}

fn extended(id: &EnvironmentId) -> Extended {
    let (expires_at, earlier) = (sample_fleet::now() + TimeDelta::hours(8), sample_fleet::now());
    let (environment, record) = (id.clone(), RecordId::new("lt-12"));
    let undo = ExtensionUndo { environment, record, nonce: "a".into(), expires_at, earlier };
    Extended { environment: id.clone(), expires_at, capped: false, undo: Some(undo) }
}

#[test]
fn extension_is_undone_for_five_minutes() {
    let mut model = model(160, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    press(&mut model, &["z"]);
    assert!(screen(&model).contains("undo: you extended nothing in the last five minutes"));
    assert!(!screen(&model).contains("z undo"));
    let [Effect::Extend(task, id, _)] = &press(&mut model, &["e", "enter"])[..] else { panic!() };
    send(&mut model, Msg::Extended(*task, Ok(extended(id))));
    assert!(screen(&model).contains("z undo"), "{}", screen(&model));
    let [Effect::UndoExtension(task, undo)] = &press(&mut model, &["z"])[..] else { panic!() };
    assert_eq!((&undo.environment, undo.nonce.as_str()), (id, "a"));
    send(&mut model, Msg::ExtensionUndone(*task, id.clone(), Ok(sample_fleet::now())));
    assert!(screen(&model).contains("dev-12 expires at 12:04 again"), "{}", screen(&model));
    assert!(press(&mut model, &["z"]).is_empty(), "once");

    let [Effect::Extend(task, id, _)] = &press(&mut model, &["e", "enter"])[..] else { panic!() };
    send(&mut model, Msg::Extended(*task, Ok(extended(id))));
    model.set_now(sample_fleet::moment(1_000));
    assert!(press(&mut model, &["z"]).is_empty(), "too late");
}

/// A model in which `checkout-fix` can deploy anew, and is selected.
fn deployable_model(options: TuiOptions) -> Model {
    let mut world = world();
    world.instances.items[4].rollout =
        Some(Rollout { request: sample_fleet::now(), state: RolloutState::Done, detail: "".into() });
    let mut model = seeing(options, world, 100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    model
}

#[test]
fn redeploy_requests_what_was_changed() {
    let mut model = deployable_model(options());
    press(&mut model, &["u"]);
    assert!(screen(&model).contains("ledger=pr-40 payments=f-123"), "{}", screen(&model));
    assert!(screen(&model).contains("deploys the same versions"));
    press(&mut model, &["backspace"]);
    type_in(&mut model, "4 kyc=pr-1 kyc=pr-2");
    assert!(press(&mut model, &["enter"]).is_empty(), "a duplicate service is not valid");
    assert!(screen(&model).contains("duplicate service"));
    press(&mut model, &["ctrl-u"]);
    type_in(&mut model, "payments=f-124 kyc=pr-1");
    assert!(screen(&model).contains("deploys kyc → pr-1, ledger default, payments f-123 → f-124"));
    let effects = press(&mut model, &["enter"]);
    let [Effect::Redeploy(token, id, request)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(id.to_string(), "dev-12");
    let services: Vec<_> = request.services.iter().map(|(name, tag)| format!("{name}={tag}")).collect();
    assert_eq!(
        (services, request.defaults.len()),
        (vec!["kyc=pr-1".to_owned(), "payments=f-124".to_owned()], 1)
    );
    let done = Redeployed {
        environment: id.clone(),
        record: RecordId::new("lt-12"),
        deployment: Deployment { at: sample_fleet::now(), by: "pwong".into() },
        services: std::collections::BTreeMap::new(),
        changes: "payments f-123 → f-124".to_owned(),
    };
    assert_eq!(send(&mut model, Msg::Redeployed(*token, Ok(done))), [Effect::Refresh]);
    assert!(screen(&model).contains("deploying to dev-12: payments f-123 → f-124"));
}

#[test]
fn redeploy_of_unchanged_services_names_none() {
    let mut model = deployable_model(options());
    let effects = press(&mut model, &["u", "enter"]);
    let [Effect::Redeploy(_, _, request)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(*request, RedeployRequest::default());
}

#[test]
fn redeploy_needs_a_ready_instance_that_can() {
    let mut old = model(100, 24);
    press(&mut old, &["down", "down", "down", "down", "u"]);
    assert!(screen(&old).contains("redeploy: its bootstrap is too old; launch a new one"));
    press(&mut old, &["down", "u"]);
    assert!(screen(&old).contains("redeploy: wait until the environment is ready"));
    let mut read_only = options();
    read_only.read_only = true;
    let mut model = deployable_model(read_only);
    press(&mut model, &["u"]);
    assert!(screen(&model).contains("redeploy: read-only") && !model.has_dialog());
}

#[test]
fn redeploy_is_too_late_for_an_environment_that_is_gone() {
    let mut model = deployable_model(options());
    press(&mut model, &["u"]);
    let mut next = world();
    next.records.items.retain(|record| record.name != "checkout-fix");
    send(&mut model, Msg::Engine(Event::World(Arc::new(next))));
    assert!(press(&mut model, &["enter"]).is_empty());
    assert!(screen(&model).contains("too late"));
}

#[test]
fn environments_are_compared_in_read_only_mode() {
    let mut read_only = options();
    read_only.read_only = true;
    let mut model = deployable_model(read_only);
    press(&mut model, &["="]);
    assert!(screen(&model).contains("Compare checkout-fix with"), "{}", screen(&model));
    press(&mut model, &["G", "k", "enter"]);
    assert!(matches!(model.screen, Screen::Diff(_)), "{}", screen(&model));
    assert!(screen(&model).contains("Services of checkout-fix and kyc-redesign"), "{}", screen(&model));
    assert!(screen(&model).contains("only in dev-13"));
    press(&mut model, &["esc"]);
    assert!(matches!(model.screen, Screen::Main));
    press(&mut model, &["=", "esc"]);
    assert!(!model.has_dialog());
}

/// A model whose fleet is reached through Session Manager, with `checkout-fix` selected.
fn ssm_model(options: TuiOptions) -> Model {
    let mut world = world();
    world.fleet.policy.access = Access::Ssm;
    let mut model = seeing(options, world, 100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    model
}

/// The task and the request of the only effect, a port forward.
#[track_caller]
fn forward(effects: &[Effect]) -> (u64, ForwardRequest) {
    let [Effect::Forward(task, request)] = effects else { panic!("{effects:?}") };
    (*task, request.clone())
}

#[rstest]
#[case::open("o", Purpose::Open)]
#[case::copy("y", Purpose::Copy)]
fn forwarded_url_serves_its_purpose(#[case] key: &str, #[case] purpose: Purpose) {
    let mut options = options();
    // A port forward changes nothing in the fleet.
    options.read_only = true;
    let mut model = ssm_model(options);
    let (task, request) = forward(&press(&mut model, &[key]));
    assert_eq!(request.environment.to_string(), "dev-12");
    assert_eq!(Some(request.instance), world().instances.items.get(4).map(|instance| instance.id.clone()));
    assert_eq!((request.path.as_str(), request.purpose), ("/", purpose));
    assert!(screen(&model).contains("forwarding a port to dev-12"));
    let url = "http://localhost:49152/".to_owned();
    let effects = send(&mut model, Msg::Forwarded(task, request.environment, purpose, Ok(url.clone())));
    let expected = if purpose == Purpose::Open { Effect::OpenUrl(url) } else { Effect::Copy(url) };
    assert_eq!(effects, [expected]);
    assert!(screen(&model).contains("http://localhost:49152/ is forwarded to dev-12 until hatchery ends"));
}

#[test]
fn open_menu_forwards_the_chosen_endpoint() {
    let mut model = ssm_model(options());
    press(&mut model, &["O"]);
    assert!(screen(&model).contains("/dashboard/ through Session Manager"));
    let (_, request) = forward(&press(&mut model, &["d"]));
    assert_eq!(request.path, "/dashboard/");
}

#[test]
fn failed_forward_is_shown() {
    let mut model = ssm_model(options());
    let (task, request) = forward(&press(&mut model, &["o"]));
    let failure = Failure::new(Kind::Failed, "session-manager-plugin is not installed", "install it");
    let msg = Msg::Forwarded(task, request.environment, request.purpose, Err(failure));
    assert!(send(&mut model, msg).is_empty());
    assert!(screen(&model).contains("session-manager-plugin is not installed; install it"));
    assert!(!screen(&model).contains("forwarding a port"));
}

/// A port forward takes seconds. What is typed meanwhile must not go to the table because the form disappears.
#[test]
fn url_to_open_replaces_no_form() {
    let mut model = ssm_model(options());
    let (task, request) = forward(&press(&mut model, &["o"]));
    press(&mut model, &["l"]);
    type_in(&mut model, "fi");
    let url = "http://localhost:49152/".to_owned();
    send(&mut model, Msg::Forwarded(task, request.environment, Purpose::Open, Ok(url.clone())));
    assert_eq!(send(&mut model, Msg::OpenFailed(url.clone())), [Effect::Copy(url.clone())]);
    assert!(screen(&model).contains("no browser is available here; open http://localhost:49152/ yourself"));
    assert!(type_in(&mut model, "xy").is_empty(), "{}", screen(&model));
    let [Effect::Launch(_, launch)] = &press(&mut model, &["enter"])[..] else {
        panic!("{}", screen(&model))
    };
    assert_eq!(launch.name.as_str(), "fixy");
    // Without a form, the URL has a dialog.
    send(&mut model, Msg::OpenFailed(url));
    assert!(model.has_dialog() && screen(&model).contains("Open the URL yourself"), "{}", screen(&model));
}

#[test]
fn forward_needs_an_instance() {
    let mut model = ssm_model(options());
    press(&mut model, &["G"]);
    assert_eq!(selected(&model), "fx-rates");
    assert!(press(&mut model, &["o"]).is_empty());
    assert!(screen(&model).contains("dev-16 has no address until its instance runs"));
}

fn read_only_model() -> Model {
    let mut options = options();
    options.read_only = true;
    seeing(options, world(), 100, 24)
}

#[rstest]
fn read_only_disables_the_key(#[values("l", "e", "x", "s", "D", "K")] key: &str) {
    let mut model = read_only_model();
    assert!(press(&mut model, &[key]).is_empty());
    assert!(!model.has_dialog());
    assert!(screen(&model).contains("read-only"));
}

#[rstest]
#[case("s", Tool::Console(Console::Shell))]
#[case("D", Tool::Console(Console::Database))]
#[case("K", Tool::Kubectl)]
fn console_gets_the_terminal(#[case] key: &str, #[case] tool: Tool) {
    let mut model = model(100, 24);
    press(&mut model, &["j"]);
    let [Effect::HandOver(request)] = &press(&mut model, &[key])[..] else { panic!("no effect") };
    assert_eq!(request.tool, tool);
    assert!(screen(&model).contains(&request.environment.to_string()));
    let (view, request) = (selected(&model), request.clone());
    let words = Some("has ended (exit code 1): \u{1b}[31mclosed".to_owned());
    send(&mut model, Msg::ConsoleClosed(request, Ok(words)));
    assert_eq!(selected(&model), view);
    let text = screen(&model);
    assert!(text.contains(&format!("the {tool} on")) && text.contains("exit code 1): closed"), "{text}");
}

#[test]
fn read_only_disables_the_palette() {
    let mut model = read_only_model();
    press(&mut model, &[":"]);
    type_in(&mut model, "terminate");
    assert!(press(&mut model, &["enter", "y"]).iter().all(|effect| matches!(effect, Effect::Copy(_))));
}

#[test]
fn mouse_selects_opens_and_scrolls() {
    let mut model = model(100, 24);
    click(&mut model, 10, 7);
    assert_eq!(selected(&model), "checkout-fix");
    click(&mut model, 10, 7);
    assert!(matches!(model.screen, Screen::Details(_)));
    press(&mut model, &["esc"]);
    let down =
        MouseEvent { kind: MouseEventKind::ScrollDown, column: 5, row: 5, modifiers: KeyModifiers::NONE };
    send(&mut model, Msg::Mouse(down));
    assert_eq!(selected(&model), "fx-rates");
}

#[test]
fn keys_have_no_effects_before_the_connection() {
    let mut model = blank(options(), 80, 24);
    // One model for all keys, because each may change its state.
    for key in ["l", "e", "x", "o", "L", "enter", "y", "j", "G", "tab", "/", "esc"] {
        assert!(press(&mut model, &[key]).is_empty(), "{key}");
    }
    assert_eq!(press(&mut model, &["q"]), [Effect::Quit]);
    press(&mut model, &[":"]);
    assert_eq!(press(&mut model, &["ctrl-c"]), [Effect::Quit]);
}

#[test]
fn lines_of_a_closed_log_are_dropped() {
    let mut model = model(100, 24);
    let effects = press(&mut model, &["L"]);
    let [Effect::FollowLogs(_, first)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(press(&mut model, &["esc"]), [Effect::StopLogs]);
    press(&mut model, &["down", "L"]);
    send(&mut model, Msg::Log(*first, Ok(LogItem::Lines(lines()))));
    let Screen::Logs(view) = &model.screen else { panic!() };
    assert!(view.is_empty());
}

/// While the dashboard is idle, the screen changes at each deadline and at no other time.
#[test]
fn idle_screen_changes_at_each_deadline() {
    let mut quiet = world();
    quiet.records.items.retain(|record| record.name == "checkout-fix");
    quiet.databases.items.retain(|database| [12, 14].contains(&database.number.0));
    // Costs have no deadline; they change only together with other texts.
    (quiet.fleet.policy.price_instance, quiet.fleet.policy.price_database) = (None, None);
    let mut model = seeing(options(), quiet, 100, 24);
    let mut wakes = 0;
    let mut now = moment(0);
    while now.clock < Duration::from_mins(10) {
        let next = model.next_change().clock.unwrap();
        let before = screen(&model);
        let shortly = next.saturating_sub(Duration::from_millis(80));
        let mut just_before = now;
        just_before.clock += shortly;
        just_before.real += shortly;
        model.set_now(just_before);
        assert_eq!(screen(&model), before);
        now.clock += next;
        now.real += next;
        model.set_now(now);
        assert_ne!(screen(&model), before, "no change at {:?}", now.clock);
        wakes += 1;
    }
    assert!(wakes < 45, "{wakes} wake-ups in ten minutes");
}

#[test]
fn unchanged_world_changes_only_the_age() {
    let mut model = model(100, 24);
    model.set_now(moment(100));
    let before = screen(&model);
    let mut again = world();
    let seen = sample_fleet::now() + chrono::TimeDelta::seconds(100);
    for as_of in [&mut again.records.as_of, &mut again.instances.as_of, &mut again.databases.as_of] {
        *as_of = Some(seen);
    }
    send(&mut model, Msg::Engine(Event::World(Arc::new(again))));
    let after = screen(&model);
    let lines = before.lines().zip(after.lines());
    // The graph of free databases has another minute.
    let changed: Vec<_> = lines.filter(|(a, b)| a != b && !b.contains(" free ██ 2m ")).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].0.contains("↻ 1m") && changed[0].1.contains("↻ now"), "{changed:?}");
}
