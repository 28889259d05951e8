//! The engine loop: when it observes, which events it sends, and when it acts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hatchery::cloud::sim::Scenario;
use hatchery::domain::tags::key;
use hatchery::domain::{AuditEvent, ErrorClass, Number, Outcome, TagChanges};
use hatchery::engine::jitter::jitter;
use hatchery::engine::step::{Key, Priority};
use hatchery::engine::{Engine, Event, Handle, RunOptions};
use hatchery::failure::Kind;

use crate::builders::audit_event;
use crate::setup::{config, dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

pub(crate) const MINUTE: Duration = Duration::from_mins(1);

/// The events of a running engine, with their times in seconds.
#[derive(Clone, Default)]
pub(crate) struct RecordedEvents(Arc<Mutex<Vec<(f64, Event)>>>);

impl RecordedEvents {
    pub(crate) fn take(&self) -> Vec<(f64, Event)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Takes the events and returns the seconds between observations; the first interval starts at `from`.
    pub(crate) fn intervals(&self, from: &mut f64) -> Vec<f64> {
        let observations = self.take().into_iter().filter_map(|(at, event)| match event {
            Event::World(_) | Event::ObserveFailed(_) => Some(at),
            _ => None,
        });
        observations.map(|at| at - std::mem::replace(from, at)).collect()
    }
}

pub(crate) fn run(bed: &TestBed, options: RunOptions) -> (Handle, RecordedEvents) {
    let (handle, mut receiver) = bed.engine.run(options);
    let (events, clock) = (RecordedEvents::default(), bed.clock.clone());
    tokio::spawn({
        let events = events.clone();
        async move {
            while let Some(event) = receiver.recv().await {
                events.0.lock().unwrap().push((clock.elapsed().as_secs_f64(), event));
            }
            events.0.lock().unwrap().push((f64::INFINITY, Event::Working(usize::MAX)));
        }
    });
    (handle, events)
}

pub(crate) fn options() -> RunOptions {
    RunOptions { background: true, refresh: MINUTE }
}

/// A test bed with an idle fleet, and an engine loop after its first observation.
pub(crate) async fn at_rest(options: RunOptions) -> (TestBed, Handle, RecordedEvents, f64) {
    let bed = TestBed::new();
    bed.never_record_passes().await;
    let (handle, events) = run(&bed, options);
    bed.clock.sleep(Duration::from_millis(100)).await;
    let mut from = 0.0;
    assert!(!events.intervals(&mut from).is_empty());
    (bed, handle, events, from)
}

#[track_caller]
pub(crate) fn assert_about(intervals: &[f64], seconds: f64) {
    assert!(!intervals.is_empty());
    let fit = intervals.iter().all(|interval| (seconds * 0.8 - 0.1..=seconds * 1.2 + 0.1).contains(interval));
    assert!(fit, "{intervals:?} are not about {seconds} s");
}

#[test]
fn loop_observes_every_minute_with_jitter() {
    on_paused_time(async {
        let (bed, _handle, events, mut from) = at_rest(options()).await;
        bed.clock.sleep(60 * MINUTE).await;
        let intervals = events.intervals(&mut from);
        assert_about(&intervals, 60.0);
        let (min, max) = (
            intervals.iter().copied().fold(f64::MAX, f64::min),
            intervals.iter().copied().fold(0.0, f64::max),
        );
        assert!(max - min > 10.0, "{intervals:?}");
    });
}

#[test]
fn unfocused_loop_observes_less_often() {
    on_paused_time(async {
        let (bed, handle, events, mut from) = at_rest(options()).await;
        handle.focus(false);
        bed.clock.sleep(2 * MINUTE).await;
        events.intervals(&mut from);
        bed.clock.sleep(60 * MINUTE).await;
        assert_about(&events.intervals(&mut from), 180.0);
        let now = bed.clock.elapsed().as_secs_f64();
        handle.focus(true);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((events.intervals(&mut from).len(), from), (1, now));
        // A repeated focus changes nothing.
        handle.focus(true);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert!(events.intervals(&mut from).is_empty());
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(events.intervals(&mut from).len(), 1);
    });
    on_paused_time(async {
        let options = RunOptions { refresh: 10 * MINUTE, ..options() };
        let (bed, handle, events, mut from) = at_rest(options).await;
        handle.focus(false);
        bed.clock.sleep(200 * MINUTE).await;
        assert_about(&events.intervals(&mut from), 600.0);
    });
}

#[test]
fn loop_observes_more_often_during_a_launch() {
    on_paused_time(async {
        // Background steps would cause observations too.
        let options = RunOptions { background: false, ..options() };
        let (bed, handle, events, mut from) = at_rest(options).await;
        let launched = bed.launch().await.unwrap();
        handle.refresh();
        let begun = bed.clock.elapsed().as_secs_f64();
        bed.clock.sleep(MINUTE).await;
        assert_about(&events.intervals(&mut from)[1..], 5.0);
        bed.clock.sleep(MINUTE).await;
        for interval in events.intervals(&mut from) {
            assert!((0.8 * 5.0..=1.2 * 10.1).contains(&interval), "{interval}");
        }
        assert!(from - begun > 100.0);
        bed.clock.sleep(20 * MINUTE).await;
        events.intervals(&mut from);
        bed.clock.sleep(20 * MINUTE).await;
        assert_about(&events.intervals(&mut from), 60.0);
        // Requests of the loop's own user are observed more often.
        bed.engine.terminate(&launched.environment).await.unwrap();
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(29)).await;
        assert!(events.intervals(&mut from).len() >= 5);
    });
    on_paused_time(async {
        let (bed, _handle, events, mut from) = at_rest(options()).await;
        bed.other_engine().launch(&crate::test_bed::checkout()).await.unwrap();
        bed.clock.sleep(2 * MINUTE).await;
        events.intervals(&mut from);
        bed.clock.sleep(MINUTE).await;
        assert!(events.intervals(&mut from).len() <= 3, "launches of other users are not followed");
        // A launch of the same user on another machine is followed too.
        let elsewhere = Engine::new(bed.caller(), bed.clock.clone(), config("amy", 9));
        elsewhere.launch(&crate::test_bed::checkout()).await.unwrap();
        bed.clock.sleep(MINUTE + MINUTE / 2).await;
        events.intervals(&mut from);
        bed.clock.sleep(MINUTE).await;
        assert!(events.intervals(&mut from).len() >= 4);
    });
}

