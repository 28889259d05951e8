//! The run loop: how often it looks, what it tells, and when it acts.

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

use crate::setup::{config, dev, on_paused_time};
use crate::test_bed::{ALWAYS, TestBed, error};

const MINUTE: Duration = Duration::from_mins(1);

/// What a running engine has told, and when.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(f64, Event)>>>);

impl Told {
    fn take(&self) -> Vec<(f64, Event)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Seconds between the complete looks since the last time, the first one counted from `from`.
    fn gaps(&self, from: &mut f64) -> Vec<f64> {
        let looks = self.take().into_iter().filter_map(|(at, event)| match event {
            Event::World(_) | Event::ObserveFailed(_) => Some(at),
            _ => None,
        });
        looks.map(|at| at - std::mem::replace(from, at)).collect()
    }
}

fn run(bed: &TestBed, options: RunOptions) -> (Handle, Told) {
    let (handle, mut events) = bed.engine.run(options);
    let (told, clock) = (Told::default(), bed.clock.clone());
    tokio::spawn({
        let told = told.clone();
        async move {
            while let Some(event) = events.recv().await {
                told.0.lock().unwrap().push((clock.elapsed().as_secs_f64(), event));
            }
            told.0.lock().unwrap().push((f64::INFINITY, Event::Working(usize::MAX)));
        }
    });
    (handle, told)
}

fn watching() -> RunOptions {
    RunOptions { background: true, refresh: MINUTE }
}

/// A bed whose fleet is at rest, and what an engine on it tells after its first look.
async fn at_rest(options: RunOptions) -> (TestBed, Handle, Told, f64) {
    let bed = TestBed::new();
    let (handle, told) = run(&bed, options);
    bed.clock.sleep(Duration::from_millis(100)).await;
    let mut from = 0.0;
    assert!(!told.gaps(&mut from).is_empty());
    (bed, handle, told, from)
}

#[track_caller]
fn all_about(gaps: &[f64], seconds: f64) {
    assert!(!gaps.is_empty());
    let fit = gaps.iter().all(|gap| (seconds * 0.8 - 0.1..=seconds * 1.2 + 0.1).contains(gap));
    assert!(fit, "{gaps:?} are not about {seconds} s");
}

#[test]
fn it_looks_once_a_minute_and_never_in_step_with_others() {
    on_paused_time(async {
        let (bed, _handle, told, mut from) = at_rest(watching()).await;
        bed.clock.sleep(60 * MINUTE).await;
        let gaps = told.gaps(&mut from);
        all_about(&gaps, 60.0);
        let (least, most) =
            (gaps.iter().copied().fold(f64::MAX, f64::min), gaps.iter().copied().fold(0.0, f64::max));
        assert!(most - least > 10.0, "{gaps:?}");
    });
}

#[test]
fn it_looks_less_often_while_nobody_watches_and_at_once_when_somebody_does() {
    on_paused_time(async {
        let (bed, handle, told, mut from) = at_rest(watching()).await;
        handle.focus(false);
        bed.clock.sleep(2 * MINUTE).await;
        told.gaps(&mut from);
        bed.clock.sleep(60 * MINUTE).await;
        all_about(&told.gaps(&mut from), 180.0);
        let now = bed.clock.elapsed().as_secs_f64();
        handle.focus(true);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((told.gaps(&mut from).len(), from), (1, now));
        // It is watched already: that is no news.
        handle.focus(true);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert!(told.gaps(&mut from).is_empty());
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert_eq!(told.gaps(&mut from).len(), 1);
    });
    on_paused_time(async {
        let options = RunOptions { refresh: 10 * MINUTE, ..watching() };
        let (bed, handle, told, mut from) = at_rest(options).await;
        handle.focus(false);
        bed.clock.sleep(200 * MINUTE).await;
        all_about(&told.gaps(&mut from), 600.0);
    });
}

