//! Extensions that are taken back, while others change the environment.

use std::time::Duration;

use hatchery::domain::tags::key;
use hatchery::domain::{ErrorClass, Outcome};
use hatchery::failure::Kind;
use rstest::rstest;

use crate::extend::{HOUR, bed, extend, read, sleep_until};
use crate::setup::on_paused_time;
use crate::test_bed::{ALWAYS, error};

#[test]
fn extension_is_undone() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let first = extend(&bed, &launched, HOUR / 2).await.unwrap();
        let second = extend(&bed, &launched, HOUR).await.unwrap();
        let back = bed.engine.undo_extension(&second.undo.unwrap()).await.unwrap();
        assert_eq!(back, first.expires_at);
        assert_eq!(bed.expiry(&launched.environment), Some(back));
        let read = read(&bed, &launched).await;
        assert_eq!((read.expires_at, read.extensions.len()), (Some(back), 1));
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T11:30:00Z");
        let [event] = &bed.audit("undo-extension")[..] else { panic!() };
        assert_eq!(event.reason.raw(), "back to 2026-03-02 11:30:00 UTC");
        // The first one was covered by the second.
        let failure = bed.engine.undo_extension(&first.undo.unwrap()).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound, "{failure}");
    });
}

/// Only the own extension is taken back, even if that of another user is later and was confirmed at the same time.
#[test]
fn undo_keeps_the_extension_of_another_user() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let (other, id) = (bed.other_engine(), launched.environment.clone());
        bed.script.before("tag record", async move {
            other.extend(&id, HOUR).await.unwrap();
        });
        let amys = extend(&bed, &launched, 2 * HOUR).await.unwrap();
        let back = bed.engine.undo_extension(&amys.undo.unwrap()).await.unwrap();
        assert_eq!(back, launched.expires_at + HOUR);
        let read = read(&bed, &launched).await;
        assert_eq!(read.expires_at, Some(back));
    });
}

#[test]
fn extension_that_others_built_on_is_not_undone() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let undo = extend(&bed, &launched, HOUR / 2).await.unwrap().undo.unwrap();
        bed.other_engine().extend(&launched.environment, HOUR).await.unwrap();
        let failure = bed.engine.undo_extension(&undo).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.contains("it was extended again"), "{failure}");
    });
}

#[test]
fn extension_that_saved_an_environment_is_not_undone() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        sleep_until(&bed, &launched, -30).await;
        assert_eq!(extend(&bed, &launched, HOUR).await.unwrap().undo, None, "it would expire at once");

        let (bed, launched) = crate::extend::bed().await;
        sleep_until(&bed, &launched, -120).await;
        let undo = extend(&bed, &launched, HOUR).await.unwrap().undo.unwrap();
        bed.clock.sleep(Duration::from_mins(1)).await;
        let failure = bed.engine.undo_extension(&undo).await.unwrap_err();
        assert_eq!(failure.kind, Kind::Refused);
        assert!(failure.message.contains("it would expire at once"), "{failure}");

        let (bed, launched) = crate::extend::bed().await;
        let undo = extend(&bed, &launched, HOUR).await.unwrap().undo.unwrap();
        bed.other_engine().terminate(&launched.environment).await.unwrap();
        let failure = bed.engine.undo_extension(&undo).await.unwrap_err();
        assert_eq!(failure.kind, Kind::TooLate);
    });
}

#[rstest]
#[case(5, true, None)]
#[case(5, false, None)]
#[case(6, true, Some(Kind::NotFound))]
fn undo_waits_until_reads_show_the_extension(
    #[case] reads: usize,
    #[case] is_visible: bool,
    #[case] kind: Option<Kind>,
) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let earlier = read(&bed, &launched).await;
        let undo = extend(&bed, &launched, HOUR).await.unwrap().undo.unwrap();
        bed.script.lag(reads, is_visible.then_some(earlier));
        let begun = bed.clock.elapsed();
        let back = bed.engine.undo_extension(&undo).await;
        let waited = bed.clock.elapsed().saturating_sub(begun);
        assert_eq!(waited, Duration::from_secs(2) * u32::try_from(reads).unwrap());
        assert_eq!(back.as_ref().err().map(|failure| failure.kind), kind, "{back:?}");
        let expiry = if kind.is_none() { launched.expires_at } else { undo.expires_at };
        assert_eq!(bed.expiry(&launched.environment), Some(expiry));
    });
}

#[test]
fn undo_that_is_not_written_changes_nothing() {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let undo = extend(&bed, &launched, HOUR).await.unwrap().undo.unwrap();
        bed.script.fail("tag record", ALWAYS, error(ErrorClass::Auth));
        let failure = bed.engine.undo_extension(&undo).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotPermitted);
        assert!(failure.message.starts_with("cannot undo the extension of dev-6"), "{failure}");
        assert_eq!(bed.audit("undo-extension")[0].outcome, Outcome::Failed);
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
    });
}

/// The next pass of any engine copies the expiry to the instance.
#[rstest]
fn undo_that_is_not_mirrored_counts(#[values("instances of", "tag instance")] operation: &'static str) {
    on_paused_time(async {
        let (bed, launched) = bed().await;
        let undo = extend(&bed, &launched, HOUR).await.unwrap().undo.unwrap();
        bed.script.fail(operation, ALWAYS, error(ErrorClass::Auth));
        assert_eq!(bed.engine.undo_extension(&undo).await.unwrap(), launched.expires_at);
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T12:00:00Z");
        bed.run_other_engine(1).await;
        assert_eq!(bed.active_instances()[0].1[key::EXPIRES_AT], "2026-03-02T11:00:00Z");
    });
}