#[test]
fn failed_observation_backs_off() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.never_record_passes().await;
        bed.script.fail("fleet", ALWAYS, error(ErrorClass::Transient));
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(60 * MINUTE).await;
        let mut from = 0.0;
        let intervals = events.intervals(&mut from);
        for (interval, seconds) in
            intervals[1..].iter().zip([2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0])
        {
            assert_about(&[*interval], seconds);
        }
        bed.script.clear();
        bed.clock.sleep(10 * MINUTE).await;
        events.intervals(&mut from);
        // Success resets the backoff.
        bed.clock.sleep(10 * MINUTE).await;
        assert_about(&events.intervals(&mut from), 60.0);
    });
}

#[test]
fn missing_permission_waits_for_a_refresh_or_five_minutes() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.fail("fleet", 2, error(ErrorClass::Auth));
        let (handle, events) = run(&bed, options());
        bed.clock.sleep(4 * MINUTE).await;
        let first = events.take();
        assert!(
            matches!(&first[..], [(_, Event::ObserveFailed(failure))] if failure.kind == Kind::NotPermitted)
        );
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert!(matches!(&events.take()[..], [(_, Event::ObserveFailed(_))]));
        bed.clock.sleep(5 * MINUTE).await;
        assert!(events.take().iter().any(|(_, event)| matches!(event, Event::World(_))));
    });
}

#[test]
fn loop_ends_when_its_handle_is_dropped() {
    on_paused_time(async {
        let (bed, handle, events, _) = at_rest(options()).await;
        drop(handle);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert!(matches!(events.take()[..], [(_, Event::Working(usize::MAX))]));
    });
}

#[test]
fn only_the_first_world_is_partial() {
    on_paused_time(async {
        let bed = TestBed::new();
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(10 * MINUTE).await;
        let complete: Vec<_> = events
            .take()
            .into_iter()
            .filter_map(|(_, event)| match event {
                Event::World(world) => Some(world.is_complete()),
                _ => None,
            })
            .collect();
        let partial = complete.iter().filter(|complete| !**complete).count();
        assert!((1..=4).contains(&partial), "{complete:?}");
        assert!(complete[partial..].iter().all(|complete| *complete));
    });
}

#[test]
fn loop_without_background_changes_nothing() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        let (_handle, events) = run(&bed, RunOptions { background: false, ..options() });
        bed.clock.sleep(30 * MINUTE).await;
        assert!(bed.sim.inspect(|state| state.databases().next().is_none()));
        assert!(
            !events.take().iter().any(|(_, event)| matches!(event, Event::Passed(_) | Event::Working(_)))
        );
    });
}