#[test]
fn who_waits_is_shown_how_it_goes() {
    on_paused_time(async {
        // The steps that it takes would be looked at too.
        let options = RunOptions { background: false, ..watching() };
        let (bed, handle, told, mut from) = at_rest(options).await;
        let launched = bed.launch().await.unwrap();
        handle.refresh();
        let begun = bed.clock.elapsed().as_secs_f64();
        bed.clock.sleep(MINUTE).await;
        all_about(&told.gaps(&mut from)[1..], 5.0);
        bed.clock.sleep(MINUTE).await;
        for gap in told.gaps(&mut from) {
            assert!((0.8 * 5.0..=1.2 * 10.1).contains(&gap), "{gap}");
        }
        assert!(from - begun > 100.0);
        bed.clock.sleep(20 * MINUTE).await;
        told.gaps(&mut from);
        bed.clock.sleep(20 * MINUTE).await;
        all_about(&told.gaps(&mut from), 60.0);
        // Whoever asked for something wants to see it.
        bed.engine.terminate(&launched.environment).await.unwrap();
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(29)).await;
        assert!(told.gaps(&mut from).len() >= 5);
    });
    on_paused_time(async {
        let (bed, _handle, told, mut from) = at_rest(watching()).await;
        bed.other().launch(&crate::test_bed::checkout()).await.unwrap();
        bed.clock.sleep(2 * MINUTE).await;
        told.gaps(&mut from);
        bed.clock.sleep(MINUTE).await;
        assert!(told.gaps(&mut from).len() <= 3, "others wait for theirs");
        // One's own is one's own, from whichever machine it was launched.
        let elsewhere = Engine::new(bed.caller(), bed.clock.clone(), config("amy", 9));
        elsewhere.launch(&crate::test_bed::checkout()).await.unwrap();
        bed.clock.sleep(MINUTE + MINUTE / 2).await;
        told.gaps(&mut from);
        bed.clock.sleep(MINUTE).await;
        assert!(told.gaps(&mut from).len() >= 4);
    });
}

#[test]
fn what_fails_is_tried_again_later_and_later() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse("fleet", ALWAYS, error(ErrorClass::Transient));
        let (_handle, told) = run(&bed, watching());
        bed.clock.sleep(60 * MINUTE).await;
        let mut from = 0.0;
        let gaps = told.gaps(&mut from);
        for (gap, seconds) in
            gaps[1..].iter().zip([2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0])
        {
            all_about(&[*gap], seconds);
        }
        bed.script.end();
        bed.clock.sleep(10 * MINUTE).await;
        told.gaps(&mut from);
        // Once it has gone well, it begins anew.
        bed.clock.sleep(10 * MINUTE).await;
        all_about(&told.gaps(&mut from), 60.0);
    });
}

#[test]
fn without_permission_it_waits_for_a_person() {
    on_paused_time(async {
        let bed = TestBed::new();
        bed.script.refuse("fleet", 1, error(ErrorClass::Auth));
        let (handle, told) = run(&bed, watching());
        bed.clock.sleep(60 * MINUTE).await;
        let first = told.take();
        assert!(
            matches!(&first[..], [(_, Event::ObserveFailed(failure))] if failure.kind == Kind::NotPermitted)
        );
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert!(told.take().iter().any(|(_, event)| matches!(event, Event::World(_))));
    });
}

#[test]
fn all_slow_down_while_aws_throttles_and_come_back_bit_by_bit() {
    on_paused_time(async {
        let (bed, _handle, told, mut from) = at_rest(watching()).await;
        bed.script.refuse("instances", ALWAYS, error(ErrorClass::Throttled));
        bed.clock.sleep(60 * MINUTE).await;
        let gaps = told.gaps(&mut from);
        for (gap, seconds) in gaps.iter().zip([60.0, 120.0, 240.0, 480.0, 480.0]) {
            all_about(&[*gap], seconds);
        }
        bed.script.end();
        bed.clock.sleep(60 * MINUTE).await;
        let gaps = told.gaps(&mut from);
        for (gap, seconds) in
            gaps[1..].iter().zip([360.0, 270.0, 202.5, 151.9, 113.9, 85.4, 64.1, 60.0, 60.0])
        {
            all_about(&[*gap], seconds);
        }
    });
}

