//! Several fleets in one dashboard.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::domain::{CloudError, ErrorClass, FleetName, World};
use hatchery::engine::Event;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, Fleets, Msg, Screen};
use hatchery::tui::driver::run_fleets_on;
use hatchery::tui::{Connected, FleetConnection, TuiOptions};
use insta::assert_snapshot;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Rect, Size};
use ratatui::style::Color;
use rstest::rstest;

use super::driver::{RecordingSurface, key, keyboard};
use super::random::any_msg;
use crate::support::sample_fleet::{self, key_of, moment, options, record, text_of};

fn named(name: &str) -> FleetName {
    name.parse().unwrap()
}

fn labelled(label: &str, region: &str) -> TuiOptions {
    let mut options = options();
    (options.label, options.region) = (label.to_owned(), region.to_owned());
    options
}

/// The world of another fleet: some of the environments of the sample, with its name.
fn world_of(fleet: &str, environments: usize) -> World {
    let (mut world, fleet) = (sample_fleet::world(), named(fleet));
    world.fleet.name = fleet.clone();
    world.records.items.drain(..4);
    world.records.items.truncate(environments);
    for record in &mut world.records.items {
        record.environment = fleet.environment(record.environment.number);
    }
    for instance in &mut world.instances.items {
        instance.environment = fleet.environment(instance.environment.number);
    }
    for database in &mut world.databases.items {
        database.id = fleet.database_id(database.number);
        database.environment = database.environment.as_ref().map(|id| fleet.environment(id.number));
    }
    world
}

fn see(fleets: &mut Fleets, index: usize, fleet: &str, region: &str, account: &str, world: World) {
    fleets.receive(index, Msg::Connected { fleet: named(fleet), region: region.to_owned() });
    fleets.receive(index, Msg::Account(Some(account.to_owned())));
    fleets.receive(index, Msg::Engine(Event::World(Arc::new(world))));
}

/// The sample fleet with seven environments, a production fleet with two, and one that cannot be reached.
fn fleets(width: u16, height: u16) -> Fleets {
    let mut live = labelled("live", "us-east-1");
    live.production = true;
    let all = vec![labelled("dev", "eu-west-1"), live, labelled("old", "eu-north-1")];
    let mut fleets = Fleets::new(all, Size::new(width, height), moment(0));
    see(&mut fleets, 0, "dev", "eu-west-1", "123456789012", sample_fleet::world());
    see(&mut fleets, 1, "live", "us-east-1", "345678901234", world_of("live", 2));
    fleets.receive(2, Msg::ConnectFailed(expired()));
    fleets.set_now(moment(3));
    fleets
}

fn expired() -> Failure {
    let message = "cannot list fleets: the SSO session has expired (ExpiredToken)";
    Failure::new(Kind::NotPermitted, message, "log in again (for example: aws sso login)")
}

fn press(fleets: &mut Fleets, keys: &[&str]) -> Vec<(usize, Effect)> {
    keys.iter().flat_map(|key| fleets.input(Msg::Key(key_of(key)))).collect()
}

fn type_in(fleets: &mut Fleets, text: &str) {
    for letter in text.chars() {
        press(fleets, &[&letter.to_string()]);
    }
}

fn screen(fleets: &Fleets) -> String {
    let Size { width, height } = fleets.active().size;
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    hatchery::tui::view::draw_fleets(&mut fleets.clone(), &mut buf);
    text_of(&buf)
}

fn selected(fleets: &Fleets) -> (usize, String) {
    let name = fleets.active().current().map(|row| row.name.clone()).unwrap_or_default();
    (fleets.active_index(), name)
}

