//! Changes of an environment and of the pool that leave their parts in place: resets, holds and pins.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use crate::support::account::{Account, State, init, rfc3339};
use crate::support::binary::hatchery;
use crate::support::emulators::EmulatorKind;

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn reset_gives_an_environment_a_fresh_database(#[case] kind: EmulatorKind) {
    let emulator = kind.start_with_write_lag();
    let account = Account::new(&emulator).await;
    init(&emulator, "dev", &["--spare", "1", "--grace", "1m"]).await;
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;
    hatchery(&emulator, &["launch", "checkout-fix"]).ok();
    let instance = account.inspect().await.active()[0].id.clone();
    let early = hatchery(&emulator, &["reset", "checkout-fix", "--yes"]);
    assert!(early.code == 5 && early.err.contains("ready"), "{early:#?}");
    account.set_phase(&instance, "ready").await;
    account.set_rollout(&instance, "2026-01-01T00:00:00Z", "done").await;
    account.run_engine_until("the pool is full again", |state| state.free() == 1).await;

    // The environment uses the spare one, and keeps the old one until its instance has answered.
    let reset = hatchery(&emulator, &["reset", "checkout-fix", "--yes", "--json"]).ok().json();
    assert_eq!(
        (&reset["id"], &reset["database"], &reset["replaces"]),
        (&json!("dev-1"), &json!("hatchery-dev-2"), &json!("hatchery-dev-1"))
    );
    let state = account.inspect().await;
    for tags in [&state.records["hatchery/dev/1"], &state.active()[0].tags] {
        assert_eq!(tags["hatchery:database"], "hatchery-dev-2");
    }
    assert!(state.databases.contains_key("hatchery-dev-1"));
    let request = state.active()[0].tags["hatchery:deployment"].split_once(' ').unwrap().0.to_owned();
    hatchery(&emulator, &["engine", "--once"]).ok();
    assert!(account.inspect().await.databases.contains_key("hatchery-dev-1"));
    account.set_rollout(&instance, &request, "done").await;
    let is_replaced = |state: &State| !state.databases.contains_key("hatchery-dev-1") && state.free() == 1;
    account.run_engine_until("the old database is deleted", is_replaced).await;
    let environment = hatchery(&emulator, &["ls", "--json"]).ok().json()["environments"][0].clone();
    assert_eq!(environment["database"]["id"], "hatchery-dev-2");
    assert_eq!((&environment["state"], &environment["problems"]), (&json!("ready"), &json!([])));

    // ministack shows a deleted record by its id, without tags, for longer than this test can wait.
    if matches!(kind, EmulatorKind::Ministack) {
        return;
    }
    // The database of a reset is kept for a minute after the end, because an engine may be switching to it.
    hatchery(&emulator, &["terminate", "checkout-fix", "--yes"]).ok();
    hatchery(&emulator, &["engine", "--once"]).ok();
    tokio::time::sleep(Duration::from_mins(1)).await;
    account.run_engine_until("only the spare is left", |state| state.is_at_rest(1)).await;
}

#[rstest]
#[case::moto(EmulatorKind::Moto)]
#[case::ministack(EmulatorKind::Ministack)]
#[tokio::test]
async fn holds_and_pins_keep_what_would_be_reaped(#[case] kind: EmulatorKind) {
    let emulator = kind.start_with_write_lag();
    let account = Account::new(&emulator).await;
    init(&emulator, "dev", &["--spare", "1", "--grace", "1m"]).await;
    account.run_engine_until("the pool is full", |state| state.free() == 1).await;

    // A held database is in the pool no longer, and is deleted once it is released.
    let held = ["hold", "hatchery-dev-1", "--for", "2h", "--why", "slow queries", "--json"];
    assert!(hatchery(&emulator, &held).ok().out.contains("hatchery-dev-1"));
    let is_replaced = |state: &State| state.available.contains("hatchery-dev-2");
    account.run_engine_until("another database is free", is_replaced).await;
    assert!(account.inspect().await.databases.contains_key("hatchery-dev-1"));
    hatchery(&emulator, &["launch", "checkout-fix"]).ok();
    let state = account.inspect().await;
    assert_eq!(state.active()[0].tags["hatchery:database"], "hatchery-dev-2", "the held one is not claimed");
    hatchery(&emulator, &["hold", "hatchery-dev-1", "--release"]).ok();
    let is_gone = |state: &State| !state.databases.contains_key("hatchery-dev-1");
    account.run_engine_until("the database is deleted", is_gone).await;

    // A failed environment that has expired is kept while it is held.
    account.set_phase(&state.active()[0].id, "failed").await;
    hatchery(&emulator, &["hold", "checkout-fix", "--for", "3h", "--why", "the chart is broken"]).ok();
    let tags = &account.inspect().await.records["hatchery/dev/2"];
    assert!(tags["hatchery:hold"].ends_with("the chart is broken"), "{tags:?}");
    for _ in 0..3 {
        hatchery(&emulator, &["engine", "--once"]).ok();
    }
    assert_eq!(account.inspect().await.active().len(), 1);
    hatchery(&emulator, &["hold", "checkout-fix", "--release"]).ok();
    assert!(!account.inspect().await.records["hatchery/dev/2"].contains_key("hatchery:hold"));

    // A pin moves the expiry to a later time.
    let until = rfc3339(10 * 3_600);
    hatchery(&emulator, &["pin", "checkout-fix", "--until", &until]).ok();
    assert_eq!(account.inspect().await.records["hatchery/dev/2"]["hatchery:expires-at"], until);
}
