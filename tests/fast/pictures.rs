//! The picture in `README.md` is what the program draws. `UPDATE_PICTURES=1` writes it anew.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::engine::{Engine, EngineConfig, Event};
use hatchery::tui::app::{Model, Moment, Msg, update};
use hatchery::tui::{DemoInfo, TuiOptions};
use ratatui::layout::Size;
use ratatui::style::Color;

use crate::support::{sample_fleet, svg};

const SIZE: Size = Size::new(116, 30);

/// Text and background of the theme `dark`.
const FOREGROUND: Color = Color::Rgb(0xd8, 0xde, 0xe9);
const BACKGROUND: Color = Color::Rgb(0x16, 0x18, 0x1d);

/// The dashboard of the demo after its first observation, with every environment as the scenario sets it up.
async fn demo() -> Model {
    let now: DateTime<Utc> = "2026-03-03T10:02:00Z".parse().unwrap();
    let mut scenario = Scenario::demo().unwrap();
    // The clock stands still, so a call that took time would never return.
    scenario.latency.call = [0.0, 0.0];
    let clock = Clock::virtual_from(now, 0.0);
    let sim = SimCloud::new(scenario, 1, clock.clone());
    let config = EngineConfig {
        fleet: sample_fleet::dev(),
        user: "you".to_owned(),
        request: None,
        host: "engine@you".to_owned(),
        seed: 1,
        version: semver::Version::new(0, 1, 0),
    };
    let engine = Engine::new(sim.caller("you"), clock.clone(), config);
    let world = engine.observe_pool().await.unwrap();
    let activity = engine.cloud().audit(&sample_fleet::dev(), now - TimeDelta::hours(12), 50).await.unwrap();

    let mut options = TuiOptions::new(clock, "you");
    options.choose_theme(Some("dark"), false).unwrap();
    options.zone = chrono_tz::UTC.into();
    options.demo = Some(DemoInfo { about: "30 times as fast".to_owned() });
    let moment = Moment { clock: Duration::ZERO, real: Duration::ZERO, wall: now };
    let mut model = Model::new(options, SIZE, moment);
    for msg in [
        Msg::Connected { fleet: sample_fleet::dev(), region: "eu-west-1".to_owned() },
        Msg::Account(Some("123456789012".to_owned())),
        Msg::Engine(Event::World(Arc::new(world))),
        Msg::Engine(Event::Activity(activity)),
    ] {
        drop(update(&mut model, msg));
    }
    model
}

#[tokio::test]
async fn readme_picture_is_current() {
    let svg = svg::render(&sample_fleet::draw(&demo().await), FOREGROUND, BACKGROUND);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/assets/dashboard.svg");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::write(&path, &svg).unwrap();
    }
    let is_current = std::fs::read_to_string(&path).unwrap() == svg;
    assert!(
        is_current,
        "{} is outdated; run: UPDATE_PICTURES=1 cargo test --no-default-features --test fast pictures",
        path.display()
    );
}
