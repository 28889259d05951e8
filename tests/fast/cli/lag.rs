//! What a command has just confirmed is not denied by the next one, although reads show it seconds later.

use std::process::ExitCode;
use std::time::Duration;

use rstest::rstest;

use super::harness::TestAccount;

/// A free database, and reads that are up to four seconds old.
const LAGGING: &str = "free = 1\n[faults]\nlag = 4.0\n";

#[rstest]
#[case::logs(&["logs", "checkout"])]
#[case::logs_by_id(&["logs", "ID"])]
#[case::extend(&["extend", "checkout", "--by", "1h"])]
#[case::extend_by_id(&["extend", "ID", "--by", "1h"])]
#[case::diff(&["diff", "checkout", "ID"])]
#[case::terminate(&["terminate", "checkout", "--yes"])]
#[case::terminate_by_id(&["terminate", "ID", "--yes"])]
#[tokio::test(start_paused = true)]
async fn launched_is_found(#[case] arguments: &[&str]) {
    let mut notices = 0;
    for seed in 0..12 {
        let account = TestAccount::with_seed(LAGGING, seed);
        let launched = account.run(&["launch", "checkout"]).await.ok().out;
        let id = launched.split(' ').find(|word| word.starts_with("dev-")).unwrap();
        let arguments: Vec<_> = arguments.iter().map(|word| if *word == "ID" { id } else { *word }).collect();
        let run = account.run(&arguments).await.ok();
        notices += usize::from(run.err.contains("looking again"));
    }
    // The lag was met at all.
    assert!(notices > 0);
}

#[tokio::test(start_paused = true)]
async fn launched_is_opened() {
    for seed in 0..12 {
        let account = TestAccount::with_seed(LAGGING, seed);
        account.run(&["launch", "checkout"]).await.ok();
        let run = account.run(&["open", "checkout", "--print"]).await;
        // It has no address yet, but it is there.
        let is_starting = run.err.lines().last().is_some_and(|line| line.contains("has no IP address yet"));
        assert!(run.out.starts_with("http://") || is_starting, "{run:#?}");
    }
}

#[rstest]
#[case::show(&["fleet", "show", "--fleet", "qa"])]
#[case::set(&["fleet", "set", "spare=2", "--fleet", "qa"])]
#[case::ls(&["ls", "--fleet", "qa"])]
#[case::pool(&["pool", "--fleet", "qa"])]
#[case::launch(&["launch", "checkout", "--fleet", "qa"])]
#[case::recycle(&["pool", "recycle", "--fleet", "qa"])]
#[tokio::test(start_paused = true)]
async fn new_fleet_is_found(#[case] arguments: &[&str]) {
    for seed in 0..6 {
        let account = TestAccount::with_seed("[faults]\nlag = 4.0\n", seed);
        let new = ["fleet", "init", "qa", "--source-database", "integration", "--subnets", "subnet-0a"];
        let network =
            ["--security-group", "sg-0a1", "--database-subnet-group", "private", "--image-tag", "dev"];
        account.run(&[&new[..], &network[..]].concat()).await.ok();
        account.run(arguments).await.ok();
    }
}

#[rstest]
#[case::environment(&["terminate", "checkout-old", "--yes"])]
#[case::id(&["logs", "dev-99"])]
#[case::fleet(&["ls", "--fleet", "unknown"])]
#[case::shown_fleet(&["fleet", "show", "--fleet", "unknown"])]
#[tokio::test(start_paused = true)]
async fn mistyped_name_is_denied_within_seconds(#[case] arguments: &[&str]) {
    let account = TestAccount::new(LAGGING);
    account.clock.sleep(Duration::from_secs(10)).await;
    let begun = account.clock.elapsed();
    let run = account.run(arguments).await;
    let waited = account.clock.elapsed().saturating_sub(begun);
    assert!((Duration::from_secs(4)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
    assert_eq!(run.code, ExitCode::from(3), "{run:#?}");
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    assert!(lines[0].contains("there is no") && lines[0].contains("looking again"), "{run:#?}");
    assert!(lines[1].contains("there is no") && !lines[1].contains("looking again"), "{run:#?}");
}

/// What is there costs no time.
#[tokio::test(start_paused = true)]
async fn found_at_once() {
    let account = TestAccount::new("free = 1\n");
    account.run(&["launch", "checkout"]).await.ok();
    let begun = account.clock.elapsed();
    let run = account.run(&["logs", "checkout"]).await.ok();
    assert!(!run.err.contains("looking again"), "{run:#?}");
    assert!(account.clock.elapsed().saturating_sub(begun) < Duration::from_secs(4));
}