#[test]
fn step_waits_for_its_jitter_and_is_observed() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.never_record_passes().await;
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(5 * MINUTE).await;
        let events = events.take();
        let working: Vec<_> = events
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Working(steps) => Some((*at, *steps)),
                _ => None,
            })
            .collect();
        // The database first, then the number hint.
        assert_eq!(working.iter().map(|(_, steps)| *steps).collect::<Vec<_>>(), [1, 0, 1, 0], "{working:?}");
        let key = Key(Priority::Create, "create-database", "hatchery-dev-6".into());
        let moment = jitter(7, &key, 0).as_secs_f64();
        assert!((working[0].0 - moment).abs() < 0.6, "{} is not {moment}", working[0].0);
        let next = events.iter().find(|(at, event)| *at > working[1].0 && matches!(event, Event::World(_)));
        assert_about(&[next.unwrap().0 - working[1].0], 2.0);
        let actions: Vec<_> = activity(events).into_iter().map(|(_, event)| event.action).collect();
        for action in ["create-database", "move-hint"] {
            assert!(actions.iter().any(|events| events == action), "{actions:?}");
        }
    });
}

#[test]
fn completed_step_is_not_sent_again_at_once() {
    on_paused_time(async {
        let mut scenario = Scenario::default();
        scenario.faults.lag = 20.0;
        let bed = TestBed::with_scenario(scenario);
        let (_handle, _told) = run(&bed, options());
        bed.clock.sleep(5 * MINUTE).await;
        assert_eq!(bed.script.count("create database"), 1);
    });
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail("create database", ALWAYS, error(ErrorClass::Transient));
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(10 * MINUTE).await;
        let failed: Vec<_> = activity(events.take())
            .into_iter()
            .filter_map(|(at, event)| (event.outcome == Outcome::Failed).then_some(at))
            .collect();
        assert!(failed.len() > 5, "{failed:?}");
        let intervals: Vec<_> = failed.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (interval, seconds) in intervals.iter().zip([2.0, 4.0, 8.0, 16.0, 32.0]) {
            assert!((seconds..seconds + 3.0).contains(interval), "{intervals:?}");
        }
    });
}

#[test]
fn request_of_the_own_user_has_no_delay() {
    on_paused_time(async {
        let (bed, handle, events, _) = at_rest(options()).await;
        let launched = bed.launch().await.unwrap();
        bed.clock.sleep(30 * MINUTE).await;
        events.take();
        bed.engine.terminate(&launched.environment).await.unwrap();
        let asked = bed.clock.elapsed().as_secs_f64();
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(5)).await;
        let begun = events.take().into_iter().find(|(_, event)| matches!(event, Event::Working(2)));
        assert!(begun.is_some_and(|(at, _)| at - asked < 0.1));
        bed.clock.sleep(10 * MINUTE).await;
        assert!(bed.records().is_empty());
    });
}

#[test]
fn activity_of_other_users_is_sent_once() {
    on_paused_time(async {
        let (bed, _handle, events, _) = at_rest(RunOptions { background: false, ..options() }).await;
        let launched = bed.other_engine().launch(&crate::test_bed::checkout()).await.unwrap();
        bed.clock.sleep(5 * MINUTE).await;
        bed.other_engine().terminate(&launched.environment).await.unwrap();
        bed.clock.sleep(30 * MINUTE).await;
        let events: Vec<_> = activity(events.take());
        let events: Vec<_> =
            events.iter().map(|(_, event)| format!("{} {}", event.who, event.action)).collect();
        assert_eq!(events, ["bob launch", "bob terminate"]);
        // Every five minutes, and two minutes after a change.
        assert!((6..=10).contains(&bed.script.count("read audit")), "{}", bed.script.count("read audit"));
    });
}

/// Returns the audit events with their times.
fn activity(events: Vec<(f64, Event)>) -> Vec<(f64, AuditEvent)> {
    let events = events.into_iter().filter_map(|(at, event)| match event {
        Event::Activity(events) => Some(events.into_iter().map(move |event| (at, event))),
        _ => None,
    });
    events.flatten().collect()
}

fn by(who: &str, at: DateTime<Utc>) -> AuditEvent {
    audit_event(at, who, "keep", "dev-1")
}

#[test]
fn change_reads_the_audit_log_sooner() {
    on_paused_time(async {
        let (bed, _handle, events, _) = at_rest(RunOptions { background: false, ..options() }).await;
        let launched = bed.other_engine().launch(&crate::test_bed::checkout()).await.unwrap();
        let cloud = bed.caller();
        let (instance, free) = (launched.instance.unwrap(), launched.database.clone());
        let mut delays = Vec::new();
        for round in 0..24 {
            bed.clock.sleep(17 * MINUTE).await;
            events.take();
            let note = TagChanges::new().set(key::ORPHAN_SINCE, format!("2026-03-02T09:{round:02}:00Z"));
            match round % 3 {
                0 => cloud.tag_record(&launched.record, &note).await.unwrap(),
                1 => cloud.tag_instance(&instance, &note).await.unwrap(),
                _ => cloud.tag_database(&free, &note).await.unwrap(),
            }
            let changed = bed.clock.elapsed().as_secs_f64();
            cloud.append_audit(&dev(), &[by("bob", bed.clock.now())]).await.unwrap();
            bed.clock.sleep(10 * MINUTE).await;
            delays.push(activity(events.take())[0].0 - changed);
        }
        // An observation, and two minutes since the last read; without a change it would be five minutes.
        let longest = delays.iter().copied().fold(0.0, f64::max);
        assert!(longest <= 195.0, "{delays:?}");
    });
}