#[test]
fn it_ends_with_its_handle() {
    on_paused_time(async {
        let (bed, handle, told, _) = at_rest(watching()).await;
        drop(handle);
        bed.clock.sleep(Duration::from_secs(1)).await;
        assert!(matches!(told.take()[..], [(_, Event::Working(usize::MAX))]));
    });
}

#[test]
fn the_first_look_is_shown_as_it_comes_in_and_the_others_whole() {
    on_paused_time(async {
        let bed = TestBed::new();
        let (_handle, told) = run(&bed, watching());
        bed.clock.sleep(10 * MINUTE).await;
        let complete: Vec<_> = told
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
fn who_only_looks_changes_nothing() {
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        let (_handle, told) = run(&bed, RunOptions { background: false, ..watching() });
        bed.clock.sleep(30 * MINUTE).await;
        assert!(bed.sim.inspect(|state| state.databases().next().is_none()));
        assert!(!told.take().iter().any(|(_, event)| matches!(event, Event::Refused(_) | Event::Working(_))));
    });
}

#[test]
fn a_step_waits_for_its_moment_is_told_and_is_looked_at_soon_after() {
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        let (_handle, told) = run(&bed, watching());
        bed.clock.sleep(5 * MINUTE).await;
        let events = told.take();
        let working: Vec<_> = events
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Working(steps) => Some((*at, *steps)),
                _ => None,
            })
            .collect();
        // The database, and once it is there, the hint.
        assert_eq!(working.iter().map(|(_, steps)| *steps).collect::<Vec<_>>(), [1, 0, 1, 0], "{working:?}");
        let key = Key(Priority::Create, "create-database", "hatchery-dev-6".into());
        let moment = jitter(7, &key, 0).as_secs_f64();
        assert!((working[0].0 - moment).abs() < 0.6, "{} is not {moment}", working[0].0);
        let next = events.iter().find(|(at, event)| *at > working[1].0 && matches!(event, Event::World(_)));
        all_about(&[next.unwrap().0 - working[1].0], 2.0);
        let actions: Vec<_> = activity(events).into_iter().map(|(_, event)| event.action).collect();
        for action in ["create-database", "raise-number-hint"] {
            assert!(actions.iter().any(|told| told == action), "{actions:?}");
        }
    });
}

#[test]
fn a_step_that_was_done_and_is_not_seen_is_not_sent_again_at_once() {
    on_paused_time(async {
        let mut scenario = Scenario::default();
        scenario.faults.lag = 20.0;
        let bed = TestBed::of(scenario);
        let (_handle, _told) = run(&bed, watching());
        bed.clock.sleep(5 * MINUTE).await;
        assert_eq!(bed.script.calls("create database"), 1);
    });
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        bed.script.refuse("create database", ALWAYS, error(ErrorClass::Transient));
        let (_handle, told) = run(&bed, watching());
        bed.clock.sleep(10 * MINUTE).await;
        let failed: Vec<_> = activity(told.take())
            .into_iter()
            .filter_map(|(at, event)| (event.outcome == Outcome::Failed).then_some(at))
            .collect();
        assert!(failed.len() > 5, "{failed:?}");
        let gaps: Vec<_> = failed.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (gap, seconds) in gaps.iter().zip([2.0, 4.0, 8.0, 16.0, 32.0]) {
            assert!((seconds..seconds + 3.0).contains(gap), "{gaps:?}");
        }
    });
}

