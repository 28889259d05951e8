//! `--wait` goes on over errors that pass, and ends on others.

use std::process::ExitCode;
use std::time::Duration;

use super::harness::{Run, TestAccount};

/// A fleet with a free database whose environments are ready after some minutes.
const FLEET: &str = "free = 2\n[latency]\nboot = [26.0, 26.0]\nimages = [30.0, 30.0]\n";

/// Launches and waits; in the meantime `meanwhile` happens to the account.
async fn wait(account: &TestAccount, meanwhile: impl Future<Output = ()>) -> Run {
    let (run, ()) = futures::join!(account.run(&["launch", "checkout", "--wait"]), meanwhile);
    run
}

#[tokio::test(start_paused = true)]
async fn wait_survives_an_unavailable_service() {
    let account = TestAccount::new(FLEET);
    let run = wait(&account, async {
        account.clock.sleep(Duration::from_secs(12)).await;
        account.sim.change_faults(|faults| faults.unavailable = 1.0);
        account.clock.sleep(Duration::from_secs(90)).await;
        account.sim.clear_faults();
    });
    let run = run.await.ok();
    assert!(run.out.contains("is ready"), "{run:#?}");
    // One line for the failure, not one for each try.
    assert_eq!(run.err.matches("still waiting").count(), 1, "{run:#?}");
}

#[tokio::test(start_paused = true)]
async fn reset_survives_an_unavailable_service() {
    let account = TestAccount::new(FLEET);
    account.run(&["launch", "checkout", "--wait"]).await.ok();
    let outage = async {
        account.clock.sleep(Duration::from_secs(12)).await;
        account.sim.change_faults(|faults| faults.unavailable = 1.0);
        account.clock.sleep(Duration::from_secs(90)).await;
        account.sim.clear_faults();
    };
    let (run, ()) = futures::join!(account.run(&["reset", "checkout", "--yes", "--wait"]), outage);
    let run = run.ok();
    assert!(run.out.contains(" uses hatchery-dev-"), "{run:#?}");
    assert_eq!(run.err.matches("still waiting").count(), 1, "{run:#?}");
}

#[tokio::test(start_paused = true)]
async fn wait_survives_throttling_and_lost_requests() {
    for seed in 0..6 {
        let account = TestAccount::with_seed(FLEET, seed);
        let run = wait(&account, async {
            account.clock.sleep(Duration::from_secs(12)).await;
            account.sim.change_faults(|faults| faults.lost_request = 0.7);
            account.clock.sleep(Duration::from_mins(4)).await;
            account.sim.clear_faults();
        });
        run.await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn wait_ends_without_the_permission() {
    let account = TestAccount::new(FLEET);
    let begun = account.clock.elapsed();
    let run = wait(&account, async {
        account.clock.sleep(Duration::from_secs(12)).await;
        account.sim.change_faults(|faults| faults.denied = 1.0);
    });
    let run = run.await;
    assert_eq!(run.code, ExitCode::from(4), "{run:#?}");
    assert!(account.clock.elapsed().saturating_sub(begun) < Duration::from_mins(1));
    assert!(run.err.contains(" is launched, but cannot be watched"), "{run:#?}");
}
