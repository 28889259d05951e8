//! The audit log says of a change whose response was lost that its outcome is unknown.

use hatchery::domain::Outcome;
use rstest::rstest;

use super::harness::TestAccount;

#[rstest]
#[case::terminate("terminate", &["terminate", "checkout", "--yes", "--fleet", "dev"])]
#[case::extend("extend", &["extend", "checkout", "--by", "1h", "--fleet", "dev"])]
#[case::recycle("recycle-pool", &["pool", "recycle", "--fleet", "dev"])]
#[case::set("change-policy", &["fleet", "set", "spare=2", "--fleet", "dev"])]
#[tokio::test(start_paused = true)]
async fn lost_response_is_logged_as_unknown(#[case] action: &str, #[case] arguments: &[&str]) {
    let account = TestAccount::new("free = 1\n");
    account.run(&["launch", "checkout"]).await.ok();
    account.sim.change_faults(|faults| faults.lost_response = 1.0);
    let run = account.run(arguments).await;
    assert!(run.err.contains("Timeout"), "{run:#?}");
    let outcomes: Vec<_> = account.sim.inspect(|state| {
        state.audit().iter().filter(|event| event.action == action).map(|event| event.outcome).collect()
    });
    assert!(!outcomes.is_empty(), "{run:#?}");
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Unknown), "{outcomes:?}");
}
