//! Holds and pins: which keys they have, and what is asked for.

use std::time::Duration;

use hatchery::domain::Number;
use hatchery::engine::Extended;
use hatchery::failure::{Failure, Kind};
use hatchery::tui::app::{Effect, HoldRequest, HoldTarget, Msg};

use crate::support::sample_fleet::{dev, model, now, press, screen, send, type_in};

#[test]
fn hold_asks_for_a_time_and_a_reason() {
    let mut model = model(120, 40);
    press(&mut model, &["down", "down", "down", "down"]);
    let id = dev().environment(Number(12));
    press(&mut model, &["H"]);
    assert_eq!(press(&mut model, &["enter"]), [], "both are required");
    assert!(screen(&model).contains("enter a duration"), "{}", screen(&model));
    type_in(&mut model, "2d");
    press(&mut model, &["tab"]);
    type_in(&mut model, "disk full");
    let request = HoldRequest {
        target: HoldTarget::Environment(id.clone()),
        by: Duration::from_hours(48),
        why: "disk full".to_owned(),
    };
    let [Effect::Hold(task, sent)] = &press(&mut model, &["enter"])[..] else { panic!() };
    assert_eq!(*sent, request);
    let held = Extended { environment: id, expires_at: now(), capped: true, undo: None };
    let _ = send(&mut model, Msg::Held(*task, request.target, Ok(held)));
    assert!(screen(&model).contains("is held until"), "{}", screen(&model));
    assert!(screen(&model).contains("max-lifetime"));
}

#[test]
fn database_of_the_pool_is_held() {
    let mut model = model(120, 40);
    press(&mut model, &["tab"]);
    press(&mut model, &["H"]);
    assert!(screen(&model).contains("Hold hatchery-dev-"), "{}", screen(&model));
    press(&mut model, &["esc", "R"]);
    assert!(!model.has_dialog());
    assert!(screen(&model).contains("it is not held"), "{}", screen(&model));
}

#[test]
fn pin_takes_a_time_of_the_day() {
    let mut model = model(120, 40);
    press(&mut model, &["down", "down", "down", "down"]);
    let id = dev().environment(Number(12));
    press(&mut model, &["p"]);
    type_in(&mut model, "noon");
    assert_eq!(press(&mut model, &["enter"]), []);
    assert!(screen(&model).contains("not a time: noon"), "{}", screen(&model));
    press(&mut model, &["ctrl-u"]);
    type_in(&mut model, "23:59");
    let [Effect::Pin(task, pinned, until)] = &press(&mut model, &["enter"])[..] else { panic!() };
    assert_eq!((pinned, until.format("%M").to_string()), (&id, "59".to_owned()));
    let late = Failure::new(Kind::TooLate, "too late to pin: it is ending", "");
    let _ = send(&mut model, Msg::Extended(*task, Err(late)));
    assert!(screen(&model).contains("too late"), "{}", screen(&model));
}