#[test]
fn late_audit_event_is_sent() {
    on_paused_time(async {
        let (bed, _handle, events, _) = at_rest(options()).await;
        let read = bed.clock.now();
        bed.clock.sleep(MINUTE).await;
        let late = [by("bob", read - Duration::from_secs(50)), by("eve", read - Duration::from_secs(70))];
        bed.caller().append_audit(&dev(), &late).await.unwrap();
        bed.clock.sleep(10 * MINUTE).await;
        let who: Vec<_> = activity(events.take()).into_iter().map(|(_, event)| event.who).collect();
        assert_eq!(who, ["bob"], "events more than a minute late are dropped");
    });
}

#[test]
fn jitter_grows_with_the_number_of_engines() {
    on_paused_time(async {
        let (bed, handle, events, _) = at_rest(options()).await;
        let now = bed.clock.now();
        let others = ["engine@a", "engine@b", "engine@c", "dave"].map(|who| by(who, now));
        bed.caller().append_audit(&dev(), &others).await.unwrap();
        bed.clock.sleep(10 * MINUTE).await;
        // Another user deletes the free database; the loop restores another after its jitter.
        // With the engine that created the free database there are four.
        for (number, engines) in [(7, 4), (8, 0)] {
            bed.caller().delete_database(&dev().database_id(Number(number - 1))).await.unwrap();
            bed.clock.sleep(Duration::from_millis(1)).await;
            events.take();
            let seen = bed.clock.elapsed().as_secs_f64();
            handle.refresh();
            bed.clock.sleep(5 * MINUTE).await;
            let begun =
                events.take().into_iter().find(|(_, event)| matches!(event, Event::Working(1))).unwrap().0;
            let key = Key(Priority::Create, "create-database", format!("hatchery-dev-{number}"));
            let moment = jitter(7, &key, engines).as_secs_f64();
            assert!((begun - seen - moment).abs() < 0.6, "{} is not {moment}", begun - seen);
            // Engines are forgotten after a day, also this one.
            bed.clock.sleep(Duration::from_hours(25)).await;
        }
    });
}

#[test]
fn failed_audit_write_is_sent() {
    on_paused_time(async {
        let bed = TestBed::with_scenario(Scenario::default());
        bed.script.fail("audit", ALWAYS, error(ErrorClass::Auth));
        let (_handle, events) = run(&bed, options());
        bed.clock.sleep(5 * MINUTE).await;
        let unlogged = events.take().into_iter().find_map(|(_, event)| match event {
            Event::AuditWriteFailed(why) => Some(why.map(|error| error.class)),
            _ => None,
        });
        assert_eq!(unlogged, Some(Some(ErrorClass::Auth)));
    });
}

#[test]
fn jitter_follows_its_distribution() {
    let key = Key(Priority::Create, "create-database", "hatchery-dev-6".into());
    let user_step = Key(Priority::User, "launch-instance", "dev-6".into());
    for (engines, spread) in [(0, 24.0), (1, 24.0), (100, 24.0 * (100.0_f64.ln() + 1.0))] {
        let moments: Vec<f64> = (0..2_000).map(|seed| jitter(seed, &key, engines).as_secs_f64()).collect();
        assert!(moments.iter().all(|moment| (0.0..=spread).contains(moment)));
        let late = moments.iter().filter(|moment| **moment > spread / 2.0).count();
        // Share of the second half of the interval, for a density that grows by e^lambda over it.
        let lambda = f64::from(u32::try_from(engines).unwrap().max(1)).ln() + 1.0;
        let share = 1.0 - ((lambda / 2.0).exp() - 1.0) / (lambda.exp() - 1.0);
        let found = f64::from(u32::try_from(late).unwrap()) / 2_000.0;
        assert!((found - share).abs() < 0.04, "{found} is not {share}");
        let different: BTreeSet<_> = moments.iter().map(|moment| moment.to_bits()).collect();
        assert!(different.len() > 1_990);
        let first = (0..2_000).map(|seed| jitter(seed, &user_step, engines).as_secs_f64() * 3.0);
        assert!(first.into_iter().all(|moment| moment <= spread));
    }
    assert_eq!(jitter(7, &key, 5), jitter(7, &key, 5));
    assert_ne!(jitter(7, &key, 5), jitter(8, &key, 5));
    assert_ne!(jitter(7, &key, 5), jitter(7, &user_step, 5) * 3);
}