#[test]
fn what_ones_person_asked_for_is_done_at_once() {
    on_paused_time(async {
        let (bed, handle, told, _) = at_rest(watching()).await;
        let launched = bed.launch().await.unwrap();
        bed.clock.sleep(30 * MINUTE).await;
        told.take();
        bed.engine.terminate(&launched.environment).await.unwrap();
        let asked = bed.clock.elapsed().as_secs_f64();
        handle.refresh();
        bed.clock.sleep(Duration::from_secs(5)).await;
        let begun = told.take().into_iter().find(|(_, event)| matches!(event, Event::Working(2)));
        assert!(begun.is_some_and(|(at, _)| at - asked < 0.1));
        bed.clock.sleep(10 * MINUTE).await;
        assert!(bed.records().is_empty());
    });
}

#[test]
fn what_others_did_is_told_once() {
    on_paused_time(async {
        let (bed, _handle, told, _) = at_rest(RunOptions { background: false, ..watching() }).await;
        let launched = bed.other().launch(&crate::test_bed::checkout()).await.unwrap();
        bed.clock.sleep(5 * MINUTE).await;
        bed.other().terminate(&launched.environment).await.unwrap();
        bed.clock.sleep(30 * MINUTE).await;
        let told: Vec<_> = activity(told.take());
        let told: Vec<_> = told.iter().map(|(_, event)| format!("{} {}", event.who, event.action)).collect();
        assert_eq!(told, ["bob launch", "bob terminate"]);
        // Once in five minutes, and two minutes after a change.
        assert!((6..=10).contains(&bed.script.calls("read audit")), "{}", bed.script.calls("read audit"));
    });
}

/// What was told that somebody did, and when.
fn activity(told: Vec<(f64, Event)>) -> Vec<(f64, AuditEvent)> {
    let events = told.into_iter().filter_map(|(at, event)| match event {
        Event::Activity(events) => Some(events.into_iter().map(move |event| (at, event))),
        _ => None,
    });
    events.flatten().collect()
}

fn by(who: &str, at: DateTime<Utc>) -> AuditEvent {
    AuditEvent {
        at,
        who: who.into(),
        action: "keep".into(),
        target: "dev-1".into(),
        reason: String::new(),
        outcome: Outcome::Done,
        detail: String::new(),
        restore_seconds: None,
    }
}

#[test]
fn after_any_change_what_others_did_is_told_sooner() {
    on_paused_time(async {
        let (bed, _handle, told, _) = at_rest(RunOptions { background: false, ..watching() }).await;
        let launched = bed.other().launch(&crate::test_bed::checkout()).await.unwrap();
        let cloud = bed.caller();
        let (instance, free) = (launched.instance.unwrap(), launched.database.clone());
        let mut delays = Vec::new();
        for round in 0..24 {
            bed.clock.sleep(17 * MINUTE).await;
            told.take();
            let note = TagChanges::new().set(key::ORPHAN_SINCE, format!("2026-03-02T09:{round:02}:00Z"));
            match round % 3 {
                0 => cloud.tag_record(&launched.record, &note).await.unwrap(),
                1 => cloud.tag_instance(&instance, &note).await.unwrap(),
                _ => cloud.tag_database(&free, &note).await.unwrap(),
            }
            let changed = bed.clock.elapsed().as_secs_f64();
            cloud.append_audit(&dev(), &[by("bob", bed.clock.now())]).await.unwrap();
            bed.clock.sleep(10 * MINUTE).await;
            delays.push(activity(told.take())[0].0 - changed);
        }
        // A look, and two minutes since the last reading; without a change it would be five.
        let longest = delays.iter().copied().fold(0.0, f64::max);
        assert!(longest <= 195.0, "{delays:?}");
    });
}

#[test]
fn an_event_that_comes_late_is_told_too() {
    on_paused_time(async {
        let (bed, _handle, told, _) = at_rest(watching()).await;
        let read = bed.clock.now();
        bed.clock.sleep(MINUTE).await;
        let late = [by("bob", read - Duration::from_secs(50)), by("eve", read - Duration::from_secs(70))];
        bed.caller().append_audit(&dev(), &late).await.unwrap();
        bed.clock.sleep(10 * MINUTE).await;
        let who: Vec<_> = activity(told.take()).into_iter().map(|(_, event)| event.who).collect();
        assert_eq!(who, ["bob"], "a minute late is too late");
    });
}

