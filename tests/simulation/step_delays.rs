//! The delay of a background step, which begins when the step is planned for the first time.

use std::time::Duration;

use hatchery::cloud::sim::Scenario;
use hatchery::domain::ErrorClass;
use hatchery::engine::Event;
use hatchery::engine::jitter::jitter;
use hatchery::engine::step::{Key, Priority};

use crate::engine_loop::{options, run};
use crate::setup::on_paused_time;
use crate::test_bed::{TestBed, error};

/// Otherwise a fleet whose listings are often incomplete never gets the step.
#[test]
fn incomplete_listings_do_not_restart_a_delay() {
    on_paused_time(async {
        let policy = [("spare".to_owned(), "2".to_owned())].into();
        let mut scenario = Scenario { free: 1, policy, ..Scenario::default() };
        scenario.faults.page = 1;
        let bed = TestBed::with_scenario(scenario);
        bed.never_record_passes().await;
        let key = Key(Priority::Create, "create-database", "hatchery-dev-7".into());
        let delay = jitter(7, &key, 0);
        let (handle, events) = run(&bed, options());
        // Each second observation is incomplete, and does not plan the step.
        for _ in 0..4 {
            bed.clock.sleep(delay / 10).await;
            bed.script.fail_second_page("databases", error(ErrorClass::Transient));
            handle.refresh();
            bed.clock.sleep(delay / 10).await;
            handle.refresh();
        }
        bed.clock.sleep(Duration::from_mins(5)).await;
        let events = events.take();
        let incomplete = events.iter().filter(|(_, event)| match event {
            Event::Refused(refused) => {
                refused.iter().any(|refusal| refusal.reason == "the listing of databases is incomplete")
            }
            _ => false,
        });
        assert_eq!(incomplete.count(), 4);
        let begun = events.iter().find(|(_, event)| matches!(event, Event::Working(1))).unwrap().0;
        assert!((begun - delay.as_secs_f64()).abs() < 0.6, "{begun} is not {delay:?}");
    });
}

/// Otherwise an engine restores a number while others restore lower ones, and none of them counts all against `max-databases`.
#[test]
fn restores_are_taken_in_the_order_of_their_numbers() {
    on_paused_time(async {
        let bed = TestBed::with_databases(0, [("spare", "5")]);
        let numbers: Vec<_> = (6..11).map(|number| format!("hatchery-dev-{number}")).collect();
        let delay = |id: &String| jitter(7, &Key(Priority::Create, "create-database", id.clone()), 0);
        assert!(!numbers.is_sorted_by_key(delay), "the delays are in order anyway");
        let (_handle, _events) = run(&bed, options());
        bed.clock.sleep(Duration::from_mins(10)).await;
        let restored: Vec<_> =
            bed.audit("create-database").iter().map(|event| event.target.to_string()).collect();
        assert_eq!(restored, numbers);
    });
}