fn click_on(fleets: &mut Fleets, text: &str) -> Vec<(usize, Effect)> {
    let screen = screen(fleets);
    let (y, line) = screen.lines().enumerate().find(|(_, line)| line.contains(text)).unwrap();
    let x = line[..line.find(text).unwrap()].chars().count();
    let (column, row) = (u16::try_from(x).unwrap(), u16::try_from(y).unwrap());
    let kind = MouseEventKind::Down(MouseButton::Left);
    fleets.input(Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

#[rstest]
#[case(60, 15)]
#[case(80, 24)]
#[case(160, 45)]
#[case(240, 60)]
fn main_screen(#[case] width: u16, #[case] height: u16) {
    let mut fleets = fleets(width, height);
    press(&mut fleets, &["f"]);
    assert_snapshot!(format!("fleets_{width}x{height}"), screen(&fleets));
}

/// Red in the default theme; the word is in the head also while another fleet is active.
#[test]
fn production_has_a_frame_of_its_own() {
    let mut fleets = fleets(80, 24);
    let frame = |fleets: &Fleets| {
        let mut buf = Buffer::empty(Rect::new(0, 0, 80, 24));
        hatchery::tui::view::draw_fleets(&mut fleets.clone(), &mut buf);
        buf[(0, 1)].fg
    };
    assert_ne!(frame(&fleets), Color::Red);
    assert_eq!(screen(&fleets).matches("PRODUCTION").count(), 1);
    press(&mut fleets, &["f"]);
    assert_eq!(frame(&fleets), Color::Red);
    assert_eq!(screen(&fleets).matches("PRODUCTION").count(), 2, "in the header too");
}

/// Beyond the last row of a fleet is the first one of the next, and a fleet without rows is a stop of its own.
#[test]
fn selection_goes_through_all_fleets() {
    let mut fleets = fleets(100, 24);
    let mut seen = vec![selected(&fleets)];
    for _ in 0..9 {
        press(&mut fleets, &["down"]);
        let (fleet, name) = selected(&fleets);
        assert!(name.is_empty() || screen(&fleets).contains(&format!("▸ {name}")), "{}", screen(&fleets));
        seen.push((fleet, name));
    }
    let stops: Vec<_> = seen.iter().map(|(fleet, name)| (*fleet, name.as_str())).collect();
    assert_eq!(
        stops[5..],
        [(0, "kyc-redesign"), (0, "fx-rates"), (1, "checkout-fix"), (1, "kyc-redesign"), (2, "")]
    );
    press(&mut fleets, &["down", "up", "up"]);
    assert_eq!(selected(&fleets), (1, "checkout-fix".to_owned()));
    press(&mut fleets, &["up"]);
    assert_eq!(selected(&fleets), (0, "fx-rates".to_owned()));
    press(&mut fleets, &["G"]);
    assert_eq!(selected(&fleets), (2, String::new()));
    press(&mut fleets, &["g"]);
    assert_eq!(selected(&fleets), (0, "old-spike".to_owned()));
    press(&mut fleets, &["ctrl-d"]);
    assert_eq!(fleets.active_index(), 1, "{}", screen(&fleets));
}

#[test]
fn key_and_command_go_to_a_fleet() {
    let mut fleets = fleets(100, 24);
    for expected in [1, 2, 0] {
        press(&mut fleets, &["f"]);
        assert_eq!(fleets.active_index(), expected);
    }
    press(&mut fleets, &[":"]);
    type_in(&mut fleets, "fleet liv");
    press(&mut fleets, &["enter"]);
    assert!(screen(&fleets).contains("no fleet liv; use one of dev, live, old"), "{}", screen(&fleets));
    type_in(&mut fleets, "e");
    press(&mut fleets, &["enter"]);
    assert_eq!(fleets.active_index(), 1);
}

#[test]
fn one_fleet_has_no_key_for_fleets() {
    let mut fleets = Fleets::new(vec![options()], Size::new(100, 24), moment(0));
    see(&mut fleets, 0, "dev", "eu-west-1", "123456789012", sample_fleet::world());
    let model = sample_fleet::seeing(options(), sample_fleet::world(), 100, 24);
    let first = |screen: String| screen.lines().take(12).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first(screen(&fleets)), first(sample_fleet::screen(&model)));
    press(&mut fleets, &["f"]);
    assert!(screen(&fleets).contains("the dashboard shows one fleet"));
}

/// The same name and number in two fleets: what is asked for takes place in the fleet of the selected row.
#[rstest]
#[case::dev(0)]
#[case::live(1)]
fn action_is_for_the_fleet_of_the_row(#[case] fleet: usize) {
    let mut fleets = fleets(100, 30);
    press(&mut fleets, if fleet == 0 { &["down", "down", "down", "down"] } else { &["f"] });
    assert_eq!(selected(&fleets), (fleet, "checkout-fix".to_owned()));
    press(&mut fleets, &["x"]);
    let place = [
        "In fleet dev, account 123456789012, eu-west-1.",
        "In the production fleet live, account 345678901234, us-east-1.",
    ];
    assert!(screen(&fleets).contains(place[fleet]), "{}", screen(&fleets));
    let effects = press(&mut fleets, &["y"]);
    let [(index, Effect::Terminate(_, id))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((*index, id.to_string()), (fleet, format!("{}-12", ["dev", "live"][fleet])));
    let effects = press(&mut fleets, &["L"]);
    assert!(
        matches!(effects.as_slice(), [(index, Effect::FollowLogs(..))] if *index == fleet),
        "{effects:?}"
    );
}

#[test]
fn launch_form_names_the_fleet() {
    let mut fleets = fleets(100, 30);
    press(&mut fleets, &["f", "l"]);
    assert!(screen(&fleets).contains("Launch an environment in live"), "{}", screen(&fleets));
}

#[test]
fn marks_are_of_their_fleet() {
    let mut fleets = fleets(100, 30);
    press(&mut fleets, &["G", "up", "up", "space", "space"]);
    assert_eq!(fleets.active_index(), 2, "a mark goes to the next row");
    press(&mut fleets, &["g", "down", "down", "down", "down", "space"]);
    assert!(
        screen(&fleets).contains("1 marked") && screen(&fleets).contains("2 marked"),
        "{}",
        screen(&fleets)
    );
    press(&mut fleets, &["e"]);
    assert!(screen(&fleets).contains("In fleet dev, account 123456789012"), "{}", screen(&fleets));
    type_in(&mut fleets, "2h");
    let effects = press(&mut fleets, &["enter"]);
    assert!(
        matches!(effects.as_slice(), [(0, Effect::Extend(_, id, _))] if id.to_string() == "dev-12"),
        "{effects:?}"
    );
    assert!(
        !screen(&fleets).contains("1 marked") && screen(&fleets).contains("2 marked"),
        "{}",
        screen(&fleets)
    );
}

#[test]
fn refresh_connects_the_failed_fleet_alone() {
    let mut fleets = fleets(100, 30);
    assert_eq!(press(&mut fleets, &["r"]), [(0, Effect::Refresh), (0, Effect::CheckWrites)]);
    assert_eq!(press(&mut fleets, &["G", "r"]), [(2, Effect::Connect)]);
    let shown = screen(&fleets);
    assert!(shown.contains("connecting…") && !shown.contains("SSO session"), "{shown}");
    assert!(press(&mut fleets, &["x", "l", "e"]).is_empty());
}

/// What comes from one fleet changes neither the rows nor the header of another, and its error is told at its head.
#[test]
fn message_changes_its_fleet_alone() {
    let mut fleets = fleets(120, 30);
    let own = |fleets: &Fleets| {
        let text = sample_fleet::screen(&fleets.models()[0]);
        let lines = text.lines().enumerate().filter(|(y, line)| *y == 0 || line.contains(" dev-"));
        lines.map(|(_, line)| line.to_owned()).collect::<Vec<_>>()
    };
    let before = own(&fleets);
    let throttled =
        CloudError::new(ErrorClass::Throttled, "DescribeInstances", "RequestLimitExceeded", "slow down");
    fleets.set_now(moment(43));
    let before_at = own(&fleets);
    let failure = Failure::cloud("cannot observe", &throttled);
    let mut empty = world_of("live", 1);
    empty.records.complete = true;
    for msg in [
        Msg::Engine(Event::World(Arc::new(empty))),
        Msg::Engine(Event::Activity(sample_fleet::activity())),
        Msg::Engine(Event::Working(3)),
        Msg::Engine(Event::ObserveFailed(failure)),
        Msg::Account(None),
    ] {
        let effects = fleets.receive(1, msg);
        assert!(effects.iter().all(|(index, _)| *index == 1), "{effects:?}");
    }
    assert_eq!(own(&fleets), before_at);
    assert_eq!(before.len(), before_at.len());
    fleets.set_now(moment(83));
    let shown = screen(&fleets);
    let head = shown.lines().find(|line| line.contains("live  PRODUCTION")).unwrap();
    assert!(
        head.contains("throttled, data 40s old") && head.contains("account ?")
            || head.contains("account unknown"),
        "{shown}"
    );
    assert!(!shown.lines().next().unwrap().contains("throttled"), "{shown}");
}

/// A result of a fleet that is not active is told with its name, and replaces the message about the task.
#[test]
fn results_of_other_fleets_are_told() {
    let mut fleets = fleets(120, 30);
    press(&mut fleets, &["f", "x"]);
    let effects = press(&mut fleets, &["y"]);
    let [(1, Effect::Terminate(task, id))] = effects.as_slice() else { panic!("{effects:?}") };
    press(&mut fleets, &["g"]);
    assert!(screen(&fleets).contains("terminating live-12…"), "{}", screen(&fleets));
    let failure = Failure::new(Kind::Throttled, "cannot terminate it", "");
    fleets.receive(1, Msg::Terminated(*task, id.clone(), Err(failure)));
    let shown = screen(&fleets);
    assert!(shown.contains("live: cannot terminate it") && !shown.contains("terminating live-12"), "{shown}");
}

#[test]
fn filter_is_for_all_fleets() {
    let mut fleets = fleets(100, 30);
    press(&mut fleets, &["/"]);
    type_in(&mut fleets, "fleet:live");
    assert_eq!(selected(&fleets), (1, "checkout-fix".to_owned()));
    let shown = screen(&fleets);
    assert!(shown.contains("2 of 9") && !shown.contains("dev-12") && !shown.contains("SSO"), "{shown}");
    press(&mut fleets, &["down", "enter"]);
    assert_eq!(selected(&fleets), (1, "kyc-redesign".to_owned()));
    press(&mut fleets, &["esc"]);
    assert!(screen(&fleets).contains("dev-12"), "{}", screen(&fleets));
    press(&mut fleets, &["/"]);
    type_in(&mut fleets, "ledger-spike");
    assert_eq!(selected(&fleets), (0, "ledger-spike".to_owned()), "the filter goes to what it finds");
    press(&mut fleets, &["esc", "c", "c"]);
    assert!(screen(&fleets).contains("Environments by owner"), "{}", screen(&fleets));
    press(&mut fleets, &["f"]);
    assert!(screen(&fleets).contains("Environments by owner"), "{}", screen(&fleets));
}

#[test]
fn click_selects_in_any_fleet() {
    let mut fleets = fleets(100, 30);
    click_on(&mut fleets, "live-13");
    assert_eq!(selected(&fleets), (1, "kyc-redesign".to_owned()));
    click_on(&mut fleets, "dev  eu-west-1");
    assert_eq!(selected(&fleets), (0, "old-spike".to_owned()));
    click_on(&mut fleets, "SSO session");
    assert_eq!(selected(&fleets), (2, String::new()));
    let below = MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 20,
        row: 18,
        modifiers: KeyModifiers::NONE,
    };
    fleets.input(Msg::Mouse(below));
    assert_eq!(selected(&fleets), (2, String::new()), "{}", screen(&fleets));
    click_on(&mut fleets, "live-12");
    click_on(&mut fleets, "live-12");
    assert!(matches!(fleets.active().screen, Screen::Details(_)), "a double-click");
    assert_eq!(selected(&fleets), (1, "checkout-fix".to_owned()));
}

/// A refresh of a fleet above keeps the selected row at its height on the screen.
#[test]
fn refresh_moves_no_selected_row() {
    let mut fleets = fleets(100, 24);
    press(&mut fleets, &["f", "down"]);
    let height = |fleets: &Fleets| screen(fleets).lines().position(|line| line.contains("▸ kyc-redesign"));
    let before = height(&fleets);
    assert!(before.is_some());
    let mut more = sample_fleet::world();
    more.records.items.extend((30..40).map(|number| record(number, "new", "sam", 5, 100)));
    fleets.receive(0, Msg::Engine(Event::World(Arc::new(more))));
    assert_eq!((selected(&fleets), height(&fleets)), ((1, "kyc-redesign".to_owned()), before));
}

/// What changes something, or shows the user's secrets to a program.
fn is_action(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Launch(..)
            | Effect::Extend(..)
            | Effect::Pin(..)
            | Effect::UndoExtension(..)
            | Effect::Hold(..)
            | Effect::Release(..)
            | Effect::Redeploy(..)
            | Effect::Terminate(..)
            | Effect::Reset(..)
            | Effect::Forward(..)
            | Effect::HandOver(..)
            | Effect::FollowLogs(..)
            | Effect::Connect
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn random_messages_keep_fleets_apart(
        msgs in proptest::collection::vec((any_msg(), 0usize..6, 0u64..400), 1..60),
    ) {
        let mut fleets = fleets(100, 30);
        let mut at = 3;
        for (msg, to, later) in msgs {
            at += later;
            fleets.set_now(moment(at));
            let is_input = matches!(msg, Msg::Key(_) | Msg::Mouse(_) | Msg::Paste(_) | Msg::Resize(..));
            let (effects, of) = if is_input {
                let active = fleets.active_index();
                (fleets.input(msg), active)
            } else {
                (fleets.receive(to % 3, msg), to % 3)
            };
            for (fleet, effect) in &effects {
                prop_assert!(*fleet == of || !is_action(effect), "{effect:?} of {fleet} instead of {of}");
            }
            let shown = screen(&fleets);
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
            let _ = fleets.next_change();
        }
    }
}

/// A simulated account with the fleet `dev` and the environment `shop`.
fn account(number: &str) -> Connected {
    let scenario = format!(
        "account = {number:?}\n[[environments]]\nname = \"shop\"\nowner = \"amy\"\nage = \"1h\"\nttl = \"8h\"\n"
    );
    let clock = Clock::virtual_from(sample_fleet::now(), 1.0);
    let sim = SimCloud::new(Scenario::parse(&scenario).unwrap(), 1, clock.clone());
    sample_fleet::connected(&sim, &clock, "amy")
}

fn connection(label: &str, connected: &Connected) -> FleetConnection {
    let connected = connected.clone();
    let mut options = labelled(label, "eu-west-1");
    options.engine_enabled = false;
    FleetConnection::new(move || std::future::ready(Ok(connected.clone())), options)
}

async fn is_terminated(connected: &Connected) -> bool {
    let world = connected.engine.observe().await.unwrap();
    world.records.items.iter().any(|record| record.terminate.is_some())
}

/// Two accounts with a fleet and an environment of the same names, and a fleet that cannot be reached.
#[tokio::test(start_paused = true)]
async fn driver_acts_in_the_account_of_the_row() {
    let (surface, (keys, events)) = (RecordingSurface::default(), keyboard());
    let (first, second) = (account("111111111111"), account("222222222222"));
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let dead = FleetConnection::new(
        move || {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<Connected, _>(expired()))
        },
        labelled("old", "eu-north-1"),
    );
    let all = vec![dead, connection("one", &first), connection("two", &second)];
    let running = tokio::spawn(run_fleets_on(surface.clone(), events, all));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let shown = surface.last();
    assert!(
        shown.contains("SSO session") && shown.contains("one (dev)") && shown.contains("two (dev)"),
        "{shown}"
    );
    key(&keys, 'f');
    tokio::time::sleep(Duration::from_secs(1)).await;
    key(&keys, 'f');
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(surface.last().starts_with(" two · eu-west-1 · 222222222222"), "{}", surface.last());
    key(&keys, 'x');
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(surface.last().contains("In fleet two, account 222222222222, eu-west-1."), "{}", surface.last());
    // The dashboard's user is not the owner.
    for letter in "shop".chars() {
        key(&keys, letter);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    keys.send(Ok(ratatui::crossterm::event::Event::Key(key_of("enter")))).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(is_terminated(&second).await && !is_terminated(&first).await);
    assert_eq!(tries.load(Ordering::Relaxed), 1);
    key(&keys, 'f');
    tokio::time::sleep(Duration::from_secs(1)).await;
    key(&keys, 'r');
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tries.load(Ordering::Relaxed), 2);
    key(&keys, 'q');
    running.await.unwrap().unwrap();
}
