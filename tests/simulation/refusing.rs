//! Launches that are refused, before anything is changed.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::domain::ErrorClass;
use hatchery::engine::LaunchRequest;
use hatchery::failure::Kind;

use crate::account::on_paused_time;
use crate::launching::stands;
use crate::script::{ALWAYS, Stage, checkout, error};

#[test]
fn what_cannot_be_seen_is_not_launched_on() {
    for (operation, class, kind) in [
        ("records", ErrorClass::Throttled, Kind::Throttled),
        ("databases", ErrorClass::Auth, Kind::NotPermitted),
        ("latest image", ErrorClass::Transient, Kind::Failed),
        ("subnets", ErrorClass::Auth, Kind::NotPermitted),
        ("fleet", ErrorClass::Throttled, Kind::Throttled),
        ("base template", ErrorClass::Auth, Kind::NotPermitted),
        ("security groups", ErrorClass::Throttled, Kind::Throttled),
    ] {
        on_paused_time(async {
            let stage = Stage::new();
            stage.script.refuse(operation, ALWAYS, error(class));
            let failure = stage.launch().await.unwrap_err();
            assert_eq!(failure.kind, kind, "{operation}: {failure}");
            assert!(failure.message.starts_with("cannot "), "{failure}");
            assert_eq!(stage.script.calls("create record"), 0, "{operation}");
        });
    }
    // A launch needs neither the instances nor, with a free database, the snapshot.
    for operation in ["instances", "latest snapshot"] {
        on_paused_time(async {
            let stage = Stage::new();
            stage.script.refuse(operation, ALWAYS, error(ErrorClass::Throttled));
            let launched = stage.launch().await.unwrap();
            stands(&stage, &launched);
        });
    }
}

#[test]
fn a_policy_may_say_no() {
    for (setting, value, kind, word) in [
        ("min-version", "9.0.0", Kind::Refused, "newer hatchery than 1.0.0"),
        ("ttl", "8d", Kind::Refused, "ttl is longer than max-lifetime"),
        ("image-tag", "none", Kind::NotFound, "hatchery:image=none"),
    ] {
        on_paused_time(async {
            let stage = Stage::with([(setting, value)]);
            let failure = stage.launch().await.unwrap_err();
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.message.contains(word), "{failure}");
            assert_eq!(stage.records(), []);
        });
    }
    on_paused_time(async {
        let stage = Stage::with([("min-version", "1.0.0")]);
        stage.launch().await.unwrap();
    });
}

#[test]
fn a_request_that_makes_no_sense_is_refused_before_anything_is_asked() {
    let services =
        |count: usize| (0..count).map(|n| (format!("s{n}"), "1".to_owned())).collect::<BTreeMap<_, _>>();
    let note = |text: &str| Some(text.to_owned());
    let hours = |hours| Some(Duration::from_hours(hours));
    let long = "n".repeat(200);
    for (good, request) in [
        (true, LaunchRequest { services: services(25), note: note(&long), ..checkout() }),
        (false, LaunchRequest { services: services(26), ..checkout() }),
        (false, LaunchRequest { note: note(&format!("{long}n")), ..checkout() }),
        (false, LaunchRequest { note: note("a\u{7}b"), ..checkout() }),
        (true, LaunchRequest { ttl: hours(7 * 24), ..checkout() }),
        (false, LaunchRequest { ttl: hours(7 * 24 + 1), ..checkout() }),
        (true, LaunchRequest { ttl: Some(Duration::from_mins(1)), ..checkout() }),
        (false, LaunchRequest { ttl: Some(Duration::from_secs(59)), ..checkout() }),
    ] {
        on_paused_time(async {
            let stage = Stage::new();
            let answer = stage.engine.launch(&request).await;
            assert_eq!(answer.is_ok(), good, "{request:?}: {answer:?}");
            assert_eq!(stage.records().len(), usize::from(good));
            if let Err(failure) = answer {
                assert!(matches!(failure.kind, Kind::Usage | Kind::Refused), "{failure}");
            }
        });
    }
}