#[test]
fn the_more_engines_there_seem_to_be_the_longer_it_waits() {
    on_paused_time(async {
        let (bed, handle, told, _) = at_rest(watching()).await;
        let now = bed.clock.now();
        let others = ["engine@a", "engine@b", "engine@c", "dave"].map(|who| by(who, now));
        bed.caller().append_audit(&dev(), &others).await.unwrap();
        bed.clock.sleep(10 * MINUTE).await;
        // Somebody deletes the free one; the next look wants another, and takes the step at its moment.
        // With the one that made the free database there are four.
        for (number, engines) in [(7, 4), (8, 0)] {
            bed.caller().delete_database(&dev().database_id(Number(number - 1))).await.unwrap();
            bed.clock.sleep(Duration::from_millis(1)).await;
            told.take();
            let seen = bed.clock.elapsed().as_secs_f64();
            handle.refresh();
            bed.clock.sleep(5 * MINUTE).await;
            let begun =
                told.take().into_iter().find(|(_, event)| matches!(event, Event::Working(1))).unwrap().0;
            let key = Key(Priority::Create, "create-database", format!("hatchery-dev-{number}"));
            let moment = jitter(7, &key, engines).as_secs_f64();
            assert!((begun - seen - moment).abs() < 0.6, "{} is not {moment}", begun - seen);
            // After a day they are forgotten, this one's own steps too.
            bed.clock.sleep(Duration::from_hours(25)).await;
        }
    });
}

#[test]
fn a_log_that_cannot_be_written_is_told() {
    on_paused_time(async {
        let bed = TestBed::of(Scenario::default());
        bed.script.refuse("audit", ALWAYS, error(ErrorClass::Auth));
        let (_handle, told) = run(&bed, watching());
        bed.clock.sleep(5 * MINUTE).await;
        let unlogged = told.take().into_iter().find_map(|(_, event)| match event {
            Event::AuditWriteFailed(why) => Some(why.map(|error| error.class)),
            _ => None,
        });
        assert_eq!(unlogged, Some(Some(ErrorClass::Auth)));
    });
}

#[test]
fn engines_wait_for_moments_of_their_own_that_crowd_towards_the_end() {
    let key = Key(Priority::Create, "create-database", "hatchery-dev-6".into());
    let people = Key(Priority::User, "launch-instance", "dev-6".into());
    for (engines, spread) in [(0, 24.0), (1, 24.0), (100, 24.0 * (100.0_f64.ln() + 1.0))] {
        let moments: Vec<f64> = (0..2_000).map(|seed| jitter(seed, &key, engines).as_secs_f64()).collect();
        assert!(moments.iter().all(|moment| (0.0..=spread).contains(moment)));
        let late = moments.iter().filter(|moment| **moment > spread / 2.0).count();
        // A density that grows by e^lambda over the interval has this much of it in the second half.
        let lambda = f64::from(u32::try_from(engines).unwrap().max(1)).ln() + 1.0;
        let share = 1.0 - ((lambda / 2.0).exp() - 1.0) / (lambda.exp() - 1.0);
        let found = f64::from(u32::try_from(late).unwrap()) / 2_000.0;
        assert!((found - share).abs() < 0.04, "{found} is not {share}");
        let different: BTreeSet<_> = moments.iter().map(|moment| moment.to_bits()).collect();
        assert!(different.len() > 1_990);
        let first = (0..2_000).map(|seed| jitter(seed, &people, engines).as_secs_f64() * 3.0);
        assert!(first.into_iter().all(|moment| moment <= spread));
    }
    assert_eq!(jitter(7, &key, 5), jitter(7, &key, 5));
    assert_ne!(jitter(7, &key, 5), jitter(8, &key, 5));
    assert_ne!(jitter(7, &key, 5), jitter(7, &people, 5) * 3);
}
