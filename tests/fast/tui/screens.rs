//! States of screens and dialogs that the gallery does not show, drawn from the sample fleet.

use std::sync::Arc;

use crate::support::sample_fleet;
use crate::support::sample_fleet::{
    blank, lines, model, moment, options, press, screen, seeing, send, throttled, type_in, world,
};
use hatchery::cloud::{LeftOut, LogItem, LogLine};
use hatchery::domain::{Deployment, Listing, Rollout, RolloutState, Spare, World};
use hatchery::engine::{Event, Refusal};
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, Msg};
use hatchery::tui::{DemoInfo, glyphs};
use insta::assert_snapshot;
use rstest::rstest;

/// The account is whole where nothing more important is dropped for it.
#[rstest]
#[case("eu-west-1", 60, "dev · eu-west-1 · …9012")]
#[case("eu-west-1", 80, "dev · eu-west-1 · 123456789012   engine")]
#[case("ap-southeast-2", 80, "dev · ap-southeast-2 · …9012   engine")]
#[case("ap-southeast-2", 160, "dev · ap-southeast-2 · 123456789012   engine")]
fn header_has_the_account(#[case] region: &str, #[case] width: u16, #[case] place: &str) {
    let mut model = model(width, 24);
    model.options.region = region.to_owned();
    let screen = screen(&model);
    let header = screen.lines().next().unwrap();
    assert!(header.contains(place), "{header}");
    assert!(header.contains("envs 7") && header.contains("pool 1/1 free"), "{header}");
}

#[rstest]
#[case(60, "account ?")]
#[case(80, "account ?")]
#[case(160, "account unknown")]
fn unknown_account_is_said(#[case] width: u16, #[case] text: &str) {
    let mut model = model(width, 15);
    send(&mut model, Msg::Account(None));
    assert!(screen(&model).lines().next().unwrap().contains(text), "{}", screen(&model));
    press(&mut model, &["down", "down", "x"]);
    assert!(screen(&model).contains("In an unknown account, eu-west-1."), "{}", screen(&model));
}

#[test]
fn account_is_sanitized() {
    let mut model = model(160, 24);
    send(&mut model, Msg::Account(Some("12\u{1b}[31m3456".to_owned())));
    assert!(screen(&model).lines().next().unwrap().contains("eu-west-1 · 123456 "), "{}", screen(&model));
}

#[test]
fn connection_states() {
    let mut model = blank(options(), 80, 24);
    let failure = Failure::new(
        Kind::NotPermitted,
        "cannot list fleets: the SSO session has expired (ExpiredToken)",
        "log in again (for example: aws sso login)",
    );
    send(&mut model, Msg::ConnectFailed(failure));
    assert_snapshot!("not_connected", screen(&model));
    assert_eq!(press(&mut model, &["r"]), [Effect::Connect]);
    assert!(screen(&model).contains("connecting"));
}

#[test]
fn loading_differs_from_empty() {
    let mut first = World::new(sample_fleet::fleet());
    let model = seeing(options(), first.clone(), 80, 24);
    assert_snapshot!("loading", screen(&model));
    let whole = world();
    first.records = Listing {
        items: whole.records.iter().take(3).cloned().collect(),
        as_of: whole.records.as_of,
        ..Listing::default()
    };
    let model = seeing(options(), first, 80, 24);
    assert_snapshot!("loading_first_page", screen(&model));
    let mut empty = world();
    empty.records.items.clear();
    empty.instances.items.clear();
    empty.databases.items.clear();
    assert_snapshot!("empty", screen(&seeing(options(), empty, 80, 24)));
}

#[test]
fn automatic_target_is_explained() {
    let mut automatic = world();
    automatic.fleet.policy.spare = Spare::Auto;
    let mut model = seeing(options(), automatic, 120, 30);
    assert!(screen(&model).contains("target 1 (auto)"));
    press(&mut model, &["!"]);
    assert!(screen(&model).contains("target 1 (auto): the launch history has not been read"));
}

