//! Several fleets: `--fleet dev,qa` and `[[fleets]]`.

use std::process::ExitCode;

use tempfile::TempDir;

use super::documents::FLEET;
use super::harness::TestAccount;

const FLEETS: &str =
    "[[fleets]]\nname = \"ours\"\nfleet = \"dev\"\n[[fleets]]\nname = \"live\"\nproduction = true\n";

/// A folder with the configuration.
fn folder(content: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), content).unwrap();
    folder
}

#[tokio::test(start_paused = true)]
async fn command_takes_one_fleet() {
    let account = TestAccount::new(FLEET);
    let folder = folder(FLEETS);
    let config = folder.path().join("config.toml");
    let config = ["--config", config.to_str().unwrap()];
    for (arguments, expected) in [
        (&["ls", "--fleet", "dev,qa"][..], "this command takes one fleet, and you named 2: dev, qa"),
        (&["ls"], "this command takes one fleet, and the configuration has 2: ours, live"),
        (&["doctor"], "this command takes one fleet, and the configuration has 2: ours, live"),
        (&["fleet", "show", "--fleet", "dev,"], "a name is missing in the fleets"),
    ] {
        let run = account.run(&[arguments, &config].concat()).await;
        assert_eq!(run.code, ExitCode::from(2), "{run:#?}");
        assert!(run.err.contains(expected), "{run:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn label_stands_for_its_fleet() {
    let account = TestAccount::new(FLEET);
    let folder = folder(FLEETS);
    let config = folder.path().join("config.toml");
    let arguments = ["--config", config.to_str().unwrap(), "--json"];
    let run = account.run(&[&["ls", "--fleet", "ours"][..], &arguments].concat()).await.ok();
    assert!(run.out.contains("\"fleet\":\"dev\"") || run.out.contains("\"fleet\": \"dev\""), "{run:#?}");
    // Commands that are about no fleet do not ask for one.
    account.run(&[&["fleet", "ls"][..], &arguments].concat()).await.ok();
}
