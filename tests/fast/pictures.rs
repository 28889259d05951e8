//! The pictures and the recording in `README.md` are what the program draws. `UPDATE_PICTURES=1` writes them anew.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hatchery::clock::Clock;
use hatchery::cloud::LogItem;
use hatchery::cloud::sim::{Scenario, SimCloud};
use hatchery::domain::history::Reading;
use hatchery::engine::{Engine, Event, NextStep};
use hatchery::tui::app::{Effect, Model, Moment, Msg};
use hatchery::tui::{DemoInfo, TuiOptions};
use ratatui::layout::Size;
use ratatui::style::Color;
use rstest::rstest;

use crate::support::sample_fleet::{dev, draw, engine, press, send, type_in};
use crate::support::svg;

mod recording;

const SIZE: Size = Size::new(116, 30);

/// Text and background of the theme `dark`.
const FOREGROUND: Color = Color::Rgb(0xd8, 0xde, 0xe9);
const BACKGROUND: Color = Color::Rgb(0x16, 0x18, 0x1d);

/// When the demo of the pictures takes place.
fn now() -> DateTime<Utc> {
    "2026-03-03T10:02:00Z".parse().unwrap()
}

fn options(clock: Clock, theme: &str) -> TuiOptions {
    let mut options = TuiOptions::new(clock, "you");
    options.choose_theme(Some(theme), false).unwrap();
    options.zone = chrono_tz::UTC.into();
    options.demo = Some(DemoInfo { about: "30 times as fast".to_owned() });
    options
}

/// The demo with every environment as the scenario sets it up, at a standstill.
struct Demo {
    model: Model,
    engine: Engine,
}

impl Demo {
    /// The demo after its first observation.
    async fn new() -> Self {
        let mut scenario = Scenario::demo().unwrap();
        // The clock stands still, so a call that took time would never return.
        scenario.latency.call = [0.0, 0.0];
        let clock = Clock::virtual_from(now(), 0.0);
        let sim = SimCloud::new(scenario, 1, clock.clone());
        let engine = engine(&sim, &clock, "you");
        let world = engine.observe_pool().await.unwrap();
        let activity = engine.cloud().audit(&dev(), now() - TimeDelta::hours(12), 50).await.unwrap();

        let moment = Moment { clock: Duration::ZERO, real: Duration::ZERO, wall: now() };
        let mut model = Model::new(options(clock, "dark"), SIZE, moment);
        for msg in [
            Msg::Connected { fleet: dev(), region: "eu-west-1".to_owned() },
            Msg::Account(Some("123456789012".to_owned())),
            Msg::Engine(Event::World(Arc::new(world))),
            Msg::Engine(Event::Activity(activity)),
        ] {
            drop(send(&mut model, msg));
        }
        Self { model, engine }
    }

    /// Selects an environment by its name.
    fn select(&mut self, name: &str) {
        press(&mut self.model, &["/"]);
        type_in(&mut self.model, name);
        press(&mut self.model, &["enter"]);
    }

    /// Reads the week that the page of the pool shows, and what the engine plans.
    async fn read_history(&mut self) {
        let since = now() - TimeDelta::days(7);
        let events = self.engine.cloud().audit(&dev(), since, 10_000).await.unwrap();
        drop(send(&mut self.model, Msg::History(Ok((events, Reading { since, until: now() })))));
        let report = self.engine.once(true).await.unwrap();
        let steps = report.steps.into_iter();
        let steps =
            steps.map(|step| NextStep { action: step.action, target: step.target, reason: step.reason });
        drop(send(&mut self.model, Msg::Engine(Event::Planned(steps.collect()))));
    }

    /// Opens the log of the selected environment.
    async fn open_log(&mut self) {
        let effects = press(&mut self.model, &["L"]);
        let Some(Effect::FollowLogs(query, generation)) = effects.last() else { panic!("{effects:?}") };
        let stored = self.engine.cloud().logs(query).await.unwrap();
        for item in [LogItem::Mode("live tail".to_owned()), LogItem::Lines(stored.lines)] {
            drop(send(&mut self.model, Msg::Log(*generation, Ok(item))));
        }
    }
}

/// Compares a file of the README with what it is to be, or writes it.
fn assert_current(name: &str, content: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/assets").join(name);
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let is_current = std::fs::read_to_string(&path).is_ok_and(|found| found == content);
    assert!(
        is_current,
        "{} is outdated; run: UPDATE_PICTURES=1 cargo test --no-default-features --test fast pictures",
        path.display()
    );
}

#[rstest]
#[case::main("dashboard")]
#[case::details("details")]
#[case::pool("pool")]
#[case::log("log")]
#[case::presenter("presenter")]
#[tokio::test]
async fn readme_picture_is_current(#[case] name: &str) {
    let mut demo = Demo::new().await;
    match name {
        "details" => {
            drop(send(&mut demo.model, Msg::Resize(SIZE.width, 44)));
            demo.select("checkout");
            press(&mut demo.model, &["enter"]);
        }
        "pool" => {
            drop(send(&mut demo.model, Msg::Resize(SIZE.width, 54)));
            demo.read_history().await;
            press(&mut demo.model, &["P"]);
        }
        "log" => {
            demo.select("checkout");
            demo.open_log().await;
            press(&mut demo.model, &["/"]);
            type_in(&mut demo.model, "order");
            press(&mut demo.model, &["enter"]);
        }
        "presenter" => {
            drop(send(&mut demo.model, Msg::Resize(100, 26)));
            demo.select("checkout");
            press(&mut demo.model, &["F"]);
        }
        _ => {}
    }
    assert_current(&format!("{name}.svg"), &svg::render(&draw(&demo.model), FOREGROUND, BACKGROUND));
}