#[test]
fn throttling_removes_no_row() {
    let mut model = model(100, 24);
    model.set_now(moment(40));
    send(&mut model, Msg::Engine(Event::World(Arc::new(throttled()))));
    assert_snapshot!("throttled", screen(&model));
    assert!(screen(&model).contains("throttled, data 40s old"));
}

#[test]
fn failed_observation_removes_no_row() {
    let mut model = model(100, 24);
    let failure =
        Failure::new(Kind::Unreachable, "cannot reach EC2: connection refused", "check the network");
    send(&mut model, Msg::Engine(Event::ObserveFailed(failure)));
    assert_snapshot!("observe_failed", screen(&model));
}

#[test]
fn read_only_and_demo_are_marked() {
    let mut options = options();
    options.read_only = true;
    options.engine_enabled = false;
    assert_snapshot!("read_only", screen(&seeing(options.clone(), world(), 120, 24)));
    options.demo = Some(DemoInfo { about: "a busy day, 60 times as fast".to_owned() });
    options.glyphs = glyphs::ASCII;
    assert_snapshot!("demo_ascii", screen(&seeing(options, world(), 140, 24)));
}

#[test]
fn pool_history() {
    let mut model = model(120, 24);
    for minute in 1..=14_u64 {
        model.set_now(moment(minute * 60));
        let mut world = world();
        if (5..9).contains(&minute) {
            world.databases.items.retain(|database| database.number.0 != 14);
        }
        send(&mut model, Msg::Engine(Event::World(Arc::new(world))));
    }
    press(&mut model, &["tab"]);
    assert_snapshot!("pool_history", screen(&model));
}

#[test]
fn errors_of_the_launch_form() {
    let mut model = model(80, 24);
    press(&mut model, &["l"]);
    type_in(&mut model, "voucher fix");
    press(&mut model, &["tab"]);
    type_in(&mut model, "30d");
    press(&mut model, &["tab"]);
    type_in(&mut model, "payments");
    assert_snapshot!("launch_errors", screen(&model));
}

#[test]
fn extension_is_capped() {
    let mut model = model(80, 24);
    press(&mut model, &["down", "down", "down", "down", "e"]);
    type_in(&mut model, "200h");
    assert_snapshot!("extend_capped", screen(&model));
}

#[test]
fn name_to_terminate_is_typed() {
    let mut model = model(80, 24);
    press(&mut model, &["down", "down", "down", "down", "down", "x"]);
    type_in(&mut model, "kyc-re");
    assert_snapshot!("terminate_other", screen(&model));
}

#[test]
fn redeploy_says_what_it_changes() {
    let mut world = world();
    let at = sample_fleet::now() - chrono::TimeDelta::seconds(50);
    world.records.items[4].deployment = Some(Deployment { at, by: "amy".into() });
    let detail = "waiting for deployment.apps/payments".into();
    world.instances.items[4].rollout = Some(Rollout { request: at, state: RolloutState::Running, detail });
    let mut model = seeing(options(), world, 80, 24);
    press(&mut model, &["down", "down", "down", "down", "u"]);
    type_in(&mut model, "4");
    assert_snapshot!("redeploy", screen(&model));
}

#[test]
fn whole_help_and_palette() {
    let mut model = model(100, 100);
    press(&mut model, &["?"]);
    assert_snapshot!("help", screen(&model));
    press(&mut model, &["esc", ":"]);
    assert_snapshot!("palette", screen(&model));
}

#[test]
fn health() {
    let mut model = model(100, 24);
    let refusal = Refusal {
        action: "create-database",
        target: "hatchery-dev-17".to_owned(),
        reason: "the last restore failed 2 minutes ago; tried again at 12:06".to_owned(),
    };
    send(&mut model, Msg::Engine(Event::Refused(vec![refusal])));
    press(&mut model, &["!"]);
    assert_snapshot!("health", screen(&model));
}

#[test]
fn log_search() {
    let mut model = model(100, 24);
    press(&mut model, &["down", "down", "down", "down"]);
    let effects = press(&mut model, &["L"]);
    let Some(Effect::FollowLogs(_, generation)) = effects.last() else { panic!("{effects:?}") };
    let generation = *generation;
    send(&mut model, Msg::Log(generation, Ok(LogItem::Mode("live tail".to_owned()))));
    send(&mut model, Msg::Log(generation, Ok(LogItem::Lines(lines()))));
    press(&mut model, &["/"]);
    type_in(&mut model, "voucher");
    assert_snapshot!("logs_searching", screen(&model));
    press(&mut model, &["enter", "w"]);
    assert_snapshot!("logs_search_wrapped", screen(&model));
    press(&mut model, &["tab", "tab"]);
    assert_snapshot!("logs_one_source", screen(&model));
}

/// Where the title has no room, a toast has the price, and that lines are missing.
#[rstest]
#[case(60)]
#[case(80)]
#[case(100)]
fn log_mode_is_explained(#[case] width: u16) {
    let mut model = model(width, 24);
    let effects = press(&mut model, &["L"]);
    let Some(Effect::FollowLogs(_, generation)) = effects.last() else { panic!("{effects:?}") };
    let generation = *generation;
    let price = "live tail, about $0.01 a minute".to_owned();
    send(&mut model, Msg::Log(generation, Ok(LogItem::Mode(price.clone()))));
    assert!(screen(&model).contains(&price), "{}", screen(&model));
    send(&mut model, Msg::Log(generation, Ok(LogItem::LeftOut(LeftOut::Sampled))));
    assert!(screen(&model).contains("some lines are missing"), "{}", screen(&model));
    model.set_now(moment(60));
    assert!(screen(&model).contains("sampled"), "{}", screen(&model));
}

#[test]
fn log_says_what_it_leaves_out_and_when_it_ends() {
    let mut model = model(100, 24);
    let effects = press(&mut model, &["L"]);
    let Some(Effect::FollowLogs(_, generation)) = effects.last() else { panic!("{effects:?}") };
    let generation = *generation;
    let mut receive = |item| {
        send(&mut model, Msg::Log(generation, Ok(item)));
        screen(&model)
    };
    let trace = LogLine { text: "Error: boom\n\tat A.java:1\u{1b}[2J".into(), ..lines().remove(0) };
    receive(LogItem::Mode("live tail".to_owned()));
    receive(LogItem::LeftOut(LeftOut::Older(12_345)));
    let shown = receive(LogItem::Lines(vec![trace]));
    assert!(shown.contains("│ … 12,345 older lines left out"), "{shown}");
    assert!(shown.contains("bootstrap Error: boom ") && shown.contains("    at A.java:1 "), "{shown}");
    assert!(shown.contains("● following"), "{shown}");
    let shown = receive(LogItem::Interrupted("no update for 5 s".to_owned()));
    assert!(shown.contains("reconnecting, no update for 5 s"), "{shown}");
    send(&mut model, Msg::LogEnded(generation));
    let shown = screen(&model);
    assert!(shown.contains("ended") && !shown.contains("following"), "{shown}");
}

#[test]
fn filter_without_a_match() {
    let mut model = model(100, 24);
    press(&mut model, &["/"]);
    type_in(&mut model, "amyzzz");
    press(&mut model, &["enter"]);
    assert_snapshot!("filter_none", screen(&model));
}

#[test]
fn url_is_shown_without_a_browser() {
    let mut model = model(80, 24);
    press(&mut model, &["down", "down", "down", "down", "O"]);
    let effects = press(&mut model, &["enter"]);
    let [Effect::OpenUrl(url)] = effects.as_slice() else { panic!("{effects:?}") };
    let effects = send(&mut model, Msg::OpenFailed(url.clone()));
    assert_eq!(effects, [Effect::Copy(url.clone())]);
    assert!(screen(&model).contains(url.as_str()), "{}", screen(&model));
}
